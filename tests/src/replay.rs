//! Plays recorded requests to a daemon and looks which of them were answered by kept answers, and whether they may be.
//!
//! Each line of a record is a JSON object:
//!
//! - `label`: requests with the same label may have the same answer, all others must not;
//! - `body`: the request's body, and `path`, its path (`/v1/chat/completions` unless given);
//! - `client`: the address it comes from (127.0.0.1 unless given; any of 127.0.0.0/8);
//! - `headers`: further headers.
//!
//! The upstream answers every request with another text, its number, so that each answer says from which request it came.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::client::{Exchange, Request, Response};
use crate::daemon::Daemon;
use crate::fake::{Fake, Script};

/// One request of a record.
#[derive(Debug, Clone)]
pub struct Line {
    /// What may have the same answer.
    pub label: String,
    /// Who asks.
    pub client: IpAddr,
    /// What is asked.
    pub request: Request,
}

impl Line {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let line: Map<String, Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let word = |name: &str, default: Option<&str>| -> Result<String, String> {
            match line.get(name) {
                None => default.map(str::to_owned).ok_or(format!("{name} is missing")),
                Some(Value::String(word)) => Ok(word.clone()),
                Some(_) => Err(format!("{name} is no text")),
            }
        };
        let body = line.get("body").filter(|body| body.is_object()).ok_or("body is missing, or no object")?;
        let mut request = Request::post(&word("path", Some("/v1/chat/completions"))?, body);
        for (name, value) in line.get("headers").and_then(Value::as_object).into_iter().flatten() {
            request = request.with(name, value.as_str().ok_or(format!("the header {name} is no text"))?);
        }
        let client = word("client", Some("127.0.0.1"))?;
        let client = client.parse().map_err(|_| format!("client {client:?} is no address"))?;
        Ok(Self { label: word("label", None)?, client, request })
    }

    /// Reads a record. Empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// The first line that is wrong, with its number.
    pub fn read_all(text: &str) -> Result<Vec<Self>, String> {
        let lines = text.lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines.map(|(at, line)| Self::read(line).map_err(|error| format!("line {}: {error}", at + 1))).collect()
    }
}

/// How the requests of a record were answered.
#[derive(Debug, Default)]
pub struct Report {
    /// Requests.
    pub requests: usize,
    /// Answered by kept answers, by the `detail` of their `Cache-Status`.
    pub hits: HashMap<String, usize>,
    /// Hits whose answer was made for another label: `label (its answer was made for label)`.
    pub false_hits: Vec<String>,
    /// Hits whose answer was made for another client.
    pub foreign_hits: usize,
    /// Requests whose label had been answered before.
    pub repeats: usize,
    /// Requests that were refused or failed: `label: status`.
    pub failures: Vec<String>,
    /// Bytes of kept answers that were sent.
    pub hit_bytes: usize,
    hit_times: Vec<Duration>,
    miss_times: Vec<Duration>,
}

impl Report {
    /// All hits.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.hits.values().sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        let hits = self.hits();
        writeln!(formatter, "requests        {:>8}", self.requests)?;
        writeln!(formatter, "hits            {hits:>8}  {:.2} % of the requests", percent(hits, self.requests))?;
        let mut kinds: Vec<_> = self.hits.iter().collect();
        kinds.sort();
        for (kind, count) in kinds {
            writeln!(formatter, "  {kind:<14}{count:>8}")?;
        }
        let recall = percent(hits, self.repeats);
        writeln!(formatter, "could have been {:>8}  {recall:.2} % of them were hits", self.repeats)?;
        let wrong = percent(self.false_hits.len(), hits);
        writeln!(formatter, "false hits      {:>8}  {wrong:.3} % of the hits", self.false_hits.len())?;
        writeln!(formatter, "of others       {:>8}", self.foreign_hits)?;
        writeln!(formatter, "failed          {:>8}", self.failures.len())?;
        writeln!(formatter, "bytes of hits   {:>8}", self.hit_bytes)?;
        for (name, times) in [("hits", &self.hit_times), ("others", &self.miss_times)] {
            let (p50, p99) = (percentile(times, 50), percentile(times, 99));
            writeln!(formatter, "time, {name:<10}{:>8.3} ms p50, {:.3} ms p99", p50 * 1e3, p99 * 1e3)?;
        }
        self.false_hits.iter().try_for_each(|wrong| writeln!(formatter, "false: {wrong}"))?;
        self.failures.iter().try_for_each(|failure| writeln!(formatter, "failed: {failure}"))
    }
}

fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).map_or(0.0, Duration::as_secs_f64)
}

/// Plays a record, one request after another, to a daemon before this upstream.
#[must_use]
pub fn play(daemon: &Daemon, fake: &Fake, lines: &[Line]) -> Report {
    play_with(daemon, fake, lines, |_| {})
}

/// Plays a record, and calls `before` with the number of requests so far before each of them.
#[must_use]
pub fn play_with(daemon: &Daemon, fake: &Fake, lines: &[Line], before: impl Fn(usize)) -> Report {
    fake.answer(Script { numbered: true, ..Script::default() });
    let mut report = Report { requests: lines.len(), ..Report::default() };
    // By the text of the answer: the line for which it was made.
    let mut made: HashMap<String, &Line> = HashMap::new();
    let mut connections = HashMap::new();
    let mut asked = std::collections::HashSet::new();
    for (number, line) in lines.iter().enumerate() {
        before(number);
        report.repeats += usize::from(!asked.insert(&line.label));
        let connection = connections.entry(line.client).or_insert_with(|| connect(daemon, line.client));
        let began = Instant::now();
        connection.send(&line.request);
        let response = connection.finish();
        let took = began.elapsed();
        if response.status() != 200 || !response.complete {
            report.failures.push(format!("{}: {} {}", line.label, response.status(), response.text()));
            connections.remove(&line.client);
            continue;
        }
        let said = said(&response);
        match hit(&response) {
            None => {
                report.miss_times.push(took);
                made.insert(said, line);
            }
            Some(kind) => {
                *report.hits.entry(kind).or_default() += 1;
                report.hit_times.push(took);
                report.hit_bytes += response.body.len();
                match made.get(&said) {
                    Some(origin) if origin.label == line.label => {
                        report.foreign_hits += usize::from(origin.client != line.client);
                    }
                    Some(origin) => {
                        report.false_hits.push(format!("{} (its answer was made for {})", line.label, origin.label));
                    }
                    None => report.false_hits.push(format!("{} (nobody was told {said:?})", line.label)),
                }
            }
        }
    }
    report
}

fn connect(daemon: &Daemon, client: IpAddr) -> Exchange {
    let client = if client.is_loopback() { client } else { Ipv4Addr::LOCALHOST.into() };
    Exchange::connect_from(SocketAddr::new(client, 0), daemon.address())
}

/// How the kept answer was found, if it is one.
fn hit(response: &Response) -> Option<String> {
    let status = response.header("cache-status")?.strip_prefix("airlane; hit")?;
    let detail = status.split("detail=").nth(1).unwrap_or_default().trim_matches('"');
    // What stands behind it is how like the questions are.
    Some(detail.split(';').next().unwrap_or_default().to_owned())
}

/// The answer's text: the digits of an answer in any dialect.
fn said(response: &Response) -> String {
    let text = response.text();
    let content = text.rsplit("\"content\":").find(|part| part.starts_with('"') || part.starts_with('['));
    let content = content.unwrap_or(&text);
    content.chars().skip_while(|letter| !letter.is_ascii_digit()).take_while(char::is_ascii_digit).collect()
}
