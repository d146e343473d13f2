//! Machines that are woken because somebody waits for them.

use super::Dispatch;
use crate::moment::Moment;

impl Dispatch {
    /// The upstreams whose machines are to be called now, since those that wait would go there. To be asked now and then.
    pub fn calls_to_wake(&mut self, now: Moment) -> Vec<String> {
        let mut called: Vec<String> = Vec::new();
        let sleeping = self.waiting.iter().filter(|ticket| !ticket.score.wake.is_zero());
        for target in sleeping.filter_map(|ticket| ticket.targets.first()) {
            let upstream = &target.upstream;
            if !called.contains(upstream)
                && self.places.known_site_mut(upstream).is_some_and(|site| site.sleep.call(now))
            {
                called.push(upstream.clone());
            }
        }
        called
    }
}
