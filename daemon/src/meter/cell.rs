//! One subject and its count.

use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::allowance::{Now, Subject, Tally, Used};

/// A subject and what it has used.
pub(super) struct Cell {
    pub(super) subject: Subject,
    tally: Mutex<Tally>,
}

impl Cell {
    pub(super) fn new(subject: Subject) -> Self {
        Self { subject, tally: Mutex::default() }
    }

    /// Locks the count. Who opens several does so in the order of their subjects.
    pub(super) fn open(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn used(&self, now: Now) -> Used {
        let tally = self.open();
        Used {
            subject: self.subject.clone(),
            running: tally.running(),
            windows: tally.windows(now).collect(),
            accounts: tally.accounts().collect(),
        }
    }
}
