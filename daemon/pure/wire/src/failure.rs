//! Failures in words: what an upstream reported, and what a client is told.

/// What went wrong, in the terms that all dialects share. One file of the gateway maps it to HTTP status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The request itself is wrong.
    InvalidRequest,
    /// The prompt does not fit into the model's context.
    ContextLength,
    /// No or a wrong key.
    Authentication,
    /// The key or the address may not do this.
    Permission,
    /// No such model or path.
    NotFound,
    /// The account has no money left.
    Quota,
    /// The body is larger than allowed.
    TooLarge,
    /// Too many requests.
    RateLimit,
    /// All places are taken.
    Overloaded,
    /// An upstream failed, or answered something that is no answer.
    Upstream,
    /// An upstream did not answer in time.
    Timeout,
    /// Airlane failed.
    Internal,
}

/// An error answer of an upstream, or an error inside its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamFailure {
    /// What went wrong.
    pub kind: FailureKind,
    /// The upstream's own words, shortened to [`MESSAGE_CHARS_MAX`] characters.
    pub message: String,
    /// The upstream's own code (OpenAI's `code`), if it is a word.
    pub code: Option<String>,
    /// The request's member that is to blame (OpenAI's `param`).
    pub param: Option<String>,
}

/// Longest message taken over from an upstream: enough for a person, too little for a page of HTML.
pub const MESSAGE_CHARS_MAX: usize = 1_000;

/// What a client is told. Each dialect encodes it with its `error` module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorBody {
    /// What went wrong.
    pub kind: FailureKind,
    /// A sentence that names who failed and what to do.
    pub message: String,
    /// A word for programs; encoders fill in their dialect's usual one where `None`.
    pub code: Option<String>,
    /// The request's member that is to blame.
    pub param: Option<String>,
    /// The request's id, shown where the dialect has a place for it.
    pub request_id: Option<String>,
}

impl UpstreamFailure {
    /// Makes a failure from an upstream's words, cutting them to [`MESSAGE_CHARS_MAX`] characters.
    #[must_use]
    pub fn new(kind: FailureKind, message: &str) -> Self {
        let message = message.trim().chars().take(MESSAGE_CHARS_MAX).collect();
        Self { kind, message, code: None, param: None }
    }
}

impl FailureKind {
    /// What an upstream's HTTP status says, before its body is looked at.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::Quota,
            403 => Self::Permission,
            404 | 410 => Self::NotFound,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            _ => Self::Upstream,
        }
    }
}
