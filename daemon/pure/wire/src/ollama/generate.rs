//! `POST /api/generate`, the request: a conversation of one turn through the model's template, or a raw text.
//!
//! Its answers are those of [`super::reply`] and [`super::stream`] in [`super::Form::Generate`].

use serde_json::{Map, Value};

use crate::chat::{ChatRequest, Message, Part, Role};
use crate::completion::CompletionRequest;
use crate::json::Object;
use crate::malformed::{Malformed, Uncarried};
use crate::members::{self, Members};

use super::chat_request::{model, unknown};
use super::{options, read_messages};

const MEMBERS: [&str; 7] = ["prompt", "suffix", "system", "template", "context", "raw", "images"];

/// Whether the request is one for [`decode_raw`]: `raw` is set, or there is a gap to fill (`suffix`), which is no
/// conversation either.
#[must_use]
pub fn is_raw(object: &Object) -> bool {
    let raw = object.get::<bool>("raw").is_ok_and(|raw| raw == Some(true));
    raw || object.get::<String>("suffix").is_ok_and(|suffix| suffix.is_some_and(|suffix| !suffix.is_empty()))
}

/// Reads a request that goes through the model's template.
///
/// # Errors
/// A member is missing, has a wrong type, or only an Ollama upstream can do what it asks for (`template`, `context`).
pub fn decode(object: &Object) -> Result<ChatRequest, Malformed> {
    let map = members::read_all(object)?;
    let top = Members::top(&map);
    refuse(&top, &["template", "suffix", "context"])?;
    let mut extra = unknown(&map, &MEMBERS);
    Ok(ChatRequest {
        model: model(&top)?,
        messages: messages(&top)?,
        sampling: options::decode(&top, &mut extra)?,
        format: options::decode_format(&top)?,
        reasoning: options::decode_think(&top)?,
        stream: top.flag("stream")?.unwrap_or(true),
        extra,
        ..ChatRequest::default()
    })
}

fn messages(top: &Members<'_>) -> Result<Vec<Message>, Malformed> {
    let mut messages = Vec::new();
    if let Some(system) = top.text("system")?.filter(|system| !system.is_empty()) {
        messages.push(Message { role: Role::System, parts: vec![Part::Text(system.to_owned())], name: None });
    }
    let mut parts = read_messages::pictures(top)?;
    parts.push(Part::Text(top.need_text("prompt")?.to_owned()));
    messages.push(Message { role: Role::User, parts, name: None });
    Ok(messages)
}

/// Reads a request whose text goes to the model as it is.
///
/// # Errors
/// A member is missing, has a wrong type, or does not go with a raw text.
pub fn decode_raw(object: &Object) -> Result<CompletionRequest, Malformed> {
    let map = members::read_all(object)?;
    let top = Members::top(&map);
    refuse(&top, &["template", "system", "context", "images"])?;
    let mut extra = unknown(&map, &MEMBERS);
    // A completion has no place for these two.
    for name in ["format", "think"] {
        match top.value(name) {
            None | Some(Value::Bool(false)) => {}
            Some(Value::String(word)) if word.is_empty() => {}
            Some(_) => return Err(Malformed::new(name, "this does not go with `raw` or `suffix`")),
        }
    }
    Ok(CompletionRequest {
        model: model(&top)?,
        prompts: vec![top.need_text("prompt")?.to_owned()],
        suffix: top.text("suffix")?.filter(|suffix| !suffix.is_empty()).map(str::to_owned),
        sampling: options::decode(&top, &mut extra)?,
        stream: top.flag("stream")?.unwrap_or(true),
        extra,
        ..CompletionRequest::default()
    })
}

fn refuse(top: &Members<'_>, names: &[&str]) -> Result<(), Malformed> {
    for &name in names {
        let empty = match top.value(name) {
            None => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(value) => value.as_array().is_some_and(Vec::is_empty),
        };
        if !empty {
            return Err(Malformed::new(name, "only an Ollama upstream can do this, and only without `raw`"));
        }
    }
    Ok(())
}

/// Writes a completion request for an upstream that calls the model `model`.
///
/// # Errors
/// The request holds something that would change the answer and that Ollama does not know.
pub fn encode(request: &CompletionRequest, model: &str) -> Result<Vec<u8>, Uncarried> {
    options::refuse_extra(&request.extra)?;
    let [prompt] = request.prompts.as_slice() else {
        return Err(Uncarried::new("prompt", "Ollama takes one text at a time"));
    };
    if request.echo {
        return Err(Uncarried::new("echo", "Ollama does not give the prompt back"));
    }
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    body.insert("prompt".to_owned(), prompt.as_str().into());
    match &request.suffix {
        // Only the model's template knows how it wants a gap marked: a raw request would lose the suffix.
        Some(suffix) if !suffix.is_empty() => body.insert("suffix".to_owned(), suffix.as_str().into()),
        Some(_) | None => body.insert("raw".to_owned(), true.into()),
    };
    options::encode(&request.sampling, &mut body)?;
    // Unless told otherwise, Ollama drops the beginning of a text that is too long.
    body.insert("truncate".to_owned(), false.into());
    body.insert("stream".to_owned(), request.stream.into());
    Ok(Value::from(body).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Format, ImageSource, Sampling};
    use serde_json::json;

    fn with<T>(body: &Value, read: impl Fn(&Object) -> T) -> T {
        let text = body.to_string();
        read(&Object::of(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_templated_request_is_a_conversation() {
        let body = json!({"model": "m", "system": "Be brief.", "prompt": "What is this?", "format": "json",
            "images": ["iVBORw0KGgoAAAANSUhEUg=="], "context": [], "template": "", "suffix": null, "raw": false});
        let request = with(&body, decode).unwrap();
        assert!(request.stream && request.extra.is_empty());
        assert_eq!(request.format, Some(Format::JsonObject));
        assert_eq!(request.messages[0].parts, [Part::Text("Be brief.".to_owned())]);
        let source =
            ImageSource::Base64 { media_type: "image/png".to_owned(), data: "iVBORw0KGgoAAAANSUhEUg==".to_owned() };
        let picture = Part::Image { source, detail: None };
        assert_eq!(request.messages[1].parts, [picture, Part::Text("What is this?".to_owned())]);
    }

    #[test]
    fn what_only_ollama_can_do_is_refused() {
        for (body, at) in [
            (json!({"model": "m", "prompt": "x", "context": [1, 2]}), "context"),
            (json!({"model": "m", "prompt": "x", "template": "{{ .Prompt }}"}), "template"),
            (json!({"model": "m", "prompt": "x", "suffix": "y"}), "suffix"),
            (json!({"model": "m", "prompt": 1}), "prompt"),
            (json!({"prompt": "x"}), "model"),
        ] {
            assert_eq!(with(&body, decode).unwrap_err().at, at);
        }
        for (body, at) in [
            (json!({"model": "m", "prompt": "x", "raw": true, "system": "y"}), "system"),
            (json!({"model": "m", "prompt": "x", "raw": true, "format": "json"}), "format"),
            (json!({"model": "m", "raw": true}), "prompt"),
        ] {
            assert_eq!(with(&body, decode_raw).unwrap_err().at, at);
        }
    }

    fn with_cut(mut body: Value) -> Value {
        body["truncate"] = Value::Null;
        body
    }

    #[test]
    fn raw_texts_both_ways() {
        let body =
            json!({"model": "m", "prompt": "[INST] hi [/INST]", "raw": true, "options": {"seed": 1}, "stream": false});
        assert!(with(&body, is_raw));
        let request = with(&body, decode_raw).unwrap();
        assert_eq!(request.prompts, ["[INST] hi [/INST]"]);
        let mut back: Value = serde_json::from_slice(&encode(&request, "m").unwrap()).unwrap();
        assert_eq!(back["truncate"].take(), false, "what is too long is not cut in silence");
        assert_eq!(back, with_cut(body));
    }

    #[test]
    fn a_gap_to_fill_goes_through_the_template() {
        let body = json!({"model": "m", "prompt": "def f(", "suffix": "return", "stream": true});
        assert!(with(&body, is_raw));
        let back = encode(&with(&body, decode_raw).unwrap(), "m").unwrap();
        let mut back: Value = serde_json::from_slice(&back).unwrap();
        back["truncate"].take();
        assert_eq!(back, with_cut(body));
        assert!(!with(&json!({"model": "m", "prompt": "x", "suffix": ""}), is_raw));
    }

    #[test]
    fn what_ollama_cannot_do_is_refused() {
        let request = CompletionRequest { prompts: vec!["x".to_owned()], ..CompletionRequest::default() };
        for (request, field) in [
            (CompletionRequest { echo: true, ..request.clone() }, "echo"),
            (CompletionRequest { prompts: vec!["a".to_owned(), "b".to_owned()], ..request.clone() }, "prompt"),
            (CompletionRequest { sampling: Sampling { n: Some(3), ..Sampling::default() }, ..request.clone() }, "n"),
            (CompletionRequest { extra: Map::from_iter([("best_of".to_owned(), 2.into())]), ..request }, "best_of"),
        ] {
            assert_eq!(encode(&request, "m").unwrap_err().field, field);
        }
    }
}
