//! Frames of a stream: what chat and legacy completions share.

use domain::usage::Usage;
use serde_json::Value;

use super::{error, usage};
use crate::failure::{ErrorBody, UpstreamFailure};
use crate::json::write_string;
use crate::malformed::Malformed;
use crate::reply::ReplyContext;
use crate::sse::Frame;

/// Most alternatives of an answer followed in a stream; OpenAI allows 128.
pub(super) const CHOICES_MAX: u32 = 128;

/// What a frame of an upstream is, before its members are looked at.
pub(super) enum Incoming<'f> {
    /// A comment, or nothing of interest.
    Nothing,
    /// `[DONE]`
    Done,
    /// JSON.
    Data(&'f [u8]),
    /// An error beside the protocol.
    Failed(UpstreamFailure),
}

/// Looks at a frame.
pub(super) fn incoming(frame: &Frame) -> Incoming<'_> {
    let Some(data) = &frame.data else {
        // llama.cpp before 2026 sent its errors as a field of its own.
        return match frame.raw.strip_prefix(b"error:") {
            Some(body) => Incoming::Failed(error::decode(200, body.trim_ascii())),
            None => Incoming::Nothing,
        };
    };
    match data.trim_ascii() {
        b"" => Incoming::Nothing,
        b"[DONE]" => Incoming::Done,
        text if frame.event == "error" => Incoming::Failed(error::decode(200, text)),
        text => Incoming::Data(text),
    }
}

/// The error that a chunk holds, if it holds one.
pub(super) fn failure(chunk_error: Option<Value>) -> Option<UpstreamFailure> {
    let value = chunk_error.filter(|value| !value.is_null())?;
    let wrapped = serde_json::json!({ "error": value });
    Some(error::of_value(200, &wrapped).unwrap_or_else(unexplained))
}

/// The failure of an answer that ended with a word of [`usage::is_given_up`].
pub(super) fn given_up(word: &str) -> UpstreamFailure {
    let message = format!("it gave the answer up (finish_reason {word:?})");
    UpstreamFailure::new(crate::failure::FailureKind::Upstream, &message)
}

/// A failure that its upstream says nothing about.
pub(super) fn unexplained() -> UpstreamFailure {
    UpstreamFailure::new(crate::failure::FailureKind::Upstream, "an error without a text")
}

/// Refuses a choice beyond [`CHOICES_MAX`].
pub(super) fn choice(index: u32) -> Result<u32, Malformed> {
    if index < CHOICES_MAX {
        return Ok(index);
    }
    Err(Malformed::new("choices", format!("an index below {CHOICES_MAX} is expected, not {index}")))
}

/// Writes chunks that all have the same id, time and model.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    /// Everything of a chunk up to its choices.
    head: Vec<u8>,
    /// Everything after the choices.
    tail: &'static [u8],
    wants_usage: bool,
}

impl ChunkWriter {
    /// Prepares chunks of the type `object` with ids that begin with `prefix`.
    pub(super) fn new(context: &ReplyContext, prefix: &str, object: &str) -> Self {
        let mut head = Vec::with_capacity(160);
        head.extend_from_slice(b"data: {\"id\":");
        write_string(&mut head, &format!("{prefix}{}", context.unique));
        head.extend_from_slice(
            format!(",\"object\":\"{object}\",\"created\":{},\"model\":", context.created_ms / 1_000).as_bytes(),
        );
        write_string(&mut head, &context.model);
        head.extend_from_slice(b",\"choices\":[");
        // OpenAI writes a null in every chunk but the last when usage is asked for.
        let tail: &[u8] = if context.include_usage { b"],\"usage\":null}\n\n" } else { b"]}\n\n" };
        Self { head, tail, wants_usage: context.include_usage }
    }

    /// Writes a chunk with one choice; `members` are its members after `index`.
    pub(super) fn choice(&self, index: u32, members: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(format!("{{\"index\":{index}").as_bytes());
        members(out);
        out.push(b'}');
        out.extend_from_slice(self.tail);
    }

    /// Writes the chunk without choices that tells the usage, if it is known and wanted, and then the end.
    pub(super) fn end(&self, used: &Usage, out: &mut Vec<u8>) {
        if let Some(counts) = usage::encode(used).filter(|_| self.wants_usage) {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(format!("],\"usage\":{counts}}}\n\n").as_bytes());
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

/// Writes the event that ends a stream with an error: the SDKs raise their API error on it. No `[DONE]` follows.
pub(super) fn fail(error: &ErrorBody, out: &mut Vec<u8>) {
    // The choice is for clients that look at nothing else.
    let choices = serde_json::json!([{ "index": 0, "delta": {}, "finish_reason": "error" }]);
    let event = serde_json::json!({ "error": error::value(error), "choices": choices });
    out.extend_from_slice(format!("data: {event}\n\n").as_bytes());
}

/// Writes a comment that keeps the connection alive; every client passes it over.
pub(super) fn heartbeat(out: &mut Vec<u8>) {
    out.extend_from_slice(b": ping\n\n");
}

/// Appends `"name":value` after a comma.
pub(super) fn member(out: &mut Vec<u8>, name: &str, value: Option<&Value>) {
    out.extend_from_slice(format!(",\"{name}\":").as_bytes());
    match value {
        // A Value always serialises into memory.
        Some(value) => drop(serde_json::to_writer(out, value)),
        None => out.extend_from_slice(b"null"),
    }
}

/// An older vLLM's error in a stream: the members of the error stand at the top level.
pub(super) fn bare_failure(is_bare: bool, data: &[u8]) -> Option<UpstreamFailure> {
    if !is_bare {
        return None;
    }
    let value: Value = serde_json::from_slice(data).ok()?;
    let is_error = value.get("object").and_then(Value::as_str) == Some("error") || value.get("detail").is_some();
    error::of_value(200, &value).filter(|_| is_error)
}
