//! Fair shares: among requests of one lane, clients take turns by tokens, so that one with a thousand requests does not
//! shut out one with a single one (start-time fair queueing, Goyal, Vin and Cheng 1996).

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

/// Whose turn it is.
#[derive(Debug, Default)]
pub struct Shares {
    /// For each client, where its next request begins, in tokens.
    next: HashMap<Arc<str>, u64, FixedState>,
    /// How far the house has come, in tokens.
    virtual_time: u64,
}

/// Clients that are remembered; beyond it, those whose share is used up are forgotten.
const CLIENTS_MAX: usize = 4_096;

impl Shares {
    /// Where a request of this client and length begins.
    pub fn start(&mut self, client: &Arc<str>, tokens: u64) -> u64 {
        let start = self.next.get(client).copied().unwrap_or(0).max(self.virtual_time);
        if self.next.len() >= CLIENTS_MAX {
            let now = self.virtual_time;
            self.next.retain(|_, next| *next > now);
        }
        if self.next.len() < CLIENTS_MAX || self.next.contains_key(client) {
            self.next.insert(client.clone(), start.saturating_add(tokens.max(1)));
        }
        start
    }

    /// A request that begins there is served: the house has come so far.
    pub const fn served(&mut self, start: u64) {
        if start > self.virtual_time {
            self.virtual_time = start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_take_turns_by_tokens() {
        let mut shares = Shares::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let many: Vec<u64> = (0..3).map(|_| shares.start(&a, 100)).collect();
        assert_eq!((many, shares.start(&b, 10)), (vec![0, 100, 200], 0));
        shares.served(100);
        // Whoever was away does not save up turns.
        assert_eq!((shares.start(&b, 10), shares.start(&"c".into(), 1)), (100, 100));
    }

    #[test]
    fn clients_are_bounded() {
        let mut shares = Shares::default();
        for number in 0..CLIENTS_MAX * 2 {
            shares.start(&number.to_string().into(), 10);
        }
        assert!(shares.next.len() <= CLIENTS_MAX);
    }
}
