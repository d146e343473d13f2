//! The client leaves: the upstream's work ends at once, in every phase.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use airlane_tests::client::Exchange;
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, Script};
use airlane_tests::sockets::Blackhole;

use crate::common::{BOUND, chat, eventually, messages, metric, ollama_chat, pair, pair_with, wait_model};

/// The aim is 100 ms; this bound only says "soon" on a machine that is busy with other tests. The measured time is
/// printed.
const SOON: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy)]
enum Leaving {
    Fin,
    Rst,
}

const LEAVINGS: [Leaving; 2] = [Leaving::Fin, Leaving::Rst];

fn leave(exchange: Exchange, leaving: Leaving) -> Instant {
    match leaving {
        Leaving::Fin => exchange.leave(),
        Leaving::Rst => exchange.reset(),
    }
}

/// Asserts that the upstream sees the end of the request with this number soon after the client left.
fn assert_given_up(fake: &Fake, number: usize, left: Instant, case: &str) {
    let Some(closed) = fake.wait_closed(number, BOUND) else {
        panic!("{case}: the upstream still works {BOUND:?} after the client left")
    };
    let took = closed.saturating_duration_since(left);
    println!("{case}: given up after {took:?}");
    assert!(took < SOON, "{case}: given up only after {took:?}");
}

fn waiting_phase(script: &Script, phase: &str, streams: &[bool]) {
    let (fake, daemon) = pair("openai");
    fake.answer(script.clone());
    let mut number = 0;
    for leaving in LEAVINGS {
        for &stream in streams {
            for request in [chat("fake-1", stream), messages("fake-1", stream), ollama_chat("fake-1", stream)] {
                let case = format!("{phase}, {} stream={stream}, {leaving:?}", request.path);
                let exchange = daemon.open(&request);
                let _ = fake.wait_request(number);
                assert_given_up(&fake, number, leave(exchange, leaving), &case);
                number += 1;
            }
        }
    }
}

#[test]
fn while_the_upstream_has_sent_nothing() {
    waiting_phase(&Script::hang(), "waiting for the head", &[false, true]);
}

#[test]
fn during_prefill_after_the_head() {
    waiting_phase(&Script { first_token_after: LONG, ..Script::default() }, "prefill", &[true]);
}

#[test]
fn between_tokens() {
    for kind in ["openai", "anthropic", "ollama"] {
        let (fake, daemon) = pair(kind);
        fake.answer(Script { gap: LONG, ..Script::default() });
        let mut number = 0;
        for leaving in LEAVINGS {
            for request in [chat("fake-1", true), messages("fake-1", true), ollama_chat("fake-1", true)] {
                let mut exchange = daemon.open(&request);
                let _ = exchange.head();
                let _ = exchange.until("Hello");
                let case = format!("between tokens, {} on {kind}, {leaving:?}", request.path);
                assert_given_up(&fake, number, leave(exchange, leaving), &case);
                number += 1;
            }
        }
    }
}

#[test]
fn while_tokens_pour() {
    let (fake, daemon) = pair("openai");
    let tokens = (0..100_000).map(|number| format!("{number} ")).collect();
    fake.answer(Script { tokens, gap: Duration::from_millis(1), ..Script::default() });
    for (number, leaving) in LEAVINGS.into_iter().enumerate() {
        let mut exchange = daemon.open(&chat("fake-1", true));
        let _ = exchange.head();
        let _ = exchange.until("10 ");
        assert_given_up(&fake, number, leave(exchange, leaving), &format!("while tokens pour, {leaving:?}"));
    }
}

#[test]
fn in_the_middle_of_a_unary_body() {
    let (fake, daemon) = pair("ollama");
    // A stream upstream for a unary client, or a slow unary body: either way nothing may go on.
    fake.answer(Script { headers_after: LONG, ..Script::default() });
    for (number, leaving) in LEAVINGS.into_iter().enumerate() {
        let exchange = daemon.open(&chat("fake-1", false));
        let _ = fake.wait_request(number);
        assert_given_up(&fake, number, leave(exchange, leaving), &format!("unary on ollama, {leaving:?}"));
    }
}

#[test]
fn on_a_connection_that_has_served_before() {
    let (fake, daemon) = pair("openai");
    for (round, leaving) in LEAVINGS.into_iter().enumerate() {
        fake.answer(Script::default());
        let mut exchange = daemon.open(&chat("fake-1", true));
        assert_eq!(exchange.finish().status(), 200);
        fake.answer(Script::hang());
        exchange.send(&chat("fake-1", false));
        let number = 2 * round + 1;
        let _ = fake.wait_request(number);
        assert_given_up(&fake, number, leave(exchange, leaving), &format!("second request, {leaving:?}"));
    }
}

fn waiting_requests(daemon: &Daemon) -> f64 {
    metric(&daemon.get("/metrics").text(), &["waiting"]).unwrap_or(-1.0)
}

#[test]
fn while_queued() {
    let (fake, daemon) = pair_with("openai", Setup::new().endpoint("max_concurrent = 1\nqueue_wait_s = 600"));
    fake.answer(Script::hang());
    let first = daemon.open(&chat("fake-1", false));
    let _ = fake.wait_request(0);
    for leaving in LEAVINGS {
        for stream in [false, true] {
            let queued = daemon.open(&chat("fake-1", stream));
            eventually("one request waits", || waiting_requests(&daemon) == 1.0);
            let left = leave(queued, leaving);
            eventually("no request waits", || waiting_requests(&daemon) == 0.0);
            println!("queued, stream={stream}, {leaving:?}: given up after {:?}", left.elapsed());
        }
    }
    // The place is free for the next one, and those that left never reached the upstream.
    let left = first.leave();
    assert_given_up(&fake, 0, left, "the running one");
    fake.answer(Script::default());
    assert_eq!(daemon.send(&chat("fake-1", false)).status(), 200);
    assert_eq!(fake.requests().len(), 2);
}

#[test]
fn while_connecting() {
    let hole = Blackhole::start();
    let url = format!("http://{}", hole.address());
    let daemon = Setup::new().upstream("hole", "openai", &url, "models = [\"m\"]\nconnect_timeout_s = 600").start();
    // The daemon's own question for the list of models hangs there as well.
    assert!(hole.wait_attempts(|attempts| attempts == 1, BOUND), "the daemon asks for the models");
    for leaving in LEAVINGS {
        for stream in [false, true] {
            let exchange = daemon.open(&chat("hole/m", stream));
            assert!(hole.wait_attempts(|attempts| attempts == 2, BOUND), "the daemon connects");
            let left = leave(exchange, leaving);
            assert!(hole.wait_attempts(|attempts| attempts == 1, SOON), "still connecting {SOON:?} after {leaving:?}");
            println!("connecting, stream={stream}, {leaving:?}: given up after {:?}", left.elapsed());
        }
    }
}

#[test]
fn while_the_second_upstream_is_tried() {
    let (first, second) = (Fake::with_models(&["m"]), Fake::with_models(&["m"]));
    first.answer(Script::status(503));
    second.answer(Script::hang());
    let daemon = Setup::new()
        .fake("first", "openai", &first)
        .fake("second", "openai", &second)
        .alias("both", &["first/m", "second/m"])
        .start();
    wait_model(&daemon, "both");
    wait_model(&daemon, "second/m");
    for (number, leaving) in LEAVINGS.into_iter().enumerate() {
        let exchange = daemon.open(&chat("both", number == 0));
        let _ = second.wait_request(number);
        assert_given_up(&second, number, leave(exchange, leaving), &format!("after a failover, {leaving:?}"));
    }
}

#[test]
fn cancelled_work_is_counted() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script { gap: LONG, ..Script::default() });
    let mut exchange = daemon.open(&chat("fake-1", true));
    let _ = exchange.head();
    let _ = exchange.until("Hello");
    let _ = exchange.leave();
    eventually("the cancelled request in /metrics", || {
        metric(&daemon.get("/metrics").text(), &["cancel"]).is_some_and(|count| count >= 1.0)
    });
}

/// An upstream that sends small chunks without end, as fast as they are taken. Tells when its connection is closed.
fn flood() -> (SocketAddr, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (closed, told) = mpsc::channel();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let closed = closed.clone();
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                let bytes = socket.read(&mut head).unwrap_or(0);
                if head[..bytes].starts_with(b"GET") {
                    let list = "{\"data\":[{\"id\":\"flood\"}]}";
                    let length = list.len();
                    let _ = write!(
                        socket,
                        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{list}"
                    );
                    return;
                }
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
                let chunks = format!("28\r\n{}\r\n", " ".repeat(0x28)).repeat(100);
                while socket.write_all(chunks.as_bytes()).is_ok() {}
                let _ = closed.send(());
            });
        }
    });
    (address, told)
}

#[test]
fn a_flood_does_not_drown_the_clients_leaving() {
    let (address, closed) = flood();
    let daemon = Setup::new().upstream("flood", "openai", &format!("http://{address}"), "").start();
    wait_model(&daemon, "flood");
    let exchange = daemon.open(&chat("flood", false));
    std::thread::sleep(Duration::from_millis(300));
    drop(exchange);
    closed.recv_timeout(SOON).expect("the upstream is told to stop");
}
