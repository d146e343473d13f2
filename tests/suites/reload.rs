//! A changed config is taken over as a whole or not at all, and streams in flight never notice.

use airlane_tests::client::{Request, send};
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, Script};

use crate::common::{chat, eventually, models, wait_model};
use crate::outcome::Near;

struct House {
    old: Fake,
    new: Fake,
    setup: Setup,
    daemon: Daemon,
}

fn house() -> House {
    let (old, new) = (Fake::with_models(&["old"]), Fake::with_models(&["new"]));
    let setup = Setup::new().fake("old", "openai", &old);
    let daemon = setup.clone().start();
    wait_model(&daemon, "old");
    House { old, new, setup, daemon }
}

impl House {
    fn with_new(&self) -> String {
        self.setup.clone().fake("new", "openai", &self.new).text()
    }
}

#[test]
fn a_changed_file_is_taken_over_by_itself() {
    let house = house();
    house.daemon.write_config(&house.with_new());
    wait_model(&house.daemon, "new");
    assert_eq!(house.daemon.send(&chat("new", false)).status(), 200);
    house.daemon.write_config(&house.setup.text());
    eventually("the new one is gone again", || models(&house.daemon) == ["old"]);
}

#[test]
fn a_request_from_before_makes_nobody_forget_what_is_new() {
    let House { old, new, setup, daemon } = house();
    old.answer(Script::hang());
    let mut before = daemon.open(&chat("old", true));
    let _ = old.wait_request(0);
    daemon.write_config(&setup.fake("new", "openai", &new).text());
    wait_model(&daemon, "new");
    assert_eq!(daemon.send(&chat("new", false)).status(), 200);
    let served = || {
        let places = send(daemon.console()[0], &Request::get("/api/v1/places")).json();
        let sites = places["upstreams"].as_array().cloned().unwrap_or_default();
        sites.iter().find(|site| site["name"] == "new").map(|site| site["models"][0]["served"].clone())
    };
    assert_eq!(served(), Some(1.into()));
    // Its place falls, and it looks for another one in the house as it was when it came.
    drop(old);
    assert!(!before.finish().text().contains("[DONE]"));
    assert_eq!(served(), Some(1.into()));
}

#[test]
fn a_signal_takes_it_over() {
    let house = house();
    house.daemon.write_config(&house.with_new());
    house.daemon.signal("HUP");
    wait_model(&house.daemon, "new");
}

#[test]
fn a_file_written_in_place_is_taken_over_too() {
    let house = house();
    std::fs::write(house.daemon.folder().join("airlane.toml"), house.with_new()).expect("written");
    wait_model(&house.daemon, "new");
}

#[test]
fn a_wrong_file_changes_nothing_and_all_problems_are_told() {
    let house = house();
    let wrong = house.with_new()
        + "[[upstream]]\nname = \"third\"\nkind = \"telepathy\"\nurl = \"ftp://x\"\n[[alias]]\nname = \"a\"\nmodels = []\n";
    house.daemon.write_config(&wrong);
    house.daemon.signal("HUP");
    eventually("all problems in the log", || {
        let log = house.daemon.log();
        ["upstream[2].kind", "upstream[2].url", "alias[0].models"].iter().all(|path| log.contains(path))
    });
    assert_eq!(models(&house.daemon), ["old"], "the old config stays in force as a whole");
    assert_eq!(house.daemon.send(&chat("old", false)).status(), 200);
    house.daemon.write_config("this is no TOML [");
    house.daemon.signal("HUP");
    house.daemon.write_config(&house.with_new());
    house.daemon.signal("HUP");
    wait_model(&house.daemon, "new");
}

#[test]
fn streams_in_flight_are_untouched() {
    let house = house();
    house.old.answer(Script::gated());
    let mut exchange = house.daemon.open(&chat("old", true));
    let _ = exchange.head();
    house.old.release(1);
    let mut text = exchange.until("Hello");
    house.daemon.write_config(&Setup::new().fake("new", "openai", &house.new).text());
    house.daemon.signal("HUP");
    eventually("the upstream is gone from the list", || models(&house.daemon) == ["new"]);
    house.old.release(100);
    text.push_str(&exchange.rest());
    assert!(exchange.complete());
    let whole: String = crate::outcome::openai_chunks(&text)
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(String::from))
        .collect();
    assert_eq!(whole, Script::default().full_text());
}

#[test]
fn an_open_client_connection_sees_the_new_config() {
    let house = house();
    let mut exchange = house.daemon.open(&chat("old", false));
    assert_eq!(exchange.finish().status(), 200);
    house.daemon.write_config(&house.with_new());
    wait_model(&house.daemon, "new");
    exchange.send(&chat("new", false));
    let outcome = Near::Chat.read(false, &exchange.finish());
    assert_eq!(outcome.text, Script::default().full_text());
}

#[test]
fn a_signal_right_at_the_start_ends_nothing() {
    let fake = Fake::start();
    for _ in 0..20 {
        let daemon = Setup::new().fake("box", "openai", &fake).start();
        daemon.signal("HUP");
        wait_model(&daemon, "fake-1");
    }
}

#[test]
fn who_sends_the_signal_is_answered() {
    let house = house();
    house.daemon.signal("HUP");
    eventually("a line about it", || house.daemon.log().contains("nothing to change"));
}
