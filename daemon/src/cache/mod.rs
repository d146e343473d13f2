//! Kept answers: those that are asked for most in memory, and all of them in a database behind it.
//!
//! What is looked for on the request path is looked for in memory; the database is asked by a thread of its own, and waited
//! for so shortly that nobody notices.

mod front;
mod given;
mod questions;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::cache::{Entry, Key, Listed, Purge, Purged, Settings, Stats};

use crate::edges::Clock;
use crate::store::{ENTRY_BYTES_MAX, Store};
use front::Front;
use questions::Questions;
pub(crate) use questions::{Judged, Looked, Place};

/// Most entries that are listed at once.
pub(crate) const LISTED_MAX: usize = 1_000;

/// All kept answers of the house.
pub(crate) struct Cache {
    front: Front,
    /// None where nothing is to be kept.
    store: Option<Store>,
    questions: Questions,
}

impl Cache {
    /// A cache whose database belongs into `dir`. The database is opened by [`Cache::write`]; how it is, is told in
    /// [`Stats::trouble`], and the memory works without it.
    pub(crate) fn open(settings: &Settings, dir: &Path, clock: Arc<dyn Clock>) -> Arc<Self> {
        let store = settings.enabled.then(|| Store::new(settings, dir, clock.clone()));
        let questions = Questions::new(settings.table.clone());
        Arc::new(Self { front: Front::new(settings.memory_max_bytes, clock), store, questions })
    }

    /// Whether answers are kept at all.
    pub(crate) const fn is_enabled(&self) -> bool {
        self.store.is_some()
    }

    /// Writes the database on this thread, for as long as the process lives.
    pub(crate) fn write(&self) {
        if let Some(store) = &self.store {
            store.write();
        }
    }

    /// Reads the database on this thread, for as long as the process lives.
    pub(crate) fn read(&self) {
        if let Some(store) = &self.store {
            store.read();
        }
    }

    /// Looks for questions on this thread, for as long as the process lives.
    pub(crate) fn ask(&self) {
        if let Some(store) = &self.store {
            self.questions.run(store);
        }
    }

    /// Kept questions, of which one may ask the same in other words.
    pub(crate) const fn questions(&self) -> &Questions {
        &self.questions
    }

    /// Looks in memory only.
    pub(crate) fn front(&self, key: &Key) -> Option<Arc<Entry>> {
        let found = self.front.get(key)?;
        if let Some(store) = &self.store
            && found.is_first_of_hour
        {
            store.used(key.clone());
        }
        Some(found.entry)
    }

    /// Looks in memory, and then for some milliseconds at most in the database.
    pub(crate) async fn look(&self, key: &Key) -> Option<Arc<Entry>> {
        if let Some(entry) = self.front(key) {
            return Some(entry);
        }
        let before = self.front.before();
        let entry = self.store.as_ref()?.find(key).await?;
        self.front.put_found(key.clone(), entry, before)
    }

    /// Keeps an answer: in memory from now on, and in the database in a moment. One that is very large is not kept.
    pub(crate) fn keep(&self, key: Key, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        if let Some(store) = &self.store
            && entry.size() <= ENTRY_BYTES_MAX
        {
            self.front.put(key.clone(), entry.clone());
            store.keep(key, entry.clone());
        }
        entry
    }

    /// Throws one answer away, which somebody says is wrong.
    pub(crate) fn remove(&self, key: &Key) {
        self.front.remove(key);
        if let Some(store) = &self.store {
            store.remove(key.clone());
        }
    }

    /// Purges so far: who began to make an answer before one does not keep it after.
    pub(crate) fn purges(&self) -> u64 {
        self.front.before().number()
    }

    /// Throws away what is named. What was kept before does not come back.
    ///
    /// # Errors
    /// What could not be thrown away, as a sentence.
    pub(crate) async fn purge(&self, purge: Purge) -> Result<Purged, String> {
        purge.check()?;
        let in_memory = self.front.purge(&purge);
        let Some(store) = &self.store else { return Ok(in_memory) };
        let in_database = store.purge(purge.clone()).await;
        // While the database was looked through, some of it may have been found there.
        let again = self.front.purge(&purge);
        self.questions.clear();
        let in_memory = if in_memory.entries >= again.entries { in_memory } else { again };
        in_database.map(|purged| if purged.entries >= in_memory.entries { purged } else { in_memory })
    }

    /// The newest entries of the database that `filter` names, or of all where it names nothing; at most so many, and
    /// never more than [`LISTED_MAX`]. Blocks.
    ///
    /// # Errors
    /// A sentence that says why it cannot be told.
    pub(crate) fn list(&self, filter: &Purge, max: usize) -> Result<Vec<Listed>, String> {
        let store = self.store.as_ref().ok_or("nothing is kept: cache.enabled is false")?;
        store.list(filter, max.min(LISTED_MAX))
    }

    /// Waits until all that was kept before is in the database, or given up.
    pub(crate) async fn flush(&self) {
        if let Some(store) = &self.store {
            store.flush().await;
        }
    }

    /// Writes what is still to be written; waits for the disk so long at most. Nothing is kept afterwards.
    pub(crate) async fn close(&self, wait_max: Duration) {
        if let Some(store) = &self.store {
            store.close(wait_max).await;
        }
    }

    /// How it is.
    pub(crate) fn stats(&self) -> Stats {
        let database = self.store.as_ref().map(Store::stats).unwrap_or_default();
        Stats { memory: self.front.stats(), questions: self.questions.stats(), ..database }
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

    /// A cache whose database is at work in `dir`.
    fn running(settings: &Settings, dir: &Path, clock: &Arc<SetClock>) -> Arc<Cache> {
        let cache = Cache::open(settings, dir, clock.clone());
        let (writes, reads) = (cache.clone(), cache.clone());
        std::thread::spawn(move || writes.write());
        std::thread::spawn(move || reads.read());
        cache
    }

    #[tokio::test]
    async fn a_cache_that_is_off_keeps_nothing() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SetClock::at(1_000_000));
        for enabled in [true, false] {
            let settings = Settings { enabled, ..Settings::default() };
            let cache = running(&settings, dir.path(), &clock);
            let kept = cache.keep(key("house", 1), entry("a", "one", &clock));
            assert_eq!(kept.body, "one");
            assert_eq!(cache.look(&key("house", 1)).await.is_some(), enabled);
            assert_eq!(cache.list(&Purge::default(), 1).is_err_and(|why| why.contains("cache.enabled")), !enabled);
        }
    }

    #[tokio::test]
    async fn what_is_in_memory_is_found_without_the_database() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SetClock::at(1_000_000));
        // Nobody opens a database.
        let cache = Cache::open(&Settings::default(), dir.path(), clock.clone());
        cache.keep(key("house", 1), entry("a", "one", &clock));
        for _ in 0..3 {
            assert_eq!(cache.look(&key("house", 1)).await.unwrap().body, "one");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_purge_reaches_memory_and_database() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SetClock::at(1_000_000));
        let cache = running(&Settings::default(), dir.path(), &clock);
        assert!(cache.purge(Purge::default()).await.is_err(), "it names nothing");
        for number in 0..3 {
            cache.keep(key("house", number), entry("a", "one", &clock));
        }
        cache.flush().await;
        let before = cache.stats();
        assert_eq!((before.memory.entries, before.database.entries, before.written), (3, 3, 3));
        let one = Purge { entry: Some(key("house", 1).name()), ..Purge::default() };
        assert_eq!(cache.purge(one).await.unwrap().entries, 1);
        assert_eq!(cache.purge(Purge { all: true, ..Purge::default() }).await.unwrap().entries, 2);
        assert!(cache.front(&key("house", 0)).is_none() && cache.look(&key("house", 0)).await.is_none());
        assert_eq!((cache.stats().memory.entries, cache.stats().database.entries), (0, 0));
    }

    #[tokio::test]
    async fn what_memory_has_lost_is_found_in_the_database() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SetClock::at(1_000_000));
        let cache = running(&Settings::default(), dir.path(), &clock);
        cache.keep(key("house", 1), entry("a", "one", &clock));
        cache.flush().await;
        cache.front.purge(&Purge { all: true, ..Purge::default() });
        assert!(cache.front(&key("house", 1)).is_none());
        // The machine may be so busy that a look-up is late.
        let mut found = None;
        for _ in 0..1_000 {
            found = cache.look(&key("house", 1)).await;
            if found.is_some() {
                break;
            }
        }
        assert_eq!(found.unwrap().body, "one");
        assert!(cache.front(&key("house", 1)).is_some(), "and is in memory from now on");
    }

    #[tokio::test]
    async fn what_is_very_large_is_not_kept() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SetClock::at(1_000_000));
        let cache = running(&Settings::default(), dir.path(), &clock);
        let large = cache.keep(key("house", 1), entry("a", &"x".repeat(ENTRY_BYTES_MAX), &clock));
        assert_eq!(large.body.len(), ENTRY_BYTES_MAX, "whoever asked gets it");
        cache.flush().await;
        assert_eq!((cache.stats().memory.entries, cache.stats().database.entries), (0, 0));
    }
}
