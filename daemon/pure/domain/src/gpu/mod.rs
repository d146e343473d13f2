//! Graphics cards: what is read of them, how the reading goes, and which of their load is not ours.

mod foreign;
mod press;
mod process;
mod sample;
mod state;

use serde::{Deserialize, Serialize};

pub use foreign::{ForeignFold, ForeignLoad, Ours};
pub use press::{Press, Uses};
pub use process::{Process, is_model_server, label};
pub use sample::{Clocks, Ecc, Pcie, Sample, Throttle, Vram};
pub use state::{CardState, GpuState};

/// All cards of one machine at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpus {
    /// How the reading goes.
    #[serde(flatten)]
    pub state: GpuState,
    /// Version of the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Newest version of CUDA that the driver serves, like `12.4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda: Option<String>,
    /// Time since the cards were read, in milliseconds; `None` before the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// Time that the last reading took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// The cards in the driver's order, also those that cannot be read.
    pub cards: Vec<Card>,
}

/// One card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Position in the driver's order, from 0; may change when the machine starts again.
    pub index: u32,
    /// The card's own name for itself, which never changes; `None` for a card that could never be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Product name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it can be read.
    #[serde(flatten)]
    pub state: CardState,
    /// Its values; `None` while it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// The load that is not ours; `None` while it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign: Option<ForeignLoad>,
}

impl Card {
    /// What people call it: its product name, or its position.
    #[must_use]
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("GPU {}", self.index))
    }
}
