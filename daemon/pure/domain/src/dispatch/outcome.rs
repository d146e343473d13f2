//! What a call told, and what follows from it.

use std::time::Duration;

use super::{Dispatch, Grant};
use crate::catalogue::Target;
use crate::health::Symptom;
use crate::moment::Moment;
use crate::pace::{Around, Measured};

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With a whole answer.
    Answered(Measured),
    /// With an answer that the request was wrong: the place does well.
    Rejected,
    /// With a failure of the place.
    Failed {
        /// What it tells of the place.
        symptom: Symptom,
        /// A sentence for the owner.
        cause: String,
    },
    /// Before anything was told: the client left.
    Left,
    /// Before anything was sent.
    Unsent,
}

impl Dispatch {
    /// The first token of a call has come: its prompt is read.
    pub fn first_token(&mut self, grant: &Grant, now: Moment) {
        let Some(place) = self.places.known_mut(&grant.leg.target) else { return };
        if let Some(running) = place.running.iter_mut().find(|running| running.id == grant.id) {
            if grant.leg.score.load.is_zero() {
                let around = Around { slow_percent: grant.leg.score.slow_percent, in_company: running.in_company };
                place.pace.look(running.unread_tokens, now.since(running.began), around);
            }
            running.end = now + running.end.since(running.first_token);
            running.first_token = now;
            running.is_read = true;
        }
        // It need not be waited for any longer.
        if place.health.warms_since().is_some() {
            place.health.answered();
        }
    }

    /// A call has ended. Those that wait may have their turn: [`Dispatch::wake`].
    pub fn ended(&mut self, grant: &Grant, outcome: Outcome, now: Moment) {
        let target = &grant.leg.target;
        let Some(place) = self.places.known_mut(target) else { return };
        let Some(position) = place.running.iter().position(|running| running.id == grant.id) else { return };
        let running = place.running.swap_remove(position);
        self.running = self.running.saturating_sub(1);
        place.told.note_end(now);
        let site = self.places.site(&target.upstream);
        let ignores_cancel = site.is_some_and(|site| site.ignores_cancel);
        let was_pressed = site.is_some_and(|site| site.pressure > 0);
        let Some(place) = self.places.known_mut(target) else { return };
        match outcome {
            Outcome::Answered(measured) => {
                let slow_percent = grant.leg.score.slow_percent;
                // One that was late has been counted as such.
                if !running.is_hedged {
                    place.late.note(&measured);
                }
                place.pace.note(&measured, Around { slow_percent, in_company: running.in_company });
                place.resident = place.resident.map(|_| true);
                place.health.answered();
                self.places.site_mut(&target.upstream).health.answered();
            }
            Outcome::Rejected => {
                place.health.answered();
                self.places.site_mut(&target.upstream).health.answered();
            }
            Outcome::Failed { symptom, cause } => self.ill(target, symptom, &cause, now),
            Outcome::Unsent => {
                place.health.abandoned();
                self.places.site_mut(&target.upstream).health.abandoned();
            }
            Outcome::Left => {
                place.health.abandoned();
                let others = place.told.others.running.max(u32::from(was_pressed && !place.told.is_counted()));
                place.abandoned.left(running.end, others, ignores_cancel, now);
                self.places.site_mut(&target.upstream).health.abandoned();
            }
        }
    }

    fn ill(&mut self, target: &Target, symptom: Symptom, cause: &str, now: Moment) {
        let site = &mut self.places.site_mut(&target.upstream).health;
        let is_site = match symptom {
            Symptom::Unreachable | Symptom::Unauthorized => true,
            Symptom::Failing | Symptom::Overloaded | Symptom::Loading | Symptom::RateLimited { .. } => false,
        };
        if is_site {
            site.failed(now, symptom, cause);
            self.forget_cache(target, symptom);
            return;
        }
        // It answered, if only with a failure of this model.
        site.answered();
        if let Some(place) = self.places.known_mut(target) {
            place.health.failed(now, symptom, cause);
        }
    }

    /// A server that was gone comes back with an empty cache.
    fn forget_cache(&mut self, target: &Target, symptom: Symptom) {
        if symptom == Symptom::Unreachable {
            self.sessions.forget(target);
        }
    }

    /// A probe of an upstream ended: well, or with a symptom.
    pub fn probed(&mut self, upstream: &str, result: Result<(), (Symptom, String)>, now: Moment) {
        let site = self.places.site_mut(upstream);
        match result {
            Ok(()) => {
                let has_loaded = site.health.warms_since().is_some();
                site.health.answered();
                site.sleep.answered(now);
                // What its models answered before holds no longer.
                let warming = self.places.of_mut(upstream).filter(|place| place.health.warms_since().is_some());
                warming.filter(|_| has_loaded).for_each(|place| place.health.answered());
            }
            Err((symptom, cause)) => site.health.failed(now, symptom, cause),
        }
    }

    /// What an upstream tells of one of its models: requests that it answers at once, and whether it is in memory.
    pub fn told(&mut self, target: &Target, slots: Option<u32>, resident: Option<bool>, is_local: bool) {
        let place = self.places.place_mut(target, is_local);
        place.slots = slots.or(place.told.slots);
        // A server that tells what is in memory does so more often than it lists its models.
        let resident = if place.told.memory { place.resident } else { resident };
        self.resides(target, resident);
    }

    /// Forgets models that are no longer offered, as far as nothing runs there, and upstreams that are gone.
    pub fn retain(&mut self, is_offered: impl Fn(&Target) -> bool, is_upstream: impl Fn(&str) -> bool) {
        self.places.retain(is_offered, is_upstream);
        self.sessions.retain(|target| self.places.place(target).is_some());
    }

    /// Whether a model is in memory. One that was thrown out has lost what it had read.
    pub(super) fn resides(&mut self, target: &Target, resident: Option<bool>) {
        let Some(place) = self.places.known_mut(target) else { return };
        let before = std::mem::replace(&mut place.resident, resident);
        if before == Some(true) && resident == Some(false) {
            self.sessions.forget(target);
        }
    }

    /// The longest predicted time until a place has worked off what it has to do.
    #[must_use]
    pub fn owed_max(&self, now: Moment) -> Duration {
        self.places.iter().map(|(_, place)| place.owed(now)).max().unwrap_or_default()
    }
}
