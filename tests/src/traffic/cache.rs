//! A node's prompt cache as it really is: whole conversations, the least recently used one goes first.

use std::collections::{HashMap, VecDeque};

/// Which conversations a node has in its KV cache.
#[derive(Debug, Clone, Default)]
pub(super) struct Cache {
    talks: HashMap<u32, Talk>,
    /// Each use of a conversation, oldest first; one that was used again stands further back as well.
    uses: VecDeque<(u64, u32)>,
    tokens: u64,
    capacity: u64,
    used: u64,
}

#[derive(Debug, Clone, Copy)]
struct Talk {
    tokens: u64,
    used: u64,
}

impl Cache {
    pub(super) fn new(capacity: u64) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Tokens of a conversation's beginning that need not be read again.
    pub(super) fn warm(&self, talk: u32) -> u64 {
        self.talks.get(&talk).map_or(0, |talk| talk.tokens)
    }

    /// A conversation was read or continued up to this length.
    pub(super) fn keep(&mut self, talk: u32, tokens: u64) {
        self.used += 1;
        let before = self.talks.insert(talk, Talk { tokens, used: self.used }).map_or(0, |before| before.tokens);
        self.tokens = self.tokens + tokens - before;
        self.uses.push_back((self.used, talk));
        while self.tokens > self.capacity {
            let Some((used, oldest)) = self.uses.pop_front() else { break };
            if self.talks.get(&oldest).is_some_and(|talk| talk.used == used) {
                let gone = self.talks.remove(&oldest);
                self.tokens -= gone.map_or(0, |talk| talk.tokens);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.talks.clear();
        self.uses.clear();
        self.tokens = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_used_longest_ago_goes_first() {
        let mut cache = Cache::new(100);
        cache.keep(1, 40);
        cache.keep(2, 40);
        cache.keep(1, 50);
        cache.keep(3, 30);
        assert_eq!([1, 2, 3].map(|talk| cache.warm(talk)), [50, 0, 30]);
        cache.keep(4, 100);
        assert_eq!([1, 2, 3, 4].map(|talk| cache.warm(talk)), [0, 0, 0, 100]);
        cache.clear();
        assert_eq!(cache.warm(4), 0);
    }
}
