//! Chooses where a request goes: which places could answer it, which may, and which would do it best.

mod best;
mod candidates;
mod drop;
mod reason;
mod score;
mod spot;
#[cfg(test)]
mod tests;
mod wish;
#[cfg(test)]
mod work;

use crate::catalogue::{Catalogue, Target};
use crate::config::Config;
use crate::lane::Lane;
use crate::moment::Moment;
use crate::places::Places;
use crate::refusal::Refusal;
use crate::sessions::Sessions;
use crate::surface::Surface;

pub use crate::strategy::Strategy;
pub use crate::virtual_model::{AUTO, CLOUD, LOCAL, is_virtual};
pub use candidates::sole_model;
pub use drop::{Dropped, Why};
pub use reason::Reason;
pub use score::Score;
pub use wish::{Mark, Needs, Provider, Wish};

use best::{Best, Ranked};
use candidates::Tier;
use score::Position;

/// Everything that a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What the client called.
    pub near: Surface,
    /// What it asked for.
    pub wish: &'a Wish,
    /// How urgent it is.
    pub lane: Lane,
    /// Places that failed this request already.
    pub tried: &'a [Target],
    /// The owner's settings.
    pub config: &'a Config,
    /// Who offers what.
    pub catalogue: &'a Catalogue,
    /// How the places do.
    pub places: &'a Places,
    /// Where conversations are warm.
    pub sessions: &'a Sessions,
    /// The time of the decision.
    pub now: Moment,
}

/// One place that may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Where.
    pub target: Target,
    /// On which surface it is called.
    pub far: Surface,
    /// It stands in the house.
    pub is_local: bool,
    /// What is predicted of it.
    pub score: Score,
    /// By what it was put in its place.
    pub strategy: Strategy,
    /// The conversation is in the middle of a tool call there.
    pub is_bound: bool,
    /// It is a second copy, since the first place is late.
    pub is_hedge: bool,
    /// Nobody else could answer, so that it is tried although it does not do well.
    pub is_last_resort: bool,
}

impl Leg {
    fn new(target: &Target, far: Surface, is_local: bool, score: Score, strategy: Strategy) -> Self {
        Self {
            target: target.clone(),
            far,
            is_local,
            score,
            strategy,
            is_bound: false,
            is_hedge: false,
            is_last_resort: false,
        }
    }
}

/// The decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// The places to try, best first. Never empty where the request is not refused.
    pub legs: Vec<Leg>,
    /// Those that were not considered, and why.
    pub dropped: Vec<Dropped>,
}

/// Most places for one request: more would keep a client waiting on a house on fire.
pub const LEGS_MAX: usize = 8;

/// Chooses the route of a request.
///
/// # Errors
/// No model is named or known, nothing that offers it can serve what is asked, or all that could want to be left alone.
pub fn choose(asked: &Asked<'_>) -> Result<Route, Refusal> {
    let (route, refusal) = weigh(asked);
    refusal.map_or(Ok(route), Err)
}

/// [`choose`] with everything that was thought of: where there is a refusal, the route has no legs, but tells why each
/// place was dropped.
#[must_use]
pub fn weigh(asked: &Asked<'_>) -> (Route, Option<Refusal>) {
    let mut route = Route::default();
    let Some(name) = asked.wish.models.first() else { return (route, Some(Refusal::NoModelNamed)) };
    let mut is_known = false;
    for tier in candidates::tiers(asked.near, asked.wish, asked.config, asked.catalogue) {
        is_known = true;
        add_legs(asked, &tier, &mut route);
    }
    if !is_known {
        let refusal = Refusal::UnknownModel { model: name.clone(), near: asked.catalogue.near(name) };
        return (route, Some(refusal));
    }
    if route.legs.is_empty() {
        drop::last_resort(asked, &mut route);
    }
    if route.legs.is_empty() {
        let refusal = drop::refusal(asked, name, &route.dropped);
        return (route, Some(refusal));
    }
    bind(asked, &mut route.legs);
    route.legs.truncate(LEGS_MAX);
    (route, None)
}

/// Adds the places of one tier that may answer, best first.
fn add_legs(asked: &Asked<'_>, tier: &Tier<'_>, route: &mut Route) {
    let strategy = asked.wish.provider.sort.unwrap_or(tier.strategy);
    let spots = spot::spots(asked, &tier.targets);
    let hope = score::hope(&spots);
    // No more are needed, unless one further back is where a tool call is answered.
    let mut best = Best::new(if asked.wish.tool_loop { usize::MAX } else { LEGS_MAX });
    // A tier names each place once, so only those of earlier tiers may be known.
    let dropped_before = route.dropped.len();
    for (number, spot) in spots.iter().enumerate() {
        let is_known = |known: &Target| known == spot.target;
        let mut dropped = route.dropped.iter().take(dropped_before);
        if route.legs.iter().any(|leg| is_known(&leg.target)) || dropped.any(|dropped| is_known(&dropped.target)) {
            continue;
        }
        match drop::may(asked, spot) {
            Err(why) => route.dropped.push(Dropped { target: spot.target.clone(), why }),
            Ok(far) => {
                let score = score::score(asked, spot, &hope);
                let weight = tier.weights.get(spot.number).copied();
                let position = Position { spot, score: &score, weight: weight.unwrap_or(1) };
                let key = (
                    asked.wish.provider.position(&spot.upstream.name),
                    last_choice(asked, &score, strategy),
                    score::key(asked, &position, strategy),
                );
                best.take((key, number), (far, score));
            }
        }
    }
    let leg = |((_, number), (far, score)): Ranked| {
        spots.get(number).map(|spot| Leg::new(spot.target, far, spot.upstream.local, score, strategy))
    };
    route.legs.extend(best.sorted().into_iter().filter_map(leg));
}

/// Places that serve only if nobody else can: those that load their model, since nobody knows for how long, and behind
/// them machines that sleep, where the strategy does not go by time, and for work that has time.
fn last_choice(asked: &Asked<'_>, score: &Score, strategy: Strategy) -> u8 {
    let is_by_time = matches!(strategy, Strategy::Auto | Strategy::Fastest);
    let is_left_asleep = !score.wake.is_zero() && (!is_by_time || asked.lane == Lane::Bulk);
    if is_left_asleep { 2 } else { u8::from(score.is_warming) }
}

/// A conversation in the middle of a tool call stays where it is: another model would not know what it called, or how.
fn bind(asked: &Asked<'_>, legs: &mut [Leg]) {
    if !asked.wish.tool_loop {
        return;
    }
    let Some(last) = asked.sessions.last(&asked.wish.prefix, asked.now) else { return };
    // Rather the same model elsewhere than another one.
    let is_there = |leg: &Leg| !leg.score.is_warming;
    let same = legs.iter().position(|leg| is_there(leg) && leg.target == *last);
    let alike = || legs.iter().position(|leg| is_there(leg) && leg.target.model == last.model);
    if let Some(position) = same.or_else(alike)
        && let Some(before) = legs.get_mut(..=position)
    {
        before.rotate_right(1);
        if let Some(first) = before.first_mut() {
            first.is_bound = true;
        }
    }
}
