//! Servers that hold one model in memory at a time: when may another one push it out?

use std::collections::HashMap;
use std::time::Duration;

use super::ticket::Ticket;
use crate::catalogue::Target;
use crate::moment::Moment;
use crate::places::Places;

/// Which model each such server holds.
#[derive(Debug, Default)]
pub(super) struct Swaps {
    held: HashMap<String, Held>,
}

#[derive(Debug)]
struct Held {
    model: String,
    since: Moment,
}

/// A model that was just loaded stays at least this long, whatever is asked for.
const DWELL: Duration = Duration::from_secs(3);
/// Whoever has waited this long for another model gets it, however many wait for the one that is loaded.
const STARVED_AFTER: Duration = Duration::from_secs(15);

impl Swaps {
    /// A model of the server is called: it is the one that is held from here on.
    pub(super) fn called(&mut self, target: &Target, now: Moment) {
        match self.held.get_mut(&target.upstream) {
            Some(held) if held.model == target.model => {}
            Some(held) => *held = Held { model: target.model.clone(), since: now },
            None => {
                self.held.insert(target.upstream.clone(), Held { model: target.model.clone(), since: now });
            }
        }
    }

    /// Whether a request that came at `since` may go to a model of such a server.
    pub(super) fn permit(
        &self,
        target: &Target,
        since: Moment,
        places: &Places,
        waiting: &[Ticket],
        now: Moment,
    ) -> bool {
        let here = |other: &Target| other.upstream == target.upstream;
        let Some(held) = self.held.get(&target.upstream) else { return true };
        if held.model == target.model {
            // Those who starve behind this model go first, unless this request came before them.
            let starves = |ticket: &Ticket| {
                ticket.targets.first().is_some_and(|other| here(other) && other.model != target.model)
                    && now.since(ticket.entry.since) >= STARVED_AFTER
                    && ticket.entry.since < since
            };
            return !waiting.iter().any(starves);
        }
        let is_busy =
            places.iter().any(|(other, place)| here(other) && other.model != target.model && !place.running.is_empty());
        let is_fresh = now.since(held.since) < DWELL;
        let is_wanted = waiting
            .iter()
            .any(|ticket| ticket.targets.first().is_some_and(|other| here(other) && other.model == held.model));
        !is_busy && !is_fresh && (!is_wanted || now.since(since) >= STARVED_AFTER)
    }
}
