//! Answers that are kept: what a kept answer is, who may get it, and for how long.
//!
//! An [`Entry`] holds what an upstream said, whole and in its own dialect; a replay goes the same way as a live answer. It
//! is found by its [`Key`]: whose it is, and a digest of everything that changes the answer.

mod directives;
mod purge;
mod settings;
mod stats;
mod status;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::catalogue::Target;
use crate::surface::Surface;

pub use directives::Directives;
pub use purge::Purge;
pub use settings::{Chat, Rules, Scope, Settings, Store, TableFiles};
pub use stats::{Listed, Place, Purged, Questioned, Share, Stats};
pub use status::{How, Status};

/// What finds an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Who may get the answer: `tenant:…`, `group:…` or `house`. Part of every look-up, so that no digest, whatever is in
    /// it, leads from one scope into another.
    pub scope: Arc<str>,
    /// SHA-256 of everything that changes the answer.
    pub digest: [u8; 32],
}

impl Key {
    /// The digest's 64 hexadecimal digits: the name of the entry for its owner.
    #[must_use]
    pub fn name(&self) -> String {
        use fmt::Write as _;
        self.digest.iter().fold(String::with_capacity(64), |mut name, byte| {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
            name
        })
    }
}

/// A kept answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The wire format of the body.
    pub surface: Surface,
    /// The upstream's whole answer.
    pub body: Bytes,
    /// Who answered.
    pub target: Target,
    /// The name that the client asked for.
    pub model: Arc<str>,
    /// Whose request was sent: the tenant whose share it takes.
    pub tenant: Arc<str>,
    /// How the conversation begins, at most [`HEAD_BYTES_MAX`] bytes; so that its owner can find it.
    pub head: Arc<str>,
    /// Milliseconds since the Unix epoch at which the answer was complete.
    pub kept_ms: u64,
    /// How long it may be served.
    pub ttl: Duration,
}

/// Most bytes of [`Entry::head`].
pub const HEAD_BYTES_MAX: usize = 200;

/// What an entry takes in memory besides its body and its texts, in bytes: measured on a 64-bit machine, rounded up.
const ENTRY_BYTES: usize = 320;

impl Entry {
    /// How old it is. A clock that was set back makes nothing older than it is.
    #[must_use]
    pub fn age(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.kept_ms))
    }

    /// How long it may still be served; zero when it is over. One from the future, which a clock that was set back
    /// leaves, is over as well: nobody knows its age.
    #[must_use]
    pub fn fresh_for(&self, now_ms: u64) -> Duration {
        fresh_for(self.kept_ms, self.ttl, now_ms)
    }

    /// What it takes in memory, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        ENTRY_BYTES + self.body.len() + self.model.len() + self.tenant.len() + self.head.len()
    }
}

/// [`Entry::fresh_for`] of an entry of which only this much is at hand.
#[must_use]
pub fn fresh_for(kept_ms: u64, ttl: Duration, now_ms: u64) -> Duration {
    if kept_ms > now_ms.saturating_add(CLOCK_SKEW_MS) {
        return Duration::ZERO;
    }
    ttl.saturating_sub(Duration::from_millis(now_ms.saturating_sub(kept_ms)))
}

/// A clock may be set back by so much without making the newest entries useless: NTP corrects by less.
const CLOCK_SKEW_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn entry(kept_ms: u64, ttl_s: u64) -> Entry {
        Entry {
            surface: Surface::OpenaiChat,
            body: Bytes::from_static(b"{}"),
            target: Target::new("box", "qwen"),
            model: "fast".into(),
            tenant: "tenant:a".into(),
            head: "Hi".into(),
            kept_ms,
            ttl: Duration::from_secs(ttl_s),
        }
    }

    #[test]
    fn freshness_ends() {
        for (kept_ms, ttl_s, now_ms, age_s, fresh_s) in [
            (1_000_000, 60, 1_000_000, 0, 60),
            (1_000_000, 60, 1_059_000, 59, 1),
            (1_000_000, 60, 1_060_000, 60, 0),
            (1_000_000, 60, 9_000_000, 8_000, 0),
            // The clock was set back, a little and by far.
            (1_000_000, 60, 990_000, 0, 60),
            (1_000_000, 60, 100_000, 0, 0),
        ] {
            let entry = entry(kept_ms, ttl_s);
            let want = (Duration::from_secs(age_s), Duration::from_secs(fresh_s));
            assert_eq!((entry.age(now_ms), entry.fresh_for(now_ms)), want, "{kept_ms} {ttl_s} {now_ms}");
        }
    }

    #[test]
    fn a_key_has_a_name() {
        let mut digest = [0; 32];
        digest[0] = 0xa7;
        let name = Key { scope: "house".into(), digest }.name();
        assert_eq!((name.len(), &name[..4]), (64, "a700"));
    }
}
