//! A server that tells nothing of its requests: whether it goes on with cancelled work is seen on its card.

use std::time::{Duration, Instant};

use airlane_tests::daemon::Daemon;
use airlane_tests::fake::{Fake, Script};
use airlane_tests::nvml::{Cards, Program};
use serde_json::{Value, json};

use super::{GIB, card, gpus, scenario, wait_state, with};
use crate::common::{BOUND, chat, eventually, places, wait_model};

/// Cancelled work shows on a card after eight seconds, and readings are smoothed.
const SHOWS_WITHIN: Duration = Duration::from_secs(30);

fn health(daemon: &Daemon) -> Value {
    places(daemon)["upstreams"][0]["health"].clone()
}

fn is_marked(daemon: &Daemon) -> bool {
    health(daemon)["ignores_cancel"] == true
}

/// A card on which this program computes, as busy as this.
fn used_by(program: &Program, percent: u64) -> Value {
    let process = json!({"pid": program.pid(), "vram_bytes": 6 * GIB, "utilization_percent": percent});
    scenario(&[with(card(0), json!({"utilization_percent": percent, "processes": [process]}))])
}

/// A server on this machine's only card, whose client leaves in the middle of an answer.
struct House {
    server: Program,
    cards: Cards,
    fake: Fake,
    daemon: Daemon,
}

impl House {
    fn new(program: &str) -> Self {
        let server = Program::start(program, "0.5");
        let cards = Cards::new(&used_by(&server, 0));
        let fake = Fake::start();
        let daemon = cards.setup().fake("box", "openai", &fake).start();
        wait_model(&daemon, "fake-1");
        wait_state(&daemon, "reading");
        fake.answer(Script::gated());
        Self { server, cards, fake, daemon }
    }

    fn leave_one(&self) {
        let mut exchange = self.daemon.open(&chat("fake-1", true));
        let _ = self.fake.wait_request(0);
        self.fake.release(1);
        let _ = exchange.head();
        let _ = exchange.until("Hello");
        self.busy(98);
        let _ = exchange.leave();
        assert!(self.fake.wait_closed(0, BOUND).is_some(), "the connection is closed");
    }

    /// The server is seen to keep the card so busy.
    fn busy(&self, percent: u64) {
        self.cards.set(&used_by(&self.server, percent));
        eventually("the card is read", || gpus(&self.daemon)["cards"][0]["sample"]["utilization_percent"] == percent);
    }
}

#[test]
fn a_server_that_goes_on_computing_is_marked() {
    let house = House::new("llama-server");
    house.leave_one();
    let left = Instant::now();
    while !is_marked(&house.daemon) {
        assert!(left.elapsed() < SHOWS_WITHIN, "{:#}", places(&house.daemon));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(left.elapsed() >= Duration::from_secs(5), "what we just did is not yet told apart: {:?}", left.elapsed());
    println!("marked {:.1?} after its client had left", left.elapsed());
    assert_eq!(house.daemon.log().matches("does not stop cancelled work").count(), 1, "it is said once");
}

#[test]
fn a_server_that_stops_is_not_marked_and_neither_is_a_game() {
    let stops = House::new("llama-server");
    stops.leave_one();
    stops.busy(0);
    let game = House::new("game.exe");
    game.leave_one();
    // A third one beside them shows that the time was long enough.
    let goes_on = House::new("llama-server");
    goes_on.leave_one();
    let left = Instant::now();
    while !is_marked(&goes_on.daemon) {
        assert!(left.elapsed() < SHOWS_WITHIN, "{:#}", places(&goes_on.daemon));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!is_marked(&stops.daemon), "it has stopped: {:#}", health(&stops.daemon));
    assert!(!is_marked(&game.daemon), "that is no model server: {:#}", health(&game.daemon));
}
