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

/// What of a client's request goes on to upstreams besides the body. The request itself is not kept: it is large, and
/// a stream is long.
#[derive(Default)]
pub(super) struct Forwarded {
    /// For every upstream.
    tracing: Vec<(HeaderName, HeaderValue)>,
    /// For upstreams that speak Anthropic's dialect.
    anthropic: Vec<(HeaderName, HeaderValue)>,
    /// Anthropic's `?beta=true`.
    pub(super) beta: bool,
}

impl Forwarded {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let taken = |names: [&'static str; 2]| {
            let mut taken = Vec::new();
            for name in names {
                for value in request.headers().get_all(name) {
                    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                        taken.push((HeaderName::from_static(name), value));
                    }
                }
            }
            taken
        };
        Self {
            tracing: taken(["traceparent", "tracestate"]),
            anthropic: taken(["anthropic-version", "anthropic-beta"]),
            beta: request.query_string() == "beta=true",
        }
    }

    /// The headers for an upstream.
    pub(super) fn headers(&self, request_id: &str, far: Dialect) -> HeaderMap {
        let own: &[(HeaderName, HeaderValue)] = if far == Dialect::Anthropic { &self.anthropic } else { &[] };
        // Those that every call adds besides: type, length, host, key and the like.
        let mut out = HeaderMap::with_capacity(12);
        for (name, value) in self.tracing.iter().chain(own) {
            out.append(name.clone(), value.clone());
        }
        if let Ok(value) = HeaderValue::from_str(request_id) {
            out.insert(HeaderName::from_static("x-request-id"), value);
        }
        out
    }
}
