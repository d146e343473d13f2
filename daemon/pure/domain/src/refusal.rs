//! Why a request is not served although nothing failed.

use std::time::Duration;

use crate::key::Bad;

/// Our decision not to serve. `Display` is the sentence that the client reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No upstream offers a model of that name.
    #[error("model `{model}` is not offered here.{}", near_text(.near))]
    UnknownModel {
        /// As the client wrote it.
        model: String,
        /// Names that look like it, best first.
        near: Vec<String>,
    },
    /// The request names no model and there is none to guess.
    #[error("the request names no model; GET /v1/models lists those that are offered")]
    NoModelNamed,
    /// The model is there, but nothing that offers it can do what is asked.
    #[error("model `{model}` cannot serve this request: {}", .reasons.join("; "))]
    CannotServe {
        /// As the client wrote it.
        model: String,
        /// One clause an upstream.
        reasons: Vec<String>,
    },
    /// All places are taken and the wait was too long.
    #[error("Airlane is busy: {running} requests are running and none ended within {waited_s} s")]
    Busy {
        /// Requests in flight.
        running: usize,
        /// How long this one waited.
        waited_s: u64,
        /// When to come back.
        retry_after: Duration,
    },
    /// The queue itself is full.
    #[error("Airlane is busy: {waiting} requests are waiting already")]
    QueueFull {
        /// Requests that wait.
        waiting: usize,
        /// When to come back.
        retry_after: Duration,
    },
    /// The queue is so long that waiting makes no sense.
    #[error("Airlane is busy: {waiting} requests are waiting, and this one would wait for about {} s", .wait.as_secs())]
    LongQueue {
        /// Requests that wait.
        waiting: usize,
        /// The predicted wait.
        wait: Duration,
        /// When to come back.
        retry_after: Duration,
    },
    /// The client will be gone before it is its turn.
    #[error(
        "the client waits for {timeout_s} s at most, and this request could begin in about {} s only; give it more time, or \
         come back later", .wait.as_secs()
    )]
    Late {
        /// How long the client said that it waits.
        timeout_s: u64,
        /// Predicted time until it could be worked on.
        wait: Duration,
        /// When to come back.
        retry_after: Duration,
    },
    /// Too much fails for anything to be tried twice.
    #[error("so much fails in this house at the moment that nothing is tried twice; come back in a moment")]
    RetriesSpent {
        /// When to come back.
        retry_after: Duration,
    },
    /// Everyone who could answer wants a pause.
    #[error("{cause}; nobody else offers this, and it is left alone for as long as it asked for")]
    RateLimited {
        /// The words of the one whose pause ends first.
        cause: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// The prompt fits no context.
    #[error(
        "the prompt of about {prompt_tokens} tokens does not fit the context of `{model}`, which is {context_tokens} tokens"
    )]
    TooLong {
        /// As the client wrote it.
        model: String,
        /// The prompt's length, estimated.
        prompt_tokens: u64,
        /// The largest context among those that offer the model.
        context_tokens: u64,
    },
    /// A policy lets it go to none of the places that bear the name.
    #[error("model `{model}` cannot serve this request here: {why}")]
    Forbidden {
        /// As the client wrote it.
        model: String,
        /// Which policy, and what it does not allow.
        why: String,
    },
    /// A policy does not allow what it asks for.
    #[error("policy {policy:?} does not allow {what} in requests like this one; leave it out to be served")]
    Denied {
        /// The policy's name.
        policy: String,
        /// What the request asks for.
        what: &'static str,
    },
    /// A policy serves nobody at this time.
    #[error("policy {policy:?} serves no requests like this one at this time{}", again_text(.again.as_deref()))]
    OutsideHours {
        /// The policy's name.
        policy: String,
        /// The next time at which it does, on the policy's clocks.
        again: Option<String>,
        /// When to come back; nothing where it never serves them.
        retry_after: Option<Duration>,
    },
    /// A failure is asked for that the owner has not allowed.
    #[error(
        "`mock_testing_fallbacks` makes a place fail only where the owner allows it, with mock_fallbacks = true under \
         [route] in the config; leave it out to be served"
    )]
    MockOff,
    /// It has passed several Airlanes.
    #[error(
        "this request has passed {hops} Airlanes already and goes round; the owner should take one Airlane out of the \
         upstreams of another"
    )]
    Loops {
        /// How many.
        hops: u8,
    },
    /// The daemon stops.
    #[error("Airlane is stopping; its successor answers in a moment")]
    Stopping {
        /// When to come back.
        retry_after: Duration,
    },
    /// The key that was presented is not good.
    #[error("{}", bad_key(*.reason))]
    BadKey {
        /// Why.
        reason: Bad,
    },
    /// Nobody knows the device, and those are not served.
    #[error(
        "this device is not known here; the owner can give it a key (airlane key create NAME) or make it known (airlane \
         tenant set NAME --device {device})"
    )]
    UnknownDevice {
        /// Its address.
        device: String,
    },
    /// The address is not one of the LAN.
    #[error("requests from public addresses are refused; the owner can allow this one under [endpoint] allow_networks")]
    PublicAddress,
    /// The `Host` header is a public name.
    #[error("host name `{host}` is not known here; the owner can add it under [endpoint] host_names")]
    ForeignHost {
        /// As the client wrote it.
        host: String,
    },
    /// A browser sent it for a web page that nobody let in.
    #[error("web pages of `{origin}` may not call; the owner can allow them under [endpoint] cors_origins")]
    ForeignOrigin {
        /// As the browser wrote it.
        origin: String,
    },
}

impl Refusal {
    /// A word for metrics and logs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::UnknownModel { .. } => "unknown_model",
            Self::NoModelNamed => "no_model_named",
            Self::CannotServe { .. } => "cannot_serve",
            Self::Busy { .. } => "busy",
            Self::QueueFull { .. } => "queue_full",
            Self::LongQueue { .. } => "long_queue",
            Self::Late { .. } => "late",
            Self::RetriesSpent { .. } => "retries_spent",
            Self::RateLimited { .. } => "rate_limit",
            Self::TooLong { .. } => "too_long",
            Self::Forbidden { .. } => "forbidden",
            Self::Denied { .. } => "denied",
            Self::OutsideHours { .. } => "outside_hours",
            Self::MockOff => "mock_off",
            Self::Loops { .. } => "loops",
            Self::Stopping { .. } => "stopping",
            Self::BadKey { .. } => "bad_key",
            Self::UnknownDevice { .. } => "unknown_device",
            Self::PublicAddress => "public_address",
            Self::ForeignHost { .. } => "foreign_host",
            Self::ForeignOrigin { .. } => "foreign_origin",
        }
    }

    /// When to try again, for refusals that pass.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. }
            | Self::QueueFull { retry_after, .. }
            | Self::LongQueue { retry_after, .. }
            | Self::Late { retry_after, .. }
            | Self::RetriesSpent { retry_after }
            | Self::RateLimited { retry_after, .. }
            | Self::Stopping { retry_after } => Some(*retry_after),
            Self::OutsideHours { retry_after, .. } => *retry_after,
            Self::UnknownModel { .. }
            | Self::NoModelNamed
            | Self::CannotServe { .. }
            | Self::Forbidden { .. }
            | Self::Denied { .. }
            | Self::TooLong { .. }
            | Self::MockOff
            | Self::Loops { .. }
            | Self::BadKey { .. }
            | Self::UnknownDevice { .. }
            | Self::PublicAddress
            | Self::ForeignHost { .. }
            | Self::ForeignOrigin { .. } => None,
        }
    }
}

const fn bad_key(reason: Bad) -> &'static str {
    match reason {
        Bad::Unknown => "this API key is not known here; ask the owner for another one (airlane key create NAME)",
        Bad::Expired => "this API key's time is over; ask the owner for another one (airlane key create NAME)",
        Bad::Revoked => "this API key was revoked; ask the owner for another one (airlane key create NAME)",
    }
}

fn again_text(again: Option<&str>) -> String {
    let never = || "; the hours of the policies that hold have no time in common".to_owned();
    again.map_or_else(never, |again| format!("; it does again on {again}"))
}

fn near_text(near: &[String]) -> String {
    if near.is_empty() {
        " GET /v1/models lists those that are".to_owned()
    } else {
        format!(" Did you mean {}?", near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "))
    }
}
