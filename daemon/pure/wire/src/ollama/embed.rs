//! `POST /api/embed`, and the older `POST /api/embeddings` with one prompt. Upstreams are called with the newer one.

use std::time::Duration;

use domain::usage::Usage;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::embedding::{EmbeddingReply, EmbeddingRequest};
use crate::json::{self, Object};
use crate::malformed::{Malformed, Uncarried};
use crate::members::{self, Members};
use crate::reply::ReplyContext;

use super::chat_request::model;
use super::options;

/// Reads a request of `/api/embed`. `options` are harmless here: they steer how texts are generated.
///
/// # Errors
/// A member is missing or has a wrong type; `input` holds nothing.
pub fn decode(object: &Object) -> Result<EmbeddingRequest, Malformed> {
    let map = members::read_all(object)?;
    let top = Members::top(&map);
    let inputs: Vec<String> = match top.value("input") {
        Some(Value::String(text)) => vec![text.clone()],
        Some(_) => top.texts("input")?.into_iter().map(str::to_owned).collect(),
        None => return Err(top.missing("input")),
    };
    if inputs.is_empty() {
        return Err(Malformed::new("input", "at least one text is required"));
    }
    Ok(EmbeddingRequest {
        model: model(&top)?,
        inputs,
        dimensions: top.count("dimensions")?.filter(|dimensions| *dimensions > 0),
        truncate: top.flag("truncate")?,
        user: None,
        extra: unknown(&map, "input"),
    })
}

/// Reads a request of `/api/embeddings`.
///
/// # Errors
/// A member is missing or has a wrong type.
pub fn decode_legacy(object: &Object) -> Result<EmbeddingRequest, Malformed> {
    let map = members::read_all(object)?;
    let top = Members::top(&map);
    Ok(EmbeddingRequest {
        model: model(&top)?,
        inputs: vec![top.need_text("prompt")?.to_owned()],
        extra: unknown(&map, "prompt"),
        ..EmbeddingRequest::default()
    })
}

fn unknown(map: &Map<String, Value>, input: &str) -> Map<String, Value> {
    const KNOWN: [&str; 6] = ["model", "name", "dimensions", "truncate", "options", "keep_alive"];
    let unknown = map.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()) && *name != input);
    unknown.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Writes a request of `/api/embed`. Ollama cuts texts that are too long unless told otherwise, so a client that knows
/// nothing of it gets an error instead, as with every other server.
///
/// # Errors
/// The request holds something that would change the answer and that Ollama does not know.
pub fn encode(request: &EmbeddingRequest, model: &str) -> Result<Vec<u8>, Uncarried> {
    #[derive(Serialize)]
    struct Body<'a> {
        model: &'a str,
        input: &'a [String],
        truncate: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        dimensions: Option<u64>,
    }
    options::refuse_extra(&request.extra)?;
    let body = Body {
        model,
        input: &request.inputs,
        truncate: request.truncate.unwrap_or(false),
        dimensions: request.dimensions,
    };
    Ok(bytes_of(&body))
}

/// Reads an answer of `/api/embed`, or of `/api/embeddings`.
///
/// # Errors
/// The body is no such answer.
pub fn decode_reply(body: &[u8]) -> Result<EmbeddingReply, Malformed> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        model: Option<String>,
        #[serde(default)]
        embeddings: Option<Vec<Vec<f32>>>,
        #[serde(default)]
        embedding: Option<Vec<f32>>,
        #[serde(default)]
        prompt_eval_count: Option<u64>,
    }
    let body: Body = json::read(body)?;
    let vectors = body.embeddings.or_else(|| body.embedding.map(|vector| vec![vector]));
    Ok(EmbeddingReply {
        model: body.model,
        vectors: vectors.ok_or_else(|| Malformed::new("embeddings", "this member is required"))?,
        usage: Usage { input: body.prompt_eval_count, ..Usage::default() },
    })
}

/// Tokens that an answer of either path tells which is passed on as it came.
///
/// # Errors
/// The body is no such answer.
pub fn usage(body: &[u8]) -> Result<Usage, Malformed> {
    #[derive(Deserialize)]
    struct Peek {
        embeddings: Option<IgnoredAny>,
        embedding: Option<IgnoredAny>,
        prompt_eval_count: Option<u64>,
    }
    let peek: Peek = json::read(body)?;
    peek.embeddings.or(peek.embedding).ok_or_else(|| Malformed::new("embeddings", "this member is required"))?;
    Ok(Usage { input: peek.prompt_eval_count, ..Usage::default() })
}

/// Writes an answer of `/api/embed`. `elapsed` is the time since the request came.
#[must_use]
pub fn encode_reply(reply: &EmbeddingReply, context: &ReplyContext, elapsed: Duration) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        model: &'a str,
        embeddings: &'a [Vec<f32>],
        total_duration: u64,
        load_duration: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        prompt_eval_count: Option<u64>,
    }
    bytes_of(&Body {
        model: &context.model,
        embeddings: &reply.vectors,
        total_duration: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX),
        load_duration: 0,
        prompt_eval_count: reply.usage.input,
    })
}

/// Writes an answer of `/api/embeddings`: the first vector.
#[must_use]
pub fn encode_reply_legacy(reply: &EmbeddingReply) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        embedding: &'a [f32],
    }
    bytes_of(&Body { embedding: reply.vectors.first().map_or(&[], Vec::as_slice) })
}

/// Texts and numbers always serialise.
fn bytes_of(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with<T>(body: &Value, read: impl Fn(&Object) -> T) -> T {
        let text = body.to_string();
        read(&Object::of(text.as_bytes()).unwrap())
    }

    fn json_of(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn requests_both_ways() {
        let body = json!({"model": "m", "input": ["a", "b"], "truncate": true, "dimensions": 256});
        let request = with(&body, decode).unwrap();
        assert_eq!(json_of(&encode(&request, "m").unwrap()), body);

        let one = json!({"model": "m:latest", "input": "a", "keep_alive": "5m", "options": {"num_ctx": 2048}});
        let request = with(&one, decode).unwrap();
        assert_eq!((request.inputs.as_slice(), request.extra.len()), (&["a".to_owned()][..], 0));
        assert_eq!(
            json_of(&encode(&request, "up").unwrap()),
            json!({"model": "up", "input": ["a"], "truncate": false})
        );

        let old = with(&json!({"model": "m", "prompt": "a"}), decode_legacy).unwrap();
        assert_eq!(old.inputs, ["a"]);
    }

    #[test]
    fn wrong_requests_are_named() {
        for (body, at) in [
            (json!({"model": "m"}), "input"),
            (json!({"model": "m", "input": []}), "input"),
            (json!({"model": "m", "input": ["a", 1]}), "input[1]"),
            (json!({"model": "m", "input": {"a": 1}}), "input"),
            (json!({"input": "a"}), "model"),
        ] {
            assert_eq!(with(&body, decode).unwrap_err().at, at, "{body}");
        }
        assert_eq!(with(&json!({"model": "m"}), decode_legacy).unwrap_err().at, "prompt");
        let odd = with(&json!({"model": "m", "input": "a", "task": "query"}), decode).unwrap();
        assert_eq!(encode(&odd, "m").unwrap_err().field, "task");
    }

    #[test]
    fn answers_both_ways() {
        let body = json!({"model": "m", "embeddings": [[0.5, -1.0], [0.25, 2.0]], "total_duration": 7, "load_duration": 0,
            "prompt_eval_count": 8});
        let reply = decode_reply(body.to_string().as_bytes()).unwrap();
        let context =
            ReplyContext { unique: "x".to_owned(), model: "m".to_owned(), created_ms: 0, include_usage: false };
        assert_eq!(json_of(&encode_reply(&reply, &context, Duration::from_nanos(7))), body);
        assert_eq!(json_of(&encode_reply_legacy(&reply)), json!({"embedding": [0.5, -1.0]}));
        assert_eq!(decode_reply(br#"{"embedding":[1]}"#).unwrap().vectors, [[1.0]]);
        assert_eq!(decode_reply(br#"{"model":"m"}"#).unwrap_err().at, "embeddings");
    }
}
