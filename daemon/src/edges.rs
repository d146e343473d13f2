//! The few traits to the outside, so that tests can stand there.

use std::time::{SystemTime, UNIX_EPOCH};

/// Wall-clock time and numbers that nobody can guess.
pub(crate) trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn unix_ms(&self) -> u64;

    /// A word of 24 letters and digits that does not come twice.
    fn unique(&self) -> String;
}

/// The machine's own clock and randomness.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn unique(&self) -> String {
        let mut bytes = [0_u8; 12];
        // Fails only on a kernel without randomness; a repeated id is then the smaller trouble.
        let _ = getrandom::fill(&mut bytes);
        bytes.iter().fold(String::with_capacity(24), |mut text, byte| {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            text
        })
    }
}
