//! What a place's server tells of it: the work of others there, its memory, its model.

use std::collections::VecDeque;
use std::time::Duration;

use super::Place;
use crate::health::{Standing, State};
use crate::lane::Lane;
use crate::moment::Moment;
use crate::reading::{InMemory, KV_FULL_PERCENT, Load, Others, OursThen};

/// What a server tells of one of its models.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// Requests of others there.
    pub others: Others,
    /// Requests that it works on at once.
    pub slots: Option<u32>,
    /// How much of its key-value cache its requests hold, in percent.
    pub kv_used_percent: Option<u8>,
    /// Tokens that it generates a second, for all requests together.
    pub tokens_per_s: Option<f64>,
    /// It tells whether the model is in memory.
    pub memory: bool,
    /// Since when it has been seen loading the model.
    pub loading_since: Option<Moment>,
    /// How much of the model lies in the machine's memory instead of the card's, in percent.
    pub on_cpu_percent: Option<u8>,
    /// It tells of its requests, so that the ends of ours are kept.
    is_counted: bool,
    /// When our last requests there ended, the latest last.
    ended: VecDeque<Moment>,
}

/// A request that was sent to a server this long before it was asked has surely arrived there.
const ARRIVES_WITHIN: Duration = Duration::from_millis(500);
/// A server may still count a request this long after its end: it has to notice that its client has left.
const LEAVES_WITHIN: Duration = Duration::from_secs(1);
/// Most requests of others that are reckoned with one by one: a server may tell of any number.
const ALIKE_MAX: u32 = 1_024;
/// Most ends that are kept: more within [`LEAVES_WITHIN`] are requests too small to count.
const ENDS_MAX: usize = 64;

impl Told {
    /// Whether it works for others, or loads the model.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.others.requests() > 0 || self.loading_since.is_some()
    }

    /// Whether it tells of its requests.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        self.is_counted
    }

    /// A request of ours has ended there.
    pub(crate) fn note_end(&mut self, now: Moment) {
        if !self.is_counted {
            return;
        }
        if self.ended.len() >= ENDS_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(now);
    }
}

impl Place {
    /// How many of our requests a server may have counted that was asked at `asked`.
    #[must_use]
    pub fn ours_at(&self, asked: Moment) -> OursThen {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let arrived = self.running.iter().filter(|running| asked.since(running.began) >= ARRIVES_WITHIN).count();
        let left = self.told.ended.iter().filter(|end| asked.since(**end) < LEAVES_WITHIN).count();
        OursThen { least: count(arrived), most: count(self.running.len() + left) }
    }

    /// Takes over what the server told of its requests, of which `others` are not ours.
    pub fn note_load(&mut self, load: &Load, others: Others) {
        let told = &mut self.told;
        if !told.is_counted {
            told.is_counted = true;
            told.ended.reserve(ENDS_MAX);
        }
        told.others = others;
        told.kv_used_percent = load.kv_used_percent;
        told.tokens_per_s = load.tokens_per_s;
        told.slots = load.slots;
        self.slots = self.slots.or(load.slots);
    }

    /// Takes over what the server told of the model; gives whether it is in memory.
    pub fn note_memory(&mut self, memory: InMemory, on_cpu_percent: Option<u8>, now: Moment) -> bool {
        self.told.memory = true;
        self.told.on_cpu_percent = on_cpu_percent;
        let since = self.told.loading_since.unwrap_or(now);
        self.told.loading_since = (memory == InMemory::Loading).then_some(since);
        memory == InMemory::Yes
    }

    /// The server tells nothing any more: what it told before no longer holds.
    pub fn forget_told(&mut self) {
        let is_counted = self.told.is_counted;
        let ended = std::mem::take(&mut self.told.ended);
        self.told = Told { is_counted, ended, slots: self.told.slots, ..Told::default() };
    }

    /// Whether a further request would be worked on at once.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let ours = self.running.len();
        let is_taken = self.slots.is_some_and(|slots| ours >= slots as usize);
        // Where others queue at the server itself, none of ours would ever find a free slot: one goes and queues there.
        let must_queue = ours == 0 && self.told.others.waiting > 0;
        !is_taken && (!self.is_full() || must_queue)
    }

    /// How it does. One that does well may still be loading its model.
    #[must_use]
    pub fn standing(&self, now: Moment) -> Standing<'_> {
        let standing = self.health.standing(now);
        if standing.state.is_well() && self.told.loading_since.is_some() {
            return Standing { state: State::Warming, ..standing };
        }
        standing
    }

    /// Until a newcomer of this lane gets a slot: the first one has become free, and those that wait before it have had
    /// theirs, all slots working at once.
    #[must_use]
    pub fn slot_free(&self, lane: Lane, now: Moment) -> Duration {
        let others = self.told.others;
        if !self.is_full() && others.waiting == 0 {
            return Duration::ZERO;
        }
        let ours = self.running.iter().map(|running| running.left(now));
        // All of theirs are alike, and no more than the slots count.
        let alike = self.slots.unwrap_or(ALIKE_MAX).clamp(1, ALIKE_MAX) as usize;
        let theirs = (others.running as usize).saturating_sub(self.abandoned.taken()).min(alike);
        let theirs = std::iter::repeat_n(self.usual_rest(), theirs).chain(self.abandoned.left_for(now));
        let mut left: Vec<Duration> = ours.chain(theirs).collect();
        left.sort_unstable();
        let slots = self.slots.map_or(left.len(), |slots| slots as usize).max(1);
        // More may run than there are slots, after the owner lowered them: the first of these free none.
        let first = left.get(left.len().saturating_sub(slots)).copied().unwrap_or_default();
        let before = self.ahead(lane) + self.usual() * others.waiting;
        first + before / u32::try_from(slots).unwrap_or(u32::MAX)
    }

    /// Slots that are taken: by what it works on for us, for others, and for clients of ours that have left. The last are
    /// among those of others where it tells of these.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.running.len().saturating_add(self.abandoned.taken().max(self.told.others.running as usize))
    }

    /// Whether a further request would have to wait there.
    fn is_full(&self) -> bool {
        let running = self.taken();
        let is_cache_full = self.told.kv_used_percent.is_some_and(|percent| percent >= KV_FULL_PERCENT) && running > 0;
        is_cache_full || self.slots.is_some_and(|slots| running >= slots as usize)
    }

    /// An answer of usual length.
    fn usual(&self) -> Duration {
        self.pace.decode(self.pace.output_tokens)
    }

    /// What a request of somebody else still takes, of which nobody knows when it began: half of a usual one.
    pub(super) fn usual_rest(&self) -> Duration {
        self.usual() / 2
    }

    /// Work that it still has to do for others.
    pub(super) fn owed_to_others(&self) -> Duration {
        let others = self.told.others;
        self.usual_rest() * others.running + self.usual() * others.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Running;

    fn at(ms: u64) -> Moment {
        Moment::START + Duration::from_millis(ms)
    }

    fn place(slots: Option<u32>, ours: u64, others: Others) -> Place {
        let mut place = Place::new(1, true);
        place.slots = slots;
        place.running = (0..ours).map(|id| Running { id, end: at(3_000), ..Running::default() }).collect();
        place.told.others = others;
        place
    }

    #[test]
    fn others_take_slots_away() {
        let others = |running, waiting| Others { running, waiting };
        for (slots, ours, theirs, room) in [
            (Some(4), 0, others(2, 0), true),
            (Some(4), 1, others(2, 0), true),
            (Some(4), 2, others(2, 0), false),
            (Some(4), 4, others(0, 0), false),
            (Some(4), 0, others(4, 0), false),
            (Some(4), 0, others(4, 3), true),
            (Some(4), 1, others(4, 3), false),
            (None, 9, others(9, 9), true),
        ] {
            let place = place(slots, ours, theirs);
            assert_eq!(place.has_room(), room, "{slots:?} {ours} {theirs:?}");
            let waits = !place.slot_free(Lane::Normal, at(0)).is_zero();
            assert_eq!(waits, place.is_full() || theirs.waiting > 0, "{slots:?} {ours} {theirs:?}");
        }
    }

    #[test]
    fn a_longer_queue_of_others_is_a_longer_wait() {
        let wait = |running, waiting| {
            place(Some(2), 1, Others { running, waiting }).slot_free(Lane::Normal, at(0)).as_millis()
        };
        let [free, full, queued, longer] = [wait(0, 0), wait(1, 0), wait(1, 2), wait(1, 9)];
        assert!(free == 0 && full > 0 && queued > full && longer > queued, "{free} {full} {queued} {longer}");
        assert!(place(None, 0, Others { running: 3, waiting: 1 }).owed(at(0)) > Duration::ZERO);
        assert_eq!(wait(10_000, 2), wait(2, 2), "no more than its slots count");
    }

    #[test]
    fn a_full_cache_has_no_room() {
        let mut place = place(None, 1, Others::default());
        for (percent, room) in [(None, true), (Some(94), true), (Some(95), false), (Some(100), false)] {
            place.told.kv_used_percent = percent;
            assert_eq!(place.has_room(), room, "{percent:?}");
        }
        assert!(!place.slot_free(Lane::Normal, at(0)).is_zero());
        // Nobody is there whose end could be waited for: what it told is old.
        place.running.clear();
        assert!(place.has_room());
    }

    #[test]
    fn ours_are_counted_for_the_time_of_the_question() {
        let mut place = place(Some(4), 0, Others::default());
        place.note_load(&Load::default(), Others::default());
        let began = |ms| Running { began: at(ms), ..Running::default() };
        place.running = vec![began(1_000), began(1_900), began(2_100)];
        for ended in [500, 1_200, 2_200] {
            place.told.note_end(at(ended));
        }
        // Only the first was there for long; of those that ended the first is surely gone.
        assert_eq!(place.ours_at(at(2_000)), OursThen { least: 1, most: 5 });
        for end in 0..1_000 {
            place.told.note_end(at(3_000 + end));
        }
        assert_eq!(place.told.ended.len(), ENDS_MAX);
        place.forget_told();
        assert_eq!(place.told.ended.len(), ENDS_MAX, "ours are still counted when it tells again");
    }

    #[test]
    fn a_place_that_loads_says_so_until_it_is_done() {
        let mut place = place(None, 0, Others::default());
        assert!(!place.note_memory(InMemory::Loading, None, at(100)));
        assert!(!place.note_memory(InMemory::Loading, None, at(900)));
        assert_eq!(place.told.loading_since, Some(at(100)));
        assert_eq!(place.standing(at(900)).state, State::Warming);
        assert!(place.note_memory(InMemory::Yes, Some(40), at(1_500)));
        assert_eq!((place.told.loading_since, place.told.on_cpu_percent), (None, Some(40)));
        assert_eq!(place.standing(at(1_500)).state, State::Unknown);
    }
}
