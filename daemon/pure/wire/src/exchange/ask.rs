//! What a client asks, read no further than its route needs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::cache::Directives;
use domain::route::Wish;
use domain::surface::{Surface, Task};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::look::{Look, look};
use super::provider;
use crate::embedding::VectorEncoding;
use crate::json::Object;
use crate::malformed::Malformed;
use crate::ollama::{self, Form, Load};

/// A request's body: its top level, and what the route depends on.
#[derive(Debug)]
pub struct Ask {
    /// The surface that was called; finer than the path, see [`Surface::OllamaGenerateRaw`].
    pub near: Surface,
    /// The models to try.
    pub wish: Arc<Wish>,
    /// Whether the answer is wanted in pieces.
    pub stream: bool,
    /// Whether a stream shall tell usage (OpenAI's `stream_options.include_usage`; others always do).
    pub include_usage: bool,
    /// How vectors shall be written.
    pub vectors: VectorEncoding,
    /// The first place shall fail (LiteLLM's `mock_testing_fallbacks`). The member itself never goes on.
    pub mock_fallbacks: bool,
    /// What LiteLLM's `cache` says about kept answers. The member itself never goes on.
    pub cache: Directives,
    pub(super) object: Object,
}

/// Longest name of a model, which may be a list of some with commas between: errors and logs repeat it.
const NAME_BYTES_MAX: usize = 4_096;

/// Most names in `models`.
const MODELS_MAX: usize = 16;

/// The member that makes the first place fail.
const MOCK_FALLBACKS: &str = "mock_testing_fallbacks";

/// LiteLLM's member about kept answers.
const CACHE: &str = "cache";

/// Longest namespace of kept answers: it is part of a key, never shown.
const NAMESPACE_BYTES_MAX: usize = 256;

impl Ask {
    /// Reads a body that came on `surface`.
    ///
    /// # Errors
    /// The body is no JSON object, or a member that every server needs is missing or of another type.
    pub fn read(surface: Surface, body: &Bytes) -> Result<Self, Malformed> {
        let mut object = Object::parse(body)?;
        let mock_fallbacks = object.get(MOCK_FALLBACKS)?.unwrap_or(false);
        object.remove(MOCK_FALLBACKS);
        let cache = cache(&mut object)?;
        let near = match surface {
            Surface::OllamaGenerate if ollama::generate::is_raw(&object) => Surface::OllamaGenerateRaw,
            other => other,
        };
        check_required(near, &object)?;
        let stream = match near {
            Surface::OllamaChat | Surface::OllamaGenerate | Surface::OllamaGenerateRaw => {
                object.get("stream")?.unwrap_or(true)
            }
            _ if matches!(near.task(), Task::Embedding | Task::TokenCount) => false,
            _ => object.get("stream")?.unwrap_or(false),
        };
        let vectors = match object.get::<String>("encoding_format")?.as_deref() {
            Some("base64") => VectorEncoding::Base64,
            _ => VectorEncoding::Float,
        };
        Ok(Self {
            near,
            wish: Arc::new(Wish { stream, ..wish(&object)? }),
            stream,
            include_usage: include_usage(&object)?,
            vectors,
            mock_fallbacks,
            cache,
            object,
        })
    }

    /// Ollama's requests without a prompt ask for a model to be loaded or unloaded.
    #[must_use]
    pub fn load(&self) -> Option<Load> {
        ollama::is_load_request(&self.object, self.ollama_form()?)
    }

    pub(super) const fn ollama_form(&self) -> Option<Form> {
        match self.near {
            Surface::OllamaChat => Some(Form::Chat),
            Surface::OllamaGenerate | Surface::OllamaGenerateRaw => Some(Form::Generate),
            _ => None,
        }
    }

    /// The name of the model the client asked for first.
    #[must_use]
    pub fn model(&self) -> &str {
        self.wish.models.first().map_or("", String::as_str)
    }
}

/// LiteLLM's wishes about kept answers, which go no further.
fn cache(object: &mut Object) -> Result<Directives, Malformed> {
    #[derive(Deserialize)]
    struct Wishes {
        #[serde(default, rename = "no-store")]
        no_store: bool,
        #[serde(default, rename = "no-cache")]
        no_cache: bool,
        #[serde(default, rename = "use-cache")]
        use_cache: bool,
        #[serde(rename = "s-maxage")]
        max_age: Option<u64>,
        ttl: Option<u64>,
        namespace: Option<String>,
    }
    // Anything but an object is meant for whoever comes behind.
    if !object.raw(CACHE).is_some_and(|raw| raw.starts_with('{')) {
        return Ok(Directives::default());
    }
    let wishes: Wishes = object.need(CACHE)?;
    object.remove(CACHE);
    if wishes.namespace.as_ref().is_some_and(|namespace| namespace.len() > NAMESPACE_BYTES_MAX) {
        return Err(Malformed::new("cache.namespace", format!("is longer than {NAMESPACE_BYTES_MAX} bytes")));
    }
    Ok(Directives {
        no_store: wishes.no_store,
        no_cache: wishes.no_cache,
        is_wanted: wishes.use_cache,
        max_age: wishes.max_age.map(Duration::from_secs),
        ttl: wishes.ttl.map(Duration::from_secs),
        namespace: wishes.namespace,
        ..Directives::default()
    })
}

/// What the route depends on.
fn wish(object: &Object) -> Result<Wish, Malformed> {
    let Look { prompt_tokens, needs, tool_loop, prefix } = look(object);
    Ok(Wish {
        models: models(object)?,
        prompt_tokens,
        output_tokens_max: output_tokens_max(object),
        needs,
        tool_loop,
        provider: provider::read(object)?,
        prefix,
        ..Wish::default()
    })
}

/// The longest answer that the client wants, under the names that the dialects have for it.
fn output_tokens_max(object: &Object) -> Option<u64> {
    #[derive(Deserialize)]
    struct Options {
        num_predict: Option<i64>,
    }
    for name in ["max_completion_tokens", "max_output_tokens", "max_tokens"] {
        if object.raw(name).is_some() {
            // What is no count is the business of whoever reads the rest.
            return object.get::<u64>(name).ok().flatten();
        }
    }
    let options = object.get::<Options>("options").ok().flatten();
    options.and_then(|options| u64::try_from(options.num_predict?).ok())
}

/// The `model`, then OpenRouter's `models`, without repetition.
fn models(object: &Object) -> Result<Vec<String>, Malformed> {
    let first = match object.get::<String>("model")? {
        Some(model) => Some(model),
        None if object.raw("messages").is_none() || object.raw("model").is_none() => object.get::<String>("name")?,
        None => None,
    };
    let mut models: Vec<String> = Vec::new();
    let more = object.get::<Vec<String>>("models")?.unwrap_or_default();
    if more.len() > MODELS_MAX {
        return Err(Malformed::new("models", format!("holds more than {MODELS_MAX} names")));
    }
    for name in first.into_iter().chain(more) {
        if name.len() > NAME_BYTES_MAX {
            return Err(Malformed::new(
                "model",
                format!("is longer than {NAME_BYTES_MAX} bytes: no model has such a name"),
            ));
        }
        if !name.is_empty() && !models.contains(&name) {
            models.push(name);
        }
    }
    if models.is_empty() {
        return Err(Malformed::new("model", "this member is required: the name of a model, see GET /v1/models"));
    }
    Ok(models)
}

/// Refuses what some upstreams answer with nonsense instead of an error.
fn check_required(near: Surface, object: &Object) -> Result<(), Malformed> {
    match near {
        Surface::OpenaiChat | Surface::AnthropicMessages | Surface::AnthropicCountTokens => {
            check_messages(object)?;
            if near == Surface::AnthropicMessages && object.need::<u64>("max_tokens")? == 0 {
                return Err(Malformed::new("max_tokens", "must be at least 1"));
            }
        }
        Surface::OpenaiResponses => {
            if object.get::<String>("previous_response_id")?.is_some() {
                return Err(Malformed::new(
                    "previous_response_id",
                    "Airlane does not keep responses: send the whole conversation in `input`",
                ));
            }
            object.need::<IgnoredAny>("input")?;
        }
        Surface::OpenaiCompletions => drop(object.need::<IgnoredAny>("prompt")?),
        Surface::OpenaiEmbeddings | Surface::OllamaEmbed => drop(object.need::<IgnoredAny>("input")?),
        Surface::OllamaEmbeddings => drop(object.need::<String>("prompt")?),
        // Empty messages and prompts load a model.
        Surface::OllamaChat => drop(object.get::<Vec<Json>>("messages")?),
        Surface::OllamaGenerate | Surface::OllamaGenerateRaw => drop(object.get::<String>("prompt")?),
    }
    Ok(())
}

/// Wants a list that begins with an object. The body is JSON already, so that its first characters tell; reading a long
/// conversation a second time would double the work.
fn check_messages(object: &Object) -> Result<(), Malformed> {
    let first = object.raw("messages").and_then(|list| list.strip_prefix('['));
    if first.is_some_and(|rest| rest.trim_start().starts_with('{')) {
        return Ok(());
    }
    let messages = object.need::<Vec<Json>>("messages")?;
    if messages.is_empty() { Err(Malformed::new("messages", "holds no message")) } else { Ok(()) }
}

/// An object whose content does not matter here.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Json {}

fn include_usage(object: &Object) -> Result<bool, Malformed> {
    #[derive(Deserialize)]
    struct StreamOptions {
        include_usage: Option<bool>,
    }
    let options = object.get::<StreamOptions>("stream_options")?;
    Ok(options.and_then(|options| options.include_usage).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(surface: Surface, body: &'static str) -> Result<Ask, Malformed> {
        Ask::read(surface, &Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn what_the_route_needs() {
        let body = r#"{"model":"a","models":["b","a"],"messages":[{"role":"user","content":"x"}],"stream":true,
            "stream_options":{"include_usage":true}}"#;
        let ask = read(Surface::OpenaiChat, body).unwrap();
        assert_eq!(ask.wish.models, ["a", "b"]);
        assert!(ask.stream && ask.wish.stream && ask.include_usage);

        let ask = read(Surface::OllamaGenerate, r#"{"name":"q","prompt":"x","raw":true}"#).unwrap();
        assert_eq!((ask.near, ask.stream, ask.model()), (Surface::OllamaGenerateRaw, true, "q"));
    }

    #[test]
    fn the_wish_for_a_failure_stays_here() {
        for (member, want) in [("true", true), ("false", false), ("null", false)] {
            let body = format!(r#"{{"model":"a","mock_testing_fallbacks":{member},"messages":[{{"role":"user"}}]}}"#);
            let ask = Ask::read(Surface::OpenaiChat, &Bytes::from(body)).unwrap();
            assert_eq!(ask.mock_fallbacks, want, "{member}");
            let sent = ask.outgoing(Surface::OpenaiChat, "b", "gpu-box").unwrap();
            assert_eq!(String::from_utf8_lossy(&sent), r#"{"model":"b","messages":[{"role":"user"}]}"#);
        }
        let error = read(Surface::OpenaiChat, r#"{"model":"a","mock_testing_fallbacks":1,"messages":[{}]}"#);
        assert!(error.expect_err("no boolean").to_string().starts_with("mock_testing_fallbacks: invalid type"));
    }

    #[test]
    fn wishes_about_kept_answers_stay_here() {
        let body = r#"{"model":"a","cache":{"no-cache":true,"ttl":60,"s-maxage":9,"namespace":"n","use-cache":true},"messages":[{}]}"#;
        let ask = read(Surface::OpenaiChat, body).unwrap();
        let want = Directives {
            no_cache: true,
            is_wanted: true,
            ttl: Some(Duration::from_secs(60)),
            max_age: Some(Duration::from_secs(9)),
            namespace: Some("n".to_owned()),
            ..Directives::default()
        };
        assert_eq!(ask.cache, want);
        let sent = ask.outgoing(Surface::OpenaiChat, "a", "gpu-box").unwrap();
        assert_eq!(String::from_utf8_lossy(&sent), r#"{"model":"a","messages":[{}]}"#);

        let ask = read(Surface::OpenaiChat, r#"{"model":"a","cache":true,"messages":[{}]}"#).unwrap();
        assert_eq!(ask.cache, Directives::default());
        assert!(String::from_utf8_lossy(&ask.canonical()).contains("cache"), "it may change the answer");
        let error = read(Surface::OpenaiChat, r#"{"model":"a","cache":{"ttl":"1h"},"messages":[{}]}"#);
        assert!(error.unwrap_err().to_string().starts_with("cache: invalid type"));
        let long = format!(r#"{{"model":"a","cache":{{"namespace":"{}"}},"messages":[{{}}]}}"#, "n".repeat(257));
        assert!(Ask::read(Surface::OpenaiChat, &long.into()).is_err());
    }

    #[test]
    fn names_are_bounded() {
        for (length, is_read) in [(NAME_BYTES_MAX, true), (NAME_BYTES_MAX + 1, false)] {
            let name = "m".repeat(length);
            for model in [format!(r#""model":"{name}""#), format!(r#""model":"a","models":["{name}"]"#)] {
                let body = format!(r#"{{{model},"messages":[{{}}]}}"#);
                assert_eq!(Ask::read(Surface::OpenaiChat, &body.into()).is_ok(), is_read, "{length}");
            }
        }
    }

    #[test]
    fn what_breaks_upstreams_is_refused_here() {
        for (surface, body, want) in [
            (Surface::OpenaiChat, r#"{"model":"a","messages":[]}"#, "messages: holds no message"),
            (Surface::OpenaiChat, r#"{"model":"a"}"#, "messages: this member is required"),
            (Surface::OpenaiChat, r#"{"messages":[{}]}"#, "model: this member is required"),
            (Surface::OpenaiChat, r#"{"model":3,"messages":[{}]}"#, "model: invalid type"),
            (Surface::OpenaiChat, r#"{"model":"a","messages":[1]}"#, "messages: invalid type"),
            (Surface::AnthropicMessages, r#"{"model":"a","messages":[{}]}"#, "max_tokens: this member is required"),
            (
                Surface::OpenaiResponses,
                r#"{"model":"a","input":"x","previous_response_id":"r"}"#,
                "previous_response_id:",
            ),
            (Surface::OpenaiCompletions, r#"{"model":"a"}"#, "prompt: this member is required"),
            (Surface::OpenaiEmbeddings, r#"{"model":"a","input":null}"#, "input: this member is required"),
            (Surface::OllamaEmbeddings, r#"{"model":"a"}"#, "prompt: this member is required"),
        ] {
            let error = read(surface, body).expect_err(body).to_string();
            assert!(error.starts_with(want), "{body}: {error}");
        }
    }
}
