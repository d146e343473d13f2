//! Calls about one card.

use std::ffi::{c_char, c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlClockType_t, nvmlDevice_t, nvmlEccCounterType_t, nvmlEnableState_t, nvmlMemory_v2_t, nvmlMemoryErrorType_t,
    nvmlPcieUtilCounter_t, nvmlReturn_t, nvmlTemperatureSensors_t, nvmlTemperatureThresholds_t, nvmlUtilization_t,
};

use crate::out::{give, give_text};
use crate::scenario::Card;

/// Calls that give a value which the scenario holds as it is.
macro_rules! plain {
    ($($call:ident gives $field:ident as $kind:ty;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $call(handle: nvmlDevice_t, value: *mut $kind) -> nvmlReturn_t {
            give(value, Card::value(stringify!($call), handle, |card| card.$field))
        }
    )*};
}

plain! {
    nvmlDeviceGetPowerUsage gives power_mw as c_uint;
    nvmlDeviceGetEnforcedPowerLimit gives power_limit_mw as c_uint;
    nvmlDeviceGetTotalEnergyConsumption gives energy_mj as c_ulonglong;
    nvmlDeviceGetCurrentClocksThrottleReasons gives throttle as c_ulonglong;
}

/// Calls that give a text.
macro_rules! texts {
    ($($call:ident gives $field:ident;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $call(handle: nvmlDevice_t, text: *mut c_char, length: c_uint) -> nvmlReturn_t {
            give_text(text, length, Card::value(stringify!($call), handle, |card| card.$field.clone()))
        }
    )*};
}

texts! {
    nvmlDeviceGetUUID gives uuid;
    nvmlDeviceGetName gives name;
}

/// Calls that give one element of a list, chosen by NVML's number for it.
macro_rules! chosen {
    ($($call:ident gives $field:ident by $number:ty as $kind:ty;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $call(handle: nvmlDevice_t, number: $number, value: *mut $kind) -> nvmlReturn_t {
            let chosen = |card: &Card| card.$field.as_ref().and_then(|list| list.get(number as usize).copied());
            give(value, Card::value(stringify!($call), handle, chosen))
        }
    )*};
}

chosen! {
    nvmlDeviceGetFanSpeed_v2 gives fans_percent by c_uint as c_uint;
    nvmlDeviceGetClockInfo gives clocks_mhz by nvmlClockType_t as c_uint;
    nvmlDeviceGetPcieThroughput gives pcie_kb_per_s by nvmlPcieUtilCounter_t as c_uint;
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUtilizationRates(handle: nvmlDevice_t, rates: *mut nvmlUtilization_t) -> nvmlReturn_t {
    let value = |card: &Card| {
        Some(nvmlUtilization_t { gpu: card.utilization_percent?, memory: card.memory_utilization_percent.unwrap_or(0) })
    };
    give(rates, Card::value("nvmlDeviceGetUtilizationRates", handle, value))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo_v2(handle: nvmlDevice_t, memory: *mut nvmlMemory_v2_t) -> nvmlReturn_t {
    let value = |card: &Card| {
        let (total, used) = (card.vram_total_bytes?, card.vram_used_bytes);
        Some(nvmlMemory_v2_t { version: 2, total, reserved: 0, used, free: total.saturating_sub(used) })
    };
    give(memory, Card::value("nvmlDeviceGetMemoryInfo_v2", handle, value))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperature(
    handle: nvmlDevice_t,
    _sensor: nvmlTemperatureSensors_t,
    celsius: *mut c_uint,
) -> nvmlReturn_t {
    give(celsius, Card::value("nvmlDeviceGetTemperature", handle, |card| card.temperature_c))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperatureThreshold(
    handle: nvmlDevice_t,
    threshold: nvmlTemperatureThresholds_t,
    celsius: *mut c_uint,
) -> nvmlReturn_t {
    // Only the threshold at which a card slows down is in scenarios; NVML numbers it 1.
    let value = |card: &Card| card.slowdown_c.filter(|_| threshold == 1);
    give(celsius, Card::value("nvmlDeviceGetTemperatureThreshold", handle, value))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetNumFans(handle: nvmlDevice_t, count: *mut c_uint) -> nvmlReturn_t {
    let value = |card: &Card| c_uint::try_from(card.fans_percent.as_ref()?.len()).ok();
    give(count, Card::value("nvmlDeviceGetNumFans", handle, value))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEccMode(
    handle: nvmlDevice_t,
    current: *mut nvmlEnableState_t,
    pending: *mut nvmlEnableState_t,
) -> nvmlReturn_t {
    let value = Card::value("nvmlDeviceGetEccMode", handle, |card| card.ecc_enabled.map(nvmlEnableState_t::from));
    give(pending, value);
    give(current, value)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTotalEccErrors(
    handle: nvmlDevice_t,
    kind: nvmlMemoryErrorType_t,
    _counter: nvmlEccCounterType_t,
    count: *mut c_ulonglong,
) -> nvmlReturn_t {
    let value = |card: &Card| card.ecc_errors.and_then(|errors| errors.get(kind as usize).copied());
    give(count, Card::value("nvmlDeviceGetTotalEccErrors", handle, value))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigMode(handle: nvmlDevice_t, current: *mut c_uint, pending: *mut c_uint) -> nvmlReturn_t {
    let value = Card::value("nvmlDeviceGetMigMode", handle, |card| card.mig_enabled.map(c_uint::from));
    give(pending, value);
    give(current, value)
}
