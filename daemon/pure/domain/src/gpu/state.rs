//! How the reading of the cards goes, with a sentence that a person can act on.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// How the reading goes as a whole. In JSON, the member `state` beside the state's own members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum GpuState {
    /// The driver has not been asked yet.
    #[default]
    Starting,
    /// The owner does not want it.
    Off,
    /// This build cannot.
    NotBuilt,
    /// NVIDIA's library is not on this machine, or cannot be loaded.
    NoLibrary {
        /// What the system said of it.
        reason: String,
    },
    /// The library is here, the driver is not loaded.
    NoDriver,
    /// The running driver and the library are of different versions.
    VersionMismatch,
    /// We may not open the driver.
    NoPermission,
    /// The driver runs and knows no card.
    NoCard,
    /// The driver failed in another way.
    Failed {
        /// What it said.
        reason: String,
    },
    /// The program that the owner named for them does not tell of them.
    Untold {
        /// What came instead.
        reason: String,
    },
    /// The cards are read.
    Reading,
    /// The driver does not answer; the values are old.
    Late {
        /// Time since the last reading, or since the start, in seconds.
        age_s: u64,
    },
}

impl GpuState {
    /// A label for metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Off => "off",
            Self::NotBuilt => "not_built",
            Self::NoLibrary { .. } => "no_library",
            Self::NoDriver => "no_driver",
            Self::VersionMismatch => "version_mismatch",
            Self::NoPermission => "no_permission",
            Self::NoCard => "no_card",
            Self::Failed { .. } => "failed",
            Self::Untold { .. } => "untold",
            Self::Reading => "reading",
            Self::Late { .. } => "late",
        }
    }

    /// Why the cards are not read, and what to do; `None` when they are.
    #[must_use]
    pub fn sentence(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::Reading => return None,
            Self::Starting => "The NVIDIA driver is being asked.".into(),
            Self::Off => "GPUs are not read, because [gpu] enabled is false in the config.".into(),
            Self::NotBuilt => "This airlane was built without GPU reading.".into(),
            Self::NoLibrary { reason } => format!(
                "NVIDIA's library cannot be loaded ({reason}). A machine without an NVIDIA card needs none. On one \
                 with a card, install its driver, or name the library with [gpu] library in the config."
            )
            .into(),
            Self::NoDriver => "NVIDIA's library is here, but its driver is not loaded. Run `modprobe nvidia`, or \
                 restart this machine if the driver was just installed."
                .into(),
            Self::VersionMismatch => "NVIDIA's driver and its library are of different versions, as after an update. \
                 Restart this machine."
                .into(),
            Self::NoPermission => "Airlane's user may not open the NVIDIA driver. Let it read and write /dev/nvidia*; \
                 into a container the devices must be passed."
                .into(),
            Self::NoCard => "The NVIDIA driver runs, but finds no card. Check that `nvidia-smi -L` lists it, and its \
                 seat and power cables."
                .into(),
            Self::Failed { reason } => {
                format!("The NVIDIA driver fails: {reason}. See what `nvidia-smi` says; Airlane tries again by itself.")
                    .into()
            }
            Self::Untold { reason } => format!(
                "The cards of this machine are not told: {reason}. Check gpu_metrics of the upstream in the config, and \
                 that the exporter runs."
            )
            .into(),
            Self::Late { age_s } => format!(
                "The NVIDIA driver does not answer: the last reading is {age_s} s old. Requests are served all the \
                 same. If it stays like this, look for NVRM messages in the kernel's log (`dmesg`)."
            )
            .into(),
        })
    }
}

/// Whether one card can be read. In JSON, the member `state` beside the state's own members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CardState {
    /// It is read.
    #[default]
    Reading,
    /// It fell off the bus.
    Lost,
    /// It must be reset before it works again.
    NeedsReset,
    /// We may not read it.
    NoPermission,
    /// It fails in another way.
    Failed {
        /// What the driver said.
        reason: String,
    },
}

impl CardState {
    /// Why the card is not read, and what to do; `None` when it is.
    #[must_use]
    pub fn sentence(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::Reading => return None,
            Self::Lost => "This card fell off the bus: the driver no longer reaches it. Check its seat, power cables \
                 and heat, and restart the machine; the other cards go on."
                .into(),
            Self::NeedsReset => "This card must be reset before it works again. Stop what uses it and run \
                 `nvidia-smi --gpu-reset`, or restart the machine."
                .into(),
            Self::NoPermission => "Airlane's user may not read this card. Let it read and write /dev/nvidia*.".into(),
            Self::Failed { reason } => {
                format!("This card fails: {reason}. See what `nvidia-smi` says; Airlane keeps trying.").into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_but_reading_says_what_is_so() {
        let reason = "no such file".to_owned();
        for state in [
            GpuState::Starting,
            GpuState::Off,
            GpuState::NotBuilt,
            GpuState::NoLibrary { reason: reason.clone() },
            GpuState::NoDriver,
            GpuState::VersionMismatch,
            GpuState::NoPermission,
            GpuState::NoCard,
            GpuState::Failed { reason: reason.clone() },
            GpuState::Untold { reason: reason.clone() },
            GpuState::Late { age_s: 7 },
        ] {
            let sentence = state.sentence().expect("a sentence");
            assert!(sentence.ends_with('.') && !sentence.contains("  "), "{sentence}");
        }
        assert!(GpuState::Late { age_s: 7 }.sentence().unwrap().contains("7 s old"));
        assert!(GpuState::NoLibrary { reason }.sentence().unwrap().contains("no such file"));
        assert_eq!((GpuState::Reading.sentence(), CardState::Reading.sentence()), (None, None));
    }
}
