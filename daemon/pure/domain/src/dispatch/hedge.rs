//! A second copy of a request whose first token is late, where that costs nobody anything: on a place of the house that
//! has nothing to do ("The Tail at Scale", Dean and Barroso 2013).

use std::time::Duration;

use super::{Dispatch, Entry, Grant, House};
use crate::lane::Lane;
use crate::moment::Moment;
use crate::route::{Leg, Route, Strategy};

/// A card that is this busy with the work of others is not idle, in percent.
const PRESSED_PERCENT: u8 = 25;

impl Dispatch {
    /// After which time a request that goes there is late, if anything could be done about it.
    pub(super) fn hedge_after(&self, entry: &Entry, leg: &Leg, route: &Route, house: House<'_>) -> Option<Duration> {
        let is_other = |other: &Leg| other.is_local && other.target != leg.target;
        if !house.config.route.hedge || entry.lane == Lane::Bulk || !route.legs.iter().any(is_other) {
            return None;
        }
        let late = self.places.place(&leg.target)?.late.after(read_tokens(entry, leg), entry.is_stream)?;
        Some(late + leg.score.wait + leg.score.load)
    }

    /// The first token of a call is late: a place for its second copy, if there is one. The entry names the places that
    /// have it already as tried.
    pub fn hedge(&mut self, entry: &Entry, first: &Grant, house: House<'_>, now: Moment) -> Option<Grant> {
        if !house.config.route.hedge || self.running >= house.config.endpoint.max_concurrent {
            return None;
        }
        let route = self.choose(entry, house, now).ok()?;
        let leg = route.legs.into_iter().find(|leg| self.is_free_copy(entry, first, leg))?;
        if !self.budget.spend(now) {
            return None;
        }
        let (tokens, is_stream) = (read_tokens(entry, &first.leg), entry.is_stream);
        let place = self.places.known_mut(&first.leg.target)?;
        let running = place.running.iter_mut().find(|running| running.id == first.id)?;
        running.is_hedged = true;
        place.late.missed(tokens, is_stream);
        Some(self.occupy(entry, Leg { is_hedge: true, ..leg }, house, now))
    }

    /// The second copy was answered first: the conversation is there now.
    pub fn hedge_won(&mut self, entry: &Entry, grant: &Grant, now: Moment) {
        self.sessions.note(&entry.wish.prefix, &grant.leg.target, now);
    }

    /// Whether a place would answer at once, for nothing, and in nobody's way.
    fn is_free_copy(&self, entry: &Entry, first: &Grant, leg: &Leg) -> bool {
        let target = &leg.target;
        let is_same_model = target.model == first.leg.target.model;
        let is_by_time = matches!(leg.strategy, Strategy::Auto | Strategy::Fastest) && !entry.wish.tool_loop;
        let score = &leg.score;
        let is_free = leg.is_local && !leg.is_last_resort && score.price_micros == 0;
        let is_ready = score.first_token() == score.prefill;
        let site = self.places.site(&target.upstream);
        let is_cool = site.is_none_or(|site| site.pressure < PRESSED_PERCENT && !site.throttled);
        if !((is_same_model || is_by_time) && is_free && is_ready && is_cool) {
            return false;
        }
        // Only now, since it means to look at all places, and at all that wait.
        let mut neighbours = self.places.iter().filter(|(other, _)| other.upstream == target.upstream);
        let is_idle = neighbours.all(|(_, place)| place.taken() == 0);
        is_idle && !self.waiting.iter().any(|ticket| ticket.targets.contains(target))
    }
}

fn read_tokens(entry: &Entry, leg: &Leg) -> u64 {
    entry.wish.prompt_tokens.saturating_sub(leg.score.warm_tokens)
}
