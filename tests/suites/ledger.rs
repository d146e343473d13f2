//! The ledger as its owner sees it: what clients used is what is written down, to the micro-dollar, over the API and in the shell.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use airlane_tests::client::{Request, send};
use airlane_tests::daemon::{Daemon, Setup, airlane};
use airlane_tests::fake::{Fake, Script};
use serde_json::{Value, json};

use crate::common::{chat, eventually, messages, wait_model};
use crate::kept::questions;

/// Two dollars for a million tokens of prompts, ten for a million of answers: so many micro-dollars for a token.
const INPUT: u64 = 2;
const OUTPUT: u64 = 10;

/// A daemon before an upstream that tells its prices, like OpenRouter.
fn house(more: &str) -> (Fake, Daemon) {
    let fake = Fake::start();
    let pricing = json!({"prompt": "0.000002", "completion": "0.00001"});
    fake.tell("/v1/models", &json!({"data": [{"id": "fake-1", "object": "model", "pricing": pricing}]}).to_string());
    let daemon = Setup::new().table(more).fake("box", "openai", &fake).start();
    wait_model(&daemon, "fake-1");
    (fake, daemon)
}

fn get(daemon: &Daemon, path: &str) -> Value {
    let answer = send(daemon.console()[0], &Request::get(&format!("/api/v1/ledger{path}")));
    assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
    answer.json()
}

fn command(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String, String) {
    let url = format!("http://{}", daemon.console()[0]);
    airlane(&[arguments, &["--url", &url]].concat())
}

fn says(daemon: &Daemon, arguments: &[&str]) -> String {
    let (code, out, err) = command(daemon, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
    out
}

/// Waits until so many requests are in the ledger, and gives them.
fn entries(daemon: &Daemon, count: usize) -> Vec<Value> {
    let read = || get(daemon, "/entries").get("entries").and_then(Value::as_array).cloned().unwrap_or_default();
    eventually(&format!("{count} requests in the ledger"), || read().len() >= count);
    let all = read();
    assert_eq!(all.len(), count, "{all:#?}");
    all
}

/// What a client is told of its tokens: Anthropic's do not count among them what came from the upstream's cache.
fn told(usage: &Value) -> (u64, u64) {
    let sum = |names: &[&str]| names.iter().filter_map(|name| usage[name].as_u64()).sum();
    (
        sum(&["prompt_tokens", "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]),
        sum(&["completion_tokens", "output_tokens"]),
    )
}

fn this_month(entries: &[Value]) -> String {
    entries[0]["time"].as_str().unwrap()[..7].to_owned()
}

#[test]
fn what_clients_used_is_what_is_written_down() {
    let (fake, daemon) = house("");
    let key = says(&daemon, &["key", "create", "anna"]).trim().to_owned();
    let (mut input, mut output) = (0, 0);
    // The last one is kept from the one before: it costs nothing.
    let [question, ..] = questions(false);
    for request in [chat("fake-1", false), messages("fake-1", false), question.clone(), question] {
        let answer = daemon.send(&request.with("authorization", &format!("Bearer {key}")));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let (read, written) = told(&answer.json()["usage"]);
        (input, output) = (input + read, output + written);
    }
    fake.answer_next(Script::failing(400, None, "no"));
    assert_eq!(daemon.send(&chat("fake-1", false)).status(), 400);
    let all = entries(&daemon, 5);
    let month = this_month(&all);
    let summary = get(&daemon, &format!("/summary?month={month}&tenant=anna"));
    let total = &summary["total"];
    assert_eq!((&total["input_tokens"], &total["output_tokens"]), (&json!(input), &json!(output)));
    assert_eq!(total["cost_micro_usd"], json!(input * INPUT + output * OUTPUT), "{total:#}");
    assert_eq!((&total["requests"], &total["kept"], &total["unknown_cost"]), (&json!(4), &json!(1), &json!(0)));
    let failed = get(&daemon, "/entries?outcome=client_error");
    assert_eq!(failed["entries"].as_array().map(Vec::len), Some(1), "{all:#?}");

    let statement = says(&daemon, &["ledger", "statement", "anna", "--month", &month]);
    assert!(statement.starts_with("Statement for anna, from ") && statement.contains("fake-1"), "{statement}");
    assert!(statement.contains("answered from before, for nothing: 1 request"), "{statement}");
    let list = says(&daemon, &["ledger", "list", "--tenant", "anna", "--limit", "2"]);
    assert_eq!(list.lines().filter(|line| line.contains("fake-1")).count(), 2, "{list}");
    let summary = says(&daemon, &["ledger", "summary", "--month", &month]);
    assert!(summary.lines().any(|line| line.starts_with("anna ") && line.contains("box")), "{summary}");
    let (code, out, _) = command(&daemon, &["ledger", "summary", "--day", "2001-01-01"]);
    assert_eq!((code, out.as_str()), (Some(3), "nothing was asked on 2001-01-01 (UTC)\n"));
    assert_eq!(command(&daemon, &["ledger", "list", "--from", "yesterday"]).0, Some(1));
}

#[test]
fn what_is_written_down_outlives_a_crash() {
    let (_fake, daemon) = house("[ledger]\ndisk_mib = 7");
    for _ in 0..3 {
        assert_eq!(daemon.send(&chat("fake-1", false)).status(), 200);
    }
    // Who looks makes that it is written.
    let before = entries(&daemon, 3);
    let daemon = daemon.kill_and_start(false);
    assert_eq!(entries(&daemon, 3), before);
    let stats = get(&daemon, "");
    assert_eq!((&stats["trouble"], &stats["bytes_max"]), (&json!(""), &json!(7 << 20)));
    let told = says(&daemon, &["ledger", "stats"]);
    assert!(told.contains("of 7.0 MiB") && !told.contains("trouble"), "{told}");
}

#[test]
fn pages_and_exports_have_everything_once() {
    let (_fake, daemon) = house("");
    for _ in 0..7 {
        assert_eq!(daemon.send(&chat("fake-1", false)).status(), 200);
    }
    let all: Vec<String> = entries(&daemon, 7).iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
    assert!(all.is_sorted_by(|a, b| a > b), "the newest first: {all:?}");
    let (mut seen, mut after) = (Vec::new(), String::new());
    while seen.len() < 20 {
        let page = get(&daemon, &format!("/entries?limit=3{after}"));
        seen.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, all);

    let lines = says(&daemon, &["ledger", "export", "--format", "jsonl"]);
    let exported: BTreeSet<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(exported, all.iter().cloned().collect());
    let file = daemon.folder().join("books.csv");
    assert_eq!(says(&daemon, &["ledger", "export", "--model", "fake-1", "--out", file.to_str().unwrap()]), "");
    let table = std::fs::read_to_string(&file).unwrap();
    assert_eq!((table.lines().count(), table.matches("fake-1").count() >= 7), (8, true), "{table}");
    assert!(table.starts_with("id,time,tenant,"), "{table}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_price_that_nobody_knows_is_never_zero() {
    let fake = Fake::start();
    let daemon = Setup::new().upstream("cloud", "openai", &fake.url(), "local = false").start();
    wait_model(&daemon, "fake-1");
    assert_eq!(daemon.send(&chat("fake-1", false)).status(), 200);
    let all = entries(&daemon, 1);
    assert_eq!((&all[0]["cost_micro_usd"], &all[0]["is_cost_complete"]), (&Value::Null, &json!(false)));
    assert!(all[0]["bytes_out"].as_u64() > Some(0), "it left the house: {}", all[0]);
    let month = this_month(&all);
    let total = get(&daemon, &format!("/summary?month={month}"))["total"].clone();
    assert_eq!((&total["cost_micro_usd"], &total["unknown_cost"]), (&Value::Null, &json!(1)));
    assert!(says(&daemon, &["ledger", "summary", "--month", &month]).contains("unknown"));
}
