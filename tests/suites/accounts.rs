//! Every request is an entry of the ledger, with what it took and what it cost, whatever became of it.

use std::time::Duration;

use airlane_tests::client::{Request, send};
use airlane_tests::daemon::{Daemon, Setup, airlane};
use airlane_tests::fake::{Fake, Script};
use serde_json::{Value, json};

use crate::common::{chat, eventually, wait_model};

/// What the cloud charges: $2 for a million tokens of prompt, $10 for one of answer.
const INPUT_MICRO_USD: u64 = 2;
const OUTPUT_MICRO_USD: u64 = 10;

struct House {
    cloud: Fake,
    local: Fake,
    daemon: Daemon,
}

impl House {
    fn new() -> Self {
        let (cloud, local) = (Fake::with_models(&["cloud-1"]), Fake::with_models(&["local-1"]));
        let list = json!({"object": "list", "data": [{"id": "cloud-1", "object": "model",
            "pricing": {"prompt": "0.000002", "completion": "0.00001"}}]});
        cloud.tell("/v1/models", &list.to_string());
        let setup = Setup::new().fake("box", "openai", &local);
        let daemon = setup.upstream("cloud", "openai", &cloud.url(), "local = false\n").start();
        wait_model(&daemon, "cloud-1");
        wait_model(&daemon, "local-1");
        Self { cloud, local, daemon }
    }

    fn console(&self, path: &str) -> Value {
        send(self.daemon.console()[0], &Request::get(path)).json()
    }

    /// All entries, the newest first, once there are so many.
    fn entries(&self, count: usize) -> Vec<Value> {
        let mut entries = Vec::new();
        eventually("they are in the ledger", || {
            entries =
                self.console("/api/v1/ledger/entries?limit=1000")["entries"].as_array().cloned().unwrap_or_default();
            entries.len() >= count
        });
        assert_eq!(entries.len(), count, "{entries:#?}");
        entries
    }
}

fn cost(input: u64, output: u64) -> u64 {
    input * INPUT_MICRO_USD + output * OUTPUT_MICRO_USD
}

#[test]
fn each_request_tells_what_became_of_it() {
    let house = House::new();
    let ask = |request: &Request| house.daemon.send(request);
    assert_eq!(ask(&chat("cloud-1", false).with("x-title", "notes")).status(), 200);
    assert!(ask(&chat("cloud-1", true)).complete);
    assert_eq!(ask(&chat("local-1", false)).status(), 200);
    // Once from the cloud, and once from what was kept.
    let mut kept = json!({"model": "cloud-1", "temperature": 0, "messages": [{"role": "user", "content": "The same"}]});
    kept["stream"] = json!(false);
    for _ in 0..2 {
        assert_eq!(ask(&Request::post("/v1/chat/completions", &kept)).status(), 200);
    }
    house.cloud.answer_next(Script::status(400));
    assert_eq!(ask(&chat("cloud-1", false)).status(), 400);
    assert_eq!(ask(&chat("nothing", false)).status(), 404);
    // The client leaves after two tokens.
    house.cloud.answer_next(Script { usage: false, ..Script::gated() });
    let mut leaves = house.daemon.open(&chat("cloud-1", true));
    house.cloud.release(2);
    let _ = leaves.head();
    let _ = leaves.until("w\u{f6}rld");
    let _ = leaves.leave();
    let entries = house.entries(8);
    let row = |entry: &Value| {
        let names = ["model", "upstream", "outcome", "cache", "input_tokens", "output_tokens", "cost_micro_usd"];
        names.map(|name| entry[name].to_string().trim_matches('"').to_owned()).join(" ")
    };
    let mut rows: Vec<String> = entries.iter().map(row).collect();
    rows.sort();
    let paid = cost(11, 5);
    let mut want = vec![
        format!("cloud-1 cloud ok bypass 11 5 {paid}"),
        format!("cloud-1 cloud ok bypass 11 5 {paid}"),
        format!("cloud-1 cloud ok miss 11 5 {paid}"),
        "cloud-1 null ok hit 0 0 0".to_owned(),
        "local-1 box ok bypass 11 5 0".to_owned(),
        "nothing null unknown_model bypass null null 0".to_owned(),
    ];
    want.sort();
    for row in &want {
        let place = rows.iter().position(|found| found == row);
        rows.remove(place.unwrap_or_else(|| panic!("{row} is not in {rows:#?}")));
    }
    let [cancelled, failed] = [&rows[0], &rows[1]];
    assert!(failed.starts_with("cloud-1 cloud") && failed.ends_with(" 0 0 0"), "nothing was used: {rows:?}");
    assert!(cancelled.starts_with("cloud-1 cloud cancelled"), "{rows:?}");
    let entry = entries.iter().find(|entry| entry["outcome"] == "cancelled").unwrap();
    assert!(entry["is_input_estimated"] == true && entry["cost_micro_usd"].as_u64() > Some(0), "{entry}");
    assert!(entries.iter().any(|entry| entry["app"] == "notes" && entry["client"] == "127.0.0.1"));
    assert!(entries.iter().all(|entry| entry["total_ms"].is_u64()));
    let left = |entry: &Value| entry["bytes_out"].as_u64() > Some(0);
    assert!(entries.iter().all(|entry| left(entry) == (entry["upstream"] == "cloud")), "what left the house");
    let text = serde_json::to_string(&entries).unwrap();
    assert!(!text.contains("The same") && !text.contains("Hello"), "no prompt and no answer is written down");
}

/// What the ledger adds up to is what the clouds bill.
#[test]
fn the_sum_is_what_the_cloud_bills() {
    let house = House::new();
    let key = {
        let url = format!("http://{}", house.daemon.console()[0]);
        airlane(&["key", "create", "anna", "--url", &url]).1.trim().to_owned()
    };
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (house, key) = (&house, &key);
            scope.spawn(move || {
                for number in 0..25 {
                    let model = if number % 5 == 0 { "local-1" } else { "cloud-1" };
                    let request = chat(model, number % 2 == 0);
                    let request =
                        if worker % 2 == 0 { request.with("authorization", &format!("Bearer {key}")) } else { request };
                    assert!(house.daemon.send(&request).complete);
                }
            });
        }
    });
    let entries = house.entries(200);
    let billed = house.cloud.requests().len() as u64 * cost(11, 5);
    let sum: u64 = entries.iter().map(|entry| entry["cost_micro_usd"].as_u64().unwrap()).sum();
    assert_eq!(sum, billed);
    assert_eq!(house.local.requests().len(), 40);
    let annas = entries.iter().filter(|entry| entry["tenant"] == "anna");
    assert_eq!(annas.count(), 100);
    let today = entries[0]["time"].as_str().unwrap()[..10].to_owned();
    let month = &today[..7];
    for query in [format!("day={today}"), format!("month={month}")] {
        let summary = house.console(&format!("/api/v1/ledger/summary?{query}"));
        assert_eq!(summary["total"]["cost_micro_usd"], billed, "{summary:#}");
        assert_eq!(summary["total"]["requests"], 200);
    }
    let anna = house.console(&format!("/api/v1/ledger/summary?month={month}&tenant=anna"));
    assert_eq!(anna["total"]["cost_micro_usd"], 80 * cost(11, 5));
}

/// The daemon is killed under load: what is older than a second is there, once.
#[test]
fn a_kill_costs_a_second_at_most() {
    let house = House::new();
    let ask = |house: &House| assert_eq!(house.daemon.send(&chat("cloud-1", false)).status(), 200);
    (0..20).for_each(|_| ask(&house));
    let before = house.entries(20);
    std::thread::sleep(Duration::from_millis(1_200));
    let House { cloud, local, daemon } = house;
    let house = House { cloud, local, daemon: daemon.kill_and_start(false) };
    eventually("the model is there", || house.daemon.send(&chat("cloud-1", false)).status() == 200);
    eventually("all are there", || {
        let found = house.console("/api/v1/ledger/entries?limit=1000");
        let ids: Vec<&Value> = found["entries"].as_array().into_iter().flatten().map(|entry| &entry["id"]).collect();
        before.iter().all(|entry| ids.iter().filter(|id| **id == &entry["id"]).count() == 1)
    });
}
