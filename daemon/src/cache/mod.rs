//! Kept answers: those that are asked for most in memory, and all of them in a database behind it.
//!
//! What is looked for on the request path is looked for in memory; the database is asked by a thread of its own, and waited
//! for so shortly that nobody notices.

mod front;
mod given;
mod questions;
mod shelves;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::cache::{Entry, Key, Listed, Purge, Purged, Settings, Stats};

use crate::edges::Clock;
use crate::store::{ENTRY_BYTES_MAX, Store};
use front::{Before, Front};
use questions::Questions;
pub(crate) use questions::{Judged, Looked, Meaning, Place};

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

    /// Keeps an answer that was begun after so many [`Cache::purges`]: in memory from now on, and in the database in a moment.
    /// Whether it is kept: one that is very large is not, nor one that a purge since may have named.
    pub(crate) fn keep(&self, key: Key, entry: Arc<Entry>, purges: u64) -> bool {
        let Some(store) = &self.store else { return false };
        if entry.size() > ENTRY_BYTES_MAX {
            return false;
        }
        let before = Before::at(purges);
        // A purge counts itself before it goes into the queue: either it comes behind this, or this is not due.
        store.keep(key.clone(), entry.clone(), || self.front.before() == before)
            && self.front.put_found(key, entry, before).is_some()
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
        let purge = as_written(purge);
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
        store.list(&as_written(filter.clone()), max.min(LISTED_MAX))
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

/// The beginning of a conversation is known in Unicode's Normalization Form C; whoever names it may write another.
fn as_written(purge: Purge) -> Purge {
    Purge { prefix: purge.prefix.map(|prefix| wire::json::composed(prefix.into()).into_owned()), ..purge }
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

    fn kept(tenant: &str, body: &str, clock: &SetClock) -> Arc<Entry> {
        Arc::new(entry(tenant, body, clock))
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
            assert_eq!(cache.keep(key("house", 1), kept("a", "one", &clock), 0), enabled);
            assert_eq!(cache.look(&key("house", 1)).await.is_some(), enabled);
            assert_eq!(cache.list(&Purge::default(), 1).is_err_and(|why| why.contains("cache.enabled")), !enabled);
        }
    }

    #[tokio::test]
    async fn what_is_in_memory_is_found_without_the_database() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SetClock::at(1_000_000));
        // Nobody opens a database.
        let cache = Cache::open(&Settings::default(), dir.path(), clock.clone());
        cache.keep(key("house", 1), kept("a", "one", &clock), cache.purges());
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
            cache.keep(key("house", number), kept("a", "one", &clock), cache.purges());
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
        cache.keep(key("house", 1), kept("a", "one", &clock), cache.purges());
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
        assert!(!cache.keep(key("house", 1), kept("a", &"x".repeat(ENTRY_BYTES_MAX), &clock), 0));
        cache.flush().await;
        assert_eq!((cache.stats().memory.entries, cache.stats().database.entries), (0, 0));
    }

    #[tokio::test]
    async fn what_was_begun_before_a_purge_is_not_kept_after_it() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SetClock::at(1_000_000));
        let cache = running(&Settings::default(), dir.path(), &clock);
        let began = cache.purges();
        assert!(cache.keep(key("house", 1), kept("a", "one", &clock), began));
        cache.purge(Purge { all: true, ..Purge::default() }).await.unwrap();
        assert!(!cache.keep(key("house", 1), kept("a", "one", &clock), began));
        assert!(cache.keep(key("house", 2), kept("a", "two", &clock), cache.purges()));
        cache.flush().await;
        assert!(cache.front(&key("house", 1)).is_none());
        assert_eq!((cache.stats().memory.entries, cache.stats().database.entries), (1, 1));
    }

    /// Whatever comes between: of what was begun before a purge, nothing is there after it.
    #[tokio::test]
    async fn a_purge_may_come_at_any_moment() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SetClock::at(1_000_000));
        let cache = running(&Settings::default(), dir.path(), &clock);
        for round in 0..50 {
            let began = cache.purges();
            let keeps = std::thread::spawn({
                let (cache, clock) = (cache.clone(), clock.clone());
                move || {
                    for number in 0..200 {
                        cache.keep(key("house", number), kept("a", "one", &clock), began);
                    }
                }
            });
            tokio::time::sleep(Duration::from_micros(20 * round)).await;
            cache.purge(Purge { all: true, ..Purge::default() }).await.unwrap();
            keeps.join().unwrap();
            cache.flush().await;
            assert_eq!((cache.stats().memory.entries, cache.stats().database.entries), (0, 0), "round {round}");
        }
    }

    #[tokio::test]
    async fn a_prefix_is_found_in_whatever_form_it_is_written() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SetClock::at(1_000_000));
        let cache = running(&Settings::default(), dir.path(), &clock);
        let head = "\u{dc}ber \u{e9}t\u{e9}".into();
        cache.keep(key("house", 1), Arc::new(Entry { head, ..entry("a", "one", &clock) }), cache.purges());
        cache.flush().await;
        for (prefix, want) in [("U\u{308}ber e\u{301}", 1), ("\u{dc}ber", 1), ("Uber", 0)] {
            let filter = Purge { prefix: Some(prefix.to_owned()), ..Purge::default() };
            assert_eq!(cache.list(&filter, 9).unwrap().len(), want, "{prefix}");
        }
        // As long as it may be once it is composed.
        let long = Purge { prefix: Some("e\u{301}".repeat(100)), ..Purge::default() };
        assert_eq!(cache.purge(long).await, Ok(Purged::default()));
        let other = Purge { prefix: Some("U\u{308}".to_owned()), ..Purge::default() };
        assert_eq!(cache.purge(other).await.unwrap().entries, 1);
    }
}
