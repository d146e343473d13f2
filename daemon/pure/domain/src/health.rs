//! How a place that answers does: told by every call and probe, as a state with its cause, and as a circuit breaker.

mod state;

use std::time::Duration;

use crate::moment::Moment;

pub use state::{Standing, State};

/// What a failed call or probe tells of the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symptom {
    /// No connection, or a probe without an answer: nothing that is sent there arrives.
    Unreachable,
    /// An answer that failed, broke off, or came too late.
    Failing,
    /// It has no room now.
    Overloaded,
    /// It loads a model.
    Loading,
    /// It asks for a pause, and perhaps says how long.
    RateLimited {
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// It refuses our key.
    Unauthorized,
}

/// Whether a place may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Yes.
    Yes,
    /// One call, to see whether it is back.
    Trial,
    /// Not before this moment.
    Not {
        /// When a trial is due.
        until: Moment,
    },
}

/// Failures in a row that open the breaker.
const FAILURES_MAX: u32 = 3;
/// Weight of one call in the share of failures: about the last ten calls count.
const SHARE_WEIGHT: f64 = 0.1;
/// Share of failures that opens the breaker even where successes lie between them.
const SHARE_MAX: f64 = 0.5;
/// Share of failures below which a place is healthy again.
const SHARE_HEALTHY: f64 = 0.1;
/// Pause after the breaker opened for the first time; doubled with each failed trial.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest such pause: a place that is back serves within ten seconds, the look, the load of a small model and the first
/// answer included.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Pause after a refused key: a key is put right by a person.
const PAUSE_UNAUTHORIZED: Duration = Duration::from_secs(60);
/// Pause after a 429 without `Retry-After`.
const PAUSE_RATE_LIMITED: Duration = Duration::from_secs(5);
/// Longest `Retry-After` that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Pause after it said that it has no room or loads.
const PAUSE_BUSY: Duration = Duration::from_secs(1);
/// Longest wait for a trial's outcome before another one may be made.
const TRIAL_MAX: Duration = Duration::from_secs(10);

/// The health of one place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Spreads the pauses, so that several places, and several Airlanes, do not try at the same moments.
    seed: u32,
    answered: bool,
    /// Failures in a row.
    failures: u32,
    /// Share of failed calls, smoothed.
    share: f64,
    /// Why it is not called now.
    hold: Option<Hold>,
    /// Trials that failed since the breaker opened.
    trips: u32,
    /// When the last trial began, while its outcome is open.
    trial: Option<Moment>,
    /// The words of the last failure.
    cause: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Hold {
    state: State,
    /// When it came into this state.
    since: Moment,
    until: Moment,
}

impl Health {
    /// A place of which nothing is known. `seed` is any number, another one for each place.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self { seed, ..Self::default() }
    }

    /// It answered well.
    pub fn answered(&mut self) {
        let (seed, share) = (self.seed, self.share);
        // A place that failed and came back begins with a clean record, or its past would hold it off for long.
        let share = if self.hold.is_some() { 0.0 } else { share * (1.0 - SHARE_WEIGHT) };
        *self = Self { seed, share, answered: true, ..Self::default() };
    }

    /// It failed. `cause` is a sentence for the owner.
    pub fn failed(&mut self, now: Moment, symptom: Symptom, cause: impl Into<String>) {
        self.cause = cause.into();
        self.trial = None;
        let before = self.hold;
        let hold = |state, pause| {
            let since = before.filter(|before| before.state == state).map_or(now, |before| before.since);
            Some(Hold { state, since, until: now + pause })
        };
        match symptom {
            Symptom::RateLimited { retry_after } => {
                let pause = retry_after.unwrap_or(PAUSE_RATE_LIMITED).min(RETRY_AFTER_MAX);
                self.hold = hold(State::RateLimited, pause);
            }
            Symptom::Overloaded => self.hold = hold(State::Busy, PAUSE_BUSY),
            Symptom::Loading => self.hold = hold(State::Warming, PAUSE_BUSY),
            Symptom::Unauthorized => self.hold = hold(State::Misconfigured, PAUSE_UNAUTHORIZED),
            Symptom::Unreachable => self.hold = hold(State::Offline, self.trip()),
            Symptom::Failing => {
                self.failures = self.failures.saturating_add(1);
                self.share += (1.0 - self.share) * SHARE_WEIGHT;
                let is_trial = self.hold.is_some();
                if is_trial || self.failures >= FAILURES_MAX || self.share > SHARE_MAX {
                    self.hold = hold(State::Degraded, self.trip());
                }
            }
        }
    }

    /// The next pause: doubled each time, and spread by up to a quarter.
    fn trip(&mut self) -> Duration {
        let pause = PAUSE_MIN.saturating_mul(1 << self.trips.min(8)).min(PAUSE_MAX);
        self.trips = self.trips.saturating_add(1);
        // An odd multiplier of Knuth's (2^32 divided by the golden ratio) makes neighbours look different.
        let spread = self.seed.wrapping_add(self.trips).wrapping_mul(2_654_435_761) >> 24;
        pause - pause * spread / 1_024
    }

    /// How it does.
    #[must_use]
    pub fn state(&self) -> State {
        match self.hold {
            Some(hold) => hold.state,
            None if self.share > SHARE_HEALTHY && self.failures > 0 => State::Degraded,
            None if self.answered || self.failures > 0 => State::Healthy,
            None => State::Unknown,
        }
    }

    /// Why it does not do well; empty if it does.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// Whether it may be called.
    #[must_use]
    pub fn permission(&self, now: Moment) -> Permission {
        let Some(hold) = self.hold else { return Permission::Yes };
        let until = match self.trial {
            Some(trial) => trial + TRIAL_MAX,
            None => hold.until,
        };
        if now < until { Permission::Not { until } } else { Permission::Trial }
    }

    /// Since when it answers that it loads its model, if it does.
    #[must_use]
    pub fn warms_since(&self) -> Option<Moment> {
        self.hold.filter(|hold| hold.state == State::Warming).map(|hold| hold.since)
    }

    /// How it does, and when it is tried again if it is not called now.
    #[must_use]
    pub fn standing(&self, now: Moment) -> Standing<'_> {
        let trial_in = match self.permission(now) {
            Permission::Yes => None,
            Permission::Trial => Some(Duration::ZERO),
            Permission::Not { until } => Some(until.since(now)),
        };
        let state = self.state();
        Standing { state, cause: if state.is_well() { "" } else { &self.cause }, trial_in, ..Standing::default() }
    }

    /// A call has begun. While a place is on trial, it is the only one.
    pub const fn called(&mut self, now: Moment) {
        if self.hold.is_some() {
            self.trial = Some(now);
        }
    }

    /// A call ended without telling anything of the place, since its client left.
    pub const fn abandoned(&mut self) {
        self.trial = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Moment {
        Moment::START + Duration::from_secs(seconds)
    }

    #[test]
    fn each_symptom_has_its_state_and_its_pause() {
        let rate_limited = |seconds| Symptom::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
        for (symptom, state, held_s, free_s) in [
            (Symptom::Unreachable, State::Offline, 0, 1),
            (Symptom::Overloaded, State::Busy, 0, 1),
            (Symptom::Loading, State::Warming, 0, 1),
            (Symptom::RateLimited { retry_after: None }, State::RateLimited, 4, 5),
            (rate_limited(30), State::RateLimited, 29, 30),
            (rate_limited(1_000_000), State::RateLimited, 3_599, 3_600),
            (Symptom::Unauthorized, State::Misconfigured, 59, 60),
        ] {
            let mut health = Health::new(7);
            health.failed(at(0), symptom, "why");
            assert_eq!((health.state(), health.cause()), (state, "why"));
            assert!(matches!(health.permission(at(held_s)), Permission::Not { .. }), "{symptom:?}");
            assert_eq!(health.permission(at(free_s)), Permission::Trial, "{symptom:?}");
        }
    }

    #[test]
    fn single_failures_are_borne_and_a_row_opens_the_breaker() {
        let mut health = Health::new(1);
        assert_eq!(health.state(), State::Unknown);
        health.answered();
        health.failed(at(0), Symptom::Failing, "500");
        assert_eq!((health.state(), health.permission(at(0))), (State::Healthy, Permission::Yes));
        health.failed(at(0), Symptom::Failing, "500");
        assert_eq!((health.state(), health.permission(at(0))), (State::Degraded, Permission::Yes));
        health.failed(at(0), Symptom::Failing, "500");
        assert!(matches!(health.permission(at(0)), Permission::Not { .. }));
    }

    #[test]
    fn every_second_failure_opens_it_too() {
        let mut health = Health::new(1);
        let opened = (0..100).any(|call| {
            if call % 3 == 0 {
                health.answered()
            } else {
                health.failed(at(0), Symptom::Failing, "500")
            }
            health.permission(at(0)) != Permission::Yes
        });
        assert!(opened);
    }

    #[test]
    fn one_trial_at_a_time_and_its_outcome_counts() {
        let mut health = Health::new(1);
        health.failed(at(0), Symptom::Unreachable, "refused");
        assert_eq!(health.permission(at(1)), Permission::Trial);
        health.called(at(1));
        assert_eq!(health.permission(at(2)), Permission::Not { until: at(11) });
        health.abandoned();
        assert_eq!(health.permission(at(2)), Permission::Trial);
        health.called(at(2));
        health.answered();
        assert_eq!((health.state(), health.permission(at(2))), (State::Healthy, Permission::Yes));
        assert_eq!(health.cause(), "");
    }

    #[test]
    fn a_trial_that_fails_in_the_answer_closes_it_again() {
        let mut health = Health::new(1);
        health.failed(at(0), Symptom::Unreachable, "refused");
        health.called(at(1));
        health.failed(at(1), Symptom::Failing, "500");
        assert!(matches!(health.permission(at(1)), Permission::Not { .. }));
    }

    proptest! {
        #[test]
        fn pauses_grow_and_stay_bounded(seed: u32, trips in 1_usize..40) {
            let mut health = Health::new(seed);
            let mut now = Moment::START;
            for _ in 0..trips {
                health.failed(now, Symptom::Unreachable, "refused");
                let Permission::Not { until } = health.permission(now) else { panic!("no pause") };
                let pause = until.since(now);
                prop_assert!(pause >= PAUSE_MIN * 3 / 4 && pause <= PAUSE_MAX, "{pause:?}");
                now = until;
                prop_assert_eq!(health.permission(now), Permission::Trial);
            }
        }
    }
}
