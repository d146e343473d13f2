//! Since when a thread works on something: how others see that a disk hangs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) struct Busy {
    began: Instant,
    /// In microseconds from `began`; 0 is not at all.
    since_us: AtomicU64,
}

impl Busy {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), since_us: AtomicU64::new(0) }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    pub(crate) fn longer_than(&self, most: Duration) -> bool {
        let since_us = self.since_us.load(Ordering::Relaxed);
        since_us > 0 && u128::from(self.now_us().saturating_sub(since_us)) > most.as_micros()
    }

    pub(crate) fn work<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Also when the thread panics.
        struct Over<'a>(&'a Busy);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.since_us.store(0, Ordering::Relaxed);
            }
        }
        self.since_us.store(self.now_us(), Ordering::Relaxed);
        let _over = Over(self);
        work()
    }
}
