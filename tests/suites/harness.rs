//! The tools themselves: a fake that answers wrongly, or a watch that sees nothing, would make every suite worthless.

use std::time::Duration;

use airlane_tests::client::{Exchange, Request, send};
use airlane_tests::fake::{Answer, Fake, INPUT_TOKENS, Script};
use airlane_tests::sockets::Blackhole;
use serde_json::json;

use crate::common::{BOUND, chat};
use crate::outcome::Near;

/// Surfaces that the fake speaks by itself.
const SPOKEN: [Near; 5] = [Near::Chat, Near::Completions, Near::Messages, Near::OllamaChat, Near::OllamaGenerate];

fn direct(fake: &Fake, near: Near, stream: bool) -> crate::outcome::Outcome {
    near.read(stream, &send(fake.address(), &near.request(&near.body("fake-1", stream))))
}

#[test]
fn a_healthy_answer_is_right_in_every_dialect() {
    let fake = Fake::start();
    for near in SPOKEN {
        for stream in [false, true] {
            let outcome = direct(&fake, near, stream);
            assert_eq!(outcome.text, Script::default().full_text(), "{near:?} stream={stream}");
            assert_eq!(outcome.finish, "stop");
            assert_eq!((outcome.input_tokens, outcome.output_tokens), (Some(INPUT_TOKENS as u64), Some(5)));
        }
    }
}

#[test]
fn tools_and_reasoning_are_right_in_every_dialect() {
    let fake = Fake::start();
    fake.answer(Script { reasoning: vec!["Hm".to_owned()], ..Script::two_tools() });
    for near in [Near::Chat, Near::Messages, Near::OllamaChat] {
        for stream in [false, true] {
            let outcome = direct(&fake, near, stream);
            assert_eq!(outcome.reasoning, "Hm", "{near:?} stream={stream}");
            assert_eq!(outcome.tools.len(), 2, "{near:?} stream={stream}");
            assert_eq!(outcome.tools[0].1, json!({"city": "Köln", "days": 2}));
            assert_eq!(outcome.finish, "tools");
        }
    }
}

#[test]
fn splits_and_line_ends_change_nothing() {
    let fake = Fake::start();
    for near in SPOKEN {
        fake.answer(Script { crlf: true, bytes_per_write: Some(3), ..Script::default() });
        assert_eq!(direct(&fake, near, true).text, Script::default().full_text());
    }
    fake.answer(Script { multi_line: true, ..Script::default() });
    assert_eq!(direct(&fake, Near::Chat, true).text, Script::default().full_text());
}

#[test]
fn questions_about_the_server_are_answered() {
    let fake = Fake::with_models(&["a", "b"]);
    let get = |path: &str| send(fake.address(), &Request::get(path)).json();
    assert_eq!(get("/v1/models")["data"][1]["id"], "b");
    assert_eq!(get("/api/tags")["models"][1]["name"], "b");
    fake.set_about(Some(Script::status(500)));
    assert_eq!(send(fake.address(), &Request::get("/v1/models")).status(), 500);
}

#[test]
fn a_cut_is_seen_as_one() {
    let fake = Fake::start();
    for reset in [false, true] {
        fake.answer(Script::cut(2, reset));
        let response = Exchange::start(fake.address(), &chat("fake-1", true)).finish();
        assert!(!response.complete && response.text().contains("Hello"), "{}", response.text());
        assert!(!response.text().contains("[DONE]"));
    }
    fake.answer(Script { answer: Answer::Close, ..Script::default() });
    assert!(Exchange::start(fake.address(), &chat("fake-1", true)).try_head().is_none());
}

#[test]
fn leaving_is_seen_in_every_phase() {
    let fake = Fake::start();
    let long = Duration::from_secs(600);
    let scripts = [
        Script::hang(),
        Script { headers_after: long, ..Script::default() },
        Script { first_token_after: long, ..Script::default() },
        Script { gap: long, ..Script::default() },
        Script::gated(),
    ];
    let mut number = 0;
    for script in scripts {
        for reset in [false, true] {
            fake.answer(script.clone());
            let exchange = Exchange::start(fake.address(), &chat("fake-1", true));
            let _ = fake.wait_request(number);
            assert!(fake.wait_for(number, Duration::ZERO, |record| record.closed_at.is_some()).is_none());
            let left = if reset { exchange.reset() } else { exchange.leave() };
            let closed = fake.wait_closed(number, BOUND).expect("the close is seen");
            println!("seen after {:?}", closed.saturating_duration_since(left));
            number += 1;
        }
    }
}

#[test]
fn a_gate_holds_each_token() {
    let fake = Fake::start();
    fake.answer(Script::gated());
    let mut exchange = Exchange::start(fake.address(), &chat("fake-1", true));
    let _ = exchange.head();
    fake.release(1);
    let _ = exchange.until("Hello");
    assert_eq!(fake.requests()[0].tokens_sent, 1);
    fake.release(10);
    assert!(exchange.rest().contains("[DONE]"));
}

#[test]
fn scripts_are_chosen_once_then_by_model_then_by_default() {
    let fake = Fake::start();
    fake.answer_next(Script::status(500));
    fake.answer_model("special", Script::status(404));
    let status = |model: &str| send(fake.address(), &chat(model, false)).status();
    assert_eq!([status("special"), status("special"), status("other")], [500, 404, 200]);
}

#[test]
fn a_full_backlog_keeps_connecting_pending() {
    let hole = Blackhole::start();
    let address = hole.address();
    std::thread::spawn(move || std::net::TcpStream::connect_timeout(&address, Duration::from_secs(20)));
    assert!(hole.wait_attempts(|attempts| attempts == 1, BOUND), "the attempt is seen while it hangs");
}

#[test]
fn the_fast_upstream_answers_as_it_should() {
    let fast = airlane_tests::fast::Fast::new(3, Duration::ZERO, 100);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("a flag");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let _ = fast.serve(stream).await;
            }
        })
    });
    assert_eq!(Near::Chat.read(false, &send(address, &chat("bench", false))).text, "x".repeat(100));
    assert_eq!(Near::Chat.read(true, &send_open(address)).text, " token token token");
}

/// The fast upstream keeps its connections open; this one ends with its answer.
fn send_open(address: std::net::SocketAddr) -> airlane_tests::client::Response {
    let mut request: Request = chat("bench", true);
    request.headers.clear();
    Exchange::start(address, &request).finish()
}
