//! Calendar periods in every zone that this machine knows, over the changes of its clocks.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use domain::calendar::{Cycle, Period, Zone};

const ZONES: &str = "/usr/share/zoneinfo";

const DAY_S: i64 = 86_400;

#[test]
fn periods_follow_each_other_in_every_zone_of_the_world() {
    let (mut zones, mut seen) = (0, HashSet::new());
    for file in files(Path::new(ZONES)) {
        let bytes = fs::read(&file).expect("a file that was listed");
        if !bytes.starts_with(b"TZif") {
            continue;
        }
        let name = file.strip_prefix(ZONES).expect("it lies there").to_string_lossy().into_owned();
        let zone = Zone::tzif(&name, &bytes).unwrap_or_else(|problem| panic!("{problem}"));
        zones += 1;
        // Many zones are other names of one.
        if seen.insert(bytes) {
            tile(&zone);
        }
    }
    assert!(zones > 300, "{ZONES} has {zones} zones only: install tzdata");
}

/// Months from 1970 to 2100, and days and hours around each change of clocks since 2005.
fn tile(zone: &Zone) {
    follow(zone, Cycle::Month, 0, 130 * 366 * DAY_S);
    let mut offset_s = None;
    for unix_s in (1_104_537_600..2_208_988_800).step_by(usize::try_from(DAY_S).expect("it fits")) {
        let now = Some(zone.offset_s(unix_s));
        if now != std::mem::replace(&mut offset_s, now) {
            follow(zone, Cycle::Day, unix_s - 3 * DAY_S, unix_s + 3 * DAY_S);
            follow(zone, Cycle::Week, unix_s - 9 * DAY_S, unix_s + 9 * DAY_S);
            follow(zone, Cycle::Hour, unix_s - DAY_S, unix_s + DAY_S);
        }
    }
}

/// Each period begins where the last one ended, holds its own beginning and end, and has another name.
fn follow(zone: &Zone, cycle: Cycle, from: i64, until: i64) {
    let mut period = Period::at(from, cycle, zone);
    while period.end_unix_s < until {
        assert_eq!(Period::at(period.start_unix_s, cycle, zone), period, "{zone:?}");
        assert_eq!(Period::at(period.end_unix_s - 1, cycle, zone), period, "{zone:?}");
        let next = Period::at(period.end_unix_s, cycle, zone);
        assert_eq!(next.start_unix_s, period.end_unix_s, "{zone:?}");
        assert_ne!(next.key, period.key, "{zone:?}");
        period = next;
    }
}

/// All files below a folder, without those that come twice or count leap seconds.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|problem| panic!("{}: {problem}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| !path.ends_with("right") && !path.ends_with("posix"))
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}
