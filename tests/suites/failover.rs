//! An ordered list of upstreams: the next one is tried until the first visible token, and not after a wrong request.

use airlane_tests::client::Request;
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Answer, Fake, Script};
use airlane_tests::sockets::refused;
use serde_json::json;

use crate::common::{chat, chat_body, messages, ollama_chat, wait_model};
use crate::outcome::Near;

struct House {
    first: Fake,
    second: Fake,
    daemon: Daemon,
}

/// Two upstreams of this kind behind the alias `both`.
fn house(kind: &str) -> House {
    let (first, second) = (Fake::with_models(&["m1"]), Fake::with_models(&["m2"]));
    second.answer(Script::text("from the second"));
    let daemon = Setup::new()
        .fake("first", kind, &first)
        .fake("second", kind, &second)
        .alias("both", &["first/m1", "second/m2"])
        .start();
    for model in ["m1", "m2"] {
        wait_model(&daemon, model);
    }
    House { first, second, daemon }
}

fn from_second(house: &House, request: &Request, case: &str) {
    let response = house.daemon.send(request);
    assert_eq!(response.status(), 200, "{case}: {}", response.text());
    assert!(response.text().contains("second"), "{case}: {}", response.text());
    assert!(!response.text().contains("Hello"), "{case}: two answers mixed: {}", response.text());
}

#[test]
fn failures_before_the_first_token_lead_to_the_next() {
    for kind in ["openai", "anthropic", "ollama"] {
        for (name, script) in [
            ("408", Script::status(408)),
            ("429", Script::failing(429, Some(1), "busy")),
            ("500", Script::status(500)),
            ("502", Script::status(502)),
            ("503", Script::status(503)),
            ("a close", Script { answer: Answer::Close, ..Script::default() }),
            ("a cut before the first token", Script::cut(0, true)),
            ("an error event before the first token", Script { error_after: Some(0), ..Script::default() }),
        ] {
            let house = house(kind);
            house.first.answer(script);
            for stream in [true, false] {
                if name.contains("event") && !stream {
                    continue;
                }
                for request in [chat("both", stream), messages("both", stream), ollama_chat("both", stream)] {
                    let case = format!("{name}, {} stream={stream} on {kind}", request.path);
                    println!("{case}");
                    from_second(&house, &request, &case);
                }
            }
            assert!(!house.first.requests().is_empty(), "the first one is tried first");
        }
    }
}

#[test]
fn a_refused_connection_leads_to_the_next() {
    let second = Fake::with_models(&["m2"]);
    second.answer(Script::text("from the second"));
    let daemon = Setup::new()
        .upstream("gone", "openai", &format!("http://{}", refused()), "models = [\"m1\"]")
        .fake("second", "openai", &second)
        .alias("both", &["gone/m1", "second/m2"])
        .start();
    wait_model(&daemon, "m2");
    for stream in [true, false] {
        let outcome = Near::Chat.read(stream, &daemon.send(&chat("both", stream)));
        assert_eq!(outcome.text, "from the second");
    }
}

#[test]
fn wrong_requests_stay_where_they_are() {
    for status in [400, 413, 422] {
        let house = house("openai");
        house.first.answer(Script::status(status));
        let response = house.daemon.send(&chat("both", false));
        assert!((400..500).contains(&response.status()), "{status}: {}", response.text());
        assert!(house.second.requests().is_empty(), "{status} must not be tried again");
    }
}

#[test]
fn after_the_first_token_nobody_takes_over() {
    let house = house("openai");
    house.first.answer(Script::cut(1, true));
    let text = house.daemon.send(&chat("both", true)).text();
    assert!(text.contains("Hello") && text.contains("\"error\""), "{text}");
    assert!(house.second.requests().is_empty(), "the answer would begin twice");
}

#[test]
fn a_list_in_the_request_is_an_order() {
    let house = house("openai");
    house.first.answer(Script::status(503));
    let mut body = chat_body("m1", false);
    body["models"] = json!(["m1", "second/m2"]);
    let response = house.daemon.post("/v1/chat/completions", &body);
    assert_eq!(response.json()["choices"][0]["message"]["content"], "from the second", "{}", response.text());
    assert_eq!(house.second.body(0)["model"], "m2", "the upstream is asked under its own name");
    assert!(house.second.body(0).get("models").is_none(), "our own member stays here");
    assert_eq!(response.header("x-airlane-upstream"), Some("second"));
}

#[test]
fn when_all_fail_the_answer_names_them() {
    let house = house("openai");
    house.first.answer(Script::status(500));
    house.second.answer(Script::failing(503, Some(9), "full"));
    let response = house.daemon.send(&chat("both", false));
    assert!([502, 503].contains(&response.status()), "{}", response.text());
    let text = response.text();
    assert!(text.contains("first") && text.contains("second"), "{text}");
}

#[test]
fn a_collided_name_leads_to_all_who_have_it() {
    let (first, second) = (Fake::with_models(&["same"]), Fake::with_models(&["same"]));
    first.answer(Script::status(500));
    second.answer(Script::text("from the second"));
    let daemon = Setup::new().fake("first", "openai", &first).fake("second", "ollama", &second).start();
    wait_model(&daemon, "first/same");
    wait_model(&daemon, "second/same");
    let outcome = Near::Chat.read(true, &daemon.send(&chat("same", true)));
    assert_eq!(outcome.text, "from the second");
    let response = daemon.send(&chat("first/same", false));
    assert_eq!(response.status(), 502, "a full name means this one only: {}", response.text());
}

#[test]
fn a_failure_can_be_asked_for() {
    let (first, second) = (Fake::with_models(&["m1"]), Fake::with_models(&["m2"]));
    second.answer(Script::text("from the second"));
    let daemon = Setup::new()
        .table("[route]\nmock_fallbacks = true\n")
        .fake("first", "openai", &first)
        .fake("second", "anthropic", &second)
        .alias("both", &["first/m1", "second/m2"])
        .start();
    for model in ["m1", "m2"] {
        wait_model(&daemon, model);
    }
    for stream in [false, true] {
        let mut body = chat_body("both", stream);
        body["mock_testing_fallbacks"] = json!(true);
        let response = daemon.post("/v1/chat/completions", &body);
        assert_eq!(response.header("x-airlane-upstream"), Some("second"), "{}", response.text());
        assert_eq!(response.header("x-airlane-attempts"), Some("2"));
        assert!(response.text().contains("second"), "{}", response.text());
    }
    assert!(first.requests().is_empty(), "a place that is made to fail is not called");
    assert!(second.body(0).get("mock_testing_fallbacks").is_none(), "our own member stays here");
    // Nobody is left: the error says why, and the place is well all the same.
    let mut body = chat_body("first/m1", false);
    body["mock_testing_fallbacks"] = json!(true);
    for _ in 0..5 {
        let response = daemon.post("/v1/chat/completions", &body);
        assert_eq!(response.status(), 502, "{}", response.text());
        assert!(response.text().contains("mock_testing_fallbacks"), "{}", response.text());
    }
    body["mock_testing_fallbacks"] = json!(false);
    let response = daemon.post("/v1/chat/completions", &body);
    assert_eq!((response.status(), response.header("x-airlane-attempts")), (200, Some("1")), "{}", response.text());
    assert!(first.body(0).get("mock_testing_fallbacks").is_none());
}

#[test]
fn a_failure_is_refused_where_the_owner_has_not_allowed_it() {
    let house = house("openai");
    let mut body = chat_body("both", false);
    body["mock_testing_fallbacks"] = json!(true);
    let response = house.daemon.post("/v1/chat/completions", &body);
    assert_eq!(response.status(), 400, "{}", response.text());
    let text = response.text();
    assert!(text.contains("mock_fallbacks") && text.contains("[route]"), "the switch is named: {text}");
    assert!(house.first.requests().is_empty() && house.second.requests().is_empty());
}
