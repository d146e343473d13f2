//! What people mistype when they pair a node, and what a node that lies can do.

use airlane_tests::client::{Exchange, Request, send};
use airlane_tests::daemon::{Daemon, Setup, airlane};
use airlane_tests::fake::Fake;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::common::{chat, eventually, wait_model};
use crate::nodes::{Pair, api, code, console, node, packed, pair, pair_with, row, wait_state};

fn wish(router: &Daemon, node: &str, code: &str) -> String {
    let response = api(router, "/api/v1/nodes/pair", &json!({"node": node, "code": code}));
    assert_eq!(response.status(), 409, "{}", response.text());
    response.text()
}

#[test]
fn what_is_mistyped_costs_no_try_and_is_told() {
    let (fake, node) = node(Setup::new(), "far-1");
    let router = Setup::new().start();
    let (right, address) = (code(&node), node.address().to_string());
    for short in ["", "123", "4711-08150", "letters"] {
        for _ in 0..3 {
            assert!(wish(&router, &address, short).contains("a code has 8 digits"));
        }
    }
    let server = fake.url();
    let model_server = server.trim_start_matches("http://");
    let console = node.console()[0].to_string();
    for (at, want) in [
        (model_server, "is no node"),
        (&console, "is no node"),
        ("127.0.0.1:1", "is the address right, and Airlane running there?"),
        ("https://127.0.0.1:1", "plain HTTP"),
        ("no such host:1", "is no address on this network"),
    ] {
        let told = wish(&router, at, &right);
        assert!(told.contains(want), "{at}: {told}");
    }
    // As copied from a browser, with the code as it is read out.
    let spoken = right.replace('-', " - ");
    let response = api(&router, "/api/v1/nodes/pair", &json!({"node": format!("http://{address}/"), "code": spoken}));
    assert_eq!(response.status(), 200, "{}", response.text());
}

/// One guess from an address of the LAN: both words of a pairing, with a proof that is made up.
fn guess(node: &Daemon, from: &str) -> (u16, u16, String) {
    let exchange = |path: &str, body: &Value| {
        let source = format!("{from}:0").parse().expect("an address");
        let mut exchange = Exchange::connect_from(source, node.address());
        exchange.send(&Request::post(path, body).with("connection", "close"));
        exchange.finish()
    };
    // A message of the router's side is the letter A and a point of the curve; this is the curve's own base point.
    let point: Vec<u8> = [b"A\x58".as_slice(), &[0x66; 31]].concat();
    let hello = exchange("/airlane/v1/pair", &json!({"message": URL_SAFE_NO_PAD.encode(point)}));
    assert!(!hello.text().contains("proof"), "the node proved that it knows the code: {}", hello.text());
    let proof = URL_SAFE_NO_PAD.encode([7; 32]);
    let confirm = json!({"router": "evil", "address": format!("{from}:80"), "proof": proof});
    let confirmed = exchange("/airlane/v1/pair/confirm", &confirm);
    (hello.status(), confirmed.status(), confirmed.text())
}

#[test]
fn who_guesses_at_a_code_neither_learns_it_nor_spoils_it_for_the_owner() {
    let (_fake, node) = node(Setup::new(), "far-1");
    let router = Setup::new().start();
    let right = code(&node);
    // First words alone use nothing up.
    let point: Vec<u8> = [b"A\x58".as_slice(), &[0x66; 31]].concat();
    let hello = json!({"message": URL_SAFE_NO_PAD.encode(point)});
    for _ in 0..40 {
        assert_eq!(send(node.address(), &Request::post("/airlane/v1/pair", &hello)).status(), 200);
    }
    for address in 2..9 {
        let from = format!("127.0.0.{address}");
        for attempt in 0..3 {
            let (hello, confirmed, told) = guess(&node, &from);
            assert_eq!((hello, confirmed), (200, 403), "{from} {attempt}: {told}");
            assert!(told.contains("the code is wrong"), "{told}");
        }
        let (hello, confirmed, told) = guess(&node, &from);
        assert_eq!((hello, confirmed), (403, 403), "{from} has had its tries: {told}");
    }
    // Twenty-one wrong ones of others: the owner's is good all the same.
    let response = pair_with(&router, &node, &right);
    assert_eq!(response.status(), 200, "{}", response.text());
    wait_model(&router, "far-1");
    // The next code: somebody with many addresses ends it for all, and gets no further.
    assert_eq!(api(&router, "/api/v1/nodes/forget", &json!({"name": "gpu-box"})).status(), 200);
    let right = code(&node);
    let taken = (2..255).take_while(|address| guess(&node, &format!("127.0.1.{address}")).0 == 200).count();
    assert_eq!(taken, 24, "wrong proofs in all");
    assert!(pair_with(&router, &node, &right).text().contains("too many were wrong"));
    pair(&router, &node);
}

#[test]
fn a_node_has_one_pair() {
    let (_fake, node) = node(Setup::new(), "far-1");
    let router = Setup::new().start();
    pair(&router, &node);
    wait_model(&router, "far-1");
    let again = json!({"node": node.address().to_string(), "code": code(&node), "name": "attic"});
    let response = api(&router, "/api/v1/nodes/pair", &again);
    assert_eq!(response.status(), 409, "{}", response.text());
    assert!(response.text().contains("airlane node forget gpu-box"), "{}", response.text());
    wait_state(&router, "reporting");
    let forget = |name: &str| api(&router, "/api/v1/nodes/forget", &json!({"name": name})).status();
    assert_eq!(forget("gpu-box"), 200);
    // One that was refused for a while reports at once when it is paired anew.
    eventually("the node is told", || node.log().contains("does not know this node any more"));
    pair(&router, &node);
    wait_state(&router, "reporting");
}

#[test]
fn damaged_pairs_end_nothing_but_themselves() {
    let (_fake, node) = node(Setup::new(), "far-1");
    let near = Fake::with_models(&["near-1"]);
    let mut router = Setup::new().fake("near", "openai", &near).start();
    pair(&router, &node);
    wait_model(&router, "far-1");
    router.kill();
    let file = |name: &str| router.folder().join("data").join(name);
    std::fs::write(file("nodes.json"), "[{\"id\": \"half a").expect("written");
    let (damaged, whole) = (file("nodes.damaged"), file("nodes.json"));
    let router = router.kill_and_start(false);
    assert_eq!(router.send(&chat("near-1", false)).status(), 200);
    assert!(router.log().contains("must be paired again"), "{}", router.log());
    assert!(damaged.exists() && !whole.exists());
    let response = pair_with(&router, &node, &code(&node));
    assert_eq!(response.status(), 200, "{}", response.text());
    wait_model(&router, "far-1");
}

/// A report with all that can be told, and these texts and numbers.
fn told(address: &str, text: &str, percent: u32, bytes: u64) -> Value {
    let process = json!({"pid": percent, "name": text, "vram_bytes": bytes, "utilization_percent": percent});
    let card = |index: u32| {
        json!({
            "index": index, "uuid": text, "name": text, "state": "reading",
            "sample": {
                "utilization_percent": percent, "memory_utilization_percent": percent,
                "vram": {"total_bytes": bytes, "used_bytes": bytes, "free_bytes": bytes},
                "temperature_c": percent, "slowdown_c": 0, "fan_percent": percent, "power_mw": percent,
                "power_limit_mw": 1, "energy_mj": bytes, "processes": [process]
            },
            "foreign": {"pressure_percent": percent, "backed_off": true, "by": [process]}
        })
    };
    let network = json!({"name": text, "received_bytes": bytes, "sent_bytes": bytes, "addresses": ["127.0.0.1"]});
    let model = json!({"id": "far-1", "resident": false, "slots": percent, "running": percent, "waiting": percent});
    json!({
        "address": address, "version": text,
        "telemetry": {
            "gpus": {"state": "reading", "driver": text, "cards": [card(0), card(0), card(percent)]},
            "machine": {
                "host_name": text, "system": text, "uptime_s": bytes,
                "cpu": {"cores": percent, "load": [1e308, -1e308, 0.0]},
                "memory": {"total_bytes": bytes, "used_bytes": bytes, "available_bytes": bytes,
                    "swap_total_bytes": bytes, "swap_used_bytes": bytes},
                "disks": [{"mount": text, "total_bytes": bytes, "available_bytes": bytes}],
                "networks": [network, network]
            }
        },
        "servers": [{"name": text, "kind": text, "health": text, "cause": text, "models": [model, model]}]
    })
}

#[test]
fn a_node_that_lies_harms_nobody_else() {
    let (_fake, mut node) = node(Setup::new(), "far-1");
    let near = Fake::with_models(&["far-1", "near-1"]);
    let router = Setup::new().fake("near", "openai", &near).start();
    pair(&router, &node);
    wait_state(&router, "reporting");
    let pair = Pair::of(&node, &router);
    let address = row(&router, "gpu-box")["address"].as_str().expect("an address").to_owned();
    node.kill();
    let word = pair.word();
    let evil = "<script>alert(1)</script>\u{1b}[2J\nnode evil: reports";
    let mut number = 0;
    for (percent, bytes) in [(0, 0), (u32::MAX, u64::MAX), (1, 1)] {
        number += 1;
        let report = packed(&told(&address, evil, percent, bytes));
        assert_eq!(pair.send(&pair.report(&word, number, &report, &pair.key)), 204, "{percent}");
        for arguments in [["node", "list"].as_slice(), &["status"], &["top"]] {
            let (_, out, err) = airlane(&[arguments, &["--url", &console(&router)]].concat());
            assert!(out.contains("gpu-box") && out.contains("script"), "{arguments:?}: {out}{err}");
            assert!(!out.contains('\u{1b}') && !out.contains("\nnode evil"), "{arguments:?}: {out}");
        }
        let page = send(router.console()[0], &Request::get("/")).text();
        assert!(page.contains("gpu-box") && !page.contains("<script>"), "{page}");
        let metrics = router.get("/metrics");
        assert!(metrics.status() == 200 && !metrics.text().contains("\nnode evil"), "{}", metrics.text());
        for model in ["far-1", "near-1"] {
            let response = router.send(&chat(model, false));
            assert_eq!(response.header("x-airlane-upstream"), Some("near"), "{}", response.text());
        }
    }
    // Nobody is called because a node says so.
    let elsewhere = near.url().trim_start_matches("http://").replace("127.0.0.1", "127.0.0.2");
    for to in ["8.8.8.8:80", "0.0.0.0:80", "224.0.0.251:5353", "[::1]:22", "127.0.0.1:0", &elsewhere] {
        number += 1;
        let report = packed(&told(to, "x", 1, 1));
        assert_eq!(pair.send(&pair.report(&word, number, &report, &pair.key)), 204, "{to}");
        assert_eq!(row(&router, "gpu-box")["address"], address, "{to}");
    }
}
