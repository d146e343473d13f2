use super::*;
use proptest::prelude::*;

const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
const KOLKATA: &str = "IST-5:30";
/// Clocks go from 00:00 to 01:00 in spring: that day has no midnight.
const CAIRO: &str = "EET-2EEST,M4.5.5/0,M10.5.4/24";
/// Clocks go back from 00:00 to 23:00: the last hour of Saturday comes twice.
const BEIRUT: &str = "EET-2EEST,M3.5.0/0,M10.5.0/0";
/// Half an hour of summer time.
const LORD_HOWE: &str = "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0";
/// Clocks went back from 00:01 to 23:01 of the day before (Newfoundland, until 2011).
const ST_JOHNS: &str = "NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01";
const CHATHAM: &str = "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45";

const RULES: [&str; 8] = ["UTC0", BERLIN, KOLKATA, CAIRO, BEIRUT, LORD_HOWE, ST_JOHNS, CHATHAM];

fn at(unix_s: i64, cycle: Cycle, rule: &str) -> (String, i64, i64) {
    let period = Period::at(unix_s, cycle, &Zone::posix(rule).unwrap());
    assert!(period.contains(unix_s));
    (period.key.to_string(), unix_s - period.start_unix_s, period.end_unix_s - period.start_unix_s)
}

/// Names, seconds since the beginning, and lengths.
#[test]
fn days_of_23_24_25_hours_and_days_without_midnight() {
    const H: i64 = 3_600;
    for (rule, unix_s, key, into_s, length_s) in [
        ("UTC0", 0, "1970-01-01", 0, 24 * H),
        ("UTC0", 951_782_400, "2000-02-29", 0, 24 * H),
        (BERLIN, 1_774_738_800, "2026-03-29", 0, 23 * H),
        (BERLIN, 1_774_738_800 - 1, "2026-03-28", 24 * H - 1, 24 * H),
        (BERLIN, 1_792_879_200, "2026-10-25", 0, 25 * H),
        (BERLIN, 1_792_879_200 + 25 * H, "2026-10-26", 0, 24 * H),
        (KOLKATA, 1_709_145_000, "2024-02-29", 0, 24 * H),
        (CAIRO, 1_776_981_600, "2026-04-24", 0, 23 * H),
        (BEIRUT, 1_792_789_200, "2026-10-24", 0, 25 * H),
        (BEIRUT, 1_792_789_200 + 25 * H, "2026-10-25", 0, 24 * H),
        (LORD_HOWE, 1_775_307_600, "2026-04-05", 0, 24 * H + H / 2),
    ] {
        assert_eq!(at(unix_s, Cycle::Day, rule), (key.to_owned(), into_s, length_s), "{rule} {unix_s}");
    }
}

/// Sunday 2010-11-07 began, was Saturday again for 59 minutes, and went on: it does not begin twice.
#[test]
fn a_day_that_comes_back_for_an_hour_stays_over() {
    const SUNDAY: i64 = 1_289_097_000;
    for (after_s, key) in
        [(-1, "2010-11-06"), (0, "2010-11-07"), (61, "2010-11-07"), (3_599, "2010-11-07"), (3_660, "2010-11-07")]
    {
        assert_eq!(at(SUNDAY + after_s, Cycle::Day, ST_JOHNS).0, key, "{after_s}");
    }
}

#[test]
fn hours_that_come_twice_have_two_names() {
    for (rule, unix_s, key, into_s, length_s) in [
        (BERLIN, 1_774_744_200, "2026-03-29T01+01:00", 1_800, 3_600),
        (BERLIN, 1_774_746_000, "2026-03-29T03+02:00", 0, 3_600),
        (BERLIN, 1_792_888_200, "2026-10-25T02+02:00", 1_800, 3_600),
        (BERLIN, 1_792_891_800, "2026-10-25T02+01:00", 1_800, 3_600),
        (KOLKATA, 1_709_145_000, "2024-02-29T00+05:30", 0, 3_600),
        (ST_JOHNS, 1_767_225_600, "2025-12-31T20-03:30", 1_800, 3_600),
        // 02:00 becomes 01:30: half an hour comes twice.
        (LORD_HOWE, 1_775_314_800, "2026-04-05T01+10:30", 0, 1_800),
        (LORD_HOWE, 1_775_316_600, "2026-04-05T02+10:30", 0, 3_600),
    ] {
        assert_eq!(at(unix_s, Cycle::Hour, rule), (key.to_owned(), into_s, length_s), "{rule} {unix_s}");
    }
}

#[test]
fn weeks_and_months() {
    const D: i64 = 86_400;
    for (cycle, unix_s, key, into_s, length_s) in [
        (Cycle::Week, 1_795_820_400, "2026-W48", 5 * D, 7 * D),
        (Cycle::Week, 1_774_738_800, "2026-W13", 6 * D, 7 * D - 3_600),
        (Cycle::Week, 1_483_225_200, "2016-W52", 6 * D, 7 * D),
        (Cycle::Month, 1_795_820_400, "2026-11", 27 * D, 30 * D),
        (Cycle::Month, 1_774_738_800, "2026-03", 28 * D, 31 * D - 3_600),
        (Cycle::Month, 1_709_161_200, "2024-02", 28 * D, 29 * D),
        (Cycle::Month, 1_798_758_000, "2027-01", 0, 31 * D),
    ] {
        assert_eq!(at(unix_s, cycle, BERLIN), (key.to_owned(), into_s, length_s), "{unix_s}");
    }
}

#[test]
fn times_that_no_clock_shows_are_times_all_the_same() {
    for (unix_s, want) in [(i64::MIN, "1970-01"), (-1, "1970-01"), (i64::MAX, "9999-12")] {
        assert_eq!(Period::at(unix_s, Cycle::Month, &Zone::utc()).key.to_string(), want);
    }
}

#[test]
fn what_is_no_key() {
    for text in
        ["", "2026", "2026-1", "2026-W8", "26-11-28", "2026/11/28", "2026-11-28T07", "2026-11-28T07_01:00", "+026-11"]
    {
        assert_eq!(text.parse::<PeriodKey>(), Err(NotAKey), "{text}");
    }
}

proptest! {
    /// Period follows period: none overlaps, nothing lies between, no name comes twice, and each reads back.
    #[test]
    fn periods_tile_time(rule in 0..RULES.len(), unix_s in 0_i64..8_000_000_000, cycle in 0_usize..4) {
        let (zone, cycle) = (Zone::posix(RULES[rule]).unwrap(), Cycle::ALL[cycle]);
        let mut period = Period::at(unix_s, cycle, &zone);
        prop_assert!(period.contains(unix_s));
        for _ in 0..30 {
            prop_assert_eq!(period.key.to_string().parse(), Ok(period.key));
            prop_assert_eq!(period.key.cycle(), cycle);
            prop_assert_eq!(Period::at(period.start_unix_s, cycle, &zone), period);
            prop_assert_eq!(Period::at(period.end_unix_s - 1, cycle, &zone), period);
            let next = Period::at(period.end_unix_s, cycle, &zone);
            prop_assert_eq!(next.start_unix_s, period.end_unix_s);
            prop_assert_ne!(next.key, period.key);
            period = next;
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,24}") {
        let _ = text.parse::<PeriodKey>();
    }
}
