//! `POST /v1/embeddings`: vectors as numbers, or as base64 of their bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::usage::Usage;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::chunk;
use super::extra;
use super::loose::Loose;
use super::usage::RawUsage;
use crate::embedding::{EmbeddingReply, EmbeddingRequest, VectorEncoding};
use crate::json::{self, Object};
use crate::malformed::{Malformed, Uncarried};

const MEMBERS: [&str; 5] = ["model", "input", "dimensions", "encoding_format", "user"];

/// Reads a client's request, and how it wants its vectors. An input of token numbers goes to `extra` as `input[0]`:
/// numbers mean something else to every model.
///
/// # Errors
/// A required member is missing or a member has a wrong type; the path is given.
pub fn decode(object: &Object) -> Result<(EmbeddingRequest, VectorEncoding), Malformed> {
    let mut extra = extra::collect(object, &MEMBERS)?;
    let encoding = match object.get::<String>("encoding_format")?.as_deref() {
        None | Some("float") => VectorEncoding::Float,
        Some("base64") => VectorEncoding::Base64,
        Some(_) => return Err(Malformed::new("encoding_format", "float or base64 is expected")),
    };
    let request = EmbeddingRequest {
        model: object.need("model")?,
        inputs: inputs(object.need("input")?, &mut extra)?,
        dimensions: object.get("dimensions")?,
        truncate: None,
        user: object.get("user")?,
        extra,
    };
    Ok((request, encoding))
}

fn inputs(input: Value, extra: &mut Map<String, Value>) -> Result<Vec<String>, Malformed> {
    let items = match input {
        Value::String(text) => return Ok(vec![text]),
        Value::Array(items) if !items.is_empty() => items,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            return Err(Malformed::new("input", "a string or an array of at least one string is expected"));
        }
    };
    let mut texts = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Value::String(text) => texts.push(text),
            Value::Number(_) | Value::Array(_) => {
                extra.insert("input[0]".to_owned(), item);
                return Ok(Vec::new());
            }
            Value::Null | Value::Bool(_) | Value::Object(_) => {
                return Err(Malformed::new(format!("input[{index}]"), "a string is expected"));
            }
        }
    }
    Ok(texts)
}

/// Writes the request for an upstream that calls the model `model`. Numbers are asked for: every server knows them.
///
/// `truncate` is not written: servers of this dialect refuse texts that are too long, which is what `false` asks for,
/// and for `true` an error in place of a cut text.
///
/// # Errors
/// The request holds something that this dialect has no place for.
pub fn encode(request: &EmbeddingRequest, model: &str) -> Result<Vec<u8>, Uncarried> {
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    let input = match request.inputs.as_slice() {
        [one] => one.as_str().into(),
        many => Value::from(many.to_vec()),
    };
    body.insert("input".to_owned(), input);
    body.insert("encoding_format".to_owned(), "float".into());
    extra::put(&mut body, "dimensions", request.dimensions);
    extra::put(&mut body, "user", request.user.clone());
    extra::forward(&request.extra, &mut body)?;
    Ok(Value::Object(body).to_string().into_bytes())
}

#[derive(Deserialize)]
struct RawReply {
    #[serde(default)]
    model: Loose,
    data: Option<Vec<RawItem>>,
    usage: Option<RawUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct RawItem {
    index: Option<usize>,
    embedding: RawVector,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawVector {
    Numbers(Vec<f32>),
    Base64(String),
    /// llama.cpp without pooling: one vector a token. With a single one it is the vector.
    Nested(Vec<Vec<f32>>),
}

/// Reads an upstream's answer, with vectors as numbers or base64.
///
/// # Errors
/// The body is no JSON, is an error under a status of success, or holds something else than one vector an input.
pub fn decode_reply(body: &[u8]) -> Result<EmbeddingReply, Malformed> {
    let raw: RawReply = json::read(body)?;
    if let Some(failure) = chunk::failure(raw.error) {
        return Err(Malformed::new("error", failure.message));
    }
    let items = raw.data.ok_or_else(|| Malformed::new("data", "this member is required"))?;
    let mut vectors = Vec::with_capacity(items.len());
    for (position, item) in items.into_iter().enumerate() {
        let at = format!("data[{position}].embedding");
        vectors.push((item.index.unwrap_or(position), vector(item.embedding, &at)?));
    }
    vectors.sort_by_key(|(index, _)| *index);
    if vectors.iter().enumerate().any(|(position, (index, _))| position != *index) {
        return Err(Malformed::new("data", "one vector for every input is expected"));
    }
    let usage = raw.usage.map(|usage| usage.facts()).unwrap_or_default();
    Ok(EmbeddingReply {
        model: raw.model.into_text(),
        vectors: vectors.into_iter().map(|(_, vector)| vector).collect(),
        usage: Usage { input: usage.input, ..Usage::default() },
    })
}

/// Tokens that an answer tells which is passed on as it came, whatever its vectors are.
///
/// # Errors
/// The body is no embeddings answer.
pub fn usage(body: &[u8]) -> Result<Usage, Malformed> {
    #[derive(Deserialize)]
    struct Peek {
        data: Option<IgnoredAny>,
        usage: Option<RawUsage>,
    }
    let peek: Peek = json::read(body)?;
    peek.data.ok_or_else(|| Malformed::new("data", "this member is required"))?;
    Ok(Usage { input: peek.usage.and_then(|usage| usage.facts().input), ..Usage::default() })
}

fn vector(raw: RawVector, at: &str) -> Result<Vec<f32>, Malformed> {
    match raw {
        RawVector::Numbers(numbers) => Ok(numbers),
        RawVector::Base64(text) => from_base64(&text, at),
        RawVector::Nested(mut rows) => match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            _ => Err(Malformed::new(at, "one vector is expected, not one a token")),
        },
    }
}

fn from_base64(text: &str, at: &str) -> Result<Vec<f32>, Malformed> {
    let bytes = STANDARD.decode(text).map_err(|_| Malformed::new(at, "base64 is expected"))?;
    let (floats, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Malformed::new(at, "a whole number of 32-bit floats is expected"));
    }
    Ok(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

fn as_base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

#[derive(Serialize)]
struct Reply<'a> {
    object: &'static str,
    data: Vec<Item<'a>>,
    model: &'a str,
    usage: Counts,
}

#[derive(Serialize)]
struct Item<'a> {
    object: &'static str,
    index: usize,
    embedding: Vector<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    Numbers(&'a [f32]),
    Base64(String),
}

#[derive(Serialize)]
struct Counts {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// Writes the answer for a client that asked for the model `model`. Usage is required here: unknown counts are zero.
#[must_use]
pub fn encode_reply(reply: &EmbeddingReply, encoding: VectorEncoding, model: &str) -> Vec<u8> {
    let data = reply.vectors.iter().enumerate().map(|(index, vector)| Item {
        object: "embedding",
        index,
        embedding: match encoding {
            VectorEncoding::Float => Vector::Numbers(vector),
            VectorEncoding::Base64 => Vector::Base64(as_base64(vector)),
        },
    });
    let tokens = reply.usage.input.unwrap_or(0);
    let usage = Counts { prompt_tokens: tokens, total_tokens: tokens };
    // Texts and numbers always serialise into memory.
    serde_json::to_vec(&Reply { object: "list", data: data.collect(), model, usage }).unwrap_or_default()
}

/// Turns the vectors of an upstream's whole answer from numbers into base64 and keeps all else as it came: for clients
/// that asked for base64 and upstreams that only know numbers. `None` means that no vector is written in numbers.
///
/// # Errors
/// The body is no embeddings answer.
pub fn to_base64(body: &Bytes) -> Result<Option<Vec<u8>>, Malformed> {
    let mut object = Object::parse(body)?;
    let raw = object.raw("data").ok_or_else(|| Malformed::new("data", "this member is required"))?;
    let items: Vec<&RawValue> =
        serde_json::from_str(raw).map_err(|_| Malformed::new("data", "an array is expected"))?;
    let mut written = Vec::with_capacity(items.len());
    let mut has_changed = false;
    for (position, item) in items.into_iter().enumerate() {
        let at = format!("data[{position}].embedding");
        let mut item = Object::parse(&Bytes::copy_from_slice(item.get().as_bytes()))
            .map_err(|error| Malformed::new(&at, error.expected))?;
        if !item.raw("embedding").is_some_and(|raw| raw.starts_with('"')) {
            let raw: RawVector = item.need("embedding").map_err(|error| Malformed::new(&at, error.expected))?;
            item.set("embedding", &as_base64(&vector(raw, &at)?));
            has_changed = true;
        }
        let text =
            String::from_utf8(item.to_bytes().into()).map_err(|_| Malformed::new(&at, "the item is not UTF-8"))?;
        written.push(RawValue::from_string(text).map_err(|error| Malformed::new(&at, error.to_string()))?);
    }
    if !has_changed {
        return Ok(None);
    }
    object.set("data", &written);
    Ok(Some(object.to_bytes().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_base64(body: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        super::to_base64(&Bytes::copy_from_slice(body))
    }

    fn read(text: &str) -> Result<(EmbeddingRequest, VectorEncoding), Malformed> {
        decode(&Object::of(text.as_bytes()).unwrap())
    }

    #[test]
    fn requests_are_read() {
        let (request, encoding) =
            read(r#"{"model":"m","input":["a","b"],"encoding_format":"base64","dimensions":8,"user":"u","x":1}"#)
                .unwrap();
        assert_eq!((request.inputs.len(), request.dimensions, encoding), (2, Some(8), VectorEncoding::Base64));
        assert!(request.extra.contains_key("x"));
        let body = encode(&request, "up").unwrap();
        let (again, encoding) = decode(&Object::of(&body).unwrap()).unwrap();
        assert_eq!((again.model.as_str(), encoding), ("up", VectorEncoding::Float));
        assert_eq!(EmbeddingRequest { model: "m".into(), ..again }, request);
        assert_eq!(read(r#"{"model":"m","input":"a"}"#).unwrap().0.inputs, ["a"]);
    }

    #[test]
    fn wrong_requests_are_refused() {
        for (text, at) in [
            (r#"{"model":"m"}"#, "input"),
            (r#"{"input":"a"}"#, "model"),
            (r#"{"model":"m","input":[]}"#, "input"),
            (r#"{"model":"m","input":{}}"#, "input"),
            (r#"{"model":"m","input":["a",null]}"#, "input[1]"),
            (r#"{"model":"m","input":"a","encoding_format":"int8"}"#, "encoding_format"),
        ] {
            assert_eq!(read(text).unwrap_err().at, at, "{text}");
        }
        for tokens in ["[1,2]", "[[1],[2]]"] {
            let (request, _) = read(&format!(r#"{{"model":"m","input":{tokens}}}"#)).unwrap();
            assert_eq!(encode(&request, "m").unwrap_err().field, "input[0]");
        }
    }

    #[test]
    fn answers_are_read_in_any_order_and_form() {
        let reply = decode_reply(
            br#"{"object":"list","model":"e","data":[{"index":1,"embedding":[0.5,-1]},{"index":0,"embedding":"AACAPwAAAEA="}],
            "usage":{"prompt_tokens":4,"total_tokens":4}}"#,
        )
        .unwrap();
        assert_eq!(reply.vectors, [[1.0, 2.0], [0.5, -1.0]]);
        assert_eq!(reply.usage.input, Some(4));
        let nested = decode_reply(br#"{"data":[{"embedding":[[1.0]]}]}"#).unwrap();
        assert_eq!(nested.vectors, [[1.0]]);
        for (text, at) in [
            (r#"{"data":[{"index":1,"embedding":[1]}]}"#, "data"),
            (r#"{"data":[{"embedding":"AAA="}]}"#, "data[0].embedding"),
            (r#"{"data":[{"embedding":[[1],[2]]}]}"#, "data[0].embedding"),
            (r#"{"error":{"message":"x"}}"#, "error"),
            ("{}", "data"),
        ] {
            assert_eq!(decode_reply(text.as_bytes()).unwrap_err().at, at, "{text}");
        }
    }

    #[test]
    fn what_is_passed_on_may_hold_any_vectors() {
        let body = br#"{"data":[{"embedding":[[1],[2]]},{"embedding":{"int8":[1]}}],"usage":{"prompt_tokens":4}}"#;
        assert_eq!(usage(body).unwrap().input, Some(4));
        assert_eq!(usage(br#"{"data":[]}"#).unwrap(), Usage::default());
        assert_eq!(usage(b"{}").unwrap_err().at, "data");
    }

    #[test]
    fn a_whole_answer_is_turned_into_base64() {
        let body = br#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,2.0]}],"model":"e","x":1.50}"#;
        insta::assert_snapshot!(
            String::from_utf8(to_base64(body).unwrap().unwrap()).unwrap(),
            @r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAEA="}],"model":"e","x":1.50}"#
        );
        assert_eq!(to_base64(&to_base64(body).unwrap().unwrap()), Ok(None));
        assert_eq!(to_base64(br#"{"data":[{"embedding":["x"]}]}"#).unwrap_err().at, "data[0].embedding");
        assert_eq!(to_base64(b"{}").unwrap_err().at, "data");
    }

    proptest! {
        #[test]
        fn vectors_survive_both_encodings(
            vectors in proptest::collection::vec(proptest::collection::vec(-1e6_f32..1e6, 0..5), 1..4),
            tokens in 0_u64..1_000_000,
        ) {
            let usage = Usage { input: Some(tokens), ..Usage::default() };
            let reply = EmbeddingReply { model: Some("m".into()), vectors, usage };
            let floats = encode_reply(&reply, VectorEncoding::Float, "m");
            prop_assert_eq!(&decode_reply(&floats).unwrap(), &reply);
            let base64 = encode_reply(&reply, VectorEncoding::Base64, "m");
            prop_assert_eq!(&decode_reply(&base64).unwrap(), &reply);
            prop_assert_eq!(to_base64(&floats).unwrap(), Some(base64));
        }
    }
}
