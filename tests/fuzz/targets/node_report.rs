//! What a node reports.
#![no_main]

use domain::node::{MODELS_MAX, SERVERS_MAX};
use wire::node::{read_report, write_report};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(report) = read_report(data) else { return };
    assert!(report.servers.len() <= SERVERS_MAX);
    assert!(report.servers.iter().all(|server| server.models.len() <= MODELS_MAX));
    // What is read can be passed on.
    assert!(read_report(&write_report(&report)).is_ok());
});
