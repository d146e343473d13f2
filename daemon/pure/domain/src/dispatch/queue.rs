//! Those that wait: who is looked at, in which order, and what becomes of them.

use std::collections::HashMap;

use super::swap::Wanted;
use super::ticket::Ticket;
use super::{Dispatch, Grant, House, Woken, count, ticket};
use crate::catalogue::Target;
use crate::lane::Lane;
use crate::moment::Moment;
use crate::places::Seen;
use crate::refusal::Refusal;

/// Most decisions made at one moment for those that wait; the others' turn is the next moment.
const DECISIONS_MAX: usize = 64;
/// Most places looked at in one moment for requests whose decision is merely old: each decision looks at all that offer
/// the model, and everybody else waits meanwhile.
const STALE_PLACES_MAX: usize = 6_400;
/// So many of these decisions there may be in the largest house.
const STALE_MIN: usize = 4;
/// Most decisions for requests that want to wait for their place although another one has room. It may have become
/// better, but in a house of a thousand places there is always one with room; the others are asked when their decision
/// is stale.
const ELSEWHERE_MAX: usize = 4;

/// What is left of a moment's decisions for requests whose place has no room.
struct Spare {
    stale: usize,
    elsewhere: usize,
}

impl Spare {
    fn new(upstreams: usize, seen: Seen) -> Self {
        let stale = (STALE_PLACES_MAX / upstreams.max(1)).clamp(STALE_MIN, DECISIONS_MAX);
        Self { stale, elsewhere: if seen.is_room { ELSEWHERE_MAX } else { 0 } }
    }
}

/// Takes one of a number, if there is one left.
const fn take(left: &mut usize) -> bool {
    let is_left = *left > 0;
    *left = left.saturating_sub(1);
    is_left
}

impl Dispatch {
    /// Gives places that have room to those that wait. To be called whenever something has changed, and now and then.
    pub fn wake(&mut self, house: House<'_>, now: Moment) -> Vec<Woken> {
        let mut woken = Vec::new();
        if self.waiting.is_empty() {
            return woken;
        }
        let wanted = Wanted::new(house.config, &self.waiting);
        // Each one's wait is the work of those before it, so that is added up along the way.
        let seen = self.places.begin_look(now);
        let mut order: Vec<(ticket::Order, u64)> =
            self.waiting.iter().map(|ticket| (ticket.order(), ticket.id)).collect();
        order.sort_unstable();
        if seen.is_turn {
            self.take_turns(&mut order, now);
        }
        let (mut decisions, mut spare) = (0, Spare::new(house.config.upstreams.len(), seen));
        for (_, id) in order {
            // They are kept in the order of their numbers.
            let Ok(position) = self.waiting.binary_search_by_key(&id, |ticket| ticket.id) else { continue };
            let is_over = decisions >= DECISIONS_MAX || self.running >= house.config.endpoint.max_concurrent;
            if !is_over && self.is_due(position, &mut spare, &wanted, now) {
                decisions += 1;
                if let Some(result) = self.decide(position, &wanted, house, now) {
                    woken.push(Woken { ticket: id, result });
                }
            } else if let Some(ticket) = self.waiting.get_mut(position) {
                count(&mut self.places, ticket);
            }
        }
        woken
    }

    /// Where a lane that is passed by has its turn at a place, the first of it goes before all others, if it has waited so
    /// many times longer than any of these ([`Lane::patience`]).
    fn take_turns(&self, order: &mut [(ticket::Order, u64)], now: Moment) {
        // For each place, since when the longest-waiting one of each lane has waited, and who is the first of its lane.
        let mut queues: HashMap<&Target, [Option<(Moment, u64)>; 3]> = HashMap::new();
        for (_, id) in order.iter() {
            let Some((ticket, target)) = self.first_choice(*id) else { continue };
            let since = ticket.entry.since;
            let Some(lane) = queues.entry(target).or_default().get_mut(ticket.entry.lane as usize) else { continue };
            let (longest, _) = lane.get_or_insert((since, *id));
            *longest = since.min(*longest);
        }
        for (order, id) in order.iter_mut() {
            let Some((ticket, target)) = self.first_choice(*id) else { continue };
            let lane = ticket.entry.lane;
            let Some(queue) = queues.get(target) else { continue };
            let is_first =
                queue.get(lane as usize).is_some_and(|of_lane| of_lane.is_some_and(|(_, first)| first == *id));
            let waited = now.since(ticket.entry.since);
            let has_waited = Lane::NAMES.iter().zip(queue).all(|((_, other), longest)| {
                let waits = |since: Moment| now.since(since).saturating_mul(lane.patience() / other.patience());
                *other >= lane || longest.is_none_or(|(since, _)| waited >= waits(since))
            });
            if is_first && has_waited && self.places.place(target).is_some_and(|place| place.turns.is_due(lane)) {
                order.0 = 0;
            }
        }
        order.sort_unstable();
    }

    /// One that waits, and the place that it waits for.
    fn first_choice(&self, id: u64) -> Option<(&Ticket, &Target)> {
        let position = self.waiting.binary_search_by_key(&id, |ticket| ticket.id).ok()?;
        let ticket = self.waiting.get(position)?;
        Some((ticket, ticket.targets.first()?))
    }

    /// Whether something may have changed for one that waits.
    fn is_due(&self, position: usize, spare: &mut Spare, wanted: &Wanted<'_>, now: Moment) -> bool {
        let Some(ticket) = self.waiting.get(position) else { return false };
        let has_room = |target: &Target| self.has_room(target, &ticket.entry, wanted, now);
        // A place with room is never left idle for decisions that are only old.
        if ticket.open().iter().any(has_room) {
            return true;
        }
        if now.since(ticket.chosen) >= ticket::STALE_AFTER {
            return take(&mut spare.stale);
        }
        spare.elsewhere > 0 && ticket.targets.iter().any(has_room) && take(&mut spare.elsewhere)
    }

    /// Decides again on one that waits; `None` if it goes on waiting.
    fn decide(
        &mut self,
        position: usize,
        wanted: &Wanted<'_>,
        house: House<'_>,
        now: Moment,
    ) -> Option<Result<Grant, Refusal>> {
        let ticket = self.waiting.get(position)?;
        let route = self.choose(&ticket.entry, house, now);
        let leg = match &route {
            Ok(route) => self.leg_with_room(&ticket.entry, route, wanted, house, now),
            Err(_) => None,
        };
        match (route, leg) {
            (Ok(route), Some(leg)) => {
                let ticket = self.waiting.remove(position);
                let hedge_after = self.hedge_after(&ticket.entry, &leg, &route, house);
                Some(Ok(Grant { hedge_after, ..self.grant(&ticket.entry, leg, ticket.start, house, now) }))
            }
            (Ok(route), None) => {
                if let Some(Err(refusal)) =
                    route.legs.first().map(|first| self.check_deadline(&ticket.entry, first, now))
                {
                    self.waiting.remove(position);
                    return Some(Err(refusal));
                }
                let ticket = self.waiting.get_mut(position)?;
                ticket.renew(&route, house, now);
                count(&mut self.places, ticket);
                None
            }
            (Err(refusal), _) => {
                self.waiting.remove(position);
                Some(Err(refusal))
            }
        }
    }
}
