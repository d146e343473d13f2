//! Puts a load on one target and reads what it cost.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::process::{Process, command};
use crate::scenario::{Load, SCENARIOS, Scenario, request_body};
use crate::stage::{Server, Stage, Target};

/// What one load on one target gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Requests or chunks per second.
    pub rate: f64,
    /// Time to the whole answer, or to the first token.
    pub p50_us: f64,
    /// The same, for the slowest hundredth.
    pub p99_us: f64,
    /// CPU time of the target per request or chunk.
    pub cpu_us: f64,
    /// Largest memory seen, in KiB.
    pub rss_kib: u64,
}

/// What a load generator reports on its line `RESULT ...`.
struct Outcome {
    units: f64,
    errors: u64,
    p50_us: f64,
    p99_us: f64,
    took: Duration,
}

/// Loads `target` for about `span`, after a short load to warm it up.
pub(crate) fn measure(stage: &Stage, scenario: &Scenario, target: Target, span: Duration) -> Result<Sample, String> {
    let server = stage.server(target);
    generate(server, stage.folder.path(), scenario.load, Duration::from_secs(1))?;
    let before = server.process.cpu();
    let (outcome, rss_kib) = generate(server, stage.folder.path(), scenario.load, span)?;
    let spent = server.process.cpu().saturating_sub(before);
    if outcome.errors > 0 || outcome.units < 1.0 {
        let (name, errors, units) = (target.name(), outcome.errors, outcome.units);
        return Err(format!("{}: {name}: {errors} errors beside {units} answers", scenario.name));
    }
    Ok(Sample {
        rate: outcome.units / outcome.took.as_secs_f64(),
        p50_us: outcome.p50_us,
        p99_us: outcome.p99_us,
        cpu_us: spent.as_secs_f64() * 1e6 / outcome.units,
        rss_kib,
    })
}

/// Runs a load generator to its end; gives the server's largest memory besides.
fn generate(server: &Server, folder: &Path, load: Load, span: Duration) -> Result<(Outcome, u64), String> {
    let address = server.address;
    let span = span.as_secs().max(1).to_string();
    let mut command = match load {
        Load::Unary { connections, request_bytes, kept } => {
            let script = folder.join("request.lua");
            fs::write(&script, lua(request_bytes, kept)).map_err(|error| format!("{}: {error}", script.display()))?;
            let (script, connections) = (script.display().to_string(), connections.to_string());
            let (span, url) = (format!("{span}s"), format!("http://{address}/v1/chat/completions"));
            command("wrk", &["-t", "1", "-c", &connections, "-d", &span, "-s", &script, &url])
        }
        Load::Streams { count, gap, tokens } => {
            let own = std::env::current_exe().map_err(|error| format!("no executable: {error}"))?;
            let (address, count, tokens) = (address.to_string(), count.to_string(), tokens.to_string());
            let gap_ms = gap.as_millis().to_string();
            command(&own.display().to_string(), &["streams", &address, &count, &gap_ms, &tokens, &span])
        }
    };
    command.stdout(Stdio::piped());
    let mut generator = Process::start(command, false)?;
    let mut peak_kib = 0;
    let began = Instant::now();
    let status = loop {
        peak_kib = server.process.rss_kib().max(peak_kib);
        match generator.ended() {
            Some(status) => break status,
            None if began.elapsed() > Duration::from_secs(120) => return Err("the load did not end".to_owned()),
            None => sleep(Duration::from_millis(50)),
        }
    };
    let mut text = String::new();
    if let Some(mut output) = generator.output() {
        output.read_to_string(&mut text).map_err(|error| format!("the load's report: {error}"))?;
    }
    let outcome = read_outcome(&text).ok_or(format!("the load ended with {status} and said:\n{text}"))?;
    Ok((outcome, peak_kib))
}

fn lua(request_bytes: usize, kept: bool) -> String {
    let body = request_body(request_bytes, false, kept);
    format!(
        "wrk.method = 'POST'
wrk.headers['content-type'] = 'application/json'
wrk.body = [==[{body}]==]
function done(summary, latency)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format('RESULT %d %d %d %d %d\\n', summary.requests, failed,
    latency:percentile(50), latency:percentile(99), summary.duration))
end
"
    )
}

fn read_outcome(text: &str) -> Option<Outcome> {
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "))?;
    let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    let &[units, errors, p50, p99, took] = numbers.as_slice() else { return None };
    let took = Duration::from_micros(took);
    Some(Outcome { units: units as f64, errors, p50_us: p50 as f64, p99_us: p99 as f64, took })
}

/// Airlane's memory after some requests and after all.
pub(crate) struct Growth {
    /// Requests until the first look.
    pub early: u64,
    /// Memory then, in KiB.
    pub early_kib: u64,
    /// Requests in all.
    pub requests: u64,
    /// Memory at the end, in KiB.
    pub end_kib: u64,
}

/// Sends `requests` requests over 16 connections; the first look is after a tenth of them.
pub(crate) fn growth(airlane: &Path, requests: u64) -> Result<Growth, String> {
    let scenario = &SCENARIOS[1];
    let stage = Stage::set_up(scenario, airlane)?;
    let server = stage.server(Target::Airlane);
    let (mut sent, mut early) = (0, None);
    while sent < requests {
        let (outcome, _) = generate(server, stage.folder.path(), scenario.load, Duration::from_secs(2))?;
        if outcome.errors > 0 || outcome.units < 1.0 {
            return Err(format!("{} errors beside {} answers", outcome.errors, outcome.units));
        }
        sent += outcome.units as u64;
        if early.is_none() && sent >= requests / 10 {
            early = Some((sent, server.process.rss_kib()));
        }
    }
    let (early, early_kib) = early.unwrap_or_default();
    Ok(Growth { early, early_kib, requests: sent, end_kib: server.process.rss_kib() })
}
