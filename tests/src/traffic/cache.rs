//! A node's prompt cache as it really is: whole conversations, the least recently used one goes first.

use std::collections::HashMap;

/// Which conversations a node has in its KV cache.
#[derive(Debug, Clone, Default)]
pub(super) struct Cache {
    talks: HashMap<u32, Talk>,
    tokens: u64,
    capacity: u64,
    uses: u64,
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
        self.uses += 1;
        let before = self.talks.insert(talk, Talk { tokens, used: self.uses }).map_or(0, |before| before.tokens);
        self.tokens = self.tokens + tokens - before;
        while self.tokens > self.capacity {
            // Uses are numbered, so there is exactly one oldest.
            let Some((&oldest, &Talk { tokens, .. })) = self.talks.iter().min_by_key(|(_, talk)| talk.used) else {
                break;
            };
            self.talks.remove(&oldest);
            self.tokens -= tokens;
        }
    }

    pub(super) fn clear(&mut self) {
        self.talks.clear();
        self.tokens = 0;
    }
}
