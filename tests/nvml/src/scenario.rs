//! The scenario file, read anew at each call.

use std::collections::BTreeMap;
use std::time::Duration;

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT as INVALID_ARGUMENT,
    nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED as NOT_SUPPORTED, nvmlReturn_t,
};
use serde::Deserialize;

/// The whole file. Calls are named as in NVML, like `nvmlInit_v2`; errors are NVML's return codes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Calls that fail, for all cards.
    errors: BTreeMap<String, nvmlReturn_t>,
    /// Calls that take their time, in milliseconds.
    delays_ms: BTreeMap<String, u64>,
    pub(crate) driver: Option<String>,
    /// CUDA's version as NVML gives it, like 12040.
    pub(crate) cuda: Option<i32>,
    pub(crate) cards: Vec<Card>,
}

/// One card. What is not given is not supported by it.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Card {
    /// The return code of every call, also of the one that finds the card: a lost card.
    error: Option<nvmlReturn_t>,
    /// The return code of every call but the one that finds the card.
    values_error: Option<nvmlReturn_t>,
    /// Calls that fail for this card.
    errors: BTreeMap<String, nvmlReturn_t>,
    pub(crate) uuid: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) utilization_percent: Option<u32>,
    pub(crate) memory_utilization_percent: Option<u32>,
    pub(crate) vram_total_bytes: Option<u64>,
    pub(crate) vram_used_bytes: u64,
    pub(crate) temperature_c: Option<u32>,
    pub(crate) slowdown_c: Option<u32>,
    pub(crate) fans_percent: Option<Vec<u32>>,
    pub(crate) power_mw: Option<u32>,
    pub(crate) power_limit_mw: Option<u32>,
    pub(crate) energy_mj: Option<u64>,
    /// Graphics, processors, memory and video, in NVML's order.
    pub(crate) clocks_mhz: Option<[u32; 4]>,
    /// NVML's bit mask.
    pub(crate) throttle: Option<u64>,
    /// Sent and received, in NVML's order.
    pub(crate) pcie_kb_per_s: Option<[u32; 2]>,
    pub(crate) ecc_enabled: Option<bool>,
    /// Corrected and uncorrected, in NVML's order.
    pub(crate) ecc_errors: Option<[u64; 2]>,
    pub(crate) mig_enabled: Option<bool>,
    pub(crate) processes: Option<Vec<Process>>,
}

/// A process on a card.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) vram_bytes: Option<u64>,
    /// It draws instead of computing.
    pub(crate) graphics: bool,
    /// Its share of the card's computing.
    pub(crate) utilization_percent: Option<u32>,
}

impl Scenario {
    /// The scenario at this moment, after the delay that it wants of `call`.
    ///
    /// # Errors
    /// The return code that it wants of `call`.
    pub(crate) fn now(call: &str) -> Result<Self, nvmlReturn_t> {
        let scenario = read().unwrap_or_else(|problem| panic!("the NVML scenario: {problem}"));
        if let Some(&delay_ms) = scenario.delays_ms.get(call) {
            std::thread::sleep(Duration::from_millis(delay_ms));
        }
        scenario.errors.get(call).map_or(Ok(()), |code| Err(*code))?;
        Ok(scenario)
    }
}

impl Card {
    /// The card at this position.
    ///
    /// # Errors
    /// There is none, or it is lost.
    pub(crate) fn find(call: &str, index: usize) -> Result<Self, nvmlReturn_t> {
        let scenario = Scenario::now(call)?;
        let card = scenario.cards.get(index).cloned().ok_or(INVALID_ARGUMENT)?;
        card.error.map_or(Ok(()), Err)?;
        Ok(card)
    }

    /// A value of the card behind a handle.
    ///
    /// # Errors
    /// The return code that the scenario wants of `call`, or that the card does not support it.
    pub(crate) fn value<T>(
        call: &str,
        handle: nvmlDevice_t,
        value: impl FnOnce(&Self) -> Option<T>,
    ) -> Result<T, nvmlReturn_t> {
        // A handle is the card's position and one.
        let index = (handle as usize).checked_sub(1).ok_or(INVALID_ARGUMENT)?;
        let card = Self::find(call, index)?;
        card.values_error.or(card.errors.get(call).copied()).map_or(Ok(()), Err)?;
        value(&card).ok_or(NOT_SUPPORTED)
    }
}

/// A test writes the file anew as a whole, so it is always complete.
fn read() -> Result<Scenario, String> {
    let path = std::env::var("AIRLANE_NVML_SCENARIO").map_err(|error| format!("AIRLANE_NVML_SCENARIO: {error}"))?;
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
}
