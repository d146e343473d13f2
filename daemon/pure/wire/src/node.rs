//! A node's report: JSON, bounded.

use domain::node::Report;

use crate::malformed::Malformed;

/// Largest report, unpacked.
pub const REPORT_BYTES_MAX: usize = 256 * 1024;

/// Reads a report. What goes over the bounds of [`Report::bound`] is left out.
///
/// # Errors
/// It is too long, or no report.
pub fn read_report(bytes: &[u8]) -> Result<Report, Malformed> {
    if bytes.len() > REPORT_BYTES_MAX {
        return Err(Malformed::new("", format!("at most {REPORT_BYTES_MAX} bytes")));
    }
    let mut report: Report =
        serde_json::from_slice(bytes).map_err(|error| Malformed::new("", format!("a node's report: {error}")))?;
    report.bound();
    Ok(report)
}

/// Writes a report.
#[must_use]
pub fn write_report(report: &Report) -> Vec<u8> {
    // Nothing in a report can fail to be written.
    serde_json::to_vec(report).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::node::{MODELS_MAX, SERVERS_MAX};

    const SMALL: &str = include_str!("../../../../tests/fuzz/seeds/node_report/small");

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let report = read_report(SMALL.as_bytes()).unwrap();
        assert_eq!(report.telemetry.gpus.cards[0].name.as_deref(), Some("Card 7"));
        assert_eq!((report.servers[0].models[0].slots, report.servers[0].models[0].waiting), (Some(4), 0));
        assert_eq!(read_report(&write_report(&report)).unwrap(), report);
    }

    #[test]
    fn what_goes_over_the_bounds_is_left_out_or_refused() {
        let mut report = read_report(SMALL.as_bytes()).unwrap();
        report.servers[0].models = vec![report.servers[0].models[0].clone(); MODELS_MAX + 1];
        report.servers = vec![report.servers[0].clone(); SERVERS_MAX + 1];
        let long = write_report(&report);
        assert!(long.len() > REPORT_BYTES_MAX || read_report(&long).unwrap().servers.len() == SERVERS_MAX);
        report.servers.truncate(2);
        let read = read_report(&write_report(&report)).unwrap();
        assert_eq!(read.servers[1].models.len(), MODELS_MAX);
        let blank = vec![b' '; REPORT_BYTES_MAX + 1];
        assert!(read_report(&blank).is_err());
        for wrong in ["", "{}", "[]", "{\"address\":\"x\"}", "null"] {
            assert!(read_report(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
