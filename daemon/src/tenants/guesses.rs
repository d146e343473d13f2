//! Who presents wrong keys is answered later and later. Nobody is locked out: a good key is served at once, also from an address
//! from which others guess.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The first wrong key costs so much, each further one twice as much as the one before.
const FIRST: Duration = Duration::from_millis(50);
/// And at most this, which is more than a person notices who mistyped.
const MOST: Duration = Duration::from_secs(2);
/// After so long without a wrong key all is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Addresses that are remembered; beyond them, all that are new wait longest.
const ADDRESSES_MAX: usize = 4_096;

#[derive(Default)]
pub(super) struct Guesses(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Guesses {
    /// How long the answer to one more wrong key from there waits.
    pub(super) fn wrong(&self, address: IpAddr, now: Instant) -> Duration {
        let mut guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if guesses.len() >= ADDRESSES_MAX && !guesses.contains_key(&address) {
            guesses.retain(|_, (_, last)| now.duration_since(*last) < FORGOTTEN_AFTER);
            if guesses.len() >= ADDRESSES_MAX {
                return MOST;
            }
        }
        let (count, last) = guesses.entry(address).or_insert((0, now));
        if now.duration_since(*last) >= FORGOTTEN_AFTER {
            *count = 0;
        }
        *last = now;
        *count = count.saturating_add(1);
        FIRST.saturating_mul(1 << (*count - 1).min(10)).min(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_waits_longer_and_longer() {
        let (guesses, began) = (Guesses::default(), Instant::now());
        let [one, other] = ["192.168.1.7", "192.168.1.8"].map(|address| address.parse().unwrap());
        let waits: Vec<u128> = (0..8).map(|_| guesses.wrong(one, began).as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert_eq!(guesses.wrong(other, began), FIRST, "another device");
        assert_eq!(guesses.wrong(one, began + FORGOTTEN_AFTER), FIRST);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (guesses, began) = (Guesses::default(), Instant::now());
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..10_000 {
            guesses.wrong(address(number), began);
        }
        assert_eq!(guesses.0.lock().unwrap().len(), ADDRESSES_MAX);
        assert_eq!(guesses.wrong(address(20_000), began), MOST);
        assert_eq!(guesses.wrong(address(20_000), began + FORGOTTEN_AFTER), FIRST);
    }
}
