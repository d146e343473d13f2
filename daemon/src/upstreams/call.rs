//! One call to an upstream, up to its status line.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use domain::secret::Secret;
use domain::upstream::{HOP, Upstream, UpstreamKind};
use http_body_util::Full;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request};
use tokio::time::Instant;
use wire::exchange::{BadAnswer, error_body};
use wire::failure::{FailureKind, UpstreamFailure};

use super::body::ReplyBody;
use super::client::{Clients, Unanswered, Via};
use super::loopback;

/// What an upstream is sent.
#[derive(Debug, Default)]
pub(crate) struct Outbound<'a> {
    /// The dialect's own path, like `/v1/chat/completions`, with a query if there is one.
    pub(crate) path: &'a str,
    /// JSON; `None` makes it a GET.
    pub(crate) body: Option<Bytes>,
    /// The client's headers that go on to the upstream.
    pub(crate) headers: HeaderMap,
    /// Whether the answer is asked for in pieces.
    pub(crate) stream: bool,
}

/// An upstream's answer with a good status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) body: ReplyBody,
    /// Whether the body comes in events or lines, and not as one JSON value.
    pub(crate) is_stream: bool,
    /// Headers of the upstream.
    pub(crate) headers: HeaderMap,
}

/// Why a call failed.
#[derive(Debug, Clone)]
pub(crate) struct CallError {
    /// The upstream's name.
    pub(crate) upstream: String,
    /// What happened.
    pub(crate) fault: Fault,
}

/// What happened to a call.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// No connection.
    Connect(String),
    /// Silence for too long.
    Timeout { waiting_for: &'static str, waited: Duration },
    /// It answered with an error.
    Status { status: u16, failure: UpstreamFailure, retry_after: Option<String> },
    /// It reported a failure under a good status, or inside its stream.
    Reported(UpstreamFailure),
    /// The connection broke.
    Broken(String),
    /// It answered something that is no answer.
    NotAnAnswer(String),
}

impl Fault {
    /// A look at the upstream found that it does not answer any more.
    pub(crate) fn gone() -> Self {
        Self::Connect("it has stopped answering".to_owned())
    }

    /// The request itself asked for a failure.
    pub(crate) fn mocked() -> Self {
        let message = "the request's mock_testing_fallbacks made it fail, nothing was sent to it";
        Self::Reported(UpstreamFailure::new(FailureKind::Upstream, message))
    }
}

/// What stands in the place of a secret.
const REDACTED: &str = "[secret]";

impl From<BadAnswer> for Fault {
    fn from(bad: BadAnswer) -> Self {
        match bad {
            BadAnswer::Malformed(malformed) => Self::NotAnAnswer(malformed.to_string()),
            BadAnswer::Failed(failure) => Self::Reported(failure),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.upstream;
        match &self.fault {
            Fault::Connect(reason) => write!(formatter, "upstream {name} cannot be reached: {reason}"),
            Fault::Timeout { waiting_for, waited } => {
                write!(formatter, "upstream {name} gave no {waiting_for} within {} s", waited.as_secs())
            }
            Fault::Status { status: 401 | 403, failure, .. } => {
                write!(
                    formatter,
                    "upstream {name} refuses Airlane's own key for it, which the owner must put right: {}",
                    failure.message
                )
            }
            Fault::Status { status, failure, .. } if failure.message.is_empty() => {
                write!(formatter, "upstream {name} answered with status {status}")
            }
            Fault::Status { status, failure, .. } => {
                write!(formatter, "upstream {name} answered with status {status}: {}", failure.message)
            }
            Fault::Reported(failure) => write!(formatter, "upstream {name} failed: {}", failure.message),
            Fault::Broken(reason) => write!(formatter, "the connection to upstream {name} broke: {reason}"),
            Fault::NotAnAnswer(reason) => write!(formatter, "upstream {name} sent no proper answer: {reason}"),
        }
    }
}

impl CallError {
    /// A failure of `upstream`. Its words are told to clients and logs, so secrets that it repeats are taken out.
    pub(crate) fn new(upstream: &Upstream, mut fault: Fault) -> Self {
        if let Fault::Status { failure, .. } | Fault::Reported(failure) = &mut fault {
            let secrets = upstream.key.iter().chain(upstream.headers.iter().map(|(_, value)| value));
            for secret in secrets.map(Secret::reveal).filter(|secret| !secret.is_empty()) {
                failure.message = failure.message.replace(secret, REDACTED);
                for text in [&mut failure.code, &mut failure.param].into_iter().flatten() {
                    *text = text.replace(secret, REDACTED);
                }
            }
        }
        Self { upstream: upstream.name.clone(), fault }
    }

    /// Whether another upstream may do better.
    pub(crate) fn may_retry(&self) -> bool {
        match &self.fault {
            Fault::Connect(_) | Fault::Timeout { .. } | Fault::Broken(_) | Fault::NotAnAnswer(_) => true,
            Fault::Status { status, failure, .. } => {
                // A wrong key, an empty account and a missing model are troubles of this upstream alone.
                *status >= 500 || matches!(status, 300..=399 | 401..=404 | 408 | 429) || is_own(failure.kind)
            }
            Fault::Reported(failure) => is_own(failure.kind),
        }
    }

    /// Whether the place went down with the request, or never had it: so it did no work that another attempt would add to.
    pub(crate) const fn is_loss(&self) -> bool {
        matches!(self.fault, Fault::Connect(_) | Fault::Broken(_))
    }

    /// What the failure is in the words of all dialects.
    pub(crate) fn failure_kind(&self) -> FailureKind {
        match &self.fault {
            Fault::Connect(_) | Fault::Broken(_) | Fault::NotAnAnswer(_) => FailureKind::Upstream,
            Fault::Timeout { .. } => FailureKind::Timeout,
            Fault::Status { failure, .. } | Fault::Reported(failure) => {
                // Our key for the upstream is wrong, not the client's for us.
                let ours = matches!(failure.kind, FailureKind::Authentication | FailureKind::Permission);
                if ours { FailureKind::Upstream } else { failure.kind }
            }
        }
    }

    /// A word for metrics.
    pub(crate) const fn kind(&self) -> &'static str {
        match &self.fault {
            Fault::Connect(_) => "connect",
            Fault::Timeout { .. } => "timeout",
            Fault::Status { status, .. } => match status {
                300..=399 => "redirect",
                401 | 403 => "auth",
                429 => "rate_limit",
                400..=499 => "client_error",
                _ => "server_error",
            },
            Fault::Reported(_) => "reported",
            Fault::Broken(_) => "broken",
            Fault::NotAnAnswer(_) => "not_an_answer",
        }
    }
}

/// Whether a failure says something about the upstream and nothing about the request.
const fn is_own(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Upstream
        | FailureKind::Overloaded
        | FailureKind::RateLimit
        | FailureKind::Timeout
        | FailureKind::Quota
        | FailureKind::Authentication
        | FailureKind::Permission
        | FailureKind::Internal => true,
        FailureKind::InvalidRequest | FailureKind::ContextLength | FailureKind::NotFound | FailureKind::TooLarge => {
            false
        }
    }
}

/// Why a call over one connection failed.
enum Failed {
    /// The upstream's doing.
    Call(Box<CallError>),
    /// The kept connection was closed.
    Stale,
}

impl Clients {
    /// Calls an upstream and waits for its status line. Dropping the future closes the connection. `outbound` is asked
    /// for a second time where a kept connection turned out to be closed.
    ///
    /// # Errors
    /// Everything but a status of 2xx with a body that can be read.
    pub(crate) async fn call<'a>(
        &self,
        upstream: &Upstream,
        outbound: impl Fn() -> Outbound<'a>,
    ) -> Result<Reply, CallError> {
        let first = self.call_via(Via::Kept, upstream, outbound()).await;
        match first {
            // The server saw nothing of it, or closed without a word: on a fresh connection it counts.
            Err(Failed::Stale) => self.call_via(Via::Fresh, upstream, outbound()).await,
            told => told,
        }
        .map_err(|failed| match failed {
            Failed::Call(error) => *error,
            Failed::Stale => CallError::new(upstream, Fault::Broken("the connection was closed".to_owned())),
        })
    }

    async fn call_via(&self, via: Via, upstream: &Upstream, outbound: Outbound<'_>) -> Result<Reply, Failed> {
        let fail = |fault| Failed::Call(Box::new(CallError::new(upstream, fault)));
        if upstream.kind == UpstreamKind::Loopback {
            return loopback::call(upstream, &outbound).map_err(fail);
        }
        let client = self.get(upstream).map_err(|reason| fail(Fault::Connect(reason)))?;
        let limit = upstream.first_byte_limit(outbound.body.as_ref().map_or(0, Bytes::len), outbound.stream);
        let deadline = Instant::now() + limit;
        let request = request(upstream, outbound).map_err(|reason| fail(Fault::Connect(reason)))?;
        let response = match tokio::time::timeout_at(deadline, client.send(request, via)).await {
            Err(_) => return Err(fail(Fault::Timeout { waiting_for: "answer", waited: limit })),
            Ok(Err(Unanswered::Connect(reason))) => return Err(fail(Fault::Connect(reason))),
            Ok(Err(Unanswered::Broken(reason))) => return Err(fail(Fault::Broken(reason))),
            Ok(Err(Unanswered::Stale)) => return Err(Failed::Stale),
            Ok(Ok(response)) => response,
        };
        let (head, body) = response.into_parts();
        let encoding = head.headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
        let body = ReplyBody::new(body, encoding, deadline, upstream.idle_timeout).map_err(fail)?;
        let status = head.status.as_u16();
        if head.status.is_success() {
            let is_stream = is_stream(&head.headers);
            return Ok(Reply { body, is_stream, headers: head.headers });
        }
        Err(fail(refused(upstream, status, &head.headers, body).await))
    }
}

fn request(upstream: &Upstream, outbound: Outbound<'_>) -> Result<Request<Full<Bytes>>, String> {
    let method = if outbound.body.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder()
        .method(method)
        .uri(upstream.path_and_query(outbound.path))
        .body(Full::new(outbound.body.unwrap_or_default()))
        .map_err(|error| format!("its address makes no request: {error}"))?;
    let headers = request.headers_mut();
    *headers = outbound.headers;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream, application/x-ndjson"));
    // A packed stream would be held back until a block is full.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("airlane/", env!("CARGO_PKG_VERSION"))));
    if upstream.is_node && !headers.contains_key(HOP) {
        headers.insert(HOP, HeaderValue::from_static("1"));
    }
    if upstream.kind == UpstreamKind::Anthropic && !headers.contains_key("anthropic-version") {
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    }
    if let Some(key) = &upstream.key {
        let (name, text) = match upstream.kind {
            UpstreamKind::Anthropic => (HeaderName::from_static("x-api-key"), key.reveal().to_owned()),
            UpstreamKind::Openai | UpstreamKind::Ollama | UpstreamKind::Loopback => {
                (AUTHORIZATION, format!("Bearer {}", key.reveal()))
            }
        };
        headers.insert(name, secret_value(&text)?);
    }
    for (name, value) in &upstream.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a configured header has no valid name")?;
        headers.insert(name, secret_value(value.reveal())?);
    }
    Ok(request)
}

fn secret_value(text: &str) -> Result<HeaderValue, &'static str> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| "a configured header or key holds letters that none may")?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_stream(headers: &HeaderMap) -> bool {
    // Servers that stream under a wrong name are believed; JSON and pages are no streams.
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    !kind.starts_with("application/json") && !kind.starts_with("text/html")
}

/// Largest error body that is read.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// Longest wait for an error body.
const ERROR_WAIT_MAX: Duration = Duration::from_secs(5);

async fn refused(upstream: &Upstream, status: u16, headers: &HeaderMap, mut body: ReplyBody) -> Fault {
    if (300..400).contains(&status) {
        let message = "it redirects; put the address it redirects to into the config";
        let failure = UpstreamFailure::new(FailureKind::Upstream, message);
        return Fault::Status { status, failure, retry_after: None };
    }
    let text = tokio::time::timeout(ERROR_WAIT_MAX, body.collect(ERROR_BYTES_MAX)).await;
    let text = text.ok().and_then(Result::ok).unwrap_or_default();
    let failure = error_body(upstream.kind.dialect(), status, &text);
    let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Fault::Status { status, failure, retry_after: retry_after.filter(|text| text.len() < 64).map(str::to_owned) }
}
