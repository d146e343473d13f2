//! The buckets of one subject, and how many of its requests run.

use super::limits::{SLOTS, limit_of};
use super::{Bucket, Limit, Limits, Reached, Standing, What, Window};
use crate::moment::Moment;

/// What one subject has used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buckets {
    slots: [Bucket; SLOTS],
    running: u32,
}

/// What a request needs at admission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needed {
    /// Tokens, read and written: an estimate, settled later.
    pub tokens: u64,
    /// Tokens of the prompt, estimated.
    pub input_tokens: u64,
    /// Bytes of the request.
    pub input_bytes: u64,
}

/// Which buckets a request was counted in, for settling: rules may change while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Charged(u8);

impl Buckets {
    /// Whether a request has room under all of `limits`. Nothing is counted.
    ///
    /// # Errors
    /// The gravest reason why not.
    pub fn look(&self, limits: &Limits, needed: &Needed, now: Moment) -> Result<(), Reached> {
        let sizes = [
            limits
                .input_bytes
                .filter(|allowed| needed.input_bytes > *allowed)
                .map(|allowed| Reached::InputBytes { allowed, needed: needed.input_bytes }),
            limits
                .input_tokens
                .filter(|allowed| needed.input_tokens > *allowed)
                .map(|allowed| Reached::InputTokens { allowed, needed: needed.input_tokens }),
            limits.concurrent.filter(|allowed| self.running >= *allowed).map(|allowed| Reached::Concurrent { allowed }),
        ];
        let rates = limits.rates().filter_map(|(slot, limit)| {
            let needed = count(limit, needed.tokens);
            let wait = self.slots[slot].look(limit, needed, now).err()?;
            Some(wait.map_or(Reached::Larger { limit, needed }, |retry_after| Reached::Rate { limit, retry_after }))
        });
        sizes.into_iter().flatten().chain(rates).reduce(Reached::graver).map_or(Ok(()), Err)
    }

    /// Counts a request that runs from now on.
    pub fn take(&mut self, limits: &Limits, needed: &Needed, now: Moment) -> Charged {
        let mut charged = Charged::default();
        for (slot, limit) in limits.rates() {
            self.slots[slot].take(limit, count(limit, needed.tokens), now);
            charged.0 |= 1 << slot;
        }
        self.running = self.running.saturating_add(1);
        charged
    }

    /// The request has ended, and used other than the `taken` tokens. That it was let in stays counted.
    pub fn settle(&mut self, charged: Charged, taken: u64, used: u64) {
        self.running = self.running.saturating_sub(1);
        for (slot, bucket) in self.slots.iter_mut().enumerate().filter(|(slot, _)| charged.0 & (1 << slot) != 0) {
            let limit = limit_of(slot, bucket.amount());
            if limit.what == What::Tokens {
                bucket.correct(limit, taken, used);
            }
        }
    }

    /// How these limits stand.
    #[must_use]
    pub fn standing(&self, limits: &Limits, now: Moment) -> Standing {
        let mut standing = Standing::default();
        limits.rates().for_each(|(slot, limit)| standing.note(self.slots[slot].window(limit, now)));
        standing
    }

    /// How everything that was ever counted stands, under the limits of then.
    pub fn windows(&self, now: Moment) -> impl Iterator<Item = Window> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, bucket)| bucket.amount() > 0)
            .map(move |(slot, bucket)| bucket.window(limit_of(slot, bucket.amount()), now))
    }

    /// Requests that run.
    #[must_use]
    pub const fn running(&self) -> u32 {
        self.running
    }

    /// Whether new buckets would do as well.
    #[must_use]
    pub fn is_idle(&self, now: Moment) -> bool {
        self.running == 0 && self.slots.iter().all(|bucket| bucket.is_dry(now))
    }
}

const fn count(limit: Limit, tokens: u64) -> u64 {
    match limit.what {
        What::Requests => 1,
        What::Tokens => tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Per;
    use proptest::prelude::*;
    use std::time::Duration;

    fn limit(what: What, amount: u64, per: Per) -> Limit {
        Limit { what, amount, per }
    }

    fn limits() -> Limits {
        Limits { concurrent: Some(3), input_tokens: Some(800), input_bytes: Some(4_000), ..Limits::default() }
            .with(limit(What::Requests, 10, Per::Minute))
            .with(limit(What::Tokens, 1_000, Per::Minute))
            .with(limit(What::Tokens, 5_000, Per::Day))
    }

    fn tokens(tokens: u64) -> Needed {
        Needed { tokens, ..Needed::default() }
    }

    #[test]
    fn each_limit_says_no_for_itself() {
        let tpm = limit(What::Tokens, 1_000, Per::Minute);
        for (needed, want) in [
            (tokens(1_000), Ok(())),
            (tokens(1_001), Err(Reached::Larger { limit: tpm, needed: 1_001 })),
            (Needed { input_tokens: 801, ..tokens(1) }, Err(Reached::InputTokens { allowed: 800, needed: 801 })),
            (Needed { input_bytes: 4_001, ..tokens(1) }, Err(Reached::InputBytes { allowed: 4_000, needed: 4_001 })),
        ] {
            assert_eq!(Buckets::default().look(&limits(), &needed, Moment::START), want);
        }
        let mut busy = Buckets::default();
        for _ in 0..3 {
            assert_eq!(busy.look(&limits(), &tokens(1), Moment::START), Ok(()));
            busy.take(&limits(), &tokens(1), Moment::START);
        }
        let full = Err(Reached::Concurrent { allowed: 3 });
        assert_eq!(busy.look(&limits(), &tokens(1), Moment::START), full);
        busy.settle(Charged::default(), 1, 1);
        assert_eq!(busy.look(&limits(), &tokens(1), Moment::START), Ok(()));
    }

    #[test]
    fn tokens_are_corrected_both_ways_and_requests_stay_counted() {
        let left = |buckets: &Buckets| {
            let standing = buckets.standing(&limits(), Moment::START);
            (standing.requests.unwrap().remaining, standing.tokens.unwrap().remaining)
        };
        for (used, want) in [(0, (9, 1_000)), (100, (9, 900)), (400, (9, 600)), (900, (9, 100)), (2_000, (9, 0))] {
            let mut buckets = Buckets::default();
            let charged = buckets.take(&limits(), &tokens(400), Moment::START);
            assert_eq!(left(&buckets), (9, 600));
            buckets.settle(charged, 400, used);
            assert_eq!(left(&buckets), want, "{used} used");
        }
    }

    #[test]
    fn a_limit_that_came_later_is_not_paid_back_what_it_never_took() {
        let mut buckets = Buckets::default();
        let charged = buckets.take(&Limits::default(), &tokens(900), Moment::START);
        buckets.take(&limits(), &tokens(500), Moment::START);
        buckets.settle(charged, 900, 0);
        assert_eq!(buckets.standing(&limits(), Moment::START).tokens.unwrap().remaining, 500);
    }

    #[test]
    fn idle_is_when_new_ones_would_do_as_well() {
        let mut buckets = Buckets::default();
        assert!(buckets.is_idle(Moment::START));
        let charged = buckets.take(&limits(), &tokens(50), Moment::START);
        let later = Moment::START + Duration::from_secs(900);
        assert!(!buckets.is_idle(later), "one runs");
        buckets.settle(charged, 50, 50);
        assert!(!buckets.is_idle(Moment::START));
        assert!(buckets.is_idle(later), "50 of 5,000 a day drain in a quarter of an hour");
    }

    proptest! {
        /// Refused by one, counted by none; and at the time that it is told, it is let in.
        #[test]
        fn all_or_nothing_and_true(steps in prop::collection::vec((0_u64..=1_000, 0_u64..30_000, any::<bool>()), 1..60)) {
            let limits = Limits { concurrent: None, ..limits() };
            let (mut buckets, mut now) = (Buckets::default(), Moment::START);
            for (asked, pause_ms, gives_back) in steps {
                let needed = tokens(asked);
                match buckets.look(&limits, &needed, now) {
                    Ok(()) => {
                        let charged = buckets.take(&limits, &needed, now);
                        buckets.settle(charged, asked, if gives_back { asked / 2 } else { asked });
                    }
                    Err(reached) => {
                        let wait = reached.retry_after().unwrap();
                        prop_assert_eq!(buckets.look(&limits, &needed, now + wait), Ok(()));
                        let early = wait.saturating_sub(Duration::from_nanos(1));
                        prop_assert!(buckets.look(&limits, &needed, now + early).is_err());
                    }
                }
                now = now + Duration::from_millis(pause_ms);
            }
        }
    }
}
