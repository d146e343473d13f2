//! Times as text, like `2024-12-06T00:48:09.983619000Z`.

use std::time::Duration;

use crate::date::{civil, days};

/// The last second of the year 9999: later ones have no place in the format.
const LAST_S: u64 = 253_402_300_799;

/// Writes a time since the Unix epoch in UTC with nanoseconds; years after 9999 become its last second.
#[must_use]
pub fn format(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs().min(LAST_S);
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let nanos = since_epoch.subsec_nanos();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// Reads a time as whole seconds since the Unix epoch; `None` for anything else and for times before it.
#[must_use]
pub fn seconds(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| digits(bytes.get(from..to)?);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let marks = [bytes.get(4)?, bytes.get(7)?, bytes.get(13)?, bytes.get(16)?];
    if marks != [&b'-', &b'-', &b':', &b':'] || !matches!(bytes.get(10)?, b'T' | b't' | b' ') {
        return None;
    }
    let sane = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !sane {
        return None;
    }
    let local = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    u64::try_from(local - offset_s(bytes.get(19..)?)?).ok()
}

/// Reads a time as whole milliseconds since the Unix epoch, as [`seconds`] does.
#[must_use]
pub fn millis(text: &str) -> Option<u64> {
    let seconds = seconds(text)?;
    let fraction = text.get(19..)?.strip_prefix('.').unwrap_or_default();
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).chain(std::iter::repeat(b'0'));
    let millis = digits.take(3).fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    seconds.checked_mul(1_000)?.checked_add(millis)
}

/// Seconds east of UTC, from what follows the seconds: an optional fraction, then `Z` or `±hh:mm`.
fn offset_s(rest: &[u8]) -> Option<i64> {
    let start = rest.iter().position(|byte| !matches!(byte, b'.' | b'0'..=b'9'))?;
    let zone = rest.get(start..)?;
    match *zone.first()? {
        b'Z' | b'z' if zone.len() == 1 => Some(0),
        sign @ (b'+' | b'-') if zone.len() == 6 => {
            let east = digits(zone.get(1..3)?)? * 3_600 + digits(zone.get(4..6)?)? * 60;
            Some(if sign == b'+' { east } else { -east })
        }
        _ => None,
    }
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times() {
        for (since_s, nanos, want) in [
            (0, 0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.000000001Z"),
            (951_868_799, 999_999_999, "2000-02-29T23:59:59.999999999Z"),
            (1_733_446_089, 983_619_000, "2024-12-06T00:48:09.983619000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000000000Z"),
            (LAST_S, 0, "9999-12-31T23:59:59.000000000Z"),
            (u64::MAX, 0, "9999-12-31T23:59:59.000000000Z"),
        ] {
            assert_eq!(format(Duration::new(since_s, nanos)), want);
        }
    }

    #[test]
    fn forms_that_servers_write() {
        for (text, want) in [
            ("2024-12-06T00:48:09.983619Z", Some(1_733_446_089)),
            ("2024-12-06T00:48:09Z", Some(1_733_446_089)),
            ("2024-12-05T17:48:09.1-07:00", Some(1_733_446_089)),
            ("2024-12-06T02:18:09+01:30", Some(1_733_446_089)),
            ("0001-01-01T00:00:00Z", None),
            ("2024-13-06T00:48:09Z", None),
            ("2024-12-06", None),
            ("2024-12-06T00:48:09", None),
            ("é024-12-06T00:48:09Z", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), want, "{text}");
        }
    }

    #[test]
    fn fractions_are_cut_to_milliseconds() {
        for (text, want) in [
            ("1970-01-01T00:00:01Z", Some(1_000)),
            ("1970-01-01T00:00:01.5Z", Some(1_500)),
            ("1970-01-01T01:00:01.0429+01:00", Some(1_042)),
            ("1970-01-01T00:00:01.Z", Some(1_000)),
            ("1970-01-01", None),
        ] {
            assert_eq!(millis(text), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(since_s in 0..=LAST_S, nanos in 0_u32..1_000_000_000) {
            prop_assert_eq!(seconds(&format(Duration::new(since_s, nanos))), Some(since_s));
        }

        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = (seconds(&text), millis(&text));
        }
    }
}
