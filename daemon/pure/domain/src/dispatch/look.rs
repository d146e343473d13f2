//! What would happen to a request, without anything happening.

use std::collections::HashMap;

use super::swap::Wanted;
use super::{Dispatch, Entry, House};
use crate::catalogue::Target;
use crate::moment::Moment;
use crate::refusal::Refusal;
use crate::route::{Leg, Route, weigh};

/// The whole decision for an entry at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Who was considered, and who was not.
    pub route: Route,
    /// For each of the route's legs, whether a request would be worked on there at once.
    pub room: Vec<bool>,
    /// Where it would go at once; `None` if it would wait, or is refused.
    pub goes: Option<Leg>,
    /// Why it would not be served.
    pub refusal: Option<Refusal>,
}

impl Dispatch {
    /// Decides on an entry as [`Dispatch::enter`] does, without letting it in.
    #[must_use]
    pub fn look(&self, entry: &Entry, house: House<'_>, now: Moment) -> Look {
        let (route, refusal) = weigh(&self.asked(entry, house, now));
        let wanted = Wanted::new(house.config, &self.waiting);
        let has_room = |leg: &Leg| leg.score.is_ready() && self.has_room(&leg.target, entry, &wanted, now);
        let room = route.legs.iter().map(has_room).collect();
        let goes = self.leg_with_room(entry, &route, &wanted, house, now);
        let late = route.legs.first().and_then(|first| self.check_deadline(entry, first, now).err());
        let full = || if goes.is_none() { self.check_bounds(&route, house).err() } else { None };
        Look { refusal: refusal.or(late).or_else(full), goes, room, route }
    }

    /// How many requests wait for each place as their first choice.
    #[must_use]
    pub fn queues(&self) -> HashMap<&Target, usize> {
        let mut queues = HashMap::new();
        for target in self.waiting.iter().filter_map(|ticket| ticket.targets.first()) {
            *queues.entry(target).or_default() += 1;
        }
        queues
    }
}
