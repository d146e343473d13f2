//! A request that is late gets a second copy on an idle place: the first token wins, and the other one is cancelled.

use std::time::{Duration, Instant};

use airlane_tests::client::Request;
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, Script};

use crate::common::{BOUND, chat, eventually, messages, metric, ollama_chat, places, wait_model};
use crate::outcome::Near;

const LONG: Duration = Duration::from_secs(600);

struct House {
    slow: Fake,
    idle: Fake,
    daemon: Daemon,
}

/// Two places with one model, the first of which is always asked first, and is known to answer quickly.
fn house(table: &str) -> House {
    let (slow, idle) = (Fake::start(), Fake::start());
    let daemon = Setup::new()
        .table(table)
        .fake("slow", "openai", &slow)
        .fake("idle", "openai", &idle)
        .alias("both", &["slow/fake-1", "idle/fake-1"])
        .start();
    eventually("both places", || {
        ["slow/fake-1", "idle/fake-1"].iter().all(|name| daemon.send(&chat(name, false)).status() == 200)
    });
    wait_model(&daemon, "both");
    for stream in [true, false] {
        for _ in 0..20 {
            assert_eq!(daemon.send(&chat("slow/fake-1", stream)).status(), 200);
        }
    }
    idle.answer(Script::text("from the idle one"));
    House { slow, idle, daemon }
}

impl House {
    fn requests(&self) -> (usize, usize) {
        (self.slow.requests().len(), self.idle.requests().len())
    }

    fn count(&self, name: &str) -> f64 {
        metric(&self.daemon.get("/metrics").text(), &[name, "idle"]).unwrap_or(0.0)
    }
}

#[test]
fn the_idle_place_answers_and_the_late_one_is_cancelled() {
    let house = house("");
    let silent = |script: Script| {
        [Script { headers_after: LONG, ..script.clone() }, Script { first_token_after: LONG, ..script }]
    };
    let mut won = 0.0;
    for (phase, script) in ["before its head", "in prefill"].into_iter().zip(silent(Script::default())) {
        house.slow.answer(script);
        for stream in [true, false] {
            // An answer in one piece has no prefill of its own: its head comes with it.
            if phase == "in prefill" && !stream {
                continue;
            }
            for request in [chat("both", stream), messages("both", stream), ollama_chat("both", stream)] {
                let case = format!("late {phase}, {} stream={stream}", request.path);
                let (number, before) = (house.slow.requests().len(), Instant::now());
                let response = house.daemon.send(&request);
                assert_eq!(response.status(), 200, "{case}: {}", response.text());
                assert!(
                    response.text().contains("idle") && !response.text().contains("Hello"),
                    "{case}: {}",
                    response.text()
                );
                assert!(house.slow.wait_closed(number, BOUND).is_some(), "{case}: the late one goes on");
                println!("{case}: {:?}", before.elapsed());
                if phase == "before its head" {
                    assert_eq!(response.header("x-airlane-upstream"), Some("idle"), "{case}");
                    assert_eq!(response.header("x-airlane-attempts"), Some("2"), "{case}");
                    let reason = response.header("x-airlane-reason").unwrap_or_default();
                    assert!(reason.starts_with("hedge"), "{case}: {reason}");
                }
                won += 1.0;
                assert_eq!((house.count("hedges_total"), house.count("hedges_won_total")), (won, won), "{case}");
            }
        }
    }
    // Nothing is held against the place that was late: it is the first one again.
    house.slow.answer(Script::text("from the first one"));
    let outcome = Near::Chat.read(true, &house.daemon.send(&chat("both", true)));
    assert_eq!(outcome.text, "from the first one");
    let places = places(&house.daemon);
    assert_eq!(places["running"], 0, "all slots are free: {places}");
}

#[test]
fn the_first_place_may_win_after_all_and_the_copy_is_cancelled() {
    let house = house("");
    house.slow.answer(Script { first_token_after: Duration::from_secs(3), ..Script::text("from the first one") });
    house.idle.answer(Script::hang());
    let copies = house.idle.requests().len();
    let outcome = Near::Chat.read(true, &house.daemon.send(&chat("both", true)));
    assert_eq!(outcome.text, "from the first one");
    assert!(house.idle.wait_closed(copies, BOUND).is_some(), "the copy goes on");
    assert_eq!((house.count("hedges_total"), house.count("hedges_won_total")), (1.0, 0.0));
}

#[test]
fn a_late_place_that_fails_leaves_the_answer_to_the_copy() {
    let house = house("");
    let late_failure = Script { headers_after: Duration::from_secs(2), ..Script::status(500) };
    house.slow.answer(late_failure);
    house.idle.answer(Script { headers_after: Duration::from_secs(3), ..Script::text("from the idle one") });
    let copies = house.idle.requests().len();
    for stream in [true, false] {
        let response = house.daemon.send(&chat("both", stream));
        assert!(response.text().contains("idle"), "{}", response.text());
    }
    assert_eq!(house.idle.requests().len(), copies + 2, "each is sent there once");
    // A copy that fails is not tried again while the first one may answer.
    house.slow.answer(Script { headers_after: Duration::from_secs(2), ..Script::text("from the first one") });
    house.idle.answer(Script::status(500));
    let response = house.daemon.send(&chat("both", true));
    assert!(response.text().contains("first"), "{}", response.text());
}

#[test]
fn the_owner_may_switch_it_off() {
    let house = house("[route]\nhedge = false\n");
    let before = house.requests();
    house.slow.answer(Script { headers_after: Duration::from_secs(2), ..Script::default() });
    for stream in [true, false] {
        assert_eq!(house.daemon.send(&chat("both", stream)).header("x-airlane-upstream"), Some("slow"));
    }
    assert_eq!(house.requests(), (before.0 + 2, before.1));
}

#[test]
fn nobody_gets_a_copy_who_has_time_or_has_seen_something() {
    let house = house("");
    let before = house.requests();
    house.slow.answer(Script { headers_after: Duration::from_secs(2), ..Script::default() });
    let bulk: Request = chat("both", true).with("x-airlane-lane", "bulk");
    assert_eq!(house.daemon.send(&bulk).header("x-airlane-upstream"), Some("slow"));
    house.slow.answer(Script { gap: Duration::from_secs(1), ..Script::default() });
    let outcome = Near::Chat.read(true, &house.daemon.send(&chat("both", true)));
    assert_eq!(outcome.text, Script::default().full_text());
    assert_eq!(house.requests(), (before.0 + 2, before.1));
}
