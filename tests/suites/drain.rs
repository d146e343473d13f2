//! The end: streams finish, new work is refused, and nothing waits for ever.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use airlane_tests::daemon::Setup;
use airlane_tests::fake::Script;

use crate::common::{BOUND, chat, eventually, pair, pair_with};

/// Whether a new connection is refused, closed, or told that the daemon is about to end.
fn refused(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return true };
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let _ = stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut answer = [0; 64];
    match stream.read(&mut answer) {
        Ok(length) => length == 0 || answer.starts_with(b"HTTP/1.1 503"),
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn an_idle_daemon_ends_at_once() {
    for signal in ["TERM", "INT"] {
        let (_fake, mut daemon) = pair("openai");
        daemon.signal(signal);
        assert!(daemon.wait_exit(BOUND).success(), "{signal}: {}", daemon.log());
    }
}

#[test]
fn an_idle_kept_connection_holds_nothing_up() {
    let (_fake, mut daemon) = pair_with("openai", Setup::new().endpoint("drain_s = 600"));
    let mut exchange = daemon.open(&chat("fake-1", false));
    assert_eq!(exchange.finish().status(), 200);
    daemon.signal("TERM");
    assert!(daemon.wait_exit(BOUND).success());
}

#[test]
fn streams_are_let_to_their_end() {
    let (fake, mut daemon) = pair_with("openai", Setup::new().endpoint("drain_s = 600"));
    fake.answer(Script::gated());
    let mut exchange = daemon.open(&chat("fake-1", true));
    let _ = exchange.head();
    fake.release(1);
    let _ = exchange.until("Hello");
    daemon.signal("TERM");
    let address = daemon.address();
    eventually("new connections are refused or told 503, not left hanging", || refused(address));
    assert!((0..5).all(|_| refused(address)), "and that stays so");
    fake.release(100);
    let rest = exchange.rest();
    assert!(exchange.complete() && rest.contains("[DONE]"), "{rest}");
    assert!(daemon.wait_exit(BOUND).success(), "{}", daemon.log());
}

#[test]
fn the_wait_is_bounded() {
    let (fake, mut daemon) = pair_with("openai", Setup::new().endpoint("drain_s = 1"));
    fake.answer(Script { gap: Duration::from_secs(600), ..Script::default() });
    let mut exchange = daemon.open(&chat("fake-1", true));
    let _ = exchange.head();
    let _ = exchange.until("Hello");
    let asked = Instant::now();
    daemon.signal("TERM");
    let _ = daemon.wait_exit(BOUND);
    println!("ended after {:?}", asked.elapsed());
    let rest = exchange.rest();
    assert!(!rest.contains("[DONE]"), "a broken stream must not look whole: {rest}");
    assert!(rest.contains("\"error\"") || !exchange.complete(), "no silent end: {rest}");
    assert!(fake.wait_closed(0, BOUND).is_some(), "the upstream's work is given up");
}

#[test]
fn a_second_signal_ends_it_now() {
    let (fake, mut daemon) = pair_with("openai", Setup::new().endpoint("drain_s = 600"));
    fake.answer(Script::hang());
    let _exchange = daemon.open(&chat("fake-1", false));
    let _ = fake.wait_request(0);
    daemon.signal("TERM");
    let address = daemon.address();
    eventually("the end has begun", || daemon.log().contains("TERM") || refused(address));
    daemon.signal("TERM");
    let _ = daemon.wait_exit(BOUND);
}
