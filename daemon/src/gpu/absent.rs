//! The API of `nvml` in a build without it.

use std::path::PathBuf;

use domain::gpu::{GpuState, Gpus};

/// Whether this build can read cards.
pub(super) const BUILT: bool = false;

/// Reads nothing.
pub(super) struct Reader;

impl Reader {
    pub(super) fn new(_library: Option<PathBuf>) -> Self {
        Self
    }

    pub(super) fn read(&mut self) -> Gpus {
        Gpus { state: GpuState::NotBuilt, ..Gpus::default() }
    }
}
