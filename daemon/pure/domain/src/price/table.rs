//! The prices that are shipped: what vendors charge for models that are known for sure.

use std::collections::BTreeMap;

use super::{Prices, text};

/// The shipped table. Its beginning says how it is written.
const SHIPPED: &str = include_str!("../../data/prices.txt");

/// Prices by vendor and model.
#[derive(Debug, Clone, Default)]
pub struct Table {
    prices: BTreeMap<(String, String), Prices>,
    /// Vendors by the host names under which they are called.
    hosts: BTreeMap<String, String>,
}

impl Table {
    /// The table that is shipped.
    #[must_use]
    pub fn shipped() -> Self {
        Self::read(SHIPPED).unwrap_or_default()
    }

    /// Reads a table.
    ///
    /// # Errors
    /// The first line that cannot be read.
    fn read(table: &str) -> Result<Self, &str> {
        let (mut all, mut vendor, mut source, mut date) = (Self::default(), "", "", "");
        for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut parts = line.split('|').map(str::trim);
            let first = parts.next().unwrap_or_default();
            if let Some(name) = first.strip_prefix("vendor ") {
                (source, date) = (parts.next().ok_or(line)?, parts.next().ok_or(line)?);
                let host_name;
                (vendor, host_name) = name.split_once(' ').ok_or(line)?;
                all.hosts.insert(host_name.to_owned(), vendor.to_owned());
                continue;
            }
            let prices = text::read(parts.next().ok_or(line)?, source, date).ok_or(line)?;
            for name in first.split_whitespace() {
                let known = all.prices.insert((vendor.to_owned(), name.to_owned()), prices.clone());
                if known.is_some() || vendor.is_empty() {
                    return Err(line);
                }
            }
        }
        Ok(all)
    }

    /// The vendor who is called at a host name, or at one below it (`eu.api.openai.com`).
    #[must_use]
    pub fn vendor(&self, host_name: &str) -> Option<&str> {
        let host_name = host_name.to_ascii_lowercase();
        let is_below =
            |host: &str| host_name.strip_suffix(host).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        self.hosts.iter().find(|(host, _)| is_below(host)).map(|(_, vendor)| vendor.as_str())
    }

    /// What a model of a vendor costs: under its whole name, or without what only names a build of it (a date or `latest`).
    /// The longest name that is known counts. `None` where it is not known.
    #[must_use]
    pub fn find(&self, vendor: &str, model: &str) -> Option<&Prices> {
        let mut key = (vendor.to_ascii_lowercase(), model.to_ascii_lowercase());
        loop {
            if let Some(prices) = self.prices.get(&key) {
                return Some(prices);
            }
            key.1 = without_build(&key.1)?.to_owned();
        }
    }
}

/// The name without its last part, if that is a date or a number of a build, or `latest`.
fn without_build(name: &str) -> Option<&str> {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = name.rsplitn(4, '-');
    // Like `-2024-08-06`.
    if let (Some(day), Some(month), Some(year), Some(rest)) = (parts.next(), parts.next(), parts.next(), parts.next())
        && [day, month, year].map(str::len) == [2, 2, 4]
        && [day, month, year].into_iter().all(is_number)
    {
        return Some(rest);
    }
    let (rest, part) = name.rsplit_once(['-', '@', ':'])?;
    // `-5` and `-10` name other models, `-001` and `-20250514` do not.
    (part == "latest" || part.len() >= 3 && is_number(part)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::PicoUsd;

    #[test]
    fn the_shipped_table_can_be_read() {
        let table = Table::read(SHIPPED).unwrap();
        assert_eq!(table.prices.len(), Table::shipped().prices.len());
        assert!(table.prices.len() > 50 && SHIPPED.len() <= 6 << 10, "{} bytes", SHIPPED.len());
        for ((vendor, model), prices) in &table.prices {
            let all = [prices.rates(0), prices.rates(u64::MAX)];
            for rates in all {
                let (input, output) = (rates.input.unwrap(), rates.output.unwrap());
                assert!(input > PicoUsd(0) && output.0 <= 1_000_000_000, "{vendor} {model}");
                assert!(rates.cached_read.is_none_or(|read| read < input), "{vendor} {model}");
                assert!(rates.cache_write.is_none_or(|write| write > input), "{vendor} {model}");
            }
            assert!(!prices.source().is_empty() && prices.date().len() == 10, "{vendor} {model}");
        }
    }

    #[test]
    fn names_of_builds_lead_to_their_model() {
        let table = Table::shipped();
        let input = |vendor, model| {
            table.find(vendor, model).and_then(|prices| prices.rates(0).input).map(|price| price.to_string())
        };
        for (vendor, model, want) in [
            ("openai", "gpt-4o", Some("2.5")),
            ("openai", "gpt-4o-2024-08-06", Some("2.5")),
            // This build has a price of its own.
            ("openai", "gpt-4o-2024-05-13", Some("5")),
            ("openai", "GPT-4o", Some("2.5")),
            ("openai", "gpt-4o-mini-2024-07-18", Some("0.15")),
            ("openai", "gpt-4o-audio", None),
            ("openai", "gpt-4o-realtime-2024-12-17", None),
            ("openai", "gpt-4-0613", Some("30")),
            ("anthropic", "claude-sonnet-4-20250514", Some("3")),
            ("anthropic", "claude-sonnet-4@20250514", Some("3")),
            ("anthropic", "claude-3-5-haiku-latest", Some("0.8")),
            ("anthropic", "claude-opus-4-5-20251101", Some("5")),
            ("anthropic", "claude-opus-4-1", Some("15")),
            // Not a build of claude-opus-4.
            ("anthropic", "claude-opus-4-9", None),
            ("anthropic", "claude-opus-4-10", None),
            ("google", "gemini-2.5-pro", Some("1.25")),
            ("google", "gemini-2.0-flash-001", Some("0.1")),
            ("groq", "meta-llama/llama-4-scout-17b-16e-instruct", Some("0.11")),
            ("mistral", "mistral-large-2411", Some("2")),
            ("mistral", "mistral-large-latest", None),
            ("deepseek", "deepseek-chat", Some("0.28")),
            ("nobody", "gpt-4o", None),
            ("openai", "", None),
            ("", "gpt-4o", None),
            ("openai", "-2024", None),
        ] {
            assert_eq!(input(vendor, model).as_deref(), want, "{vendor} {model}");
        }
    }

    #[test]
    fn vendors_are_known_by_their_hosts() {
        let table = Table::shipped();
        for (host_name, want) in [
            ("api.openai.com", Some("openai")),
            ("EU.api.openai.com", Some("openai")),
            ("generativelanguage.googleapis.com", Some("google")),
            ("notapi.openai.com", None),
            ("api.openai.com.example", None),
            ("openrouter.ai", None),
            ("192.168.1.7", None),
            ("", None),
        ] {
            assert_eq!(table.vendor(host_name), want, "{host_name}");
        }
    }

    #[test]
    fn a_table_with_an_error_names_its_line() {
        for (table, line) in [
            ("gpt | input 1 output 2", "gpt | input 1 output 2"),
            ("vendor a a.example | page | 2025-01-01\nm | input", "m | input"),
            ("vendor a a.example | page | 2025-01-01\nm | inputs 1", "m | inputs 1"),
            ("vendor a a.example | page | 2025-01-01\nm m | input 1", "m m | input 1"),
            ("vendor a", "vendor a"),
            ("vendor a | page | 2025-01-01", "vendor a | page | 2025-01-01"),
            ("vendor a a.example | page | 2025-01-01\nm", "m"),
        ] {
            assert_eq!(Table::read(table).unwrap_err(), line);
        }
    }
}
