//! Servers that go on with work whose client has left: they are seen, shown, and not given more than they can do.

use airlane_tests::daemon::{Daemon, Setup, airlane};
use airlane_tests::fake::{Fake, Script};
use serde_json::{Value, json};

use crate::common::{BOUND, chat, eventually, places, wait_model};

fn site(daemon: &Daemon) -> Value {
    places(daemon)["upstreams"][0].clone()
}

/// llama.cpp's only slot, at work or not.
fn slot(is_busy: bool) -> String {
    json!([{"id": 0, "n_ctx": 4096, "is_processing": is_busy}]).to_string()
}

/// A llama.cpp with one slot.
fn house() -> (Fake, Daemon) {
    let fake = Fake::start();
    fake.set_owner("llamacpp");
    fake.tell("/slots", &slot(false));
    let daemon = Setup::new().fake("box", "openai", &fake).start();
    wait_model(&daemon, "fake-1");
    eventually("its slot is known", || site(&daemon)["models"][0]["slots"] == 1);
    fake.answer(Script::gated());
    (fake, daemon)
}

/// A client that leaves in the middle of its answer.
fn leave_one(fake: &Fake, daemon: &Daemon, number: usize) {
    let mut exchange = daemon.open(&chat("fake-1", true));
    let _ = fake.wait_request(number);
    fake.tell("/slots", &slot(true));
    fake.release(1);
    let _ = exchange.head();
    let _ = exchange.until("Hello");
    let _ = exchange.leave();
    assert!(fake.wait_closed(number, BOUND).is_some(), "the connection is closed");
}

#[test]
fn a_server_that_goes_on_is_shown_and_its_slot_stays_taken() {
    let (fake, daemon) = house();
    leave_one(&fake, &daemon, 0);
    eventually("it is seen to go on", || site(&daemon)["health"]["ignores_cancel"] == true);
    // The slot is not free, whatever Airlane has to do with it: the next request waits here, where it can be moved.
    let mut next = daemon.open(&chat("fake-1", true));
    eventually("the next one waits", || places(&daemon)["waiting"] == 1);
    assert_eq!(fake.requests().len(), 1);
    let config = daemon.folder().join("client.toml");
    let data = daemon.folder().join("data");
    std::fs::write(&config, format!("[data]\ndir = \"{}\"\n", data.display())).expect("written");
    for command in ["top", "status"] {
        let (_, out, _) = airlane(&[command, "--config", &config.display().to_string()]);
        assert!(out.contains("does not stop cancelled work"), "{command}: {out}");
    }
    // It is through at last.
    fake.tell("/slots", &slot(false));
    let _ = fake.wait_request(1);
    fake.release(10);
    assert_eq!(next.finish().status(), 200);
    assert_eq!(daemon.log().matches("does not stop cancelled work").count(), 1, "it is said once");
}

#[test]
fn a_server_that_stops_has_a_good_name_and_room() {
    let (fake, daemon) = house();
    leave_one(&fake, &daemon, 0);
    fake.tell("/slots", &slot(false));
    let mut next = daemon.open(&chat("fake-1", true));
    let _ = fake.wait_request(1);
    fake.release(10);
    assert_eq!(next.finish().status(), 200);
    assert!(site(&daemon)["health"].get("ignores_cancel").is_none(), "{:#}", site(&daemon));
}
