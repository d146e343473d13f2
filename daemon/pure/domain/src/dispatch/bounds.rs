//! What ends a request before it is called: a queue that is too long, a client whose time is over, and a house in which
//! so much fails that nothing is tried twice.

use std::time::Duration;

use super::{Attempt, Dispatch, Entry, House};
use crate::catalogue::Target;
use crate::moment::Moment;
use crate::places::hold;
use crate::refusal::Refusal;
use crate::route::{Leg, Route};

/// Answers after which predictions of the wait are trusted so far that a request is refused for them.
const TRUSTED_ANSWERS: u64 = 3;
/// When to come back to a house in which too much fails: the budget has an attempt more each second.
const RETRY_AFTER_FAILURES: Duration = Duration::from_secs(1);

impl Dispatch {
    /// How long a request may still wait, as things are: longer, as soon as it waits for a place that gets ready.
    #[must_use]
    pub fn patience(&self, ticket: u64, now: Moment) -> Duration {
        let Some(ticket) = self.waiting.iter().find(|waiting| waiting.id == ticket) else { return Duration::ZERO };
        let most = ticket.gives_up.since(now);
        ticket.entry.until.map_or(most, |until| most.min(until.since(now)))
    }

    /// Whether a place has answered that it loads its model, and not for so long that nobody waits for it any more.
    #[must_use]
    pub fn is_awaited(&self, target: &Target, house: House<'_>, now: Moment) -> bool {
        let held = hold(self.places.site(&target.upstream), self.places.place(target), true, now);
        held.is_some_and(|held| held.is_awaited(house.config.endpoint.load_wait, now))
    }

    pub(super) fn check_bounds(&self, route: &Route, house: House<'_>) -> Result<(), Refusal> {
        let endpoint = &house.config.endpoint;
        let Some(first) = route.legs.first() else { return Ok(()) };
        let wait = first.score.wait;
        let waiting = self.waiting.len();
        if waiting >= endpoint.max_waiting {
            return Err(Refusal::QueueFull { waiting, retry_after: wait });
        }
        if wait > endpoint.queue_wait && self.is_trusted(first) {
            return Err(Refusal::LongQueue { waiting, wait, retry_after: wait.saturating_sub(endpoint.queue_wait) });
        }
        Ok(())
    }

    /// Whether the client will still be there: for the end of the wait at least, and where it is not the first attempt,
    /// for the first token.
    pub(super) fn check_deadline(&self, entry: &Entry, first: &Leg, now: Moment) -> Result<(), Refusal> {
        let Some(until) = entry.until else { return Ok(()) };
        let score = &first.score;
        let is_measured = self.places.site(&first.target.upstream).is_some_and(|site| site.sleep.is_measured());
        let wake = if is_measured { score.wake } else { Duration::ZERO };
        let needed = match entry.attempt {
            Attempt::First => score.wait + wake,
            // Nobody knows for how long a server loads that answers so: that is waited for, and sends nobody away.
            Attempt::AfterLoss | Attempt::AfterFailure if score.is_warming => score.wait + wake,
            Attempt::AfterLoss | Attempt::AfterFailure => score.wait + wake + score.load + score.prefill,
        };
        if now < until && (!self.is_trusted(first) || needed <= until.since(now)) {
            return Ok(());
        }
        let timeout_s = until.since(entry.since).as_secs();
        Err(Refusal::Late { timeout_s, wait: needed, retry_after: score.wait })
    }

    /// Whether the house bears one more attempt. A request that its place took down with it goes to one that does well in
    /// any case: a place dies once, and then its breaker is open.
    pub(super) fn check_budget(&mut self, entry: &Entry, first: &Leg, now: Moment) -> Result<(), Refusal> {
        let may = match entry.attempt {
            Attempt::First => {
                self.budget.earn(now);
                true
            }
            Attempt::AfterLoss if !first.is_last_resort => true,
            Attempt::AfterLoss | Attempt::AfterFailure => self.budget.spend(now),
        };
        if may { Ok(()) } else { Err(Refusal::RetriesSpent { retry_after: RETRY_AFTER_FAILURES }) }
    }

    fn is_trusted(&self, leg: &Leg) -> bool {
        self.places.place(&leg.target).is_some_and(|place| place.pace.answers >= TRUSTED_ANSWERS)
    }
}
