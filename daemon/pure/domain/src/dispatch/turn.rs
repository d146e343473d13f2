//! Lanes at one place: the more urgent one goes first, but of so many requests that go, some are the others'.

use crate::lane::Lane;

/// For each lane, how many more urgent requests may go to a place past one that waits: of five one is a normal one, of ten
/// one is bulk, if it has waited so much longer than these ([`Lane::patience`]). The share keeps a long queue of bulk from
/// delaying an urgent request, and the ratio keeps a shortage from being shared with bulk.
const PASSED_MAX: [u32; 3] = [u32::MAX, 4, 9];

/// How often each lane was passed by at a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turns {
    passed: [u32; 3],
    waits: [bool; 3],
}

impl Turns {
    /// In which lanes somebody waits for the place. Tells whether a lane has its turn.
    pub(crate) fn look(&mut self, waits: [bool; 3]) -> bool {
        self.waits = waits;
        [Lane::Normal, Lane::Bulk].into_iter().any(|lane| self.is_due(lane))
    }

    /// A request of this lane goes to the place.
    pub(crate) fn went(&mut self, lane: Lane) {
        for ((number, passed), waits) in self.passed.iter_mut().enumerate().zip(self.waits) {
            if number == lane as usize {
                *passed = 0;
            } else if number > lane as usize && waits {
                *passed = passed.saturating_add(1);
            }
        }
    }

    /// Whether the lane has its turn.
    pub(crate) fn is_due(&self, lane: Lane) -> bool {
        let number = lane as usize;
        let passed = self.passed.get(number).zip(PASSED_MAX.get(number));
        passed.is_some_and(|(passed, most)| passed >= most) && self.waits.get(number) == Some(&true)
    }
}
