//! Which cards press which server: heat, games and lost cards count against the servers that use the card.

use airlane_tests::client::{Request, send};
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::Fake;
use airlane_tests::nvml::{Cards, Program};
use serde_json::{Value, json};

use super::{GIB, card, scenario, wait_state, with};
use crate::common::{chat_body, eventually, metric, wait_model};

/// NVML's bit for "too hot for the driver's limit".
const HEAT: u64 = 0x20;
/// NVML's code for a card that is lost.
const LOST: u32 = 15;

fn site(daemon: &Daemon, name: &str) -> Value {
    let told = send(daemon.console()[0], &Request::get("/api/v1/places")).json();
    let sites = told["upstreams"].as_array().cloned().unwrap_or_default();
    sites.into_iter().find(|site| site["name"] == name).unwrap_or(Value::Null)
}

fn first(daemon: &Daemon, model: &str) -> Value {
    let told = send(daemon.console()[0], &Request::post("/api/v1/explain", &chat_body(model, true))).json();
    told["candidates"][0].clone()
}

/// Two servers with the same model, each with its card by the config.
fn pair(setup: Setup) -> (Fake, Fake, Daemon) {
    let (a, b) = (Fake::start(), Fake::start());
    let daemon = setup
        .upstream("a", "openai", &a.url(), "gpu = [0]")
        .upstream("b", "openai", &b.url(), "gpu = [\"GPU-1\"]")
        .start();
    wait_model(&daemon, "a/fake-1");
    wait_model(&daemon, "b/fake-1");
    (a, b, daemon)
}

fn game_on(program: &Program) -> Value {
    let process = json!({"pid": program.pid(), "vram_bytes": 6 * GIB, "utilization_percent": 97, "graphics": true});
    with(card(0), json!({"utilization_percent": 97, "processes": [process]}))
}

fn cool(index: u32) -> Value {
    with(card(index), json!({"utilization_percent": 0}))
}

#[test]
fn heat_counts_against_the_server_on_the_hot_card() {
    let cards = Cards::new(&scenario(&[cool(0), cool(1)]));
    let (_a, _b, daemon) = pair(cards.setup());
    wait_state(&daemon, "reading");
    assert_eq!(first(&daemon, "fake-1")["upstream"], "a");
    for hot in [json!({"throttle": HEAT}), json!({"temperature_c": 90, "slowdown_c": 90})] {
        cards.set(&scenario(&[with(cool(0), hot.clone()), cool(1)]));
        eventually("it is throttled", || site(&daemon, "a")["throttled"] == true);
        assert_eq!(site(&daemon, "b")["throttled"], false, "{hot}");
        let best = first(&daemon, "fake-1");
        assert_eq!((&best["upstream"], &best["score"]["slow_percent"]), (&json!("b"), &json!(100)), "{hot}");
        let told = first(&daemon, "a/fake-1");
        assert_eq!(told["score"]["slow_percent"], 150, "{told:#}");
        cards.set(&scenario(&[cool(0), cool(1)]));
        eventually("it is cool again", || site(&daemon, "a")["throttled"] == false);
        assert_eq!(first(&daemon, "fake-1")["upstream"], "a", "{hot}");
    }
}

#[test]
fn a_game_presses_the_server_on_its_card_only() {
    let game = Program::start("game.exe", "0.5");
    let cards = Cards::new(&scenario(&[game_on(&game), cool(1)]));
    let (_a, _b, daemon) = pair(cards.setup());
    eventually("it is pressed", || site(&daemon, "a")["pressure_percent"].as_u64() > Some(50));
    assert_eq!(
        (&site(&daemon, "b")["pressure_percent"], &first(&daemon, "fake-1")["upstream"]),
        (&json!(0), &json!("b"))
    );
    cards.set(&scenario(&[cool(0), cool(1)]));
    eventually("it is free again", || site(&daemon, "a")["pressure_percent"] == 0);
}

#[test]
fn a_server_is_found_on_its_card_by_its_process() {
    let game = Program::start("game.exe", "0.5");
    // The test itself listens for the fakes, so a program that it starts is a child of the server.
    let child = Program::start("llama-server", "0.5");
    let worker = json!({"pid": child.pid(), "vram_bytes": 6 * GIB, "utilization_percent": 0});
    let own = with(game_on(&game), json!({}));
    let processes = json!([own["processes"][0], worker]);
    let cards = Cards::new(&scenario(&[with(own, json!({"processes": processes})), cool(1)]));
    let fake = Fake::start();
    let daemon =
        cards.setup().fake("here", "openai", &fake).upstream("away", "openai", "http://192.0.2.1:9", "").start();
    wait_model(&daemon, "fake-1");
    // With a free card beside it, it would not be pressed if nobody knew which one it uses.
    eventually("it is pressed", || site(&daemon, "here")["pressure_percent"].as_u64() > Some(50));
    assert_eq!(site(&daemon, "away")["pressure_percent"], 0);
}

#[test]
fn a_lost_card_is_told_of_its_server() {
    let cards = Cards::new(&scenario(&[cool(0), cool(1)]));
    let (_a, _b, daemon) = pair(cards.setup());
    wait_state(&daemon, "reading");
    cards.set(&scenario(&[with(card(0), json!({"error": LOST})), cool(1)]));
    eventually("it is degraded", || site(&daemon, "a")["health"]["state"] == "degraded");
    let cause = site(&daemon, "a")["health"]["cause"].as_str().unwrap_or_default().to_owned();
    assert!(cause.contains("GPU 0 (Card 0) fell off the bus"), "{cause}");
    assert_eq!(first(&daemon, "fake-1")["upstream"], "b");
    cards.set(&scenario(&[cool(0), cool(1)]));
    eventually("it is well again", || site(&daemon, "a")["health"]["state"] != "degraded");
}

#[test]
fn cards_of_other_machines_are_read_from_their_exporters() {
    let dcgm = |busy: u32, reasons: u64| {
        format!(
            "DCGM_FI_DEV_GPU_UTIL{{gpu=\"0\",UUID=\"GPU-x\",modelName=\"A100\",Hostname=\"rack\"}} {busy}\n\
             DCGM_FI_DEV_CLOCKS_EVENT_REASONS{{gpu=\"0\",UUID=\"GPU-x\"}} {reasons}\n"
        )
    };
    let smi = "nvidia_smi_gpu_info{name=\"RTX 2080\",uuid=\"dead-beef\"} 1\nnvidia_smi_temperature_gpu{uuid=\"dead-beef\"} 34\n";
    let (server, exporter) = (Fake::start(), Fake::start());
    exporter.tell("/metrics", &dcgm(10, HEAT));
    exporter.tell("/smi", smi);
    let metrics = |path: &str| format!("key = \"k-secret\"\ngpu_metrics = \"{}{path}\"", exporter.url());
    let setup = Setup::new()
        .upstream("far", "openai", &server.url(), &metrics(""))
        .upstream("windows", "openai", &server.url(), &metrics("/smi"))
        .upstream("wrong", "openai", &server.url(), &metrics("/health"))
        .upstream("rack", "openai", "http://192.0.2.1:9", &metrics(""));
    let daemon = setup.clone().start();
    eventually("heat over there", || site(&daemon, "far")["throttled"] == true);
    let told = site(&daemon, "far");
    assert_eq!(
        (&told["gpus"]["state"], &told["gpus"]["cards"][0]["name"]),
        (&json!("reading"), &json!("A100")),
        "{told:#}"
    );
    eventually("the other exporter", || site(&daemon, "windows")["gpus"]["cards"][0]["uuid"] == "GPU-dead-beef");
    assert_eq!(site(&daemon, "windows")["throttled"], false);
    eventually("what tells nothing is told", || site(&daemon, "wrong")["gpus"]["state"] == "untold");
    assert!(site(&daemon, "wrong")["gpus"]["reason"].as_str().is_some_and(|why| why.contains("dcgm-exporter")));
    exporter.tell("/metrics", &dcgm(98, 0));
    eventually("somebody else's work over there", || {
        let told = site(&daemon, "far");
        told["throttled"] == false && told["pressure_percent"].as_u64() > Some(50)
    });
    eventually("on the same machine", || site(&daemon, "rack")["pressure_percent"].as_u64() > Some(50));
    daemon.write_config(&setup.text().replace("gpu_metrics", "# gpu_metrics"));
    eventually("who is not asked any more presses nobody", || site(&daemon, "rack")["pressure_percent"] == 0);
    daemon.write_config(&setup.text());
    eventually("it is asked again", || site(&daemon, "far")["pressure_percent"].as_u64() > Some(50));
    let shown: Vec<_> = exporter.all_requests();
    assert!(shown.iter().all(|record| record.request.header("authorization").is_none()), "the key is the server's");
    drop(exporter);
    eventually("it is silent", || site(&daemon, "far")["gpus"]["state"] == "untold");
    eventually("what nobody tells presses nobody", || site(&daemon, "far")["pressure_percent"] == 0);
    assert!(daemon.log().contains("graphics cards cannot be read"), "{}", daemon.log());
}

#[test]
fn work_of_others_that_a_server_tells_is_no_foreign_load() {
    let server = Program::start("llama-server", "0.5");
    let process = json!({"pid": server.pid(), "vram_bytes": 6 * GIB, "utilization_percent": 98});
    let busy = with(card(0), json!({"utilization_percent": 98, "processes": [process]}));
    let cards = Cards::new(&scenario(&[cool(0)]));
    let fake = Fake::start();
    fake.set_owner("llamacpp");
    fake.tell("/slots", "[{\"is_processing\":true},{\"is_processing\":false}]");
    let daemon = cards.setup().fake("box", "openai", &fake).start();
    wait_model(&daemon, "fake-1");
    eventually("one of others", || site(&daemon, "box")["models"][0]["others_running"] == 1);
    let text = daemon.get("/metrics").text();
    assert_eq!(metric(&text, &["airlane_upstream_others{upstream=\"box\"}"]), Some(1.0), "{text}");
    cards.set(&scenario(&[busy]));
    let telemetry = || send(daemon.console()[0], &Request::get("/api/v1/telemetry")).json()["gpus"]["cards"][0].clone();
    eventually("the busy card is read", || telemetry()["sample"]["utilization_percent"] == 98);
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(telemetry()["foreign"]["pressure_percent"], 0, "its slots say it already");
    fake.tell("/slots", "[{\"is_processing\":false},{\"is_processing\":false}]");
    eventually("now nobody explains it", || site(&daemon, "box")["pressure_percent"].as_u64() > Some(50));
}
