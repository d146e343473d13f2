//! Three real llama.cpp servers behind the daemon, under load, while one of them is killed, restarted and frozen.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use airlane_tests::client::{Request, send};
use airlane_tests::daemon::{Daemon, Setup};
use serde_json::{Value, json};

use crate::common::{eventually, models};
use crate::real_model::{MODEL, Model};

/// One request of the load.
#[derive(Debug, Clone)]
struct Ran {
    began: Instant,
    ended: Instant,
    /// Who answered.
    upstream: String,
    /// Places that were tried for it.
    attempts: u32,
    status: u16,
    text: String,
}

impl Ran {
    fn has_token(&self) -> bool {
        self.text.contains("\"content\":\"")
            && self.text.split("\"content\":\"").skip(1).any(|rest| !rest.starts_with('"'))
    }

    fn is_whole(&self) -> bool {
        self.status == 200 && self.text.contains("data: [DONE]") && !self.text.contains("\"error\"")
    }

    /// It failed although nothing of its answer had been seen.
    fn is_lost(&self) -> bool {
        !self.is_whole() && !self.has_token()
    }

    /// It broke off without saying so.
    fn is_silent(&self) -> bool {
        !self.is_whole() && !self.text.contains("\"error\"")
    }
}

/// Streams one after another, from several clients, until it is told to stop.
struct Load<'a> {
    daemon: &'a Daemon,
    began: Instant,
    stop: AtomicBool,
    ran: Mutex<Vec<Ran>>,
}

/// More than two servers of two slots each can serve at once, so that all three are needed.
const CLIENTS: usize = 5;

impl Load<'_> {
    fn client(&self, number: usize) {
        let mut turn = 0;
        while !self.stop.load(Ordering::Relaxed) {
            turn += 1;
            let content = format!("Client {number}, turn {turn}: count to {}.", turn * 3);
            let body = json!({"model": MODEL, "stream": true, "max_tokens": 12, "temperature": 0,
                "messages": [{"role": "user", "content": content}]});
            let began = Instant::now();
            let response = self.daemon.send(&Request::post("/v1/chat/completions", &body));
            let upstream = response.header("x-airlane-upstream").unwrap_or_default().to_owned();
            let attempts = response.header("x-airlane-attempts").and_then(|text| text.parse().ok()).unwrap_or_default();
            let (status, text, ended) = (response.status(), response.text(), Instant::now());
            let ran = Ran { began, ended, upstream, attempts, status, text };
            self.ran.lock().unwrap().push(ran);
        }
    }

    fn since(&self, moment: Instant) -> Vec<Ran> {
        self.ran.lock().unwrap().iter().filter(|ran| ran.began >= moment).cloned().collect()
    }

    fn share(&self, since: Instant, upstream: &str) -> usize {
        self.since(since).iter().filter(|ran| ran.upstream == upstream).count()
    }

    /// The place serves again, and soon after it could.
    fn check_return(&self, upstream: &str, back: Instant, what: &str) {
        let first = || self.since(back).iter().filter(|ran| ran.upstream == upstream).map(|ran| ran.ended).min();
        eventually(&format!("{upstream} serves again"), || first().is_some());
        let after = first().map(|ended| ended - back).unwrap_or_default();
        println!("{what}: its first answer is complete after {after:.1?}");
        assert!(after <= BACK_WITHIN + MARGIN_BACK, "{what}: {after:?}");
        self.check_kept(what);
    }

    /// Nothing was lost, nothing ended in silence, and soon nobody was sent to the fallen place.
    fn check_fall(&self, fell: Instant, fallen: &str, what: &str) {
        let moved = MOVED_WITHIN + MARGIN_MOVED;
        eventually(&format!("{what}: the load goes on"), || self.since(fell + moved).len() >= 3);
        // Whoever needed a second attempt was sent there first: the others are well.
        let ran = self.since(fell);
        let sent = ran.iter().filter(|ran| ran.upstream == fallen || ran.attempts > 1);
        let last = sent.map(|ran| ran.began - fell).max().unwrap_or_default();
        println!("{what}: the last request that was sent there came after {last:.1?}, of {} in all", ran.len());
        assert!(last <= moved, "{what}: the share has not moved: {last:?}");
        self.check_kept(what);
    }

    fn check_kept(&self, what: &str) {
        let ran = self.since(self.began);
        let lost: Vec<_> = ran.iter().filter(|ran| ran.is_lost() || ran.is_silent()).collect();
        assert!(lost.is_empty(), "{what}: lost before their first token, or broken off in silence: {lost:?}");
    }
}

/// The share has moved by then, from the moment of the fall: two looks of 0.6 s each find a frozen place.
const MOVED_WITHIN: Duration = Duration::from_secs(2);
/// For a test machine whose two cores are busy with three models: a look may begin that much later.
const MARGIN_MOVED: Duration = Duration::from_secs(1);
/// The share comes back by then, from the moment at which the server is started again or goes on.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// For the same machine: it loads its model, and answers whole, beside the others, and whoever builds there meanwhile.
const MARGIN_BACK: Duration = Duration::from_secs(20);
/// Long enough for several requests after that.
const WATCHED: Duration = Duration::from_secs(9);

/// A house with three servers that offer the same model.
fn house() -> ([Model; 3], Daemon) {
    let servers = [0, 1, 2].map(|_| Model::start_on(0));
    let setup = ["a", "b", "c"].into_iter().zip(&servers).fold(Setup::new(), |setup, (name, server)| {
        setup.upstream(name, "openai", &format!("http://{}", server.address), "")
    });
    let daemon = setup.start();
    eventually("all three offer the model", || models(&daemon).len() == 3);
    (servers, daemon)
}

#[test]
fn a_server_may_be_killed_restarted_and_frozen() {
    let ([a, _b, _c], daemon) = house();
    let load = Load { daemon: &daemon, began: Instant::now(), stop: AtomicBool::new(false), ran: Mutex::default() };
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let load = &load;
            scope.spawn(move || load.client(number));
        }
        // However a check ends, the clients must.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story(&load, a)));
        load.stop.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
    load.check_kept("at the end");
    println!("{} requests, none lost", load.ran.lock().unwrap().len());
}

fn story(load: &Load<'_>, a: Model) {
    let (began, port) = (Instant::now(), a.address.port());
    eventually("all serve", || ["a", "b", "c"].iter().all(|name| load.share(began, name) > 0));

    // Killed under load: some of its requests are in prefill, some between tokens.
    drop(a);
    let fell = Instant::now();
    sleep(WATCHED);
    load.check_fall(fell, "a", "killed");

    let (a, back) = (Model::begin_on(port), Instant::now());
    load.check_return("a", back, "restarted");

    a.signal("STOP");
    let fell = Instant::now();
    sleep(WATCHED);
    load.check_fall(fell, "a", "frozen");

    a.signal("CONT");
    load.check_return("a", Instant::now(), "thawed");
}

/// A stream whose prompt takes the model a while to read, and whose answer it takes a while to write.
fn long(number: usize) -> Request {
    let story = format!("Number {number}. ") + &"The dragon went home over the hills. ".repeat(200);
    Request::post(
        "/v1/chat/completions",
        &json!({"model": MODEL, "stream": true, "max_tokens": 2000,
        "temperature": 0, "ignore_eos": true, "messages": [{"role": "user", "content": story}]}),
    )
}

/// A count of the model at each server, as the console shows it.
fn counts(daemon: &Daemon, count: &str) -> HashMap<String, u64> {
    let places = send(daemon.console()[0], &Request::get("/api/v1/places")).json();
    let rows = places["upstreams"].as_array().cloned().unwrap_or_default();
    let name = |row: &Value| row["name"].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|row| (name(row), row["models"][0][count].as_u64().unwrap_or_default())).collect()
}

#[test]
fn each_moment_is_fit_for_dying() {
    let (servers, daemon) = house();
    let mut servers: Vec<(&str, Model)> = ["a", "b", "c"].into_iter().zip(servers).collect();
    let short = |number: usize| {
        let content = format!("Number {number}: say hello.");
        let body = json!({"model": MODEL, "max_tokens": 4, "messages": [{"role": "user", "content": content}]});
        let response = daemon.post("/v1/chat/completions", &body);
        assert_eq!(response.status(), 200, "{}", response.text());
        response.header("x-airlane-upstream").unwrap_or_default().to_owned()
    };

    // While it is idle: nobody notices.
    short(0);
    let (name, idle) = servers.remove(0);
    drop(idle);
    for number in 1..4 {
        assert_ne!(short(number), name);
    }

    // While it reads the prompt: another one answers, as if nothing had been.
    let before = counts(&daemon, "running");
    assert!(before.values().all(|running| *running == 0), "{before:?}");
    let before = counts(&daemon, "served");
    let mut exchange = daemon.open(&long(0));
    let mut reader = None;
    eventually("somebody reads the prompt", || {
        let running = counts(&daemon, "running");
        reader = servers.iter().position(|(name, _)| running[*name] == 1);
        reader.is_some()
    });
    // The request has surely arrived there, and two thousand tokens take it longer.
    sleep(Duration::from_millis(300));
    let (name, reading) = servers.remove(reader.unwrap_or_default());
    drop(reading);
    assert_eq!(exchange.head().status, 200);
    let first = exchange.until("\"content\":\"");
    assert!(!first.contains("\"error\""), "{name} was killed in prefill: {first}");
    let other = servers[0].0;
    assert_eq!(counts(&daemon, "served")[other], before[other] + 1, "{name} was killed before its first token");

    // Between tokens: what was shown cannot be taken back, so the stream ends with an error event.
    servers.clear();
    let rest = exchange.rest();
    assert!(rest.contains("\"error\""), "{rest}");
    assert!(!rest.contains("[DONE]"), "{rest}");
}
