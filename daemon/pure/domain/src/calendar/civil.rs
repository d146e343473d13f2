//! Dates of the Gregorian calendar as numbers, without a zone.

/// Seconds of a day on a clock that nobody changes.
pub(super) const DAY_S: i64 = 86_400;

/// A date of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: u8,
    /// From 1.
    pub(super) day: u8,
}

/// The date of a day since 1970-01-01. Counts years from March, so that a leap day ends its year.
pub(super) fn date(day: i64) -> Date {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    Date { year, month: small(month), day: small(of_year - (153 * from_march + 2) / 5 + 1) }
}

/// The day since 1970-01-01 on which a month begins; month 13 is the next year's first.
pub(super) fn month_begins(year: i64, month: u8) -> i64 {
    let month = i64::from(month);
    let (year, from_march) = match month {
        ..=2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * from_march + 2) / 5 - 719_468
}

/// The Monday on or before a day; 1970-01-01 was a Thursday.
pub(super) const fn monday(day: i64) -> i64 {
    day - (day + 3).rem_euclid(7)
}

/// Year and number of the ISO week that begins on this Monday: those of its Thursday.
pub(super) fn iso_week(monday: i64) -> (i64, u8) {
    let thursday = monday + 3;
    let year = date(thursday).year;
    (year, small((thursday - month_begins(year, 1)) / 7 + 1))
}

fn small(number: i64) -> u8 {
    u8::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_eight_centuries_is_the_one_after_the_day_before() {
        let mut want = Date { year: 1_600, month: 1, day: 1 };
        let first = month_begins(1_600, 1);
        for day in first..first + 2 * 146_097 {
            assert_eq!(date(day), want);
            if want.day == 1 {
                assert_eq!(month_begins(want.year, want.month), day);
            }
            want = next(want);
        }
        assert_eq!(want, Date { year: 2_400, month: 1, day: 1 });
        assert_eq!(month_begins(2_026, 13), month_begins(2_027, 1));
        assert_eq!(month_begins(1_970, 1), 0);
    }

    fn next(date: Date) -> Date {
        let leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
        let last = match date.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        match (date.month, date.day) {
            (12, 31) => Date { year: date.year + 1, month: 1, day: 1 },
            (month, day) if day == last => Date { month: month + 1, day: 1, ..date },
            (_, day) => Date { day: day + 1, ..date },
        }
    }

    /// Years around which calendars differ from ISO 8601's own examples.
    #[test]
    fn iso_weeks() {
        for (year, month, day, want) in [
            (2_005, 1, 1, (2_004, 53)),
            (2_005, 12, 31, (2_005, 52)),
            (2_006, 1, 2, (2_006, 1)),
            (2_007, 12, 31, (2_008, 1)),
            (2_008, 12, 28, (2_008, 52)),
            (2_010, 1, 3, (2_009, 53)),
            (2_026, 11, 28, (2_026, 48)),
        ] {
            let day = month_begins(year, month) + day - 1;
            assert_eq!(iso_week(monday(day)), want, "{year}-{month}");
        }
    }
}
