//! Calls in flight that are shared: who asks the same at the same time is answered by one call.

use std::time::Duration;

use airlane_tests::client::{Exchange, Request};
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, Script};
use serde_json::json;

use crate::common::{BOUND, eventually, metric, pair, pair_with, wait_model};
use crate::kept::{questions, status, text};

fn ask(stream: bool) -> Request {
    let [openai, _, _] = questions(stream);
    openai
}

/// Opens exchanges one after another; each has reached the daemon and listens when the next one is sent.
fn crowd(daemon: &Daemon, requests: impl IntoIterator<Item = Request>) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for request in requests {
        exchanges.push(daemon.open(&request));
        wait_listening(daemon, exchanges.len());
    }
    exchanges
}

fn wait_listening(daemon: &Daemon, count: usize) {
    let wanted = f64::from(u32::try_from(count).unwrap());
    eventually(&format!("{count} requests listen"), || {
        metric(&daemon.get("/metrics").text(), &["airlane_requests_listening"]) == Some(wanted)
    });
}

fn full() -> String {
    Script::default().full_text()
}

#[test]
fn a_thousand_that_ask_the_same_are_one_call() {
    for stream in [true, false] {
        let setup = Setup::new().endpoint("max_connections = 4000\nmax_concurrent = 4000");
        let (fake, daemon) = pair_with("openai", setup);
        fake.answer(Script::gated());
        let requests = ask(stream);
        let mut exchanges: Vec<Exchange> = (0..1_000).map(|_| daemon.open(&requests)).collect();
        wait_listening(&daemon, 1_000);
        fake.release(100);
        let mut seen = std::collections::HashMap::new();
        for exchange in &mut exchanges {
            let response = exchange.finish();
            assert_eq!(text("/v1/chat/completions", stream, &response.text()), full(), "{}", response.text());
            *seen.entry(status(&response)).or_insert(0) += 1;
        }
        let first = if stream { "airlane; fwd=miss" } else { "airlane; fwd=miss; stored" };
        assert_eq!(seen.get(first), Some(&1), "{seen:?}");
        assert_eq!(seen.get("airlane; fwd=miss; collapsed"), Some(&999), "{seen:?}");
        assert_eq!(fake.requests().len(), 1);
        let metrics = daemon.get("/metrics").text();
        let count = |parts: &[&str]| metric(&metrics, parts);
        assert_eq!(count(&["airlane_cache_requests_total", "collapsed"]), Some(999.0));
        assert_eq!(count(&["airlane_tokens_total", "kind=\"output\""]), Some(5.0), "one pays: {metrics}");
        assert_eq!(count(&["airlane_cache_saved_tokens_total", "kind=\"output\""]), Some(4_995.0));
        wait_listening(&daemon, 0);
    }
}

#[test]
fn who_comes_late_gets_the_stream_from_its_beginning() {
    for kind in ["openai", "anthropic", "ollama"] {
        let (fake, daemon) = pair(kind);
        fake.answer(Script::gated());
        let mut first = daemon.open(&ask(true));
        let _ = fake.wait_request(0);
        fake.release(2);
        let _ = first.head();
        let mut begun = first.until("wörld");
        let [_, mut anthropic, mut ollama] = questions(true).map(|request| daemon.open(&request));
        wait_listening(&daemon, 3);
        assert!(anthropic.head().header("cache-status").is_some_and(|status| status.ends_with("collapsed")));
        let mut early = anthropic.until("wörld");
        fake.release(100);
        begun += &first.rest();
        early += &anthropic.rest();
        let late = ollama.finish().text();
        for (path, said) in [("/v1/chat/completions", &begun), ("/v1/messages", &early), ("/api/chat", &late)] {
            assert_eq!(text(path, true, said), full(), "{kind} {path}: {said}");
        }
        assert!(begun.contains("[DONE]") && early.contains("message_stop") && late.contains("\"done\":true"), "{kind}");
        assert_eq!(fake.requests().len(), 1, "{kind}");
    }
}

#[test]
fn whole_and_in_pieces_share_a_call() {
    for first_streams in [true, false] {
        let (fake, daemon) = pair("openai");
        fake.answer(Script::gated());
        let requests = [first_streams, !first_streams, true, false].map(ask);
        let mut exchanges = crowd(&daemon, requests);
        fake.release(100);
        for (exchange, stream) in exchanges.iter_mut().zip([first_streams, !first_streams, true, false]) {
            let said = exchange.finish().text();
            assert_eq!(text("/v1/chat/completions", stream, &said), full(), "{first_streams} {stream}: {said}");
        }
        assert_eq!(fake.requests().len(), 1);
    }
}

#[test]
fn it_ends_with_the_last_one_who_listens() {
    for stream in [true, false] {
        let (fake, daemon) = pair("openai");
        fake.answer(Script::gated());
        let mut exchanges = crowd(&daemon, [ask(stream), ask(stream), ask(stream)]);
        // The first one, whose request was sent, leaves; the others do not notice.
        let _ = exchanges.remove(0).leave();
        wait_listening(&daemon, 2);
        let _ = exchanges.remove(0).reset();
        wait_listening(&daemon, 1);
        assert!(fake.wait_closed(0, Duration::from_millis(300)).is_none(), "the call goes on");
        let left = exchanges.remove(0).leave();
        let Some(closed) = fake.wait_closed(0, BOUND) else { panic!("the upstream still works") };
        println!("given up after {:?}", closed.saturating_duration_since(left));
        let cancelled = || metric(&daemon.get("/metrics").text(), &["airlane_cancelled_total"]);
        eventually("it is counted", || cancelled().is_some());
        // Nothing is left behind: the next one is answered by a call of its own.
        fake.answer(Script::default());
        assert!(status(&daemon.send(&ask(stream))).contains("fwd=miss"));
        assert_eq!(fake.requests().len(), 2);
    }
}

#[test]
fn a_failure_is_not_shared_with_those_who_can_be_served_otherwise() {
    for stream in [true, false] {
        let (fake, daemon) = pair("openai");
        let failing = Script { headers_after: Duration::from_millis(600), ..Script::status(500) };
        fake.answer_next(failing);
        let mut exchanges = crowd(&daemon, (0..5).map(|_| ask(stream)));
        assert_eq!(exchanges.remove(0).finish().status(), 502, "the one whose call it was");
        for exchange in &mut exchanges {
            let response = exchange.finish();
            assert_eq!(response.status(), 200, "{}", response.text());
            assert_eq!(text("/v1/chat/completions", stream, &response.text()), full());
        }
        assert_eq!(fake.requests().len(), 2, "the four shared the second call");
    }
}

#[test]
fn a_failure_that_would_come_again_is_shared() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script { headers_after: Duration::from_millis(600), ..Script::status(400) });
    let mut exchanges = crowd(&daemon, [true, false, true].map(ask));
    assert!(exchanges.iter_mut().all(|exchange| exchange.finish().status() == 400));
    assert_eq!(fake.requests().len(), 1);

    // One that comes twice is shared the second time.
    let (fake, daemon) = pair("openai");
    fake.answer(Script { headers_after: Duration::from_millis(600), ..Script::status(500) });
    let mut exchanges = crowd(&daemon, [true, false, true].map(ask));
    assert!(exchanges.iter_mut().all(|exchange| exchange.finish().status() == 502));
    assert_eq!(fake.requests().len(), 2);
}

#[test]
fn a_stream_that_breaks_ends_in_an_error_for_all() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script { gated: true, ..Script::cut(2, true) });
    let mut exchanges = crowd(&daemon, questions(true));
    fake.release(100);
    let said = exchanges.iter_mut().map(|exchange| exchange.finish().text()).collect::<Vec<_>>();
    assert!(said.iter().all(|said| said.contains("wörld") && said.contains("error")), "{said:?}");
    assert!(!said[0].contains("[DONE]") && !said[1].contains("message_stop"), "{said:?}");
    fake.answer(Script::default());
    assert!(status(&daemon.send(&ask(true))).contains("fwd=miss"), "it was not kept");
}

#[test]
fn who_is_urgent_does_not_wait_for_who_is_not() {
    let fake = Fake::start();
    let daemon = Setup::new().upstream("box", "openai", &fake.url(), "slots = 1").start();
    wait_model(&daemon, "fake-1");
    fake.answer(Script::gated());
    let other = json!({"model": "fake-1", "messages": [{"role": "user", "content": "x"}]});
    let mut running = daemon.open(&Request::post("/v1/chat/completions", &other));
    let _ = fake.wait_request(0);
    let lane = |name: &str| ask(false).with("x-airlane-lane", name);
    let mut bulk = crowd(&daemon, [lane("bulk"), lane("bulk")]);
    let mut urgent = daemon.open(&lane("interactive"));
    wait_listening(&daemon, 3);
    let mut normal = daemon.open(&lane("normal"));
    wait_listening(&daemon, 4);
    fake.release(1_000);
    let statuses = [&mut urgent, &mut normal].map(|exchange| status(&exchange.finish()));
    assert_eq!(statuses, ["airlane; fwd=miss; stored", "airlane; fwd=miss; collapsed"]);
    assert_eq!(running.finish().status(), 200);
    assert!(bulk.iter_mut().all(|exchange| exchange.finish().status() == 200));
}

#[test]
fn who_wants_an_answer_from_now_on_does_not_share_an_older_call() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script::gated());
    let mut exchanges = crowd(&daemon, [ask(false), ask(false).with("cache-control", "no-cache")]);
    let _ = fake.wait_request(1);
    // Whoever comes now shares the newer one.
    exchanges.push(daemon.open(&ask(false)));
    wait_listening(&daemon, 3);
    fake.release(100);
    assert!(exchanges.iter_mut().all(|exchange| exchange.finish().status() == 200));
    assert_eq!(fake.requests().len(), 2);
}
