//! Time zones by name: the rules come from the system's zone files.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use domain::calendar::Zone;

use super::read;

/// Where systems keep their zone files, the usual place first.
const FOLDERS: [&str; 3] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/etc/zoneinfo"];

/// Largest zone file: those of the tz database have a few thousand bytes.
const ZONE_BYTES_MAX: usize = 256 * 1024;

/// The zone of that name, like `Europe/Berlin`, or of a rule like `CET-1CEST,M3.5.0,M10.5.0/3`, which needs no files.
///
/// # Errors
/// There is no such zone here; the text says what to do.
pub(super) fn named(name: &str) -> Result<Zone, String> {
    if name == "UTC" {
        return Ok(Zone::utc());
    }
    let is_path = name.split('/').all(|part| {
        !part.is_empty() && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-+".contains(letter))
    });
    let found = FOLDERS.iter().filter(|_| is_path).find_map(|folder| file(&Path::new(folder).join(name)));
    if let Some(bytes) = found {
        return Zone::tzif(name, &bytes).map_err(|error| error.to_string());
    }
    Zone::posix(name).map_err(|_| {
        format!(
            "{name:?} is no time zone of this machine: write one like \"Europe/Berlin\", install the system's zone files, or \
             write its rule like \"CET-1CEST,M3.5.0,M10.5.0/3\""
        )
    })
}

/// The zone of this machine's clock, or else UTC.
pub(super) fn of_machine() -> Zone {
    static ZONE: OnceLock<Zone> = OnceLock::new();
    let read = || {
        let file = file(&PathBuf::from("/etc/localtime")).and_then(|bytes| Zone::tzif("local", &bytes).ok());
        // Routers keep the rule alone.
        let rule = || read::text(Path::new("/etc/TZ"), 256).ok().and_then(|rule| Zone::posix(rule.trim()).ok());
        file.or_else(rule).unwrap_or_else(Zone::utc)
    };
    ZONE.get_or_init(read).clone()
}

fn file(path: &Path) -> Option<Vec<u8>> {
    read::bytes(path, ZONE_BYTES_MAX).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_or_said_to_be_missing() {
        let summer = 1_782_000_000;
        assert_eq!(named("CET-1CEST,M3.5.0,M10.5.0/3").map(|zone| zone.offset_s(summer)), Ok(7_200));
        assert_eq!(named("UTC").map(|zone| zone.offset_s(summer)), Ok(0));
        for wrong in ["", "Moon/Base", "../../etc/passwd", "/etc/localtime"] {
            assert!(named(wrong).is_err_and(|why| why.contains("Europe/Berlin")), "{wrong}");
        }
    }
}
