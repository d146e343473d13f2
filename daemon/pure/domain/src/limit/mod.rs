//! Limits: how many requests and tokens somebody may use in a minute, an hour or a day, and how much at once.
//!
//! Each limit is a bucket that drains evenly ([`Bucket`], the generic cell rate algorithm): after a rest the whole amount
//! may be used at once, and then as much as has drained since. Within any span of time no more is let in than one whole
//! amount and what drains during that span.

mod bucket;
mod buckets;
mod limits;

use std::fmt;
use std::time::Duration;

pub use bucket::Bucket;
pub use buckets::{Buckets, Charged, Needed};
pub use limits::{Limits, Rates};

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// Requests that were let in.
    Requests,
    /// Tokens, read and written.
    Tokens,
}

/// The span in which a bucket drains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Per {
    /// 60 seconds.
    #[default]
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours, whatever the calendar says.
    Day,
}

/// At most so many of these in such a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// What is counted.
    pub what: What,
    /// Requests or tokens.
    pub amount: u64,
    /// The span.
    pub per: Per,
}

/// How a limit stands, for headers and pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The limit.
    pub limit: Limit,
    /// How many more would be let in at once.
    pub remaining: u64,
    /// Time until the whole amount is there again, if nothing comes.
    pub reset: Duration,
}

/// The scarcest limit of each kind that a request met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Of those that count requests.
    pub requests: Option<Window>,
    /// Of those that count tokens.
    pub tokens: Option<Window>,
}

/// Why a limit does not let a request in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The bucket is too full.
    Rate {
        /// Which one.
        limit: Limit,
        /// When the same request is let in, if nothing else comes.
        retry_after: Duration,
    },
    /// The request alone is larger than the whole limit: it will never be let in.
    Larger {
        /// Which one.
        limit: Limit,
        /// How many it needs.
        needed: u64,
    },
    /// Too many run already. When one of them ends cannot be known.
    Concurrent {
        /// How many may run at the same time.
        allowed: u32,
    },
    /// The prompt has too many tokens.
    InputTokens {
        /// How many it may have.
        allowed: u64,
        /// How many it has, estimated.
        needed: u64,
    },
    /// The request has too many bytes.
    InputBytes {
        /// How many it may have.
        allowed: u64,
        /// How many it has.
        needed: u64,
    },
}

impl Per {
    /// All spans, from the shortest.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// All of them under their names in the config.
    pub const NAMES: [(&'static str, Self); 3] = [("minute", Self::Minute), ("hour", Self::Hour), ("day", Self::Day)];

    /// Its length.
    #[must_use]
    pub const fn span(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        })
    }
}

impl Window {
    /// The one of two that is nearer to its end; of two that are equally near, the one that takes longer to recover.
    #[must_use]
    pub fn scarcer(self, other: Self) -> Self {
        let order = self.remaining.cmp(&other.remaining).then(other.reset.cmp(&self.reset));
        if order.is_le() { self } else { other }
    }
}

impl Standing {
    /// Notes a further limit.
    pub fn note(&mut self, window: Window) {
        let place = match window.limit.what {
            What::Requests => &mut self.requests,
            What::Tokens => &mut self.tokens,
        };
        *place = Some(place.map_or(window, |kept| kept.scarcer(window)));
    }

    /// The scarcer of both, kind by kind.
    pub fn merge(&mut self, other: Self) {
        [other.requests, other.tokens].into_iter().flatten().for_each(|window| self.note(window));
    }
}

impl Reached {
    /// When the same request is let in if nothing else comes; `None` where nobody can know, and where it never is.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rate { retry_after, .. } => Some(*retry_after),
            Self::Larger { .. } | Self::Concurrent { .. } | Self::InputTokens { .. } | Self::InputBytes { .. } => None,
        }
    }

    /// Whether the same request may be let in at another time.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Rate { .. } | Self::Concurrent { .. })
    }

    /// The one of two that says more: what never passes, then what ends at a time that nobody knows, then the longer wait.
    #[must_use]
    pub fn graver(self, other: Self) -> Self {
        let rank = |reached: &Self| (!reached.passes(), reached.retry_after().is_none(), reached.retry_after());
        if rank(&other) > rank(&self) { other } else { self }
    }
}

impl fmt::Display for What {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        })
    }
}

impl fmt::Display for Per {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(Self::NAMES[*self as usize].0)
    }
}

/// Like `60 requests a minute`.
impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = if self.per == Per::Hour { "an" } else { "a" };
        write!(out, "{} {} {article} {}", self.amount, self.what, self.per)
    }
}

/// Goes on where a subject was named: `this key …`.
impl fmt::Display for Reached {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { limit, retry_after } => {
                let wait_s = retry_after.as_millis().div_ceil(1_000);
                write!(out, "may use {limit}; this request is let in in {wait_s} s")
            }
            Self::Larger { limit, needed } => write!(
                out,
                "may use {limit}, and this request alone may need {needed}; send less, or ask for a shorter answer"
            ),
            Self::Concurrent { allowed } => {
                write!(out, "may have {allowed} requests running at a time; come back when one has ended")
            }
            Self::InputTokens { allowed, needed } => {
                write!(out, "may send prompts of {allowed} tokens, and this one has about {needed}; send less")
            }
            Self::InputBytes { allowed, needed } => {
                write!(out, "may send requests of {allowed} bytes, and this one has {needed}; send less")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RPM: Limit = Limit { what: What::Requests, amount: 60, per: Per::Minute };

    #[test]
    fn what_is_said() {
        let rate = |retry_after| Reached::Rate { limit: RPM, retry_after };
        for (reached, want) in [
            (rate(Duration::from_millis(1_200)), "may use 60 requests a minute; this request is let in in 2 s"),
            (
                Reached::Larger { limit: Limit { what: What::Tokens, amount: 10, per: Per::Hour }, needed: 12 },
                "may use 10 tokens an hour, and this request alone may need 12; send less, or ask for a shorter answer",
            ),
            (Reached::Concurrent { allowed: 2 }, "may have 2 requests running at a time; come back when one has ended"),
        ] {
            assert_eq!(reached.to_string(), want);
        }
    }

    #[test]
    fn what_never_passes_is_told_first_then_what_nobody_knows_then_the_longest_wait() {
        let [short, long] = [1, 9].map(|s| Reached::Rate { limit: RPM, retry_after: Duration::from_secs(s) });
        let running = Reached::Concurrent { allowed: 2 };
        let large = Reached::InputBytes { allowed: 1, needed: 2 };
        for (one, other, want) in
            [(short, long, long), (long, short, long), (long, running, running), (running, large, large)]
        {
            assert_eq!(one.graver(other), want);
            assert_eq!(other.graver(one), want);
        }
    }

    #[test]
    fn the_scarcest_window_is_shown() {
        let window = |amount, remaining, reset_s| Window {
            limit: Limit { amount, ..RPM },
            remaining,
            reset: Duration::from_secs(reset_s),
        };
        let mut standing = Standing::default();
        [window(60, 7, 5), window(1_000, 3, 9), window(500, 3, 20)].into_iter().for_each(|one| standing.note(one));
        assert_eq!(standing.requests, Some(window(500, 3, 20)));
        assert_eq!(standing.tokens, None);
    }
}
