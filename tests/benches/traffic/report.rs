//! The figures as a table and as a file.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use airlane_tests::traffic::{Kind, Scenario, Summary};
use serde_json::{Value, json};

use crate::cost::{Cost, WAITING};

/// All figures of a run.
pub(crate) struct Report {
    requests: usize,
    plays: Vec<Play>,
    /// What decisions cost, if it was measured.
    pub cost: Option<Cost>,
}

struct Play {
    scenario: &'static str,
    seed: u64,
    kinds: Vec<(Kind, Summary)>,
}

impl Play {
    fn summary(&self, kind: Kind) -> Option<&Summary> {
        self.kinds.iter().find(|(other, _)| *other == kind).map(|(_, summary)| summary)
    }

    /// The 99th percentile of the time to the first token, as a part of another policy's.
    fn ratio(&self, other: Kind) -> f64 {
        let p99 = |kind| self.summary(kind).map_or(f64::NAN, |summary| summary.ttft[1]);
        p99(Kind::Auto) / p99(other)
    }

    /// How much longer bulk waits than what somebody looks at, at the 99th percentile; `None` without such lanes.
    fn spread(&self) -> Option<f64> {
        let wait = self.summary(Kind::Auto)?.wait_p99;
        (wait[0] > 0.0).then(|| wait[2] / wait[0])
    }

    fn table(&self) -> String {
        let mut out = format!(
            "\n{} (seed {})\n  {:<12}{:>9}{:>9}{:>9}  {:>24}{:>7}{:>8}{:>9}  share by node\n",
            self.scenario,
            self.seed,
            "",
            "TTFT p50",
            "p99",
            "end p99",
            "p99 wait by lane, s",
            "slots",
            "broken",
            "refused"
        );
        for (kind, summary) in &self.kinds {
            let Summary { ttft, total, wait_p99: wait, .. } = summary;
            let waits = format!("{:.1} / {:.1} / {:.1}", wait[0], wait[1], wait[2]);
            let shares: Vec<String> = summary.share.iter().take(3).map(|share| format!("{share:.2}")).collect();
            let _ = writeln!(
                out,
                "  {:<12}{:>9.2}{:>9.2}{:>9.2}  {waits:>24}{:>6.0}%{:>8}{:>9}  {}",
                kind.name(),
                ttft[0],
                ttft[1],
                total[1],
                summary.used_all * 100.0,
                summary.broken,
                summary.refused,
                shares.join(" ")
            );
        }
        out
    }

    fn json(&self) -> Value {
        let kinds: serde_json::Map<String, Value> = self
            .kinds
            .iter()
            .map(|(kind, summary)| {
                let figures = json!({
                    "ttft_s": summary.ttft, "end_s": summary.total, "ttft_by_lane_s": summary.ttft_by_lane,
                    "wait_p99_by_lane_s": summary.wait_p99, "wait_max_by_lane_s": summary.wait_max,
                    "share_by_node": summary.share, "slots_used": summary.used_all, "answered": summary.answered,
                    "broken": summary.broken, "refused": summary.refused, "span_s": summary.span_s,
                });
                (kind.name().to_owned(), figures)
            })
            .collect();
        json!({ "scenario": self.scenario, "seed": self.seed, "policies": kinds,
                "to_least_connections": self.ratio(Kind::LeastConnections), "to_oracle": self.ratio(Kind::Oracle),
                "to_orderly": self.ratio(Kind::Orderly) })
    }
}

impl Report {
    pub(crate) const fn new(requests: usize) -> Self {
        Self { requests, plays: Vec::new(), cost: None }
    }

    /// Keeps the figures of a policy in a scenario.
    pub(crate) fn add(&mut self, scenario: &Scenario, kind: Kind, summary: Summary) {
        let is_same = |play: &&mut Play| play.scenario == scenario.name && play.seed == scenario.seed;
        match self.plays.last_mut().filter(is_same) {
            Some(play) => play.kinds.push((kind, summary)),
            None => {
                self.plays.push(Play { scenario: scenario.name, seed: scenario.seed, kinds: vec![(kind, summary)] });
            }
        }
    }

    /// The table of the last scenario.
    pub(crate) fn last(&self) -> String {
        self.plays.last().map(Play::table).unwrap_or_default()
    }

    /// How Airlane does beside the others in each scenario and seed, and what it costs.
    pub(crate) fn table(&self) -> String {
        let mut out = format!(
            "\n{:<22}{:>6}{:>22}{:>10}{:>23}\n",
            "p99 TTFT of auto", "seed", "/ least connections", "/ oracle", "/ oracle in our order"
        );
        for play in &self.plays {
            let (least, oracle) = (play.ratio(Kind::LeastConnections), play.ratio(Kind::Oracle));
            let orderly = play.ratio(Kind::Orderly);
            let _ = write!(out, "{:<22}{:>6}{least:>22.2}{oracle:>10.2}{orderly:>23.2}", play.scenario, play.seed);
            let spread = play.spread().map(|spread| format!("   bulk waits {spread:.0} x as long as interactive"));
            let _ = writeln!(out, "{}", spread.unwrap_or_default());
        }
        if let Some(cost) = &self.cost {
            let ten = cost.choose_us.iter().find(|(count, _)| *count == 10).map_or(f64::NAN, |(_, us)| *us);
            for (count, us) in &cost.choose_us {
                let _ = writeln!(out, "choose among {count:>5}: {us:>8.1} us, {:>6.1} x that among 10", us / ten);
            }
            let _ = writeln!(out, "queue with {WAITING} waiting: {:.0} turns a second", cost.turns_per_s);
        }
        out
    }

    /// Writes everything to `target/bench/traffic.json`.
    pub(crate) fn write(&self) -> Result<PathBuf, String> {
        let folder = airlane_tests::programs::repository().join("target/bench");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let path = folder.join("traffic.json");
        let plays: Vec<Value> = self.plays.iter().map(Play::json).collect();
        let cost = self
            .cost
            .as_ref()
            .map(|cost| json!({ "choose_us": cost.choose_us, "waiting": WAITING, "turns_per_s": cost.turns_per_s }));
        let text = format!("{:#}\n", json!({ "requests": self.requests, "plays": plays, "cost": cost }));
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}
