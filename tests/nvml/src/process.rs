//! Calls about the processes on a card.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlProcessInfo_t, nvmlProcessUtilizationSample_t, nvmlReturn_t};

use crate::out::give_list;
use crate::scenario::{Card, Process};

/// What NVML gives for a number that it does not know.
const NO_VALUE: c_ulonglong = c_ulonglong::MAX;
/// Outside of a part of a split card.
const NO_INSTANCE: c_uint = c_uint::MAX;

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    handle: nvmlDevice_t,
    count: *mut c_uint,
    processes: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    let value = |card: &Card| infos(card, false);
    give_list(processes, count, Card::value("nvmlDeviceGetComputeRunningProcesses_v3", handle, value))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    handle: nvmlDevice_t,
    count: *mut c_uint,
    processes: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    let value = |card: &Card| infos(card, true);
    give_list(processes, count, Card::value("nvmlDeviceGetGraphicsRunningProcesses_v3", handle, value))
}

fn infos(card: &Card, graphics: bool) -> Option<Vec<nvmlProcessInfo_t>> {
    let processes = card.processes.as_ref()?.iter().filter(|process| process.graphics == graphics);
    let info = |process: &Process| nvmlProcessInfo_t {
        pid: process.pid,
        usedGpuMemory: process.vram_bytes.unwrap_or(NO_VALUE),
        gpuInstanceId: NO_INSTANCE,
        computeInstanceId: NO_INSTANCE,
    };
    Some(processes.map(info).collect())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetProcessUtilization(
    handle: nvmlDevice_t,
    samples: *mut nvmlProcessUtilizationSample_t,
    count: *mut c_uint,
    last_seen_us: c_ulonglong,
) -> nvmlReturn_t {
    let value = |card: &Card| {
        let processes = card.processes.as_ref()?.iter();
        let sample = |process: &Process| {
            Some(nvmlProcessUtilizationSample_t {
                pid: process.pid,
                timeStamp: last_seen_us + 1_000_000,
                smUtil: process.utilization_percent?,
                memUtil: 0,
                encUtil: 0,
                decUtil: 0,
            })
        };
        Some(processes.filter_map(sample).collect::<Vec<_>>()).filter(|samples| !samples.is_empty())
    };
    give_list(samples, count, Card::value("nvmlDeviceGetProcessUtilization", handle, value))
}
