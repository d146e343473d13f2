//! A side look at answers of an upstream that serves this surface itself: their bytes are passed on as they came.

use domain::usage::Usage;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::UpstreamFailure;
use crate::json;
use crate::malformed::Malformed;
use crate::openai::chunk;
use crate::openai::loose::Loose;
use crate::reply::{Event, Finish};
use crate::sse::Frame;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Response {
    model: Loose,
    usage: Option<Tokens>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: Loose,
    output_tokens: Loose,
    input_tokens_details: Option<Details>,
    output_tokens_details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Loose,
    cache_write_tokens: Loose,
    reasoning_tokens: Loose,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Typed {
    r#type: String,
    delta: Loose,
    response: Option<Response>,
    message: Option<Value>,
    code: Option<Value>,
    error: Option<Value>,
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
        if matches!(data.trim_ascii(), b"" | b"[DONE]") {
            return Ok(());
        }
        let event: Typed = json::read(data)?;
        match event.r#type.as_str() {
            "response.created" => {
                let model = event.response.and_then(|response| response.model.into_text());
                out.push(Event::Start { model });
            }
            "response.completed" | "response.incomplete" => {
                let response = event.response.unwrap_or_default();
                let finish = if event.r#type.ends_with("incomplete") { Finish::Length } else { Finish::Stop };
                out.push(Event::Finish { choice: 0, finish });
                out.extend(response.usage.map(|usage| Event::Usage(usage.into_usage())));
                out.push(Event::Done);
            }
            "response.failed" | "error" => {
                out.push(Event::Failed(failure(event)));
            }
            kind if kind.ends_with(".delta") => {
                out.push(Event::Text { choice: 0, text: event.delta.into_text().unwrap_or_default(), logprobs: None });
            }
            _ => {}
        }
        Ok(())
    }
}

/// The error beside the response, in it, or flat in the event.
fn failure(event: Typed) -> UpstreamFailure {
    let known = |error: &Value| !error.is_null();
    let told = event.error.filter(known).or_else(|| event.response?.error.filter(known));
    let told = told.unwrap_or_else(|| json!({ "message": event.message, "code": event.code }));
    // A number in the place of a code is a status; there may be no words at all.
    chunk::failure(Some(told)).unwrap_or_else(chunk::unexplained)
}

impl Tokens {
    fn into_usage(self) -> Usage {
        let (input, output) =
            (self.input_tokens_details.unwrap_or_default(), self.output_tokens_details.unwrap_or_default());
        Usage {
            input: self.input_tokens.count(),
            output: self.output_tokens.count(),
            cached_read: input.cached_tokens.count(),
            cache_write: input.cache_write_tokens.count(),
            reasoning: output.reasoning_tokens.count(),
            saved: None,
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
        let usage = Usage {
            input: Some(3),
            output: Some(4),
            cached_read: Some(1),
            cache_write: None,
            reasoning: Some(2),
            saved: None,
        };
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
    fn failures_are_seen_in_all_forms() {
        use crate::failure::FailureKind::{RateLimit, Upstream};
        for (text, kind) in [
            (r#"{"type":"error","message":"no"}"#, Upstream),
            (r#"{"type":"error","code":"rate_limit_exceeded","message":"no","param":null}"#, RateLimit),
            (r#"{"type":"error","error":{"code":429,"message":"no"}}"#, RateLimit),
            (r#"{"type":"response.failed","response":{"error":{"code":"x","message":"no"}}}"#, Upstream),
            (r#"{"type":"response.failed","response":{"error":"no"}}"#, Upstream),
        ] {
            let got = events(&[text]);
            assert!(
                matches!(&got[..], [Event::Failed(failure)] if failure.message == "no" && failure.kind == kind),
                "{got:?}"
            );
        }
        assert!(matches!(events(&[r#"{"type":"response.failed"}"#])[..], [Event::Failed(_)]));
    }

    #[test]
    fn odd_events_do_not_end_a_stream() {
        let got = events(&[
            "",
            r#"{"type":"response.audio.delta","delta":{"x":1}}"#,
            r#"{"type":"response.created","response":{"model":null,"usage":{"input_tokens_details":null}}}"#,
            r#"{"type":"response.completed","response":{"usage":{"input_tokens":3.0,"output_tokens":4,
                "input_tokens_details":null,"output_tokens_details":{"reasoning_tokens":null}}}}"#,
        ]);
        let usage = Usage { input: Some(3), output: Some(4), ..Usage::default() };
        assert!(got.contains(&Event::Usage(usage)), "{got:?}");
    }
}
