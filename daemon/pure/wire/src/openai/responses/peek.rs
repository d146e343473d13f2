//! A side look at answers of an upstream that serves this surface itself: their bytes are passed on as they came.

use domain::usage::Usage;
use serde::Deserialize;

use crate::failure::{FailureKind, UpstreamFailure};
use crate::json;
use crate::malformed::Malformed;
use crate::reply::{Event, Finish};
use crate::sse::Frame;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Response {
    model: Option<String>,
    usage: Option<Tokens>,
    error: Option<Failure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Details,
    output_tokens_details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Failure {
    message: Option<String>,
    code: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Typed {
    r#type: String,
    delta: Option<String>,
    response: Option<Response>,
    message: Option<String>,
    error: Option<Failure>,
}

/// Tokens that a whole answer tells.
///
/// # Errors
/// The body is no response object.
pub fn usage_of_reply(body: &[u8]) -> Result<Usage, Malformed> {
    let response: Response = json::read(body)?;
    Ok(response.usage.map(Tokens::into_usage).unwrap_or_default())
}

/// Reads a stream's events for what the gateway must know of them.
#[derive(Debug, Default)]
pub struct Decoder;

impl Decoder {
    /// Reads one frame and appends what it says.
    ///
    /// # Errors
    /// The data is no event object.
    pub fn frame(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let Some(data) = &frame.data else { return Ok(()) };
        if data.as_ref() == b"[DONE]" {
            return Ok(());
        }
        let event: Typed = json::read(data)?;
        match event.r#type.as_str() {
            "response.created" => out.push(Event::Start { model: event.response.and_then(|response| response.model) }),
            "response.completed" | "response.incomplete" => {
                let response = event.response.unwrap_or_default();
                let finish = if event.r#type.ends_with("incomplete") { Finish::Length } else { Finish::Stop };
                out.push(Event::Finish { choice: 0, finish });
                out.extend(response.usage.map(|usage| Event::Usage(usage.into_usage())));
                out.push(Event::Done);
            }
            "response.failed" | "error" => {
                let told = event.error.or(event.response.and_then(|response| response.error)).unwrap_or_default();
                let message = told.message.or(event.message).unwrap_or_else(|| "no reason was given".to_owned());
                let mut failure = UpstreamFailure::new(FailureKind::Upstream, &message);
                failure.code = told.code;
                out.push(Event::Failed(failure));
            }
            kind if kind.ends_with(".delta") => {
                out.push(Event::Text { choice: 0, text: event.delta.unwrap_or_default(), logprobs: None });
            }
            _ => {}
        }
        Ok(())
    }
}

impl Tokens {
    fn into_usage(self) -> Usage {
        Usage {
            input: self.input_tokens,
            output: self.output_tokens,
            cached_read: self.input_tokens_details.cached_tokens,
            cache_write: None,
            reasoning: self.output_tokens_details.reasoning_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn events(texts: &[&str]) -> Vec<Event> {
        let mut out = Vec::new();
        for text in texts {
            let data = Some(Bytes::copy_from_slice(text.as_bytes()));
            let frame = Frame { raw: Bytes::new(), event: String::new(), data };
            Decoder.frame(&frame, &mut out).unwrap();
        }
        out
    }

    #[test]
    fn what_the_gateway_must_know() {
        let got = events(&[
            r#"{"type":"response.created","response":{"model":"m","usage":null}}"#,
            r#"{"type":"response.output_item.added","item":{}}"#,
            r#"{"type":"response.output_text.delta","delta":"hi"}"#,
            r#"{"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":4,
                "input_tokens_details":{"cached_tokens":1},"output_tokens_details":{"reasoning_tokens":2}}}}"#,
        ]);
        let usage =
            Usage { input: Some(3), output: Some(4), cached_read: Some(1), cache_write: None, reasoning: Some(2) };
        assert_eq!(
            got,
            [
                Event::Start { model: Some("m".into()) },
                Event::Text { choice: 0, text: "hi".into(), logprobs: None },
                Event::Finish { choice: 0, finish: Finish::Stop },
                Event::Usage(usage),
                Event::Done,
            ]
        );
    }

    #[test]
    fn failures_are_seen_in_both_forms() {
        for text in [
            r#"{"type":"error","message":"no"}"#,
            r#"{"type":"response.failed","response":{"error":{"code":"x","message":"no"}}}"#,
        ] {
            let got = events(&[text]);
            assert!(matches!(&got[..], [Event::Failed(failure)] if failure.message == "no"), "{got:?}");
        }
    }
}
