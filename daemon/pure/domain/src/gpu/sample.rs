//! One reading of one card. A value that a card does not offer is `None`, never zero.

use serde::{Deserialize, Serialize};

use super::Process;

/// The values of one card at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Share of the last moment in which the card computed, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_percent: Option<u32>,
    /// Share of the last moment in which its memory was read or written, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_utilization_percent: Option<u32>,
    /// Its memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vram: Option<Vram>,
    /// Temperature of the chip, in °C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<u32>,
    /// Temperature from which the card slows itself down, in °C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowdown_c: Option<u32>,
    /// Speed of its fastest fan, in percent of the full speed; some cards go beyond 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fan_percent: Option<u32>,
    /// Power that it draws, in milliwatts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_mw: Option<u32>,
    /// Power that it may draw, in milliwatts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_limit_mw: Option<u32>,
    /// Energy used since the driver was loaded, in millijoules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_mj: Option<u64>,
    /// Its clocks.
    #[serde(default)]
    pub clocks: Clocks,
    /// Why the clocks are lower than they could be; empty when they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Vec<Throttle>>,
    /// Traffic between the card and its machine.
    #[serde(default)]
    pub pcie: Pcie,
    /// Its memory's error correction.
    #[serde(default)]
    pub ecc: Ecc,
    /// Whether it is split into several (multi-instance GPU).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mig_enabled: Option<bool>,
    /// Who uses it; `None` where the driver does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<Vec<Process>>,
}

/// A card's memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Vram {
    pub total_bytes: u64,
    pub used_bytes: u64,
    pub free_bytes: u64,
}

impl Vram {
    /// The part of it that `bytes` are, in percent from 0 to 100; 0 where the card tells no size.
    #[must_use]
    pub fn percent(&self, bytes: u64) -> u32 {
        let percent = u128::from(bytes) * 100 / u128::from(self.total_bytes.max(1));
        if self.total_bytes == 0 { 0 } else { u32::try_from(percent).unwrap_or(100).min(100) }
    }
}

/// Clocks of a card, in MHz.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Clocks {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graphics_mhz: Option<u32>,
    /// The processors that compute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sm_mhz: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mhz: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_mhz: Option<u32>,
}

/// Traffic between a card and its machine, in KB a second, over the last 20 ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pcie {
    /// To the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_kb_per_s: Option<u32>,
    /// From the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_kb_per_s: Option<u32>,
}

/// Error correction of a card's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ecc {
    /// Whether it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Errors put right since the driver was loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected: Option<u64>,
    /// Errors that could not be put right since the driver was loaded: results may have been wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncorrected: Option<u64>,
}

/// Why a card's clocks are lower than they could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Throttle {
    /// Nothing to do.
    Idle,
    /// The owner set lower clocks.
    ClockSetting,
    /// It draws as much power as it may.
    PowerCap,
    /// The hardware halves its clocks: heat, or the power supply.
    HardwareSlowdown,
    /// It keeps step with other cards.
    SyncBoost,
    /// Too hot for the driver's limit.
    SoftwareThermal,
    /// Too hot for the hardware's limit.
    HardwareThermal,
    /// The power supply asks for it.
    PowerBrake,
    /// A display needs these clocks.
    DisplayClock,
}

impl Throttle {
    /// All reasons with their labels for metrics.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Idle, "idle"),
        (Self::ClockSetting, "clock_setting"),
        (Self::PowerCap, "power_cap"),
        (Self::HardwareSlowdown, "hardware_slowdown"),
        (Self::SyncBoost, "sync_boost"),
        (Self::SoftwareThermal, "software_thermal"),
        (Self::HardwareThermal, "hardware_thermal"),
        (Self::PowerBrake, "power_brake"),
        (Self::DisplayClock, "display_clock"),
    ];

    /// The reasons of a mask as NVIDIA's driver writes it:
    /// <https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html>.
    #[must_use]
    pub fn of_bits(bits: u64) -> Vec<Self> {
        // The order of `ALL` is that of the bits.
        let reasons = Self::ALL.iter().enumerate();
        reasons.filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, (reason, _))| *reason).collect()
    }

    /// Whether it is heat that slows the card down.
    #[must_use]
    pub const fn is_heat(self) -> bool {
        matches!(self, Self::SoftwareThermal | Self::HardwareThermal)
    }

    /// What a person should know of it; `None` for reasons that cost nothing or were wished for.
    #[must_use]
    pub const fn trouble(self) -> Option<&'static str> {
        match self {
            Self::Idle | Self::ClockSetting | Self::SyncBoost | Self::DisplayClock => None,
            Self::PowerCap => Some("at its power limit"),
            Self::HardwareSlowdown => Some("slowed down by its hardware: heat or power supply"),
            Self::SoftwareThermal | Self::HardwareThermal => Some("slowed down by heat"),
            Self::PowerBrake => Some("slowed down by the power supply"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_bits_are_the_reasons() {
        for (bits, want) in [
            (0, &[][..]),
            (0x1, &[Throttle::Idle]),
            (0x4, &[Throttle::PowerCap]),
            (0x20, &[Throttle::SoftwareThermal]),
            (0x48, &[Throttle::HardwareSlowdown, Throttle::HardwareThermal]),
            (0x80, &[Throttle::PowerBrake]),
            (0x100, &[Throttle::DisplayClock]),
            (u64::MAX << 9, &[]),
        ] {
            assert_eq!(Throttle::of_bits(bits), want, "{bits:#x}");
        }
    }

    #[test]
    fn shares_of_memory_stay_within_bounds() {
        for (total_bytes, bytes, want) in
            [(0, 5, 0), (100, 0, 0), (100, 49, 49), (100, 200, 100), (u64::MAX, u64::MAX, 100), (1, u64::MAX, 100)]
        {
            let vram = Vram { total_bytes, ..Vram::default() };
            assert_eq!(vram.percent(bytes), want, "{bytes} of {total_bytes}");
        }
    }
}
