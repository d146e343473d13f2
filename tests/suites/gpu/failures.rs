//! Whatever the driver does, it is a state with a sentence, and requests are served.

use std::time::{Duration, Instant};

use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::Fake;
use airlane_tests::nvml::{Cards, with_library};
use airlane_tests::programs;
use serde_json::{Value, json};

use super::{card, gpus, page, scenario, wait_card, wait_state, with};
use crate::common::{chat, eventually, wait_model};

/// The daemon does what it is for.
fn serves(daemon: &Daemon) {
    assert_eq!(daemon.send(&chat("fake-1", false)).status(), 200);
}

fn house(setup: Setup) -> (Fake, Daemon) {
    let fake = Fake::start();
    let daemon = setup.fake("box", "openai", &fake).start();
    wait_model(&daemon, "fake-1");
    (fake, daemon)
}

/// NVML's return codes.
const CODES: [u32; 28] =
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 999];

#[test]
fn each_failure_of_the_start_has_its_sentence() {
    for (call, code, state, words) in [
        ("nvmlInit_v2", 9, "no_driver", "modprobe nvidia"),
        ("nvmlInit_v2", 18, "version_mismatch", "Restart this machine"),
        ("nvmlInit_v2", 4, "no_permission", "/dev/nvidia*"),
        ("nvmlInit_v2", 17, "no_permission", "/dev/nvidia*"),
        ("nvmlInit_v2", 12, "no_library", "install its driver"),
        ("nvmlInit_v2", 999, "failed", "nvidia-smi"),
        ("nvmlInit_v2", 1_234, "failed", "1234"),
        ("nvmlDeviceGetCount_v2", 9, "no_driver", "modprobe nvidia"),
        ("nvmlDeviceGetCount_v2", 999, "failed", "nvidia-smi"),
    ] {
        let cards = Cards::new(&with(scenario(&[card(0)]), json!({"errors": {call: code}})));
        let (_fake, daemon) = house(cards.setup());
        wait_state(&daemon, state);
        assert!(page(&daemon).contains(words), "{call} {code}: no {words:?} in {}", page(&daemon));
        assert!(gpus(&daemon)["cards"].as_array().is_some_and(Vec::is_empty), "{call} {code}");
        serves(&daemon);
        cards.set(&scenario(&[card(0)]));
        wait_state(&daemon, "reading");
    }
}

#[test]
fn a_machine_without_the_library_says_so() {
    let (_fake, daemon) = house(with_library(std::path::Path::new("/nonexistent/libnvidia-ml.so.1")));
    wait_state(&daemon, "no_library");
    assert!(gpus(&daemon)["reason"].as_str().is_some_and(|reason| reason.contains("/nonexistent/")));
    assert!(page(&daemon).contains("A machine without an NVIDIA card needs none"));
    serves(&daemon);
    // A file that is no such library is no other case.
    let (_fake, daemon) = house(with_library(&std::env::current_exe().expect("a program")));
    wait_state(&daemon, "no_library");
    serves(&daemon);
}

#[test]
fn the_real_library_without_a_driver_says_so() {
    let library = programs::prepared("target/nvml-real/libnvidia-ml.so.1", "cargo ready setup");
    let (_fake, daemon) = house(with_library(&library));
    wait_state(&daemon, "no_driver");
    assert!(page(&daemon).contains("modprobe nvidia"));
    serves(&daemon);
}

#[test]
fn no_card_is_a_state_and_a_card_that_is_put_in_is_found() {
    let cards = Cards::new(&scenario(&[]));
    let (_fake, daemon) = house(cards.setup());
    wait_state(&daemon, "no_card");
    cards.set(&scenario(&[card(0)]));
    wait_state(&daemon, "reading");
}

#[test]
fn a_lost_card_is_a_state_while_the_others_go_on_and_it_comes_back() {
    let cards = Cards::new(&scenario(&[card(0), card(1)]));
    let (_fake, daemon) = house(cards.setup());
    wait_card(&daemon, 1, "reading");
    for (code, state) in [(15, "lost"), (16, "needs_reset"), (4, "no_permission"), (999, "failed")] {
        cards.set(&scenario(&[card(0), with(card(1), json!({"error": code}))]));
        wait_card(&daemon, 1, state);
        let told = gpus(&daemon);
        assert_eq!((&told["state"], &told["cards"][0]["state"]), (&json!("reading"), &json!("reading")), "{told}");
        assert_eq!(told["cards"][0]["sample"]["temperature_c"], 61);
        assert_eq!((&told["cards"][1]["name"], &told["cards"][1]["uuid"]), (&json!("Card 1"), &json!("GPU-1")));
        assert!(told["cards"][1].get("sample").is_none(), "{told}");
        assert!(page(&daemon).contains("Card 1 cannot be used"), "{}", page(&daemon));
        let metrics = daemon.get("/metrics").text();
        assert!(metrics.contains("airlane_gpu_up{gpu=\"1\",uuid=\"GPU-1\"} 0"), "{metrics}");
        assert!(!metrics.contains("airlane_gpu_temperature_celsius{gpu=\"1\""), "no value of a lost card: {metrics}");
        serves(&daemon);
        cards.set(&scenario(&[card(0), card(1)]));
        wait_card(&daemon, 1, "reading");
    }
    assert!(
        daemon.log().contains("fell off the bus") && daemon.log().contains("can be read again"),
        "{}",
        daemon.log()
    );
}

#[test]
fn a_card_that_the_driver_no_longer_counts_is_lost_too() {
    let cards = Cards::new(&scenario(&[card(0), card(1)]));
    let (_fake, daemon) = house(cards.setup());
    wait_card(&daemon, 1, "reading");
    cards.set(&scenario(&[card(0)]));
    wait_card(&daemon, 1, "lost");
    cards.set(&scenario(&[card(0), card(1)]));
    wait_card(&daemon, 1, "reading");
}

#[test]
fn a_card_may_fall_off_the_bus_in_the_middle_of_a_reading() {
    let lost = with(card(0), json!({"errors": {"nvmlDeviceGetPowerUsage": 15}}));
    let cards = Cards::new(&scenario(&[lost, card(1)]));
    let (_fake, daemon) = house(cards.setup());
    wait_card(&daemon, 0, "lost");
    wait_card(&daemon, 1, "reading");
}

#[test]
fn a_driver_that_is_loaded_anew_is_opened_anew() {
    let cards = Cards::new(&scenario(&[card(0)]));
    let (_fake, daemon) = house(cards.setup());
    wait_state(&daemon, "reading");
    for code in [1, 9] {
        cards.set(&scenario(&[with(card(0), json!({"values_error": code}))]));
        eventually("the driver is gone", || gpus(&daemon)["state"] != "reading");
        serves(&daemon);
        cards.set(&scenario(&[card(0)]));
        wait_state(&daemon, "reading");
    }
}

#[test]
fn every_error_code_of_every_call_is_survived() {
    let failing = |code: &u32| json!({"uuid": "GPU-x", "name": "Card", "values_error": code});
    // These two mean that the driver itself is gone; they have a test of their own.
    let codes: Vec<u32> = CODES.into_iter().filter(|code| ![1, 9].contains(code)).collect();
    let cards: Vec<Value> = codes.iter().map(failing).collect();
    let cards = Cards::new(&scenario(&cards));
    let (_fake, daemon) = house(cards.setup());
    wait_state(&daemon, "reading");
    let told = gpus(&daemon);
    for (code, card) in codes.iter().zip(told["cards"].as_array().expect("cards")) {
        let state = match code {
            15 => "lost",
            16 => "needs_reset",
            4 | 17 => "no_permission",
            // "Not enough room" is how NVML asks for room for a list; the room that it asks for here is none.
            7 => "reading",
            _ => "failed",
        };
        assert_eq!(card["state"], state, "code {code}: {card}");
        assert_eq!(card.get("sample").is_some(), state == "reading", "code {code}: {card}");
    }
    serves(&daemon);
}

#[test]
fn one_call_that_fails_costs_one_value() {
    // Cards with a broken temperature sensor, one for each code that does not mean that the card itself is gone.
    let codes: Vec<u32> = CODES.into_iter().filter(|code| ![1, 9, 15, 16].contains(code)).collect();
    let broken = |code| with(card(0), json!({"errors": {"nvmlDeviceGetTemperature": code}}));
    let cards = Cards::new(&scenario(&codes.iter().map(broken).collect::<Vec<_>>()));
    let daemon = cards.setup().start();
    wait_state(&daemon, "reading");
    let told = gpus(&daemon);
    for (code, card) in codes.iter().zip(told["cards"].as_array().expect("cards")) {
        let sample = &card["sample"];
        assert!(sample.get("temperature_c").is_none(), "code {code}: {sample}");
        assert_eq!(sample["power_mw"], 210_500, "code {code}: {sample}");
    }
}

#[test]
fn a_call_that_hangs_delays_no_request_and_is_told() {
    let cards = Cards::new(&scenario(&[card(0)]));
    let (_fake, daemon) = house(cards.setup());
    wait_state(&daemon, "reading");
    cards.set(&with(scenario(&[card(0)]), json!({"delays_ms": {"nvmlDeviceGetUtilizationRates": 12_000}})));
    let mut slowest = Duration::ZERO;
    eventually("the hanging driver is told", || {
        let began = Instant::now();
        serves(&daemon);
        slowest = slowest.max(began.elapsed());
        gpus(&daemon)["state"] == "late"
    });
    assert!(slowest < Duration::from_secs(3), "a request waited {slowest:?} for the driver");
    let told = gpus(&daemon);
    assert!(told["age_s"].as_u64().is_some_and(|age| age >= 5), "{told}");
    assert_eq!(told["cards"][0]["sample"]["temperature_c"], 61, "the last values stay: {told}");
    assert!(page(&daemon).contains("does not answer: the last reading is"), "{}", page(&daemon));
    cards.set(&scenario(&[card(0)]));
    wait_state(&daemon, "reading");
}

#[test]
fn a_start_that_hangs_holds_up_nothing() {
    let cards = Cards::new(&with(scenario(&[card(0)]), json!({"delays_ms": {"nvmlInit_v2": 600_000}})));
    let (_fake, mut daemon) = house(cards.setup());
    serves(&daemon);
    wait_state(&daemon, "late");
    daemon.signal("TERM");
    assert!(daemon.wait_exit(Duration::from_secs(10)).success(), "a hanging driver does not hold up the end");
}
