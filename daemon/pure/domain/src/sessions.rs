//! Where conversations have been answered: such a place has their beginning in its prompt cache.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::catalogue::Target;
use crate::moment::Moment;
use crate::route::Mark;

/// Which place has read the beginning of which conversation. Bounded by what the places' caches hold.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    warm: HashMap<u64, Warm, FixedState>,
    caches: HashMap<Target, Cache, FixedState>,
    /// Counts the entries, so that an older entry of the same conversation is told from the newest.
    turn: u64,
}

#[derive(Debug, Clone)]
struct Warm {
    target: Target,
    /// From the start of the conversation.
    tokens: u64,
    /// What it added to the place's cache.
    own_tokens: u64,
    used: Moment,
    turn: u64,
}

/// A place's prompt cache, as far as we filled it.
#[derive(Debug, Clone, Default)]
struct Cache {
    /// Hash and turn, oldest first.
    held: VecDeque<(u64, u64)>,
    tokens: u64,
}

/// What a place's prompt cache holds, in tokens: a few conversations of usual length.
const CACHE_TOKENS: u64 = 65_536;
/// Most entries for one place: many short prompts fit into its cache.
const HELD_MAX: usize = 4_096;
/// After such a silence a prompt cache is taken for cold.
const COLD_AFTER: Duration = Duration::from_secs(3_600);
/// Beginnings remembered of one conversation: the newest for its next turn, older ones for its other branches.
const MARKS_KEPT: usize = 4;

impl Sessions {
    /// Where the beginnings of a conversation have been read, with their lengths in tokens, the longest first.
    pub fn warm(&self, prefix: &[Mark]) -> impl Iterator<Item = (&Target, u64)> {
        prefix.iter().rev().filter_map(|mark| self.warm.get(&mark.hash)).map(|warm| (&warm.target, warm.tokens))
    }

    /// The longest beginning of a conversation that a place has read, in tokens.
    #[must_use]
    pub fn warm_tokens(&self, prefix: &[Mark], target: &Target) -> u64 {
        self.warm(prefix).find(|(at, _)| *at == target).map_or(0, |(_, tokens)| tokens)
    }

    /// Where the conversation was answered last, if that is not too long ago.
    #[must_use]
    pub fn last(&self, prefix: &[Mark], now: Moment) -> Option<&Target> {
        let at = |mark: &Mark| self.warm.get(&mark.hash).filter(|warm| now.since(warm.used) < COLD_AFTER);
        prefix.iter().rev().find_map(at).map(|warm| &warm.target)
    }

    /// Notes that a place reads a conversation.
    pub fn note(&mut self, prefix: &[Mark], target: &Target, now: Moment) {
        let mut known_tokens = self.warm_tokens(prefix, target);
        let first = prefix.len().saturating_sub(MARKS_KEPT);
        for mark in prefix.get(first..).unwrap_or_default() {
            self.turn += 1;
            let before = self.warm.get(&mark.hash).filter(|warm| warm.target == *target);
            let own_tokens = match before {
                Some(before) => before.own_tokens,
                None => mark.tokens.saturating_sub(known_tokens),
            };
            let grown = if before.is_some() { 0 } else { own_tokens };
            known_tokens = known_tokens.max(mark.tokens);
            let warm = Warm { target: target.clone(), tokens: mark.tokens, own_tokens, used: now, turn: self.turn };
            let cache = self.caches.entry(target.clone()).or_default();
            cache.tokens += grown;
            cache.held.push_back((mark.hash, self.turn));
            if let Some(left) = self.warm.insert(mark.hash, warm).filter(|left| left.target != *target)
                && let Some(cache) = self.caches.get_mut(&left.target)
            {
                cache.tokens = cache.tokens.saturating_sub(left.own_tokens);
            }
        }
        self.shrink(target);
    }

    /// Drops the oldest until the place's cache holds the rest.
    fn shrink(&mut self, target: &Target) {
        let Some(cache) = self.caches.get_mut(target) else { return };
        while cache.tokens > CACHE_TOKENS || cache.held.len() > HELD_MAX {
            let Some((hash, turn)) = cache.held.pop_front() else { break };
            // An entry that was used again stands further back as well.
            if let Some(warm) = self.warm.get(&hash).filter(|warm| warm.turn == turn) {
                cache.tokens = cache.tokens.saturating_sub(warm.own_tokens);
                self.warm.remove(&hash);
            }
        }
    }

    /// Forgets places that are no longer there. Clients may name any model of an upstream that does not tell its own.
    pub fn retain(&mut self, is_there: impl Fn(&Target) -> bool) {
        self.caches.retain(|target, _| is_there(target));
        self.warm.retain(|_, warm| self.caches.contains_key(&warm.target));
    }

    /// A place has lost its cache: it was restarted, or its model was thrown out of memory.
    pub fn forget(&mut self, target: &Target) {
        self.caches.remove(target);
        self.warm.retain(|_, warm| warm.target != *target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(name: &str) -> Target {
        Target::new(name, "m")
    }

    fn talk(hashes: &[u64]) -> Vec<Mark> {
        hashes.iter().zip(1..).map(|(hash, number)| Mark { hash: *hash, tokens: number * 100 }).collect()
    }

    const NOW: Moment = Moment::START;

    #[test]
    fn a_conversation_is_found_where_it_was() {
        let mut sessions = Sessions::default();
        sessions.note(&talk(&[1, 2]), &place("a"), NOW);
        let next = talk(&[1, 2, 3, 4]);
        assert_eq!(sessions.last(&next, NOW), Some(&place("a")));
        assert_eq!((sessions.warm_tokens(&next, &place("a")), sessions.warm_tokens(&next, &place("b"))), (200, 0));
        sessions.note(&next, &place("b"), NOW);
        assert_eq!(sessions.last(&talk(&[1, 2, 3, 4, 5]), NOW), Some(&place("b")));
        assert_eq!(sessions.last(&talk(&[9]), NOW), None);
    }

    #[test]
    fn after_an_hour_it_is_cold_and_after_a_loss_at_once() {
        let mut sessions = Sessions::default();
        sessions.note(&talk(&[1]), &place("a"), NOW);
        assert_eq!(sessions.last(&talk(&[1]), NOW + COLD_AFTER), None);
        sessions.forget(&place("a"));
        assert_eq!(sessions.last(&talk(&[1]), NOW), None);
    }

    #[test]
    fn a_cache_holds_what_it_holds() {
        let mut sessions = Sessions::default();
        let long = |hash| [Mark { hash, tokens: CACHE_TOKENS / 2 }];
        for hash in 1..=3 {
            sessions.note(&long(hash), &place("a"), NOW);
        }
        let known = [1, 2, 3].map(|hash| sessions.last(&long(hash), NOW).is_some());
        assert_eq!(known, [false, true, true]);
    }

    proptest! {
        #[test]
        fn it_stays_bounded(talks in prop::collection::vec((prop::collection::vec(0_u64..50, 1..12), 0..3_usize), 0..200)) {
            let mut sessions = Sessions::default();
            let places = ["a", "b", "c"].map(place);
            for (hashes, at) in talks {
                sessions.note(&talk(&hashes), &places[at], NOW);
                for cache in sessions.caches.values() {
                    prop_assert!(cache.tokens <= CACHE_TOKENS && cache.held.len() <= HELD_MAX);
                }
                prop_assert!(sessions.warm.len() <= 50);
            }
        }
    }
}
