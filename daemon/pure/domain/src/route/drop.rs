//! Why a place that bears the right name does not answer.

use std::fmt;

use super::candidates::barred;
use super::spot::{Looker, Spot};
use super::{Asked, Leg, Route, score};
use crate::catalogue::{Capabilities, Price, Target};
use crate::health::State;
use crate::moment::Moment;
use crate::places::hold;
use crate::policy::Barred;
use crate::refusal::Refusal;
use crate::surface::Surface;

/// A place that was not considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Where.
    pub target: Target,
    /// Why not.
    pub why: Why,
}

/// Why a place was not considered. `Display` is a clause for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It failed this request already.
    Tried,
    /// Its dialect has nothing like what is asked.
    Surface(&'static str),
    /// The request's own wishes about places.
    Provider(&'static str),
    /// A policy.
    Policy(Barred),
    /// The model cannot do it.
    Incapable(&'static str),
    /// The prompt is longer than its context.
    TooLong {
        /// The model's context, in tokens.
        context_tokens: u64,
    },
    /// It costs more than the request allows.
    Price(Price),
    /// It does not do well.
    Health {
        /// How it does.
        state: State,
        /// Why.
        cause: String,
        /// When it is tried again.
        until: Moment,
    },
}

impl Why {
    /// Until when it is held, and in which words.
    fn pause(&self) -> Option<(Moment, &str)> {
        if let Self::Health { until, cause, .. } = self { Some((*until, cause)) } else { None }
    }

    /// Whether a policy does not allow it.
    const fn is_barred(&self) -> bool {
        matches!(self, Self::Policy(_))
    }

    /// The context that is too small.
    const fn context_tokens(&self) -> Option<u64> {
        if let Self::TooLong { context_tokens } = self { Some(*context_tokens) } else { None }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tried => formatter.write_str("it failed this request already"),
            Self::Surface(clause) | Self::Provider(clause) | Self::Incapable(clause) => formatter.write_str(clause),
            Self::Policy(barred) => barred.fmt(formatter),
            Self::TooLong { context_tokens } => {
                write!(formatter, "the prompt does not fit its context of {context_tokens} tokens")
            }
            Self::Price(price) => write!(formatter, "it costs more than the request allows: {price}"),
            Self::Health { state, cause, .. } => write!(formatter, "it is {}: {cause}", state.name()),
        }
    }
}

/// Bytes of text that surely make a token: estimates reckon with four, and no prompt is refused for an estimate alone.
const TOKENS_SURE: (u64, u64) = (2, 3);

/// The surface on which an upstream is called with this request, or why it is not.
pub(super) fn may(asked: &Asked<'_>, spot: &Spot<'_>) -> Result<Surface, Why> {
    let Spot { target, upstream, info, place, site, .. } = *spot;
    if asked.tried.contains(target) {
        return Err(Why::Tried);
    }
    if let Some(barred) = barred(asked.wish, asked.config, asked.catalogue, target) {
        return Err(Why::Policy(barred));
    }
    if let Some(clause) = asked.wish.provider.forbids(&upstream.name) {
        return Err(Why::Provider(clause));
    }
    let far = upstream.far_surface(asked.near).map_err(Why::Surface)?;
    if let Some(info) = info {
        if let Some(clause) = incapable(asked, info.capabilities) {
            return Err(Why::Incapable(clause));
        }
        let sure_tokens = asked.wish.prompt_tokens / TOKENS_SURE.1 * TOKENS_SURE.0;
        if let Some(context_tokens) = info.context_tokens.filter(|context| *context > 0 && sure_tokens > *context) {
            return Err(Why::TooLong { context_tokens });
        }
    }
    let price = score::price(info, upstream.local);
    let over = |most: Option<u64>, price: u64| most.is_some_and(|most| price > most);
    let provider = &asked.wish.provider;
    if over(provider.prompt_price_max, price.prompt_micros) || over(provider.output_price_max, price.output_micros) {
        return Err(Why::Price(price));
    }
    match hold(site, place, upstream.is_shared(), asked.now) {
        None => Ok(far),
        // It is waited for, where nobody else can serve.
        Some(held) if held.is_awaited(asked.config.endpoint.load_wait, asked.now) => Ok(far),
        // It is woken, if that is worth it.
        Some(_) if asked.places.site(&target.upstream).is_some_and(|site| site.wake_in(asked.now).is_some()) => Ok(far),
        Some(held) => Err(Why::Health { state: held.state, cause: held.cause.to_owned(), until: held.until }),
    }
}

/// What a model lacks. What its upstream does not tell is believed to be there.
fn incapable(asked: &Asked<'_>, can: Capabilities) -> Option<&'static str> {
    let needs = asked.wish.needs;
    if needs.tools && can.tools == Some(false) {
        Some("it cannot call tools")
    } else if needs.vision && can.vision == Some(false) {
        Some("it cannot see pictures")
    } else {
        None
    }
}

/// When nobody does well, those that could answer are tried all the same, the ones that are soonest due first: a
/// breaker protects from waiting for a broken place while there is another one. Who wants a pause gets it.
pub(super) fn last_resort(asked: &Asked<'_>, route: &mut Route) {
    let mut held: Vec<(Moment, Leg)> = Vec::new();
    let (looker, hope) = (Looker::new(asked), score::hope(&[]));
    for (number, dropped) in route.dropped.iter().enumerate() {
        let Why::Health { state, until, .. } = &dropped.why else { continue };
        let Some(upstream) = asked.config.upstream(&dropped.target.upstream) else { continue };
        let Ok(far) = upstream.far_surface(asked.near) else { continue };
        if *state == State::RateLimited {
            continue;
        }
        let target = &dropped.target;
        let score = score::score(asked, &looker.spot(number, target, upstream), &hope);
        let leg = Leg::new(target, far, upstream.local, score, asked.config.route.strategy);
        held.push((*until, Leg { is_last_resort: true, ..leg }));
    }
    held.sort_by_key(|(until, _)| *until);
    route.legs = held.into_iter().map(|(_, leg)| leg).collect();
    let legs = &route.legs;
    route.dropped.retain(|dropped| !legs.iter().any(|leg| leg.target == dropped.target));
}

/// The refusal where nothing is left.
pub(super) fn refusal(asked: &Asked<'_>, model: &str, dropped: &[Dropped]) -> Refusal {
    if let Some((until, cause)) = dropped.iter().filter_map(|dropped| dropped.why.pause()).min() {
        return Refusal::RateLimited { cause: cause.to_owned(), retry_after: until.since(asked.now) };
    }
    if let Some(context_tokens) = dropped.iter().filter_map(|dropped| dropped.why.context_tokens()).max() {
        let prompt_tokens = asked.wish.prompt_tokens;
        return Refusal::TooLong { model: model.to_owned(), prompt_tokens, context_tokens };
    }
    let reasons: Vec<String> =
        dropped.iter().map(|dropped| format!("{}: {}", dropped.target.upstream, dropped.why)).collect();
    if dropped.iter().any(|dropped| dropped.why.is_barred()) {
        return Refusal::Forbidden { model: model.to_owned(), why: reasons.join("; ") };
    }
    Refusal::CannotServe { model: model.to_owned(), reasons }
}
