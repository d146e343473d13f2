//! One card's values. A call that fails costs its value and nothing else, unless it says that the card is gone.

use std::collections::HashMap;

use domain::gpu::{Card, CardState, Clocks, Ecc, Pcie, Process, Sample, Throttle, Vram};
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, PcieUtilCounter, TemperatureSensor, TemperatureThreshold,
};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};

/// Time of the newest record of processes' utilisation, in µs of the driver's clock, for each card's position.
pub(super) type LastSeen = HashMap<u32, u64>;

/// Most processes of a card that are told.
const PROCESSES_MAX: usize = 64;
/// Most fans that are asked for.
const FANS_MAX: u32 = 8;

/// Reads the card at this position.
///
/// # Errors
/// The driver itself is gone.
pub(super) fn read(nvml: &Nvml, index: u32, last_seen: &mut LastSeen) -> Result<Card, NvmlError> {
    let mut asking = Asking::default();
    let mut card = Card { index, ..Card::default() };
    let device = asking.of(|| nvml.device_by_index(index));
    if let Some(device) = device {
        card.uuid = asking.of(|| device.uuid());
        card.name = asking.of(|| device.name());
        let sample = sample(&device, &mut asking, last_seen.entry(index).or_default());
        card.sample = Some(sample).filter(|sample| *sample != Sample::default());
    }
    match asking.gone {
        Some(Gone::Driver(error)) => return Err(error),
        Some(Gone::Card(state)) => (card.state, card.sample) = (state, None),
        None if card.sample.is_none() => card.state = asking.first_failure.unwrap_or(CardState::NoPermission),
        None => {}
    }
    Ok(card)
}

/// Asks for value after value, until one answer says that there is nothing more to ask.
#[derive(Default)]
struct Asking {
    gone: Option<Gone>,
    /// Why there is no value, should there be none.
    first_failure: Option<CardState>,
}

/// What must be there for any value.
enum Gone {
    Driver(NvmlError),
    Card(CardState),
}

impl Asking {
    #[expect(clippy::wildcard_enum_match_arm, reason = "NVML's other errors cost one value")]
    fn of<T>(&mut self, call: impl FnOnce() -> Result<T, NvmlError>) -> Option<T> {
        if self.gone.is_some() {
            return None;
        }
        let error = match call() {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        match error {
            NvmlError::GpuLost => self.gone = Some(Gone::Card(CardState::Lost)),
            NvmlError::ResetRequired => self.gone = Some(Gone::Card(CardState::NeedsReset)),
            NvmlError::Uninitialized | NvmlError::DriverNotLoaded => self.gone = Some(Gone::Driver(error)),
            NvmlError::NoPermission | NvmlError::OperatingSystem => {
                self.first_failure.get_or_insert(CardState::NoPermission);
            }
            other => {
                self.first_failure.get_or_insert_with(|| CardState::Failed { reason: other.to_string() });
            }
        }
        None
    }
}

fn sample(device: &Device<'_>, asking: &mut Asking, last_seen_us: &mut u64) -> Sample {
    let utilization = asking.of(|| device.utilization_rates());
    let vram = asking.of(|| device.memory_info());
    let ecc_errors = |kind| move || device.total_ecc_errors(kind, EccCounter::Volatile);
    Sample {
        utilization_percent: utilization.as_ref().map(|rates| rates.gpu.min(100)),
        memory_utilization_percent: utilization.map(|rates| rates.memory.min(100)),
        vram: vram.map(|vram| Vram { total_bytes: vram.total, used_bytes: vram.used, free_bytes: vram.free }),
        temperature_c: asking.of(|| device.temperature(TemperatureSensor::Gpu)),
        slowdown_c: asking.of(|| device.temperature_threshold(TemperatureThreshold::Slowdown)),
        fan_percent: fastest_fan(device, asking),
        power_mw: asking.of(|| device.power_usage()),
        power_limit_mw: asking.of(|| device.enforced_power_limit()),
        energy_mj: asking.of(|| device.total_energy_consumption()),
        clocks: Clocks {
            graphics_mhz: asking.of(|| device.clock_info(Clock::Graphics)),
            sm_mhz: asking.of(|| device.clock_info(Clock::SM)),
            memory_mhz: asking.of(|| device.clock_info(Clock::Memory)),
            video_mhz: asking.of(|| device.clock_info(Clock::Video)),
        },
        throttle: asking.of(|| device.current_throttle_reasons()).map(throttle),
        // The driver measures each of these for 20 ms.
        pcie: Pcie {
            received_kb_per_s: asking.of(|| device.pcie_throughput(PcieUtilCounter::Receive)),
            sent_kb_per_s: asking.of(|| device.pcie_throughput(PcieUtilCounter::Send)),
        },
        ecc: Ecc {
            enabled: asking.of(|| device.is_ecc_enabled()).map(|mode| mode.currently_enabled),
            corrected: asking.of(ecc_errors(MemoryError::Corrected)),
            uncorrected: asking.of(ecc_errors(MemoryError::Uncorrected)),
        },
        mig_enabled: asking.of(|| device.mig_mode()).map(|mode| mode.current != 0),
        processes: processes(device, asking, last_seen_us),
    }
}

fn fastest_fan(device: &Device<'_>, asking: &mut Asking) -> Option<u32> {
    let count = asking.of(|| device.num_fans())?.min(FANS_MAX);
    (0..count).filter_map(|fan| asking.of(|| device.fan_speed(fan))).max()
}

fn throttle(reasons: ThrottleReasons) -> Vec<Throttle> {
    let pairs = [
        (ThrottleReasons::GPU_IDLE, Throttle::Idle),
        (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, Throttle::ClockSetting),
        (ThrottleReasons::SW_POWER_CAP, Throttle::PowerCap),
        (ThrottleReasons::HW_SLOWDOWN, Throttle::HardwareSlowdown),
        (ThrottleReasons::SYNC_BOOST, Throttle::SyncBoost),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, Throttle::SoftwareThermal),
        (ThrottleReasons::HW_THERMAL_SLOWDOWN, Throttle::HardwareThermal),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, Throttle::PowerBrake),
        (ThrottleReasons::DISPLAY_CLOCK_SETTING, Throttle::DisplayClock),
    ];
    pairs.into_iter().filter(|(flag, _)| reasons.contains(*flag)).map(|(_, reason)| reason).collect()
}

/// Who computes and who draws, each once: a process may do both.
fn processes(device: &Device<'_>, asking: &mut Asking, last_seen_us: &mut u64) -> Option<Vec<Process>> {
    let compute = asking.of(|| device.running_compute_processes());
    let graphics = asking.of(|| device.running_graphics_processes());
    if compute.is_none() && graphics.is_none() {
        return None;
    }
    let mut processes: Vec<Process> = Vec::new();
    for info in compute.into_iter().chain(graphics).flatten() {
        let vram_bytes = vram_bytes(&info);
        match processes.iter_mut().find(|known| known.pid == info.pid) {
            Some(known) => known.vram_bytes = known.vram_bytes.max(vram_bytes),
            None => processes.push(Process { pid: info.pid, vram_bytes, ..Process::default() }),
        }
    }
    for record in asking.of(|| device.process_utilization_stats(*last_seen_us)).into_iter().flatten() {
        *last_seen_us = record.timestamp.max(*last_seen_us);
        if let Some(process) = processes.iter_mut().find(|process| process.pid == record.pid) {
            process.utilization_percent = Some(record.sm_util.min(100));
        }
    }
    processes.sort_by_key(|process| (std::cmp::Reverse(process.vram_bytes), process.pid));
    processes.truncate(PROCESSES_MAX);
    Some(processes)
}

fn vram_bytes(info: &ProcessInfo) -> Option<u64> {
    match info.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    }
}
