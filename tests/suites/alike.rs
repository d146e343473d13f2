//! Kept answers to questions in other words, in a daemon that runs: given where words agree, judged where they may, measured by
//! chance, and taken apart where somebody says that one was wrong.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use airlane_tests::client::{Exchange, Request, Response, send};
use airlane_tests::daemon::{Daemon, Setup, airlane};
use airlane_tests::fake::{Fake, Script};
use airlane_tests::programs::prepared;
use serde_json::{Value, json};

use crate::common::{eventually, metric, wait_model};
use crate::kept::status;

const ASKED: &str = "How do I boil an egg?";
const SAME: &str = "how can I boil an egg, please";
const OTHER: &str = "How do I boil three eggs?";
const OPEN: &str = "How do I cook an egg in boiling water?";

/// A house whose helpdesk may get kept answers to like questions.
struct House {
    fake: Fake,
    daemon: Daemon,
}

pub(crate) fn table() -> String {
    let file = |name: &str| prepared(&format!("target/wordllama/{name}"), "tests/setup").display().to_string();
    format!(
        "[cache.table]\nvectors = {:?}\ntokenizer = {:?}\n",
        file("l2_supercat_256.safetensors"),
        file("l2_supercat_tokenizer_config.json")
    )
}

pub(crate) fn policy(lines: &str) -> String {
    format!("[[policy]]\nname = \"faq\"\napps = [\"helpdesk\"]\n[policy.semantic]\njudge = \"judge\"\n{lines}\n")
}

fn setup(config: &str) -> (Fake, Setup) {
    let fake = Fake::with_models(&["fake-1", "judge", "vectors"]);
    let setup = Setup::new().table(config).fake("box", "openai", &fake);
    (fake, setup)
}

impl House {
    fn of((fake, setup): (Fake, Setup)) -> Self {
        let daemon = setup.start();
        wait_model(&daemon, "vectors");
        let house = Self { fake, daemon };
        house.is_ready();
        house
    }

    fn new(lines: &str) -> Self {
        Self::of(setup(&(table() + &policy(&format!("embeddings = \"table\"\naudited = 0.001\n{lines}")))))
    }

    /// Asks until the table is read: until then, every question is a new one.
    fn is_ready(&self) {
        let mut number = 0;
        eventually("questions are looked for", || {
            number += 1;
            self.asks(&asking(&format!("Is the table of vectors there at look {number}?")));
            self.stats()["questions"]["looked"].as_u64() > Some(0)
        });
    }

    fn asks(&self, request: &Request) -> Response {
        let response = self.daemon.send(request);
        assert_eq!(response.status(), 200, "{}", response.text());
        response
    }

    /// What is said of the kept answers when this is asked.
    fn status(&self, text: &str) -> String {
        status(&self.asks(&asking(text)))
    }

    fn stats(&self) -> Value {
        send(self.daemon.console()[0], &Request::get("/api/v1/cache")).json()
    }

    fn counts(&self, name: &str) -> u64 {
        self.stats()["questions"][name].as_u64().unwrap()
    }

    fn sent(&self) -> Vec<Value> {
        self.fake.requests().iter().map(|record| serde_json::from_slice(&record.request.body).unwrap()).collect()
    }

    /// Requests that reached the model with this text.
    fn reached(&self, text: &str) -> usize {
        self.sent().iter().filter(|body| body["messages"][0]["content"] == text).count()
    }

    /// Judgements that were asked for.
    fn judged(&self) -> usize {
        self.asked_for("judge")
    }

    /// Requests that reached a model.
    fn asked_for(&self, model: &str) -> usize {
        self.sent().iter().filter(|body| body["model"] == model).count()
    }
}

fn body(text: &str) -> Value {
    json!({"model": "fake-1", "temperature": 0, "messages": [{"role": "user", "content": text}]})
}

fn asking_with(body: &Value) -> Request {
    Request::post("/v1/chat/completions", body).with("x-title", "helpdesk")
}

fn asking(text: &str) -> Request {
    asking_with(&body(text))
}

fn is_hit(status: &str) -> bool {
    status.contains("; hit;") && status.contains("detail=\"semantic;sim=")
}

#[test]
fn what_asks_the_same_gets_the_kept_answer() {
    let house = House::new("");
    assert!(house.status(ASKED).contains("fwd=miss; stored"));
    let response = house.asks(&asking(SAME));
    assert!(is_hit(&status(&response)), "{}", status(&response));
    assert_eq!(response.json()["choices"][0]["message"]["content"], "Hello wörld 👋, fine.");
    assert_eq!(response.json()["usage"]["prompt_tokens"], 0, "nothing to pay: {}", response.text());
    assert!(response.header("age").is_some());
    assert_eq!(house.reached(SAME), 0);
    // The same in other dialects, and in pieces.
    let mut streamed = body("Boil an egg, how do I do that?");
    streamed["messages"][0]["content"] = json!("Please, how do I boil an egg?");
    streamed["stream"] = json!(true);
    assert!(is_hit(&status(&house.asks(&asking_with(&streamed)))));
    let ollama = json!({"model": "fake-1", "options": {"temperature": 0}, "stream": false,
        "messages": [{"role": "user", "content": SAME}]});
    let ollama = Request::post("/api/chat", &ollama).with("x-title", "helpdesk");
    assert!(is_hit(&status(&house.asks(&ollama))));
    // What is no question of the same kind.
    assert!(!is_hit(&house.status(OTHER)), "a number");
    let mut system = body(SAME);
    system["messages"] = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": SAME}]);
    assert!(!is_hit(&status(&house.asks(&asking_with(&system)))), "a system prompt");
    let mut tools = body(SAME);
    tools["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    assert!(!is_hit(&status(&house.asks(&asking_with(&tools)))), "tools");
    let of_another = Request::post("/v1/chat/completions", &body(SAME)).with("x-title", "editor");
    assert!(!is_hit(&status(&house.asks(&of_another))), "another app");
    let metrics = house.daemon.get("/metrics").text();
    assert_eq!(metric(&metrics, &["airlane_cache_semantic_hits_total"]), Some(3.0));
}

#[test]
fn nobody_gets_the_answer_of_another_tenant() {
    let house = House::new("");
    house.asks(&asking(ASKED));
    assert!(is_hit(&house.status(SAME)));
    let from: SocketAddr = "127.0.0.2:0".parse().unwrap();
    for text in [SAME, ASKED] {
        let mut exchange = Exchange::connect_from(from, house.daemon.address());
        exchange.send(&asking(text));
        let response = exchange.finish();
        assert!(status(&response).contains("fwd=miss") || text == ASKED, "{}", status(&response));
        assert!(house.reached(text) > 0);
    }
}

#[test]
fn questions_are_found_after_a_crash() {
    let house = House::new("");
    house.asks(&asking(ASKED));
    let database = house.daemon.data().join("cache.db");
    eventually("it is written", || {
        let file = rusqlite::Connection::open(&database).unwrap();
        let count = "SELECT count(*) FROM question WHERE text = ?1";
        file.query_row(count, [ASKED], |row| row.get::<_, u64>(0)).is_ok_and(|count| count == 1)
    });
    let House { fake, daemon } = house;
    let house = House { fake, daemon: daemon.kill_and_start(false) };
    wait_model(&house.daemon, "vectors");
    house.is_ready();
    assert!(is_hit(&house.status(SAME)), "the question is found in the database");
    let purged = send(house.daemon.console()[0], &Request::post("/api/v1/cache/purge", &json!({"all": true})));
    assert_eq!(purged.status(), 200);
    assert!(house.status(SAME).contains("fwd=miss; stored"), "what was purged leads nowhere");
}

#[test]
fn what_may_be_the_same_is_judged_and_then_given() {
    for (verdict, is_given, counter) in [("SAME", true, "judged_same"), ("DIFFERENT", false, "judged_other")] {
        let house = House::new("");
        house.fake.answer_model("judge", Script::text(verdict));
        house.asks(&asking(ASKED));
        house.fake.answer_model("fake-1", Script::text("Put it into boiling water for ten minutes."));
        assert!(house.status(OPEN).contains("fwd=miss"), "nobody knows yet");
        eventually("it is judged", || house.counts(counter) == 1);
        // In words that the gate knows for the same as those that were judged.
        let again = OPEN.replace("How do I", "How can I");
        let answer = house.asks(&asking(&again));
        assert!(is_hit(&status(&answer)), "{verdict}: {}", status(&answer));
        let text = answer.json()["choices"][0]["message"]["content"].clone();
        assert_eq!(text == "Hello wörld 👋, fine.", is_given, "{verdict}: {text}");
        let sent = house.sent();
        let judged = sent.iter().find(|body| body["model"] == "judge").unwrap();
        let shown = judged["messages"][1]["content"].as_str().unwrap();
        assert!(shown.contains(ASKED) && shown.contains(OPEN) && shown.contains("ten minutes"), "{shown}");
    }
}

#[test]
fn nobody_judges_who_has_something_else_to_do() {
    let house = House::new("");
    house.fake.answer_model("judge", Script::text("SAME"));
    house.asks(&asking(ASKED));
    let before = house.fake.requests().len();
    house.fake.answer_next(Script::gated());
    let mut streamed = body("Which planet has the most moons?");
    streamed["stream"] = json!(true);
    let mut busy = house.daemon.open(&asking_with(&streamed));
    let _ = house.fake.wait_request(before);
    house.fake.answer_model("fake-1", Script::text("Put it into boiling water."));
    house.asks(&asking(OPEN));
    // Longer than a look whether somebody is idle.
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(house.judged(), 0, "the server has something to do");
    house.fake.release(1_000);
    assert!(busy.finish().complete);
    eventually("it is judged", || house.counts("judged_same") == 1);
    assert_eq!(house.judged(), 1);
}

#[test]
fn questions_do_not_leave_the_house_to_be_judged() {
    let (cloud, fake) = (Fake::with_models(&["judge", "far"]), Fake::with_models(&["fake-1", "vectors"]));
    let setup = Setup::new().table(&(table() + &policy("embeddings = \"table\""))).fake("box", "openai", &fake);
    let house = House::of((fake, setup.upstream("cloud", "openai", &cloud.url(), "local = false\n")));
    wait_model(&house.daemon, "far");
    house.asks(&asking(ASKED));
    house.fake.answer_model("fake-1", Script::text("Put it into boiling water."));
    house.asks(&asking(OPEN));
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(cloud.requests().is_empty() && house.counts("judged_same") == 0);
}

#[test]
fn a_share_of_the_hits_is_measured() {
    let config = table() + &policy("embeddings = \"table\"\naudited = 1.0");
    let house = House::of(setup(&config));
    house.fake.answer_model("judge", Script::text("DIFFERENT"));
    house.asks(&asking(ASKED));
    // The same answer again: no judge is needed.
    assert!(house.status(SAME).contains("fwd=miss"), "it is asked anew");
    eventually("it is measured", || house.counts("audited") == 1);
    assert_eq!((house.counts("audited_wrong"), house.counts("given")), (0, 0));
    house.fake.answer_model("fake-1", Script::text("Not at all."));
    assert!(house.status("Please tell me how do I boil an egg").contains("fwd=miss"));
    eventually("it is measured again", || house.counts("audited") == 2);
    assert_eq!(house.counts("audited_wrong"), 1);
    let (_, out, err) = airlane(&["cache", "stats", "--url", &console(&house)]);
    assert!(out.contains("1 of 2 that were asked anew, 0 unclear (50.00 %"), "{out}{err}");
}

fn console(house: &House) -> String {
    format!("http://{}", house.daemon.console()[0])
}

#[test]
fn whoever_asks_may_say_that_it_was_wrong() {
    let house = House::new("");
    house.asks(&asking(ASKED));
    let wrong = house.asks(&asking(SAME));
    assert!(is_hit(&status(&wrong)));
    // The same request with our own header: an answer is made, and the two are apart from now on.
    house.fake.answer_model("fake-1", Script::text("Ten minutes."));
    let right = house.asks(&asking(SAME).with("x-airlane-cache", "wrong"));
    assert!(status(&right).contains("fwd=miss; stored"), "{}", status(&right));
    assert!(house.status(SAME).contains("detail=\"exact\""));
    let third = house.asks(&asking("How can I boil an egg?"));
    assert_eq!(third.json()["choices"][0]["message"]["content"], "Ten minutes.", "{}", status(&third));
    assert_eq!(house.counts("said_wrong"), 1);
    // By the request's name.
    let id = third.header("x-request-id").unwrap().to_owned();
    let say = |id: &str| airlane(&["cache", "wrong", id, "--url", &console(&house)]);
    let (code, out, err) = say(&id);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(!is_hit(&house.status("How can I boil an egg?")));
    let (code, _, err) = say(&id);
    assert!(code == Some(1) && err.contains("of late"), "{err}");
}

#[test]
fn an_exact_answer_that_is_wrong_is_thrown_away() {
    let house = House::new("");
    house.asks(&asking(ASKED));
    house.fake.answer_model("fake-1", Script::status(500));
    let failed = house.daemon.send(&asking(ASKED).with("x-airlane-cache", "wrong"));
    assert_ne!(failed.status(), 200);
    house.fake.answer_model("fake-1", Script::text("Ten minutes."));
    let fresh = house.asks(&asking(ASKED));
    assert!(status(&fresh).contains("fwd=miss; stored"), "it is not given again: {}", status(&fresh));
}

#[test]
fn another_answer_is_not_given_to_what_the_old_one_was_judged_by() {
    let house = House::new("");
    house.fake.answer_model("judge", Script::text("SAME"));
    house.asks(&asking(ASKED));
    house.fake.answer_model("fake-1", Script::text("Put it into boiling water."));
    house.asks(&asking(OPEN));
    eventually("it is judged", || house.counts("judged_same") == 1);
    house.asks(&asking(ASKED).with("cache-control", "no-cache"));
    house.fake.answer_model("fake-1", Script::text("Eight minutes."));
    let again = house.asks(&asking(&OPEN.replace("How do I", "How can I")));
    assert_eq!(again.json()["choices"][0]["message"]["content"], "Eight minutes.", "{}", status(&again));
}

#[test]
fn the_embeddings_model_stands_where_the_client_allows() {
    let far = Fake::with_models(&["far-vectors"]);
    let fake = Fake::with_models(&["fake-1", "vectors"]);
    let config = policy("embeddings = \"far-vectors\"");
    let setup = Setup::new().table(&config).fake("box", "openai", &fake).fake("far", "openai", &far);
    let daemon = setup.start();
    wait_model(&daemon, "far-vectors");
    let mut only = body(ASKED);
    only["provider"] = json!({"ignore": ["far"]});
    assert_eq!(daemon.send(&asking_with(&only)).status(), 200);
    assert!(far.requests().is_empty(), "the question does not go where its client forbids");
    assert_eq!(daemon.send(&asking(ASKED)).status(), 200);
    assert_eq!(far.requests().len(), 1);
}

#[test]
fn vectors_may_come_from_any_model() {
    let config = policy("embeddings = \"vectors\"\naudited = 0.001");
    let house = House::of(setup(&config));
    house.asks(&asking(ASKED));
    assert!(is_hit(&house.status(SAME)));
    assert!(!is_hit(&house.status(OTHER)), "all vectors are the same here; words decide");
    assert_eq!(house.reached(SAME), 0);
    // A model that hangs holds nobody up for long, and what comes then is a new question.
    house.fake.answer_model("vectors", Script::hang());
    assert!(house.status("May I boil an egg?").contains("fwd=miss"));
    // Nor is it waited for again before it has answered once; until then it has one question at a time.
    let before = (house.counts("late"), house.asked_for("vectors"));
    let began = Instant::now();
    for number in 0..20 {
        assert!(house.status(&format!("May I boil {number} eggs?")).contains("fwd=miss"));
    }
    let each = began.elapsed() / 20;
    assert_eq!((house.counts("late"), house.asked_for("vectors")), (before.0 + 20, before.1), "{each:?} each");
}

#[test]
fn a_model_that_was_late_is_waited_for_when_it_is_in_time_again() {
    let house = House::of(setup(&policy("embeddings = \"vectors\"\naudited = 0.001")));
    house.asks(&asking(ASKED));
    house.fake.answer_model("vectors", Script { headers_after: Duration::from_millis(1_500), ..Script::default() });
    assert!(house.status(SAME).contains("fwd=miss"));
    let asked = house.asked_for("vectors");
    house.fake.answer_model("vectors", Script::default());
    let mut number = 0;
    eventually("it is asked again", || {
        number += 1;
        house.status(&format!("May I boil {number} eggs?"));
        house.asked_for("vectors") > asked + 1
    });
    assert!(is_hit(&house.status("Please tell me how do I boil an egg")));
}

#[test]
fn words_for_the_judge_bring_no_answer_to_others() {
    for (scope, judged) in [("house", 0), ("tenant", 1)] {
        let house = House::new(&format!("[policy.cache]\nscope = {scope:?}"));
        house.fake.answer_model("judge", Script::text("SAME"));
        house.asks(&asking(ASKED));
        house.fake.answer_model("fake-1", Script::text("Put it into boiling water."));
        house.asks(&asking(OPEN));
        eventually("it is kept", || status(&house.asks(&asking(OPEN))).contains("exact"));
        if judged > 0 {
            eventually("it is judged", || house.judged() == judged);
        }
        // What agrees word by word is given to all the same.
        assert!(is_hit(&house.status(SAME)));
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(house.judged(), judged, "{scope}");
    }
}

#[test]
fn a_table_that_cannot_be_read_is_told() {
    let config = "[cache.table]\nvectors = \"/nowhere/a\"\ntokenizer = \"/nowhere/b\"\n".to_owned();
    let (fake, setup) = setup(&(config + &policy("embeddings = \"table\"")));
    let daemon = setup.start();
    wait_model(&daemon, "fake-1");
    let house = House { fake, daemon };
    house.asks(&asking(ASKED));
    assert!(house.status(SAME).contains("fwd=miss; stored"), "the house stands");
    eventually("it is told", || {
        house.stats()["questions"]["trouble"].as_str().is_some_and(|why| why.contains("/nowhere/a cannot be read"))
    });
}
