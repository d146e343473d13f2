//! Airlane: one LLM endpoint for the LAN.

mod assemble;
#[allow(dead_code, reason = "its parts are put in one after the other")]
mod cache;
mod cli;
mod console;
mod dispatch;
mod edges;
mod exporters;
mod gateway;
mod gpu;
mod keeper;
mod ledger;
mod live;
mod logging;
mod machine;
#[allow(dead_code, reason = "the gateway does not ask it yet")]
mod meter;
mod metrics;
mod nodes;
mod probes;
mod settings;
mod sqlite;
mod store;
mod tasks;
mod telemetry;
mod tenants;
mod upstreams;
mod wake;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Cheaper than the C library's by a twentieth of a request, and it gives memory back after a rush (ADR 0007).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
