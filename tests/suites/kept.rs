//! Kept answers: the second time costs nothing, in every dialect, and nobody gets what is not for them.

use std::net::SocketAddr;

use airlane_tests::client::{Exchange, Request, Response, send};
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::events;
use airlane_tests::fake::{Fake, Script, vector, vector_base64};
use serde_json::{Value, json};

use crate::common::{chat, eventually, metric, pair, pair_with, wait_model};

/// The question of this suite in every dialect: the same, of which the same answer is wanted each time.
pub(crate) fn questions(stream: bool) -> [Request; 3] {
    let messages = json!([{"role": "user", "content": "Say something"}]);
    let anthropic =
        json!({"model": "fake-1", "temperature": 0, "max_tokens": 100, "messages": messages, "stream": stream});
    let mut openai = anthropic.clone();
    if stream {
        openai["stream_options"] = json!({"include_usage": true});
    }
    let ollama = json!({"model": "fake-1", "options": {"temperature": 0, "num_predict": 100}, "messages": messages,
        "stream": stream});
    [
        Request::post("/v1/chat/completions", &openai),
        Request::post("/v1/messages", &anthropic).with("anthropic-version", "2023-06-01"),
        Request::post("/api/chat", &ollama),
    ]
}

fn ask_with(more: &Value) -> Request {
    let mut body = json!({"model": "fake-1", "temperature": 0,
        "messages": [{"role": "user", "content": "Say something"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Request::post("/v1/chat/completions", &body)
}

fn ask() -> Request {
    ask_with(&json!({}))
}

pub(crate) fn status(response: &Response) -> String {
    response.header("cache-status").unwrap_or("none").to_owned()
}

fn from(address: &str, daemon: &Daemon, request: &Request) -> Response {
    let from: SocketAddr = format!("{address}:0").parse().unwrap();
    let mut exchange = Exchange::connect_from(from, daemon.address());
    exchange.send(request);
    exchange.finish()
}

/// The visible text of an answer in any dialect, whole or in pieces.
pub(crate) fn text(path: &str, stream: bool, body: &str) -> String {
    let pointer = match (path, stream) {
        ("/v1/chat/completions", true) => "/choices/0/delta/content",
        ("/v1/chat/completions", false) => "/choices/0/message/content",
        ("/v1/messages", true) => "/delta/text",
        ("/v1/messages", false) => "/content/0/text",
        _ => "/message/content",
    };
    let pieces: Vec<Value> = match (path, stream) {
        (_, false) => vec![serde_json::from_str(body).unwrap()],
        ("/api/chat", true) => events::lines(body),
        _ => events::parse(body).iter().filter(|event| event.data != "[DONE]").map(events::Event::json).collect(),
    };
    pieces.iter().filter_map(|piece| piece.pointer(pointer)?.as_str()).collect()
}

#[test]
fn one_answer_serves_all_dialects() {
    for (kind, first) in [("openai", 0), ("openai", 1), ("ollama", 2), ("anthropic", 1), ("ollama", 0)] {
        for made_as_stream in [true, false] {
            let (fake, daemon) = pair(kind);
            let made = daemon.send(&questions(made_as_stream)[first]);
            let want = if made_as_stream { "airlane; fwd=miss" } else { "airlane; fwd=miss; stored" };
            assert_eq!(status(&made), want, "{kind}: {}", made.text());
            for stream in [true, false] {
                for request in questions(stream) {
                    let case = format!("{kind}, made as stream {made_as_stream}: {} stream={stream}", request.path);
                    let kept = daemon.send(&request);
                    assert_eq!(kept.status(), 200, "{case}: {}", kept.text());
                    assert!(status(&kept).starts_with("airlane; hit; ttl=86"), "{case}: {}", status(&kept));
                    assert!(status(&kept).ends_with("; detail=\"exact\""), "{case}: {}", status(&kept));
                    assert!(kept.header("age").is_some_and(|age| age.parse::<u64>().is_ok()), "{case}");
                    assert_eq!(kept.header("x-airlane-upstream"), Some("box"), "{case}");
                    assert!(kept.complete, "{case}");
                    let said = kept.text();
                    assert_eq!(text(&request.path, stream, &said), Script::default().full_text(), "{case}: {said}");
                    assert!(said.contains(r#""airlane":{"input_tokens":11,"output_tokens":5}"#), "{case}: {said}");
                }
            }
            assert_eq!(fake.requests().len(), 1, "{kind}");
        }
    }
}

#[test]
fn ids_are_new_and_nothing_is_billed() {
    let (_fake, daemon) = pair("openai");
    let made = daemon.send(&ask()).json();
    let [first, second] = [daemon.send(&ask()).json(), daemon.send(&ask()).json()];
    assert_ne!(made["id"], first["id"]);
    assert_ne!(first["id"], second["id"]);
    assert_eq!(first["choices"], made["choices"]);
    let usage = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0,
        "airlane": {"input_tokens": 11, "output_tokens": 5}});
    assert_eq!(first["usage"], usage);
    let metrics = daemon.get("/metrics").text();
    for (parts, want) in [
        (&["airlane_cache_requests_total", "result=\"miss\""][..], 1.0),
        (&["airlane_cache_requests_total", "result=\"hit\""], 2.0),
        (&["airlane_cache_saved_tokens_total", "kind=\"input\""], 22.0),
        (&["airlane_cache_saved_tokens_total", "kind=\"output\""], 10.0),
        (&["airlane_tokens_total", "kind=\"input\""], 11.0),
    ] {
        assert_eq!(metric(&metrics, parts), Some(want), "{parts:?}: {metrics}");
    }
    assert!(daemon.log().contains(r#""cache":"hit""#), "{}", daemon.log());
}

#[test]
fn tool_calls_are_kept() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script::two_tools());
    for stream in [false, true] {
        for _ in 0..2 {
            let answer = daemon.send(&ask_with(&json!({"stream": stream}))).text();
            assert!(answer.contains("Köln") && answer.contains("Oslo"), "{answer}");
        }
    }
    assert_eq!(fake.requests().len(), 1);
}

#[test]
fn what_is_no_whole_answer_is_not_kept() {
    let scripts = [
        ("long", Script { finish: Some("length"), ..Script::default() }),
        ("filtered", Script { finish: Some("content_filter"), ..Script::default() }),
        ("cut", Script::cut(2, false)),
        ("reset", Script::cut(2, true)),
        ("refused", Script::status(400)),
        ("empty", Script { tokens: vec![], ..Script::default() }),
        ("no answer", Script::raw(200, "application/json", r#"{"error":{"message":"busy"}}"#)),
    ];
    let failed = ("failed", Script { error_after: Some(2), ..Script::default() });
    for stream in [true, false] {
        // Only a stream fails in its middle.
        for (name, script) in scripts.iter().chain([&failed].into_iter().filter(|_| stream)) {
            let (fake, daemon) = pair("openai");
            let request = ask_with(&json!({"stream": stream}));
            fake.answer_next(script.clone());
            let _ = daemon.send(&request);
            let again = daemon.send(&request);
            assert!(!status(&again).contains("hit"), "{name} stream={stream}: {}", again.text());
            assert_eq!(text(&request.path, stream, &again.text()), Script::default().full_text(), "{name}");
        }
    }
}

#[test]
fn only_what_shall_be_the_same_each_time_is_kept() {
    let (fake, daemon) = pair("openai");
    for (more, why) in [
        (json!({"temperature": 0.7}), "neither temperature 0 nor a seed"),
        (json!({"temperature": 1, "seed": -1}), "neither temperature 0 nor a seed"),
        (json!({"temperature": null}), "neither temperature 0 nor a seed"),
        (json!({"cache": {"no-store": true}}), "no-store"),
    ] {
        for _ in 0..2 {
            let want = format!("airlane; fwd=bypass; detail=\"{why}\"");
            assert_eq!(status(&daemon.send(&ask_with(&more))), want, "{more}");
        }
    }
    assert_eq!(fake.requests().len(), 8);
    for more in [json!({"temperature": 1, "seed": 7}), json!({"temperature": 1, "cache": {"use-cache": true}})] {
        assert!(status(&daemon.send(&ask_with(&more))).contains("stored"), "{more}");
        assert!(status(&daemon.send(&ask_with(&more))).contains("hit"), "{more}");
    }
    assert!(fake.requests().iter().all(|record| !String::from_utf8_lossy(&record.request.body).contains("cache")));
}

#[test]
fn whatever_changes_the_answer_makes_another_question() {
    let (fake, daemon) = pair("openai");
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let others = [
        json!({}),
        json!({"temperature": 0, "top_p": 0.5}),
        json!({"max_tokens": 5}),
        json!({"seed": 1}),
        json!({"seed": 2}),
        json!({"stop": "x"}),
        json!({"tools": tool}),
        json!({"response_format": {"type": "json_object"}}),
        json!({"unheard_of": 1}),
        json!({"user": "me"}),
        json!({"metadata": {"user_id": "me"}}),
        json!({"session_id": "1"}),
        json!({"provider": {"only": ["box"]}}),
        json!({"models": ["fake-2"]}),
        json!({"cache": {"namespace": "a"}}),
        json!({"messages": [{"role": "user", "content": "Say something "}]}),
        json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Say something"}]}),
        json!({"messages": [{"role": "system", "content": "Say something"}]}),
    ];
    for more in &others {
        assert!(status(&daemon.send(&ask_with(more))).contains("fwd=miss"), "{more}");
    }
    assert_eq!(fake.requests().len(), others.len());
    // What only names, bills or carries it does not.
    for more in [json!({"prompt_cache_key": "me"}), json!({"tags": ["b"]}), json!({"service_tier": "auto"})] {
        assert!(status(&daemon.send(&ask_with(&more))).contains("hit"), "{more}");
    }
    let [_, anthropic, _] = questions(false);
    let _ = daemon.send(&anthropic);
    let beta = anthropic.with("anthropic-beta", "tools-2026");
    assert!(status(&daemon.send(&beta)).contains("miss"));
    assert!(status(&daemon.send(&beta)).contains("hit"));
}

#[test]
fn nobody_gets_anothers_answer_unless_a_policy_says_so() {
    let (fake, daemon) = pair("openai");
    for (number, address) in ["127.0.0.1", "127.0.0.2", "127.0.0.3"].into_iter().enumerate() {
        fake.answer_next(Script::text(address));
        let own = from(address, &daemon, &ask());
        assert_eq!(text("/v1/chat/completions", false, &own.text()), address);
        assert_eq!(fake.requests().len(), number + 1);
    }
    for address in ["127.0.0.3", "127.0.0.1", "127.0.0.2"] {
        let kept = from(address, &daemon, &ask());
        assert!(status(&kept).contains("hit"), "{}", status(&kept));
        assert_eq!(text("/v1/chat/completions", false, &kept.text()), address);
    }

    let policies = "[cache]\nscope = \"house\"\n\
        [[policy]]\nname = \"office\"\nclients = [\"127.0.0.8/30\"]\ncache = { scope = \"group:office\" }\n\
        [[policy]]\nname = \"alone\"\napps = [\"alone\"]\ncache = { scope = \"tenant\", chat = \"all\" }\n";
    let (fake, daemon) = pair_with("openai", Setup::new().table(policies));
    for (address, agent, is_hit) in [
        ("127.0.0.1", "curl/8", false),
        ("127.0.0.2", "curl/8", true),
        ("127.0.0.9", "curl/8", false),
        ("127.0.0.10", "curl/8", true),
        ("127.0.0.2", "alone/1.0 (x)", false),
        ("127.0.0.2", "alone/2.0", true),
        ("127.0.0.3", "alone/2.0", false),
    ] {
        let kept = from(address, &daemon, &ask().with("user-agent", agent));
        assert_eq!(status(&kept).contains("hit"), is_hit, "{address} {agent}: {}", status(&kept));
    }
    let warm = ask_with(&json!({"temperature": 1}));
    for (agent, want) in [("alone", "miss"), ("alone", "hit"), ("other", "bypass")] {
        let response = daemon.send(&warm.clone().with("user-agent", agent));
        assert!(status(&response).contains(want), "{agent}: {}", status(&response));
    }
    assert_eq!(fake.requests().len(), 6);
}

#[test]
fn clients_say_what_they_take() {
    let (fake, daemon) = pair("openai");
    let with = |header: &str| daemon.send(&ask().with("cache-control", header));
    let missed = with("only-if-cached");
    assert_eq!((missed.status(), fake.requests().len()), (504, 0), "{}", missed.text());
    assert!(missed.text().contains("only-if-cached"), "{}", missed.text());
    assert_eq!(daemon.send(&chat("fake-1", false).with("cache-control", "only-if-cached")).status(), 504);

    assert!(status(&with("max-age=60")).contains("fwd=miss"));
    assert!(status(&with("only-if-cached")).contains("hit"));
    assert!(status(&with("max-age=60")).contains("hit"));
    assert!(status(&with("min-fresh=90000")).contains("fwd=request; stored"));
    fake.answer_next(Script::text("Newer"));
    let anew = with("no-cache");
    assert_eq!(status(&anew), "airlane; fwd=request; stored");
    let kept = daemon.send(&ask());
    assert!(status(&kept).contains("hit"));
    assert_eq!(text("/v1/chat/completions", false, &kept.text()), "Newer");

    let short = ask_with(&json!({"cache": {"ttl": 1, "namespace": "short"}}));
    assert!(status(&daemon.send(&short)).contains("stored"));
    eventually("the answer is too old", || status(&daemon.send(&short)).contains("miss"));
}

#[test]
fn a_purge_holds_for_what_is_being_made() {
    let (fake, daemon) = pair("openai");
    fake.answer(Script::gated());
    let mut before = daemon.open(&ask());
    let _ = fake.wait_request(0);
    let purge = Request::post("/api/v1/cache/purge", &json!({"all": true}));
    assert_eq!(send(daemon.console()[0], &purge).status(), 200);
    // Who asks now does not share it, and it is not kept.
    let mut after = daemon.open(&ask());
    let _ = fake.wait_request(1);
    fake.release(1);
    let first = before.finish();
    assert_eq!(status(&first), "airlane; fwd=miss", "{}", first.text());
    fake.release(1);
    assert_eq!(status(&after.finish()), "airlane; fwd=miss; stored");
}

#[test]
fn what_was_kept_a_moment_ago_is_listed() {
    let (_fake, daemon) = pair("openai");
    let _ = daemon.send(&ask());
    let listed = send(daemon.console()[0], &Request::get("/api/v1/cache/entries")).json();
    assert_eq!(listed["entries"][0]["head"], "Say something", "{listed}");
}

#[test]
fn vectors_are_kept() {
    let (fake, daemon) = pair("openai");
    let body = json!({"model": "fake-1", "input": ["one", "two"]});
    assert_eq!(status(&daemon.post("/v1/embeddings", &body)), "airlane; fwd=miss; stored");
    let kept = daemon.post("/v1/embeddings", &body);
    assert!(status(&kept).contains("hit"), "{}", status(&kept));
    assert_eq!(kept.json()["data"][1]["embedding"], json!(vector(1)));
    let packed = daemon.post(
        "/v1/embeddings",
        &json!({"model": "fake-1", "input": ["one", "two"],
        "encoding_format": "base64"}),
    );
    assert!(status(&packed).contains("hit"), "{}", status(&packed));
    assert_eq!(packed.json()["data"][1]["embedding"], json!(vector_base64(1)));
    let ollama = daemon.post("/api/embed", &json!({"model": "fake-1", "input": ["one", "two"]}));
    assert!(status(&ollama).contains("hit"), "{}", status(&ollama));
    assert_eq!(ollama.json()["embeddings"], json!([vector(0), vector(1)]));
    assert_eq!(fake.requests().len(), 1);
}

#[test]
fn an_answer_belongs_to_the_model_that_made_it() {
    let fake = Fake::with_models(&["small", "large"]);
    let daemon = Setup::new().fake("box", "openai", &fake).alias("any", &["box/small", "box/large"]).start();
    wait_model(&daemon, "any");
    fake.answer_model("small", Script::status(503));
    fake.answer_model("large", Script::text("from the large one"));
    let any = ask_with(&json!({"model": "any"}));
    let made = daemon.send(&any);
    assert_eq!(made.header("x-airlane-model"), Some("large"), "{}", made.text());
    // Another name is another question, and it was not the small one's answer.
    fake.answer_model("small", Script::text("from the small one"));
    let own = daemon.send(&ask_with(&json!({"model": "box/small"})));
    assert_eq!(text("/v1/chat/completions", false, &own.text()), "from the small one");
    let kept = daemon.send(&any);
    let (model, said) = (kept.header("x-airlane-model").unwrap_or_default(), kept.text());
    assert!(text("/v1/chat/completions", false, &said).contains(model), "{model}: {said}");
}

#[test]
fn nothing_is_kept_where_that_is_off() {
    for (table, want) in [
        ("[cache]\nenabled = false\n", "none"),
        ("[cache]\nchat = \"off\"\n", "airlane; fwd=bypass; detail=\"off for chats\""),
    ] {
        let (fake, daemon) = pair_with("openai", Setup::new().table(table));
        for _ in 0..2 {
            assert_eq!(status(&daemon.send(&ask())), want);
        }
        assert_eq!(fake.requests().len(), 2);
    }
}

#[test]
fn a_kept_answer_may_be_written_slowly() {
    let (fake, daemon) = pair_with("openai", Setup::new().table("[cache]\nreplay_tokens_per_s = 20\n"));
    fake.answer(Script::text("a b c d e f g h"));
    let request = ask_with(&json!({"stream": true}));
    let _ = daemon.send(&request);
    let mut exchange = daemon.open(&request);
    let head = exchange.head();
    assert!(head.header("cache-status").is_some_and(|status| status.contains("hit")), "{head:?}");
    let first = exchange.until("\"a ");
    assert!(!first.contains("\"h"), "all came at once: {first}");
    let whole = first + &exchange.rest();
    assert_eq!(text("/v1/chat/completions", true, &whole), "a b c d e f g h");
    assert!(whole.trim_end().ends_with("[DONE]"), "{whole}");
}
