//! Headers that go on from the client to the upstream, and what identifies a request.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap as ClientHeaders, HeaderName as ClientHeaderName};
use domain::surface::Dialect;
use domain::upstream;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::Gateway;

/// The name of a request, for clients.
pub(super) static X_REQUEST_ID: ClientHeaderName = ClientHeaderName::from_static("x-request-id");
static FAR_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

static HOP: ClientHeaderName = ClientHeaderName::from_static(upstream::HOP);
static FAR_HOP: HeaderName = HeaderName::from_static(upstream::HOP);

/// How many Airlanes a request has passed.
pub(super) fn hops(headers: &ClientHeaders) -> u8 {
    headers.get(&HOP).map_or(0, |value| value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(u8::MAX))
}

static TRACING: [(ClientHeaderName, HeaderName); 2] = [both("traceparent"), both("tracestate")];
static ANTHROPIC: [(ClientHeaderName, HeaderName); 2] = [both("anthropic-version"), both("anthropic-beta")];

/// A header in the types of the server's crate and of the client's.
const fn both(name: &'static str) -> (ClientHeaderName, HeaderName) {
    (ClientHeaderName::from_static(name), HeaderName::from_static(name))
}

/// Longest request id taken over from a client.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// The client's own id for its request if it is sane: printable, short, nothing that breaks a log line.
fn request_id(headers: &ClientHeaders) -> Option<String> {
    let text = headers.get(&X_REQUEST_ID)?.to_str().ok()?;
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
    /// Airlanes that it has passed.
    pub(super) hops: u8,
    /// Anthropic's `?beta=true`.
    pub(super) beta: bool,
}

impl Forwarded {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let taken = |names: &[(ClientHeaderName, HeaderName)]| {
            let mut taken = Vec::new();
            for (near, far) in names {
                for value in request.headers().get_all(near) {
                    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                        taken.push((far.clone(), value));
                    }
                }
            }
            taken
        };
        let hops = hops(request.headers());
        Self {
            tracing: taken(&TRACING),
            anthropic: taken(&ANTHROPIC),
            hops,
            beta: request.query_string() == "beta=true",
        }
    }

    /// What changes the answers of upstreams that speak Anthropic's dialect.
    pub(super) fn anthropic_values(&self) -> impl Iterator<Item = &[u8]> {
        self.anthropic.iter().map(|(_, value)| value.as_bytes())
    }

    /// The headers for an upstream.
    pub(super) fn headers(&self, request_id: &str, far: Dialect, is_local: bool) -> HeaderMap {
        let own: &[(HeaderName, HeaderValue)] = if far == Dialect::Anthropic { &self.anthropic } else { &[] };
        // Those that every call adds besides: type, length, host, key and the like.
        let mut out = HeaderMap::with_capacity(12);
        for (name, value) in self.tracing.iter().chain(own) {
            out.append(name.clone(), value.clone());
        }
        // Clouds are no Airlanes, and need not know of ours.
        if is_local {
            out.insert(FAR_HOP.clone(), HeaderValue::from(u16::from(self.hops) + 1));
        }
        if let Ok(value) = HeaderValue::from_str(request_id) {
            out.insert(FAR_REQUEST_ID.clone(), value);
        }
        out
    }
}
