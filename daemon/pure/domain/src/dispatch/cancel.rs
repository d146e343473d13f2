//! Cancelled work, held against what the servers tell of themselves.

use super::Dispatch;
use crate::abandoned::Verdict;
use crate::moment::Moment;

impl Dispatch {
    /// A server tells how many requests it works on, ours and others'. Gives what is new about how it takes cancelled
    /// calls: whether it goes on with them.
    pub fn seen_running(&mut self, upstream: &str, running: u32, now: Moment) -> Option<bool> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let ours: usize = self.places.of_mut(upstream).map(|place| place.running.len()).sum();
        let site = self.places.site_mut(upstream);
        // What ended while it was asked may still be in its answer.
        let others = running.saturating_sub(count(ours).saturating_add(site.ended));
        (site.others, site.ended) = (others, 0);
        let verdicts: Vec<Verdict> =
            self.places.of_mut(upstream).filter_map(|place| place.abandoned.seen(others, now)).collect();
        let site = self.places.site_mut(upstream);
        let before = site.ignores_cancel;
        if verdicts.contains(&Verdict::GoesOn) {
            site.ignores_cancel = true;
        } else if verdicts.contains(&Verdict::Stopped) {
            site.ignores_cancel = false;
        }
        (site.ignores_cancel != before).then_some(site.ignores_cancel)
    }

    /// Whether cancelled calls of a server are still watched.
    #[must_use]
    pub fn watches(&self, upstream: &str) -> bool {
        self.places.iter().any(|(target, place)| target.upstream == upstream && place.abandoned.is_open())
    }
}
