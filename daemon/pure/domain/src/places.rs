//! What is known of the places that answer: their health, their speed, and what they have to do.

mod told;

use std::cmp::Reverse;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::abandoned::Watch;
use crate::catalogue::Target;
use crate::dispatch::Turns;
use crate::health::{Health, Permission, Standing, State};
use crate::lane::Lane;
use crate::late::Late;
use crate::moment::Moment;
use crate::pace::Pace;
use crate::reading::Engine;
use crate::sleep::Sleep;

pub use told::Told;

/// Everything that is known of all places. What is not in here is as good as unknown.
#[derive(Debug, Clone, Default)]
pub struct Places {
    sites: HashMap<String, Site, FixedState>,
    places: HashMap<Target, Place, FixedState>,
}

/// What holds for all models of an upstream.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// Whether it can be reached and lets us in.
    pub health: Health,
    /// How busy its GPUs are with the work of others, 0 to 100 percent.
    pub pressure: u8,
    /// It slows its GPUs down because of their heat.
    pub throttled: bool,
    /// What is wrong with its GPUs, as a clause with the upstream as its subject; empty if nothing is.
    pub ailing: String,
    /// The program that it is, where it tells.
    pub engine: Option<Engine>,
    /// The model that we called there last; one that holds a single model in memory holds this one.
    pub held: Option<HeldModel>,
    /// Whether its machine sleeps, and how it is woken.
    pub sleep: Sleep,
    /// It was seen to work on after its clients had left.
    pub ignores_cancel: bool,
}

impl Site {
    /// Time until it is awake, if it sleeps and may be woken.
    #[must_use]
    pub fn wake_in(&self, now: Moment) -> Option<Duration> {
        let is_away = || self.health.state() == State::Offline || self.sleep.is_waking(now);
        if self.sleep.guess.is_some() && is_away() { self.sleep.ready_in(now) } else { None }
    }

    /// How it does. One that could be woken is not called offline.
    #[must_use]
    pub fn standing(&self, now: Moment) -> Standing<'_> {
        let standing = self.health.standing(now);
        match self.wake_in(now) {
            Some(wakes_in) => {
                let cause = self.health.cause();
                Standing { state: State::Sleeping, wakes_in: Some(wakes_in), cause, trial_in: None, ..standing }
            }
            None => standing,
        }
    }
}

/// A model in the memory of a server that holds one at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldModel {
    /// Which.
    pub model: String,
    /// When it was called for.
    pub since: Moment,
}

/// A model that was just loaded stays at least this long, whatever is asked for.
pub const MODEL_DWELL: Duration = Duration::from_secs(3);
/// Whoever has waited this long for another model gets it, however many wait for the one that is loaded.
pub const MODEL_STARVED_AFTER: Duration = Duration::from_secs(15);

/// One model at one upstream.
#[derive(Debug, Clone)]
pub struct Place {
    /// Whether the model answers.
    pub health: Health,
    /// How fast it answers.
    pub pace: Pace,
    /// When an answer is later than nearly all before.
    pub late: Late,
    /// Requests that it answers at once; `None` where nobody knows a limit.
    pub slots: Option<u32>,
    /// Whether the model is in memory; `None` where nobody tells.
    pub resident: Option<bool>,
    /// Requests that it works on for us.
    pub running: Vec<Running>,
    /// What its server tells of it besides.
    pub told: Told,
    /// Predicted work of those that wait for it, by lane.
    pub waiting: [Duration; 3],
    /// Requests given to it so far.
    pub served: u64,
    /// Calls whose clients have left, as far as the server may still work on them.
    pub abandoned: Watch,
    /// Whose turn it is among the lanes.
    pub(crate) turns: Turns,
}

/// A request in progress, as it was predicted when it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Running {
    /// Its number.
    pub id: u64,
    /// When it was sent there.
    pub began: Moment,
    /// Tokens of its prompt that had to be read, estimated.
    pub unread_tokens: u64,
    /// When its prompt will have been read.
    pub first_token: Moment,
    /// When its answer will be complete.
    pub end: Moment,
    /// Its first token has come.
    pub is_read: bool,
    /// Its first token will be told: it is a stream.
    pub is_stream: bool,
    /// Other prompts were being read when it began, so that its own time tells no speed.
    pub in_company: bool,
    /// A second copy of it was sent elsewhere, since it is late.
    pub is_hedged: bool,
}

/// An answer that is longer than predicted is not about to end at any moment. Lengths are skewed: the longer one has gone
/// on, the longer it still goes on, by this part of what it has had. For the log-normal lengths of chats it is a quarter
/// to a half; a place that is full of such answers must not look as if it were free at once, least of all among many
/// places, where the one that looks best is the one that is most mistaken.
const STILL_TO_COME: u32 = 4;

impl Running {
    /// Until its answer is complete.
    #[must_use]
    pub fn left(&self, now: Moment) -> Duration {
        self.end.since(now).max(now.since(self.first_token) / STILL_TO_COME)
    }

    /// It should have told its first token, and has not.
    fn is_late(&self, now: Moment) -> bool {
        self.is_stream && !self.is_read && self.first_token < now
    }
}

impl Place {
    /// A place of which nothing is known but whether it is in the house.
    #[must_use]
    pub fn new(seed: u32, is_local: bool) -> Self {
        Self {
            health: Health::new(seed),
            pace: if is_local { Pace::local() } else { Pace::cloud() },
            late: Late::default(),
            slots: None,
            resident: None,
            running: Vec::new(),
            told: Told::default(),
            waiting: [Duration::ZERO; 3],
            served: 0,
            abandoned: Watch::default(),
            turns: Turns::default(),
        }
    }

    /// Work that it still has to do for those that it works on.
    #[must_use]
    pub fn owed(&self, now: Moment) -> Duration {
        self.running.iter().map(|running| running.left(now)).sum::<Duration>() + self.owed_to_others()
    }

    /// Until it has read the prompts that it has. Engines read one at a time, whatever they generate meanwhile, so each
    /// prediction stands behind the one before it, and one that is late holds up all: by as long again as it is late.
    #[must_use]
    pub fn unread(&self, now: Moment) -> Duration {
        let last = self.running.iter().map(|running| running.first_token.since(now)).max().unwrap_or_default();
        let late = self.running.iter().filter(|running| running.is_late(now));
        last + late.map(|running| now.since(running.first_token)).max().unwrap_or_default()
    }

    /// Until it needs its model no longer: those that it works on are through, and those that wait for it, as far as
    /// they go before others ([`MODEL_STARVED_AFTER`]).
    #[must_use]
    pub fn drained(&self, lane: Lane, now: Moment) -> Duration {
        let running = self.running.iter().map(|running| running.left(now)).max().unwrap_or_default();
        let running = running.max(if self.told.others.running > 0 { self.usual_rest() } else { Duration::ZERO });
        let waiting = self.ahead(lane) / self.slots.unwrap_or(1).max(1);
        running + waiting.min(MODEL_STARVED_AFTER)
    }

    /// Work of those that wait for it and would go before a newcomer of this lane.
    #[must_use]
    pub fn ahead(&self, lane: Lane) -> Duration {
        self.waiting.iter().take(lane as usize + 1).sum()
    }
}

impl Places {
    /// What is known of an upstream.
    #[must_use]
    pub fn site(&self, upstream: &str) -> Option<&Site> {
        self.sites.get(upstream)
    }

    /// What is known of a model at an upstream.
    #[must_use]
    pub fn place(&self, target: &Target) -> Option<&Place> {
        self.places.get(target)
    }

    /// The upstream's record, made if there is none.
    pub fn site_mut(&mut self, upstream: &str) -> &mut Site {
        let new = || Site { health: Health::new(seed(upstream, "")), ..Site::default() };
        self.sites.entry_ref(upstream).or_insert_with(new)
    }

    /// The upstream's record, if there is one.
    pub fn known_site_mut(&mut self, upstream: &str) -> Option<&mut Site> {
        self.sites.get_mut(upstream)
    }

    /// The record of a model at an upstream, made if there is none.
    pub fn place_mut(&mut self, target: &Target, is_local: bool) -> &mut Place {
        let new = || Place::new(seed(&target.upstream, &target.model), is_local);
        self.places.entry_ref(target).or_insert_with(new)
    }

    /// The record of a model at an upstream, if there is one.
    pub fn known_mut(&mut self, target: &Target) -> Option<&mut Place> {
        self.places.get_mut(target)
    }

    /// All records of models, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Target, &Place)> {
        self.places.iter()
    }

    /// All records of models, in no order, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&Target, &mut Place)> {
        self.places.iter_mut()
    }

    /// All records of upstreams, in no order.
    pub fn sites(&self) -> impl Iterator<Item = (&str, &Site)> {
        self.sites.iter().map(|(name, site)| (name.as_str(), site))
    }

    /// Requests that an upstream works on.
    #[must_use]
    pub fn running_at(&self, upstream: &str) -> usize {
        let here = self.places.iter().filter(|(target, _)| target.upstream == upstream);
        here.map(|(_, place)| place.running.len()).sum()
    }

    /// Counts those that wait anew, from none, and forgets what must be over.
    pub(crate) fn begin_look(&mut self, now: Moment) -> Seen {
        let mut seen = Seen::default();
        for place in self.places.values_mut() {
            seen.is_turn |= place.turns.look(place.waiting.map(|work| !work.is_zero()));
            place.waiting = [Duration::ZERO; 3];
            place.abandoned.tidy(now);
            seen.is_room |= place.has_room();
        }
        seen
    }

    /// The models of an upstream.
    pub(crate) fn of_mut<'a>(&'a mut self, upstream: &'a str) -> impl Iterator<Item = &'a mut Place> {
        self.places.iter_mut().filter(move |(target, _)| target.upstream == upstream).map(|(_, place)| place)
    }

    /// How an upstream does; where only models of it do not, the worst of these.
    #[must_use]
    pub fn standing(&self, upstream: &str, now: Moment) -> Standing<'_> {
        let ignores_cancel = self.site(upstream).is_some_and(|site| site.ignores_cancel);
        let site = self.site(upstream).map(|site| site.standing(now)).unwrap_or_default();
        let site = Standing { ignores_cancel, ..site };
        if !site.state.is_well() {
            return site;
        }
        if let Some(known) = self.site(upstream).filter(|site| !site.ailing.is_empty()) {
            return Standing { state: State::Degraded, cause: &known.ailing, ..Standing::default() };
        }
        let models = self.places.iter().filter(|(target, _)| target.upstream == upstream);
        let worst = models
            .map(|(target, place)| Standing { model: Some(&target.model), ignores_cancel, ..place.standing(now) })
            .filter(|standing| !standing.state.is_well())
            .max_by_key(|standing| (standing.state, Reverse(standing.model)));
        worst.unwrap_or(site)
    }

    /// Forgets models that are no longer offered, as far as nothing runs there, and upstreams that are gone.
    pub(crate) fn retain(&mut self, is_offered: impl Fn(&Target) -> bool, is_upstream: impl Fn(&str) -> bool) {
        self.places.retain(|target, place| !place.running.is_empty() || is_offered(target));
        self.sites.retain(|name, _| is_upstream(name));
    }
}

/// What a look at all places found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// A lane has its turn somewhere.
    pub(crate) is_turn: bool,
    /// Somewhere there is room.
    pub(crate) is_room: bool,
}

/// A number for a place that differs from its neighbours' (FNV-1a, 32 bit).
#[must_use]
pub fn seed(upstream: &str, model: &str) -> u32 {
    let bytes = upstream.bytes().chain([b'/']).chain(model.bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Why a place may not be called now, if it may not. An upstream that is looked at is not tried by a request: the look finds
/// out whether it is back, and a request would hang at one that is frozen.
pub(crate) fn hold<'a>(
    site: Option<&'a Site>,
    place: Option<&'a Place>,
    is_looked_at: bool,
    now: Moment,
) -> Option<Held<'a>> {
    let held = |health: &'a Health, is_looked_at: bool| {
        let until = match health.permission(now) {
            Permission::Not { until } => until,
            Permission::Trial if is_looked_at => now,
            Permission::Yes | Permission::Trial => return None,
        };
        Some(Held { state: health.state(), cause: health.cause(), until, warms_since: health.warms_since() })
    };
    let site = site.and_then(|site| held(&site.health, is_looked_at));
    site.or_else(|| place.and_then(|place| held(&place.health, false)))
}

/// Why a place is not called now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held<'a> {
    /// How it does.
    pub state: State,
    /// Why, for the owner.
    pub cause: &'a str,
    /// When it is tried again.
    pub until: Moment,
    /// Since when it has answered that it loads its model, if that is the reason.
    pub warms_since: Option<Moment>,
}

impl Held<'_> {
    /// Whether it loads its model, and has not done so for too long.
    pub(crate) fn is_awaited(&self, longest: Duration, now: Moment) -> bool {
        self.warms_since.is_some_and(|since| now.since(since) < longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::health::Symptom;

    const NOW: Moment = Moment::after_start(Duration::from_secs(100));

    /// Seconds until its first token and its end, from now; negative ones are past.
    fn running(first_s: i64, end_s: i64, is_read: bool) -> Running {
        let at = |seconds: i64| Moment::after_start(Duration::from_secs(100_u64.saturating_add_signed(seconds)));
        Running { first_token: at(first_s), end: at(end_s), is_read, is_stream: true, ..Running::default() }
    }

    fn place(slots: Option<u32>, running: &[Running]) -> Place {
        Place { slots, running: running.to_vec(), ..Place::new(1, true) }
    }

    #[test]
    fn a_slot_is_free_when_the_first_ends_and_those_before_have_had_theirs() {
        let busy = [running(0, 9, true), running(0, 2, true), running(0, 5, true)];
        for (slots, ahead_s, want_s) in [
            (None, 9, 0),
            (Some(4), 9, 0),
            (Some(3), 0, 2),
            (Some(3), 9, 5),
            // The owner has lowered the slots: the first one that ends frees none.
            (Some(2), 0, 5),
            (Some(0), 3, 12),
        ] {
            let mut place = place(slots, &busy);
            place.waiting = [ahead_s, 0, 77].map(Duration::from_secs);
            assert_eq!(place.slot_free(Lane::Normal, NOW), Duration::from_secs(want_s), "{slots:?} {ahead_s}");
        }
    }

    #[test]
    fn an_answer_that_is_longer_than_predicted_is_not_about_to_end() {
        for (first_s, end_s, left_s) in [(0, 8, 8), (-8, 1, 2), (-8, -1, 2), (-40, -30, 10)] {
            let place = place(Some(1), &[running(first_s, end_s, true)]);
            let left = Duration::from_secs(left_s);
            assert_eq!((place.slot_free(Lane::Normal, NOW), place.owed(NOW)), (left, left), "{first_s} {end_s}");
        }
    }

    #[test]
    fn a_prompt_that_is_late_holds_up_those_behind_it() {
        let whole = Running { is_stream: false, ..running(-3, 9, false) };
        for (running, want_s) in [
            (&[running(2, 9, false), running(4, 9, false)][..], 4),
            (&[running(-3, 9, false), running(1, 9, false)], 4),
            (&[running(-3, 9, true), running(1, 9, false)], 1),
            // Nobody is told when the prompt of a whole answer has been read.
            (&[whole], 0),
            (&[], 0),
        ] {
            assert_eq!(place(None, running).unread(NOW), Duration::from_secs(want_s), "{running:?}");
        }
    }

    #[test]
    fn an_upstream_stands_as_its_worst_part() {
        let target = |model: &str| Target::new("gpu", model);
        let (mut places, now) = (Places::default(), Moment::START);
        assert_eq!(places.standing("gpu", now), Standing::default());
        places.site_mut("gpu").health.answered();
        for model in ["a", "b", "c"] {
            places.place_mut(&target(model), true).health.answered();
        }
        assert_eq!(places.standing("gpu", now), Standing { state: State::Healthy, ..Standing::default() });
        let limited = Symptom::RateLimited { retry_after: Some(Duration::from_secs(30)) };
        for (model, symptom) in [("c", limited), ("b", limited), ("a", Symptom::Overloaded)] {
            places.place_mut(&target(model), true).health.failed(now, symptom, "too many");
        }
        let later = now + Duration::from_secs(10);
        let want = Standing {
            state: State::RateLimited,
            cause: "too many",
            trial_in: Some(Duration::from_secs(20)),
            wakes_in: None,
            model: Some("b"),
            ignores_cancel: false,
        };
        assert_eq!(places.standing("gpu", later), want);
        assert_eq!(places.standing("gpu", now + Duration::from_secs(60)).trial_in, Some(Duration::ZERO));
        places.site_mut("gpu").health.failed(now, Symptom::Unauthorized, "401");
        let standing = places.standing("gpu", later);
        assert_eq!((standing.state, standing.model), (State::Misconfigured, None));
    }
}
