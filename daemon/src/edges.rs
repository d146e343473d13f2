//! The few traits to the outside, so that tests can stand there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall-clock time and names that do not come twice.
pub(crate) trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn unix_ms(&self) -> u64;

    /// A word of 24 letters and digits that does not come twice.
    fn unique(&self) -> String;
}

/// The machine's own clock, and numbers that begin at random.
pub(crate) struct SystemClock {
    /// Tells this run of the daemon from all others.
    run: u32,
    next: AtomicU64,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        let mut bytes = [0_u8; 12];
        // Fails only on a kernel without randomness; ids that repeat after a restart are then the smaller trouble.
        let _ = getrandom::fill(&mut bytes);
        let [a, b, c, d, rest @ ..] = bytes;
        Self { run: u32::from_le_bytes([a, b, c, d]), next: AtomicU64::new(u64::from_le_bytes(rest)) }
    }
}

impl Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn unique(&self) -> String {
        // An odd step visits every number once; a large one makes neighbours look different.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let next = self.next.fetch_add(STEP, Ordering::Relaxed);
        let [run, next] = [u128::from(self.run) << 64, u128::from(next)];
        let digit = |place: u32| char::from_digit(((run | next) >> (4 * place) & 0xf) as u32, 16);
        (0..24).rev().filter_map(digit).collect()
    }
}

/// A clock that the test sets.
#[cfg(test)]
pub(crate) struct SetClock(AtomicU64);

#[cfg(test)]
impl SetClock {
    pub(crate) fn new(unix_ms: u64) -> Self {
        Self(AtomicU64::new(unix_ms))
    }

    pub(crate) fn pass(&self, duration: std::time::Duration) {
        self.0.fetch_add(u64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

#[cfg(test)]
impl Clock for SetClock {
    fn unix_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn unique(&self) -> String {
        "x".repeat(24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_do_not_come_twice() {
        let clock = SystemClock::new();
        let names: HashSet<String> = (0..10_000).map(|_| clock.unique()).collect();
        assert_eq!(names.len(), 10_000);
        assert!(names.iter().all(|name| name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_alphanumeric())));
        assert_ne!(clock.run, SystemClock::new().run);
    }
}
