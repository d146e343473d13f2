//! What cards tell arrives everywhere; what they do not tell arrives nowhere.

use airlane_tests::daemon::{Setup, airlane};
use airlane_tests::nvml::{Cards, Program};
use serde_json::{Value, json};

use super::{GIB, card, gpus, page, scenario, telemetry, wait_state, with};
use crate::common::{eventually, metric};

#[test]
fn every_value_comes_through() {
    let server = Program::start("llama-server", "0.27182818");
    let process = json!({"pid": server.pid(), "vram_bytes": 5 * GIB, "utilization_percent": 40});
    let hot = json!({"processes": [process], "throttle": 4 | 0x20 | 1, "mig_enabled": true});
    let cards = Cards::new(&scenario(&[with(card(0), hot)]));
    let daemon = cards.setup().start();
    wait_state(&daemon, "reading");
    let gpus = gpus(&daemon);
    assert_eq!((&gpus["driver"], &gpus["cuda"]), (&json!("550.54.15"), &json!("12.4")));
    assert!(gpus["age_ms"].as_u64().is_some_and(|age| age < 15_000) && gpus["took_ms"].is_u64(), "{gpus}");
    let card = &gpus["cards"][0];
    assert_eq!((&card["uuid"], &card["name"], &card["index"]), (&json!("GPU-0"), &json!("Card 0"), &json!(0)));
    let want = json!({
        "utilization_percent": 42, "memory_utilization_percent": 17,
        "vram": {"total_bytes": 24 * GIB, "used_bytes": 6 * GIB, "free_bytes": 18 * GIB},
        "temperature_c": 61, "slowdown_c": 90, "fan_percent": 55,
        "power_mw": 210_500, "power_limit_mw": 350_000, "energy_mj": 9_000_000_000_u64,
        "clocks": {"graphics_mhz": 1_900, "sm_mhz": 1_890, "memory_mhz": 9_500, "video_mhz": 1_500},
        "throttle": ["idle", "power_cap", "software_thermal"],
        "pcie": {"sent_kb_per_s": 300, "received_kb_per_s": 1_200},
        "ecc": {"enabled": true, "corrected": 3, "uncorrected": 0},
        "mig_enabled": true,
        "processes": [{"pid": server.pid(), "name": "llama-server", "vram_bytes": 5 * GIB, "utilization_percent": 40}]
    });
    assert_eq!(card["sample"], want);

    let metrics = daemon.get("/metrics").text();
    for (name, value) in [
        ("airlane_gpu_utilization_ratio{", 0.42),
        ("airlane_gpu_memory_used_bytes{", (6 * GIB) as f64),
        ("airlane_gpu_temperature_celsius{", 61.0),
        ("airlane_gpu_power_watts{", 210.5),
        ("airlane_gpu_energy_joules_total{", 9_000_000.0),
        ("airlane_gpu_pcie_bytes_per_second{gpu=\"0\",uuid=\"GPU-0\",direction=\"sent\"", 300_000.0),
        ("airlane_gpu_throttled{gpu=\"0\",uuid=\"GPU-0\",reason=\"power_cap\"", 1.0),
        ("airlane_gpu_throttled{gpu=\"0\",uuid=\"GPU-0\",reason=\"hardware_thermal\"", 0.0),
        ("airlane_gpu_ecc_errors_total{gpu=\"0\",uuid=\"GPU-0\",kind=\"corrected\"", 3.0),
        ("airlane_gpu_up{", 1.0),
        ("airlane_gpu_reading{state=\"reading\"", 1.0),
    ] {
        assert_eq!(metric(&metrics, &[name]), Some(value), "{name} in {metrics}");
    }
    assert_eq!(metrics.matches("# EOF").count(), 1, "one end: {metrics}");

    let page = page(&daemon);
    for word in ["Card 0", "6.0 GiB of 24.0 GiB", "61 °C", "210 of 350 W", "llama-server", "At its power limit."] {
        assert!(page.contains(word), "no {word} in {page}");
    }
    // The process's arguments may be secrets.
    for text in [telemetry(&daemon).to_string(), page, metrics, daemon.log()] {
        assert!(!text.contains("27182818"), "an argument is shown: {text}");
    }
}

#[test]
fn a_value_that_a_card_does_not_offer_is_absent() {
    let cards = Cards::new(&json!({"cards": [{"uuid": "GPU-a", "temperature_c": 0}]}));
    let daemon = cards.setup().start();
    wait_state(&daemon, "reading");
    let gpus = gpus(&daemon);
    assert_eq!(gpus["cards"][0]["sample"], json!({"temperature_c": 0, "clocks": {}, "pcie": {}, "ecc": {}}));
    assert!(gpus.get("driver").is_none() && gpus["cards"][0].get("name").is_none(), "{gpus}");
    let metrics = daemon.get("/metrics").text();
    assert_eq!(metric(&metrics, &["airlane_gpu_temperature_celsius{"]), Some(0.0));
    for name in ["utilization", "memory", "power", "fan", "energy", "clock", "throttled", "pcie", "ecc", "mig"] {
        assert!(!metrics.contains(&format!("airlane_gpu_{name}")), "{name} was not told: {metrics}");
    }
}

#[test]
fn the_command_line_has_a_line_for_each_card() {
    let cards = Cards::new(&scenario(&[card(0), with(card(1), json!({"error": 15}))]));
    let daemon = cards.setup().start();
    wait_state(&daemon, "reading");
    let config = daemon.folder().join("client.toml");
    std::fs::write(&config, format!("[data]\ndir = \"{}\"\n", daemon.folder().join("data").display()))
        .expect("written");
    let status = || airlane(&["status", "--config", &config.display().to_string()]).1;
    let told = status();
    assert!(told.contains("0 Card 0: 42 % busy, 6.0 of 24.0 GiB used, 61 °C, 210 W"), "{told}");
    assert!(told.contains("1 GPU 1: This card fell off the bus"), "{told}");
}

#[test]
fn the_machine_is_told_on_every_machine() {
    let daemon = Setup::new().table("[gpu]\nenabled = false\n").start();
    eventually("the processor's second reading", || {
        telemetry(&daemon)["machine"]["cpu"]["utilization_percent"].is_u64()
    });
    let machine: Value = telemetry(&daemon)["machine"].clone();
    for (path, least) in
        [("/cpu/cores", 1), ("/memory/total_bytes", 1 << 20), ("/memory/used_bytes", 1), ("/uptime_s", 1)]
    {
        assert!(machine.pointer(path).and_then(Value::as_u64).is_some_and(|value| value >= least), "{path}: {machine}");
    }
    assert!(machine["cpu"]["load"].as_array().is_some_and(|load| load.len() == 3), "{machine}");
    assert!(machine["disks"].is_array() && machine["networks"].is_array(), "{machine}");
    assert_eq!(gpus(&daemon)["state"], "off");
    assert!(page(&daemon).contains("This machine"));
}
