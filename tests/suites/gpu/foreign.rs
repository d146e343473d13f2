//! Load that is not ours is named, backed off from, and forgotten when it is over.

use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, Script};
use airlane_tests::nvml::{Cards, Program};
use serde_json::{Value, json};

use super::{GIB, card, gpus, page, scenario, wait_state, with};
use crate::common::{chat, eventually, metric, wait_model};

/// A card with these processes, as busy as the busiest of them.
fn used_by(processes: &[(&Program, u64)]) -> Value {
    let busiest = processes.iter().map(|(_, percent)| *percent).max().unwrap_or(0);
    let processes: Vec<Value> = processes
        .iter()
        .map(|(program, percent)| {
            json!({"pid": program.pid(), "vram_bytes": 6 * GIB, "utilization_percent": percent, "graphics": true})
        })
        .collect();
    scenario(&[with(card(0), json!({"utilization_percent": busiest, "processes": processes}))])
}

fn backed_off(daemon: &Daemon) -> bool {
    gpus(daemon)["cards"][0]["foreign"]["backed_off"] == true
}

#[test]
fn a_game_is_named_and_backed_off_from_until_it_ends() {
    let cards = Cards::new(&used_by(&[]));
    let daemon = cards.setup().start();
    wait_state(&daemon, "reading");
    assert!(!backed_off(&daemon));
    let game = Program::start("game.exe", "0.31415926");
    cards.set(&used_by(&[(&game, 97)]));
    eventually("the game is noticed", || backed_off(&daemon));
    let foreign = gpus(&daemon)["cards"][0]["foreign"].clone();
    assert_eq!(foreign["by"][0]["name"], "game.exe", "{foreign}");
    assert!(page(&daemon).contains("In use by game.exe"), "{}", page(&daemon));
    let metrics = daemon.get("/metrics").text();
    assert_eq!(metric(&metrics, &["airlane_gpu_backed_off{"]), Some(1.0), "{metrics}");
    assert!(!metrics.contains("game.exe"), "processes are no labels");
    assert!(!page(&daemon).contains("31415926") && !daemon.log().contains("31415926"), "an argument is shown");
    cards.set(&used_by(&[]));
    eventually("the card is free again", || !backed_off(&daemon));
    assert!(page(&daemon).contains("Free for AI"));
    assert!(daemon.log().contains("left to others") && daemon.log().contains("free again"), "{}", daemon.log());
}

#[test]
fn our_own_request_is_not_foreign_and_somebody_elses_is() {
    let fake = Fake::start();
    let server = Program::start("ollama", "0.5");
    let cards = Cards::new(&used_by(&[]));
    let daemon = cards.setup().fake("box", "openai", &fake).start();
    wait_model(&daemon, "fake-1");
    wait_state(&daemon, "reading");
    // The fake upstream stands on this machine: what ollama computes is for our request.
    fake.answer(Script::gated());
    let mut ours = daemon.open(&chat("fake-1", true));
    let _ = ours.head();
    cards.set(&used_by(&[(&server, 98)]));
    let busy_readings = |count: usize| {
        let mut seen = 0;
        let mut last = Value::Null;
        eventually("readings of the busy card", || {
            let told = gpus(&daemon);
            let card = told["cards"][0].clone();
            assert_eq!(card["foreign"]["backed_off"], false, "our own work is not foreign: {card}");
            if card["sample"]["utilization_percent"] == 98 && told["age_ms"].as_u64() < last.as_u64() {
                seen += 1;
            }
            last = told["age_ms"].clone();
            seen >= count
        });
    };
    busy_readings(4);
    assert_eq!(gpus(&daemon)["cards"][0]["foreign"]["pressure_percent"], 0);
    let in_flight = || metric(&daemon.get("/metrics").text(), &["airlane_upstream_in_flight{upstream=\"box\"}"]);
    assert_eq!(in_flight(), Some(1.0));
    fake.release(100);
    let _ = ours.rest();
    eventually("the request has left the upstream", || in_flight() == Some(0.0));
    eventually("somebody else calls ollama", || backed_off(&daemon));
    assert_eq!(gpus(&daemon)["cards"][0]["foreign"]["by"][0]["name"], "ollama");
}

#[test]
fn a_model_server_that_is_no_upstream_of_ours_is_foreign() {
    let server = Program::start("llama-server", "0.5");
    let cards = Cards::new(&used_by(&[(&server, 98)]));
    // No upstream on this machine, so whoever computes here does it for others.
    let setup: Setup = cards.setup().upstream("cloud", "openai", "http://192.0.2.1:9", "");
    let daemon = setup.start();
    wait_state(&daemon, "reading");
    eventually("it is left to others", || backed_off(&daemon));
}
