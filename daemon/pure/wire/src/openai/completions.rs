//! `POST /v1/completions`: the continuation of a raw text, whole and in pieces.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::usage::Usage;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::chunk::{self, ChunkWriter, Incoming};
use super::loose::Loose;
use super::usage::{self, RawUsage};
use super::{completion_logprobs, extra, sampling};
use crate::chat::Part;
use crate::completion::CompletionRequest;
use crate::failure::ErrorBody;
use crate::json::{self, Object, write_string};
use crate::malformed::{Malformed, Uncarried};
use crate::reply::{ChatReply, Choice, Event, Finish, ReplyContext};
use crate::sse::Frame;

const MEMBERS: [&str; 7] = ["model", "prompt", "suffix", "echo", "logprobs", "stream", "user"];

/// Reads a client's request. A prompt of token numbers goes to `extra` as `prompt[0]`: numbers mean something else to
/// every model.
///
/// # Errors
/// A required member is missing or a member has a wrong type; the path is given.
pub fn decode_request(object: &Object) -> Result<CompletionRequest, Malformed> {
    let known = [&MEMBERS[..], &sampling::MEMBERS].concat();
    let mut extra = extra::collect(object, &known)?;
    // One candidate out of one is what happens anyway.
    if extra.get("best_of").and_then(Value::as_u64) == Some(1) {
        extra.shift_remove("best_of");
    }
    let mut sampling = sampling::decode(object)?;
    let logprobs: Option<Value> = object.get("logprobs")?;
    sampling.top_logprobs = match logprobs {
        None | Some(Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(0),
        Some(value) => Some(
            value.as_u64().ok_or_else(|| Malformed::new("logprobs", "a whole number of zero or more is expected"))?,
        ),
    };
    sampling.logprobs = sampling.top_logprobs.map(|_| true);
    Ok(CompletionRequest {
        model: object.need("model")?,
        prompts: prompts(object.need("prompt")?, &mut extra)?,
        suffix: object.get::<String>("suffix")?.filter(|text| !text.is_empty()),
        echo: object.get("echo")?.unwrap_or(false),
        sampling,
        stream: object.get("stream")?.unwrap_or(false),
        user: object.get("user")?,
        extra,
    })
}

fn prompts(prompt: Value, extra: &mut Map<String, Value>) -> Result<Vec<String>, Malformed> {
    let items = match prompt {
        Value::String(text) => return Ok(vec![text]),
        Value::Array(items) if !items.is_empty() => items,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            return Err(Malformed::new("prompt", "a string or an array of strings is expected"));
        }
    };
    let mut texts = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Value::String(text) => texts.push(text),
            Value::Number(_) | Value::Array(_) => {
                extra.insert("prompt[0]".to_owned(), item);
                return Ok(Vec::new());
            }
            Value::Null | Value::Bool(_) | Value::Object(_) => {
                return Err(Malformed::new(format!("prompt[{index}]"), "a string is expected"));
            }
        }
    }
    Ok(texts)
}

/// Writes the request for an upstream that calls the model `model`. A stream always asks for its usage.
///
/// # Errors
/// The request holds something that this dialect has no place for.
pub fn encode_request(request: &CompletionRequest, model: &str) -> Result<Vec<u8>, Uncarried> {
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    let prompt = match request.prompts.as_slice() {
        [one] => one.as_str().into(),
        many => Value::from(many.to_vec()),
    };
    body.insert("prompt".to_owned(), prompt);
    extra::put(&mut body, "suffix", request.suffix.clone());
    if request.echo {
        body.insert("echo".to_owned(), true.into());
    }
    extra::put(&mut body, "max_tokens", request.sampling.max_tokens);
    sampling::encode(&request.sampling, &mut body);
    if request.sampling.logprobs == Some(true) {
        body.insert("logprobs".to_owned(), request.sampling.top_logprobs.unwrap_or(0).into());
    }
    if request.stream {
        body.insert("stream".to_owned(), true.into());
        body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
    }
    extra::put(&mut body, "user", request.user.clone());
    extra::forward(&request.extra, &mut body)?;
    Ok(Value::Object(body).to_string().into_bytes())
}

/// A whole reply or a chunk: they have the same form.
#[derive(Deserialize)]
struct RawReply {
    #[serde(default)]
    model: Loose,
    choices: Option<Vec<RawChoice>>,
    usage: Option<RawUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct RawChoice {
    index: Option<u32>,
    #[serde(default)]
    text: Loose,
    #[serde(default)]
    finish_reason: Loose,
    #[serde(default)]
    stop_reason: Loose,
    logprobs: Option<Value>,
}

impl RawChoice {
    fn given_up(&self) -> Option<&str> {
        self.finish_reason.as_str().filter(|word| usage::is_given_up(word))
    }

    fn finish(&self) -> Option<Finish> {
        let word = self.finish_reason.as_str().filter(|word| !word.is_empty())?;
        Some(usage::finish(word, &self.stop_reason, false))
    }
}

/// Reads an upstream's answer; every choice holds one text.
///
/// # Errors
/// The body is no JSON, has no choices, or is an error under a status of success.
pub fn decode_reply(body: &[u8]) -> Result<ChatReply, Malformed> {
    let raw: RawReply = json::read(body)?;
    if let Some(failure) = chunk::failure(raw.error) {
        return Err(Malformed::new("error", failure.message));
    }
    let choices = raw.choices.unwrap_or_default();
    if choices.is_empty() {
        return Err(Malformed::new("choices", "at least one choice is expected"));
    }
    if let Some(word) = choices.iter().find_map(RawChoice::given_up) {
        return Err(Malformed::new("choices", chunk::given_up(word).message));
    }
    let mut choices: Vec<Choice> = choices
        .into_iter()
        .zip(0_u32..)
        .map(|(raw, position)| Choice {
            index: raw.index.unwrap_or(position),
            finish: raw.finish().unwrap_or(Finish::Stop),
            parts: vec![Part::Text(raw.text.into_text().unwrap_or_default())],
            logprobs: raw.logprobs.filter(|value| !value.is_null()).map(completion_logprobs::neutral),
        })
        .collect();
    choices.sort_by_key(|choice| choice.index);
    Ok(ChatReply {
        model: raw.model.into_text(),
        choices,
        usage: raw.usage.map(|usage| usage.facts()).unwrap_or_default(),
    })
}

/// Writes the answer for a client. `text` is never null; parts that are no text have no place here.
#[must_use]
pub fn encode_reply(reply: &ChatReply, context: &ReplyContext) -> Vec<u8> {
    let choices: Vec<Value> = reply
        .choices
        .iter()
        .map(|choice| {
            json!({
                "index": choice.index,
                "text": choice.parts.iter().filter_map(text_of).collect::<String>(),
                "logprobs": choice.logprobs.as_ref().map(|logprobs| completion_logprobs::lists(logprobs, 0)),
                "finish_reason": usage::finish_word(&choice.finish),
            })
        })
        .collect();
    let mut body = json!({
        "id": format!("cmpl-{}", context.unique),
        "object": "text_completion",
        "created": context.created_ms / 1_000,
        "model": context.model,
        "choices": choices,
    });
    if let Some(counts) = usage::encode(&reply.usage) {
        body["usage"] = counts;
    }
    body.to_string().into_bytes()
}

fn text_of(part: &Part) -> Option<&str> {
    match part {
        Part::Text(text) | Part::Refusal(text) => Some(text),
        Part::Thinking { .. }
        | Part::RedactedThinking(_)
        | Part::ToolCall(_)
        | Part::ToolResult { .. }
        | Part::Image { .. } => None,
    }
}

/// Reads an upstream's stream.
#[derive(Debug, Default)]
pub struct Decoder {
    has_begun: bool,
    has_ended: bool,
    finished: BTreeSet<u32>,
}

impl Decoder {
    /// Takes a frame and appends what it tells to `out`. Frames after the end are passed over.
    ///
    /// # Errors
    /// The frame is no JSON of this dialect, or counts beyond all reason.
    pub fn frame(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if self.has_ended {
            return Ok(());
        }
        match chunk::incoming(frame) {
            Incoming::Nothing => {}
            Incoming::Failed(failure) => {
                self.has_ended = true;
                out.push(Event::Failed(failure));
            }
            Incoming::Done => {
                self.has_ended = true;
                out.push(Event::Done);
            }
            Incoming::Data(data) => self.chunk(json::read(data)?, data, out)?,
        }
        Ok(())
    }

    fn chunk(&mut self, raw: RawReply, data: &[u8], out: &mut Vec<Event>) -> Result<(), Malformed> {
        let is_bare = raw.choices.is_none() && raw.usage.is_none();
        if let Some(failure) = chunk::failure(raw.error).or_else(|| chunk::bare_failure(is_bare, data)) {
            self.has_ended = true;
            out.push(Event::Failed(failure));
            return Ok(());
        }
        if !self.has_begun {
            self.has_begun = true;
            out.push(Event::Start { model: raw.model.into_text() });
        }
        for (raw, position) in raw.choices.unwrap_or_default().into_iter().zip(0_u32..) {
            let choice = chunk::choice(raw.index.unwrap_or(position))?;
            if let Some(word) = raw.given_up() {
                self.has_ended = true;
                out.push(Event::Failed(chunk::given_up(word)));
                return Ok(());
            }
            let finish = raw.finish();
            let logprobs = raw.logprobs.filter(|value| !value.is_null()).map(completion_logprobs::neutral);
            let text = raw.text.into_text();
            if text.is_some() || logprobs.is_some() {
                out.push(Event::Text { choice, text: text.unwrap_or_default(), logprobs });
            }
            let first = finish.filter(|_| self.finished.insert(choice));
            out.extend(first.map(|finish| Event::Finish { choice, finish }));
        }
        let counts = raw.usage.map(|usage| usage.facts());
        out.extend(counts.filter(|counts| *counts != Usage::default()).map(Event::Usage));
        Ok(())
    }
}

/// Writes a stream for a client.
#[derive(Debug)]
pub struct Encoder {
    chunks: ChunkWriter,
    /// Choices that have begun, and the characters written of them.
    seen: BTreeMap<u32, usize>,
    finished: BTreeSet<u32>,
    used: Usage,
    has_ended: bool,
}

impl Encoder {
    /// Begins a stream; nothing is written yet.
    #[must_use]
    pub fn new(context: ReplyContext) -> Self {
        Self {
            chunks: ChunkWriter::new(&context, "cmpl-", "text_completion"),
            seen: BTreeMap::new(),
            finished: BTreeSet::new(),
            used: Usage::default(),
            has_ended: false,
        }
    }

    /// Writes an event. Only texts, finishes and the end have a form here; `Usage` is held back until `Done`.
    pub fn event(&mut self, event: &Event, _elapsed: Duration, out: &mut Vec<u8>) {
        if self.has_ended {
            return;
        }
        match event {
            Event::Text { choice, text, logprobs } => self.text(*choice, text, logprobs.as_ref(), None, out),
            Event::Refusal { choice, text } => self.text(*choice, text, None, None, out),
            Event::Finish { choice, finish } => self.finish(*choice, finish, out),
            Event::Usage(counts) => self.used.update(counts),
            Event::Done => {
                self.seen.entry(0).or_default();
                let open: Vec<u32> =
                    self.seen.keys().filter(|choice| !self.finished.contains(choice)).copied().collect();
                open.into_iter().for_each(|choice| self.finish(choice, &Finish::Stop, out));
                self.has_ended = true;
                self.chunks.end(&self.used, out);
            }
            Event::Start { .. }
            | Event::Thinking { .. }
            | Event::Signature { .. }
            | Event::RedactedThinking { .. }
            | Event::ToolCall { .. }
            | Event::ToolArguments { .. }
            | Event::Failed(_) => {}
        }
    }

    /// Ends the stream with an error event; nothing follows it, not even `[DONE]`.
    pub fn fail(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        if !self.has_ended {
            self.has_ended = true;
            chunk::fail(error, out);
        }
    }

    /// Writes a comment that keeps the connection alive.
    pub fn heartbeat(&mut self, out: &mut Vec<u8>) {
        chunk::heartbeat(out);
    }

    fn finish(&mut self, choice: u32, finish: &Finish, out: &mut Vec<u8>) {
        if self.finished.insert(choice) {
            self.text(choice, "", None, Some(usage::finish_word(finish)), out);
        }
    }

    fn text(&mut self, choice: u32, text: &str, logprobs: Option<&Value>, word: Option<&str>, out: &mut Vec<u8>) {
        let written = self.seen.entry(choice).or_default();
        let logprobs = logprobs.map(|logprobs| completion_logprobs::lists(logprobs, *written));
        *written = written.saturating_add(text.chars().count());
        let rest = |out: &mut Vec<u8>| {
            out.extend_from_slice(b",\"text\":");
            write_string(out, text);
            chunk::member(out, "logprobs", logprobs.as_ref());
            chunk::member(out, "finish_reason", word.map(Value::from).as_ref());
        };
        self.chunks.choice(choice, rest, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn read(text: &str) -> Result<CompletionRequest, Malformed> {
        decode_request(&Object::of(text.as_bytes()).unwrap())
    }

    fn events(stream: &str) -> Vec<Event> {
        let mut frames = Vec::new();
        crate::sse::Reader::default().feed(&Bytes::copy_from_slice(stream.as_bytes()), &mut frames).unwrap();
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        frames.iter().for_each(|frame| decoder.frame(frame, &mut out).unwrap());
        out
    }

    fn context(include_usage: bool) -> ReplyContext {
        ReplyContext { unique: "u".into(), model: "m".into(), created_ms: 5_000, include_usage }
    }

    fn written(events: &[Event], include_usage: bool) -> String {
        let mut encoder = Encoder::new(context(include_usage));
        let mut out = Vec::new();
        events.iter().for_each(|event| encoder.event(event, Duration::ZERO, &mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_request_survives_its_own_dialect() {
        let request = read(
            r#"{"model":"m","prompt":["a","b"],"suffix":"z","echo":true,"max_tokens":5,"logprobs":2,"stop":"x","n":2,
            "best_of":1,"stream":true,"user":"u","top_k":3,"custom":1}"#,
        )
        .unwrap();
        assert_eq!((request.sampling.logprobs, request.sampling.top_logprobs), (Some(true), Some(2)));
        assert_eq!(request.extra.keys().collect::<Vec<_>>(), ["custom"]);
        let body = encode_request(&request, "m").unwrap();
        assert_eq!(read(std::str::from_utf8(&body).unwrap()).unwrap(), request);
        assert_eq!(read(r#"{"model":"m","prompt":"a"}"#).unwrap().prompts, ["a"]);
    }

    #[test]
    fn wrong_requests_are_refused() {
        for (text, at) in [
            (r#"{"model":"m"}"#, "prompt"),
            (r#"{"model":"m","prompt":[]}"#, "prompt"),
            (r#"{"model":"m","prompt":["a",{}]}"#, "prompt[1]"),
            (r#"{"prompt":"a"}"#, "model"),
            (r#"{"model":"m","prompt":"a","logprobs":"x"}"#, "logprobs"),
        ] {
            assert_eq!(read(text).unwrap_err().at, at, "{text}");
        }
        for tokens in ["[1,2]", "[[1],[2]]"] {
            let request = read(&format!(r#"{{"model":"m","prompt":{tokens}}}"#)).unwrap();
            assert_eq!(encode_request(&request, "m").unwrap_err().field, "prompt[0]");
        }
    }

    #[test]
    fn an_answer_survives_its_own_dialect() {
        let body = br#"{"id":"cmpl-1","model":"q","choices":[{"text":"b","index":1,"finish_reason":"length","logprobs":null},
            {"text":null,"index":0,"finish_reason":null,"logprobs":{"tokens":["b"]}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        let reply = decode_reply(body).unwrap();
        assert_eq!(reply.choices[1].parts, [Part::Text("b".into())]);
        assert_eq!(reply.choices[0].finish, Finish::Stop);
        let bytes = encode_reply(&reply, &context(false));
        insta::assert_snapshot!(
            std::str::from_utf8(&bytes).unwrap(),
            @r#"{"id":"cmpl-u","object":"text_completion","created":5,"model":"m","choices":[{"index":0,"text":"","logprobs":{"tokens":["b"]},"finish_reason":"stop"},{"index":1,"text":"b","logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#
        );
        assert_eq!(ChatReply { model: Some("q".into()), ..decode_reply(&bytes).unwrap() }, reply);
        assert_eq!(decode_reply(b"{}").unwrap_err().at, "choices");
    }

    #[test]
    fn streams_go_both_ways() {
        let stream = concat!(
            "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":null}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"text\":\"b\",\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n",
            "data: [DONE]\n\n",
        );
        let got = events(stream);
        assert_eq!(got.len(), 6, "{got:?}");
        let out = written(&got, true);
        insta::assert_snapshot!(out, @r#"
        data: {"id":"cmpl-u","object":"text_completion","created":5,"model":"m","choices":[{"index":0,"text":"a","logprobs":null,"finish_reason":null}],"usage":null}

        data: {"id":"cmpl-u","object":"text_completion","created":5,"model":"m","choices":[{"index":0,"text":"b","logprobs":null,"finish_reason":null}],"usage":null}

        data: {"id":"cmpl-u","object":"text_completion","created":5,"model":"m","choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"length"}],"usage":null}

        data: {"id":"cmpl-u","object":"text_completion","created":5,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}

        data: [DONE]

        "#);
        assert_eq!(events(&out), got);
        assert!(!written(&got, false).contains("usage"));
        assert!(written(&[Event::Done], true).contains(r#""text":"","logprobs":null,"finish_reason":"stop""#));
    }

    #[test]
    fn errors_inside_a_stream() {
        let got = events("data: {\"error\":{\"code\":503,\"message\":\"x\"}}\n\ndata: [DONE]\n\n");
        assert!(matches!(got.as_slice(), [Event::Failed(_)]), "{got:?}");
        let got = events("data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"abort\"}]}\n\ndata: [DONE]\n\n");
        assert!(matches!(got.as_slice(), [Event::Start { .. }, Event::Failed(_)]), "{got:?}");
        assert!(decode_reply(br#"{"choices":[{"text":"a","finish_reason":"abort"}]}"#).is_err());
    }
}
