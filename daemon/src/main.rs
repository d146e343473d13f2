//! Airlane: one LLM endpoint for the LAN.

mod assemble;
mod cli;
mod console;
mod edges;
mod gateway;
mod gpu;
mod keeper;
mod live;
mod logging;
mod machine;
mod meter;
mod metrics;
mod settings;
mod tasks;
mod telemetry;
mod upstreams;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
