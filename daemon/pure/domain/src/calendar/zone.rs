//! A time zone: how far its clocks are ahead of UTC at which time.

use std::fmt;
use std::sync::Arc;

use tz::TimeZone;

use super::civil::DAY_S;

/// The rules of a time zone. Cheap to clone.
#[derive(Clone)]
pub struct Zone(Arc<Rules>);

struct Rules {
    name: Box<str>,
    /// `None` is UTC.
    zone: Option<TimeZone>,
}

/// What was given is no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` is no time zone that can be read: {reason}; use a name such as Europe/Berlin, or a rule such as CET-1CEST,M3.5.0,M10.5.0/3"
)]
pub struct UnknownZone {
    /// As it was given.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Clocks are never further from UTC than this (they were 15:13 h once, in Alaska).
const OFFSET_MAX_S: i64 = 16 * 3_600;

impl Zone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self(Arc::new(Rules { name: "UTC".into(), zone: None }))
    }

    /// A zone from the bytes of its file, as they stand under `/usr/share/zoneinfo` (RFC 9636).
    ///
    /// # Errors
    /// They are no such file.
    pub fn tzif(name: &str, bytes: &[u8]) -> Result<Self, UnknownZone> {
        match TimeZone::from_tz_data(bytes) {
            Ok(zone) => Ok(Self(Arc::new(Rules { name: name.into(), zone: Some(zone) }))),
            Err(reason) => Err(UnknownZone { name: name.to_owned(), reason: reason.to_string() }),
        }
    }

    /// A zone from a rule in the form of POSIX's `TZ`, as routers have it in `/etc/TZ`: `CET-1CEST,M3.5.0,M10.5.0/3`.
    ///
    /// # Errors
    /// It is no such rule, or one without the days on which clocks change.
    pub fn posix(rule: &str) -> Result<Self, UnknownZone> {
        if rule.is_empty() || !rule.is_ascii() || rule.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(UnknownZone { name: rule.to_owned(), reason: "it is no rule".to_owned() });
        }
        // A zone file that holds nothing but the rule: a header and one kind of time, in both of the file's parts.
        let mut file = Vec::new();
        for _ in 0..2 {
            file.extend_from_slice(b"TZif3");
            file.extend_from_slice(&[0; 15]);
            for count in [0_u32, 0, 0, 0, 1, 4] {
                file.extend_from_slice(&count.to_be_bytes());
            }
            file.extend_from_slice(b"\0\0\0\0\0\0UTC\0");
        }
        file.extend_from_slice(format!("\n{rule}\n").as_bytes());
        Self::tzif(rule, &file)
    }

    /// As it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How far clocks are ahead of UTC at a time, in seconds. Where the rules say nothing, it is UTC.
    #[must_use]
    pub fn offset_s(&self, unix_s: i64) -> i64 {
        let found = self.0.zone.as_ref().and_then(|zone| zone.find_local_time_type(unix_s).ok());
        found.map_or(0, |kind| i64::from(kind.ut_offset()))
    }

    /// What clocks show at a time, in seconds since they showed 1970-01-01 00:00.
    pub(super) fn wall_s(&self, unix_s: i64) -> i64 {
        unix_s + self.offset_s(unix_s)
    }

    /// The first moment at which clocks show midnight of a day since 1970-01-01, or later where there is no midnight.
    pub(super) fn day_begins(&self, day: i64) -> i64 {
        let midnight = day * DAY_S;
        let (from, until) = (midnight - OFFSET_MAX_S, midnight + OFFSET_MAX_S);
        let (before, after) = (self.offset_s(from), self.offset_s(until));
        if before == after {
            return midnight - before;
        }
        let change = self.change_within(from, until);
        if midnight - before < change { midnight - before } else { (midnight - after).max(change) }
    }

    /// The first change of clocks after `from`, if there is one until `until`.
    pub(super) fn change(&self, from: i64, until: i64) -> Option<i64> {
        (self.offset_s(from) != self.offset_s(until)).then(|| self.change_within(from, until))
    }

    /// When the offset of `from` ends; it has ended at `until`.
    fn change_within(&self, from: i64, until: i64) -> i64 {
        let before = self.offset_s(from);
        let (mut same, mut other) = (from, until);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if self.offset_s(middle) == before { same = middle } else { other = middle }
        }
        other
    }
}

impl PartialEq for Zone {
    /// Two zones are the same if they have one name.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.name == other.0.name
    }
}

impl Eq for Zone {}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Zone({})", self.0.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rules_of_routers() {
        for (rule, unix_s, want_s) in [
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_774_746_000 - 1, 3_600),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_774_746_000, 7_200),
            ("EST5EDT,M3.2.0,M11.1.0", 1_782_864_000, -14_400),
            ("<+0530>-5:30", 0, 19_800),
            ("NZST-12NZDT,M9.5.0,M4.1.0/3", 1_767_225_600, 46_800),
            ("UTC0", 0, 0),
        ] {
            assert_eq!(Zone::posix(rule).unwrap().offset_s(unix_s), want_s, "{rule}");
        }
    }

    #[test]
    fn what_is_no_zone_is_said() {
        for rule in ["", "Berlin/Europe", "CET-1CEST", "CET-1\nCEST", "é"] {
            assert_eq!(Zone::posix(rule).unwrap_err().name, rule);
        }
        assert!(Zone::tzif("x", b"TZif").unwrap_err().to_string().starts_with("`x` is no time zone"));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), rule in "\\PC{0,40}") {
            let _ = Zone::tzif("x", &bytes);
            let file: Vec<u8> = b"TZif2".iter().copied().chain(bytes).collect();
            let _ = Zone::tzif("x", &file);
            let _ = Zone::posix(&rule).map(|zone| zone.day_begins(20_000));
        }
    }
}
