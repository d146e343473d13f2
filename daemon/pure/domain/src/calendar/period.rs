//! One hour, day, week or month of the calendar, with its name and its limits.

use std::fmt;
use std::str::FromStr;

use super::Zone;
use super::civil::{DAY_S, date, iso_week, monday, month_begins};

/// How often a budget begins anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cycle {
    /// With each full hour on the clock, and when clocks change.
    Hour,
    /// At midnight.
    Day,
    /// On Monday, at midnight (ISO 8601).
    Week,
    /// On the first, at midnight.
    #[default]
    Month,
}

/// A period's name; its `Display` is what the ledger and the pages call it:
/// `2026-11`, `2026-W48`, `2026-11-28`, `2026-11-28T07+01:00`.
///
/// Hours have the offset from UTC, since one hour comes twice when clocks are put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeriodKey {
    cycle: Cycle,
    year: i16,
    /// Month or week.
    part: u8,
    day: u8,
    hour: u8,
    offset_min: i16,
}

/// A stretch of time, from its first second to before its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its name.
    pub key: PeriodKey,
    /// Its first second, since the Unix epoch.
    pub start_unix_s: i64,
    /// The second with which the next one begins.
    pub end_unix_s: i64,
}

/// A text that names no period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no period's name; they look like 2026-11, 2026-W48, 2026-11-28 or 2026-11-28T07+01:00")]
pub struct NotAKey;

/// The last second of the year 9999, less than which every clock shows.
const LAST_S: i64 = 253_402_300_799 - 2 * DAY_S;

impl Cycle {
    /// All, from the shortest.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];
}

impl Period {
    /// The period that holds a time. Times before 1970 and after 9999 count as the first and the last one between.
    #[must_use]
    pub fn at(unix_s: i64, cycle: Cycle, zone: &Zone) -> Self {
        let unix_s = unix_s.clamp(0, LAST_S);
        let wall_s = zone.wall_s(unix_s);
        let day = wall_s.div_euclid(DAY_S);
        match cycle {
            Cycle::Hour => hour(unix_s, wall_s, zone),
            Cycle::Day => calendar(unix_s, zone, day, |day| day + 1, day_key),
            Cycle::Week => calendar(unix_s, zone, monday(day), |day| day + 7, week_key),
            Cycle::Month => calendar(unix_s, zone, first_of_month(day), next_month, month_key),
        }
    }

    /// Whether it holds a time.
    #[must_use]
    pub const fn contains(&self, unix_s: i64) -> bool {
        self.start_unix_s <= unix_s && unix_s < self.end_unix_s
    }
}

/// The period that begins with the day `first`, or the next one if that has begun already: where clocks are put back over
/// midnight, the old day comes for a second time, and the new one goes on.
fn calendar(unix_s: i64, zone: &Zone, first: i64, next: fn(i64) -> i64, key: fn(i64) -> PeriodKey) -> Period {
    let (mut first, mut start_unix_s) = (first, zone.day_begins(first));
    loop {
        let following = next(first);
        let end_unix_s = zone.day_begins(following);
        if unix_s < end_unix_s {
            return Period { key: key(first), start_unix_s, end_unix_s };
        }
        (first, start_unix_s) = (following, end_unix_s);
    }
}

/// Between two full hours clocks may change: then an hour is shorter, or comes twice under another name.
fn hour(unix_s: i64, wall_s: i64, zone: &Zone) -> Period {
    let into_s = wall_s.rem_euclid(3_600);
    let (start, end) = (unix_s - into_s, unix_s - into_s + 3_600);
    // The last change before is what counts; there is one at most within an hour.
    let start_unix_s = zone.change(start, unix_s).unwrap_or(start);
    let end_unix_s = zone.change(unix_s, end).unwrap_or(end);
    let mut key = day_key(wall_s.div_euclid(DAY_S));
    key.cycle = Cycle::Hour;
    key.hour = u8::try_from(wall_s.rem_euclid(DAY_S) / 3_600).unwrap_or_default();
    key.offset_min = i16::try_from((wall_s - unix_s).div_euclid(60)).unwrap_or_default();
    Period { key, start_unix_s, end_unix_s }
}

fn day_key(day: i64) -> PeriodKey {
    let date = date(day);
    PeriodKey { cycle: Cycle::Day, year: year(date.year), part: date.month, day: date.day, hour: 0, offset_min: 0 }
}

fn week_key(monday: i64) -> PeriodKey {
    let (of, week) = iso_week(monday);
    PeriodKey { cycle: Cycle::Week, year: year(of), part: week, day: 0, hour: 0, offset_min: 0 }
}

fn month_key(first: i64) -> PeriodKey {
    PeriodKey { cycle: Cycle::Month, day: 0, ..day_key(first) }
}

fn first_of_month(day: i64) -> i64 {
    let date = date(day);
    month_begins(date.year, date.month)
}

fn next_month(first: i64) -> i64 {
    let date = date(first);
    month_begins(date.year, date.month + 1)
}

fn year(year: i64) -> i16 {
    i16::try_from(year).unwrap_or_default()
}

impl PeriodKey {
    /// How often such a period comes.
    #[must_use]
    pub const fn cycle(self) -> Cycle {
        self.cycle
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        })
    }
}

impl fmt::Display for PeriodKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cycle, year, part, day, hour, offset_min } = *self;
        match cycle {
            Cycle::Month => write!(out, "{year:04}-{part:02}"),
            Cycle::Week => write!(out, "{year:04}-W{part:02}"),
            Cycle::Day => write!(out, "{year:04}-{part:02}-{day:02}"),
            Cycle::Hour => {
                let (sign, ahead) = (if offset_min < 0 { '-' } else { '+' }, offset_min.unsigned_abs());
                write!(out, "{year:04}-{part:02}-{day:02}T{hour:02}{sign}{:02}:{:02}", ahead / 60, ahead % 60)
            }
        }
    }
}

impl FromStr for PeriodKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        read(text).filter(|key| key.to_string() == text).ok_or(NotAKey)
    }
}

/// Reads a key without looking at what stands between its numbers.
fn read(text: &str) -> Option<PeriodKey> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u8>().ok();
    let year = text.get(..4)?.parse().ok()?;
    let key = PeriodKey { cycle: Cycle::Month, year, part: 0, day: 0, hour: 0, offset_min: 0 };
    Some(match text.len() {
        7 => PeriodKey { part: number(5, 7)?, ..key },
        8 => PeriodKey { cycle: Cycle::Week, part: number(6, 8)?, ..key },
        10 => PeriodKey { cycle: Cycle::Day, part: number(5, 7)?, day: number(8, 10)?, ..key },
        19 => {
            let ahead = i16::from(number(14, 16)?) * 60 + i16::from(number(17, 19)?);
            let offset_min = if text.get(13..14)? == "-" { -ahead } else { ahead };
            PeriodKey {
                cycle: Cycle::Hour,
                part: number(5, 7)?,
                day: number(8, 10)?,
                hour: number(11, 13)?,
                offset_min,
                ..key
            }
        }
        _ => return None,
    })
}

#[cfg(test)]
#[path = "period_tests.rs"]
mod tests;
