//! Work whose client has left: does its server really stop it? Where it does not, the slot is taken until the work ends.

use std::time::Duration;

use crate::moment::Moment;

/// A call that was cancelled, and that its server may still work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abandoned {
    /// When its client left.
    since: Moment,
    /// When it will be through, if nobody stops it.
    until: Moment,
    /// Work of others that the server told of before.
    others: u32,
    /// It takes a slot: the server is known not to stop.
    takes_slot: bool,
    /// It was seen to go on.
    was_seen: bool,
}

/// What a server's own word told about its cancelled work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It went on.
    GoesOn,
    /// It was stopped.
    Stopped,
}

/// Time that a server has to notice that a client left: it looks when it sends the next token.
const GRACE: Duration = Duration::from_secs(2);
/// Work that would have ended soon anyhow tells nothing.
const TELLING: Duration = Duration::from_secs(4);
/// Time after which a card that a server keeps busy shows it: readings are smoothed, and what we just did is not yet told apart.
const CARD_SHOWS_AFTER: Duration = Duration::from_secs(8);
/// How long work is looked at, even if it was predicted to end sooner: predictions of length are guesses.
const WATCHED_MIN: Duration = Duration::from_secs(10);
/// Work that was just seen is not over yet.
const SEEN_STAYS: Duration = Duration::from_secs(2);
/// Most cancelled calls that are watched at one place.
const WATCHED_MAX: usize = 64;

/// The cancelled work of one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    work: Vec<Abandoned>,
}

impl Watch {
    /// A client has left. `takes_slot` where the server is known not to stop.
    pub fn left(&mut self, end: Moment, others: u32, takes_slot: bool, now: Moment) {
        self.tidy(now);
        if self.work.len() < WATCHED_MAX {
            self.work.push(Abandoned { since: now, until: end, others, takes_slot, was_seen: false });
        }
    }

    /// Slots that cancelled work takes.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.work.iter().filter(|work| work.takes_slot).count()
    }

    /// How long each slot that is taken so will be.
    pub fn left_for(&self, now: Moment) -> impl Iterator<Item = Duration> {
        self.work.iter().filter(|work| work.takes_slot).map(move |work| work.until.since(now))
    }

    /// Somebody should look whether it is still there.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.work.is_empty()
    }

    /// Forgets what must be over.
    pub fn tidy(&mut self, now: Moment) {
        self.work.retain(|work| now < work.until.max(work.since + WATCHED_MIN));
        for work in &mut self.work {
            work.takes_slot &= now < work.until;
        }
    }

    /// The server keeps its card busy, although it tells nothing of its requests and has none of ours.
    pub fn seen_on_card(&mut self, now: Moment) -> Option<Verdict> {
        self.tidy(now);
        let mut verdict = None;
        for work in self.work.iter_mut().filter(|work| now.since(work.since) >= CARD_SHOWS_AFTER && work.others == 0) {
            (work.takes_slot, work.was_seen) = (true, true);
            work.until = work.until.max(now + SEEN_STAYS);
            verdict = Some(Verdict::GoesOn);
        }
        verdict
    }

    /// The server works on this much that nobody of ours waits for.
    pub fn seen(&mut self, unexplained: u32, now: Moment) -> Option<Verdict> {
        self.tidy(now);
        let mut verdict = None;
        self.work.retain_mut(|work| {
            if now.since(work.since) < GRACE {
                return true;
            }
            if unexplained > work.others {
                (work.takes_slot, work.was_seen) = (true, true);
                work.until = work.until.max(now + SEEN_STAYS);
                verdict = Some(Verdict::GoesOn);
                return true;
            }
            let would_go_on = work.until.since(work.since) > TELLING && now < work.until;
            if would_go_on && !work.was_seen && now.since(work.since) <= TELLING {
                verdict = verdict.or(Some(Verdict::Stopped));
            }
            false
        });
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::after_start(Duration::from_millis(ms))
    }

    /// Work cancelled at second 10 that would end at second 40, at a server where one other thing went on.
    fn watch(takes_slot: bool) -> Watch {
        let mut watch = Watch::default();
        watch.left(at(40_000), 1, takes_slot, at(10_000));
        watch
    }

    #[test]
    fn what_goes_on_takes_a_slot_until_it_is_gone() {
        for (case, seen_at, unexplained, verdict, taken, open) in [
            ("too early to tell", 11_000, 2, None, 0, true),
            ("goes on", 12_000, 2, Some(Verdict::GoesOn), 1, true),
            ("only the others go on", 12_000, 1, Some(Verdict::Stopped), 0, false),
            ("nothing goes on", 13_900, 0, Some(Verdict::Stopped), 0, false),
            ("gone, but perhaps by itself", 30_000, 0, None, 0, false),
            ("longer than predicted", 39_999, 2, Some(Verdict::GoesOn), 1, true),
        ] {
            let mut watch = watch(false);
            let got = watch.seen(unexplained, at(seen_at));
            assert_eq!((got, watch.taken(), watch.is_open()), (verdict, taken, open), "{case}");
        }
        let mut watch = watch(false);
        watch.seen(2, at(39_500));
        watch.tidy(at(41_000));
        assert_eq!(watch.taken(), 1, "it was just seen");
        watch.tidy(at(41_600));
        assert_eq!((watch.taken(), watch.is_open()), (0, false));
    }

    #[test]
    fn where_a_server_is_known_not_to_stop_the_slot_is_taken_at_once() {
        let mut watch = watch(true);
        assert_eq!(watch.taken(), 1);
        watch.tidy(at(39_999));
        assert_eq!(watch.taken(), 1);
        watch.tidy(at(40_000));
        assert_eq!((watch.taken(), watch.is_open()), (0, false));
    }

    #[test]
    fn short_work_is_watched_for_a_while_and_takes_no_slot() {
        let mut watch = Watch::default();
        watch.left(at(10_500), 0, true, at(10_000));
        watch.tidy(at(11_000));
        assert_eq!((watch.taken(), watch.is_open()), (0, true));
        assert_eq!(watch.seen(1, at(13_000)), Some(Verdict::GoesOn), "the prediction was wrong");
        assert_eq!(watch.taken(), 1);
    }

    #[test]
    fn a_busy_card_tells_it_too_unless_it_was_busy_before() {
        let mut quiet = Watch::default();
        quiet.left(at(40_000), 0, false, at(10_000));
        assert_eq!((quiet.seen_on_card(at(17_000)), quiet.taken()), (None, 0), "too early to tell");
        assert_eq!((quiet.seen_on_card(at(18_000)), quiet.taken()), (Some(Verdict::GoesOn), 1));
        let mut busy = watch(false);
        assert_eq!((busy.seen_on_card(at(18_000)), busy.taken()), (None, 0), "others were there before");
    }

    #[test]
    fn the_watch_is_bounded() {
        let mut watch = Watch::default();
        (0..1_000).for_each(|_| watch.left(at(40_000), 0, true, at(10_000)));
        assert_eq!(watch.taken(), WATCHED_MAX);
    }
}
