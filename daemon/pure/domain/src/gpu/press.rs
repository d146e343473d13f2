//! What the cards of a machine mean for a server there: who presses it, whether it runs hot, whether a card is gone.

use super::{Card, CardState, is_model_server};

/// The cards that a server uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Uses {
    /// Nobody knows: it is believed to use the one that is free.
    #[default]
    Unknown,
    /// These, by their positions in the driver's order.
    Cards(Vec<u32>),
}

/// What presses a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Press {
    /// How busy its cards are with the work of others, 0 to 100 percent; 0 as long as that need not be left alone.
    pub pressure: u8,
    /// Its cards slow down because of their heat.
    pub throttled: bool,
    /// What is wrong with its cards, as a clause with the server as its subject; empty if nothing is.
    pub ailing: String,
    /// What presses it are model servers alone: work that somebody else gave them, or that they do not stop.
    pub by_servers: bool,
}

impl Press {
    /// What a machine's cards mean for a server there.
    #[must_use]
    pub fn of(cards: &[Card], uses: &Uses) -> Self {
        match uses {
            Uses::Cards(positions) => {
                let own = || cards.iter().filter(|card| positions.contains(&card.index));
                Self {
                    // An answer comes from all of them together, so the slowest one counts.
                    pressure: own().map(pressure).max().unwrap_or(0),
                    throttled: own().any(is_hot),
                    ailing: ailing(&own().filter(|card| is_gone(card)).collect::<Vec<_>>()),
                    by_servers: own().any(is_busy_serving),
                }
            }
            Uses::Unknown => {
                let there = || cards.iter().filter(|card| !is_gone(card));
                // Pressed ones are not used, if one is free; among the free ones a cool one.
                let freest = there().min_by_key(|card| (pressure(card), is_hot(card)));
                let gone: Vec<&Card> = if freest.is_none() { cards.iter().collect() } else { Vec::new() };
                Self {
                    pressure: freest.map_or(0, pressure),
                    throttled: freest.is_some_and(is_hot),
                    ailing: ailing(&gone),
                    by_servers: freest.is_some_and(is_busy_serving),
                }
            }
        }
    }
}

fn pressure(card: &Card) -> u8 {
    let load = card.foreign.as_ref().filter(|load| load.backed_off);
    load.map_or(0, |load| u8::try_from(load.pressure_percent).unwrap_or(100))
}

/// Whether a card is busy, and nobody but model servers is the cause.
fn is_busy_serving(card: &Card) -> bool {
    let by = card.foreign.as_ref().filter(|load| load.backed_off).map(|load| load.by.as_slice()).unwrap_or_default();
    !by.is_empty() && by.iter().all(|process| process.name.as_deref().is_some_and(is_model_server))
}

/// Whether a card slows down because of its heat, as far as it tells.
fn is_hot(card: &Card) -> bool {
    let Some(sample) = &card.sample else { return false };
    let says_so = sample.throttle.iter().flatten().any(|reason| reason.is_heat());
    let is_at_limit = match (sample.temperature_c, sample.slowdown_c) {
        (Some(temperature), Some(limit)) => temperature >= limit && limit > 0,
        (None, _) | (_, None) => false,
    };
    says_so || is_at_limit
}

fn is_gone(card: &Card) -> bool {
    matches!(card.state, CardState::Lost | CardState::NeedsReset)
}

fn ailing(gone: &[&Card]) -> String {
    let what = |card: &Card| {
        let state = if card.state == CardState::NeedsReset { "must be reset" } else { "fell off the bus" };
        match &card.name {
            Some(name) => format!("GPU {} ({name}) {state}", card.index),
            None => format!("GPU {} {state}", card.index),
        }
    };
    let cards: Vec<String> = gone.iter().map(|card| what(card)).collect();
    if cards.is_empty() { String::new() } else { format!("runs without a card that it uses: {}", cards.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{ForeignLoad, Process, Sample, Throttle};

    fn card(index: u32, pressure_percent: u32) -> Card {
        let backed_off = pressure_percent >= 50;
        let foreign = Some(ForeignLoad { pressure_percent, backed_off, by: Vec::new() });
        Card { index, foreign, sample: Some(Sample::default()), ..Card::default() }
    }

    fn hot(mut card: Card, sample: Sample) -> Card {
        card.sample = Some(sample);
        card
    }

    fn heat() -> Sample {
        Sample { throttle: Some(vec![Throttle::SoftwareThermal]), ..Sample::default() }
    }

    #[test]
    fn servers_that_are_busy_by_themselves_are_told_from_games() {
        let by = |names: &[&str], pressure| {
            let processes = names.iter().map(|name| Process { name: Some((*name).to_owned()), ..Process::default() });
            let mut card = card(0, pressure);
            card.foreign.as_mut().unwrap().by = processes.collect();
            [Uses::Unknown, uses(&[0])].map(|uses| Press::of(&[card.clone()], &uses).by_servers)
        };
        for (names, pressure, want) in [
            (&["ollama"][..], 90, true),
            (&["ollama", "llama-server"], 90, true),
            (&["ollama", "game.exe"], 90, false),
            (&[], 90, false),
            (&["ollama"], 10, false),
        ] {
            assert_eq!(by(names, pressure), [want; 2], "{names:?} {pressure}");
        }
    }

    fn uses(positions: &[u32]) -> Uses {
        Uses::Cards(positions.to_vec())
    }

    #[test]
    fn its_own_cards_press_a_server() {
        let cards = [card(0, 90), card(1, 0), card(2, 60), card(3, 30)];
        for (uses, pressure, case) in [
            (uses(&[0]), 90, "its card"),
            (uses(&[1]), 0, "another one is pressed"),
            (uses(&[1, 2]), 60, "the most pressed of its two"),
            (uses(&[3]), 0, "a desktop is no reason"),
            (uses(&[9]), 0, "a card that is not there"),
            (Uses::Unknown, 0, "nobody knows, and one is free"),
        ] {
            assert_eq!(Press::of(&cards, &uses).pressure, pressure, "{case}");
        }
        assert_eq!(Press::of(&cards[..1], &Uses::Unknown).pressure, 90, "the only one");
        assert_eq!(Press::of(&[], &Uses::Unknown), Press::default());
    }

    #[test]
    fn heat_slows_down() {
        let at = |temperature, limit| Sample {
            temperature_c: Some(temperature),
            slowdown_c: Some(limit),
            ..Sample::default()
        };
        for (sample, want, case) in [
            (heat(), true, "the driver says so"),
            (Sample { throttle: Some(vec![Throttle::HardwareThermal]), ..Sample::default() }, true, "the hardware"),
            (Sample { throttle: Some(vec![Throttle::PowerCap]), ..Sample::default() }, false, "power is no heat"),
            (at(90, 90), true, "at its limit"),
            (at(89, 90), false, "below it"),
            (at(50, 0), false, "no limit told"),
            (Sample::default(), false, "nothing told"),
        ] {
            let cards = [hot(card(0, 0), sample), card(1, 0)];
            assert_eq!(Press::of(&cards, &uses(&[0, 1])).throttled, want, "{case}");
            assert!(!Press::of(&cards, &Uses::Unknown).throttled, "{case}: it may use the cool one");
            assert_eq!(Press::of(&cards[..1], &Uses::Unknown).throttled, want, "{case}: there is no other");
        }
        // The cool one is pressed, so it is the hot one that is used.
        let cards = [hot(card(0, 0), heat()), card(1, 90)];
        let press = Press::of(&cards, &Uses::Unknown);
        assert_eq!((press.pressure, press.throttled), (0, true));
    }

    #[test]
    fn a_lost_card_is_told() {
        let lost = Card { state: CardState::Lost, name: Some("RTX".to_owned()), sample: None, ..card(0, 0) };
        let reset = Card { state: CardState::NeedsReset, sample: None, ..card(2, 0) };
        let cards = [lost, card(1, 0), reset];
        assert_eq!(Press::of(&cards, &uses(&[1])).ailing, "");
        assert_eq!(Press::of(&cards, &Uses::Unknown).ailing, "", "it may use the one that is left");
        let clause = "runs without a card that it uses: GPU 0 (RTX) fell off the bus, GPU 2 must be reset";
        assert_eq!(Press::of(&cards, &uses(&[0, 1, 2])).ailing, clause);
        assert!(!Press::of(&cards[..1], &Uses::Unknown).ailing.is_empty(), "there is no other");
    }
}
