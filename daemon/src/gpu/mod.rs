//! Reads the NVIDIA cards of this machine, once a second, on a thread of its own: a driver call may take seconds, and
//! then nothing waits but this thread.
//!
//! With the feature `nvml`, the driver's library is loaded at run time. Without it, `absent` has the same API.

#[cfg_attr(not(feature = "nvml"), path = "absent.rs")]
mod nvml;

use std::thread::sleep;
use std::time::{Duration, Instant};

use domain::config::Gpu;
use domain::gpu::{GpuState, Gpus};
use tokio::sync::watch;

use nvml::Reader;

/// How often the cards are read.
const TICK: Duration = Duration::from_secs(1);
/// Shortest rest between two readings, so that slow ones do not fill the thread.
const REST_MIN: Duration = Duration::from_millis(100);
/// Longest wait until a driver that cannot be used is tried again: who has just installed one sees it soon.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Why cards are never read, if so.
pub(crate) fn unread(config: &Gpu) -> Option<GpuState> {
    match (config.enabled, nvml::BUILT) {
        (false, _) => Some(GpuState::Off),
        (true, false) => Some(GpuState::NotBuilt),
        (true, true) => None,
    }
}

/// Reads the cards and tells each reading, until nobody listens.
pub(crate) fn watch_cards(config: &Gpu, readings: &watch::Sender<Gpus>) {
    let mut reader = Reader::new(config.library.clone());
    let mut failures = 0;
    while !readings.is_closed() {
        let began = Instant::now();
        let mut gpus = reader.read();
        let took = began.elapsed();
        gpus.took_ms = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        failures = if gpus.state == GpuState::Reading { 0 } else { failures + 1 };
        readings.send_replace(gpus);
        sleep(pause(failures).saturating_sub(took).max(REST_MIN));
    }
}

/// Time from the begin of one reading to the next after so many that failed in a row.
fn pause(failures: u32) -> Duration {
    TICK.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_fails_is_asked_less_and_less() {
        for (failures, seconds) in [(0, 1), (1, 1), (2, 2), (3, 4), (7, 60), (u32::MAX, 60)] {
            assert_eq!(pause(failures), Duration::from_secs(seconds), "after {failures} failures");
        }
    }

    #[test]
    fn the_owner_can_switch_it_off() {
        assert_eq!(unread(&Gpu { enabled: false, library: None }), Some(GpuState::Off));
        assert_eq!(unread(&Gpu::default()).is_none(), nvml::BUILT);
    }
}
