//! Machines that sleep and can be woken: how long that takes, and when a wake-up call is due.

use std::time::Duration;

use crate::moment::Moment;

/// How the owner has a machine woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// The address of its network card.
    pub mac: [u8; 6],
    /// Where the call is sent: the broadcast address of its network.
    pub address: std::net::SocketAddr,
    /// Until it answers, as long as nobody has measured it.
    pub guess: Duration,
}

impl Wake {
    /// AMD's magic packet: six bytes of ones, then sixteen times the address.
    #[must_use]
    pub fn packet(&self) -> [u8; 102] {
        let mut packet = [0xff; 102];
        for chunk in packet.chunks_exact_mut(6).skip(1) {
            chunk.copy_from_slice(&self.mac);
        }
        packet
    }
}

/// The sleep of one upstream's machine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sleep {
    /// It can be woken, and takes so long as far as the owner knows; `None` where it cannot.
    pub guess: Option<Duration>,
    /// It took so long before.
    measured: Option<Duration>,
    /// When it was first called, while it has not answered.
    began: Option<Moment>,
    /// When it was called last.
    called: Moment,
    /// Calls in vain, in a row.
    failures: u32,
}

/// Calls may get lost: the next one follows after this.
const CALL_EVERY: Duration = Duration::from_secs(5);
/// A machine is given up when it takes this many times as long as predicted, but not before [`GIVEN_UP_MIN`].
const GIVEN_UP_FACTOR: u32 = 3;
/// See [`GIVEN_UP_FACTOR`].
const GIVEN_UP_MIN: Duration = Duration::from_secs(60);
/// Pause after a call in vain; doubled each time.
const REST_MIN: Duration = Duration::from_secs(120);
/// Longest such pause.
const REST_MAX: Duration = Duration::from_secs(3_600);

impl Sleep {
    /// How long it takes to wake it.
    fn expected(&self) -> Option<Duration> {
        Some(self.measured.unwrap_or(self.guess?))
    }

    /// Predicted time until it answers; `None` if it cannot be woken, or was called in vain a short time ago.
    #[must_use]
    pub fn ready_in(&self, now: Moment) -> Option<Duration> {
        let expected = self.expected()?;
        let Some(began) = self.began else { return Some(expected) };
        let passed = now.since(began);
        if passed <= given_up(expected) {
            // One that is late is expected every moment, and yet no sooner than the next look.
            return Some(expected.saturating_sub(passed).max(Duration::from_secs(1)));
        }
        (passed > given_up(expected) + self.rest()).then_some(expected)
    }

    /// The prediction was measured, and is no guess.
    #[must_use]
    pub const fn is_measured(&self) -> bool {
        self.measured.is_some()
    }

    /// It is being woken.
    #[must_use]
    pub fn is_waking(&self, now: Moment) -> bool {
        let (Some(began), Some(expected)) = (self.began, self.expected()) else { return false };
        now.since(began) <= given_up(expected)
    }

    /// Somebody waits for it: whether it is to be called now.
    pub fn call(&mut self, now: Moment) -> bool {
        if self.ready_in(now).is_none() {
            return false;
        }
        let is_waking = self.is_waking(now);
        if is_waking && now.since(self.called) < CALL_EVERY {
            return false;
        }
        if !is_waking {
            self.failures += u32::from(self.began.is_some());
            self.began = Some(now);
        }
        self.called = now;
        true
    }

    /// It answers.
    pub fn answered(&mut self, now: Moment) {
        let Some(began) = self.began.take() else { return };
        self.failures = 0;
        let took = now.since(began);
        if self.expected().is_some_and(|expected| took <= given_up(expected)) {
            self.measured = Some(self.measured.map_or(took, |before| (before + took) / 2));
        }
    }

    fn rest(&self) -> Duration {
        REST_MIN.saturating_mul(1 << self.failures.min(8)).min(REST_MAX)
    }
}

fn given_up(expected: Duration) -> Duration {
    expected.saturating_mul(GIVEN_UP_FACTOR).max(GIVEN_UP_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn seconds(sleep: &Sleep, now: u64) -> Option<u64> {
        sleep.ready_in(at(now)).map(|wait| wait.as_secs())
    }

    fn sleeper() -> Sleep {
        Sleep { guess: Some(Duration::from_secs(30)), ..Sleep::default() }
    }

    #[test]
    fn the_packet_is_magic() {
        let mac = [2, 0, 0, 0xaa, 0xbb, 0xcc];
        let wake = Wake { mac, address: ([127, 0, 0, 1], 9).into(), guess: Duration::ZERO };
        let packet = wake.packet();
        assert_eq!(packet[..6], [0xff; 6]);
        assert!(packet[6..].chunks(6).all(|chunk| chunk == mac) && packet.len() == 102);
    }

    #[test]
    fn calls_are_repeated_while_it_wakes_and_the_time_is_learned() {
        let mut sleep = sleeper();
        assert_eq!((seconds(&sleep, 100), sleep.is_waking(at(100))), (Some(30), false));
        let calls: Vec<u64> = (100..=112).filter(|now| sleep.call(at(*now))).collect();
        assert_eq!(calls, [100, 105, 110]);
        assert_eq!((seconds(&sleep, 112), seconds(&sleep, 140)), (Some(18), Some(1)));
        sleep.answered(at(120));
        assert_eq!((seconds(&sleep, 500), sleep.is_waking(at(120)), sleep.is_measured()), (Some(20), false, true));
        assert!(sleep.call(at(500)));
        sleep.answered(at(510));
        assert_eq!(seconds(&sleep, 600), Some(15));
    }

    #[test]
    fn a_machine_that_does_not_wake_is_left_alone_for_longer_and_longer() {
        let mut sleep = sleeper();
        assert!(sleep.call(at(0)));
        let given_up = 90;
        assert_eq!((seconds(&sleep, given_up), seconds(&sleep, given_up + 1)), (Some(1), None));
        assert!(!sleep.call(at(given_up + 100)));
        let again = given_up + 121;
        assert_eq!(seconds(&sleep, again), Some(30));
        assert!(sleep.call(at(again)));
        assert_eq!(
            (seconds(&sleep, again + given_up + 121), seconds(&sleep, again + given_up + 241)),
            (None, Some(30))
        );
    }

    #[test]
    fn who_cannot_be_woken_is_not_called() {
        let mut sleep = Sleep::default();
        assert!(!sleep.call(at(1)) && seconds(&sleep, 1).is_none() && !sleep.is_waking(at(1)));
        sleep.answered(at(2));
        assert_eq!(sleep, Sleep::default());
    }
}
