//! nvidia_gpu_exporter, which asks `nvidia-smi`: <https://github.com/utkuozdemir/nvidia_gpu_exporter>.

use domain::gpu::Throttle;

use super::super::exposition::Line;
use super::{Building, milliwatts, name};

/// Takes a line, whose name is given without `nvidia_smi_`.
pub(super) fn take(told: &mut Building, field: &str, line: &Line<'_>) {
    let Some(key) = line.label("uuid") else { return };
    if field == "gpu_info" && told.exported.gpus.driver.is_none() {
        told.exported.gpus.driver = line.label("driver_version").and_then(|version| name(&version));
    }
    let Some((card, parts)) = told.card(&key) else { return };
    if card.uuid.is_none() {
        // The exporter leaves out the beginning that all others write.
        let whole = if key.contains('-') && key.starts_with("GPU-") { key.to_string() } else { format!("GPU-{key}") };
        card.uuid = name(&whole);
    }
    let Some(sample) = &mut card.sample else { return };
    let mhz = || line.number().filter(|hz| *hz >= 0.0).map(|hz| (hz / 1e6).round() as u32);
    let is_on = || line.number().map(|value| value > 0.0);
    match field {
        "index" => card.index = line.small().unwrap_or(card.index),
        "gpu_info" => card.name = line.label("name").and_then(|text| name(&text)),
        "utilization_gpu_ratio" => sample.utilization_percent = line.percent(),
        "utilization_memory_ratio" => sample.memory_utilization_percent = line.percent(),
        "temperature_gpu" => sample.temperature_c = line.small(),
        "fan_speed_ratio" => sample.fan_percent = line.percent(),
        "power_draw_watts" => sample.power_mw = milliwatts(line),
        "enforced_power_limit_watts" => sample.power_limit_mw = milliwatts(line),
        "clocks_current_graphics_clock_hz" => sample.clocks.graphics_mhz = mhz(),
        "clocks_current_sm_clock_hz" => sample.clocks.sm_mhz = mhz(),
        "clocks_current_memory_clock_hz" => sample.clocks.memory_mhz = mhz(),
        "clocks_current_video_clock_hz" => sample.clocks.video_mhz = mhz(),
        // Renamed with newer drivers.
        "clocks_event_reasons_active" | "clocks_throttle_reasons_active" => {
            sample.throttle = line.count().map(Throttle::of_bits);
        }
        "ecc_mode_current" => sample.ecc.enabled = is_on(),
        "ecc_errors_corrected_volatile_total" => sample.ecc.corrected = line.count(),
        "ecc_errors_uncorrected_volatile_total" => sample.ecc.uncorrected = line.count(),
        "mig_mode_current" => sample.mig_enabled = is_on(),
        "memory_total_bytes" => parts.total_bytes = line.count(),
        "memory_used_bytes" => parts.used_bytes = line.count(),
        "memory_free_bytes" => parts.free_bytes = line.count(),
        "memory_reserved_bytes" => parts.reserved_bytes = line.count(),
        _ => {}
    }
}
