//! Airlane's choice of places beside what ordinary load balancers choose, and beside somebody who knows the future.
//!
//! `cargo bench -p airlane-tests --bench traffic [-- --quick]` plays houses in simulated time (`airlane_tests::traffic`),
//! prints a table, and writes `target/bench/traffic.json`. Figures of the houses are the same on every machine; those of
//! the cost of a decision are not.

mod cost;
mod report;

use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Instant;

use airlane_tests::traffic::{Kind, Summary, run, scenarios};

use report::Report;

const USAGE: &str =
    "cargo bench -p airlane-tests --bench traffic -- [--quick] [--requests N] [--seeds A-B] [--only TEXT]

  --quick         few requests and one seed: is everything in its place?
  --requests N    requests of each scenario (default 100000)
  --seeds A-B     the seeds each scenario is played with (default 11-13: decisions were tuned on 1-3)
  --only TEXT     only scenarios whose name holds TEXT; `cost` for the cost of decisions alone";

/// What the command line asks for.
struct Arguments {
    requests: usize,
    seeds: RangeInclusive<u64>,
    only: Option<String>,
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut found = Arguments { requests: 100_000, seeds: 11..=13, only: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--quick" => (found.requests, found.seeds) = (4_000, 11..=11),
            "--requests" => found.requests = value()?.parse().map_err(|_| "--requests needs a number".to_owned())?,
            "--seeds" => found.seeds = seeds(&value()?).ok_or("--seeds needs two numbers, like 11-13")?,
            "--only" => found.only = Some(value()?),
            // Cargo adds it.
            "--bench" => {}
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(found)
}

fn seeds(text: &str) -> Option<RangeInclusive<u64>> {
    let (first, last) = text.split_once('-')?;
    Some(first.parse().ok()?..=last.parse().ok()?)
}

fn main() -> ExitCode {
    match arguments(std::env::args().skip(1)).and_then(|arguments| measure(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), String> {
    let mut report = Report::new(arguments.requests);
    for seed in arguments.seeds.clone() {
        for scenario in scenarios(arguments.requests, seed) {
            if arguments.only.as_ref().is_some_and(|text| !scenario.name.contains(text.as_str())) {
                continue;
            }
            let began = Instant::now();
            // Each policy plays the same house for itself, so they may do so side by side.
            let played: Vec<(Kind, Summary)> = std::thread::scope(|scope| {
                let kinds: Vec<_> = Kind::of(&scenario)
                    .map(|kind| {
                        (
                            kind,
                            scope.spawn({
                                let scenario = &scenario;
                                move || run(scenario, kind)
                            }),
                        )
                    })
                    .collect();
                kinds.into_iter().filter_map(|(kind, play)| Some((kind, play.join().ok()?))).collect()
            });
            for (kind, summary) in played {
                report.add(&scenario, kind, summary);
            }
            eprintln!("seed {seed}: {} played in {:.0?}", scenario.name, began.elapsed());
            println!("{}", report.last());
        }
    }
    if arguments.only.is_none() || arguments.only.as_deref() == Some("cost") {
        eprintln!("cost of a decision");
        report.cost = Some(cost::measure());
    }
    println!("{}", report.table());
    println!("all figures: {}", report.write()?.display());
    Ok(())
}
