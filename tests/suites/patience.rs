//! What ends early: clients that say how long they wait, and a house in which so much fails that nothing is tried twice.

use std::time::{Duration, Instant};

use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, Script};

use crate::common::{chat, eventually, metric, models, pair_with, wait_model};

/// A place with one slot that takes about 20 s for an answer, as it knows.
fn slow() -> (Fake, Daemon) {
    let setup = Setup::new().endpoint("queue_wait_s = 600\nheartbeat_s = 600");
    let fake = Fake::start();
    let daemon = setup.upstream("box", "openai", &fake.url(), "slots = 1").start();
    wait_model(&daemon, "fake-1");
    // 5 tokens in 2 s, and 200 are usual as long as nothing else is known.
    fake.answer(Script { gap: Duration::from_millis(500), ..Script::default() });
    for _ in 0..3 {
        assert_eq!(daemon.send(&chat("fake-1", true)).status(), 200);
    }
    fake.answer(Script::gated());
    (fake, daemon)
}

#[test]
fn a_client_that_will_be_gone_is_told_at_once() {
    let (fake, daemon) = slow();
    let tokens = Script::default().tokens.len();
    let running: Vec<_> = (0..3).map(|_| daemon.open(&chat("fake-1", true))).collect();
    eventually("two wait", || metric(&daemon.get("/metrics").text(), &["airlane_requests_waiting"]) == Some(2.0));
    for (header, stream) in [
        ("x-airlane-timeout", true),
        ("x-airlane-timeout", false),
        ("x-stainless-read-timeout", false),
        ("X-Stainless-Timeout", false),
    ] {
        let began = Instant::now();
        let response = daemon.send(&chat("fake-1", stream).with(header, "2"));
        assert_eq!(response.status(), 503, "{header}: {}", response.text());
        assert!(response.text().contains("2 s at most"), "{header}: {}", response.text());
        let retry_after = response.header("retry-after").and_then(|text| text.parse::<u64>().ok());
        assert!(retry_after.is_some_and(|seconds| seconds >= 2), "{header}: {retry_after:?}");
        println!("{header}: told after {:?}", began.elapsed());
    }
    assert_eq!(fake.requests().len(), 4, "none of them was sent");
    (0..3).for_each(|_| fake.release(tokens));
    for mut exchange in running {
        assert_eq!(exchange.finish().status(), 200);
    }
}

#[test]
fn the_wait_in_the_queue_ends_when_the_client_is_gone() {
    let (fake, daemon) = pair_with("openai", Setup::new().endpoint("max_concurrent = 1\nqueue_wait_s = 600"));
    fake.answer(Script::hang());
    let first = daemon.open(&chat("fake-1", false));
    let _ = fake.wait_request(0);
    let response = daemon.send(&chat("fake-1", false).with("x-airlane-timeout", "1.5"));
    assert_eq!(response.status(), 503, "{}", response.text());
    assert!(response.text().contains("the client waits for"), "{}", response.text());
    drop(first);
}

#[test]
fn no_other_place_is_tried_when_the_time_is_over() {
    let (first, second) = (Fake::with_models(&["m1"]), Fake::with_models(&["m2"]));
    first.answer(Script { headers_after: Duration::from_millis(1_500), ..Script::status(500) });
    let daemon = Setup::new()
        .fake("first", "openai", &first)
        .fake("second", "openai", &second)
        .alias("both", &["first/m1", "second/m2"])
        .start();
    for model in ["m1", "m2"] {
        wait_model(&daemon, model);
    }
    let response = daemon.send(&chat("both", false).with("x-airlane-timeout", "1"));
    assert_eq!(response.status(), 502, "{}", response.text());
    assert!(response.text().contains("the client's time does not suffice"), "{}", response.text());
    assert!(second.requests().is_empty());
    // A stream that only bears little silence is no request in a hurry.
    let mut stream = daemon.open(&chat("both", true).with("x-stainless-read-timeout", "1"));
    let _ = stream.head();
    let _ = stream.until(": ping");
    assert!(stream.rest().contains("Hello"));
}

#[test]
fn a_house_on_fire_is_not_hammered() {
    let (a, b) = (Fake::start(), Fake::start());
    let daemon = Setup::new().fake("a", "openai", &a).fake("b", "openai", &b).start();
    eventually("both places", || models(&daemon).len() == 2);
    for fake in [&a, &b] {
        fake.answer(Script::status(500));
    }
    let mut refused = 0;
    for _ in 0..60 {
        let response = daemon.send(&chat("fake-1", false));
        assert_eq!(response.status(), 502, "{}", response.text());
        refused += usize::from(response.text().contains("so much fails in this house"));
    }
    let sent = a.requests().len() + b.requests().len();
    println!("60 requests: {sent} attempts, {refused} of them without a second one");
    assert!(refused >= 20 && sent < 60 + 40, "{sent} attempts for 60 requests, {refused} refused");
    let counted = metric(&daemon.get("/metrics").text(), &["airlane_retries_refused_total"]);
    assert_eq!(counted.map(|count| count as usize), Some(refused));
}
