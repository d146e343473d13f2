//! Error bodies: this dialect's envelope, and the many shapes that its servers answer with.

use serde_json::{Value, json};

use crate::failure::{ErrorBody, FailureKind, UpstreamFailure};

/// Writes `{"error": {"message", "type", "param", "code"}}`.
#[must_use]
pub fn encode(error: &ErrorBody) -> Vec<u8> {
    json!({ "error": value(error) }).to_string().into_bytes()
}

/// The inner object of the envelope, with this dialect's usual code where none is given.
pub(super) fn value(error: &ErrorBody) -> Value {
    let (kind, usual) = words(error.kind);
    // Clients look for this one word to shorten their conversation, whatever the server's own word was.
    let own = error.code.as_deref().filter(|_| error.kind != FailureKind::ContextLength);
    json!({
        "message": error.message,
        "type": kind,
        "param": error.param,
        "code": own.or(usual),
    })
}

const fn words(kind: FailureKind) -> (&'static str, Option<&'static str>) {
    match kind {
        FailureKind::InvalidRequest => ("invalid_request_error", None),
        FailureKind::ContextLength => ("invalid_request_error", Some("context_length_exceeded")),
        FailureKind::Authentication => ("authentication_error", Some("invalid_api_key")),
        FailureKind::Permission => ("permission_error", Some("permission_denied")),
        FailureKind::NotFound => ("not_found_error", Some("model_not_found")),
        FailureKind::Quota => ("insufficient_quota", Some("insufficient_quota")),
        FailureKind::TooLarge => ("invalid_request_error", Some("request_too_large")),
        FailureKind::RateLimit => ("rate_limit_error", Some("rate_limit_exceeded")),
        FailureKind::Overloaded => ("server_error", Some("overloaded")),
        FailureKind::Upstream => ("server_error", Some("upstream_error")),
        FailureKind::Timeout => ("server_error", Some("timeout")),
        FailureKind::Internal => ("server_error", Some("internal_error")),
    }
}

/// Reads an upstream's error answer, whatever its shape.
#[must_use]
pub fn decode(status: u16, body: &[u8]) -> UpstreamFailure {
    if let Ok(value) = serde_json::from_slice::<Value>(body)
        && let Some(failure) = of_value(status, &value)
    {
        return failure;
    }
    let kind = FailureKind::of_status(status);
    let text = String::from_utf8_lossy(body.get(..TEXT_BYTES_MAX).unwrap_or(body));
    let text = text.trim();
    if text.is_empty() {
        return UpstreamFailure::new(kind, &format!("status {status} without a text"));
    }
    let is_readable = !text.starts_with(['<', '{', '[']) && !text.contains("</");
    if !is_readable {
        return UpstreamFailure::new(kind, &format!("status {status} with a page that is no answer of a model server"));
    }
    UpstreamFailure::new(refine(kind, &[], text), text)
}

/// How much of an unknown body is looked at.
const TEXT_BYTES_MAX: usize = 4_096;

/// Reads an error in JSON, or `None` where the value holds no text that explains anything.
///
/// Without an HTTP status (inside a stream) `status` is 200; a number that the error names stands in then.
pub(super) fn of_value(status: u16, value: &Value) -> Option<UpstreamFailure> {
    // Gemini wraps its error in an array.
    let value = value.as_array().and_then(|items| items.first()).unwrap_or(value);
    let inner = value.get("error").filter(|inner| inner.is_object()).unwrap_or(value);
    let (message, place) = message(inner, value)?;
    let status = if status < 400 { named_status(inner).unwrap_or(status) } else { status };
    // `status` is Gemini's word.
    let of = |name: &str| inner.get(name).and_then(Value::as_str).filter(|word| !word.is_empty());
    let code = of("code").or_else(|| of("status"));
    let words: Vec<&str> = code.into_iter().chain(of("type")).collect();
    let mut failure = UpstreamFailure::new(refine(FailureKind::of_status(status), &words, &message), &message);
    failure.code = code.or_else(|| of("type")).filter(|word| word.parse::<i64>().is_err()).map(str::to_owned);
    failure.param = of("param").map(str::to_owned).or(place);
    Some(failure)
}

fn named_status(inner: &Value) -> Option<u16> {
    let code = inner.get("code")?;
    let number = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    u16::try_from(number).ok().filter(|number| (400..600).contains(number))
}

/// The text that explains, and the place in the request where FastAPI names it.
fn message(inner: &Value, outer: &Value) -> Option<(String, Option<String>)> {
    let text = |value: &Value, name: &str| {
        value.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty()).map(str::to_owned)
    };
    if let Some(mut words) = text(inner, "message").or_else(|| text(outer, "error")) {
        // OpenRouter: "Provider returned error", and the provider's own words beside it.
        if let Some(raw) = inner.get("metadata").and_then(|metadata| text(metadata, "raw")) {
            words = format!("{words}: {raw}");
        }
        return Some((words, None));
    }
    match inner.get("detail").or_else(|| inner.get("message")) {
        Some(Value::Array(items)) => items.first().and_then(|item| {
            let place = item.get("loc").and_then(path);
            let words = text(item, "msg")?;
            Some((place.as_ref().map_or_else(|| words.clone(), |place| format!("{place}: {words}")), place))
        }),
        Some(Value::Object(map)) => map.get("message").or_else(|| map.get("error")).and_then(|inner| {
            let words = inner.as_str()?;
            Some((words.to_owned(), None))
        }),
        Some(Value::String(words)) if !words.trim().is_empty() => Some((words.clone(), None)),
        Some(_) | None => None,
    }
}

/// `["body", "messages", 0, "content"]` as `messages[0].content`.
fn path(place: &Value) -> Option<String> {
    let mut path = String::new();
    for step in place.as_array()? {
        match step {
            Value::String(name) if name == "body" && path.is_empty() => {}
            Value::String(name) if path.is_empty() => path.push_str(name),
            Value::String(name) => path.extend([".", name]),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                path.push_str(&format!("[{step}]"));
            }
        }
    }
    Some(path).filter(|path| !path.is_empty())
}

/// Texts with which servers say that a prompt is too long.
const CONTEXT_TEXTS: [&str; 14] = [
    "maximum context length",
    "context_length_exceeded",
    "exceed_context_size",
    "available context size",
    "context length",
    "context window",
    "maximum model length",
    "max_model_len",
    "prompt is too long",
    "reduce the length of the messages",
    "exceeds the maximum allowed length",
    "input token count",
    "input is too long",
    "inputs` tokens + `max_new_tokens`",
];

/// Sharpens what the status says by the upstream's words.
fn refine(kind: FailureKind, words: &[&str], message: &str) -> FailureKind {
    let has = |word: &str| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    let lower = message.to_ascii_lowercase();
    let is_fault = matches!(kind, FailureKind::InvalidRequest | FailureKind::TooLarge | FailureKind::Upstream);
    if has("context_length_exceeded") || has("exceed_context_size_error") {
        return FailureKind::ContextLength;
    }
    if is_fault && CONTEXT_TEXTS.iter().any(|text| lower.contains(text)) {
        return FailureKind::ContextLength;
    }
    if has("insufficient_quota") || has("billing_hard_limit_reached") {
        return FailureKind::Quota;
    }
    if has("rate_limit_exceeded") || has("rate_limit_error") || has("RESOURCE_EXHAUSTED") {
        return FailureKind::RateLimit;
    }
    if has("invalid_api_key") || (is_fault && lower.contains("api key not valid")) {
        return FailureKind::Authentication;
    }
    if has("model_not_found") || has("NotFoundError") || has("not_found_error") {
        return FailureKind::NotFound;
    }
    // llama.cpp while it loads a model; a cloud under load.
    if has("unavailable_error") || has("overloaded_error") || has("server_overloaded") || has("UNAVAILABLE") {
        return FailureKind::Overloaded;
    }
    // llama.cpp tells with 500 that the model has no eyes or ears: asking again does not help.
    let is_deaf = lower.contains("input is not supported");
    if kind == FailureKind::Upstream && (is_deaf || has("invalid_request_error") || has("BadRequestError")) {
        return FailureKind::InvalidRequest;
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table, a row a server")]
    fn errors_of_all_servers_are_read() {
        for (name, status, body, kind, message, code, param) in [
            (
                "openai",
                429,
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
                FailureKind::Quota,
                "You exceeded",
                Some("insufficient_quota"),
                None,
            ),
            (
                "openai context",
                400,
                r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
                FailureKind::ContextLength,
                "This model's",
                Some("context_length_exceeded"),
                Some("messages"),
            ),
            (
                "openrouter",
                502,
                r#"{"error":{"code":502,"message":"Provider returned error","metadata":{"provider_name":"X","raw":"out of coffee"}}}"#,
                FailureKind::Upstream,
                "Provider returned error: out of coffee",
                None,
                None,
            ),
            (
                "llama.cpp without eyes",
                500,
                r#"{"error":{"code":500,"message":"image input is not supported - hint: if this is unexpected, you may need to provide the mmproj","type":"server_error"}}"#,
                FailureKind::InvalidRequest,
                "image input is not supported",
                Some("server_error"),
                None,
            ),
            (
                "llama.cpp context",
                400,
                r#"{"error":{"code":400,"message":"the request exceeds the available context size. try increasing it","type":"exceed_context_size_error","n_prompt_tokens":900,"n_ctx":512}}"#,
                FailureKind::ContextLength,
                "the request exceeds",
                Some("exceed_context_size_error"),
                None,
            ),
            (
                "llama.cpp loading",
                503,
                r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#,
                FailureKind::Overloaded,
                "Loading model",
                Some("unavailable_error"),
                None,
            ),
            (
                "vllm context, older shape",
                400,
                r#"{"object":"error","message":"This model's maximum context length is 2048 tokens. However, you requested 9000","type":"BadRequestError","param":null,"code":400}"#,
                FailureKind::ContextLength,
                "This model's",
                Some("BadRequestError"),
                None,
            ),
            (
                "vllm model",
                404,
                r#"{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
                FailureKind::NotFound,
                "The model",
                Some("NotFoundError"),
                Some("model"),
            ),
            ("fastapi text", 404, r#"{"detail":"Not Found"}"#, FailureKind::NotFound, "Not Found", None, None),
            (
                "fastapi list",
                422,
                r#"{"detail":[{"loc":["body","messages",0,"content"],"msg":"field required","type":"missing"}]}"#,
                FailureKind::InvalidRequest,
                "messages[0].content: field required",
                None,
                Some("messages[0].content"),
            ),
            (
                "gemini",
                400,
                r#"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}]"#,
                FailureKind::Authentication,
                "API key not valid.",
                Some("INVALID_ARGUMENT"),
                None,
            ),
            ("error as text", 500, r#"{"error":"oops"}"#, FailureKind::Upstream, "oops", None, None),
            ("plain", 503, "no healthy upstream\n", FailureKind::Overloaded, "no healthy upstream", None, None),
            (
                "html",
                502,
                "<html><body>Bad Gateway</body></html>",
                FailureKind::Upstream,
                "status 502 with",
                None,
                None,
            ),
            ("empty", 500, "", FailureKind::Upstream, "status 500 without", None, None),
            ("other json", 418, r#"{"teapot":true}"#, FailureKind::InvalidRequest, "status 418 with", None, None),
            ("number", 500, "17", FailureKind::Upstream, "17", None, None),
        ] {
            let failure = decode(status, body.as_bytes());
            assert_eq!(failure.kind, kind, "{name}");
            assert!(failure.message.starts_with(message), "{name}: {}", failure.message);
            assert_eq!(failure.code.as_deref(), code, "{name}");
            assert_eq!(failure.param.as_deref(), param, "{name}");
        }
    }

    #[test]
    fn an_error_inside_a_stream_names_its_own_status() {
        for (text, kind) in [
            (r#"{"error":{"code":429,"message":"slow down"}}"#, FailureKind::RateLimit),
            (r#"{"error":{"code":"server_error","message":"x"}}"#, FailureKind::Upstream),
            (r#"{"error":{"type":"invalid_request_error","message":"x"}}"#, FailureKind::InvalidRequest),
        ] {
            assert_eq!(of_value(200, &serde_json::from_str(text).unwrap()).unwrap().kind, kind, "{text}");
        }
    }

    #[test]
    fn the_envelope() {
        let error = ErrorBody {
            kind: FailureKind::ContextLength,
            message: "gpu-box: the prompt is too long".into(),
            code: None,
            param: Some("messages".into()),
            request_id: Some("r".into()),
        };
        insta::assert_snapshot!(
            String::from_utf8(encode(&error)).unwrap(),
            @r#"{"error":{"message":"gpu-box: the prompt is too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#
        );
        let back = decode(400, &encode(&error));
        assert_eq!((back.kind, back.param), (error.kind, error.param));
    }

    #[test]
    fn long_bodies_are_cut() {
        let failure = decode(500, "x".repeat(100_000).as_bytes());
        assert_eq!(failure.message.chars().count(), crate::failure::MESSAGE_CHARS_MAX);
    }
}
