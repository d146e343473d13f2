//! One that waits.

use std::time::Duration;

use super::{Entry, House};
use crate::catalogue::Target;
use crate::moment::Moment;
use crate::route::{Route, Score, Strategy};

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
    /// What is predicted for the best of them.
    pub(super) score: Score,
    /// When that was decided.
    pub(super) chosen: Moment,
    /// When it has waited for too long.
    pub(super) gives_up: Moment,
}

/// Who goes first: the more urgent lane, then the client's turn, then the order of coming. The lanes count from 1, so that
/// a lane whose turn it is can be put before them.
pub(super) type Order = (u8, u64, u64);

impl Ticket {
    pub(super) fn new(id: u64, entry: Entry, start: u64) -> Self {
        let (targets, score) = (Vec::new(), Score::default());
        Self { id, entry, start, targets, is_choosy: false, score, chosen: Moment::START, gives_up: Moment::START }
    }

    /// Takes a decision over.
    pub(super) fn renew(&mut self, route: &Route, house: House<'_>, now: Moment) {
        let is_new = self.targets.is_empty();
        self.targets = route.legs.iter().map(|leg| leg.target.clone()).collect();
        self.chosen = now;
        let Some(first) = route.legs.first() else { return };
        self.score = first.score;
        // While its place wakes or warms up it does not queue, whenever that begins.
        if is_new || !first.score.is_ready() {
            self.gives_up = self.gives_up.max(now + first.score.ready_in() + house.config.endpoint.queue_wait);
        }
        self.is_choosy = first.is_bound || matches!(first.strategy, Strategy::Auto | Strategy::Fastest);
    }

    /// The places that it takes as soon as they have room: the best only, where the wait for it is part of the choice.
    pub(super) fn open(&self) -> &[Target] {
        if self.is_choosy { self.targets.get(..1).unwrap_or_default() } else { &self.targets }
    }

    pub(super) const fn order(&self) -> Order {
        (self.entry.lane as u8 + 1, self.start, self.id)
    }
}
