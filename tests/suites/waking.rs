//! Machines that sleep: the magic packet is sent when it is worth it, and the request waits until they answer.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use airlane_tests::client::{Request, send};
use airlane_tests::daemon::{Daemon, Setup, airlane};
use airlane_tests::fake::{Fake, Script};
use airlane_tests::sockets::refused;

use crate::common::{BOUND, chat, chat_body, eventually, metric, places, wait_model};
use crate::nodes::{node, pair, wait_state};

const MAC: [u8; 6] = [2, 0, 0, 0xaa, 0xbb, 0xcc];

/// The network on which the call is heard, and the address at which the sleeping machine will be.
struct Bed {
    ear: UdpSocket,
    address: SocketAddr,
}

impl Bed {
    fn new() -> Self {
        let ear = UdpSocket::bind("127.0.0.1:0").expect("a port");
        ear.set_read_timeout(Some(BOUND)).expect("a timeout");
        Self { ear, address: refused() }
    }

    fn lines(&self) -> String {
        let ear = self.ear.local_addr().expect("an address");
        format!("models = [\"m\"]\nwake = \"02:00:00:AA-bb:cc\"\nwake_address = \"{ear}\"\nwake_s = 20")
    }

    fn hears(&self) -> bool {
        let mut packet = [0; 200];
        let Ok(bytes) = self.ear.recv(&mut packet) else { return false };
        assert_eq!(bytes, 102);
        assert_eq!(packet[..6], [0xff; 6]);
        assert!(packet[6..102].chunks(6).all(|address| address == MAC), "{packet:?}");
        true
    }

    fn is_quiet(&self) -> bool {
        self.ear.set_nonblocking(true).expect("a socket");
        self.ear.recv(&mut [0; 200]).is_err()
    }
}

fn sleeps(daemon: &Daemon, name: &str) -> bool {
    let places = places(daemon);
    let sites = places["upstreams"].as_array().cloned().unwrap_or_default();
    sites.iter().any(|site| {
        let health = &site["health"];
        site["name"] == name && health["state"] == "sleeping" && health["wakes_in_s"] == 20
    })
}

#[test]
fn a_request_wakes_the_machine_and_is_answered_there() {
    let bed = Bed::new();
    let daemon = Setup::new()
        .endpoint("heartbeat_s = 1")
        .upstream("attic", "openai", &format!("http://{}", bed.address), &bed.lines())
        .start();
    wait_model(&daemon, "m");
    eventually("it is found asleep", || sleeps(&daemon, "attic"));
    let state = ["airlane_upstream_state{", "upstream=\"attic\"", "state=\"sleeping\""];
    assert_eq!(metric(&daemon.get("/metrics").text(), &state), Some(1.0));
    let page = send(daemon.console()[0], &Request::get("/")).text();
    assert!(page.contains("sleeping") && page.contains("awake about 20 s later"), "{page}");
    assert!(!page.contains("does not work"), "nobody has to do anything about it: {page}");
    let config = daemon.folder().join("client.toml");
    let data = daemon.folder().join("data");
    std::fs::write(&config, format!("[data]\ndir = \"{}\"\n", data.display())).expect("written");
    for command in ["top", "status"] {
        let (_, out, _) = airlane(&[command, "--config", &config.display().to_string()]);
        assert!(out.contains("sleeping: sleeps") && out.contains("20 s later"), "{command}: {out}");
    }
    let mut stream = daemon.open(&chat("m", true));
    assert!(bed.hears(), "nobody was woken");
    let _ = stream.head();
    let _ = stream.until("queued, 0 before this one; the machine is woken, ready in about");
    let awake = Fake::on(&bed.address.to_string(), &["m"]);
    awake.answer(Script::text("good morning"));
    let text = stream.rest();
    assert!(text.contains("morning"), "{text}");
    assert_eq!(awake.requests().len(), 1);
    let second = daemon.send(&chat("m", false));
    assert_eq!((second.status(), second.header("x-airlane-upstream")), (200, Some("attic")));
}

#[test]
fn a_node_that_sleeps_is_woken_and_answers() {
    let bed = Bed::new();
    let (fake, mut node) = node(Setup::new(), "m");
    let lines = bed.lines();
    let router =
        Setup::new().endpoint("heartbeat_s = 1").table(&format!("[[nodes.node]]\nname = \"gpu-box\"\n{lines}\n"));
    let router = router.start();
    pair(&router, &node);
    wait_state(&router, "reporting");
    wait_model(&router, "m");
    node.kill();
    eventually("it is found asleep", || sleeps(&router, "gpu-box"));
    fake.answer(Script::text("good morning"));
    let mut stream = router.open(&chat("m", true));
    assert!(bed.hears(), "nobody was woken");
    let _ = stream.head();
    let _ = stream.until("the machine is woken, ready in about");
    let _node = node.kill_and_start(false);
    let text = stream.rest();
    assert!(text.contains("morning"), "{text}");
    let second = router.send(&chat("m", false));
    assert_eq!((second.status(), second.header("x-airlane-upstream")), (200, Some("gpu-box")));
}

#[test]
fn nobody_is_woken_while_another_machine_serves() {
    let (bed, near) = (Bed::new(), Fake::with_models(&["m"]));
    let daemon = Setup::new()
        .upstream("attic", "openai", &format!("http://{}", bed.address), &bed.lines())
        .upstream("near", "openai", &near.url(), "slots = 1")
        .start();
    wait_model(&daemon, "near/m");
    eventually("it is found asleep", || sleeps(&daemon, "attic"));
    near.answer(Script { gap: Duration::from_millis(20), ..Script::default() });
    for lane in ["bulk", "normal", "interactive"] {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let response = daemon.send(&chat("m", true).with("x-airlane-lane", lane));
                    assert_eq!(response.header("x-airlane-upstream"), Some("near"), "{}", response.text());
                });
            }
        });
    }
    assert!(bed.is_quiet(), "a machine was woken for nothing");
    let told = send(daemon.console()[0], &Request::post("/api/v1/explain", &chat_body("m", false))).json();
    let text = told.to_string();
    assert!(text.contains("machine to be woken"), "{text}");
    assert_eq!(told["candidates"][1]["upstream"], "attic", "{text}");
    assert!(told["candidates"][1]["score"]["wake_ms"].as_u64().is_some_and(|ms| ms >= 15_000), "{text}");
}

#[test]
fn one_that_waits_goes_elsewhere_when_that_is_sooner() {
    let (bed, near) = (Bed::new(), Fake::with_models(&["m"]));
    let daemon = Setup::new()
        .endpoint("queue_wait_s = 3600\nheartbeat_s = 600")
        .upstream("attic", "openai", &format!("http://{}", bed.address), &bed.lines())
        .upstream("near", "openai", &near.url(), "slots = 1")
        .start();
    wait_model(&daemon, "near/m");
    eventually("it is found asleep", || sleeps(&daemon, "attic"));
    // The other machine is known to be slow, and has much to do.
    near.answer(Script { gap: Duration::from_millis(600), ..Script::default() });
    for _ in 0..4 {
        assert_eq!(daemon.send(&chat("near/m", true)).status(), 200);
    }
    near.answer(Script::gated());
    let busy: Vec<_> =
        (0..25).map(|_| daemon.open(&chat("near/m", true).with("x-airlane-lane", "interactive"))).collect();
    eventually("they wait", || metric(&daemon.get("/metrics").text(), &["airlane_requests_waiting"]) == Some(24.0));
    let waits = daemon.open(&chat("m", true));
    assert!(bed.hears(), "all others are much later");
    drop(busy);
    let mut waits = waits;
    near.release(100);
    let response = waits.finish();
    assert_eq!(response.header("x-airlane-upstream"), Some("near"), "{}", response.text());
}
