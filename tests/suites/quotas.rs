//! Limits and budgets of policies, with the real daemon: nobody gets more than he may, and everybody is told how it stands.

use std::fs;
use std::thread;

use airlane_tests::client::{Request, Response};
use airlane_tests::daemon::{Daemon, Setup};
use airlane_tests::fake::{Fake, Script};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::common::{chat, chat_body, eventually, messages, messages_body, ollama_chat, pair_with, wait_model};

/// A request of five tokens of answer, as the fake gives them.
fn short(model: &str) -> Value {
    let mut body = chat_body(model, false);
    body["max_tokens"] = json!(5);
    body
}

/// What one answer of the cloud costs: 11 tokens in and 5 out.
const ANSWER_MICRO_USD: usize = 11 * 1_000 + 5 * 10_000;

/// A box of the house with `small` and `big`, and a cloud with `small`, `wide` and `bare`, which tells no price of the last.
struct House {
    gpu: Fake,
    cloud: Fake,
    daemon: Daemon,
}

impl House {
    fn with(policies: &str) -> Self {
        let (gpu, cloud) = (Fake::with_models(&["small", "big"]), Fake::with_models(&["small", "wide", "bare"]));
        let pricing = json!({"prompt": "0.001", "completion": "0.01"});
        let models = [("small", &pricing), ("wide", &pricing), ("bare", &Value::Null)];
        let models = models.map(|(id, pricing)| json!({"id": id, "object": "model", "pricing": pricing}));
        cloud.tell("/v1/models", &json!({"object": "list", "data": models}).to_string());
        let daemon = Setup::new()
            .table(policies)
            .table("[cache]\nenabled = false\n")
            .fake("gpu", "openai", &gpu)
            .upstream("cloud", "openai", &cloud.url(), "local = false\n")
            .alias("both", &["cloud/small", "gpu/small"])
            .start();
        for model in ["big", "wide"] {
            wait_model(&daemon, model);
        }
        Self { gpu, cloud, daemon }
    }

    fn chat(&self, body: &Value) -> Response {
        self.daemon.post("/v1/chat/completions", body)
    }

    fn upstream(&self, model: &str) -> (u16, String) {
        let response = self.chat(&short(model));
        (response.status(), response.header("x-airlane-upstream").unwrap_or_default().to_owned())
    }
}

/// What the ledger's file says.
fn spent_micro_usd(daemon: &Daemon) -> usize {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let ledger = Connection::open_with_flags(daemon.data().join("ledger.db"), flags);
    let sum = ledger.and_then(|ledger| ledger.query_row("SELECT sum(cost) FROM sum", [], |row| row.get(0)));
    sum.unwrap_or(0)
}

fn number(response: &Response, header: &str) -> u64 {
    let value = response.header(header).unwrap_or_else(|| panic!("no {header}: {}", response.text()));
    value.parse().unwrap_or_else(|_| panic!("{header}: {value}"))
}

fn policy(name: &str, rules: &str) -> String {
    format!("[[policy]]\nname = \"{name}\"\n{rules}\n")
}

#[test]
fn requests_are_limited_and_told_in_every_dialect() {
    let limit = "[[policy.limit]]\nper = \"tenant\"\nwindow = \"hour\"\nrequests = 6\n";
    let (fake, daemon) = pair_with("openai", Setup::new().table(&policy("house", limit)));
    let requests = [chat("fake-1", false), messages("fake-1", true), ollama_chat("fake-1", true)];
    let prefixes = ["x-ratelimit-", "anthropic-ratelimit-", "x-ratelimit-"];
    let header = |prefix: &str, what: &str| match prefix {
        "x-ratelimit-" => format!("{prefix}{what}-requests"),
        _ => format!("{prefix}requests-{what}"),
    };
    for left in (0..6).rev() {
        let (request, prefix) = (&requests[left % 3], prefixes[left % 3]);
        let answer = daemon.send(request);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(number(&answer, &header(prefix, "limit")), 6);
        assert_eq!(number(&answer, &header(prefix, "remaining")), left as u64);
        assert!(answer.header(&header(prefix, "reset")).is_some());
    }
    for (request, prefix) in requests.iter().zip(prefixes) {
        let refused = daemon.send(request);
        assert_eq!(refused.status(), 429, "{}", refused.text());
        // One is let in every ten minutes.
        assert!((1..=600).contains(&number(&refused, "retry-after")));
        assert_eq!(number(&refused, &header(prefix, "remaining")), 0);
        assert!(refused.text().contains("6 requests an hour"), "{}", refused.text());
    }
    let [openai, anthropic, ollama] = requests.each_ref().map(|request| daemon.send(request).json());
    assert_eq!(openai["error"]["code"], "rate_limit_exceeded");
    assert_eq!(anthropic["error"]["type"], "rate_limit_error");
    assert!(ollama["error"].is_string());
    assert_eq!(fake.requests().len(), 6, "nothing that was refused went upstream");
}

#[test]
fn each_policy_counts_what_it_holds_for() {
    let of = |requests: u32, per: &str| {
        format!("[[policy.limit]]\nper = \"{per}\"\nwindow = \"hour\"\nrequests = {requests}\n")
    };
    let kids = policy("kids", &format!("apps = [\"kids\"]\n{}", of(3, "device")));
    let (_fake, daemon) = pair_with("openai", Setup::new().table(&policy("house", &of(5, "tenant"))).table(&kids));
    let ask = |app: &str| daemon.send(&chat("fake-1", false).with("user-agent", app));
    for app in ["kids/1", "kids/1", "kids/1"] {
        assert_eq!(ask(app).status(), 200);
    }
    for _ in 0..9 {
        let refused = ask("kids/1");
        assert_eq!(refused.status(), 429);
        assert!(refused.text().contains("kids"), "{}", refused.text());
    }
    assert_eq!([ask("tv").status(), ask("tv").status()], [200; 2], "what was refused cost the house nothing");
    let refused = ask("tv");
    assert!(refused.status() == 429 && refused.text().contains("house"), "{}", refused.text());
}

#[test]
fn fifty_at_once_get_no_more_than_the_limit() {
    let limit = "[[policy.limit]]\nper = \"device\"\nwindow = \"hour\"\nrequests = 20\n";
    let (fake, daemon) = pair_with("openai", Setup::new().table(&policy("house", limit)));
    let statuses: Vec<u16> = thread::scope(|scope| {
        let clients: Vec<_> = (0..50).map(|_| scope.spawn(|| daemon.send(&chat("fake-1", true)).status())).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(429), fake.requests().len()), (20, 30, 20), "{statuses:?}");
}

/// Each answer takes 16 tokens, and may take a hundred more.
#[test]
fn tokens_are_reserved_and_put_right() {
    let limit = "[[policy.limit]]\nper = \"tenant\"\nwindow = \"day\"\ntokens = 1000\n";
    let (_fake, daemon) = pair_with("openai", Setup::new().table(&policy("house", limit)));
    let huge = daemon.send(&chat("fake-1", false));
    assert_eq!((huge.status(), huge.header("retry-after")), (400, None), "it may be longer than the whole limit");
    assert!(huge.text().contains("shorter answer"), "{}", huge.text());
    let mut answered = 0;
    let refused = loop {
        let answer = daemon.post("/v1/messages", &messages_body("fake-1", false));
        match answer.status() {
            200 => answered += 1,
            _ => break answer,
        }
        assert!(answered <= 1_000 / 16, "more than the limit");
    };
    assert_eq!(refused.status(), 429, "{}", refused.text());
    // One may still be held when the next one comes.
    assert!(answered * 16 + 2 * 150 > 1_000, "{answered} answers of 16 tokens");
    assert_eq!(number(&refused, "anthropic-ratelimit-tokens-limit"), 1_000);
    assert!(number(&refused, "retry-after") >= 1);
}

#[test]
fn one_at_a_time_is_one_at_a_time() {
    let limit = "[[policy.limit]]\nper = \"device\"\nconcurrent = 1\ninput_tokens_max = 500\n";
    let (fake, daemon) = pair_with("openai", Setup::new().table(&policy("house", limit)));
    fake.answer(Script::gated());
    let mut first = daemon.open(&chat("fake-1", true));
    eventually("the first one is there", || fake.requests().len() == 1);
    let refused = daemon.send(&chat("fake-1", false));
    assert_eq!((refused.status(), refused.header("retry-after")), (429, None), "nobody knows when it ends");
    fake.answer(Script::default());
    fake.release(5);
    assert_eq!(first.head().status, 200);
    drop(first);
    eventually("the next one is let in", || daemon.send(&chat("fake-1", false)).status() == 200);
    let mut long = chat_body("fake-1", false);
    long["messages"][0]["content"] = json!("word ".repeat(2_000));
    let refused = daemon.post("/v1/chat/completions", &long);
    assert_eq!(refused.status(), 400, "{}", refused.text());
    assert!(refused.text().contains("500 tokens"), "{}", refused.text());
}

#[test]
fn an_upstream_that_has_no_room_is_passed_over() {
    let limit = "[[policy.limit]]\nper = \"upstream\"\nwindow = \"hour\"\nrequests = 2\n";
    let house = House::with(&policy("house", limit));
    let went: Vec<(u16, String)> = (0..5).map(|_| house.upstream("both")).collect();
    let want = [(200, "cloud"), (200, "cloud"), (200, "gpu"), (200, "gpu"), (429, "")];
    assert_eq!(went, want.map(|(status, name)| (status, name.to_owned())));
    assert_eq!((house.gpu.requests().len(), house.cloud.requests().len()), (2, 2));
}

#[test]
fn a_budget_warns_and_then_keeps_requests_in_the_house() {
    let budget =
        "[[policy.budget]]\nper = \"tenant\"\nusd = 1.0\nperiod = \"month\"\nwarn = [50]\nat_limit = \"local\"\n";
    let house = House::with(&policy("house", budget));
    let (mut told, mut clouds) = (0, 0);
    loop {
        let answer = house.chat(&short("both"));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        told += usize::from(answer.header("x-airlane-budget-used") == Some("50"));
        match answer.header("x-airlane-upstream") {
            Some("cloud") => clouds += 1,
            _ => break,
        }
        assert!(clouds * ANSWER_MICRO_USD <= 1_000_000, "{clouds} answers");
    }
    // One may still be held when the next one comes.
    assert!((clouds + 3) * ANSWER_MICRO_USD > 1_000_000, "{clouds} answers");
    assert!(told >= 5, "{told} of {clouds} answers were after half of it");
    assert!(house.daemon.log().contains("a budget is used up, and requests stay in the house"));
    let refused = house.chat(&short("wide"));
    assert_eq!(refused.status(), 403, "{}", refused.text());
    assert!(refused.text().contains("a budget is used up"), "{}", refused.text());
    assert_eq!(house.upstream("gpu/small"), (200, "gpu".to_owned()));
    assert_eq!(house.cloud.requests().len(), clouds);
}

#[test]
fn a_budget_stops_and_stays_used_up_over_a_crash() {
    let budget = "[[policy.budget]]\nper = \"tenant\"\nusd = 0.5\nperiod = \"month\"\n";
    let house = House::with(&policy("house", budget));
    let mut answered = 0;
    let refused = loop {
        let answer = house.chat(&short("wide"));
        match answer.status() {
            200 => answered += 1,
            _ => break answer,
        }
        assert!(answered * ANSWER_MICRO_USD <= 500_000, "{answered} answers");
    };
    assert!((answered + 3) * ANSWER_MICRO_USD > 500_000, "{answered} answers");
    let told = |refused: &Response| {
        assert_eq!((refused.status(), refused.header("x-should-retry")), (402, Some("false")), "{}", refused.text());
        assert_eq!(refused.header("retry-after"), None);
    };
    told(&refused);
    assert_eq!(refused.json()["error"]["code"], "insufficient_quota");
    let anthropic = house.daemon.send(&messages("wide", false));
    told(&anthropic);
    assert_eq!(anthropic.json()["error"]["type"], "billing_error");
    assert_eq!(house.upstream("gpu/small"), (200, "gpu".to_owned()), "what costs nothing goes on");
    let House { gpu: _gpu, cloud, daemon } = house;
    eventually("the ledger has all of it", || spent_micro_usd(&daemon) == answered * ANSWER_MICRO_USD);
    let daemon = daemon.kill_and_start(true);
    wait_model(&daemon, "wide");
    let before = cloud.requests().len();
    told(&daemon.send(&Request::post("/v1/chat/completions", &short("wide"))));
    assert_eq!(cloud.requests().len(), before);
}

/// 11 tokens at $10 and 5 at $30 for a million come to $0.00026.
#[test]
fn a_price_that_nobody_knows_is_taken_for_a_high_one() {
    let budget = "[[policy.budget]]\nper = \"device\"\nusd = 0.001\nperiod = \"day\"\n";
    let house = House::with(&policy("house", budget));
    let statuses: Vec<u16> = (0..8).map(|_| house.upstream("bare").0).collect();
    let answered = statuses.iter().filter(|status| **status == 200).count();
    assert!((3..=4).contains(&answered), "{statuses:?}");
    assert_eq!(statuses[4..], [402; 4]);
}

#[test]
fn counts_outlive_a_change_of_the_config() {
    let limit = "[[policy.limit]]\nper = \"tenant\"\nwindow = \"day\"\nrequests = 3\n";
    let (fake, daemon) = pair_with("openai", Setup::new().table(&policy("house", limit)));
    let ask = || daemon.send(&chat("fake-1", false)).status();
    assert_eq!([ask(), ask(), ask(), ask()], [200, 200, 200, 429]);
    let text = fs::read_to_string(daemon.folder().join("airlane.toml")).unwrap();
    daemon.write_config(&text.replace("requests = 3", "requests = 5"));
    eventually("the new limit holds", || ask() == 200);
    assert_eq!([ask(), ask()], [200, 429]);
    assert_eq!(fake.requests().len(), 5);
}
