//! Who asks: keys in every dialect, devices without one, and who says for whom he asks.

use std::net::SocketAddr;
use std::process::Command;

use airlane_tests::client::{Exchange, Request, Response, send};
use airlane_tests::daemon::{Daemon, Setup, airlane};
use airlane_tests::fake::Fake;
use serde_json::{Value, json};

use crate::access::{in_namespace, inside};
use crate::common::{chat, eventually, pair_with, wait_model};
use crate::kept::status;

fn console(daemon: &Daemon) -> String {
    format!("http://{}", daemon.console()[0])
}

/// What a command of ours prints, if it ends well.
fn says(daemon: &Daemon, arguments: &[&str]) -> String {
    let url = console(daemon);
    let (code, out, err) = airlane(&[arguments, &["--url", &url]].concat());
    assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
    out
}

fn fails(daemon: &Daemon, arguments: &[&str]) -> String {
    let url = console(daemon);
    let (code, out, err) = airlane(&[arguments, &["--url", &url]].concat());
    assert_eq!(code, Some(1), "{arguments:?}: {out}");
    err
}

fn key(daemon: &Daemon, tenant: &str) -> String {
    says(daemon, &["key", "create", tenant]).trim().to_owned()
}

/// The name of a key.
fn name(key: &str) -> &str {
    key.split('-').nth(2).unwrap()
}

/// A request in each dialect, with the header in which its clients send a key.
fn requests(key: &str) -> [Request; 3] {
    let body =
        json!({"model": "fake-1", "max_tokens": 9, "stream": false, "messages": [{"role": "user", "content": "Hi"}]});
    [
        Request::post("/v1/chat/completions", &body).with("authorization", &format!("Bearer {key}")),
        Request::post("/v1/messages", &body).with("x-api-key", key).with("anthropic-version", "2023-06-01"),
        Request::post("/api/chat", &body).with("authorization", &format!("bearer {key}")),
    ]
}

fn message(response: &Response) -> String {
    let body = response.json();
    let error = if body["error"].is_string() { &body["error"] } else { &body["error"]["message"] };
    error.as_str().unwrap_or_default().to_owned()
}

fn from(daemon: &Daemon, address: &str, request: &Request) -> Response {
    let mut exchange = Exchange::connect_from(SocketAddr::new(address.parse().unwrap(), 0), daemon.address());
    exchange.send(request);
    exchange.finish()
}

#[test]
fn a_key_is_good_in_every_dialect_until_it_is_revoked() {
    let (_fake, daemon) = pair_with("openai", Setup::new());
    let good = key(&daemon, "anna");
    let secret = good.rsplit('-').next().unwrap().to_owned();
    for request in requests(&good) {
        assert_eq!(daemon.send(&request).status(), 200);
    }
    // One that is wrong in its last letter.
    let last = if good.ends_with('0') { "1" } else { "0" };
    let wrong = format!("{}{last}", &good[..good.len() - 1]);
    for request in requests(&wrong) {
        let refused = daemon.send(&request);
        assert_eq!(refused.status(), 401, "{}", refused.text());
        assert!(message(&refused).contains("not known here"), "{}", refused.text());
        assert!(!refused.text().contains(&secret[..30]), "the key is told to nobody");
    }
    // Whoever must send something and knows no key is the device that he is.
    for other in ["sk-none", "ollama", ""] {
        for request in requests(other) {
            assert_eq!(daemon.send(&request).status(), 200);
        }
    }
    let list = Request::get("/v1/models").with("authorization", &format!("Bearer {wrong}"));
    assert_eq!(daemon.send(&list).status(), 401, "clients try their key with the list of models");
    assert!(says(&daemon, &["key", "revoke", name(&good)]).contains("revoked"));
    for request in requests(&good) {
        let refused = daemon.send(&request);
        assert_eq!(refused.status(), 401);
        assert!(message(&refused).contains("revoked"), "{}", refused.text());
    }
    let metrics = daemon.get("/metrics").text();
    assert!(metrics.contains("outcome=\"bad_key\""), "{metrics}");
    let log = daemon.log();
    assert!(log.contains("bad_key") && !log.contains(&secret) && !metrics.contains(&secret));
    let listed = send(daemon.console()[0], &Request::get("/api/v1/keys")).text();
    assert!(listed.contains(name(&good)) && !listed.contains(&secret), "{listed}");
}

#[test]
fn keys_outlive_a_crash_and_so_does_their_end() {
    let (_fake, daemon) = pair_with("openai", Setup::new());
    let (good, bad) = (key(&daemon, "anna"), key(&daemon, "bob"));
    says(&daemon, &["key", "revoke", name(&bad)]);
    let daemon = daemon.kill_and_start(true);
    let status = |key: &str| daemon.send(&requests(key)[0]).status();
    eventually("the model is there", || status(&good) == 200);
    assert_eq!(status(&bad), 401);
    let second = says(&daemon, &["key", "rotate", name(&good), "--overlap", "1d"]).trim().to_owned();
    assert_eq!((status(&good), status(&second)), (200, 200), "both, for a day");
    let third = says(&daemon, &["key", "rotate", name(&second), "--overlap", "1s"]).trim().to_owned();
    eventually("the time of the old one is over", || status(&second) == 401);
    assert_eq!(status(&third), 200);
    let listed = says(&daemon, &["key", "list"]);
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(says(&daemon, &["tenant", "list"]).contains("anna  3 keys"));
    says(&daemon, &["tenant", "remove", "anna"]);
    assert_eq!(status(&third), 401);
}

#[test]
fn a_device_needs_no_key() {
    let (_fake, daemon) = pair_with("openai", Setup::new());
    assert!(fails(&daemon, &["tenant", "set", "kids", "--device", "tablet"]).contains("host:NAME"));
    says(&daemon, &["tenant", "set", "kids", "--group", "minors", "--device", "127.0.0.2", "--device", "127.0.0.3"]);
    let mut body = json!({"model": "fake-1", "temperature": 0, "messages": [{"role": "user", "content": "Hi"}]});
    body["stream"] = json!(false);
    let request = Request::post("/v1/chat/completions", &body);
    assert!(status(&from(&daemon, "127.0.0.2", &request)).contains("fwd=miss; stored"));
    // The other device of the same tenant shares its answers, and nobody else does.
    assert!(status(&from(&daemon, "127.0.0.3", &request)).contains("hit"));
    assert!(status(&from(&daemon, "127.0.0.4", &request)).contains("fwd=miss"));
    let anna = key(&daemon, "kids");
    let with_key = request.with("authorization", &format!("Bearer {anna}"));
    assert!(status(&from(&daemon, "127.0.0.4", &with_key)).contains("hit"), "a key of the tenant, from anywhere");
}

/// The kernel's table of neighbours says whose network card has an address.
#[test]
fn a_device_is_known_by_its_network_card() {
    if !inside() {
        return in_namespace("tenants::a_device_is_known_by_its_network_card");
    }
    let run = |command: &str| {
        let done = Command::new("sh").args(["-c", command]).status().expect("a shell");
        assert!(done.success(), "{command}");
    };
    run("ip link add lan type veth peer name far && ip link set lan up && ip link set far up");
    let setup = Setup::new()
        .endpoint("listen = [\"0.0.0.0:0\"]\nallow_networks = [\"203.0.113.0/24\"]\nunknown_devices = \"none\"");
    let (_fake, daemon) = pair_with("openai", setup);
    let asks = |address: [u8; 4]| {
        let target = SocketAddr::from(([203, 0, 113, 6], daemon.address().port()));
        let mut exchange = Exchange::connect_from(SocketAddr::from((address, 0)), target);
        exchange.send(&chat("fake-1", false));
        exchange.finish().status()
    };
    let device = [203, 0, 113, 5];
    assert_eq!(asks(device), 401);
    says(&daemon, &["tenant", "set", "anna", "--device", "AA-BB-CC-DD-EE-FF"]);
    run("ip neigh replace 203.0.113.5 lladdr aa:bb:cc:dd:ee:ff dev lan nud permanent");
    eventually("the device is known", || asks(device) == 200);
    assert_eq!(asks([203, 0, 113, 6]), 401, "another one");
    says(&daemon, &["tenant", "set", "anna", "--device", "interface:lan"]);
    assert_eq!(asks(device), 200);
    says(&daemon, &["tenant", "set", "anna", "--device", "interface:wan"]);
    assert_eq!(asks(device), 401);
}

/// Whoever is not known costs nothing: models of the house are for all, clouds are not.
#[test]
fn unknown_devices_stay_in_the_house() {
    if !inside() {
        return in_namespace("tenants::unknown_devices_stay_in_the_house");
    }
    let (house, cloud) = (Fake::with_models(&["local-1"]), Fake::with_models(&["cloud-1"]));
    let setup = Setup::new().endpoint("listen = [\"0.0.0.0:0\"]\nallow_networks = [\"203.0.113.0/24\"]");
    let setup = setup.fake("box", "openai", &house).upstream("cloud", "openai", &cloud.url(), "local = false\n");
    let daemon = setup.start();
    wait_model(&daemon, "cloud-1");
    wait_model(&daemon, "local-1");
    let asks = |request: &Request| {
        let target = SocketAddr::from(([203, 0, 113, 6], daemon.address().port()));
        let mut exchange = Exchange::connect_from(SocketAddr::from(([203, 0, 113, 5], 0)), target);
        exchange.send(request);
        exchange.finish()
    };
    assert_eq!(asks(&chat("local-1", false)).status(), 200);
    let refused = asks(&chat("cloud-1", false));
    assert_eq!(refused.status(), 403, "{}", refused.text());
    assert!(message(&refused).contains("this device is not known here"), "{}", refused.text());
    assert!(cloud.requests().is_empty());
    // Whoever falls back stays in the house as well.
    let mut either =
        json!({"model": "cloud-1", "models": ["cloud-1", "local-1"], "messages": [{"role": "user", "content": "Hi"}]});
    either["stream"] = json!(false);
    assert_eq!(asks(&Request::post("/v1/chat/completions", &either)).status(), 200);
    assert!(cloud.requests().is_empty());
    let anna = key(&daemon, "anna");
    assert_eq!(asks(&chat("cloud-1", false).with("authorization", &format!("Bearer {anna}"))).status(), 200);
    says(&daemon, &["tenant", "set", "kids", "--device", "203.0.113.5"]);
    assert_eq!(asks(&chat("cloud-1", false)).status(), 200);
    assert_eq!(daemon.send(&chat("cloud-1", false)).status(), 200, "this machine is its owner's");
}

#[test]
fn only_proxies_of_ours_say_for_whom_they_ask() {
    let setup = Setup::new().endpoint("trusted_proxies = [\"127.0.0.9/32\"]\nunknown_devices = \"none\"");
    let (_fake, daemon) = pair_with("openai", setup);
    says(&daemon, &["tenant", "set", "kids", "--device", "192.168.7.0/24"]);
    for (address, header, want) in [
        ("127.0.0.9", Some("192.168.7.5"), 200),
        ("127.0.0.9", Some("192.168.7.5, 127.0.0.9"), 200),
        ("127.0.0.9", Some("192.168.7.5, 192.168.8.5"), 401),
        ("127.0.0.9", Some("8.8.8.8"), 403),
        // Not the owner, although it is this machine: it asks for somebody.
        ("127.0.0.1", Some("192.168.7.5"), 401),
        ("127.0.0.1", None, 200),
    ] {
        let mut request = chat("fake-1", false);
        if let Some(header) = header {
            request = request.with("x-forwarded-for", header);
        }
        let response = from(&daemon, address, &request);
        assert_eq!(response.status(), want, "{address} {header:?}: {}", response.text());
    }
    let refused = from(&daemon, "127.0.0.9", &chat("fake-1", false).with("x-forwarded-for", "192.168.8.5"));
    assert!(message(&refused).contains("airlane tenant set NAME --device 192.168.8.5"), "{}", refused.text());
}

#[test]
fn what_is_wrong_is_said() {
    let (_fake, daemon) = pair_with("openai", Setup::new());
    assert!(fails(&daemon, &["key", "create", "a b"]).contains("cannot be a tenant's name"));
    assert!(fails(&daemon, &["key", "create", "127.0.0.1"]).contains("no address"));
    assert!(fails(&daemon, &["key", "revoke", "abcdefgh"]).contains("airlane key list"));
    let whole = key(&daemon, "anna");
    let error = fails(&daemon, &["key", "revoke", &whole]);
    assert!(error.contains("the rest is secret") && !error.contains(whole.rsplit('-').next().unwrap()), "{error}");
    let url = console(&daemon);
    let (code, _, err) = airlane(&["key", "create", "anna", "--expires", "soon", "--url", &url]);
    assert!(code == Some(2) && err.contains("90d"), "{err}");
    let wish: Value = json!({"tenant": "anna", "label": "x".repeat(101)});
    let refused = send(daemon.console()[0], &Request::post("/api/v1/keys/create", &wish));
    assert!(refused.status() == 409 && refused.text().contains("100 letters"), "{}", refused.text());
}
