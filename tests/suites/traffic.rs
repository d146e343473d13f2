//! Which of several places answers, who waits for whom, and what happens when a place falls.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use airlane_tests::client::{Request, Response, send};
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, Script};
use serde_json::json;

use crate::common::{chat, chat_body, eventually, models, wait_model};

const MODEL: &str = "fake-1";

/// Two places with the same model.
fn two(lines: &str) -> (Fake, Fake, Daemon) {
    let (a, b) = (Fake::start(), Fake::start());
    let daemon = Setup::new().upstream("a", "openai", &a.url(), lines).upstream("b", "openai", &b.url(), lines).start();
    eventually("both places", || models(&daemon).len() == 2);
    (a, b, daemon)
}

fn upstream(response: &Response) -> String {
    response.header("x-airlane-upstream").unwrap_or_default().to_owned()
}

/// Sends the requests at once, each from a thread, and gives what came back.
fn at_once(daemon: &Daemon, requests: &[Request]) -> Vec<Response> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = requests.iter().map(|request| scope.spawn(|| daemon.send(request))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a client fell")).collect()
    })
}

fn shares(responses: &[Response]) -> HashMap<String, usize> {
    let mut shares = HashMap::new();
    for response in responses {
        assert_eq!(response.status(), 200, "{}", response.text());
        *shares.entry(upstream(response)).or_default() += 1;
    }
    shares
}

#[test]
fn work_is_shared_between_places() {
    let (a, b, daemon) = two("slots = 2");
    for fake in [&a, &b] {
        fake.answer(Script { gap: Duration::from_millis(20), ..Script::default() });
    }
    let shares = shares(&at_once(&daemon, &vec![chat(MODEL, true); 40]));
    assert!(shares.values().all(|share| *share >= 10), "{shares:?}");
}

#[test]
fn no_more_than_its_slots_are_at_a_place() {
    let fake = Fake::start();
    let daemon = Setup::new().upstream("a", "openai", &fake.url(), "slots = 3").start();
    wait_model(&daemon, MODEL);
    fake.answer(Script { gap: Duration::from_millis(40), ..Script::default() });
    let most = std::thread::scope(|scope| {
        let clients = scope.spawn(|| shares(&at_once(&daemon, &vec![chat(MODEL, true); 12])));
        let mut most = 0;
        while !clients.is_finished() {
            most = most.max(gauge(&daemon, "airlane_requests_in_flight"));
        }
        most
    });
    assert_eq!((most, fake.requests().len()), (3, 12));
}

#[test]
fn urgent_requests_pass_a_flood() {
    let fake = Fake::start();
    let daemon = Setup::new().upstream("a", "openai", &fake.url(), "slots = 4").start();
    wait_model(&daemon, MODEL);
    fake.answer(Script { gap: Duration::from_millis(25), ..Script::default() });
    let lane = |name: &str| chat(MODEL, true).with("x-airlane-lane", name);
    let waits = |responses: Vec<Response>| -> Vec<u64> {
        let wait = |response: &Response| {
            assert_eq!(response.status(), 200, "{}", response.text());
            response.header("x-airlane-queue-ms").and_then(|text| text.parse().ok()).expect("the wait is told")
        };
        let mut waits: Vec<u64> = responses.iter().map(wait).collect();
        waits.sort_unstable();
        waits
    };
    let (bulk, interactive) = std::thread::scope(|scope| {
        let bulk = scope.spawn(|| at_once(&daemon, &vec![lane("bulk"); 180]));
        eventually("the flood", || fake.requests().len() >= 4);
        let urgent: Vec<Response> =
            (0..20).map(|number| daemon.send(&lane(["interactive", "Interactive"][number % 2]))).collect();
        (waits(bulk.join().expect("the flood fell")), waits(urgent))
    });
    let p99 = |waits: &[u64]| waits[waits.len() * 99 / 100];
    println!("queue wait p99: interactive {} ms, bulk {} ms", p99(&interactive), p99(&bulk));
    assert!(p99(&interactive) * 10 <= p99(&bulk), "{interactive:?} {bulk:?}");
}

#[test]
fn the_lane_may_be_taken_from_clients() {
    let fake = Fake::start();
    let table = "[route]\nclient_lanes = false\n";
    let daemon = Setup::new().table(table).upstream("a", "openai", &fake.url(), "slots = 1").start();
    wait_model(&daemon, MODEL);
    fake.answer(Script::gated());
    std::thread::scope(|scope| {
        let tokens = Script::default().tokens.len();
        for (number, lane) in ["bulk", "bulk", "interactive"].into_iter().enumerate() {
            let daemon = &daemon;
            scope.spawn(move || {
                let mut body = chat_body(MODEL, true);
                body["user"] = json!(format!("number {number}"));
                let request = Request::post("/v1/chat/completions", &body).with("x-airlane-lane", lane);
                assert_eq!(daemon.send(&request).status(), 200);
            });
            eventually("its turn to wait", || waiting(daemon) + fake.requests().len() == number + 1);
        }
        for _ in 0..3 {
            fake.release(tokens);
        }
    });
    let users: Vec<String> = (0..3).map(|number| fake.body(number)["user"].to_string()).collect();
    assert_eq!(users, ["\"number 0\"", "\"number 1\"", "\"number 2\""], "first come, first served");
}

fn gauge(daemon: &Daemon, name: &str) -> usize {
    let text = daemon.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|count| count.parse().ok()).expect("the gauge is there")
}

fn waiting(daemon: &Daemon) -> usize {
    gauge(daemon, "airlane_requests_waiting")
}

#[test]
fn who_waits_is_told_for_how_many() {
    let fake = Fake::start();
    let daemon = Setup::new().endpoint("heartbeat_s = 1").upstream("a", "openai", &fake.url(), "slots = 1").start();
    wait_model(&daemon, MODEL);
    fake.answer(Script::gated());
    let first = daemon.open(&chat(MODEL, true));
    eventually("the first call", || fake.requests().len() == 1);
    let mut second = daemon.open(&chat(MODEL, true));
    eventually("the second one waits", || waiting(&daemon) == 1);
    let mut third = daemon.open(&chat(MODEL, true));
    let (_, _) = (second.head(), third.head());
    let _ = second.until(": queued, 0 before this one");
    let _ = third.until(": queued, 1 before this one");
    drop(first);
}

#[test]
fn who_waits_for_a_model_is_told_so() {
    let fake = Fake::start();
    fake.tell("/api/ps", "{\"models\":[]}");
    let daemon = Setup::new().endpoint("heartbeat_s = 1").fake("a", "ollama", &fake).start();
    wait_model(&daemon, MODEL);
    let score = || {
        let body = chat_body(MODEL, true);
        send(daemon.console()[0], &Request::post("/api/v1/explain", &body)).json()["candidates"][0]["score"].clone()
    };
    // Before the head of the response, and after it.
    for script in [
        Script { headers_after: Duration::from_secs(3), ..Script::default() },
        Script { first_token_after: Duration::from_secs(3), ..Script::default() },
    ] {
        // Also after the call before, whose client has left.
        eventually("nobody is served, and it is not in memory", || score()["load_ms"].as_u64() > Some(0));
        fake.answer(script);
        let mut stream = daemon.open(&chat(MODEL, true));
        let _ = stream.head();
        let _ = stream.until(": loading fake-1, ready in about ");
        drop(stream);
    }
    // Ollama's own clients read nothing but answers.
    let answer = daemon.send(&Request::post("/api/chat", &chat_body(MODEL, true)));
    assert!(answer.text().lines().all(|line| line.starts_with('{')) && !answer.text().contains("loading"));
}

#[test]
fn a_request_at_a_frozen_place_is_not_left_there_and_no_other_tries_it() {
    let (a, b) = (Fake::start(), Fake::start());
    let setup = Setup::new().table("[route]\nhedge = false\n");
    let daemon =
        setup.upstream("a", "openai", &a.url(), "slots = 1").upstream("b", "openai", &b.url(), "slots = 1").start();
    eventually("both places", || models(&daemon).len() == 2);
    a.answer(Script::hang());
    a.set_about(Some(Script::hang()));
    // Busy enough that the other one would be worth a try.
    b.answer(Script { gap: Duration::from_millis(100), ..Script::default() });
    // One of the first finds it frozen. Pauses pass, after which the looks try it, and no request.
    let began = Instant::now();
    let client = || {
        let mut longest = Duration::ZERO;
        while began.elapsed() < Duration::from_secs(12) {
            let sent = Instant::now();
            let response = daemon.send(&chat(MODEL, true));
            assert_eq!(response.status(), 200, "{}", response.text());
            longest = longest.max(sent.elapsed());
        }
        longest
    };
    let longest = std::thread::scope(|scope| {
        let clients = [(); 3].map(|()| scope.spawn(client));
        clients.into_iter().map(|client| client.join().expect("a client fell")).max()
    });
    println!("longest: {longest:?}");
    assert_eq!(a.requests().len(), 1, "the one that found it");
    assert!(longest < Some(Duration::from_secs(7)), "{longest:?}");
}

#[test]
fn a_dead_place_costs_no_request_and_is_taken_again() {
    let (a, b, daemon) = two("");
    let address = a.address().to_string();
    drop(a);
    for _ in 0..10 {
        let response = daemon.send(&chat(MODEL, true));
        assert_eq!((response.status(), upstream(&response).as_str()), (200, "b"), "{}", response.text());
    }
    let again = Fake::on(&address, &[MODEL]);
    b.answer(Script { gap: Duration::from_millis(50), ..Script::default() });
    eventually("the first place serves again", || {
        shares(&at_once(&daemon, &vec![chat(MODEL, true); 4])).contains_key("a")
    });
    assert!(!again.requests().is_empty());
}

#[test]
fn a_refused_key_is_not_tried_again_while_another_place_answers() {
    let (a, _b, daemon) = two("");
    a.answer(Script::failing(401, None, "bad key"));
    for _ in 0..10 {
        assert_eq!(daemon.send(&chat(MODEL, false)).status(), 200);
    }
    assert!(a.requests().len() <= 1, "{} calls with a key that is refused", a.requests().len());
}

#[test]
fn a_prompt_over_the_context_is_refused_by_us() {
    let fake = Fake::start();
    let daemon = Setup::new().fake("a", "ollama", &fake).start();
    wait_model(&daemon, MODEL);
    let context = daemon.get("/v1/models").json()["data"][0]["context_length"].as_u64().expect("a context");
    let mut body = chat_body(MODEL, false);
    body["messages"][0]["content"] = json!("word ".repeat(usize::try_from(context).expect("small") * 2));
    let response = daemon.post("/v1/chat/completions", &body);
    assert_eq!(response.status(), 400, "{}", response.text());
    assert_eq!(response.json()["error"]["code"], "context_length_exceeded");
    assert!(fake.requests().is_empty(), "nobody was asked");
}

#[test]
fn a_long_prompt_gets_the_context_that_it_needs() {
    let fake = Fake::start();
    let daemon = Setup::new().fake("a", "ollama", &fake).start();
    wait_model(&daemon, MODEL);
    let ask = |words: usize, path: &str| {
        let mut body = chat_body(MODEL, false);
        body["messages"][0]["content"] = json!("word ".repeat(words));
        assert_eq!(daemon.post(path, &body).status(), 200);
        let asked = fake.requests().len() - 1;
        fake.body(asked)["options"]["num_ctx"].clone()
    };
    for path in ["/v1/chat/completions", "/api/chat"] {
        assert_eq!(ask(50, path), json!(null), "{path}: what is there will do");
        assert_eq!(ask(5_000, path), json!(16_384), "{path}: Ollama would cut it at 4,096");
    }
}

#[test]
fn decisions_are_explained_in_headers() {
    let (_a, _b, daemon) = two("");
    let response = daemon.send(&chat(MODEL, false));
    assert_eq!(response.header("x-airlane-attempts"), Some("1"));
    let reason = response.header("x-airlane-reason").expect("a reason");
    assert!(reason.starts_with("auto: first token in about"), "{reason}");
}

#[test]
fn virtual_names_and_endings_lead_to_models() {
    let (_a, _b, daemon) = two("");
    for name in ["auto", "local", "fake-1:nitro", "fake-1:floor", "a/fake-1,b/fake-1"] {
        let response = daemon.send(&chat(name, false));
        assert_eq!(response.status(), 200, "{name}: {}", response.text());
    }
    assert_eq!(daemon.send(&chat("cloud", false)).status(), 404);
    let mut body = chat_body(MODEL, false);
    body["provider"] = json!({"only": ["b"]});
    for _ in 0..5 {
        assert_eq!(upstream(&daemon.post("/v1/chat/completions", &body)), "b");
    }
}
