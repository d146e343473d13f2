//! Keeps the sum of what the sensors tell: folds their facts, publishes it, and says what changed for the owner.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::gpu::{Card, Gpus, Ours, Process};
use domain::machine::Machine;
use domain::telemetry::{Telemetry, TelemetryFold};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::live::Live;
use crate::metrics::Metrics;

/// How often the sum is made at least, so that its ages are right to the second.
const TICK: Duration = Duration::from_secs(1);

/// Folds facts as they come, and once a second without any.
pub(crate) async fn keep(
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    mut cards: watch::Receiver<Gpus>,
    mut machine: watch::Receiver<Option<Machine>>,
) {
    let started = Instant::now();
    let mut fold = TelemetryFold::default();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What was told before this task began, and what will never be told again, is no change.
    cards.mark_changed();
    machine.mark_changed();
    loop {
        tokio::select! {
            Ok(()) = cards.changed() => {
                let report = cards.borrow_and_update().clone();
                let ours = ours(&live, &metrics, fold.known_machine());
                fold.gpus(report, ours, started.elapsed());
            }
            Ok(()) = machine.changed() => {
                if let Some(machine) = machine.borrow_and_update().clone() {
                    fold.machine(machine);
                }
            }
            _ = tick.tick() => {}
        }
        let sum = fold.sum(started.elapsed());
        say_changes(&live.telemetry(), &sum);
        live.publish_telemetry(sum);
    }
}

/// What we do on this machine ourselves.
fn ours(live: &Live, metrics: &Metrics, machine: Option<&Machine>) -> Ours {
    let (snapshot, nothing) = (live.now(), Machine::default());
    let machine = machine.unwrap_or(&nothing);
    let here = snapshot.config.upstreams.iter().filter(|upstream| !upstream.is_node && machine.holds(upstream));
    here.fold(Ours::default(), |sum, upstream| {
        let (in_flight, begun) = metrics.traffic(&upstream.name);
        Ours {
            upstreams: sum.upstreams + 1,
            in_flight: sum.in_flight + in_flight,
            begun: sum.begun.wrapping_add(begun),
        }
    })
}

fn say_changes(before: &Telemetry, now: &Telemetry) {
    let (before, now) = (&before.gpus, &now.gpus);
    if before.state.name() != now.state.name() {
        let state = now.state.name();
        match now.state.sentence() {
            Some(sentence) => info!(gpus = state, "{sentence}"),
            None => info!(gpus = state, cards = now.cards.len(), "graphics cards are read"),
        }
    }
    for card in &now.cards {
        let known = before.cards.iter().find(|known| known.index == card.index);
        say_card(known, card);
    }
}

fn say_card(before: Option<&Card>, card: &Card) {
    let (gpu, name) = (card.index, card.title());
    let was_read = before.is_none_or(|before| before.state.sentence().is_none());
    match card.state.sentence() {
        Some(sentence) if was_read => warn!(gpu, name, "{sentence}"),
        None if !was_read => info!(gpu, name, "the card can be read again"),
        Some(_) | None => {}
    }
    let is_backed_off = |card: &Card| card.foreign.as_ref().is_some_and(|load| load.backed_off);
    let was_backed_off = before.is_some_and(is_backed_off);
    if is_backed_off(card) && !was_backed_off {
        let by: Vec<String> = card.foreign.iter().flat_map(|load| &load.by).map(Process::title).collect();
        info!(gpu, name, by = by.join(", "), "the card is left to others");
    } else if was_backed_off && !is_backed_off(card) && card.foreign.is_some() {
        info!(gpu, name, "the card is free again");
    }
}
