//! Prices in one line of text: as they stand in the table that is shipped, and beside each entry of the ledger.
//!
//! `input 1.25 output 10 from 200001 input 2.5 output 15 | source | 2025-09-29`: US dollars per million tokens, pictures and
//! requests; what follows `from` holds for prompts of at least so many tokens.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Prices, Rates, Tier};
use crate::money::PicoUsd;

/// Longest source or date, in bytes.
const WORD_BYTES_MAX: usize = 80;

/// A source or a date, such that it can stand in a line.
pub(super) fn word(text: &str) -> Arc<str> {
    let clean = text.trim().chars().filter(|letter| !letter.is_control() && *letter != '|');
    let mut bytes = 0;
    let within = clean.take_while(|letter| {
        bytes += letter.len_utf8();
        bytes <= WORD_BYTES_MAX
    });
    within.collect::<String>().trim_end().into()
}

/// The kinds under their names.
fn named(rates: &mut Rates) -> [(&'static str, &mut Option<PicoUsd>); 7] {
    [
        ("input", &mut rates.input),
        ("output", &mut rates.output),
        ("cached_read", &mut rates.cached_read),
        ("cache_write", &mut rates.cache_write),
        ("reasoning", &mut rates.reasoning),
        ("image", &mut rates.image),
        ("request", &mut rates.request),
    ]
}

impl Prices {
    /// Writes them as one line, without loss.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut line = String::new();
        write_rates(&mut line, self.rates);
        for tier in &self.tiers {
            let _ = write!(line, " from {}", tier.from_input);
            write_rates(&mut line, tier.rates);
        }
        let _ = write!(line, " | {} | {}", self.source, self.date);
        line
    }

    /// Reads what [`Prices::to_line`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let mut parts = line.split('|').map(str::trim);
        let (rates, source, date) = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then(|| read(rates, source, date))?
    }
}

fn write_rates(line: &mut String, mut rates: Rates) {
    for (name, price) in named(&mut rates) {
        if let Some(price) = price {
            let space = if line.is_empty() { "" } else { " " };
            let _ = write!(line, "{space}{name} {price}");
        }
    }
}

/// Reads the prices of a line.
pub(super) fn read(rates: &str, source: &str, date: &str) -> Option<Prices> {
    let mut words = rates.split_whitespace();
    let (mut base, mut tiers) = (Rates::default(), Vec::new());
    while let Some(name) = words.next() {
        let value = words.next()?;
        if name == "from" {
            tiers.push(Tier { from_input: value.parse().ok()?, rates: Rates::default() });
            continue;
        }
        let rates = tiers.last_mut().map_or(&mut base, |tier| &mut tier.rates);
        let (_, price) = named(rates).into_iter().find(|(known, _)| *known == name)?;
        *price = Some(PicoUsd::from_usd_per_million(value)?);
    }
    let count = tiers.len();
    let prices = tiers.into_iter().fold(Prices::new(base, source, date), Prices::with_tier);
    (prices.tiers.len() == count).then_some(prices)
}
