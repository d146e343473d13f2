//! Money as whole numbers: what a request costs in micro-dollars, and what one token costs in pico-dollars.
//!
//! Vendors tell prices in US dollars per million tokens, with six decimals at most. One micro-dollar per million tokens is
//! one pico-dollar (10⁻¹² dollars) per token: so each such price is a whole number of pico-dollars, and a request's tokens
//! times their prices is a whole number too. Only that sum is rounded, once, to micro-dollars.

use std::fmt;

/// An amount of money in micro-dollars (10⁻⁶ US dollars). Below zero is what is given back, or lost against something else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicroUsd(pub i64);

impl MicroUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The sum; stops at the largest amount (nine million million dollars) instead of wrapping.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference; stops at the largest and the smallest amount.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// In dollars, with all six decimals.
impl fmt::Display for MicroUsd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, micros) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(formatter, "{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

impl std::iter::Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

/// The price of one token, picture or request in pico-dollars (10⁻¹² US dollars).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PicoUsd(pub u64);

impl PicoUsd {
    /// The highest price, in pico-dollars: a thousand dollars for one token, picture or request is an error of whoever told it.
    pub const MAX: Self = Self(1_000_000_000_000_000);

    /// Reads US dollars for one, like `0.0000025` or `2.5e-6`, without going through binary fractions. What has more than
    /// twelve decimals is rounded half up, which changes a million tokens by half a micro-dollar at most. `None` for
    /// anything else: negative, no number, or more than [`PicoUsd::MAX`].
    #[must_use]
    pub fn from_usd(text: &str) -> Option<Self> {
        decimal(text, 12)
    }

    /// Reads US dollars for a million, like `2.5`, in the same way.
    #[must_use]
    pub fn from_usd_per_million(text: &str) -> Option<Self> {
        decimal(text, 6)
    }

    /// What so many cost, in pico-dollars.
    pub(crate) fn times(self, count: u64) -> u128 {
        u128::from(self.0) * u128::from(count)
    }
}

/// US dollars for a million, without ending zeros.
impl fmt::Display for PicoUsd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if rest == 0 {
            return write!(formatter, "{whole}");
        }
        write!(formatter, "{whole}.{}", format!("{rest:06}").trim_end_matches('0'))
    }
}

/// Rounds pico-dollars half up to micro-dollars.
pub(crate) fn rounded(pico_usd: u128) -> MicroUsd {
    MicroUsd(i64::try_from(pico_usd.saturating_add(500_000) / 1_000_000).unwrap_or(i64::MAX))
}

/// Longest text that is taken for a number, in bytes.
const DECIMAL_BYTES_MAX: usize = 40;

/// A decimal number times a power of ten.
fn decimal(text: &str, shift: i32) -> Option<PicoUsd> {
    if text.len() > DECIMAL_BYTES_MAX {
        return None;
    }
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok().filter(|exponent| exponent.abs() < 100)?),
        None => (text, 0),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let mut value: u128 = 0;
    for digit in whole.bytes().chain(part.bytes()) {
        let digit = digit.is_ascii_digit().then(|| u128::from(digit - b'0'))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    let digits = whole.len() + part.len();
    let shift = shift + exponent - i32::try_from(part.len()).ok()?;
    let power = 10_u128.checked_pow(shift.unsigned_abs());
    let scaled = match (shift >= 0, power) {
        (true, Some(power)) => value.checked_mul(power)?,
        (true, None) if value > 0 => return None,
        // Half of it is added, so that what lies in the middle goes up.
        (false, Some(power)) => value.checked_add(power / 2)? / power,
        (_, None) => 0,
    };
    let scaled = u64::try_from(scaled).ok().filter(|scaled| digits > 0 && *scaled <= PicoUsd::MAX.0)?;
    Some(PicoUsd(scaled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_are_read_exactly() {
        for (text, want) in [
            ("0", Some(0)),
            ("0.0000025", Some(2_500_000)),
            ("2.5e-6", Some(2_500_000)),
            ("25E-7", Some(2_500_000)),
            (".5", Some(500_000_000_000)),
            ("1.", Some(1_000_000_000_000)),
            ("0.000000000001", Some(1)),
            // More decimals than a pico-dollar has.
            ("0.00000019999999999999998", Some(200_000)),
            ("0.0000000000005", Some(1)),
            ("0.0000000000004999", Some(0)),
            ("1e-99", Some(0)),
            ("1000", Some(1_000_000_000_000_000)),
            ("1000.000000000001", None),
            ("1e99", None),
            ("0e99", Some(0)),
            ("-1", None),
            ("+1", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("1_000", None),
            ("NaN", None),
            ("inf", None),
            ("1e", None),
            ("1e999999999999", None),
            ("0x10", None),
            ("99999999999999999999999999999999999999999999", None),
        ] {
            assert_eq!(PicoUsd::from_usd(text).map(|price| price.0), want, "{text}");
        }
        assert_eq!(PicoUsd::from_usd_per_million("2.5"), PicoUsd::from_usd("0.0000025"));
    }

    #[test]
    fn amounts_as_text() {
        for (micros, want) in
            [(0, "0.000000"), (1, "0.000001"), (-1_500_000, "-1.500000"), (i64::MIN, "-9223372036854.775808")]
        {
            assert_eq!(MicroUsd(micros).to_string(), want);
        }
        for (pico, want) in [(0, "0"), (2_500_000, "2.5"), (75_000, "0.075"), (15_000_000, "15"), (1, "0.000001")] {
            assert_eq!(PicoUsd(pico).to_string(), want);
        }
    }

    #[test]
    fn only_the_half_goes_up() {
        for (pico, want) in [(0, 0), (499_999, 0), (500_000, 1), (1_499_999, 1), (u128::MAX, i64::MAX)] {
            assert_eq!(rounded(pico), MicroUsd(want));
        }
    }

    proptest! {
        #[test]
        fn a_price_that_is_written_is_read_again(pico in 0..=PicoUsd::MAX.0) {
            let price = PicoUsd(pico);
            prop_assert_eq!(PicoUsd::from_usd_per_million(&price.to_string()), Some(price));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9.eE+-]{0,45}") {
            let _ = PicoUsd::from_usd(&text);
        }

        #[test]
        fn sums_stop_at_their_ends(a: i64, b: i64) {
            let exact = i128::from(a) + i128::from(b);
            let want = exact.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
            prop_assert_eq!(i128::from(MicroUsd(a).plus(MicroUsd(b)).0), want);
        }
    }
}
