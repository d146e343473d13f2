//! The cards through NVIDIA's management library, loaded at run time and opened once.

mod card;
mod names;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use domain::gpu::{Card, CardState, GpuState, Gpus};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use card::LastSeen;
use names::Names;

/// Whether this build can read cards.
pub(super) const BUILT: bool = true;

/// How often the library is opened anew while a card is lost: what comes back after a reset is seen only so.
const REOPEN_EVERY: Duration = Duration::from_secs(30);

/// Most cards that are read; more do not fit into one machine.
const CARDS_MAX: u32 = 64;

/// Reads all cards of this machine.
pub(super) struct Reader {
    library: Option<PathBuf>,
    nvml: Option<Nvml>,
    opened: Instant,
    names: Names,
    last_seen: LastSeen,
}

impl Reader {
    /// `library` is the file to load; without one the system's loader looks for it.
    pub(super) fn new(library: Option<PathBuf>) -> Self {
        Self { library, nvml: None, opened: Instant::now(), names: Names::new(), last_seen: LastSeen::default() }
    }

    /// Reads all cards once, after opening the library where it is not open.
    pub(super) fn read(&mut self) -> Gpus {
        let read = self.open().and_then(|nvml| {
            let gpus = self.read_all(&nvml)?;
            let lost = [CardState::Lost, CardState::NeedsReset];
            if !gpus.cards.iter().any(|card| lost.contains(&card.state)) || self.opened.elapsed() < REOPEN_EVERY {
                self.nvml = Some(nvml);
            }
            Ok(gpus)
        });
        // After a failure the library is closed, so that the next reading finds a driver that was loaded anew.
        read.unwrap_or_else(|error| Gpus { state: state(&error), ..Gpus::default() })
    }

    fn open(&mut self) -> Result<Nvml, NvmlError> {
        if let Some(nvml) = self.nvml.take() {
            return Ok(nvml);
        }
        self.opened = Instant::now();
        let mut builder = Nvml::builder();
        if let Some(library) = &self.library {
            builder.lib_path(library.as_os_str());
        }
        builder.init()
    }

    fn read_all(&mut self, nvml: &Nvml) -> Result<Gpus, NvmlError> {
        let count = nvml.device_count()?.min(CARDS_MAX);
        let mut cards: Vec<Card> =
            (0..count).map(|index| card::read(nvml, index, &mut self.last_seen)).collect::<Result<_, _>>()?;
        self.names.give(&mut cards);
        Ok(Gpus {
            state: if cards.is_empty() { GpuState::NoCard } else { GpuState::Reading },
            driver: nvml.sys_driver_version().ok(),
            cuda: nvml.sys_cuda_driver_version().ok().map(cuda),
            cards,
            ..Gpus::default()
        })
    }
}

/// CUDA's version as people write it.
fn cuda(version: i32) -> String {
    format!("{}.{}", version / 1_000, version % 1_000 / 10)
}

/// Why the cards as a whole cannot be read.
#[expect(clippy::wildcard_enum_match_arm, reason = "NVML's other errors have no remedy of their own")]
fn state(error: &NvmlError) -> GpuState {
    match error {
        NvmlError::LibloadingError(error) => GpuState::NoLibrary { reason: error.to_string() },
        NvmlError::FailedToLoadSymbol(_) | NvmlError::LibraryNotFound => {
            GpuState::NoLibrary { reason: error.to_string() }
        }
        NvmlError::DriverNotLoaded => GpuState::NoDriver,
        NvmlError::LibRmVersionMismatch => GpuState::VersionMismatch,
        NvmlError::NoPermission | NvmlError::OperatingSystem => GpuState::NoPermission,
        NvmlError::Uninitialized => GpuState::Failed { reason: "it was loaded anew".to_owned() },
        other => GpuState::Failed { reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_cuda_are_written_as_people_do() {
        for (version, text) in [(12_040, "12.4"), (11_080, "11.8"), (13_000, "13.0"), (0, "0.0")] {
            assert_eq!(cuda(version), text);
        }
    }
}
