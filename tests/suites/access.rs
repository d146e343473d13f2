//! Who may call: the LAN, not the Internet.

use std::net::SocketAddr;
use std::process::Command;

use airlane_tests::client::{Exchange, Request};
use airlane_tests::daemon::Setup;

use crate::common::{chat, pair, pair_with};

/// Set for the second half of a test, which runs in a network namespace with addresses of its own.
const INSIDE: &str = "AIRLANE_TEST_NAMESPACE";

/// Runs the test of this name once more, alone, in a namespace that has two public addresses.
pub(crate) fn in_namespace(test: &str) {
    let executable = std::env::current_exe().expect("the test does not know where it lies");
    let script = "ip link set lo up && ip addr add 203.0.113.5/32 dev lo && ip addr add 203.0.113.6/32 dev lo \
                  && exec \"$0\" \"$@\"";
    let status = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", script])
        .arg(executable)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare (of util-linux) and ip (of iproute2) are needed to try public addresses");
    assert!(status.success(), "inside the namespace: {status}; is making network namespaces allowed here?");
}

pub(crate) fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn public_peer(setup: Setup) -> (u16, String, u16) {
    let (_fake, daemon) = pair_with("openai", setup.endpoint("listen = [\"0.0.0.0:0\"]"));
    let port = daemon.address().port();
    let target = SocketAddr::from(([203, 0, 113, 6], port));
    let from = SocketAddr::from(([203, 0, 113, 5], 0));
    let mut exchange = Exchange::connect_from(from, target);
    exchange.send(&chat("fake-1", false));
    let refused = exchange.finish();
    let lan = Exchange::start(SocketAddr::from(([127, 0, 0, 1], port)), &chat("fake-1", false)).finish();
    (refused.status(), refused.text(), lan.status())
}

#[test]
fn public_addresses_are_refused() {
    if !inside() {
        return in_namespace("access::public_addresses_are_refused");
    }
    let (status, text, lan) = public_peer(Setup::new());
    assert_eq!(status, 403, "{text}");
    assert!(text.contains("public"), "what to do is said: {text}");
    assert_eq!(lan, 200, "others are served");
}

#[test]
fn the_owner_may_allow_them() {
    if !inside() {
        return in_namespace("access::the_owner_may_allow_them");
    }
    assert_eq!(public_peer(Setup::new().endpoint("allow_public = true")).0, 200);
    assert_eq!(public_peer(Setup::new().endpoint("allow_networks = [\"203.0.113.0/24\"]")).0, 200);
}

#[test]
fn a_forwarded_address_is_not_believed() {
    let (_fake, daemon) = pair("openai");
    let request = Request::get("/v1/models").with("x-forwarded-for", "8.8.8.8");
    assert_eq!(daemon.send(&request).status(), 200, "the peer counts, not what it says");
}

#[test]
fn a_foreign_host_name_is_refused() {
    let (_fake, daemon) = pair_with("openai", Setup::new().endpoint("host_names = [\"ai.example.org\"]"));
    for (host, status) in [
        ("attacker.example.com", 403),
        ("ai.example.org", 200),
        ("airlane.lan:8484", 200),
        ("192.168.1.1:8484", 200),
        ("[fd00::1]:8484", 200),
        ("localhost", 200),
    ] {
        let mut exchange = Exchange::connect(daemon.address());
        exchange.write(format!("GET /v1/models HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes());
        assert_eq!(exchange.finish().status(), status, "{host}");
    }
}

/// A browser sends a page's POST without asking first if it looks like that of a form.
#[test]
fn a_foreign_page_cannot_spend_tokens() {
    let (fake, daemon) = pair("openai");
    let from = |origin: &str| chat("fake-1", false).with("origin", origin).with("content-type", "text/plain");
    for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example"] {
        let refused = daemon.send(&from(origin));
        assert_eq!(refused.status(), 403, "{origin}");
        assert!(refused.text().contains("cors_origins"), "what to do is said: {}", refused.text());
    }
    assert!(fake.requests().is_empty(), "nobody was asked");
    for origin in ["http://localhost:3000", "app://notes", &daemon.url()] {
        assert_eq!(daemon.send(&from(origin)).status(), 200, "{origin}");
    }
}

#[test]
fn the_owner_may_let_every_page_in() {
    let (_fake, daemon) = pair_with("openai", Setup::new().endpoint("cors_origins = [\"*\"]"));
    assert_eq!(daemon.send(&chat("fake-1", false).with("origin", "https://evil.example")).status(), 200);
}

#[test]
fn metrics_are_for_the_lan_too() {
    let (_fake, daemon) = pair("openai");
    assert_eq!(daemon.get("/metrics").status(), 200);
    let mut exchange = Exchange::connect(daemon.address());
    exchange.write(b"GET /metrics HTTP/1.1\r\nhost: attacker.example.com\r\nconnection: close\r\n\r\n");
    let refused = exchange.finish();
    assert_eq!(refused.status(), 403, "they name models and upstreams: {}", refused.text());
}
