//! Graphics cards through the real `nvml-wrapper` and a library that plays them: what is read, what may fail, and what
//! is not ours.

mod abandoned;
mod failures;
mod foreign;
mod servers;
mod values;

use airlane_tests::client::{Request, send};
use airlane_tests::daemon::Daemon;
use serde_json::{Value, json};

use crate::common::eventually;

const GIB: u64 = 1 << 30;

/// What the console tells of cards and machine.
fn telemetry(daemon: &Daemon) -> Value {
    let response = send(daemon.console()[0], &Request::get("/api/v1/telemetry"));
    assert_eq!(response.status(), 200, "{}", response.text());
    response.json()
}

fn gpus(daemon: &Daemon) -> Value {
    telemetry(daemon)["gpus"].clone()
}

fn page(daemon: &Daemon) -> String {
    send(daemon.console()[0], &Request::get("/")).text()
}

/// Waits for a state of the reading.
fn wait_state(daemon: &Daemon, state: &str) {
    eventually(&format!("GPU state {state}, not {}", gpus(daemon)), || gpus(daemon)["state"] == state);
}

/// Waits for a state of a card.
fn wait_card(daemon: &Daemon, index: usize, state: &str) {
    eventually(&format!("card {index} {state}"), || gpus(daemon)["cards"][index]["state"] == state);
}

/// A healthy card that tells everything.
fn card(index: u32) -> Value {
    json!({
        "uuid": format!("GPU-{index}"), "name": format!("Card {index}"),
        "utilization_percent": 42, "memory_utilization_percent": 17,
        "vram_total_bytes": 24 * GIB, "vram_used_bytes": 6 * GIB,
        "temperature_c": 61, "slowdown_c": 90, "fans_percent": [30, 55],
        "power_mw": 210_500, "power_limit_mw": 350_000, "energy_mj": 9_000_000_000_u64,
        "clocks_mhz": [1_900, 1_890, 9_500, 1_500], "throttle": 0, "pcie_kb_per_s": [300, 1_200],
        "ecc_enabled": true, "ecc_errors": [3, 0], "mig_enabled": false, "processes": []
    })
}

fn scenario(cards: &[Value]) -> Value {
    json!({"driver": "550.54.15", "cuda": 12_040, "cards": cards})
}

/// The same value with other members.
fn with(mut value: Value, members: Value) -> Value {
    for (name, member) in members.as_object().expect("members") {
        value[name] = member.clone();
    }
    value
}
