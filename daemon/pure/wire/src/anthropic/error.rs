//! Error bodies.

use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{ErrorBody, FailureKind, UpstreamFailure};

#[derive(Debug, Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Detail,
    request_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Detail {
    #[serde(rename = "type")]
    kind: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

/// Anthropic's words for a prompt that is too long. Claude Code looks for them and then shortens the conversation.
const TOO_LONG: &str = "prompt is too long";

/// Writes an error body, with Airlane's or the upstream's code as `details.error_code`.
#[must_use]
pub fn encode(error: &ErrorBody) -> Vec<u8> {
    let unsaid = error.kind == FailureKind::ContextLength && !error.message.contains(TOO_LONG);
    let message = if unsaid { format!("{TOO_LONG}: {}", error.message) } else { error.message.clone() };
    let details = error.code.as_deref().map(|code| json!({ "error_code": code }));
    let detail = Detail { kind: word(error.kind), message, details };
    let envelope = Envelope { kind: "error", error: detail, request_id: error.request_id.as_deref() };
    // Strings always serialise.
    serde_json::to_vec(&envelope).unwrap_or_default()
}

/// Anthropic's word for a kind of failure.
const fn word(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::InvalidRequest | FailureKind::ContextLength => "invalid_request_error",
        FailureKind::Authentication => "authentication_error",
        FailureKind::Permission => "permission_error",
        FailureKind::NotFound => "not_found_error",
        FailureKind::Quota => "billing_error",
        FailureKind::TooLarge => "request_too_large",
        FailureKind::RateLimit => "rate_limit_error",
        FailureKind::Overloaded => "overloaded_error",
        FailureKind::Timeout => "timeout_error",
        FailureKind::Upstream | FailureKind::Internal => "api_error",
    }
}

/// Reads an upstream's error answer: Anthropic's own, or one of the shapes that servers with an Anthropic endpoint
/// write (OpenAI's envelope, FastAPI's `detail`, plain text).
#[must_use]
pub fn decode(status: u16, body: &[u8]) -> UpstreamFailure {
    let kind = FailureKind::of_status(status);
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if let Some(failure) = serde_json::from_str(text).ok().and_then(|value: Value| of_value(kind, &value)) {
        return failure;
    }
    if text.is_empty() || text.starts_with(['<', '{', '[']) {
        return UpstreamFailure::new(kind, &format!("status {status} without an explanation that could be read"));
    }
    refined(kind, text, &Words::default())
}

/// What an error tells besides its message.
#[derive(Debug, Default)]
struct Words<'a> {
    kind: Option<&'a str>,
    code: Option<&'a str>,
    param: Option<&'a str>,
}

/// Reads an error in JSON, also one inside a stream. `None` when it holds no words.
pub(super) fn of_value(kind: FailureKind, value: &Value) -> Option<UpstreamFailure> {
    let error = [value.get("error"), value.get("detail")].into_iter().flatten().find(|error| !error.is_null());
    let error = error.unwrap_or(value);
    let word = |name: &str| error.get(name).and_then(Value::as_str);
    let listed = error.get(0).and_then(|first| first.get("msg")).and_then(Value::as_str);
    let message = [error.as_str(), word("message"), listed].into_iter().flatten().next();
    let message = message.or_else(|| value.get("message").and_then(Value::as_str));
    let inner = error.get("details").and_then(|details| details.get("error_code")).and_then(Value::as_str);
    let words = Words { kind: word("type"), code: inner.or(word("code")), param: word("param") };
    let message = message.or(words.kind)?;
    Some(refined(kind, message, &words))
}

fn refined(kind: FailureKind, message: &str, words: &Words<'_>) -> UpstreamFailure {
    let by_words = [words.code, words.kind].into_iter().flatten().find_map(of_word);
    // Anthropic's word for everything below 500 says less than a status of its own.
    let by_words = by_words.filter(|word| *word != FailureKind::InvalidRequest);
    let kind = of_message(kind, message).or(by_words).unwrap_or(kind);
    UpstreamFailure {
        code: words.code.map(str::to_owned),
        param: words.param.map(str::to_owned),
        ..UpstreamFailure::new(kind, message)
    }
}

/// The kind of failure that a `type` or `code` names; `None` for words that say no more than the status.
fn of_word(word: &str) -> Option<FailureKind> {
    Some(match word {
        "invalid_request_error" | "BadRequestError" => FailureKind::InvalidRequest,
        "context_length_exceeded" | "exceed_context_size_error" => FailureKind::ContextLength,
        "authentication_error" | "invalid_api_key" => FailureKind::Authentication,
        "permission_error" => FailureKind::Permission,
        "not_found_error" | "model_not_found" | "NotFoundError" => FailureKind::NotFound,
        "billing_error" | "insufficient_quota" => FailureKind::Quota,
        "request_too_large" => FailureKind::TooLarge,
        "rate_limit_error" | "rate_limit_exceeded" => FailureKind::RateLimit,
        "overloaded_error" | "unavailable_error" => FailureKind::Overloaded,
        "timeout_error" => FailureKind::Timeout,
        // `enforced_spend_limit_reached` and its kin come with 429, though waiting does not help.
        _ if word.ends_with("spend_limit_reached") => FailureKind::Quota,
        _ => return None,
    })
}

/// The kind of failure that only the message tells.
fn of_message(kind: FailureKind, message: &str) -> Option<FailureKind> {
    const LONG: [&str; 9] = [
        TOO_LONG,
        "exceed context limit",
        "exceeds the available context",
        "exceed the available context",
        "maximum context length",
        "maximum model length",
        "context window",
        "context length",
        "context size",
    ];
    let message = message.to_lowercase();
    let request = matches!(kind, FailureKind::InvalidRequest | FailureKind::Upstream | FailureKind::TooLarge);
    if request && LONG.iter().any(|words| message.contains(words)) {
        return Some(FailureKind::ContextLength);
    }
    // Anthropic says this with status 400.
    message.contains("credit balance is too low").then_some(FailureKind::Quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (u16, &'static str, FailureKind, &'static str, Option<&'static str>);

    const UPSTREAMS: &[Row] = &[
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 207791 tokens > 200000 maximum"},"request_id":"r"}"#,
            FailureKind::ContextLength,
            "prompt is too long: 207791 tokens > 200000 maximum",
            None,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 198981 + 21333 > 200000"}}"#,
            FailureKind::ContextLength,
            "input length and `max_tokens` exceed context limit: 198981 + 21333 > 200000",
            None,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}}"#,
            FailureKind::Quota,
            "Your credit balance is too low to access the API.",
            None,
        ),
        (
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
            FailureKind::Quota,
            "m",
            Some("enforced_spend_limit_reached"),
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            FailureKind::Overloaded,
            "Overloaded",
            None,
        ),
        (
            500,
            r#"{"type":"error","error":{"type":"api_error","message":"Internal"}}"#,
            FailureKind::Upstream,
            "Internal",
            None,
        ),
        (413, r#"{"error":{"type":"request_too_large","message":"big"}}"#, FailureKind::TooLarge, "big", None),
        (
            400,
            r#"{"error":{"code":400,"message":"request (9 tokens) exceeds the available context size","type":"exceed_context_size_error"}}"#,
            FailureKind::ContextLength,
            "request (9 tokens) exceeds the available context size",
            None,
        ),
        (
            400,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}"#,
            FailureKind::ContextLength,
            "This model's maximum context length is 4096 tokens.",
            None,
        ),
        (404, r#"{"error":"model 'x' not found"}"#, FailureKind::NotFound, "model 'x' not found", None),
        (404, r#"{"detail":"Not Found"}"#, FailureKind::NotFound, "Not Found", None),
        (
            422,
            r#"{"detail":[{"loc":["body","model"],"msg":"field required"}]}"#,
            FailureKind::InvalidRequest,
            "field required",
            None,
        ),
        (
            401,
            r#"{"error":{"message":"no","code":"invalid_api_key","param":null}}"#,
            FailureKind::Authentication,
            "no",
            Some("invalid_api_key"),
        ),
        (503, "upstream connect error", FailureKind::Overloaded, "upstream connect error", None),
        (
            502,
            "<html><body>Bad gateway</body></html>",
            FailureKind::Upstream,
            "status 502 without an explanation that could be read",
            None,
        ),
        (500, "", FailureKind::Upstream, "status 500 without an explanation that could be read", None),
        (
            400,
            "{\"error\":{}}",
            FailureKind::InvalidRequest,
            "status 400 without an explanation that could be read",
            None,
        ),
        (400, "[]", FailureKind::InvalidRequest, "status 400 without an explanation that could be read", None),
    ];

    #[test]
    fn errors_of_upstreams() {
        for (status, body, kind, message, code) in UPSTREAMS {
            let failure = decode(*status, body.as_bytes());
            let read = (failure.kind, failure.message.as_str(), failure.code.as_deref());
            assert_eq!(read, (*kind, *message, *code), "{body}");
        }
        assert_eq!(decode(500, b"\xff\xfe").kind, FailureKind::Upstream);
    }

    #[test]
    fn errors_for_clients() {
        let body = |kind| ErrorBody {
            kind,
            message: "what to do".to_owned(),
            code: None,
            param: Some("model".to_owned()),
            request_id: Some("r1".to_owned()),
        };
        let text = |error: &ErrorBody| String::from_utf8(encode(error)).unwrap();
        insta::assert_snapshot!(text(&body(FailureKind::NotFound)), @r#"{"type":"error","error":{"type":"not_found_error","message":"what to do"},"request_id":"r1"}"#);
        insta::assert_snapshot!(text(&body(FailureKind::ContextLength)), @r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: what to do"},"request_id":"r1"}"#);
        let stop = ErrorBody {
            code: Some("enforced_spend_limit_reached".to_owned()),
            request_id: None,
            ..body(FailureKind::RateLimit)
        };
        insta::assert_snapshot!(text(&stop), @r#"{"type":"error","error":{"type":"rate_limit_error","message":"what to do","details":{"error_code":"enforced_spend_limit_reached"}},"request_id":null}"#);
    }

    #[test]
    fn every_kind_survives_the_way_there_and_back() {
        for (status, kind) in [
            (400, FailureKind::InvalidRequest),
            (400, FailureKind::ContextLength),
            (401, FailureKind::Authentication),
            (402, FailureKind::Quota),
            (403, FailureKind::Permission),
            (404, FailureKind::NotFound),
            (413, FailureKind::TooLarge),
            (429, FailureKind::RateLimit),
            (500, FailureKind::Upstream),
            (504, FailureKind::Timeout),
            (529, FailureKind::Overloaded),
        ] {
            let error = ErrorBody { kind, message: "m".to_owned(), code: None, param: None, request_id: None };
            assert_eq!(decode(status, &encode(&error)).kind, kind);
        }
    }
}
