//! Calls about the library and the driver.

use std::ffi::{c_char, c_int, c_uint};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED as NOT_SUPPORTED, nvmlReturn_enum_NVML_SUCCESS as SUCCESS,
    nvmlReturn_t,
};

use crate::out::{give, give_text};
use crate::scenario::{Card, Scenario};

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    Scenario::now("nvmlInit_v2").map_or_else(|code| code, |_| SUCCESS)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    Scenario::now("nvmlShutdown").map_or_else(|code| code, |_| SUCCESS)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) -> nvmlReturn_t {
    let scenario = Scenario::now("nvmlSystemGetDriverVersion");
    give_text(version, length, scenario.and_then(|scenario| scenario.driver.ok_or(NOT_SUPPORTED)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) -> nvmlReturn_t {
    let scenario = Scenario::now("nvmlSystemGetCudaDriverVersion_v2");
    give(version, scenario.and_then(|scenario| scenario.cuda.ok_or(NOT_SUPPORTED)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> nvmlReturn_t {
    let scenario = Scenario::now("nvmlDeviceGetCount_v2");
    give(count, scenario.map(|scenario| c_uint::try_from(scenario.cards.len()).unwrap_or(c_uint::MAX)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, handle: *mut nvmlDevice_t) -> nvmlReturn_t {
    let found = Card::find("nvmlDeviceGetHandleByIndex_v2", index as usize);
    // A handle is the card's position and one, since null is no handle.
    give(handle, found.map(|_| (index as usize + 1) as nvmlDevice_t))
}
