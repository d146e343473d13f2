//! Kept answers: those that are asked for most in memory, and all of them in a database behind it.
//!
//! What is looked for on the request path is looked for in memory; the database is asked by a thread of its own, and waited
//! for so shortly that nobody notices.

mod front;

use std::path::Path;
use std::sync::Arc;

use domain::cache::{Entry, Key, Place, Purge, Settings, Stats};

use crate::edges::Clock;
use front::Front;

/// All kept answers of the house.
pub(crate) struct Cache {
    enabled: bool,
    front: Front,
}

/// What a purge threw away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Purged {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// One entry, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// [`Key::name`].
    pub(crate) name: String,
    pub(crate) scope: String,
    /// The name that the client asked for.
    pub(crate) model: String,
    pub(crate) tenant: String,
    pub(crate) head: String,
    pub(crate) age_s: u64,
    /// Of the answer.
    pub(crate) bytes: u64,
}

impl Cache {
    /// Opens it. A database that cannot be opened is told of in [`Stats::trouble`]; the memory works without it.
    pub(crate) fn open(settings: &Settings, _dir: &Path, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { enabled: settings.enabled, front: Front::new(settings.memory_max_bytes, clock) })
    }

    /// Whether answers are kept at all.
    pub(crate) const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Looks in memory only.
    pub(crate) fn front(&self, key: &Key) -> Option<Arc<Entry>> {
        self.front.get(key)
    }

    /// Looks in memory, and then for some milliseconds at most in the database.
    #[expect(clippy::unused_async, reason = "the database comes next")]
    pub(crate) async fn look(&self, key: &Key) -> Option<Arc<Entry>> {
        self.front(key)
    }

    /// Keeps an answer: in memory from now on, and in the database in a moment.
    pub(crate) fn keep(&self, key: Key, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        if self.enabled {
            self.front.put(key, entry.clone());
        }
        entry
    }

    /// Throws away what is named. What was kept before does not come back.
    ///
    /// # Errors
    /// What could not be thrown away, as a sentence.
    #[expect(clippy::unused_async, reason = "the database comes next")]
    pub(crate) async fn purge(&self, purge: Purge) -> Result<Purged, String> {
        purge.check()?;
        Ok(self.front.purge(&purge))
    }

    /// How it is.
    pub(crate) fn stats(&self) -> Stats {
        Stats { memory: self.front.stats(), database: Place::default(), ..Stats::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use domain::catalogue::Target;
    use domain::surface::Surface;

    use super::*;

    /// A clock that the test sets.
    pub(super) struct SetClock(AtomicU64);

    impl SetClock {
        pub(super) fn at(now_ms: u64) -> Arc<Self> {
            Arc::new(Self(AtomicU64::new(now_ms)))
        }

        pub(super) fn pass(&self, ms: u64) {
            self.0.fetch_add(ms, Ordering::SeqCst);
        }
    }

    impl Clock for SetClock {
        fn unix_ms(&self) -> u64 {
            self.0.load(Ordering::SeqCst)
        }

        fn unique(&self) -> String {
            "x".repeat(24)
        }
    }

    pub(super) fn key(scope: &str, number: u32) -> Key {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        Key { scope: scope.into(), digest }
    }

    /// An answer that is fresh for a minute.
    pub(super) fn entry(tenant: &str, body: &str, clock: &SetClock) -> Entry {
        Entry {
            surface: Surface::OpenaiChat,
            body: Bytes::from(body.to_owned()),
            target: Target::new("box", "qwen"),
            model: "fast".into(),
            tenant: tenant.into(),
            head: "Hi".into(),
            kept_ms: clock.unix_ms(),
            ttl: Duration::from_secs(60),
        }
    }

    #[tokio::test]
    async fn a_cache_that_is_off_keeps_nothing() {
        let clock = SetClock::at(1_000_000);
        for enabled in [true, false] {
            let settings = Settings { enabled, ..Settings::default() };
            let cache = Cache::open(&settings, Path::new("/nonexistent"), clock.clone());
            let kept = cache.keep(key("house", 1), entry("a", "one", &clock));
            assert_eq!(kept.body, "one");
            assert_eq!(cache.look(&key("house", 1)).await.is_some(), enabled);
        }
    }

    #[tokio::test]
    async fn a_purge_that_names_nothing_is_refused() {
        let clock = SetClock::at(1_000_000);
        let cache = Cache::open(&Settings::default(), Path::new("/nonexistent"), clock.clone());
        cache.keep(key("house", 1), entry("a", "one", &clock));
        assert!(cache.purge(Purge::default()).await.is_err());
        assert_eq!(cache.stats().memory.entries, 1);
        assert_eq!(cache.purge(Purge { all: true, ..Purge::default() }).await.unwrap().entries, 1);
        assert!(cache.front(&key("house", 1)).is_none());
    }
}
