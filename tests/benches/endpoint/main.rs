//! Airlane beside nginx: the same load, in interleaved rounds, before the same fast upstream.
//!
//! `cargo bench -p airlane-tests --bench endpoint [-- --quick]` prints a table and writes `target/bench/endpoint.json`.
//! Upstream, load and proxy share the machine's cores, so requests per second say how the three get along; CPU time per
//! request and per chunk is the figure to trust.

mod load;
mod process;
mod report;
mod scenario;
mod stage;
mod streams;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use report::Report;
use scenario::{SCENARIOS, Scenario};
use stage::{Stage, Target};

const USAGE: &str =
    "cargo bench -p airlane-tests --bench endpoint -- [--quick] [--rounds N] [--only TEXT] [--airlane PATH]

  --quick          one short round: is everything in its place?
  --rounds N       how often everything is measured (default 5)
  --only TEXT      only scenarios whose name holds TEXT
  --airlane PATH   a binary to measure instead of a fresh release build";

/// What the command line asks for.
struct Arguments {
    quick: bool,
    rounds: usize,
    only: Option<String>,
    airlane: Option<PathBuf>,
}

fn arguments(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut found = Arguments { quick: false, rounds: 5, only: None, airlane: None };
    let mut words = words;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => (found.quick, found.rounds) = (true, 1),
            "--rounds" => found.rounds = value()?.parse().map_err(|_| "--rounds needs a number".to_owned())?,
            "--only" => found.only = Some(value()?),
            "--airlane" => found.airlane = Some(PathBuf::from(value()?)),
            // Cargo adds it.
            "--bench" => {}
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(found)
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if words.peek().is_some_and(|word| word == "streams") {
        return streams::main(words.skip(1));
    }
    match arguments(words).and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    for (program, package) in [("nginx", "nginx-light"), ("wrk", "wrk")] {
        if !process::installed(program) {
            return Err(format!("{program} is missing; on Debian: apt-get install {package}"));
        }
    }
    let airlane = match &arguments.airlane {
        // Cargo runs a bench in its package's folder; people give paths from the root.
        Some(path) => airlane_tests::programs::repository().join(path),
        None => build()?,
    };
    let span = if arguments.quick { Duration::from_secs(2) } else { Duration::from_secs(5) };
    let chosen: Vec<&Scenario> = SCENARIOS
        .iter()
        .filter(|scenario| arguments.only.as_ref().is_none_or(|text| scenario.name.contains(text.as_str())))
        .collect();
    let mut report = Report::default();
    for round in 0..arguments.rounds {
        for scenario in &chosen {
            eprintln!("round {} of {}: {}", round + 1, arguments.rounds, scenario.name);
            let stage = Stage::set_up(scenario, &airlane)?;
            for position in 0..Target::ALL.len() {
                // Each round begins with another one, so that none always has the cold or the warm machine.
                let target = Target::ALL[(position + round) % Target::ALL.len()];
                report.add(scenario, target, load::measure(&stage, scenario, target, span)?);
            }
        }
    }
    if arguments.only.is_none() {
        eprintln!("start and idle memory");
        report.start = Some(stage::starts(&airlane, if arguments.quick { 3 } else { 15 })?);
        let requests = if arguments.quick { 20_000 } else { 200_000 };
        eprintln!("memory over {requests} requests");
        report.growth = Some(load::growth(&airlane, requests)?);
    }
    println!("{}", report.table());
    let path = report.write(arguments.quick)?;
    println!("all figures: {}", path.display());
    Ok(())
}

/// Builds the daemon as people run it, and says where it lies.
fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--locked", "--release", "-p", "airlane"])
        .current_dir(airlane_tests::programs::repository())
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err("airlane could not be built".to_owned());
    }
    Ok(airlane_tests::programs::airlane())
}
