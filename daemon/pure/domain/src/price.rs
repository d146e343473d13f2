//! What models cost: prices per kind of usage, tiers by the length of the context, and what a request costs by them.

use std::fmt;
use std::sync::Arc;

mod table;
mod text;

use crate::catalogue::Price;
use crate::money::{MicroUsd, PicoUsd, rounded};
use crate::usage::Usage;

pub use table::Table;

/// Most tiers that a model may have.
pub const TIERS_MAX: usize = 4;

/// The price of each kind of usage.
///
/// Input and output are to be known, or what they cost is unknown. The other kinds are parts of these two: without a price
/// of its own a part is charged as what it is part of, as vendors do that name none. Without a price per picture, pictures
/// are charged by their tokens; without one per request there is no such fee.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rates {
    /// A token of the prompt.
    pub input: Option<PicoUsd>,
    /// A token of the answer.
    pub output: Option<PicoUsd>,
    /// A token of the prompt that was read from the upstream's cache.
    pub cached_read: Option<PicoUsd>,
    /// A token of the prompt that was written into the upstream's cache.
    pub cache_write: Option<PicoUsd>,
    /// A token of the answer that was spent on reasoning.
    pub reasoning: Option<PicoUsd>,
    /// A picture in the prompt.
    pub image: Option<PicoUsd>,
    /// The request itself.
    pub request: Option<PicoUsd>,
}

/// From a length of the prompt on, the whole request is charged by other prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tier {
    /// The first length of the prompt, in tokens, for which it holds.
    pub from_input: u64,
    /// All its prices: none is taken over from a lower tier.
    pub rates: Rates,
}

/// What one model costs at one upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Prices {
    rates: Rates,
    /// By rising length.
    tiers: Vec<Tier>,
    /// Who told them: a vendor's page, the config, an upstream's list.
    source: Arc<str>,
    /// When they held, like `2025-09-29`; empty for "now".
    date: Arc<str>,
}

/// A kind of usage that is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Tokens of the prompt.
    Input,
    /// Tokens of the answer.
    Output,
}

/// Kinds of which it is not known what they cost, because the price or the count is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Unknown(u8);

/// What a request costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// The sum of all that is known, rounded half up.
    pub micro_usd: MicroUsd,
    /// What is not in the sum; the true cost is higher then.
    pub unknown: Unknown,
}

impl Unknown {
    const fn bit(kind: Kind) -> u8 {
        match kind {
            Kind::Input => 1,
            Kind::Output => 2,
        }
    }

    /// Whether it is unknown what this kind costs.
    #[must_use]
    pub const fn has(self, kind: Kind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    /// Whether everything is known.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As one number, to be written down.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From such a number; what no kind stands for is passed over.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 3)
    }

    const fn add(&mut self, kind: Kind) {
        self.0 |= Self::bit(kind);
    }
}

impl Cost {
    /// The cost, if nothing of it is unknown.
    #[must_use]
    pub fn complete(self) -> Option<MicroUsd> {
        self.unknown.is_empty().then_some(self.micro_usd)
    }
}

impl Prices {
    /// Prices without tiers. `source` and `date` are cut at a length that a ledger's row can bear, and lose what would break
    /// their form.
    #[must_use]
    pub fn new(rates: Rates, source: &str, date: &str) -> Self {
        Self { rates, tiers: Vec::new(), source: text::word(source), date: text::word(date) }
    }

    /// The same with another tier; one too many, or one that a tier already begins at, is not taken.
    #[must_use]
    pub fn with_tier(mut self, tier: Tier) -> Self {
        let place = self.tiers.partition_point(|known| known.from_input < tier.from_input);
        let is_known = self.tiers.get(place).is_some_and(|known| known.from_input == tier.from_input);
        if self.tiers.len() < TIERS_MAX && !is_known && tier.from_input > 0 {
            self.tiers.insert(place, tier);
        }
        self
    }

    /// Who told them.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// When they held; empty for "now".
    #[must_use]
    pub fn date(&self) -> &str {
        &self.date
    }

    /// The tiers, by rising length of the prompt.
    #[must_use]
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// The prices of a request with so long a prompt, in tokens.
    #[must_use]
    pub fn rates(&self, input_tokens: u64) -> &Rates {
        let above = self.tiers.partition_point(|tier| tier.from_input <= input_tokens);
        above.checked_sub(1).and_then(|place| self.tiers.get(place)).map_or(&self.rates, |tier| &tier.rates)
    }

    /// The two prices that a route is chosen by, where both are known.
    #[must_use]
    pub fn plain(&self) -> Option<Price> {
        Some(Price { prompt_micros: self.rates.input?.0, output_micros: self.rates.output?.0 })
    }
}

/// What a request with this usage and so many pictures costs.
///
/// The tier is that of the whole prompt, cached tokens included. Parts that upstreams count beside the whole instead of in it
/// are charged as told. A count that is unknown costs nothing only where its price is nothing.
#[must_use]
pub fn cost(prices: &Prices, usage: &Usage, images: u64) -> Cost {
    let parts = [usage.cached_read, usage.cache_write].map(|count| count.unwrap_or(0));
    let whole = usage.input.unwrap_or(0).max(parts[0].saturating_add(parts[1]));
    let rates = prices.rates(whole);
    let mut sum = Sum { pico_usd: 0, unknown: Unknown::default() };
    sum.kind(Kind::Input, usage.input, rates.input, &[(parts[0], rates.cached_read), (parts[1], rates.cache_write)]);
    sum.kind(Kind::Output, usage.output, rates.output, &[(usage.reasoning.unwrap_or(0), rates.reasoning)]);
    sum.add(images, rates.image.unwrap_or_default());
    sum.add(1, rates.request.unwrap_or_default());
    Cost { micro_usd: rounded(sum.pico_usd), unknown: sum.unknown }
}

struct Sum {
    pico_usd: u128,
    unknown: Unknown,
}

impl Sum {
    fn add(&mut self, count: u64, price: PicoUsd) {
        self.pico_usd = self.pico_usd.saturating_add(price.times(count));
    }

    /// Adds a kind and the parts of it that have prices of their own.
    fn kind(&mut self, kind: Kind, count: Option<u64>, price: Option<PicoUsd>, parts: &[(u64, Option<PicoUsd>)]) {
        let mut rest = count;
        for (part, price) in parts {
            if let Some(price) = price {
                self.add(*part, *price);
                rest = rest.map(|rest| rest.saturating_sub(*part));
            }
        }
        match (rest, price) {
            (Some(0), _) => {}
            (Some(rest), Some(price)) => self.add(rest, price),
            (None, Some(PicoUsd(0))) => {}
            (_, None) | (None, _) => self.unknown.add(kind),
        }
    }
}

/// For people, like `2.5 USD per million tokens of prompt, 10 of answer (OpenAI API pricing, 2025-08-07)`.
impl fmt::Display for Prices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word =
            |price: Option<PicoUsd>| price.map_or_else(|| "an unknown number".to_owned(), |price| price.to_string());
        let (input, output) = (word(self.rates.input), word(self.rates.output));
        write!(formatter, "{input} USD per million tokens of prompt, {output} of answer")?;
        match (self.source.is_empty(), self.date.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => write!(formatter, " ({})", self.source),
            (false, false) => write!(formatter, " ({}, {})", self.source, self.date),
        }
    }
}

#[cfg(test)]
mod tests;
