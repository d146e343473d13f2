//! Headers that go on from the client to the upstream, and what identifies a request.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap as ClientHeaders;
use domain::surface::Dialect;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::Gateway;

/// Longest request id taken over from a client.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// The client's own id for its request if it is sane: printable, short, nothing that breaks a log line.
fn request_id(headers: &ClientHeaders) -> Option<String> {
    let text = headers.get("x-request-id")?.to_str().ok()?;
    let is_sane = !text.is_empty()
        && text.len() <= REQUEST_ID_CHARS_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte));
    is_sane.then(|| text.to_owned())
}

/// The client's own id, or one of ours.
pub(super) fn request_id_or_new(headers: &ClientHeaders, gateway: &Gateway) -> String {
    request_id(headers).unwrap_or_else(|| gateway.clock.unique())
}

/// Tracing goes on to every upstream; a dialect's own headers only to upstreams that speak it.
pub(super) fn headers(request: &HttpRequest, request_id: &str, far: Dialect) -> HeaderMap {
    const TRACING: [&str; 2] = ["traceparent", "tracestate"];
    const ANTHROPIC: [&str; 2] = ["anthropic-version", "anthropic-beta"];
    let own: &[&str] = if far == Dialect::Anthropic { &ANTHROPIC } else { &[] };
    let mut out = HeaderMap::with_capacity(8);
    for name in TRACING.iter().chain(own) {
        for value in request.headers().get_all(*name) {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                out.append(HeaderName::from_static(name), value);
            }
        }
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        out.insert(HeaderName::from_static("x-request-id"), value);
    }
    out
}
