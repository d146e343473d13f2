//! Those that wait: who is looked at, in which order, and what becomes of them.

use std::collections::HashMap;

use super::swap::Wanted;
use super::{Dispatch, Grant, House, Woken, count, ticket};
use crate::catalogue::Target;
use crate::moment::Moment;
use crate::refusal::Refusal;

/// Most decisions made at one moment for those that wait; the others' turn is the next moment.
const DECISIONS_MAX: usize = 64;
/// Most of these for requests that want to wait for their place although another one has room. It may have become
/// better, but in a house of a thousand places there is always one with room; the others are asked when their decision
/// is stale.
const ELSEWHERE_MAX: usize = 4;
impl Dispatch {
    /// Gives places that have room to those that wait. To be called whenever something has changed, and now and then.
    pub fn wake(&mut self, house: House<'_>, now: Moment) -> Vec<Woken> {
        let mut woken = Vec::new();
        if self.waiting.is_empty() {
            return woken;
        }
        let wanted = Wanted::new(house.config, &self.waiting);
        // Each one's wait is the work of those before it, so that is added up along the way.
        let is_turn = self.places.begin_look(now);
        let mut order: Vec<(ticket::Order, u64)> =
            self.waiting.iter().map(|ticket| (ticket.order(), ticket.id)).collect();
        order.sort_unstable();
        if is_turn {
            self.take_turns(&mut order);
        }
        let (mut decisions, mut elsewhere) = (0, 0);
        for (_, id) in order {
            // They are kept in the order of their numbers.
            let Ok(position) = self.waiting.binary_search_by_key(&id, |ticket| ticket.id) else { continue };
            let is_over = decisions >= DECISIONS_MAX || self.running >= house.config.endpoint.max_concurrent;
            if !is_over && self.is_due(position, &mut elsewhere, &wanted, now) {
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

    /// Where a lane that is passed by has its turn at a place, the first of it goes before all others, unless these have
    /// waited longer: nobody is better off for being less urgent.
    fn take_turns(&self, order: &mut [(ticket::Order, u64)]) {
        // The first that waits for each place, and the lanes that have had their turn.
        let mut firsts: HashMap<&Target, (Moment, [bool; 3])> = HashMap::new();
        for (order, id) in order.iter_mut() {
            let Ok(position) = self.waiting.binary_search_by_key(id, |ticket| ticket.id) else { continue };
            let Some(ticket) = self.waiting.get(position) else { continue };
            let Some(target) = ticket.targets.first() else { continue };
            let (lane, since) = (ticket.entry.lane, ticket.entry.since);
            let (first, taken) = firsts.entry(target).or_insert((since, [false; 3]));
            let Some(taken) = taken.get_mut(lane as usize).filter(|taken| !**taken) else { continue };
            *taken = true;
            if since <= *first && self.places.place(target).is_some_and(|place| place.turns.is_due(lane)) {
                order.0 = 0;
            }
        }
        order.sort_unstable();
    }

    /// Whether something may have changed for one that waits.
    fn is_due(&self, position: usize, elsewhere: &mut usize, wanted: &Wanted<'_>, now: Moment) -> bool {
        let Some(ticket) = self.waiting.get(position) else { return false };
        let has_room = |target: &Target| self.has_room(target, &ticket.entry, wanted, now);
        if now.since(ticket.chosen) >= ticket::STALE_AFTER || ticket.open().iter().any(has_room) {
            return true;
        }
        let is_due = *elsewhere < ELSEWHERE_MAX && ticket.targets.iter().any(has_room);
        *elsewhere += usize::from(is_due);
        is_due
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
                ticket.renew(&route, now);
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
