//! One that waits.

use std::time::Duration;

use super::{Entry, Turn};
use crate::catalogue::Target;
use crate::moment::Moment;
use crate::route::{Route, Strategy};

/// A decision older than this is made again, whether or not a place has room: health and loads have changed.
pub(super) const STALE_AFTER: Duration = Duration::from_millis(500);

/// A request that waits for a place.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    pub(super) id: u64,
    pub(super) entry: Entry,
    /// Its turn among the clients, in tokens served.
    pub(super) start: u64,
    /// The places that may serve it, best first.
    pub(super) targets: Vec<Target>,
    /// It goes to the best of them only.
    pub(super) is_choosy: bool,
    /// Its predicted work at the best of them.
    pub(super) work: Duration,
    /// When that was decided.
    pub(super) chosen: Moment,
}

impl Ticket {
    pub(super) fn new(id: u64, entry: Entry, start: u64, route: &Route) -> Self {
        let chosen = entry.since;
        Self { id, entry, start, targets: targets(route), is_choosy: is_choosy(route), work: work(route), chosen }
    }

    pub(super) fn renew(&mut self, route: &Route, now: Moment) {
        (self.targets, self.work, self.chosen) = (targets(route), work(route), now);
        self.is_choosy = is_choosy(route);
    }

    /// The places that it takes as soon as they have room: the best only, where the wait for it is part of the choice.
    pub(super) fn open(&self) -> &[Target] {
        if self.is_choosy { self.targets.get(..1).unwrap_or_default() } else { &self.targets }
    }

    pub(super) const fn turn(&self) -> Turn {
        Turn { id: self.id, lane: self.entry.lane, since: self.entry.since, start: self.start }
    }
}

fn targets(route: &Route) -> Vec<Target> {
    route.legs.iter().map(|leg| leg.target.clone()).collect()
}

fn is_choosy(route: &Route) -> bool {
    route.legs.first().is_some_and(|leg| leg.is_bound || matches!(leg.strategy, Strategy::Auto | Strategy::Fastest))
}

fn work(route: &Route) -> Duration {
    route.legs.first().map_or(Duration::ZERO, |leg| leg.score.load + leg.score.prefill + leg.score.decode)
}
