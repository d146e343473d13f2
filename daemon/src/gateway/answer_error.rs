//! The one place of the endpoint that knows which failure has which HTTP status.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use domain::allowance::{Cause, Exceeded};
use domain::limit::Reached;
use domain::refusal::Refusal;
use domain::surface::Dialect;
use wire::exchange::NotSent;
use wire::failure::{ErrorBody, FailureKind};
use wire::limits::Header;
use wire::malformed::Malformed;

use super::quota::say;
use crate::upstreams::{CallError, Fault};

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    /// The body is not what the surface wants.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// The body is larger than allowed.
    #[error("the request's body is larger than {} MiB; the owner can raise [endpoint] body_max_mib", .bytes_max >> 20)]
    TooLarge { bytes_max: usize },
    /// The body came too slowly.
    #[error("no further byte of the request's body came within {} s", .waited.as_secs())]
    SlowBody { waited: Duration },
    /// The body is packed in a way that we do not know.
    #[error("content-encoding {0:?} cannot be read here; send gzip, deflate or nothing")]
    Encoding(String),
    /// The body's end never came.
    #[error("the request's body broke off: {0}")]
    BrokenBody(String),
    /// We decided not to serve it.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It has no room under a limit or a budget.
    #[error("{exceeded}")]
    Exceeded {
        exceeded: Box<Exceeded>,
        /// How the limits stand, in the client's dialect.
        headers: Vec<Header>,
    },
    /// The client wants a kept answer or none.
    #[error("no answer to this request is kept, and the request says only-if-cached")]
    NotKept,
    /// The upstream's dialect cannot carry it.
    #[error("upstream {upstream} cannot take this request: {error}")]
    NotSent { upstream: String, error: NotSent },
    /// All upstreams failed; the last one so.
    #[error("{error}{}{end}", others(.before))]
    Call {
        error: Box<CallError>,
        before: Vec<String>,
        /// Why it was the last one although there are others: a clause, or nothing.
        end: &'static str,
    },
    /// The path is there, but not for this method.
    #[error("{path} cannot be called with {method}")]
    NoSuchMethod { method: String, path: String },
    /// There is no such path.
    #[error("there is no {method} {path} here")]
    NoSuchPath { method: String, path: String },
}

fn others(before: &[String]) -> String {
    if before.is_empty() { String::new() } else { format!(" (failed before: {})", before.join("; ")) }
}

impl ServeError {
    /// The failure of a call, the first one of its request.
    pub(super) fn call(error: CallError) -> Self {
        Self::Call { error: Box::new(error), before: Vec::new(), end: "" }
    }

    /// The same, with why it was the last one.
    pub(super) fn ending(mut self, clause: &'static str) -> Self {
        if let Self::Call { end, .. } = &mut self {
            *end = clause;
        }
        self
    }

    /// Whether the same request may fare better another time.
    pub(super) fn may_pass(&self) -> bool {
        let Self::Call { error, .. } = self else { return matches!(self, Self::Refused(_) | Self::Exceeded { .. }) };
        error.may_retry()
    }

    /// A word for metrics and logs.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::BrokenBody(_) => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::SlowBody { .. } => "slow_body",
            Self::Encoding(_) => "encoding",
            Self::Refused(refusal) => refusal.kind(),
            Self::Exceeded { exceeded, .. } => match exceeded.cause {
                Cause::Limit(_) => "limit",
                Cause::Budget(_) => "budget",
            },
            Self::NotKept => "not_kept",
            Self::NotSent { .. } => "not_carried",
            Self::Call { error, .. } => error.kind(),
            Self::NoSuchMethod { .. } => "no_such_method",
            Self::NoSuchPath { .. } => "no_such_path",
        }
    }

    /// What the client is told.
    pub(super) fn body(&self, request_id: Option<&str>) -> ErrorBody {
        let (kind, code, param) = self.parts();
        ErrorBody { kind, message: self.to_string(), code, param, request_id: request_id.map(str::to_owned) }
    }

    fn parts(&self) -> (FailureKind, Option<String>, Option<String>) {
        let word = |text: &str| Some(text.to_owned());
        match self {
            Self::Malformed(malformed) => (FailureKind::InvalidRequest, None, member(malformed)),
            Self::TooLarge { .. } => (FailureKind::TooLarge, None, None),
            Self::SlowBody { .. } => (FailureKind::Timeout, None, None),
            Self::Encoding(_) | Self::BrokenBody(_) => (FailureKind::InvalidRequest, None, None),
            Self::Exceeded { exceeded, .. } => match exceeded.cause {
                Cause::Limit(Reached::Rate { .. } | Reached::Concurrent { .. }) => {
                    (FailureKind::RateLimit, word("rate_limit_exceeded"), None)
                }
                Cause::Limit(Reached::InputBytes { .. }) => (FailureKind::TooLarge, None, None),
                Cause::Limit(Reached::InputTokens { .. } | Reached::Larger { .. }) => {
                    (FailureKind::InvalidRequest, word("request_too_large"), word("messages"))
                }
                Cause::Budget(_) => (FailureKind::Quota, word("insufficient_quota"), None),
            },
            // RFC 9111 section 5.2.1.7 names the status 504.
            Self::NotKept => (FailureKind::Timeout, word("not_kept"), None),
            Self::NotSent { error: NotSent::Malformed(malformed), .. } => {
                (FailureKind::InvalidRequest, None, member(malformed))
            }
            Self::NotSent { error: NotSent::Uncarried(uncarried), .. } => {
                (FailureKind::InvalidRequest, word("unsupported_parameter"), Some(uncarried.field.clone()))
            }
            Self::Refused(refusal) => match refusal {
                Refusal::UnknownModel { .. } => (FailureKind::NotFound, word("model_not_found"), word("model")),
                Refusal::NoModelNamed | Refusal::CannotServe { .. } => {
                    (FailureKind::InvalidRequest, None, word("model"))
                }
                Refusal::Busy { .. }
                | Refusal::QueueFull { .. }
                | Refusal::LongQueue { .. }
                | Refusal::Late { .. }
                | Refusal::RetriesSpent { .. }
                | Refusal::Stopping { .. } => (FailureKind::Overloaded, None, None),
                Refusal::RateLimited { .. } => (FailureKind::RateLimit, word("rate_limit_exceeded"), None),
                Refusal::TooLong { .. } => {
                    (FailureKind::ContextLength, word("context_length_exceeded"), word("messages"))
                }
                Refusal::MockOff => {
                    (FailureKind::InvalidRequest, word("unsupported_parameter"), word("mock_testing_fallbacks"))
                }
                Refusal::Loops { .. } => (FailureKind::InvalidRequest, word("loop_detected"), None),
                Refusal::BadKey { .. } => (FailureKind::Authentication, word("invalid_api_key"), None),
                Refusal::UnknownDevice { .. } => (FailureKind::Authentication, word("unknown_device"), None),
                Refusal::Forbidden { .. } => (FailureKind::Permission, word("policy"), word("model")),
                Refusal::Denied { .. } | Refusal::OutsideHours { .. } => {
                    (FailureKind::Permission, word("policy"), None)
                }
                Refusal::PublicAddress | Refusal::ForeignHost { .. } | Refusal::ForeignOrigin { .. } => {
                    (FailureKind::Permission, None, None)
                }
            },
            Self::Call { error, .. } => match &error.fault {
                Fault::Status { failure, .. } | Fault::Reported(failure) => {
                    (error.failure_kind(), failure.code.clone(), failure.param.clone())
                }
                Fault::Connect(_) | Fault::Timeout { .. } | Fault::Broken(_) | Fault::NotAnAnswer(_) => {
                    (error.failure_kind(), word("upstream_error"), None)
                }
            },
            Self::NoSuchMethod { .. } => (FailureKind::InvalidRequest, word("method_not_allowed"), None),
            Self::NoSuchPath { .. } => (FailureKind::NotFound, word("unknown_url"), None),
        }
    }

    /// When the client may come back.
    fn retry_after(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.retry_after().map(|wait| whole_seconds(wait).to_string()),
            Self::Exceeded { exceeded, .. } => match exceeded.cause {
                Cause::Limit(reached) => reached.retry_after().map(wire::limits::retry_after),
                Cause::Budget(_) => None,
            },
            Self::Call { error, .. } => match &error.fault {
                Fault::Status { retry_after, .. } => retry_after.clone(),
                Fault::Connect(_)
                | Fault::Timeout { .. }
                | Fault::Reported(_)
                | Fault::Broken(_)
                | Fault::NotAnAnswer(_) => None,
            },
            Self::Malformed(_)
            | Self::TooLarge { .. }
            | Self::SlowBody { .. }
            | Self::Encoding(_)
            | Self::BrokenBody(_)
            | Self::NotKept
            | Self::NotSent { .. }
            | Self::NoSuchMethod { .. }
            | Self::NoSuchPath { .. } => None,
        }
    }
}

/// The member that is wrong, unless the place is one in the text, like `line 3 column 7`.
fn member(malformed: &Malformed) -> Option<String> {
    Some(malformed.at.clone()).filter(|at| !at.contains(' '))
}

/// Whole seconds after which a wait is over; at least one.
fn whole_seconds(wait: Duration) -> u64 {
    let begun = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + begun).max(1)
}

/// The family of errors that a client of this path expects.
pub(super) fn dialect_of(path: &str) -> Dialect {
    if path.starts_with("/api/") {
        Dialect::Ollama
    } else if path.starts_with("/v1/messages") {
        Dialect::Anthropic
    } else {
        Dialect::Openai
    }
}

/// The error in the client's dialect.
pub(super) fn respond(error: &ServeError, dialect: Dialect, request_id: Option<&str>) -> HttpResponse {
    let body = error.body(request_id);
    let status = if matches!(error, ServeError::SlowBody { .. }) {
        StatusCode::REQUEST_TIMEOUT
    } else if matches!(error, ServeError::NoSuchMethod { .. }) {
        StatusCode::METHOD_NOT_ALLOWED
    } else {
        status(body.kind, dialect)
    };
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, "application/json"));
    if let Some(id) = request_id {
        response.insert_header(("x-request-id", id));
    }
    if let Some(wait) = error.retry_after() {
        response.insert_header((RETRY_AFTER, wait));
    }
    if let ServeError::Exceeded { exceeded, headers } = error {
        say(&mut response, headers);
        if matches!(exceeded.cause, Cause::Budget(_)) {
            // The libraries of OpenAI and Anthropic keep to it.
            response.insert_header(("x-should-retry", "false"));
        }
    }
    response.body(match dialect {
        Dialect::Openai => wire::openai::error::encode(&body),
        Dialect::Anthropic => wire::anthropic::error::encode(&body),
        Dialect::Ollama => wire::ollama::error::encode(&body),
    })
}

fn status(kind: FailureKind, dialect: Dialect) -> StatusCode {
    match kind {
        FailureKind::InvalidRequest | FailureKind::ContextLength => StatusCode::BAD_REQUEST,
        FailureKind::Authentication => StatusCode::UNAUTHORIZED,
        FailureKind::Permission => StatusCode::FORBIDDEN,
        FailureKind::NotFound => StatusCode::NOT_FOUND,
        FailureKind::Quota => StatusCode::PAYMENT_REQUIRED,
        FailureKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FailureKind::RateLimit => StatusCode::TOO_MANY_REQUESTS,
        FailureKind::Overloaded if dialect == Dialect::Anthropic => {
            StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
        }
        FailureKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        FailureKind::Upstream => StatusCode::BAD_GATEWAY,
        FailureKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        FailureKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
