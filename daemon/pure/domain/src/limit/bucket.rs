//! One limit's count: the time at which it will have drained.

use std::time::Duration;

use super::{Limit, Window};
use crate::moment::Moment;

/// What one limit has counted, as the point in time at which all of it will have drained.
///
/// Settling corrects what was taken at admission, both ways. It is exact as long as the bucket did not run dry since; if
/// it did, some of what is given back had drained already, and others may get at most that much too early. So never more
/// is let in than the limit says, and what requests in flight had reserved too much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The amount of the limit for which `due` was counted; zero before the first request.
    amount: u64,
    /// When it will have drained, in ticks since the start.
    due: u64,
}

/// Ticks of a nanosecond. So a token of a limit of 10⁹ a minute is 960 ticks, and rounding up costs a thousandth at most;
/// 64 bits last for 36 years.
const TICKS: u64 = 16;

impl Bucket {
    /// Whether `needed` more have room, and if not, when they will: `Err(None)` is never.
    ///
    /// # Errors
    /// They have no room now.
    pub fn look(self, limit: Limit, needed: u64, now: Moment) -> Result<(), Option<Duration>> {
        if needed > limit.amount {
            return Err(None);
        }
        let level = self.fit(limit, now).level(now).saturating_add(cost(limit, needed));
        match level.checked_sub(span(limit)) {
            None | Some(0) => Ok(()),
            Some(over) => Err(Some(Duration::from_nanos(over.div_ceil(TICKS)))),
        }
    }

    /// Counts `taken` more, whether or not there is room.
    pub fn take(&mut self, limit: Limit, taken: u64, now: Moment) {
        let fitted = self.fit(limit, now);
        let due = fitted.due.max(ticks(now)).saturating_add(cost(limit, taken));
        *self = Self { due, amount: limit.amount };
    }

    /// Puts right that `taken` were counted where `used` were needed.
    pub fn correct(&mut self, limit: Limit, taken: u64, used: u64) {
        let limit = Limit { amount: self.amount, ..limit };
        self.due = self.due.saturating_sub(cost(limit, taken)).saturating_add(cost(limit, used));
    }

    /// How the limit stands.
    #[must_use]
    pub fn window(self, limit: Limit, now: Moment) -> Window {
        let level = self.fit(limit, now).level(now);
        let room = span(limit).saturating_sub(level);
        let remaining = scale(room, limit.amount, span(limit), Round::Down);
        Window { limit, remaining, reset: Duration::from_nanos(level.div_ceil(TICKS)) }
    }

    /// The limit's amount when something was counted last; zero if nothing was.
    #[must_use]
    pub const fn amount(self) -> u64 {
        self.amount
    }

    /// Whether all has drained, so that a new bucket would do as well.
    #[must_use]
    pub fn is_dry(self, now: Moment) -> bool {
        self.level(now) == 0
    }

    /// The same count under another amount: as many requests or tokens are in it, but no more than make it full.
    fn fit(self, limit: Limit, now: Moment) -> Self {
        if self.amount == limit.amount || self.amount == 0 || limit.amount == 0 {
            return Self { amount: limit.amount, ..self };
        }
        let level = scale(self.level(now), self.amount, limit.amount, Round::Down).min(span(limit));
        Self { amount: limit.amount, due: ticks(now).saturating_add(level) }
    }

    /// Ticks until it has drained.
    fn level(self, now: Moment) -> u64 {
        self.due.saturating_sub(ticks(now))
    }
}

/// The time that so many take to drain, rounded up.
fn cost(limit: Limit, count: u64) -> u64 {
    if limit.amount == 0 { 0 } else { scale(count, span(limit), limit.amount, Round::Up) }
}

#[derive(Clone, Copy)]
enum Round {
    Up,
    Down,
}

/// `number × times ÷ by`, of which `by` is not zero; with twice the bits only where they are needed.
fn scale(number: u64, times: u64, by: u64, round: Round) -> u64 {
    match (number.checked_mul(times), round) {
        (Some(product), Round::Down) => product / by,
        (Some(product), Round::Up) => product.div_ceil(by),
        (None, round) => {
            let (product, by) = (u128::from(number) * u128::from(times), u128::from(by));
            let scaled = match round {
                Round::Down => product / by,
                Round::Up => product.div_ceil(by),
            };
            u64::try_from(scaled).unwrap_or(u64::MAX)
        }
    }
}

const fn span(limit: Limit) -> u64 {
    limit.per.span().as_secs() * 1_000_000_000 * TICKS
}

fn ticks(now: Moment) -> u64 {
    let since = now.since(Moment::START);
    let whole = since.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(since.subsec_nanos()));
    whole.saturating_mul(TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Per, What};
    use proptest::prelude::*;

    const RPM: Limit = Limit { what: What::Requests, amount: 60, per: Per::Minute };

    fn at(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    fn filled(limit: Limit, taken: u64, now: Moment) -> Bucket {
        let mut bucket = Bucket::default();
        bucket.take(limit, taken, now);
        bucket
    }

    #[test]
    fn after_a_rest_all_at_once_and_then_as_it_drains() {
        let bucket = filled(RPM, 60, at(0));
        for (ms, want) in [
            (0, Err(Some(Duration::from_secs(1)))),
            (999, Err(Some(Duration::from_millis(1)))),
            (1_000, Ok(())),
            (60_000, Ok(())),
        ] {
            assert_eq!(bucket.look(RPM, 1, at(ms)), want, "after {ms} ms");
        }
        assert_eq!(bucket.look(RPM, 61, at(600_000)), Err(None));
    }

    #[test]
    fn windows_for_headers() {
        for (taken, ms, remaining, reset_ms) in
            [(0, 0, 60, 0), (1, 0, 59, 1_000), (60, 500, 0, 59_500), (60, 1_000, 1, 59_000), (60, 90_000, 60, 0)]
        {
            let window = filled(RPM, taken, at(0)).window(RPM, at(ms));
            assert_eq!((window.remaining, window.reset), (remaining, Duration::from_millis(reset_ms)), "{taken}, {ms}");
        }
    }

    #[test]
    fn another_amount_keeps_what_was_used() {
        let bucket = filled(RPM, 30, at(0));
        for (amount, remaining) in [(60, 30), (120, 90), (40, 10), (30, 0), (10, 0), (0, 0)] {
            assert_eq!(bucket.window(Limit { amount, ..RPM }, at(0)).remaining, remaining, "{amount}");
        }
    }

    #[test]
    fn a_limit_of_nothing_lets_nothing_in() {
        let none = Limit { amount: 0, ..RPM };
        assert_eq!(Bucket::default().look(none, 1, at(0)), Err(None));
        assert_eq!(Bucket::default().look(none, 0, at(0)), Ok(()));
    }

    fn limits() -> impl Strategy<Value = Limit> {
        let amounts = prop_oneof![1_u64..100, 1_u64..1_000_000_000, 1_u64..1_000_000_000_000];
        (amounts, 0_usize..3).prop_map(|(amount, per)| Limit { what: What::Tokens, amount, per: Per::ALL[per] })
    }

    proptest! {
        /// What is said to somebody who is refused is true, to the nanosecond.
        #[test]
        fn retry_after_is_true(limit in limits(), steps in prop::collection::vec((0.0..1.0_f64, 0_u64..100_000), 1..40)) {
            let (mut bucket, mut now) = (Bucket::default(), Moment::START);
            for (share, pause_ms) in steps {
                let needed = (limit.amount as f64 * share) as u64;
                match bucket.look(limit, needed, now) {
                    Ok(()) => bucket.take(limit, needed, now),
                    Err(wait) => {
                        let wait = wait.unwrap();
                        prop_assert_eq!(bucket.look(limit, needed, now + wait), Ok(()));
                        let early = wait.saturating_sub(Duration::from_nanos(1));
                        prop_assert!(bucket.look(limit, needed, now + early).is_err(), "a nanosecond earlier");
                    }
                }
                now = now + Duration::from_millis(pause_ms);
            }
        }

        /// In any span: at most the amount, and what drains in that span.
        #[test]
        fn never_over(limit in limits(), steps in prop::collection::vec((0.0..0.5_f64, 0_u64..20_000), 1..60)) {
            let (mut bucket, mut now) = (Bucket::default(), Moment::START);
            let mut taken = Vec::new();
            for (share, pause_ms) in steps {
                let needed = (limit.amount as f64 * share) as u64;
                if bucket.look(limit, needed, now).is_ok() {
                    bucket.take(limit, needed, now);
                    taken.push((now, needed));
                }
                now = now + Duration::from_millis(pause_ms);
            }
            for (first, &(from, _)) in taken.iter().enumerate() {
                for (last, &(until, _)) in taken.iter().enumerate().skip(first) {
                    let sum: u128 = taken[first..=last].iter().map(|(_, count)| u128::from(*count)).sum();
                    let drained = u128::from(limit.amount) * until.since(from).as_nanos() / limit.per.span().as_nanos();
                    prop_assert!(sum <= u128::from(limit.amount) + drained + 1);
                }
            }
        }

        /// Somebody who takes whatever is there gets all that drains, but for a thousandth.
        #[test]
        fn never_much_under(amount in 1_u64..1_000_000_000, per in 0_usize..3, chunk in 1_u64..50) {
            let limit = Limit { what: What::Tokens, amount, per: Per::ALL[per] };
            let chunk = (amount / 50 * chunk).clamp(1, amount);
            let (mut bucket, mut now, mut sum) = (Bucket::default(), Moment::START, 0_u64);
            for _ in 0..200 {
                if let Err(wait) = bucket.look(limit, chunk, now) {
                    now = now + wait.unwrap();
                }
                bucket.take(limit, chunk, now);
                sum += chunk;
            }
            let drained = u128::from(amount) * now.since(Moment::START).as_nanos() / limit.per.span().as_nanos();
            let most = u128::from(amount) + drained;
            prop_assert!(u128::from(sum + chunk) * 1_000 >= most * 999, "{} of {}", sum, most);
        }

        /// A bucket that did not run dry ends where it would be if all had been known before.
        #[test]
        fn settling_is_exact_while_busy(pairs in prop::collection::vec((0_u64..1_000, 0_u64..1_000), 1..30)) {
            let limit = Limit { what: What::Tokens, amount: 1_000_000, per: Per::Minute };
            let (mut settled, mut known) = (filled(limit, 500_000, at(0)), filled(limit, 500_000, at(0)));
            pairs.iter().for_each(|(taken, _)| settled.take(limit, *taken, at(10)));
            pairs.iter().for_each(|(_, used)| known.take(limit, *used, at(10)));
            pairs.iter().for_each(|(taken, used)| settled.correct(limit, *taken, *used));
            prop_assert_eq!(settled, known);
        }

        /// Windows tell the truth: what remains is let in, and not one more.
        #[test]
        fn what_remains_is_let_in(limit in limits(), share in 0.0..1.0_f64, ms in 0_u64..60_000) {
            let bucket = filled(limit, (limit.amount as f64 * share) as u64, at(0));
            let window = bucket.window(limit, at(ms));
            prop_assert_eq!(bucket.look(limit, window.remaining, at(ms)), Ok(()));
            prop_assert!(bucket.look(limit, window.remaining + 1, at(ms)).is_err());
            prop_assert!(bucket.is_dry(at(ms) + window.reset));
        }
    }
}
