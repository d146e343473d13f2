//! Foreign load: what of a card's load our own requests do not explain, who causes it, and whether to back off.
//!
//! A game, a render or somebody who calls Ollama directly is foreign. A model server on this machine that we call is
//! not, as long as we have requests there; what it holds in memory never is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Process, Sample, Vram, is_model_server};

/// What Airlane itself does on this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ours {
    /// Upstreams on this machine.
    pub upstreams: usize,
    /// Requests in flight there, with those of others that the servers themselves tell of: these take slots, and are
    /// not counted a second time as foreign load.
    pub in_flight: u64,
    /// Requests that ever went there: shows those that began and ended between two readings.
    pub begun: u64,
}

/// The load of a card that is not ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignLoad {
    /// How much it is, smoothed, from 0 to 100 percent of the card's computing or memory, whichever is more.
    pub pressure_percent: u32,
    /// Whether the card should be left alone.
    pub backed_off: bool,
    /// Who causes it, the most first; empty where there is none, or nobody tells who.
    pub by: Vec<Process>,
}

/// Pressure from which a card is left alone, in percent: a game or a render takes more, a desktop with a video less.
const BACK_OFF_PERCENT: u32 = 50;
/// Pressure below which it counts as free again, in percent: well below, so that nothing near the bound flaps.
const FREE_PERCENT: u32 = 25;
/// How long it must have been free before it is taken again: loading screens end sooner.
const FREE_FOR: Duration = Duration::from_secs(5);
/// Time in which the pressure follows a change by two thirds: a peak of one second does not reach the bound, a game
/// does in two.
const SMOOTH_S: f64 = 2.0;
/// Longest step that is smoothed over; after a longer silence the reading alone counts.
const STEP_MAX: Duration = Duration::from_secs(30);
/// How long after our last request its work may still show: the driver's averages reach back about a second, and
/// model servers take a moment to notice a client that left.
const STILL_OURS: Duration = Duration::from_secs(3);
/// A process with less of the card is not named, in percent: desktops hold a little all the time.
const NAMED_PERCENT: u32 = 5;
/// Most processes that are named.
const NAMED_MAX: usize = 5;

/// Follows one card from reading to reading.
#[derive(Debug, Clone, Default)]
pub struct ForeignFold {
    pressure: f64,
    backed_off: bool,
    free_since: Option<Duration>,
    last: Option<Duration>,
    begun: u64,
    ours_until: Duration,
    /// Foreign computing in percent when it was last known, for the time in which it cannot be told from ours.
    known: u32,
}

impl ForeignFold {
    /// Takes a reading at `now`, a time that only grows, and says what is foreign.
    pub fn take(&mut self, sample: &Sample, ours: Ours, now: Duration) -> ForeignLoad {
        if ours.upstreams > 0 && (ours.in_flight > 0 || ours.begun != self.begun) {
            self.ours_until = now.saturating_add(STILL_OURS);
        }
        self.begun = ours.begun;
        let seen = Seen::new(sample, ours, now < self.ours_until, self.known);
        self.known = seen.computing;
        self.smooth(seen.computing.max(seen.memory), now);
        // The cast saturates, and the pressure is a mean of numbers from 0 to 100.
        let pressure_percent = self.pressure.round() as u32;
        self.decide(pressure_percent, now);
        // While the card is free, names would only make people look for a trouble that there is not.
        let is_quiet = !self.backed_off && pressure_percent < FREE_PERCENT;
        ForeignLoad { pressure_percent, backed_off: self.backed_off, by: if is_quiet { Vec::new() } else { seen.by } }
    }

    fn smooth(&mut self, target: u32, now: Duration) {
        let target = f64::from(target.min(100));
        let step = self.last.map(|last| now.saturating_sub(last));
        self.last = Some(now);
        self.pressure = match step {
            Some(step) if step <= STEP_MAX => {
                let part = 1.0 - (-step.as_secs_f64() / SMOOTH_S).exp();
                self.pressure + (target - self.pressure) * part
            }
            // The first reading may be a peak, so nobody backs off from it at once.
            None => target.min(f64::from(BACK_OFF_PERCENT) / 2.0),
            Some(_) => target,
        };
    }

    fn decide(&mut self, pressure_percent: u32, now: Duration) {
        if pressure_percent >= BACK_OFF_PERCENT {
            self.backed_off = true;
        }
        if pressure_percent >= FREE_PERCENT {
            self.free_since = None;
            return;
        }
        let since = *self.free_since.get_or_insert(now);
        if now.saturating_sub(since) >= FREE_FOR {
            self.backed_off = false;
        }
    }
}

/// What one reading shows of foreign load.
struct Seen {
    /// In percent of the card's computing.
    computing: u32,
    /// In percent of the card's memory.
    memory: u32,
    by: Vec<Process>,
}

impl Seen {
    /// `explained`: our requests may be what the card computes on. `known`: foreign computing before this reading.
    fn new(sample: &Sample, ours: Ours, explained: bool, known: u32) -> Self {
        let used = sample.utilization_percent.unwrap_or(0);
        let processes = sample.processes.as_deref().unwrap_or_default();
        let is_server = |process: &&Process| ours.upstreams > 0 && may_serve(process, processes);
        let (servers, strangers): (Vec<&Process>, Vec<&Process>) = processes.iter().partition(is_server);
        let no_server_here = servers.is_empty() && tells_all(processes, sample.vram);
        let shares_told = processes.iter().any(|process| process.utilization_percent.is_some());
        let computing = if !explained || no_server_here {
            used
        } else if shares_told {
            computing_of(&strangers).min(used)
        } else if strangers.is_empty() && !servers.is_empty() {
            0
        } else {
            // What cannot be told apart is taken for what it was before our request.
            known.min(used)
        };
        let held = strangers.iter().filter_map(|process| process.vram_bytes).fold(0, u64::saturating_add);
        let suspects = if explained { strangers } else { processes.iter().collect() };
        Self {
            computing,
            memory: sample.vram.map_or(0, |vram| vram.percent(held)),
            by: named(suspects, &servers, computing, sample),
        }
    }
}

/// Whether the list holds whoever may compute on the card. In containers and under Windows the driver hides processes:
/// the list is empty then, or the memory in use is mostly that of others.
fn tells_all(processes: &[Process], vram: Option<Vram>) -> bool {
    let told = processes.iter().filter_map(|process| process.vram_bytes).fold(0, u64::saturating_add);
    let is_most = vram.is_none_or(|vram| told.saturating_mul(2) >= vram.used_bytes);
    let no_sizes = processes.iter().all(|process| process.vram_bytes.is_none());
    !processes.is_empty() && (is_most || no_sizes)
}

/// Whether a process may be a model server of ours. One whose name this machine does not know may be one in a
/// container, if no other is there.
fn may_serve(process: &Process, all: &[Process]) -> bool {
    let known = |process: &Process| process.name.as_deref().is_some_and(is_model_server);
    known(process) || (process.name.is_none() && !all.iter().any(known))
}

fn computing_of(processes: &[&Process]) -> u32 {
    processes.iter().filter_map(|process| process.utilization_percent).fold(0, u32::saturating_add)
}

/// The processes worth a name, the most first. Model servers count by what they compute, not by what they hold.
fn named(suspects: Vec<&Process>, servers: &[&Process], computing: u32, sample: &Sample) -> Vec<Process> {
    let weight = |process: &Process| {
        let computes = process.utilization_percent.unwrap_or(0);
        let holds = match (process.vram_bytes, sample.vram) {
            (Some(bytes), Some(vram)) => vram.percent(bytes),
            (None, _) | (_, None) => 0,
        };
        let is_server = servers.iter().any(|server| server.pid == process.pid);
        // Where nobody tells who computes, whoever holds memory may.
        let counts = !is_server || (process.utilization_percent.is_none() && computing > 0);
        computes.max(if counts { holds } else { 0 })
    };
    let mut weighed: Vec<(u32, &Process)> = suspects.into_iter().map(|process| (weight(process), process)).collect();
    weighed.retain(|(weight, _)| *weight >= NAMED_PERCENT);
    weighed.sort_by_key(|(weight, process)| (std::cmp::Reverse(*weight), process.pid));
    weighed.into_iter().take(NAMED_MAX).map(|(_, process)| process.clone()).collect()
}

#[cfg(test)]
mod tests;
