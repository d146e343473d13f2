//! The ledger's words: what is written down of each request, how it is looked for, and what it adds up to.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

mod settings;
mod sums;

use crate::date::Day;
use crate::money::MicroUsd;
use crate::price::{Cost, Prices, cost};
use crate::usage::Usage;

pub use settings::{Format, Settings, Stats};
pub use sums::{Line, Sums};

/// Bits of an entry's number that tell it from the others of its millisecond.
const NUMBER_BITS: u32 = 20;

/// The name of an entry: when its request ended, and a number. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u64);

impl EntryId {
    /// Of a point in time in Unix milliseconds, and a number of which the lowest twenty bits count: they begin at random
    /// and grow, so that they come twice within a millisecond neither in one run of the daemon nor, but once in a million
    /// cases, in two.
    #[must_use]
    pub const fn new(unix_ms: u64, number: u64) -> Self {
        const MS_MAX: u64 = (1 << (63 - NUMBER_BITS)) - 1;
        let unix_ms = if unix_ms > MS_MAX { MS_MAX } else { unix_ms };
        Self(unix_ms << NUMBER_BITS | number & ((1 << NUMBER_BITS) - 1))
    }

    /// When it was, in Unix milliseconds.
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        self.0 >> NUMBER_BITS
    }

    /// The day on which it was, in UTC.
    #[must_use]
    pub fn day(self) -> Day {
        Day::of_unix_ms(self.unix_ms())
    }

    /// As a number below 2⁶³, to be written down.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// From such a number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number & (u64::MAX >> 1))
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for EntryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// What [`EntryId`] writes.
impl FromStr for EntryId {
    type Err = NoEntryId;

    fn from_str(text: &str) -> Result<Self, NoEntryId> {
        let is_form = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = is_form.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number.filter(|number| number >> 63 == 0).map(Self).ok_or(NoEntryId)
    }
}

/// It is no entry's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of an entry has 16 hexadecimal digits, like 0198c1f3a2b00007")]
pub struct NoEntryId;

/// A text of bounded length and without control characters; empty where nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// The longest one, in bytes. Names in the config are shorter; what clients send may be cut.
    pub const BYTES_MAX: usize = 200;

    /// Takes over what is short and clean; anything else is cut and cleaned.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>> + AsRef<str>) -> Self {
        let seen = text.as_ref();
        if seen.len() <= Self::BYTES_MAX && !seen.chars().any(char::is_control) {
            return Self(text.into());
        }
        let mut bytes = 0;
        let within = seen.chars().filter(|letter| !letter.is_control()).take_while(|letter| {
            bytes += letter.len_utf8();
            bytes <= Self::BYTES_MAX
        });
        Self(within.collect::<String>().into())
    }
}

impl Default for Text {
    fn default() -> Self {
        Self("".into())
    }
}

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// A word out of few, like an outcome; not from a client.
pub type Label = Cow<'static, str>;

/// Which counts were not told by the upstream but reckoned by us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Estimated {
    /// Tokens of the prompt.
    pub input: bool,
    /// Tokens of the answer.
    pub output: bool,
}

/// One request, also one that failed, was cancelled, kept from before or shared.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name, with the time in which it ended.
    pub id: EntryId,
    /// Who pays.
    pub tenant: Text,
    /// The visible beginning or the name of the key; empty without one.
    pub key: Text,
    /// What the client calls its program; empty if it does not tell.
    pub app: Text,
    /// The client's address.
    pub client: Text,
    /// The surface on which it came.
    pub surface: Label,
    /// The model that was asked for.
    pub asked: Text,
    /// Where it went last; empty for nowhere.
    pub upstream: Text,
    /// The model that answered there; empty for none.
    pub answered: Text,
    /// The lane.
    pub lane: Label,
    /// How it ended: `ok`, `cancelled`, or the kind of the failure.
    pub outcome: Label,
    /// How it met the kept answers; empty where they were not asked.
    pub cache: Label,
    /// Why it went there, in few words.
    pub reason: Text,
    /// What was used.
    pub usage: Usage,
    /// Which counts are our own.
    pub estimated: Estimated,
    /// Pictures in the prompt.
    pub images: u64,
    /// The prices by which it was reckoned; `None` where none are known.
    pub prices: Option<Arc<Prices>>,
    /// What it cost. `None`: unknown.
    pub cost: Option<Cost>,
    /// What the policy's reference model would have cost more; below zero if it would have cost less. `None`: unknown, or no
    /// such model.
    pub saved: Option<MicroUsd>,
    /// How long it waited for a place.
    pub queue: Duration,
    /// From its coming to the first visible piece of the answer; `None` without one.
    pub first_token: Option<Duration>,
    /// From its coming to its end.
    pub total: Duration,
    /// Bytes of it that left the house.
    pub bytes_out: u64,
    /// What it was reckoned to cost later; the cost above stays what it was.
    pub correction: Option<Arc<Correction>>,
}

/// The last of the later reckonings of an entry's cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction {
    /// When it was made, in Unix milliseconds.
    pub at_ms: u64,
    /// By which prices.
    pub prices: Option<Arc<Prices>>,
    /// What the request cost by them.
    pub cost: Cost,
}

impl Entry {
    /// More of anything, like tokens, bytes, or micro-dollars of one request, is an error of whoever told it, and would make
    /// sums overflow: about 10¹².
    pub const COUNT_MAX: u64 = 1 << 40;

    /// The same without anything that is more than [`Entry::COUNT_MAX`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let Usage { input, output, cached_read, cache_write, reasoning, saved } = &mut self.usage;
        for count in [input, output, cached_read, cache_write, reasoning].into_iter().flatten() {
            *count = (*count).min(Self::COUNT_MAX);
        }
        if let Some(saved) = saved {
            saved.input = saved.input.min(Self::COUNT_MAX);
            saved.output = saved.output.min(Self::COUNT_MAX);
        }
        self.images = self.images.min(Self::COUNT_MAX);
        self.bytes_out = self.bytes_out.min(Self::COUNT_MAX);
        self.cost = self.cost.map(|cost| Cost { micro_usd: Self::bounded_amount(cost.micro_usd), ..cost });
        self.saved = self.saved.map(Self::bounded_amount);
        self
    }

    /// An amount that is not larger either.
    #[must_use]
    pub fn bounded_amount(amount: MicroUsd) -> MicroUsd {
        let most = Self::COUNT_MAX.cast_signed();
        MicroUsd(amount.0.clamp(-most, most))
    }

    /// An entry of which nothing else is known.
    #[must_use]
    pub fn new(id: EntryId) -> Self {
        Self {
            id,
            tenant: Text::default(),
            key: Text::default(),
            app: Text::default(),
            client: Text::default(),
            surface: Label::default(),
            asked: Text::default(),
            upstream: Text::default(),
            answered: Text::default(),
            lane: Label::default(),
            outcome: Label::default(),
            cache: Label::default(),
            reason: Text::default(),
            usage: Usage::default(),
            estimated: Estimated::default(),
            images: 0,
            prices: None,
            cost: None,
            saved: None,
            queue: Duration::ZERO,
            first_token: None,
            total: Duration::ZERO,
            bytes_out: 0,
            correction: None,
        }
    }

    /// Reckons what it cost by these prices, and what it saved against the reference model's. What was kept from before or
    /// went nowhere costs nothing; where there are no prices the cost is unknown.
    pub fn reckon(&mut self, prices: Option<Arc<Prices>>, reference: Option<&Prices>) {
        self.cost = match &prices {
            _ if self.is_free() => Some(Cost::default()),
            Some(prices) => Some(cost(prices, &self.usage, self.images)),
            None => None,
        };
        self.saved = reference.and_then(|reference| self.saved_against(reference));
        self.prices = prices;
    }

    /// Whether nobody was asked to answer it.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.upstream.is_empty() || self.usage.saved.is_some()
    }

    fn saved_against(&self, reference: &Prices) -> Option<MicroUsd> {
        let usage = match self.usage.saved {
            Some(kept) => Usage { input: Some(kept.input), output: Some(kept.output), ..Usage::default() },
            // Another model would not have had this one's cache.
            None => Usage { cached_read: None, cache_write: None, reasoning: None, ..self.usage },
        };
        let would = cost(reference, &usage, self.images).complete()?;
        Some(would.minus(self.known_cost()?))
    }

    /// What it cost by the last reckoning.
    #[must_use]
    pub fn current_cost(&self) -> Option<Cost> {
        self.correction.as_ref().map_or(self.cost, |correction| Some(correction.cost))
    }

    /// The same, if nothing of it is unknown.
    #[must_use]
    pub fn known_cost(&self) -> Option<MicroUsd> {
        self.current_cost().and_then(Cost::complete)
    }

    /// About what it takes in memory, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let texts = [
            &self.tenant,
            &self.key,
            &self.app,
            &self.client,
            &self.asked,
            &self.upstream,
            &self.answered,
            &self.reason,
        ];
        size_of::<Self>() + texts.into_iter().map(|text| text.len() + 16).sum::<usize>()
    }
}

/// Which entries are looked for; `None` and an empty filter name all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Who paid.
    pub tenant: Option<String>,
    /// The model, as it was asked for or as it answered.
    pub model: Option<String>,
    /// Where it went.
    pub upstream: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// The first moment, in Unix milliseconds.
    pub from_ms: Option<u64>,
    /// The first moment that does not count any more, in Unix milliseconds.
    pub to_ms: Option<u64>,
}

impl Filter {
    /// Whether it names an entry, apart from its time.
    #[must_use]
    pub fn names(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        is(&self.tenant, &entry.tenant)
            && (is(&self.model, &entry.answered) || is(&self.model, &entry.asked))
            && is(&self.upstream, &entry.upstream)
            && is(&self.outcome, &entry.outcome)
    }

    /// The first name that an entry of its time may have, and the first that none may have any more.
    #[must_use]
    pub fn ids(&self) -> std::ops::Range<EntryId> {
        let id = |ms: Option<u64>, else_ms| EntryId::new(ms.unwrap_or(else_ms), 0);
        id(self.from_ms, 0)..self.to_ms.map_or(EntryId(u64::MAX >> 1), |ms| id(Some(ms), 0))
    }
}

/// Newest entries first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// What was found.
    pub entries: Vec<Entry>,
    /// After which name to go on; `None` at the end. A page may hold little and yet not be the last, since a look is bounded.
    pub next: Option<EntryId>,
}

#[cfg(test)]
mod tests;
