//! dcgm-exporter: <https://github.com/NVIDIA/dcgm-exporter>, with the fields of
//! <https://docs.nvidia.com/datacenter/dcgm/latest/dcgm-api/dcgm-api-field-ids.html>.

use domain::gpu::{CardState, Throttle};

use super::super::exposition::Line;
use super::{Building, MIB, milliwatts, name};

/// Values from here on mean "not supported" or the like, for fields of 32 bits.
const BLANK: u32 = 0x7fff_fff0;
/// The same for others: 2^47.
const BLANK_LARGE: f64 = 140_737_488_355_328.0;
/// The driver's number for "the card has fallen off the bus":
/// <https://docs.nvidia.com/deploy/xid-errors/>.
const XID_LOST: u64 = 79;

/// Takes a line, whose name is given without `DCGM_FI_`.
pub(super) fn take(told: &mut Building, field: &str, line: &Line<'_>) {
    let Some(key) = line.label("UUID").or_else(|| line.label("gpu")) else { return };
    if told.exported.host_name.is_none() {
        told.exported.host_name = line.label("Hostname").and_then(|host| name(&host));
    }
    if told.exported.gpus.driver.is_none() {
        told.exported.gpus.driver = line.label("DCGM_FI_DRIVER_VERSION").and_then(|version| name(&version));
    }
    let Some((card, parts)) = told.card(&key) else { return };
    if !parts.has_index {
        parts.has_index = true;
        card.uuid = line.label("UUID").and_then(|uuid| name(&uuid));
        card.name = line.label("modelName").and_then(|model| name(&model));
        if let Some(index) = line.label("gpu").and_then(|index| index.parse().ok()) {
            card.index = index;
        }
    }
    if field == "DEV_XID_ERRORS" && line.count() == Some(XID_LOST) {
        card.state = CardState::Lost;
        card.sample = None;
    }
    let Some(sample) = &mut card.sample else { return };
    let instance = line.label("GPU_I_ID");
    if instance.is_some() {
        sample.mig_enabled = Some(true);
    }
    let small = line.small().filter(|value| *value < BLANK);
    let large = || line.number().filter(|value| *value < BLANK_LARGE).and_then(|_| line.count());
    match field {
        "DEV_GPU_UTIL" => sample.utilization_percent = small,
        "DEV_MEM_COPY_UTIL" => sample.memory_utilization_percent = small,
        "DEV_GPU_TEMP" => sample.temperature_c = small,
        "DEV_SLOWDOWN_TEMP" => sample.slowdown_c = small,
        "DEV_FAN_SPEED" => sample.fan_percent = small,
        "DEV_POWER_USAGE" => sample.power_mw = milliwatts(line),
        "DEV_ENFORCED_POWER_LIMIT" | "DEV_POWER_MGMT_LIMIT" => sample.power_limit_mw = milliwatts(line),
        "DEV_TOTAL_ENERGY_CONSUMPTION" => sample.energy_mj = large(),
        "DEV_SM_CLOCK" => sample.clocks.sm_mhz = small,
        "DEV_MEM_CLOCK" => sample.clocks.memory_mhz = small,
        "DEV_VIDEO_CLOCK" => sample.clocks.video_mhz = small,
        "DEV_ECC_CURRENT" => sample.ecc.enabled = small.map(|on| on > 0),
        "DEV_ECC_SBE_VOL_TOTAL" => sample.ecc.corrected = large(),
        "DEV_ECC_DBE_VOL_TOTAL" => sample.ecc.uncorrected = large(),
        // Renamed with DCGM 3.3.
        "DEV_CLOCKS_EVENT_REASONS" | "DEV_CLOCK_THROTTLE_REASONS" => {
            sample.throttle = large().map(Throttle::of_bits);
        }
        "PROF_PCIE_RX_BYTES" => sample.pcie.received_kb_per_s = line.number().map(|bytes| (bytes / 1_000.0) as u32),
        "PROF_PCIE_TX_BYTES" => sample.pcie.sent_kb_per_s = line.number().map(|bytes| (bytes / 1_000.0) as u32),
        "DEV_FB_TOTAL" => parts.total_bytes = bytes(small),
        "DEV_FB_USED" => add(&mut parts.used_bytes, small, is_new(&mut parts.instances, field, instance.as_deref())),
        "DEV_FB_FREE" => add(&mut parts.free_bytes, small, is_new(&mut parts.instances, field, instance.as_deref())),
        "DEV_FB_RESERVED" => {
            let is_new = is_new(&mut parts.instances, field, instance.as_deref());
            add(&mut parts.reserved_bytes, small, is_new);
        }
        _ => {}
    }
}

/// MiB as bytes.
fn bytes(mib: Option<u32>) -> Option<u64> {
    mib.map(|mib| u64::from(mib) * MIB)
}

/// Whether a field of this part of the card has not been counted: where containers share a card, its lines come once
/// for each of these.
fn is_new(seen: &mut Vec<String>, field: &str, instance: Option<&str>) -> bool {
    const SEEN_MAX: usize = 64;
    let key = format!("{field} {}", instance.unwrap_or_default());
    let is_new = !seen.contains(&key) && seen.len() < SEEN_MAX;
    if is_new {
        seen.push(key);
    }
    is_new
}

fn add(sum: &mut Option<u64>, mib: Option<u32>, is_new: bool) {
    if let Some(bytes) = bytes(mib).filter(|_| is_new) {
        *sum = Some(sum.unwrap_or(0).saturating_add(bytes));
    }
}
