//! Many requests that differ in one thing each: no kept answer goes to whom it must not go.

use airlane_tests::daemon::Setup;
use airlane_tests::fake::{Fake, Script};
use airlane_tests::replay::{Line, Report, play};
use airlane_tests::semantic::{Set, labelled};
use serde_json::{Map, Value, json};

use crate::alike::{policy, table};
use crate::common::{eventually, metric, wait_model};

/// One change of a request, and whether it may have the same answer.
type Change = (&'static str, bool, fn(&mut Map<String, Value>));

fn set(body: &mut Map<String, Value>, name: &str, value: Value) {
    body.insert(name.to_owned(), value);
}

const CHANGES: &[Change] = &[
    ("nothing", true, |_| {}),
    ("user", false, |body| set(body, "user", json!("u"))),
    ("streamed", true, |body| set(body, "stream", json!(true))),
    ("a known default", true, |body| set(body, "stream", json!(false))),
    ("metadata", false, |body| set(body, "metadata", json!({"a": 1}))),
    ("tags", true, |body| set(body, "tags", json!(["a"]))),
    ("session", false, |body| set(body, "session_id", json!("s"))),
    ("places", false, |body| set(body, "provider", json!({"order": ["box"]}))),
    ("order", true, |body| *body = body.iter().rev().map(|(name, value)| (name.clone(), value.clone())).collect()),
    ("model", false, |body| set(body, "model", json!("other"))),
    ("seed", false, |body| set(body, "seed", json!(1))),
    ("top_p", false, |body| set(body, "top_p", json!(0.9))),
    ("max_tokens", false, |body| set(body, "max_tokens", json!(7))),
    ("stop", false, |body| set(body, "stop", json!(["\n"]))),
    ("n", false, |body| set(body, "n", json!(2))),
    ("penalty", false, |body| set(body, "presence_penalty", json!(0.5))),
    ("format", false, |body| set(body, "response_format", json!({"type": "json_object"}))),
    ("logprobs", false, |body| set(body, "logprobs", json!(true))),
    ("bias", false, |body| set(body, "logit_bias", json!({"5": 1}))),
    ("effort", false, |body| set(body, "reasoning_effort", json!("low"))),
    ("unknown", false, |body| set(body, "from_the_future", json!(1))),
    ("tools", false, |body| {
        set(body, "tools", json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]));
    }),
    ("namespace", false, |body| set(body, "cache", json!({"namespace": "n"}))),
    ("system", false, |body| {
        if let Some(Value::Array(messages)) = body.get_mut("messages") {
            messages.insert(0, json!({"role": "system", "content": "Be brief."}));
        }
    }),
    ("role", false, |body| {
        if let Some(Value::Array(messages)) = body.get_mut("messages") {
            messages.insert(0, json!({"role": "assistant", "content": "Be brief."}));
        }
    }),
    ("a picture", false, |body| {
        let picture = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}});
        let text = body["messages"][0]["content"].clone();
        set(body, "messages", json!([{"role": "user", "content": [{"type": "text", "text": text}, picture]}]));
    }),
];

const QUESTIONS: [&str; 12] = [
    "What is 17 times 23?",
    "What is 17 times 24?",
    "Is water wet?",
    "Is water not wet?",
    "Translate \"Hund\" into English",
    "Translate \"Hund\" into French",
    "translate \"Hund\" into English",
    "Wie hoch ist der Kölner Dom?",
    "Wie hoch ist der Kolner Dom?",
    " Is water wet?",
    "",
    "\u{202e}Is water wet?",
];

/// Every question of each client with every change, in three rounds.
fn record(clients: &[&str], is_shared: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    for _ in 0..3 {
        for (question, client) in
            QUESTIONS.iter().flat_map(|question| clients.iter().map(move |client| (question, client)))
        {
            for (name, is_same, change) in CHANGES {
                let mut body = Map::new();
                set(&mut body, "model", json!("fake-1"));
                set(&mut body, "temperature", json!(0));
                set(&mut body, "messages", json!([{"role": "user", "content": question}]));
                change(&mut body);
                // A house that shares does so among the users of a program as well.
                let is_shared_user = is_shared && ["user", "metadata"].contains(name);
                let change = if *is_same || is_shared_user { "" } else { name };
                let owner = if is_shared { "" } else { client };
                let label = format!("{question}|{change}|{owner}");
                let line = json!({"label": label, "client": client, "body": body});
                lines.push(Line::read(&line.to_string()).unwrap());
            }
        }
    }
    lines
}

fn played(config: &str, lines: &[Line]) -> Report {
    let fake = Fake::with_models(&["fake-1", "other"]);
    let daemon = Setup::new().fake("box", "openai", &fake).table(config).start();
    wait_model(&daemon, "other");
    let report = play(&daemon, &fake, lines);
    println!("{report}");
    report
}

#[test]
fn no_answer_goes_astray() {
    let clients = ["127.0.0.1", "127.0.0.2"];
    let lines = record(&clients, false);
    let report = played("", &lines);
    assert!(report.failures.is_empty() && report.false_hits.is_empty(), "{report}");
    assert_eq!(report.foreign_hits, 0);
    assert_eq!(report.hits(), report.repeats, "each of which the answer was there: {report}");
}

#[test]
fn a_house_shares_what_it_says_it_shares() {
    let lines = record(&["127.0.0.1", "127.0.0.2"], true);
    let report = played("[cache]\nscope = \"house\"\n", &lines);
    assert!(report.failures.is_empty() && report.false_hits.is_empty(), "{report}");
    assert!(report.foreign_hits > 0 && report.hits() == report.repeats, "{report}");
}

/// Every so many groups of a set are played: an unoptimised daemon takes long for all of them, and those are compared without
/// a daemon by the suite `semantic`.
const SAMPLE: usize = 3;

/// The labelled questions of a set, each once, and every tenth again from another address.
fn questions(set: Set) -> Vec<Line> {
    let pairs: Vec<_> = set.pairs().into_iter().filter(|pair| pair.group % SAMPLE == 0).collect();
    let texts = labelled(&pairs);
    let line = |client: &str, text: &str, label: usize| {
        let body = json!({"model": "fake-1", "temperature": 0, "messages": [{"role": "user", "content": text}]});
        let headers = json!({"x-title": "helpdesk"});
        let line = json!({"label": format!("{label}|{client}"), "client": client, "body": body, "headers": headers});
        Line::read(&line.to_string()).unwrap()
    };
    let mut lines: Vec<Line> = texts.iter().map(|(text, label)| line("127.0.0.1", text, *label)).collect();
    lines.extend(texts.iter().step_by(10).map(|(text, label)| line("127.0.0.2", text, *label)));
    lines
}

#[test]
fn questions_in_other_words_get_no_wrong_answer() {
    for set in [Set::Tuned, Set::HeldOut] {
        let fake = Fake::with_models(&["fake-1", "judge"]);
        // It says nothing clear: what is open stays open.
        fake.answer_model("judge", Script::text("perhaps"));
        let config = table() + &policy("embeddings = \"table\"\naudited = 0.001");
        let daemon = Setup::new().fake("box", "openai", &fake).table(&config).start();
        wait_model(&daemon, "judge");
        let looked = || metric(&daemon.get("/metrics").text(), &["airlane_cache_semantic_questions_total"]);
        let mut number = 0;
        eventually("the table is read", || {
            number += 1;
            let body = json!({"model": "fake-1", "temperature": 0,
                "messages": [{"role": "user", "content": format!("Is the table there at look {number}?")}]});
            let _ = daemon
                .send(&airlane_tests::client::Request::post("/v1/chat/completions", &body).with("x-title", "helpdesk"));
            looked() > Some(0.0)
        });
        let report = play(&daemon, &fake, &questions(set));
        println!("{set:?}, one group in {SAMPLE}:\n{report}");
        let late = metric(&daemon.get("/metrics").text(), &["airlane_cache_semantic_late_total"]);
        println!("late: {late:?}");
        // Nor one that was made for another client: labels name them.
        assert!(report.failures.is_empty() && report.false_hits.is_empty(), "{report}");
        let semantic = report.hits.get("semantic").copied().unwrap_or_default();
        assert!(2 * semantic > report.repeats, "{report}late: {late:?}");
    }
}
