//! The answers in memory: bounded by bytes; those that are asked for often stay longest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::cache::{Entry, Key, Place, Purge, Purged};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::edges::Clock;

/// One part of the memory, with a lock of its own. An answer that is larger than its part is not kept in memory, so parts
/// are not made smaller than this to have more of them.
const PART_BYTES_MIN: u64 = 8 << 20;
/// Most parts: more than the cores of a large box would lock at once.
const PARTS_MAX: u64 = 32;
/// A middling answer; from it follows how many keys of answers that had to go are remembered.
const MIDDLING_BYTES: u64 = 4 << 10;

/// What the map takes for one entry besides the entry, in bytes: the key, and its place in tables that are never quite full.
const PLACE_BYTES: usize = 160;

pub(super) struct Front {
    entries: Cache<Key, Arc<Kept>, Weight>,
    bytes_max: u64,
    clock: Arc<dyn Clock>,
    /// Purges so far: what was found before a purge must not be put in after it.
    purges: AtomicU64,
}

/// An answer in memory.
struct Kept {
    entry: Arc<Entry>,
    /// The hour in which it was last given, from the Unix epoch.
    hour: AtomicU64,
}

/// An answer that was found in memory.
pub(super) struct Hit {
    pub(super) entry: Arc<Entry>,
    /// Given for the first time in this hour: the database is to know that it is in use.
    pub(super) is_first_of_hour: bool,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Kept>> for Weight {
    fn weight(&self, key: &Key, kept: &Arc<Kept>) -> u64 {
        weight(key, &kept.entry)
    }
}

fn weight(key: &Key, entry: &Entry) -> u64 {
    (PLACE_BYTES + key.scope.len() + entry.size()) as u64
}

/// What was purged when something was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Before(u64);

impl Before {
    pub(super) const fn at(number: u64) -> Self {
        Self(number)
    }

    pub(super) const fn number(self) -> u64 {
        self.0
    }
}

impl Front {
    pub(super) fn new(bytes_max: u64, clock: Arc<dyn Clock>) -> Self {
        let parts = (bytes_max / PART_BYTES_MIN).clamp(1, PARTS_MAX);
        let mut options = OptionsBuilder::new();
        options
            .shards(usize::try_from(parts).unwrap_or(1))
            .estimated_items_capacity(usize::try_from(bytes_max / MIDDLING_BYTES).unwrap_or(usize::MAX))
            .weight_capacity(bytes_max);
        let entries = options.build().map_or_else(
            // Only a missing capacity is refused.
            |_| Cache::with_weighter(1, bytes_max, Weight),
            |options| Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default()),
        );
        Self { entries, bytes_max, clock, purges: AtomicU64::new(0) }
    }

    /// The fresh answer of this key.
    pub(super) fn get(&self, key: &Key) -> Option<Hit> {
        let kept = self.entries.get(key)?;
        let now_ms = self.clock.unix_ms();
        if kept.entry.fresh_for(now_ms).is_zero() {
            // Unless it has been replaced meanwhile.
            self.entries.remove_if(key, |other| Arc::ptr_eq(other, &kept));
            return None;
        }
        let hour = hour(now_ms);
        let is_first_of_hour =
            kept.hour.load(Ordering::Relaxed) != hour && kept.hour.swap(hour, Ordering::Relaxed) != hour;
        Some(Hit { entry: kept.entry.clone(), is_first_of_hour })
    }

    /// It is new, or was just read: the database knows that it is in use.
    fn kept(&self, entry: Arc<Entry>) -> Arc<Kept> {
        Arc::new(Kept { entry, hour: AtomicU64::new(hour(self.clock.unix_ms())) })
    }

    /// To be taken before something is looked for or made elsewhere.
    pub(super) fn before(&self) -> Before {
        Before(self.purges.load(Ordering::SeqCst))
    }

    /// Puts in what was found or made elsewhere, unless something was purged since: then it may have been that.
    pub(super) fn put_found(&self, key: Key, entry: Arc<Entry>, before: Before) -> Option<Arc<Entry>> {
        let kept = self.kept(entry);
        self.entries.insert(key.clone(), kept.clone());
        // A purge counts itself before it looks through the entries: either it sees this one, or we see it.
        if self.before() == before {
            return Some(kept.entry.clone());
        }
        self.entries.remove_if(&key, |other| Arc::ptr_eq(other, &kept));
        None
    }

    pub(super) fn remove(&self, key: &Key) {
        self.entries.remove(key);
    }

    /// Throws away what is named.
    pub(super) fn purge(&self, purge: &Purge) -> Purged {
        self.purges.fetch_add(1, Ordering::SeqCst);
        let (now_ms, mut purged) = (self.clock.unix_ms(), std::cell::Cell::new(Purged::default()));
        self.entries.retain(|key, kept| {
            let entry = &kept.entry;
            let goes = purge.names(key, entry, now_ms);
            if goes {
                let Purged { entries, bytes } = purged.get();
                purged.set(Purged { entries: entries + 1, bytes: bytes + weight(key, entry) });
            }
            !goes
        });
        std::mem::take(purged.get_mut())
    }

    pub(super) fn stats(&self) -> Place {
        Place { entries: self.entries.len() as u64, bytes: self.entries.weight(), bytes_max: self.bytes_max }
    }
}

/// Hours since the Unix epoch.
const fn hour(now_ms: u64) -> u64 {
    now_ms / 3_600_000
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SetClock, entry, key};
    use super::*;

    #[test]
    fn fresh_answers_are_found_and_old_ones_are_not() {
        let clock = SetClock::at(1_000_000);
        let front = Front::new(1 << 20, clock.clone());
        front.put_found(key("tenant:a", 1), Arc::new(entry("a", "one", &clock)), front.before());
        assert_eq!(front.get(&key("tenant:a", 1)).unwrap().entry.body, "one");
        assert!(front.get(&key("tenant:b", 1)).is_none(), "the same question of somebody else");
        assert!(front.get(&key("tenant:a", 2)).is_none());
        clock.pass(60_000);
        assert!(front.get(&key("tenant:a", 1)).is_none());
        assert_eq!(front.stats().entries, 0, "what is over takes no room");
    }

    #[test]
    fn use_is_told_once_an_hour() {
        let clock = SetClock::at(1_000_000);
        let front = Front::new(1 << 20, clock.clone());
        let lasting = Entry { ttl: std::time::Duration::from_secs(86_400), ..entry("a", "one", &clock) };
        front.put_found(key("house", 1), Arc::new(lasting), front.before());
        let mut told = Vec::new();
        for _ in 0..4 {
            told.push([(); 2].map(|()| front.get(&key("house", 1)).unwrap().is_first_of_hour));
            clock.pass(3_600_000);
        }
        assert_eq!(told, [[false, false], [true, false], [true, false], [true, false]]);
    }

    #[test]
    fn memory_is_bounded_by_bytes() {
        let clock = SetClock::at(1_000_000);
        let front = Front::new(1 << 20, clock.clone());
        let body = "x".repeat(10_000);
        for number in 0..500 {
            front.put_found(key("house", number), Arc::new(entry("a", &body, &clock)), front.before());
        }
        let Place { entries, bytes, bytes_max } = front.stats();
        assert!(bytes <= bytes_max && bytes > bytes_max / 2, "{bytes}");
        assert!((50..=100).contains(&entries), "{entries}");
        front.put_found(key("house", 1_000), Arc::new(entry("a", &"x".repeat(2 << 20), &clock)), front.before());
        assert!(front.get(&key("house", 1_000)).is_none(), "larger than all memory");
        assert!(front.stats().entries >= 50, "and it drove nothing out");
    }

    #[test]
    fn what_was_found_before_a_purge_does_not_come_back_after_it() {
        let clock = SetClock::at(1_000_000);
        let front = Front::new(1 << 20, clock.clone());
        let found = || Arc::new(entry("a", "one", &clock));
        let before = front.before();
        assert!(front.put_found(key("house", 1), found(), before).is_some());
        let purged = front.purge(&Purge { tenant: Some("a".to_owned()), ..Purge::default() });
        assert_eq!(purged.entries, 1);
        assert!(purged.bytes > 3);
        assert_eq!(front.put_found(key("house", 1), found(), before), None);
        assert!(front.get(&key("house", 1)).is_none());
        assert!(front.put_found(key("house", 1), found(), front.before()).is_some());
    }
}
