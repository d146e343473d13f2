//! A place with everything that is known of it, looked up once for a decision.

use super::Asked;
use crate::catalogue::{ModelInfo, Target};
use crate::places::{Place, Site};
use crate::upstream::Upstream;

/// A place that could answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot<'a> {
    /// Its number within its tier.
    pub(super) number: usize,
    pub(super) target: &'a Target,
    pub(super) upstream: &'a Upstream,
    pub(super) info: Option<&'a ModelInfo>,
    pub(super) place: Option<&'a Place>,
    pub(super) site: Option<&'a Site>,
    /// Tokens of the conversation that it has read.
    pub(super) warm_tokens: u64,
}

/// Looks places up.
pub(super) struct Looker<'a> {
    asked: &'a Asked<'a>,
    /// Where parts of the conversation are warm, the longest first: looked up once for all places.
    warm: Vec<(&'a Target, u64)>,
}

impl<'a> Looker<'a> {
    pub(super) fn new(asked: &'a Asked<'a>) -> Self {
        Self { asked, warm: asked.sessions.warm(&asked.wish.prefix).collect() }
    }

    pub(super) fn spot(&self, number: usize, target: &'a Target, upstream: &'a Upstream) -> Spot<'a> {
        let Self { asked, warm } = self;
        let warm_tokens = warm.iter().find(|(at, _)| *at == target).map_or(0, |(_, tokens)| *tokens);
        let info = asked.catalogue.info(target);
        let (place, site) = (asked.places.place(target), asked.places.site(&target.upstream));
        Spot { number, target, upstream, info, place, site, warm_tokens }
    }
}

/// The places of a tier, in its order. Targets come mostly in the order of the config, so that the search for an upstream
/// begins behind the one that was found last: a thousand targets cost a thousand steps, not a million.
pub(super) fn spots<'a>(asked: &'a Asked<'a>, targets: &'a [Target]) -> Vec<Spot<'a>> {
    let (looker, all) = (Looker::new(asked), &asked.config.upstreams);
    let mut next = 0;
    let mut spots = Vec::with_capacity(targets.len());
    for (number, target) in targets.iter().enumerate() {
        let (before, behind) = all.split_at_checked(next).unwrap_or((all, &[]));
        let is_it = |upstream: &Upstream| upstream.name == target.upstream;
        let found = behind.iter().position(is_it).map(|position| before.len() + position);
        let Some(position) = found.or_else(|| before.iter().position(is_it)) else { continue };
        #[cfg(test)]
        super::work::done(position.abs_diff(next) + 1);
        next = position + 1;
        spots.extend(all.get(position).map(|upstream| looker.spot(number, target, upstream)));
    }
    spots
}
