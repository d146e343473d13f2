//! At which times requests are served.

use std::time::Duration;

use crate::calendar::Zone;

/// Days of the week and a time of the day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hours {
    /// Whether each day counts, Monday first. Times after midnight belong to the day on which the span began.
    pub days: [bool; 7],
    /// Begin, in minutes since midnight.
    pub from: u16,
    /// End, in minutes since midnight, not included. No later than `from` it is one of the next day.
    pub to: u16,
    /// Whose clocks count.
    pub zone: Zone,
}

/// The days, Monday first, as they are written.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const DAY_MIN: i64 = 1_440;

/// Longest time that is looked at minute by minute: clocks are changed by less.
const CHANGE_MAX_MIN: i64 = 180;

impl Hours {
    /// Whether requests are served at a time in seconds since 1970, UTC.
    #[must_use]
    pub fn is_open(&self, unix_s: i64) -> bool {
        let (day, minute) = self.wall(unix_s);
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        if from < to {
            self.counts(day) && (from..to).contains(&minute)
        } else {
            (self.counts(day) && minute >= from) || (self.counts(day - 1) && minute < to)
        }
    }

    /// The next time at which requests are served, if there is one within a week and a day.
    #[must_use]
    pub fn opens(&self, unix_s: i64) -> Option<i64> {
        if self.is_open(unix_s) {
            return Some(unix_s);
        }
        let minute = |unix_s: i64| unix_s - unix_s.rem_euclid(60);
        // Where clocks are put back, it may be open a second time that day.
        let soon = (1..=CHANGE_MAX_MIN).map(|minutes| minute(unix_s) + minutes * 60);
        if let Some(soon) = soon.into_iter().find(|soon| self.is_open(*soon)) {
            return Some(soon);
        }
        let (today, _) = self.wall(unix_s);
        let begins = (today - 1..=today + 8).filter(|day| self.counts(*day)).flat_map(|day| self.begins(day));
        let next = begins.filter(|begin| *begin > unix_s && self.is_open(*begin)).min()?;
        // Where clocks are put forward over the beginning, it is open as soon as they are.
        let earlier = (1..=CHANGE_MAX_MIN).map(|minutes| minute(next) - minutes * 60);
        let earlier = earlier.take_while(|earlier| *earlier > unix_s && self.is_open(*earlier)).last();
        Some(earlier.unwrap_or(next))
    }

    /// The time for people: the day and the hour on the zone's clocks.
    #[must_use]
    pub fn told(&self, unix_s: i64) -> String {
        const NAMES: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
        let (day, minute) = self.wall(unix_s);
        let name = NAMES.get(weekday(day)).copied().unwrap_or_default();
        format!("{name} {:02}:{:02}", minute / 60, minute % 60)
    }

    /// What the clocks show: days since 1970, and minutes since midnight.
    fn wall(&self, unix_s: i64) -> (i64, i64) {
        let minutes = (unix_s + self.zone.offset_s(unix_s)).div_euclid(60);
        (minutes.div_euclid(DAY_MIN), minutes.rem_euclid(DAY_MIN))
    }

    /// When the span of a day may begin: on a day on which clocks are changed there are two answers.
    fn begins(&self, day: i64) -> [i64; 2] {
        let wall_s = (day * DAY_MIN + i64::from(self.from)) * 60;
        [-DAY_MIN, DAY_MIN].map(|away| wall_s - self.zone.offset_s(wall_s + away * 60))
    }

    fn counts(&self, day: i64) -> bool {
        self.days.get(weekday(day)).copied().unwrap_or(false)
    }
}

/// The day of the week, Monday is 0; 1970 began on a Thursday.
pub(super) fn weekday(day: i64) -> usize {
    usize::try_from((day + 3).rem_euclid(7)).unwrap_or(0)
}

/// When several spans are open at once, seen from `unix_s`; `None` if that does not happen soon.
pub(super) fn all_open<'a>(hours: impl Iterator<Item = &'a Hours> + Clone, unix_s: i64) -> Option<i64> {
    let mut at = unix_s;
    // Each round goes on to the next beginning of a span; a fortnight of two spans has fewer.
    for _ in 0..64 {
        let Some(closed) = hours.clone().find(|hours| !hours.is_open(at)) else { return Some(at) };
        at = closed.opens(at)?;
    }
    None
}

/// How long until a time, in whole seconds.
pub(super) fn until(unix_s: i64, then: i64) -> Duration {
    Duration::from_secs(u64::try_from(then.saturating_sub(unix_s)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    fn hours(days: &str, from: u16, to: u16) -> Hours {
        let zone = Zone::posix(BERLIN).unwrap();
        Hours { days: DAYS.map(|day| days.contains(day)), from: from * 60, to: to * 60, zone }
    }

    #[test]
    fn spans_of_days_and_nights() {
        let school = hours("mon tue wed thu fri", 8, 20);
        let night = hours("fri", 22, 6);
        // Friday 2026-11-27, 00:00 in Berlin.
        let friday = 1_795_734_000;
        for (hours, hour, is_open, opens) in [
            (&school, 8, true, 8),
            (&school, 19, true, 19),
            (&school, 7, false, 8),
            (&school, 20, false, 3 * 24 + 8),
            (&night, 23, true, 23),
            (&night, 24 + 5, true, 24 + 5),
            (&night, 24 + 6, false, 7 * 24 + 22),
            (&night, 5, false, 22),
        ] {
            let at = friday + hour * 3_600;
            assert_eq!((hours.is_open(at), hours.opens(at)), (is_open, Some(friday + opens * 3_600)), "{hour}");
        }
        assert_eq!(school.told(friday + 8 * 3_600), "Friday 08:00");
        assert_eq!(Hours { days: [false; 7], ..school }.opens(friday), None);
    }

    #[test]
    fn clocks_that_are_put_forward_and_back() {
        // 2026-03-29 at 01:00 UTC clocks go from 02:00 to 03:00; on 2026-10-25 at 01:00 UTC from 03:00 to 02:00.
        let (spring, autumn) = (1_774_746_000, 1_792_890_000);
        let two = Hours { from: 150, to: 300, ..hours("sun", 0, 0) };
        assert_eq!(two.opens(spring - 7_200), Some(spring), "half past two does not exist");
        assert_eq!(two.opens(autumn - 7_200), Some(autumn - 1_800), "the first half past two");
    }

    #[test]
    fn several_spans_are_open_where_all_are() {
        let (a, b) = (hours("mon tue", 8, 12), hours("tue wed", 10, 14));
        let friday = 1_795_734_000;
        let tuesday_ten = friday + (4 * 24 + 10) * 3_600;
        assert_eq!(all_open([&a, &b].into_iter(), friday), Some(tuesday_ten));
        assert_eq!(all_open([&a, &hours("wed", 8, 9)].into_iter(), friday), None);
    }

    proptest! {
        #[test]
        fn the_time_that_is_told_is_the_first(
            mask in 1_u8..128, from in 0_u16..1_440, to in 0_u16..1_440, at in 1_770_000_000_i64..1_800_000_000
        ) {
            let zone = Zone::posix(BERLIN).unwrap();
            let days = std::array::from_fn(|day| mask & (1 << day) != 0);
            let hours = Hours { days, from, to, zone };
            if let Some(opens) = hours.opens(at) {
                prop_assert!(hours.is_open(opens));
                let first = (at..opens).step_by(60).find(|time| hours.is_open(*time));
                prop_assert_eq!(first, None);
            }
        }
    }
}
