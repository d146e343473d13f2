//! The database of kept answers: it outlives the daemon, and an ill disk neither delays a request nor changes an answer.
//!
//! Every question names the scope of who asks, and the loopback gives the question back: so every answer says to whom it
//! belongs.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use airlane_tests::client::{Request, Response, send};
use airlane_tests::daemon::{Daemon, Setup, airlane};
use airlane_tests::stored;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::common::{eventually, metric};

/// Clients that ask: each is a tenant.
const CLIENTS: u8 = 4;

fn house() -> Setup {
    Setup::new().upstream("echo", "loopback", "", "tokens_per_s = 100000")
}

fn scope(client: u8) -> String {
    format!("tenant:127.0.0.{}", client + 1)
}

/// What the answer to a question says besides its number.
fn marker(client: u8) -> String {
    format!("<{}>", scope(client))
}

/// A question that is not asked elsewhere. It is so long that files fill up, and nothing in it is said twice.
fn question(client: u8, number: u64, words: u64) -> Value {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(client);
    let noise: Vec<String> = (0..words)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{state:x}")
        })
        .collect();
    let text = format!("{} {number} {}", marker(client), noise.join(" "));
    json!({"model": "echo/echo", "temperature": 0, "messages": [{"role": "user", "content": text}]})
}

/// Asks as one of the clients; `None` where the daemon is killed meanwhile.
fn try_ask(address: SocketAddr, client: u8, body: &Value) -> Option<String> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.bind(&SocketAddr::from(([127, 0, 0, client + 1], 0)).into()).ok()?;
    socket.connect(&address.into()).ok()?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let body = body.to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.ends_with('}').then_some(answer)
}

fn ask(daemon: &Daemon, client: u8, number: u64) -> String {
    let answer = try_ask(daemon.address(), client, &question(client, number, 30)).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(&marker(client)), "{answer}");
    answer
}

fn is_hit(answer: &str) -> bool {
    answer.contains("cache-status: airlane; hit")
}

fn console(daemon: &Daemon, path: &str) -> Response {
    send(daemon.console()[0], &Request::get(path))
}

fn stats(daemon: &Daemon) -> Value {
    console(daemon, "/api/v1/cache").json()
}

fn trouble(daemon: &Daemon) -> String {
    stats(daemon)["trouble"].as_str().unwrap_or_default().to_owned()
}

fn written(daemon: &Daemon) -> u64 {
    stats(daemon)["written"].as_u64().unwrap_or(0)
}

/// The file as the checker sees it: sound, and everybody has their own.
fn check(daemon: &Daemon) -> usize {
    let stored = stored::check(&daemon.data().join("cache.db")).expect("a sound database");
    for (scope, body) in &stored.entries {
        assert!(body.contains(&format!("<{scope}>")), "{scope} has the answer of another: {body}");
    }
    stored.entries.len()
}

#[test]
fn kept_answers_outlive_a_stop() {
    let mut daemon = house().start();
    for client in 0..CLIENTS {
        assert!(!is_hit(&ask(&daemon, client, 1)));
    }
    daemon.signal("TERM");
    daemon.wait_exit(Duration::from_secs(20));
    assert_eq!(check(&daemon), usize::from(CLIENTS), "what waits to be written is written at the end");
    let daemon = daemon.kill_and_start(true);
    eventually("a hit from the file", || is_hit(&ask(&daemon, 0, 1)));
    assert_eq!(stats(&daemon)["database"]["entries"], u64::from(CLIENTS));
}

#[test]
fn the_owner_sees_and_purges() {
    let daemon = house().table("[cache]\nstore = \"disk\"").start();
    for client in 0..3 {
        ask(&daemon, client, 1);
    }
    eventually("three entries", || stats(&daemon)["database"]["entries"] == 3);
    let metrics = daemon.get("/metrics").text();
    assert_eq!(metric(&metrics, &["airlane_cache_entries", "store=\"database\""]), Some(3.0), "{metrics}");
    assert_eq!(metric(&metrics, &["airlane_cache_written_total"]), Some(3.0));
    let url = format!("http://{}", daemon.console()[0]);
    let run = |arguments: &[&str]| airlane(&[&["cache"], arguments, &["--url", &url]].concat());
    let (code, out, err) = run(&["stats"]);
    assert!(code == Some(0) && out.contains("database  3 answers"), "{out}{err}");
    let (code, out, _) = run(&["list", "--prefix", "<tenant:127.0.0.2>"]);
    assert!(code == Some(0) && out.lines().count() == 1 && out.contains("echo/echo for tenant:127.0.0.2"), "{out}");
    let name = out.split(' ').next().expect("a name").to_owned();
    assert_eq!(run(&["purge"]).0, Some(1), "nothing is named");
    let (code, out, err) = run(&["purge", "--entry", &name]);
    assert!(code == Some(0) && out.starts_with("1 answer thrown away"), "{out}{err}");
    let (code, out, _) = run(&["list", "--prefix", "<tenant:127.0.0.2>"]);
    assert!(code == Some(3) && out.contains("no such answer"), "{out}");
    let (_, out, _) = run(&["purge", "--tenant", "127.0.0.1"]);
    assert!(out.starts_with("1 answer thrown away"), "{out}");
    assert!(!is_hit(&ask(&daemon, 0, 1)) && !is_hit(&ask(&daemon, 1, 1)) && is_hit(&ask(&daemon, 2, 1)));
    let (_, out, _) = run(&["purge", "--all"]);
    assert!(out.contains("thrown away") && !is_hit(&ask(&daemon, 2, 1)), "{out}");
    let entries = console(&daemon, "/api/v1/cache/entries").text();
    assert!(!entries.contains("chatcmpl"), "answers are not shown: {entries}");
}

/// The daemon is killed at a hundred moments while it keeps answers: the file is sound each time, nothing in it is half,
/// and nobody has what belongs to another.
#[test]
fn kills_leave_no_half_entry() {
    // So small that entries go all the time as well.
    let mut daemon = house().table("[cache]\ndisk_mib = 1\ntenant_share = 25").start();
    let (number, hits) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut entries = 0;
    for round in 0..100_u64 {
        let (address, is_over) = (daemon.address(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (number, hits, is_over) = (&number, &hits, &is_over);
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        // New questions, and now and then an old one.
                        let next = number.fetch_add(1, Ordering::Relaxed);
                        let number = if next % 4 == 0 { next / 2 } else { next };
                        let Some(answer) = try_ask(address, client, &question(client, number, 30)) else { continue };
                        assert!(answer.contains(&marker(client)), "not for {client}: {answer}");
                        hits.fetch_add(u64::from(is_hit(&answer)), Ordering::Relaxed);
                    }
                });
            }
            // Where in a batch it falls is left to chance: a batch takes a second, or a hundred entries.
            std::thread::sleep(Duration::from_millis(20 + round * 137 % 1_100));
            daemon.kill();
            is_over.store(true, Ordering::Relaxed);
        });
        entries = check(&daemon);
        daemon = daemon.kill_and_start(true);
    }
    assert!(entries > 200 && hits.into_inner() > 0, "{entries} entries were written");
    assert_eq!(trouble(&daemon), "", "no file was put aside");
}

#[test]
fn a_full_disk_delays_nobody_and_is_told() {
    let daemon = house().mounts("mount -t tmpfs -o size=600k none \"$DATA\"").start();
    let mut number = 0;
    eventually("no space left", || {
        for _ in 0..20 {
            number += 1;
            let answer = try_ask(daemon.address(), 0, &question(0, number, 200)).expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        trouble(&daemon).contains("no space left")
    });
    assert!(stats(&daemon)["unwritten"].as_u64().is_some_and(|count| count > 0));
    assert!(is_hit(&ask_long(&daemon, number)), "the memory goes on");
    assert_eq!(metric(&daemon.get("/metrics").text(), &["airlane_cache_trouble"]), Some(1.0));
    daemon.remount("mount -o remount,size=64m \"$DATA\"");
    eventually("it is written again", || trouble(&daemon).is_empty());
    let before = written(&daemon);
    eventually("more is written", || {
        number += 1;
        ask_long(&daemon, number);
        written(&daemon) > before
    });
    check(&daemon);
}

fn ask_long(daemon: &Daemon, number: u64) -> String {
    try_ask(daemon.address(), 0, &question(0, number, 200)).expect("an answer")
}

#[test]
fn a_file_that_cannot_be_written_is_told() {
    let script = "touch \"$DATA/cache.db\"; mount --bind \"$DATA/cache.db\" \"$DATA/cache.db\"; \
                  mount -o remount,bind,ro \"$DATA/cache.db\"";
    let daemon = house().mounts(script).start();
    eventually("the sentence", || trouble(&daemon).contains("cannot be written"));
    assert!(!is_hit(&ask(&daemon, 0, 1)));
    assert!(is_hit(&ask(&daemon, 0, 1)), "the memory goes on");
    let purge = Request::post("/api/v1/cache/purge", &json!({"all": true}));
    let refused = send(daemon.console()[0], &purge);
    assert!(refused.status() == 409 && refused.text().contains("cannot be written"), "{}", refused.text());
    assert!(!is_hit(&ask(&daemon, 0, 1)), "what is in memory is gone all the same");
    daemon.remount("umount \"$DATA/cache.db\"");
    eventually("it is tried again", || trouble(&daemon).is_empty());
    ask(&daemon, 0, 2);
    eventually("it is written", || written(&daemon) > 0);
}

/// Another program holds the file when the owner purges: the answer is given to nobody, and goes once the file is free.
#[test]
fn a_purge_that_is_owed_is_carried_out() {
    let daemon = house().start();
    ask(&daemon, 0, 1);
    eventually("it is written", || written(&daemon) == 1);
    let file = rusqlite::Connection::open(daemon.data().join("cache.db")).expect("the file");
    file.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
    let refused = send(daemon.console()[0], &Request::post("/api/v1/cache/purge", &json!({"all": true})));
    assert!(refused.status() == 409 && refused.text().contains("not everything"), "{}", refused.text());
    let count = || -> u64 { file.query_row("SELECT count(*) FROM answer", [], |row| row.get(0)).expect("a count") };
    assert_eq!(count(), 1, "it could not be thrown away");
    assert!(!is_hit(&ask(&daemon, 0, 1)), "and is given to nobody");
    file.execute_batch("ROLLBACK").expect("the file is free");
    eventually("it is carried out", || trouble(&daemon).is_empty());
    ask(&daemon, 0, 2);
    eventually("what comes then is written", || written(&daemon) == 2);
    assert_eq!(check(&daemon), 1);
}

#[test]
fn a_damaged_file_is_put_aside() {
    let mut daemon = house().start();
    ask(&daemon, 0, 1);
    daemon.signal("TERM");
    daemon.wait_exit(Duration::from_secs(20));
    let file = daemon.data().join("cache.db");
    let length = std::fs::metadata(&file).expect("the file").len();
    std::fs::write(&file, "?".repeat(usize::try_from(length).expect("small"))).expect("written");
    let daemon = daemon.kill_and_start(true);
    eventually("it is told", || trouble(&daemon).contains("cache.db.damaged"));
    assert!(!is_hit(&ask(&daemon, 0, 1)) && is_hit(&ask(&daemon, 0, 1)));
    eventually("it is written", || written(&daemon) == 1);
    assert_eq!(check(&daemon), 1);
    assert!(daemon.data().join("cache.db.damaged").exists());
}

#[test]
fn on_a_router_a_kill_loses_nothing_and_flash_is_not_written() {
    let daemon = house().table("[cache]\nstore = \"memory\"").start();
    ask(&daemon, 0, 1);
    eventually("it is written", || written(&daemon) == 1);
    assert!(!daemon.data().join("cache.db").exists(), "not to the flash");
    let mut daemon = daemon.kill_and_start(true);
    eventually("a hit", || is_hit(&ask(&daemon, 0, 1)));
    daemon.signal("TERM");
    daemon.wait_exit(Duration::from_secs(20));
    assert_eq!(check(&daemon), 1, "the copy is made at the end");
}

/// The disk hangs again and again, with everything that is read and written there. Who asks does not notice.
#[test]
fn a_hanging_disk_delays_nobody_and_is_told() {
    let library = airlane_tests::programs::disk();
    let daemon = house().environment("LD_PRELOAD", &library.display().to_string()).start();
    let hangs = daemon.folder().join("hangs");
    let mut number = 0;
    let mut ask_some = |times: &mut Vec<Duration>| {
        for _ in 0..40 {
            number += 1;
            let began = Instant::now();
            // New questions, and one that was asked some time ago.
            let asked = if number % 4 == 0 { number / 2 } else { number };
            ask(&daemon, 0, asked);
            times.push(began.elapsed());
        }
    };
    let (mut usual, mut hanging) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        ask_some(&mut usual);
        std::fs::write(&hangs, "").expect("the disk hangs");
        ask_some(&mut hanging);
        std::fs::remove_file(&hangs).expect("the disk is well");
    }
    std::fs::write(&hangs, "").expect("the disk hangs");
    ask_some(&mut hanging);
    // What the machine does meanwhile meets both.
    let middle = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (usual, hanging) = (middle(&mut usual), middle(&mut hanging));
    assert!(hanging < usual * 3, "{hanging:?} while the disk hangs, {usual:?} else");
    eventually("the sentence", || trouble(&daemon).contains("has not answered"));
    assert_eq!(metric(&daemon.get("/metrics").text(), &["airlane_cache_trouble"]), Some(1.0));
    let before = written(&daemon);
    assert!(!is_hit(&ask(&daemon, 1, 1)) && is_hit(&ask(&daemon, 1, 1)), "the memory goes on");
    assert_eq!(written(&daemon), before, "the disk does hang");
    std::fs::remove_file(&hangs).expect("the disk is well");
    eventually("it is written again", || trouble(&daemon).is_empty() && written(&daemon) > before);
    assert_eq!(stats(&daemon)["unwritten"], 0);
    check(&daemon);
}
