//! Two real llama.cpp servers behind the daemon, under load, while one of them is killed, restarted and frozen.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use airlane_tests::client::Request;
use airlane_tests::daemon::{Daemon, Setup};
use serde_json::json;

use crate::common::{eventually, models};
use crate::real_model::{MODEL, Model};

/// One request of the load.
#[derive(Debug, Clone)]
struct Ran {
    began: Instant,
    /// Who answered.
    upstream: String,
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

const CLIENTS: usize = 3;

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
            let ran = Ran { began, upstream, status: response.status(), text: response.text() };
            self.ran.lock().unwrap().push(ran);
        }
    }

    fn since(&self, moment: Instant) -> Vec<Ran> {
        self.ran.lock().unwrap().iter().filter(|ran| ran.began >= moment).cloned().collect()
    }

    fn share(&self, since: Instant, upstream: &str) -> usize {
        self.since(since).iter().filter(|ran| ran.upstream == upstream).count()
    }

    /// Time until a place serves again.
    fn until_served_by(&self, upstream: &str) -> Duration {
        let began = Instant::now();
        eventually(&format!("{upstream} serves again"), || self.share(began, upstream) > 0);
        began.elapsed()
    }

    /// Nothing was lost, nothing ended in silence, and after a while nobody went to the fallen place.
    fn check_fall(&self, fell: Instant, fallen: &str, what: &str) {
        let late = || self.since(fell + MOVED_AFTER);
        eventually(&format!("{what}: the load goes on"), || late().len() >= 3);
        let late = late();
        assert!(late.iter().all(|ran| ran.upstream != fallen), "{what}: {late:?}");
        self.check_kept(what);
    }

    fn check_kept(&self, what: &str) {
        let ran = self.since(self.began);
        let lost: Vec<_> = ran.iter().filter(|ran| ran.is_lost() || ran.is_silent()).collect();
        assert!(lost.is_empty(), "{what}: lost before their first token, or broken off in silence: {lost:?}");
    }
}

/// The share has moved by then. Two looks of 0.7 s each find a frozen place; the rest is for a busy test machine.
const MOVED_AFTER: Duration = Duration::from_secs(5);
#[test]
fn a_server_may_be_killed_restarted_and_frozen() {
    let (a, b) = (Model::start_on(0), Model::start_on(0));
    let port = a.address.port();
    let daemon = Setup::new()
        .upstream("a", "openai", &format!("http://{}", a.address), "")
        .upstream("b", "openai", &format!("http://{}", b.address), "")
        .start();
    eventually("both models", || models(&daemon).len() == 2);
    let load = Load { daemon: &daemon, began: Instant::now(), stop: AtomicBool::new(false), ran: Mutex::default() };
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let load = &load;
            scope.spawn(move || load.client(number));
        }
        // However a check ends, the clients must.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story(&load, a, port)));
        load.stop.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
    load.check_kept("at the end");
    println!("{} requests, none lost", load.ran.lock().unwrap().len());
}

fn story(load: &Load<'_>, a: Model, port: u16) {
    let began = Instant::now();
    eventually("both serve", || load.share(began, "a") > 1 && load.share(began, "b") > 1);

    // Killed under load: some of its requests are in prefill, some between tokens.
    drop(a);
    let fell = Instant::now();
    sleep(MOVED_AFTER);
    load.check_fall(fell, "a", "killed");

    let a = Model::start_on(port);
    println!("after its restart it serves again within {:.1?}", load.until_served_by("a"));
    load.check_kept("restarted");

    a.signal("STOP");
    let fell = Instant::now();
    sleep(MOVED_AFTER);
    load.check_fall(fell, "a", "frozen");

    a.signal("CONT");
    println!("after its thaw it serves again within {:.1?}", load.until_served_by("a"));
    load.check_kept("thawed");
}

#[test]
fn a_server_that_dies_while_idle_costs_nothing() {
    let (a, b) = (Model::start_on(0), Model::start_on(0));
    let daemon = Setup::new()
        .upstream("a", "openai", &format!("http://{}", a.address), "")
        .upstream("b", "openai", &format!("http://{}", b.address), "")
        .alias("both", &["a/smollm2-135m-instruct", "b/smollm2-135m-instruct"])
        .start();
    eventually("both models", || models(&daemon).len() == 3);
    let ask = || {
        let body = json!({"model": "both", "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]});
        let response = daemon.post("/v1/chat/completions", &body);
        assert_eq!(response.status(), 200, "{}", response.text());
        response.header("x-airlane-upstream").unwrap_or_default().to_owned()
    };
    assert_eq!(ask(), "a");
    drop(a);
    assert_eq!([ask(), ask()], ["b", "b"]);
}
