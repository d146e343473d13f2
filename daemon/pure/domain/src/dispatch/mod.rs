//! Who is served where and when: one queue for the whole house, from which a request goes to the best place as soon as
//! that place has room. Pure: every call takes the time, and gives back what is to be done.
//!
//! Requests wait here and not in the engines, whose own queues can be neither reordered nor moved.

mod bounds;
mod budget;
mod cancel;
mod fair;
mod hedge;
mod look;
mod outcome;
mod queue;
mod reading;
mod swap;
#[cfg(test)]
mod tests;
mod ticket;
mod turn;
mod wake;

use std::sync::Arc;
use std::time::Duration;

use crate::catalogue::{Catalogue, Target};
use crate::config::Config;
use crate::lane::Lane;
use crate::moment::Moment;
use crate::places::{Places, Running};
use crate::refusal::Refusal;
use crate::route::{Asked, Leg, Route, Strategy, Wish, choose};
use crate::sessions::Sessions;
use crate::surface::Surface;

pub use fair::Shares;
pub use look::Look;
pub use outcome::Outcome;
pub use reading::Heard;
pub use turn::Turns;

use budget::Budget;
use swap::Wanted;
use ticket::Ticket;

/// The state of the house's traffic.
#[derive(Debug, Default)]
pub struct Dispatch {
    /// How the places do.
    pub places: Places,
    /// Where conversations are warm.
    pub sessions: Sessions,
    /// Those that wait, in the order in which they came.
    waiting: Vec<Ticket>,
    shares: Shares,
    budget: Budget,
    /// Requests that are being served.
    running: usize,
    last_id: u64,
}

/// What decisions depend on besides: one snapshot.
#[derive(Debug, Clone, Copy)]
pub struct House<'a> {
    /// The owner's settings.
    pub config: &'a Config,
    /// Who offers what.
    pub catalogue: &'a Catalogue,
}

/// A request that wants to be served.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What the client called.
    pub near: Surface,
    /// What it asked for.
    pub wish: Arc<Wish>,
    /// How urgent it is.
    pub lane: Lane,
    /// Whose it is; clients share fairly.
    pub client: Arc<str>,
    /// When it came.
    pub since: Moment,
    /// Places that failed it already, or that have it.
    pub tried: Vec<Target>,
    /// Its answer comes in pieces.
    pub is_stream: bool,
    /// When its client gives up, if it said so.
    pub until: Option<Moment>,
    /// What happened to it before.
    pub attempt: Attempt,
}

/// What happened to a request before it is let in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Attempt {
    /// Nothing: it has just come.
    #[default]
    First,
    /// The place that had it died, or nothing was really sent there.
    AfterLoss,
    /// A place failed it.
    AfterFailure,
}

/// Leave to call a place. It holds the place until [`Dispatch::ended`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its number.
    pub id: u64,
    /// Where to.
    pub leg: Leg,
    /// After this time without a first token it is late, and a second copy may help; `None` where none could.
    pub hedge_after: Option<Duration>,
}

/// How it stands with one that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// How many go before it.
    pub ahead: usize,
    /// The machine to which it will go sleeps, and will be awake in about this time.
    pub wakes_in: Option<Duration>,
    /// The model must be loaded there, which takes about this time.
    pub loads_in: Option<Duration>,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered {
    /// It may go.
    Go(Grant),
    /// It waits under this number, until [`Dispatch::wake`] names it.
    Wait(u64),
}

/// One that waited and does so no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Woken {
    /// The number under which it waited.
    pub ticket: u64,
    /// Where it goes, or why it is not served.
    pub result: Result<Grant, Refusal>,
}

/// So long a request waits for the kind of place that its strategy prefers before it takes another.
const PATIENCE: Duration = Duration::from_secs(10);

impl Dispatch {
    /// Lets a request in: it goes, waits, or is refused.
    ///
    /// # Errors
    /// Nobody can serve it, or it would wait for too long.
    pub fn enter(&mut self, entry: Entry, house: House<'_>, now: Moment) -> Result<Entered, Refusal> {
        let route = self.choose(&entry, house, now)?;
        if let Some(first) = route.legs.first() {
            self.check_deadline(&entry, first, now)?;
        }
        // Who came before goes before: a newcomer passes those that wait only where they do not want to go.
        let wanted = Wanted::new(house.config, &self.waiting);
        let leg = self.leg_with_room(&entry, &route, &wanted, house, now);
        if leg.is_none() {
            self.check_bounds(&route, house)?;
        }
        // Only what is let in costs an attempt.
        if let Some(first) = route.legs.first() {
            self.check_budget(&entry, first, now)?;
        }
        if let Some(leg) = leg {
            let start = self.shares.start(&entry.client, tokens(&entry));
            let hedge_after = self.hedge_after(&entry, &leg, &route, house);
            return Ok(Entered::Go(Grant { hedge_after, ..self.grant(&entry, leg, start, house, now) }));
        }
        self.last_id += 1;
        let start = self.shares.start(&entry.client, tokens(&entry));
        let mut ticket = Ticket::new(self.last_id, entry, start);
        ticket.renew(&route, house, now);
        count(&mut self.places, &mut ticket);
        self.waiting.push(ticket);
        Ok(Entered::Wait(self.last_id))
    }

    /// One that waits gives up.
    pub fn leave(&mut self, ticket: u64) {
        if let Some(position) = self.waiting.iter().position(|waiting| waiting.id == ticket) {
            let ticket = self.waiting.remove(position);
            uncount(&mut self.places, &ticket);
        }
    }

    /// What there is to say to one that waits; `None` if it does not.
    #[must_use]
    pub fn turn(&self, ticket: u64, now: Moment) -> Option<Turn> {
        let waiting = self.waiting.iter().find(|waiting| waiting.id == ticket)?;
        let ahead = self.waiting.iter().filter(|other| other.order() < waiting.order()).count();
        let passed = now.since(waiting.chosen);
        let left = |span: Duration| (!span.is_zero()).then(|| span.saturating_sub(passed));
        Some(Turn { ahead, wakes_in: left(waiting.score.wake), loads_in: left(waiting.score.load) })
    }

    /// Requests that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Requests that are being served.
    #[must_use]
    pub const fn running(&self) -> usize {
        self.running
    }

    /// The whole decision for an entry, without acting on it.
    ///
    /// # Errors
    /// Nobody can serve it.
    pub fn choose(&self, entry: &Entry, house: House<'_>, now: Moment) -> Result<Route, Refusal> {
        choose(&self.asked(entry, house, now))
    }

    fn asked<'a>(&'a self, entry: &'a Entry, house: House<'a>, now: Moment) -> Asked<'a> {
        let House { config, catalogue } = house;
        let Self { places, sessions, .. } = self;
        let Entry { near, wish, lane, tried, .. } = entry;
        Asked { near: *near, wish, lane: *lane, tried, config, catalogue, places, sessions, now }
    }

    /// The place to go to at once, if there is one.
    fn leg_with_room(
        &self,
        entry: &Entry,
        route: &Route,
        wanted: &Wanted<'_>,
        house: House<'_>,
        now: Moment,
    ) -> Option<Leg> {
        if self.running >= house.config.endpoint.max_concurrent {
            return None;
        }
        let first = route.legs.first()?;
        let free = |leg: &&Leg| leg.score.is_ready() && self.has_room(&leg.target, entry, wanted, now);
        if first.is_bound || free(&first) {
            return Some(first).filter(free).cloned();
        }
        let is_patient = match first.strategy {
            // The wait is in the score: whoever is first is so although one has to wait.
            Strategy::Auto | Strategy::Fastest => true,
            Strategy::Cheapest | Strategy::LocalFirst | Strategy::CloudFirst => now.since(entry.since) < PATIENCE,
            Strategy::RoundRobin | Strategy::LeastOutstanding | Strategy::Weighted | Strategy::Ordered => false,
        };
        if is_patient { None } else { route.legs.iter().find(free).cloned() }
    }

    fn has_room(&self, target: &Target, entry: &Entry, wanted: &Wanted<'_>, now: Moment) -> bool {
        self.places.place(target).is_none_or(crate::places::Place::has_room)
            && wanted.permit(target, entry.since, &self.places, now)
    }

    fn grant(&mut self, entry: &Entry, leg: Leg, start: u64, house: House<'_>, now: Moment) -> Grant {
        self.sessions.note(&entry.wish.prefix, &leg.target, now);
        self.shares.served(start);
        self.occupy(entry, leg, house, now)
    }

    /// A request goes to a place, which is held for it.
    fn occupy(&mut self, entry: &Entry, leg: Leg, house: House<'_>, now: Moment) -> Grant {
        self.last_id += 1;
        let id = self.last_id;
        let site = self.places.site_mut(&leg.target.upstream);
        site.health.called(now);
        if house.config.upstream(&leg.target.upstream).is_some_and(|upstream| upstream.one_model)
            && let Some(model) = swap::called(&mut site.held, &leg.target.model, now)
        {
            // Its prompt cache goes with it.
            self.sessions.forget(&Target::new(&leg.target.upstream, &model));
        }
        let place = self.places.place_mut(&leg.target, leg.is_local);
        place.health.called(now);
        place.served += 1;
        place.turns.went(entry.lane);
        let first_token = now + leg.score.first_token();
        let in_company = place.running.iter().any(|running| !running.is_read);
        let end = first_token + leg.score.decode;
        let unread_tokens = entry.wish.prompt_tokens.saturating_sub(leg.score.warm_tokens);
        let is_stream = entry.wish.stream;
        place.running.push(Running {
            id,
            began: now,
            unread_tokens,
            first_token,
            end,
            is_stream,
            in_company,
            ..Running::default()
        });
        self.running += 1;
        Grant { id, leg, hedge_after: None }
    }
}

/// Adds a ticket's work to the place that it waits for, as it is predicted now.
fn count(places: &mut Places, ticket: &mut Ticket) {
    let Some(place) = ticket.targets.first().and_then(|target| places.known_mut(target)) else { return };
    ticket.score = ticket.score.at_pace(&ticket.entry.wish, &place.pace);
    let Some(work) = place.waiting.get_mut(ticket.entry.lane as usize) else { return };
    *work = work.saturating_add(ticket.score.work());
}

/// Takes a ticket's work away from the place for which it waited.
fn uncount(places: &mut Places, ticket: &Ticket) {
    let Some(place) = ticket.targets.first().and_then(|target| places.known_mut(target)) else { return };
    let Some(work) = place.waiting.get_mut(ticket.entry.lane as usize) else { return };
    *work = work.saturating_sub(ticket.score.work());
}

/// What a request counts among those of its client, in tokens: its prompt, and an answer of usual length at most.
fn tokens(entry: &Entry) -> u64 {
    const OUTPUT_TOKENS_USUAL: u64 = 1_024;
    let output = entry.wish.output_tokens_max.unwrap_or(OUTPUT_TOKENS_USUAL).min(OUTPUT_TOKENS_USUAL);
    entry.wish.prompt_tokens.saturating_add(output)
}
