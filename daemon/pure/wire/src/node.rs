//! A node's report: JSON, bounded.

use domain::node::Report;
use serde_json::Value;

use crate::malformed::Malformed;

/// Largest report, unpacked.
pub const REPORT_BYTES_MAX: usize = 256 * 1024;

/// Longest text in a report, in characters: what is longer is cut off.
const TEXT_CHARS_MAX: usize = 512;

/// Reads a report. What goes over the bounds of [`Report::bound`] is left out, and so is what would break a line or be
/// obeyed where a text of it is shown.
///
/// # Errors
/// It is too long, or no report.
pub fn read_report(bytes: &[u8]) -> Result<Report, Malformed> {
    if bytes.len() > REPORT_BYTES_MAX {
        return Err(Malformed::new("", format!("at most {REPORT_BYTES_MAX} bytes")));
    }
    let malformed = |error: serde_json::Error| Malformed::new("", format!("a node's report: {error}"));
    let mut told: Value = serde_json::from_slice(bytes).map_err(malformed)?;
    clean(&mut told);
    let mut report: Report = serde_json::from_value(told).map_err(malformed)?;
    report.bound();
    Ok(report)
}

/// Makes every text of the report one that can be shown in a line.
fn clean(told: &mut Value) {
    match told {
        Value::String(text) => {
            if text.chars().any(char::is_control) || text.len() > TEXT_CHARS_MAX {
                *text = text.chars().filter(|letter| !letter.is_control()).take(TEXT_CHARS_MAX).collect();
            }
        }
        Value::Array(all) => all.iter_mut().for_each(clean),
        Value::Object(members) => members.values_mut().for_each(clean),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
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
    fn what_breaks_lines_or_is_obeyed_is_left_out_of_every_text() {
        let long = "x".repeat(TEXT_CHARS_MAX + 1);
        let evil = SMALL
            .replace("Card 7", "Card\\u001b[2J 7\\nnode evil: reports")
            .replace("\"qwen3\"", "\"qwen3\\r\\u0000\"")
            .replace("game.exe", &long)
            .replace("\"pressure_percent\":60", "\"pressure_percent\":4000000000");
        let report = read_report(evil.as_bytes()).unwrap();
        let card = &report.telemetry.gpus.cards[0];
        assert_eq!(card.name.as_deref(), Some("Card[2J 7node evil: reports"));
        assert_eq!(report.servers[0].models[0].id, "qwen3");
        let foreign = card.foreign.as_ref().unwrap();
        assert_eq!(foreign.by[0].name.as_ref().map(String::len), Some(TEXT_CHARS_MAX));
        assert_eq!(foreign.pressure_percent, 100);
        let without = read_report(SMALL.replace("\"slots\":4", "\"slots\":0").as_bytes()).unwrap();
        assert_eq!(without.servers[0].models[0].slots, None, "a place without slots would make requests wait in vain");
    }

    #[test]
    fn what_goes_over_the_bounds_is_left_out_or_refused() {
        let mut report = read_report(SMALL.as_bytes()).unwrap();
        report.servers[0].models = vec![report.servers[0].models[0].clone(); MODELS_MAX + 1];
        report.servers = vec![report.servers[0].clone(); SERVERS_MAX + 1];
        let long = write_report(&report);
        assert!(long.len() > REPORT_BYTES_MAX || read_report(&long).unwrap().servers.len() == SERVERS_MAX);
        report.servers.truncate(2);
        report.left_out = domain::node::LeftOut::default();
        let read = read_report(&write_report(&report)).unwrap();
        assert_eq!((read.servers[1].models.len(), read.left_out.models), (MODELS_MAX, 2));
        let blank = vec![b' '; REPORT_BYTES_MAX + 1];
        assert!(read_report(&blank).is_err());
        for wrong in ["", "{}", "[]", "{\"address\":\"x\"}", "null"] {
            assert!(read_report(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
