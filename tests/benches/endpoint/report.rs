//! Medians over the rounds, as a table and as a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::load::{Growth, Sample};
use crate::scenario::{Load, SCENARIOS, Scenario};
use crate::stage::{Starts, Target};

/// All samples of a run.
#[derive(Default)]
pub(crate) struct Report {
    samples: BTreeMap<(&'static str, Target), Vec<Sample>>,
    /// Start times, if they were measured.
    pub start: Option<Starts>,
    /// Memory over many requests, if it was measured.
    pub growth: Option<Growth>,
}

/// Middle, least and largest value of the rounds.
struct Spread {
    middle: f64,
    least: f64,
    most: f64,
}

fn spread(mut values: Vec<f64>) -> Spread {
    values.sort_by(f64::total_cmp);
    let at = |position: usize| values.get(position).copied().unwrap_or(f64::NAN);
    Spread { middle: at(values.len() / 2), least: at(0), most: at(values.len().saturating_sub(1)) }
}

/// Name of a figure, how to read it from a sample, and the digits to show.
type Figure = (&'static str, fn(&Sample) -> f64, usize);

const UNARY: &[Figure] = &[
    ("requests/s", |sample| sample.rate, 0),
    ("p50 ms", |sample| sample.p50_us / 1e3, 2),
    ("p99 ms", |sample| sample.p99_us / 1e3, 2),
    ("CPU us/request", |sample| sample.cpu_us, 1),
    ("RSS MiB", |sample| sample.rss_kib as f64 / 1024.0, 1),
];

const STREAMS: &[Figure] = &[
    ("chunks/s", |sample| sample.rate, 0),
    ("TTFT p50 ms", |sample| sample.p50_us / 1e3, 2),
    ("TTFT p99 ms", |sample| sample.p99_us / 1e3, 2),
    ("CPU us/chunk", |sample| sample.cpu_us, 1),
    ("RSS MiB", |sample| sample.rss_kib as f64 / 1024.0, 1),
];

const fn figures(scenario: &Scenario) -> &'static [Figure] {
    match scenario.load {
        Load::Unary { .. } => UNARY,
        Load::Streams { .. } => STREAMS,
    }
}

impl Report {
    /// Keeps a sample.
    pub(crate) fn add(&mut self, scenario: &Scenario, target: Target, sample: Sample) {
        self.samples.entry((scenario.name, target)).or_default().push(sample);
    }

    fn values(&self, scenario: &Scenario, target: Target, read: fn(&Sample) -> f64) -> Vec<f64> {
        self.samples.get(&(scenario.name, target)).into_iter().flatten().map(read).collect()
    }

    /// Airlane over nginx, round by round.
    fn ratio(&self, scenario: &Scenario, read: fn(&Sample) -> f64) -> Spread {
        let (airlane, nginx) =
            (self.values(scenario, Target::Airlane, read), self.values(scenario, Target::Nginx, read));
        spread(airlane.iter().zip(nginx).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// Time that Airlane adds to the first token, round by round, in milliseconds.
    fn added_ms(&self, scenario: &Scenario) -> Spread {
        let read: fn(&Sample) -> f64 = |sample| sample.p50_us / 1e3;
        let (airlane, direct) =
            (self.values(scenario, Target::Airlane, read), self.values(scenario, Target::Direct, read));
        spread(airlane.iter().zip(direct).map(|(ours, bare)| ours - bare).collect())
    }

    fn measured(&self) -> impl Iterator<Item = &'static Scenario> {
        SCENARIOS.iter().filter(|scenario| self.samples.contains_key(&(scenario.name, Target::Airlane)))
    }

    /// The table for people: medians, and the ratio to nginx of the same round with its range.
    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        for scenario in self.measured() {
            let _ = writeln!(
                out,
                "\n{:<30}{:>10}{:>10}{:>10}   airlane/nginx",
                scenario.name, "direct", "nginx", "airlane"
            );
            for &(name, read, digits) in figures(scenario) {
                let _ = write!(out, "  {name:<28}");
                for target in Target::ALL {
                    let _ = write!(out, "{:>10.digits$}", spread(self.values(scenario, target, read)).middle);
                }
                let ratio = self.ratio(scenario, read);
                let _ = writeln!(out, "   {:.2} ({:.2}-{:.2})", ratio.middle, ratio.least, ratio.most);
            }
            if matches!(scenario.load, Load::Streams { .. }) {
                let added = self.added_ms(scenario);
                let (middle, least, most) = (added.middle, added.least, added.most);
                let _ = writeln!(out, "  added TTFT p50: {middle:.2} ms ({least:.2}-{most:.2})");
            }
        }
        if let Some(start) = &self.start {
            let middle = start.ready.get(start.ready.len() / 2).copied().unwrap_or_default();
            let most = start.ready.last().copied().unwrap_or_default();
            let (ours, theirs) = (start.idle_kib as f64 / 1024.0, start.nginx_idle_kib as f64 / 1024.0);
            let _ = writeln!(out, "\nstart to ready: median {middle:.0?}, slowest {most:.0?}");
            let _ = writeln!(out, "idle RSS: airlane {ours:.1} MiB, nginx {theirs:.1} MiB");
        }
        if let Some(growth) = &self.growth {
            let (early, end) = (growth.early_kib as f64 / 1024.0, growth.end_kib as f64 / 1024.0);
            let _ = writeln!(
                out,
                "RSS after {} requests {early:.1} MiB, after {} {end:.1} MiB",
                growth.early, growth.requests
            );
        }
        out
    }

    /// Writes every sample to `target/bench/endpoint.json`.
    pub(crate) fn write(&self, quick: bool) -> Result<PathBuf, String> {
        let folder = airlane_tests::programs::repository().join("target/bench");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let path = folder.join("endpoint.json");
        let text = format!("{:#}\n", self.json(quick));
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    fn json(&self, quick: bool) -> Value {
        let scenarios: Vec<Value> = self.measured().map(|scenario| self.scenario_json(scenario)).collect();
        let start = self.start.as_ref().map(|start| {
            let ready_ms: Vec<f64> = start.ready.iter().map(|ready| ready.as_secs_f64() * 1e3).collect();
            json!({ "ready_ms": ready_ms, "idle_kib": start.idle_kib, "nginx_idle_kib": start.nginx_idle_kib })
        });
        let growth = self.growth.as_ref().map(|growth| {
            json!({ "early_requests": growth.early, "early_kib": growth.early_kib,
                    "requests": growth.requests, "end_kib": growth.end_kib })
        });
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        json!({ "quick": quick, "cores": cores, "scenarios": scenarios, "start": start, "growth": growth })
    }

    fn scenario_json(&self, scenario: &Scenario) -> Value {
        let targets: serde_json::Map<String, Value> = Target::ALL
            .into_iter()
            .map(|target| {
                let columns: serde_json::Map<String, Value> = figures(scenario)
                    .iter()
                    .map(|&(name, read, _)| (name.to_owned(), json!(self.values(scenario, target, read))))
                    .collect();
                (target.name().to_owned(), Value::Object(columns))
            })
            .collect();
        json!({ "name": scenario.name, "rounds": targets, "cpu_ratio": self.ratio(scenario, |sample| sample.cpu_us).middle })
    }
}
