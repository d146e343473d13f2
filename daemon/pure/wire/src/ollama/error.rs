//! Errors: `{"error": "text"}`.

use serde_json::{Value, json};

use crate::failure::{ErrorBody, FailureKind, UpstreamFailure};

/// Writes what a client is told.
#[must_use]
pub fn encode(error: &ErrorBody) -> Vec<u8> {
    json!({ "error": error.message }).to_string().into_bytes()
}

/// Reads an error answer, whatever it is: Ollama's own, one of its OpenAI-compatible endpoints', one of a proxy
/// before it, plain text, a page of HTML or nothing.
#[must_use]
pub fn decode(status: u16, body: &[u8]) -> UpstreamFailure {
    let text = String::from_utf8_lossy(body);
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => {
            let member = |name: &str| value.get(name).filter(|member| !member.is_null());
            from_value(status, ["error", "detail", "message"].iter().find_map(|name| member(name)).unwrap_or(&value))
        }
        Err(_) if text.trim().is_empty() => failure(status, &format!("status {status} without a body")),
        Err(_) if text.trim_start().starts_with('<') => {
            failure(status, &format!("status {status} with a page of HTML"))
        }
        Err(_) => failure(status, &text),
    }
}

/// Reads the value of an `error` member: text, or an object with a `message`.
pub(super) fn from_value(status: u16, error: &Value) -> UpstreamFailure {
    let word = |name: &str| error.get(name).and_then(Value::as_str);
    let message = error.as_str().or_else(|| word("message")).or_else(|| word("error"));
    let mut failure = failure(status, &message.map_or_else(|| error.to_string(), str::to_owned));
    failure.code = word("code").map(str::to_owned);
    failure.param = word("param").map(str::to_owned);
    failure
}

fn failure(status: u16, message: &str) -> UpstreamFailure {
    UpstreamFailure::new(kind(status, message), message)
}

/// Ollama answers 500 to much that is not its own fault: the words tell more.
fn kind(status: u16, message: &str) -> FailureKind {
    let head: String = message.chars().take(400).collect::<String>().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| head.contains(word));
    if says(&[
        "context length",
        "context size",
        "context window",
        "context limit",
        "prompt too long",
        "input length exceeds",
    ]) {
        FailureKind::ContextLength
    } else if says(&["server busy", "maximum pending requests"]) {
        FailureKind::Overloaded
    } else if head.starts_with("model") && says(&["not found"]) {
        FailureKind::NotFound
    } else {
        FailureKind::of_status(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_all_kinds_are_read() {
        use FailureKind::*;
        for (status, body, want, message) in [
            (404, r#"{"error":"model 'x' not found"}"#, NotFound, "model 'x' not found"),
            (500, r#"{"error":"model 'x' not found, try pulling it first"}"#, NotFound, "model 'x' not found, try"),
            (400, r#"{"error":"\"x\" does not support tools"}"#, InvalidRequest, "\"x\" does not support tools"),
            (400, r#"{"error":"the input length exceeds the context length"}"#, ContextLength, "the input length"),
            (
                500,
                r#"{"error":"prompt too long; exceeded max context length by 3 tokens"}"#,
                ContextLength,
                "prompt too",
            ),
            (503, r#"{"error":"server busy, please try again."}"#, Overloaded, "server busy"),
            (
                500,
                r#"{"error":"model requires more system memory (9 GiB) than is available"}"#,
                Upstream,
                "model requires",
            ),
            (401, r#"{"error":"unauthorized","signin_url":"https://x"}"#, Authentication, "unauthorized"),
            (400, r#"{"error":{"message":"bad","type":"invalid_request_error","code":null}}"#, InvalidRequest, "bad"),
            (400, r#"{"error":{"code":400,"message":"bad"}}"#, InvalidRequest, "bad"),
            (422, r#"{"detail":[{"msg":"x"}]}"#, InvalidRequest, "[{\"msg\":\"x\"}]"),
            (400, r#"{"error":null,"message":"bad"}"#, InvalidRequest, "bad"),
            (502, "<html><body>nginx</body></html>", Upstream, "status 502 with a page of HTML"),
            (404, "404 page not found", NotFound, "404 page not found"),
            (500, "", Upstream, "status 500 without a body"),
            (500, "\u{fffd}", Upstream, "\u{fffd}"),
        ] {
            let failure = decode(status, body.as_bytes());
            assert_eq!(failure.kind, want, "{body}");
            assert!(failure.message.starts_with(message), "{body}: {}", failure.message);
        }
    }

    #[test]
    fn a_client_is_told_in_text() {
        let error = ErrorBody {
            kind: FailureKind::NotFound,
            message: "no model \"x\"".to_owned(),
            code: Some("model_not_found".to_owned()),
            param: None,
            request_id: None,
        };
        assert_eq!(encode(&error), br#"{"error":"no model \"x\""}"#);
    }
}
