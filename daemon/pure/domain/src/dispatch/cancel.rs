//! Cancelled work, held against what the servers tell of themselves.

use super::Dispatch;
use crate::abandoned::Verdict;
use crate::moment::Moment;

impl Dispatch {
    /// A server has told of its requests: what of them is neither ours nor was others' before is cancelled work that goes
    /// on. Gives what is new about how it takes cancelled calls.
    pub(super) fn judge_cancelled(&mut self, upstream: &str, now: Moment) -> Option<bool> {
        let mut verdict = None;
        for place in self.places.of_mut(upstream) {
            let seen = place.abandoned.seen(place.told.others.running, now);
            verdict = if verdict == Some(Verdict::GoesOn) { verdict } else { seen.or(verdict) };
        }
        let goes_on = verdict? == Verdict::GoesOn;
        let known = &mut self.places.known_site_mut(upstream)?.ignores_cancel;
        let is_new = *known != goes_on;
        *known = goes_on;
        is_new.then_some(goes_on)
    }

    /// A server keeps its cards busy without a call of ours. Where it tells nothing of its requests, that is the only sign of
    /// cancelled work that goes on. Gives whether that is new.
    pub fn busy_by_itself(&mut self, upstream: &str, now: Moment) -> bool {
        if self.places.running_at(upstream) > 0 {
            return false;
        }
        let silent = self.places.of_mut(upstream).filter(|place| !place.told.is_counted());
        // All of them are asked, not only up to the first.
        let goes_on = silent.filter_map(|place| place.abandoned.seen_on_card(now)).count() > 0;
        let Some(site) = self.places.known_site_mut(upstream).filter(|site| goes_on && !site.ignores_cancel) else {
            return false;
        };
        site.ignores_cancel = true;
        true
    }

    /// Whether cancelled calls of a server are still watched.
    #[must_use]
    pub fn watches(&self, upstream: &str) -> bool {
        self.places.iter().any(|(target, place)| target.upstream == upstream && place.abandoned.is_open())
    }
}
