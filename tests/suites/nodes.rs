//! A router and boxes with GPUs, each with its own Airlane: pairing, reports, and what the router makes of them.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use airlane_tests::client::{Request, Response, send};
use airlane_tests::daemon::{Daemon, Setup, airlane};
use airlane_tests::fake::Fake;
use airlane_tests::nvml::{Cards, Program};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use crate::common::{chat, eventually, metric, models, wait_model};

/// A card, used by these.
fn cards(busy_percent: u32, processes: &Value) -> Value {
    json!({"driver": "550.54.15", "cuda": 12_040, "cards": [{
        "uuid": "GPU-7", "name": "Card 7", "utilization_percent": busy_percent,
        "vram_total_bytes": 24_u64 << 30, "vram_used_bytes": 6_u64 << 30, "temperature_c": 61, "processes": processes
    }]})
}

pub(crate) fn as_node(setup: Setup, name: &str) -> Setup {
    setup.table(&format!("[node]\nenabled = true\nname = \"{name}\"\nannounce = false\n"))
}

/// A node called `gpu-box` with `model` at a fake server.
pub(crate) fn node(setup: Setup, model: &str) -> (Fake, Daemon) {
    let fake = Fake::with_models(&[model]);
    let daemon = as_node(setup, "gpu-box").fake("server", "openai", &fake).start();
    wait_model(&daemon, model);
    (fake, daemon)
}

pub(crate) fn api(daemon: &Daemon, path: &str, body: &Value) -> Response {
    send(daemon.console()[0], &Request::post(path, body))
}

pub(crate) fn code(node: &Daemon) -> String {
    let response = api(node, "/api/v1/nodes/code", &json!({}));
    assert_eq!(response.status(), 200, "{}", response.text());
    response.json()["code"].as_str().expect("a code").to_owned()
}

pub(crate) fn pair_with(router: &Daemon, node: &Daemon, code: &str) -> Response {
    api(router, "/api/v1/nodes/pair", &json!({"node": node.address().to_string(), "code": code}))
}

pub(crate) fn pair(router: &Daemon, node: &Daemon) {
    let response = pair_with(router, node, &code(node));
    assert_eq!(response.status(), 200, "{}\n{}", response.text(), node.log());
}

pub(crate) fn nodes(daemon: &Daemon) -> Value {
    send(daemon.console()[0], &Request::get("/api/v1/nodes")).json()
}

/// The row of a node; null where there is none.
pub(crate) fn row(daemon: &Daemon, name: &str) -> Value {
    let nodes = nodes(daemon)["nodes"].clone();
    let rows = nodes.as_array().cloned().unwrap_or_default();
    rows.into_iter().find(|row| row["name"] == name && row["origin"] == "agent").unwrap_or_default()
}

pub(crate) fn wait_state(router: &Daemon, state: &str) {
    eventually(&format!("gpu-box {state}, not {}", row(router, "gpu-box")["state"]), || {
        row(router, "gpu-box")["state"] == state
    });
}

pub(crate) fn console(daemon: &Daemon) -> String {
    format!("http://{}", daemon.console()[0])
}

#[test]
fn a_node_is_paired_and_its_models_and_cards_are_the_routers() {
    let cards = Cards::new(&cards(42, &json!([])));
    let (fake, node) = node(cards.setup(), "far-1");
    let router = Setup::new().start();
    assert_eq!(models(&router), Vec::<String>::new());
    // As people type it.
    let (status, out, err) = airlane(&["node", "code", "--url", &console(&node)]);
    assert_eq!(status, Some(0), "{err}");
    let code = out.split_whitespace().next().expect("a code");
    let address = node.address().to_string();
    let (status, out, err) = airlane(&["node", "pair", &address, code, "--url", &console(&router)]);
    assert_eq!((status, out.contains("gpu-box is paired")), (Some(0), true), "{out}{err}");
    wait_model(&router, "far-1");
    let response = router.send(&chat("far-1", false));
    assert_eq!(response.status(), 200, "{}", response.text());
    assert_eq!(response.header("x-airlane-upstream"), Some("gpu-box"));
    assert_eq!(fake.requests().len(), 1);
    wait_state(&router, "reporting");
    eventually("the card is told", || row(&router, "gpu-box")["telemetry"]["gpus"]["cards"][0]["uuid"] == "GPU-7");
    let told = row(&router, "gpu-box");
    assert_eq!(told["servers"][0]["models"][0]["id"], "far-1", "{told}");
    assert!(told["telemetry"]["machine"]["memory"]["total_bytes"].as_u64() > Some(0), "{told}");
    assert_eq!(nodes(&node)["reports_to"]["address"], router.address().to_string());
    for arguments in [["node", "list"].as_slice(), &["status"], &["top"]] {
        let (_, out, err) = airlane(&[arguments, &["--url", &console(&router)]].concat());
        assert!(out.contains("gpu-box") && out.contains("Card 7"), "{arguments:?}: {out}{err}");
    }
    let page = send(router.console()[0], &Request::get("/")).text();
    assert!(page.contains("gpu-box") && page.contains("Card 7"), "{page}");
    let metrics = router.get("/metrics").text();
    let labels = ["airlane_gpu_utilization_ratio{", "node=\"gpu-box\"", "uuid=\"GPU-7\""];
    assert_eq!(metric(&metrics, &labels), Some(0.42), "{metrics}");
}

/// Another code than this one.
pub(crate) fn other_than(right: &str) -> &'static str {
    if right.starts_with('0') { "1234-5678" } else { "0234-5678" }
}

#[test]
fn a_wrong_code_pairs_nothing_and_three_of_them_end_the_code() {
    let (_fake, node) = node(Setup::new(), "far-1");
    let router = Setup::new().start();
    let right = code(&node);
    for left in ["2 tries are left", "one more try", "used up"] {
        let response = pair_with(&router, &node, other_than(&right));
        assert_eq!(response.status(), 409, "{left}: {}", response.text());
        assert!(response.text().contains("the code is wrong") && response.text().contains(left), "{}", response.text());
    }
    let response = pair_with(&router, &node, &right);
    assert_eq!(response.status(), 409, "the right code is void now: {}", response.text());
    assert!(response.text().contains("used up"), "{}", response.text());
    assert!(row(&router, "gpu-box").is_null() && nodes(&node)["reports_to"].is_null());
    assert!(models(&router).is_empty());
    pair(&router, &node);
    wait_model(&router, "far-1");
}

#[test]
fn one_that_is_no_node_cannot_be_paired() {
    let (router, other) = (Setup::new().start(), Setup::new().start());
    let response = pair_with(&router, &other, "1234-5678");
    assert_eq!(response.status(), 409);
    assert!(response.text().contains("waits for no pairing"), "{}", response.text());
    assert_eq!(api(&other, "/api/v1/nodes/code", &json!({})).status(), 409);
    let off = Setup::new().table("[nodes]\nenabled = false\n").start();
    let (_fake, node) = node(Setup::new(), "far-1");
    let response = pair_with(&off, &node, &code(&node));
    assert!(response.text().contains("[nodes]"), "{}", response.text());
}

#[test]
fn a_name_is_given_once() {
    let (_fake, node) = node(Setup::new(), "far-1");
    let here = Fake::with_models(&["near-1"]);
    let router = Setup::new().fake("gpu-box", "openai", &here).start();
    let response = pair_with(&router, &node, &code(&node));
    assert!(response.status() == 409 && response.text().contains("--name"), "{}", response.text());
    let wish = json!({"node": node.address().to_string(), "code": code(&node), "name": "attic"});
    let response = api(&router, "/api/v1/nodes/pair", &wish);
    assert_eq!((response.status(), response.json()["name"].clone()), (200, json!("attic")), "{}", response.text());
    wait_model(&router, "far-1");
    assert_eq!(router.send(&chat("far-1", false)).header("x-airlane-upstream"), Some("attic"));
}

#[test]
fn secrets_are_for_their_owner_only_and_never_shown() {
    let (_fake, node) = node(Setup::new(), "far-1");
    let router = Setup::new().start();
    pair(&router, &node);
    wait_state(&router, "reporting");
    for (daemon, file) in [(&router, "nodes.json"), (&node, "node.json")] {
        let path = daemon.folder().join("data").join(file);
        let mode = std::fs::metadata(&path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
        let text = std::fs::read_to_string(&path).expect("the file");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let key = value["key"].as_str().or_else(|| value[0]["key"].as_str()).expect("a key").to_owned();
        assert_eq!(URL_SAFE_NO_PAD.decode(&key).expect("a key").len(), 32);
        for daemon in [&router, &node] {
            let shown = format!("{}{}{}", daemon.log(), nodes(daemon), daemon.get("/metrics").text());
            assert!(!shown.contains(&key), "the secret is shown");
        }
    }
}

/// What a node knows of its router.
pub(crate) struct Pair {
    id: String,
    pub(crate) key: Vec<u8>,
    router: SocketAddr,
}

impl Pair {
    pub(crate) fn of(node: &Daemon, router: &Daemon) -> Self {
        let text = std::fs::read(node.folder().join("data/node.json")).expect("node.json");
        let told: Value = serde_json::from_slice(&text).expect("JSON");
        let text = |name: &str| told[name].as_str().expect("a text").to_owned();
        let key = URL_SAFE_NO_PAD.decode(text("key")).expect("a key");
        Self { id: text("id"), key, router: router.address() }
    }

    pub(crate) fn word(&self) -> String {
        let answer = send(self.router, &Request::get(&format!("/airlane/v1/report?node={}", self.id)));
        answer.json()["word"].as_str().expect("a word").to_owned()
    }

    pub(crate) fn report(&self, word: &str, number: u64, body: &[u8], key: &[u8]) -> Request {
        Request::raw("/airlane/v1/report", body).with("authorization", &self.claim(word, number, body, key))
    }

    /// The node's word for what its router tells it.
    pub(crate) fn router_word(&self, node: SocketAddr) -> String {
        let answer = send(node, &Request::get(&format!("/airlane/v1/router?router={}", self.id)));
        answer.json()["word"].as_str().expect("a word").to_owned()
    }

    /// The router tells the node where it is.
    pub(crate) fn moved(&self, word: &str, number: u64, body: &[u8], key: &[u8]) -> Request {
        let claim = self.claim_for("airlane router", word, number, body, key);
        Request::raw("/airlane/v1/router", body).with("authorization", &claim)
    }

    /// What proves a report, sent to another path.
    pub(crate) fn report_as(&self, path: &str, word: &str, number: u64, body: &[u8]) -> Request {
        Request::raw(path, body).with("authorization", &self.claim(word, number, body, &self.key))
    }

    fn claim(&self, word: &str, number: u64, body: &[u8], key: &[u8]) -> String {
        self.claim_for("airlane report", word, number, body, key)
    }

    fn claim_for(&self, purpose: &str, word: &str, number: u64, body: &[u8], key: &[u8]) -> String {
        let mut message = format!("{purpose}\n{}\n{word}\n{number}\n", self.id).into_bytes();
        message.extend_from_slice(body);
        let proof = URL_SAFE_NO_PAD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &message));
        format!("Airlane {}.{word}.{number}.{proof}", self.id)
    }

    pub(crate) fn send(&self, request: &Request) -> u16 {
        // Reports must not come too fast.
        std::thread::sleep(std::time::Duration::from_millis(300));
        send(self.router, request).status()
    }
}

/// A report as a node sends it.
pub(crate) fn packed(report: &Value) -> Vec<u8> {
    use std::io::Write as _;
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(report.to_string().as_bytes()).expect("packed");
    packer.finish().expect("packed")
}

#[test]
fn only_reports_of_the_pair_count_and_each_only_once() {
    let (_fake, mut node) = node(Setup::new(), "far-1");
    let router = Setup::new().start();
    pair(&router, &node);
    wait_state(&router, "reporting");
    let pair = Pair::of(&node, &router);
    // From here on the test speaks for the node.
    node.kill();
    let body = |name: &str| {
        let server = json!({"name": name, "kind": "openai", "health": "healthy", "models": []});
        let telemetry = json!({"gpus": {"state": "off", "cards": []}});
        packed(&json!({"address": "127.0.0.1:9", "version": "1", "telemetry": telemetry, "servers": [server]}))
    };
    let servers = || row(&router, "gpu-box")["servers"][0]["name"].clone();
    let word = pair.word();
    let first = pair.report(&word, 1, &body("first"), &pair.key);
    assert_eq!((pair.send(&first), servers()), (204, json!("first")));
    let second = pair.report(&word, 2, &body("second"), &pair.key);
    assert_eq!((pair.send(&second), servers()), (204, json!("second")));
    for (what, request, status) in [
        ("replayed", first.clone(), 401),
        ("replayed at once", second.clone(), 401),
        ("an older number", pair.report(&word, 1, &body("x"), &pair.key), 401),
        ("an unknown word", pair.report("word", 9, &body("x"), &pair.key), 401),
        ("another key", pair.report(&word, 9, &body("x"), &[7; 32]), 401),
        ("no proof", Request::raw("/airlane/v1/report", body("x")), 401),
        ("no report", pair.report(&word, 9, b"junk", &pair.key), 400),
        ("too large", pair.report(&word, 99, &vec![0; 65 << 10], &pair.key), 413),
        ("a bomb", pair.report(&word, 10, &packed(&json!(" ".repeat(8 << 20))), &pair.key), 400),
    ] {
        assert_eq!(pair.send(&request), status, "{what}");
        assert_eq!(servers(), "second", "{what} changed something");
    }
    let claim = pair.claim(&word, 11, &body("x"), &pair.key);
    let forged = Request::raw("/airlane/v1/report", body("y")).with("authorization", &claim);
    assert_eq!((pair.send(&forged), servers()), (401, json!("second")), "the body was changed on its way");
    // The next run of the node: another word, and those of the run before count no more.
    let next = pair.word();
    assert_ne!(next, word);
    assert_eq!(pair.send(&pair.report(&next, 1, &body("third"), &pair.key)), 204);
    assert_eq!(pair.send(&pair.report(&word, 50, &body("x"), &pair.key)), 401);
    assert_eq!(servers(), "third");
    let fast = [2, 3].map(|number| send(pair.router, &pair.report(&next, number, &body("fast"), &pair.key)).status());
    assert!(fast.contains(&429), "{fast:?}");
}

#[test]
fn both_ends_may_be_killed_and_the_node_may_move() {
    let (_fake, node) = node(Setup::new(), "far-1");
    let router = Setup::new().start();
    pair(&router, &node);
    wait_model(&router, "far-1");
    let before = row(&router, "gpu-box")["address"].clone();
    let node = node.kill_and_start(true);
    eventually("the node is called at its new address", || {
        let now = row(&router, "gpu-box")["address"].clone();
        now != before && now == node.address().to_string() && router.send(&chat("far-1", false)).status() == 200
    });
    let router = router.kill_and_start(false);
    wait_state(&router, "reporting");
    wait_model(&router, "far-1");
    assert_eq!(router.send(&chat("far-1", false)).status(), 200);
    // Gone, said so with what was last known, and back.
    let mut node = node;
    let address = node.address();
    node.kill();
    eventually("the silence is noticed", || {
        let row = row(&router, "gpu-box");
        row["state"] == "silent" && row["sentence"].as_str().is_some_and(|text| text.contains("not reported for"))
    });
    assert_eq!(row(&router, "gpu-box")["servers"][0]["name"], "server", "the last values stay");
    eventually("it is called offline", || {
        send(router.console()[0], &Request::get("/api/v1/places")).json()["upstreams"][0]["health"]["state"]
            == "offline"
    });
    assert!(router.send(&chat("far-1", false)).status() >= 500);
    let node = node.kill_and_start(false);
    assert_eq!(node.address(), address);
    wait_state(&router, "reporting");
    eventually("it answers again", || router.send(&chat("far-1", false)).status() == 200);
}

#[test]
fn a_game_on_a_node_sends_requests_elsewhere_until_it_ends() {
    let cards_of_node = Cards::new(&cards(0, &json!([])));
    let (far, node) = node(cards_of_node.setup(), "same");
    let near = Fake::with_models(&["same"]);
    let router = Setup::new().fake("near", "openai", &near).start();
    pair(&router, &node);
    wait_state(&router, "reporting");
    let pressure = || {
        let places = send(router.console()[0], &Request::get("/api/v1/places")).json();
        let sites = places["upstreams"].as_array().cloned().unwrap_or_default();
        sites.iter().find(|site| site["name"] == "gpu-box").and_then(|site| site["pressure_percent"].as_u64())
    };
    eventually("the node is free", || pressure() == Some(0));
    let game = Program::start("game.exe", "0.5");
    cards_of_node.set(&cards(
        97,
        &json!([
            {"pid": game.pid(), "vram_bytes": 6_u64 << 30, "utilization_percent": 97, "graphics": true}
        ]),
    ));
    eventually("the router knows of the game", || pressure() > Some(50));
    let told = row(&router, "gpu-box")["telemetry"]["gpus"]["cards"][0]["foreign"].clone();
    assert_eq!(told["by"][0]["name"], "game.exe", "{told}");
    let before = far.requests().len();
    for _ in 0..6 {
        assert_eq!(router.send(&chat("same", false)).header("x-airlane-upstream"), Some("near"));
    }
    assert_eq!(far.requests().len(), before);
    cards_of_node.set(&cards(0, &json!([])));
    eventually("the node is free again", || pressure() == Some(0));
}

#[test]
fn what_others_ask_of_a_node_takes_its_slots() {
    let fake = Fake::with_models(&["same"]);
    let node = as_node(Setup::new(), "gpu-box").upstream("server", "openai", &fake.url(), "slots = 1").start();
    wait_model(&node, "same");
    let near = Fake::with_models(&["same"]);
    let router = Setup::new().fake("near", "openai", &near).start();
    pair(&router, &node);
    let place = || {
        let places = send(router.console()[0], &Request::get("/api/v1/places")).json();
        let sites = places["upstreams"].as_array().cloned().unwrap_or_default();
        sites
            .into_iter()
            .find(|site| site["name"] == "gpu-box")
            .map(|site| site["models"][0].clone())
            .unwrap_or_default()
    };
    eventually("the router knows the slot", || place()["slots"] == 1);
    // Somebody asks the node past the router.
    fake.answer(airlane_tests::fake::Script::gated());
    let mut past = node.open(&chat("same", true));
    let _ = past.head();
    eventually(&format!("the router knows of it: {}", place()), || place()["others_running"] == 1);
    for _ in 0..4 {
        assert_eq!(router.send(&chat("same", false)).header("x-airlane-upstream"), Some("near"));
    }
    fake.release(100);
    let _ = past.rest();
    eventually("the slot is free again", || place()["others_running"].as_u64().unwrap_or(0) == 0);
}

#[test]
fn nothing_goes_round() {
    // Each is the other's node, and one has an upstream of its own.
    let fake = Fake::with_models(&["only"]);
    let one = as_node(Setup::new(), "one").fake("server", "openai", &fake).start();
    let two = as_node(Setup::new(), "two").start();
    wait_model(&one, "only");
    let response = pair_with(&two, &one, &code(&one));
    assert_eq!(response.status(), 200, "{}", response.text());
    let response = pair_with(&one, &two, &code(&two));
    assert_eq!(response.status(), 200, "{}", response.text());
    wait_model(&two, "only");
    eventually("two's list is known to one", || {
        let status = send(one.console()[0], &Request::get("/api/v1/status")).json();
        status["upstreams"]
            .as_array()
            .is_some_and(|rows| rows.iter().any(|row| row["name"] == "two" && row["state"] == "answers"))
    });
    assert_eq!(models(&one), ["only"], "what two has from one is not offered again");
    assert_eq!(two.send(&chat("only", false)).status(), 200);
    assert_eq!(fake.requests().len(), 1);
    // A request that came from an Airlane goes to own servers only, and after a few Airlanes nowhere.
    assert_eq!(one.send(&chat("only", false).with("x-airlane-hop", "1")).status(), 200);
    assert_ne!(two.send(&chat("only", false).with("x-airlane-hop", "1")).status(), 200);
    let response = one.send(&chat("only", false).with("x-airlane-hop", "3"));
    assert!(response.status() == 400 && response.text().contains("goes round"), "{}", response.text());
    assert_eq!(fake.requests().len(), 2);
}

#[test]
fn airlanes_that_are_upstreams_of_each_other_by_hand_end_the_round() {
    let (one, two) = (Setup::new().start(), Setup::new().start());
    let upstream = |daemon: &Daemon, other: &Daemon| {
        let text = std::fs::read_to_string(daemon.folder().join("airlane.toml")).expect("the config");
        let more = format!(
            "[[upstream]]\nname = \"other\"\nkind = \"openai\"\nurl = \"{}\"\nmodels = [\"ghost\"]\n",
            other.url()
        );
        daemon.write_config(&(text + &more));
    };
    upstream(&one, &two);
    upstream(&two, &one);
    wait_model(&one, "ghost");
    wait_model(&two, "ghost");
    let response = one.send(&chat("ghost", false));
    assert!(response.status() >= 400, "{}", response.text());
    assert!(response.text().contains("goes round"), "{}", response.text());
}

#[test]
fn a_forgotten_node_is_gone_and_its_reports_are_refused() {
    let (_fake, node) = node(Setup::new(), "far-1");
    let router = Setup::new().start();
    pair(&router, &node);
    wait_model(&router, "far-1");
    let pair_of = Pair::of(&node, &router);
    let (status, _, err) = airlane(&["node", "forget", "gpu-box", "--url", &console(&router)]);
    assert_eq!(status, Some(0), "{err}");
    assert!(row(&router, "gpu-box").is_null());
    eventually("its models are gone", || models(&router).is_empty());
    assert_eq!(send(router.address(), &pair_of.report("w", 1, b"x", &pair_of.key)).status(), 401);
    eventually("the node is told", || node.log().contains("does not know this node any more"));
    let (_, out, err) = airlane(&["status", "--url", &console(&node)]);
    assert!(out.contains("router    ") && out.contains("does not know this node any more"), "{out}{err}");
    let router = router.kill_and_start(false);
    assert!(row(&router, "gpu-box").is_null(), "it stays forgotten");
    assert_eq!(api(&router, "/api/v1/nodes/forget", &json!({"name": "gpu-box"})).status(), 409);
    pair(&router, &node);
    wait_model(&router, "far-1");
}

/// In a network of its own: a node that announces itself, a router that finds it by name.
const NETWORK: &str = r#"
set -eu
ip link set lo up
ip link add lan type veth peer name wire
ip link set wire up
ip addr add 10.99.0.1/24 dev lan
ip link set lan up multicast on
cd "$FOLDER"
"$AIRLANE" run --node --config node.toml --data node 2>node.log & node=$!
"$AIRLANE" run --config router.toml --data router 2>router.log & router=$!
trap 'kill $node $router; wait' EXIT
for daemon in node router; do
    for _ in $(seq 500); do [ -e $daemon/daemon.json ] && break; sleep 0.02; done
done
for _ in $(seq 5); do
    "$AIRLANE" node list --url http://127.0.0.1:7485 >list.txt || true
    grep -q far-box list.txt && break
done
cat list.txt
code=$("$AIRLANE" node code --url http://127.0.0.1:6485 | cut -d' ' -f1)
"$AIRLANE" node pair far-box "$code" --url http://127.0.0.1:7485
"$AIRLANE" node list --url http://127.0.0.1:7485
"#;

#[test]
fn a_node_is_found_on_the_network_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = |name: &str, port: u16, more: &str| {
        let text = format!(
            "[endpoint]\nlisten = [\"0.0.0.0:{port}484\"]\n[console]\nlisten = [\"127.0.0.1:{port}485\"]\n\
             [discovery]\nenabled = false\n{more}"
        );
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    config("node.toml", 6, "[node]\nname = \"far-box\"\n");
    config("router.toml", 7, "");
    let output = std::process::Command::new("unshare")
        .args(["--net", "bash", "-c", NETWORK])
        .env("AIRLANE", airlane_tests::programs::airlane())
        .env("FOLDER", folder.path())
        .output()
        .expect("unshare cannot be started");
    let log = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let told = String::from_utf8_lossy(&output.stdout);
    let all =
        format!("{told}\n{}\n{}\n{}", String::from_utf8_lossy(&output.stderr), log("node.log"), log("router.log"));
    assert!(output.status.success(), "{all}");
    assert!(told.contains("far-box at 10.99.0.1:6484: not paired"), "{all}");
    assert!(told.contains("far-box is paired") && told.contains("node      far-box at 10.99.0.1:6484"), "{all}");
}
