//! Servers that hold one model in memory at a time: when may another one push it out?

use std::collections::HashMap;

use super::ticket::Ticket;
use crate::catalogue::Target;
use crate::config::Config;
use crate::moment::Moment;
use crate::places::{HeldModel, MODEL_DWELL, MODEL_STARVED_AFTER, Places};

/// Which models those that wait want of such servers: counted once for many decisions.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    /// For each upstream: the model, and since when somebody waits for it.
    models: HashMap<&'a str, Vec<(String, Moment)>>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(config: &'a Config, waiting: &[Ticket]) -> Self {
        let single = config.upstreams.iter().filter(|upstream| upstream.one_model);
        let mut wanted = Self { models: single.map(|upstream| (upstream.name.as_str(), Vec::new())).collect() };
        if wanted.models.is_empty() {
            return wanted;
        }
        for ticket in waiting {
            let Some(target) = ticket.targets.first() else { continue };
            let Some(models) = wanted.models.get_mut(target.upstream.as_str()) else { continue };
            match models.iter_mut().find(|(model, _)| *model == target.model) {
                Some((_, since)) => *since = (*since).min(ticket.entry.since),
                None => models.push((target.model.clone(), ticket.entry.since)),
            }
        }
        wanted
    }

    /// Whether a request that came at `since` may go to a model, if its server holds one at a time.
    pub(super) fn permit(&self, target: &Target, since: Moment, places: &Places, now: Moment) -> bool {
        let Some(wanted) = self.models.get(target.upstream.as_str()) else { return true };
        let Some(held) = places.site(&target.upstream).and_then(|site| site.held.as_ref()) else { return true };
        if held.model == target.model {
            // Those who starve behind this model go first, unless this request came before them.
            let starves = |&(ref model, other): &(String, Moment)| {
                *model != target.model && now.since(other) >= MODEL_STARVED_AFTER && other < since
            };
            return !wanted.iter().any(starves);
        }
        let holder = Target::new(&target.upstream, &held.model);
        let is_busy =
            places.place(&holder).is_some_and(|place| !place.running.is_empty() || place.told.others.running > 0);
        let is_fresh = now.since(held.since) < MODEL_DWELL;
        let is_wanted = wanted.iter().any(|(model, _)| *model == held.model);
        !is_busy && !is_fresh && (!is_wanted || now.since(since) >= MODEL_STARVED_AFTER)
    }
}

/// A model of the server is called: it is the one that is held from here on. Gives the one that it pushes out.
pub(super) fn called(held: &mut Option<HeldModel>, model: &str, now: Moment) -> Option<String> {
    if held.as_ref().is_some_and(|held| held.model == model) {
        return None;
    }
    held.replace(HeldModel { model: model.to_owned(), since: now }).map(|before| before.model)
}
