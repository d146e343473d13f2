//! All that is known of this machine at one moment: one immutable sum, folded from the facts of the sensors.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gpu::{Card, CardState, ForeignFold, GpuState, Gpus, Ours};
use crate::machine::Machine;

/// What is true now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Graphics cards.
    pub gpus: Gpus,
    /// The rest of the machine; `None` until it has been read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

/// A reading is expected every second; one that is older than this is called late. A machine under full load may need a
/// few.
const LATE_AFTER: Duration = Duration::from_secs(5);

/// Makes a [`Telemetry`] of facts as they come. Times are given as time since the start, and only grow.
#[derive(Debug, Default)]
pub struct TelemetryFold {
    gpus: Gpus,
    read_at: Option<Duration>,
    machine: Option<Machine>,
    loads: BTreeMap<String, ForeignFold>,
    /// Cards that could be read, the last read at the end.
    known: Vec<Known>,
}

/// A card that could be read once.
#[derive(Debug)]
struct Known {
    index: u32,
    uuid: String,
    name: Option<String>,
}

/// Most cards that are remembered.
const KNOWN_MAX: usize = 64;

impl TelemetryFold {
    /// A reading of the cards, taken at `now`.
    pub fn gpus(&mut self, mut report: Gpus, ours: Ours, now: Duration) {
        for card in &mut report.cards {
            if card.state == CardState::Reading { self.learn(card) } else { self.remember(card) }
        }
        if matches!(report.state, GpuState::Reading | GpuState::NoCard) {
            self.add_lost(&mut report.cards);
        }
        for card in &mut report.cards {
            let Some(sample) = &card.sample else { continue };
            let fold = self.loads.entry(key(card)).or_default();
            card.foreign = Some(fold.take(sample, ours, now));
        }
        self.loads.retain(|known, _| report.cards.iter().any(|card| key(card) == *known));
        self.gpus = report;
        self.read_at = Some(now);
    }

    /// A reading of the machine.
    pub fn machine(&mut self, machine: Machine) {
        self.machine = Some(machine);
    }

    /// The machine as last read.
    #[must_use]
    pub fn known_machine(&self) -> Option<&Machine> {
        self.machine.as_ref()
    }

    /// The sum at `now`.
    #[must_use]
    pub fn sum(&self, now: Duration) -> Telemetry {
        let mut gpus = self.gpus.clone();
        let age = now.saturating_sub(self.read_at.unwrap_or_default());
        // A driver that cannot be used is asked less often, and its state does not age.
        if matches!(gpus.state, GpuState::Reading | GpuState::Starting) && age > LATE_AFTER {
            gpus.state = GpuState::Late { age_s: age.as_secs() };
        }
        gpus.age_ms = self.read_at.map(|_| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        Telemetry { gpus, machine: self.machine.clone() }
    }

    fn learn(&mut self, card: &Card) {
        let Some(uuid) = card.uuid.clone() else { return };
        self.known.retain(|known| known.uuid != uuid);
        if self.known.len() >= KNOWN_MAX {
            self.known.remove(0);
        }
        self.known.push(Known { index: card.index, uuid, name: card.name.clone() });
    }

    /// A card that cannot be read any more keeps the names under which it was known at its place.
    fn remember(&self, card: &mut Card) {
        let Some(known) = self.known.iter().rev().find(|known| known.index == card.index) else { return };
        card.uuid.get_or_insert_with(|| known.uuid.clone());
        card.name = card.name.take().or_else(|| known.name.clone());
    }

    /// A driver that is opened anew does not tell of cards that it no longer reaches.
    fn add_lost(&self, cards: &mut Vec<Card>) {
        for known in &self.known {
            if !cards.iter().any(|card| card.uuid.as_ref() == Some(&known.uuid)) {
                let (uuid, name) = (Some(known.uuid.clone()), known.name.clone());
                cards.push(Card { index: known.index, uuid, name, state: CardState::Lost, ..Card::default() });
            }
        }
    }
}

fn key(card: &Card) -> String {
    card.uuid.clone().unwrap_or_else(|| card.index.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Sample;

    fn card(index: u32, state: CardState, used: Option<u32>) -> Card {
        let known = state == CardState::Reading;
        Card {
            index,
            uuid: known.then(|| format!("GPU-{index}")),
            name: known.then(|| "Card".to_owned()),
            sample: used.map(|used| Sample { utilization_percent: Some(used), ..Sample::default() }),
            state,
            foreign: None,
        }
    }

    fn report(cards: Vec<Card>) -> Gpus {
        Gpus { state: GpuState::Reading, cards, ..Gpus::default() }
    }

    #[test]
    fn a_lost_card_keeps_its_names_and_the_others_go_on() {
        let mut fold = TelemetryFold::default();
        let both = || report(vec![card(0, CardState::Reading, Some(0)), card(1, CardState::Reading, Some(9))]);
        fold.gpus(both(), Ours::default(), Duration::from_secs(1));
        let lost = report(vec![card(0, CardState::Lost, None), card(1, CardState::Reading, Some(9))]);
        fold.gpus(lost.clone(), Ours::default(), Duration::from_secs(2));
        fold.gpus(lost, Ours::default(), Duration::from_secs(3));
        let cards = fold.sum(Duration::from_secs(3)).gpus.cards;
        assert_eq!((cards[0].uuid.as_deref(), cards[0].name.as_deref()), (Some("GPU-0"), Some("Card")));
        assert_eq!((cards[0].foreign.is_some(), cards[1].foreign.is_some()), (false, true));
        fold.gpus(both(), Ours::default(), Duration::from_secs(4));
        assert!(fold.sum(Duration::from_secs(4)).gpus.cards.iter().all(|card| card.foreign.is_some()));
    }

    #[test]
    fn silence_is_called_late_and_keeps_the_last_values() {
        let mut fold = TelemetryFold::default();
        assert_eq!(fold.sum(Duration::from_secs(1)).gpus.state, GpuState::Starting);
        assert_eq!(fold.sum(Duration::from_secs(9)).gpus.state, GpuState::Late { age_s: 9 }, "the first call hangs");
        fold.gpus(report(vec![card(0, CardState::Reading, Some(40))]), Ours::default(), Duration::from_secs(10));
        for (at_s, state) in [(10, GpuState::Reading), (15, GpuState::Reading), (16, GpuState::Late { age_s: 6 })] {
            let gpus = fold.sum(Duration::from_secs(at_s)).gpus;
            assert_eq!((gpus.state, gpus.cards.len()), (state, 1), "at {at_s} s");
            assert_eq!(gpus.age_ms, Some((at_s - 10) * 1_000));
        }
        fold.gpus(Gpus { state: GpuState::NoDriver, ..Gpus::default() }, Ours::default(), Duration::from_secs(20));
        assert_eq!(fold.sum(Duration::from_secs(80)).gpus.state, GpuState::NoDriver, "asked less often, not late");
    }

    #[test]
    fn a_card_that_the_driver_tells_no_more_is_lost() {
        let mut fold = TelemetryFold::default();
        let states = |fold: &TelemetryFold| -> Vec<(Option<String>, CardState)> {
            let cards = fold.sum(Duration::from_secs(9)).gpus.cards;
            cards.into_iter().map(|card| (card.uuid, card.state)).collect()
        };
        let gpu = |index: u32, state| (Some(format!("GPU-{index}")), state);
        let reading = |index| card(index, CardState::Reading, Some(0));
        fold.gpus(report(vec![reading(0), reading(1)]), Ours::default(), Duration::from_secs(1));
        // The second card moves up to the first one's place.
        let moved = Card { index: 0, ..reading(1) };
        fold.gpus(report(vec![moved]), Ours::default(), Duration::from_secs(2));
        assert_eq!(states(&fold), [gpu(1, CardState::Reading), gpu(0, CardState::Lost)]);
        fold.gpus(Gpus { state: GpuState::NoCard, ..Gpus::default() }, Ours::default(), Duration::from_secs(3));
        assert_eq!(states(&fold), [gpu(0, CardState::Lost), gpu(1, CardState::Lost)]);
        fold.gpus(Gpus { state: GpuState::NoDriver, ..Gpus::default() }, Ours::default(), Duration::from_secs(4));
        assert_eq!(states(&fold), [], "nothing is known of cards without a driver");
        fold.gpus(report(vec![reading(0), reading(1)]), Ours::default(), Duration::from_secs(5));
        assert_eq!(states(&fold), [gpu(0, CardState::Reading), gpu(1, CardState::Reading)]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut fold = TelemetryFold::default();
        for index in 0..1_000 {
            let cards = vec![card(index, CardState::Reading, Some(0))];
            fold.gpus(report(cards), Ours::default(), Duration::from_secs(u64::from(index)));
        }
        assert_eq!((fold.known.len(), fold.gpus.cards.len(), fold.loads.len()), (KNOWN_MAX, KNOWN_MAX, KNOWN_MAX));
    }
}
