//! Days of the calendar, in UTC: numbers of days and what people call them.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// A day in UTC, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u32);

impl Day {
    /// The last day of the year 9999: later ones have no name.
    pub const LAST: Self = Self(2_932_896);

    /// The day of a point in time, in Unix milliseconds.
    #[must_use]
    pub fn of_unix_ms(unix_ms: u64) -> Self {
        u32::try_from(unix_ms / DAY_MS).map_or(Self::LAST, Self).min(Self::LAST)
    }

    /// When it begins, in Unix milliseconds.
    #[must_use]
    pub fn begin_ms(self) -> u64 {
        u64::from(self.0) * DAY_MS
    }

    /// So many days before; 1970-01-01 at the earliest.
    #[must_use]
    pub const fn before(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days))
    }

    /// All days of a month of the years 1970 to 9999.
    #[must_use]
    pub fn of_month(year: u32, month: u32) -> Option<RangeInclusive<Self>> {
        let is_known = (1970..=9999).contains(&year) && (1..=12).contains(&month);
        let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        let first = |year: u32, month: u32| u32::try_from(days(year.into(), month.into(), 1)).ok();
        let (first, next) = is_known.then(|| Some((first(year, month)?, first(next_year, next_month)?)))??;
        Some(Self(first)..=Self(next - 1))
    }
}

/// All days of a month that is written like `2026-11`.
///
/// # Errors
/// It is none of the years 1970 to 9999.
pub fn month(text: &str) -> Result<RangeInclusive<Day>, NoMonth> {
    // Only the form that is written, as for days.
    let first: Day = format!("{text}-01").parse().map_err(|NoDay| NoMonth)?;
    let (year, month, _) = civil(first.0.into());
    let part = |number: u64| u32::try_from(number).map_err(|_| NoMonth);
    Day::of_month(part(year)?, part(month)?).ok_or(NoMonth)
}

/// Like `2026-11-28`.
impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.into());
        write!(formatter, "{year:04}-{month:02}-{day:02}")
    }
}

/// What [`Day`] writes.
impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Self, NoDay> {
        let mut parts = text.split('-').map(|part| part.parse::<u32>().ok());
        let (Some(Some(year)), Some(Some(month)), Some(Some(day)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoDay);
        };
        let month = Self::of_month(year, month).ok_or(NoDay)?;
        let found = Self(month.start().0.saturating_add(day).saturating_sub(1));
        // Only the form that is written, so that a day has one name.
        if day > 0 && month.contains(&found) && found.to_string() == text { Ok(found) } else { Err(NoDay) }
    }
}

/// It is no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a day is written like 2026-11-28")]
pub struct NoDay;

/// It is no month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a month is written like 2026-11")]
pub struct NoMonth;

/// Year, month and day of a day since 1970-01-01. Counts from 0000-03-01, so that leap days end a year.
#[must_use]
pub const fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

/// Days from 1970-01-01 to a date of the years 0 to 9999.
#[must_use]
pub const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_have_names() {
        for (number, name) in
            [(0, "1970-01-01"), (20_785, "2026-11-28"), (19_782, "2024-02-29"), (Day::LAST.0, "9999-12-31")]
        {
            assert_eq!((Day(number).to_string().as_str(), name.parse()), (name, Ok(Day(number))));
        }
        for text in [
            "",
            "2026-11-31",
            "2026-02-29",
            "2026-1-01",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "1969-12-31",
            "2026-11-28-1",
            "+2026-11-28",
            "2026-11-4294967295",
        ] {
            assert_eq!(text.parse::<Day>(), Err(NoDay), "{text}");
        }
    }

    #[test]
    fn months_have_days() {
        let length = |year, month| Day::of_month(year, month).map(|days| days.end().0 - days.start().0 + 1);
        for (year, month, want) in [
            (2024, 2, Some(29)),
            (2026, 2, Some(28)),
            (2026, 12, Some(31)),
            (9999, 12, Some(31)),
            (2026, 0, None),
            (2026, 13, None),
            (1969, 12, None),
            (10_000, 1, None),
        ] {
            assert_eq!(length(year, month), want, "{year} {month}");
        }
    }

    #[test]
    fn months_have_names() {
        for (text, want) in [
            ("2026-11", Some((20_758, 20_787))),
            ("2024-02", Some((19_754, 19_782))),
            ("1970-01", Some((0, 30))),
            ("9999-12", Some((2_932_866, Day::LAST.0))),
            ("2026-13", None),
            ("2026-00", None),
            ("2026-1", None),
            ("2026", None),
            ("2026-11-01", None),
            ("", None),
        ] {
            assert_eq!(month(text).ok(), want.map(|(first, last)| Day(first)..=Day(last)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_day_is_found_again(number in 0..=Day::LAST.0) {
            prop_assert_eq!(Day(number).to_string().parse(), Ok(Day(number)));
            prop_assert_eq!(Day::of_unix_ms(Day(number).begin_ms() + DAY_MS - 1), Day(number));
        }
    }
}
