//! The node's end: tells the router every second what it has.

use std::hash::{DefaultHasher, Hasher as _};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::catalogue::Target;
use domain::dispatch::Dispatch;
use domain::moment::Moment;
use domain::node::{LeftOut, Report, ServedModel, Server};
use domain::upstream::Upstream;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};
use wire::node::{REPORT_BYTES_MAX, write_report};

use super::book::Router;
use super::receive::{Claim, PURPOSE};
use super::{Nodes, http, said};
use crate::live::Snapshot;
use crate::upstreams::{CallError, Fault, Outbound};

/// How often is reported.
const EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the router.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Pause after a router that does not know us: only its owner can change that.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(10);
/// What is so then, and what to do about it.
const UNKNOWN: &str = "the router does not know this node any more; `airlane node code` here and `airlane node pair` there \
                       bring it back";
/// Largest answer of the router.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// A run of reports.
#[derive(Default)]
struct Run {
    /// The router's word for it; `None` until it was asked for.
    word: Option<String>,
    number: u64,
    /// How the last report went, so that only changes are told.
    went_well: Option<bool>,
    /// When the next report is worth a try.
    not_before: Option<Instant>,
}

/// The word with which the other end of a pair is spoken to.
#[derive(Deserialize)]
pub(super) struct Challenge {
    pub(super) word: String,
}

/// Why the other end of a pair did not take what it was told.
pub(super) enum Failed {
    /// It knows no such pair, or the word is from another run.
    Unknown,
    Other(String),
}

impl Nodes {
    /// Reports, for ever.
    pub(crate) async fn report(self: Arc<Self>) {
        if !self.node.enabled {
            std::future::pending::<()>().await;
        }
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut run = Run::default();
        let mut last = None;
        loop {
            tick.tick().await;
            let Some(router) = self.lock().router.clone() else { continue };
            let now = Some((router.id.clone(), router.address));
            if last != now {
                (run, last) = (Run { went_well: run.went_well, ..Run::default() }, now);
            }
            if run.not_before.is_some_and(|moment| Instant::now() < moment) {
                continue;
            }
            let told = timeout(ANSWER_MAX, self.report_once(&router, &mut run)).await;
            let trouble = match told.unwrap_or_else(|_| Err(Failed::Other("it does not answer".to_owned()))) {
                Ok(()) => None,
                Err(Failed::Unknown) if run.word.take().is_some() => {
                    debug!("the router began anew");
                    continue;
                }
                Err(Failed::Unknown) => {
                    run.not_before = Some(Instant::now() + UNKNOWN_PAUSE);
                    Some(UNKNOWN.to_owned())
                }
                Err(Failed::Other(reason)) => Some(format!("reports do not arrive: {reason}")),
            };
            let goes_well = Some(trouble.is_none());
            match &trouble {
                _ if run.went_well == goes_well => {}
                None => info!(router = router.name, "reports arrive"),
                Some(trouble) => warn!(router = router.name, "{trouble}"),
            }
            run.went_well = goes_well;
            self.note_trouble(&router, trouble);
        }
    }

    /// Keeps why reports do not arrive at a router, if that is still ours.
    fn note_trouble(&self, router: &Router, trouble: Option<String>) {
        let mut state = self.lock();
        if state.router.as_ref().is_some_and(|known| known.id == router.id) {
            state.trouble = trouble;
        }
    }

    async fn report_once(&self, router: &Router, run: &mut Run) -> Result<(), Failed> {
        let far = Upstream::node(&router.name, format!("http://{}", router.address));
        let address = self.address_for(router.address).map_err(|error| Failed::Other(error.to_string()))?;
        let word = match &run.word {
            Some(word) => word.clone(),
            None => {
                let path = format!("{}?node={}", http::REPORT, router.id);
                let answer = self.send(&far, &path, None, HeaderMap::new()).await?;
                let challenge: Challenge = serde_json::from_slice(&answer)
                    .map_err(|_| Failed::Other("what answers there is no airlane".to_owned()))?;
                run.number = 0;
                run.word.insert(challenge.word).clone()
            }
        };
        run.number += 1;
        let packed = pack(&mut self.make_report(address)).map_err(|error| Failed::Other(error.to_string()))?;
        let claim = Claim::write(&router.key, PURPOSE, &router.id, &word, run.number, &packed);
        let claim = HeaderValue::from_str(&claim).map_err(|error| Failed::Other(error.to_string()))?;
        let headers = HeaderMap::from_iter([(AUTHORIZATION, claim)]);
        self.send(&far, http::REPORT, Some(packed.into()), headers).await.map(drop)
    }

    /// Tells the other end of a pair something, or asks it.
    pub(super) async fn send(
        &self,
        far: &Upstream,
        path: &str,
        body: Option<Bytes>,
        headers: HeaderMap,
    ) -> Result<Bytes, Failed> {
        let outbound = || Outbound { path, body: body.clone(), headers: headers.clone(), ..Outbound::default() };
        let failed = |error: CallError| match &error.fault {
            Fault::Status { status: 401, .. } => Failed::Unknown,
            Fault::Connect(_)
            | Fault::Timeout { .. }
            | Fault::Status { .. }
            | Fault::Reported(_)
            | Fault::Broken(_)
            | Fault::NotAnAnswer(_) => Failed::Other(said(&error)),
        };
        let mut reply = self.clients.call(far, outbound).await.map_err(failed)?;
        let body = reply.body.collect(ANSWER_BYTES_MAX).await;
        body.map_err(|_| Failed::Other("its answer broke off".to_owned()))
    }

    /// What we have now.
    fn make_report(&self, address: SocketAddr) -> Report {
        let snapshot = self.live.now();
        let servers = self.dispatcher.with(|dispatch, now| servers(&snapshot, dispatch, now));
        let telemetry = domain::telemetry::Telemetry::clone(&self.live.telemetry());
        let mut report = Report {
            address,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            telemetry,
            servers,
            list: Some(list_number(&snapshot)),
            clock_s: super::clock_s(),
            left_out: LeftOut::default(),
        };
        report.bound();
        report
    }
}

/// Our own model servers, as others may have them.
fn servers(snapshot: &Snapshot, dispatch: &Dispatch, now: Moment) -> Vec<Server> {
    let queues = dispatch.queues();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let shared = snapshot.config.upstreams.iter().filter(|upstream| upstream.is_shared());
    shared
        .map(|upstream| {
            let lines = snapshot.catalogue.shared(&snapshot.config).filter(|listed| listed.upstream == upstream.name);
            let models = lines.map(|listed| {
                let target = Target::new(&upstream.name, &listed.info.id);
                let place = dispatch.places.place(&target);
                ServedModel {
                    id: listed.id.clone(),
                    resident: place.and_then(|place| place.resident),
                    slots: place.and_then(|place| place.slots.or(place.told.slots)),
                    // With those that came past us.
                    running: place
                        .map_or(0, |place| count(place.running.len()).saturating_add(place.told.others.running)),
                    waiting: queues
                        .get(&target)
                        .map_or(0, |waiting| count(*waiting))
                        .saturating_add(place.map_or(0, |place| place.told.others.waiting)),
                }
            });
            let standing = dispatch.places.standing(&upstream.name, now);
            Server {
                name: upstream.name.clone(),
                kind: upstream.kind.name().to_owned(),
                health: standing.state.name().to_owned(),
                cause: Some(standing.cause.to_owned()).filter(|cause| !cause.is_empty()),
                models: models.collect(),
            }
        })
        .collect()
}

/// A number for what the listing tells others: all of it counts, since the router keeps all of it.
fn list_number(snapshot: &Snapshot) -> u64 {
    struct Sink(DefaultHasher);
    impl std::fmt::Write for Sink {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut sink = Sink(DefaultHasher::new());
    for listed in snapshot.catalogue.shared(&snapshot.config) {
        // Writing into a hash does not fail.
        let _ = std::fmt::Write::write_fmt(&mut sink, format_args!("{listed:?}\n"));
    }
    sink.0.finish()
}

/// Halvings that make any report small enough: none of its lists is longer than two to that power.
const HALVINGS_MAX: usize = 16;

/// Packs a report; one that is larger than the router takes loses its longest lists, and says so.
fn pack(report: &mut Report) -> std::io::Result<Vec<u8>> {
    for _ in 0..HALVINGS_MAX {
        let plain = write_report(report);
        let packed = deflate(&plain)?;
        if plain.len() <= REPORT_BYTES_MAX && packed.len() <= http::PACKED_BYTES_MAX {
            return Ok(packed);
        }
        report.halve();
    }
    deflate(&write_report(report))
}

fn deflate(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(plain)?;
    packer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::gpu::{Card, CardState, Clocks, ForeignLoad, GpuState, Gpus, Process, Sample, Vram};
    use domain::machine::{Disk, Machine, Network};
    use domain::telemetry::Telemetry;

    /// A box that is as large as boxes at home are: two cards at work, three servers, twenty models.
    fn large_box() -> Report {
        let process = |pid, name: &str| Process {
            pid,
            name: Some(name.to_owned()),
            vram_bytes: Some(7_516_192_768 + u64::from(pid)),
            utilization_percent: Some(40),
        };
        let card = |index| Card {
            index,
            uuid: Some(format!("GPU-6f1c2b9e-1a2b-3c4d-5e6f-70819a2b3c{index:02}")),
            name: Some("NVIDIA GeForce RTX 4090".to_owned()),
            state: CardState::Reading,
            sample: Some(Sample {
                utilization_percent: Some(97),
                memory_utilization_percent: Some(61),
                vram: Some(Vram { total_bytes: 25_757_220_864, used_bytes: 21_474_836_480, free_bytes: 4_282_384_384 }),
                temperature_c: Some(71),
                slowdown_c: Some(90),
                fan_percent: Some(64),
                power_mw: Some(412_345),
                power_limit_mw: Some(450_000),
                energy_mj: Some(987_654_321_012),
                clocks: Clocks {
                    graphics_mhz: Some(2_520),
                    sm_mhz: Some(2_520),
                    memory_mhz: Some(10_501),
                    video_mhz: None,
                },
                throttle: Some(Vec::new()),
                processes: Some((1..=6).map(|pid| process(pid, "llama-server")).collect()),
                ..Sample::default()
            }),
            foreign: Some(ForeignLoad { pressure_percent: 88, backed_off: true, by: vec![process(9, "game.exe")] }),
        };
        let network = |name: &str| Network {
            name: name.to_owned(),
            received_bytes: 123_456_789_012,
            sent_bytes: 98_765_432_109,
            addresses: vec!["192.168.1.20".parse().unwrap(), "fd00::20".parse().unwrap(), "fe80::20".parse().unwrap()],
        };
        let disk = |mount: &str| Disk { mount: mount.to_owned(), total_bytes: 1 << 40, available_bytes: 1 << 39 };
        let machine = Machine {
            host_name: Some("gpu-box".to_owned()),
            system: Some("Debian GNU/Linux 13".to_owned()),
            disks: ["/", "/home", "/models"].map(disk).to_vec(),
            networks: ["eth0", "wlan0", "docker0"].map(network).to_vec(),
            ..Machine::default()
        };
        let model = |at: usize, name: &str| ServedModel {
            id: format!("{name}/qwen3-coder-30b-a3b-instruct-q4_k_m-{at}"),
            resident: Some(at == 0),
            slots: Some(4),
            running: 2,
            waiting: 1,
        };
        let server = |name: &str, models: usize| Server {
            name: name.to_owned(),
            kind: "openai".to_owned(),
            health: "healthy".to_owned(),
            cause: None,
            models: (0..models).map(|at| model(at, name)).collect(),
        };
        Report {
            address: "192.168.1.20:8484".parse().unwrap(),
            version: "0.1.0".to_owned(),
            telemetry: Telemetry {
                gpus: Gpus { state: GpuState::Reading, cards: vec![card(0), card(1)], ..Gpus::default() },
                machine: Some(machine),
            },
            servers: vec![server("ollama", 12), server("llama-server", 4), server("vllm", 4)],
            list: Some(u64::MAX),
            clock_s: Some(1_790_000_000),
            left_out: LeftOut::default(),
        }
    }

    #[test]
    fn a_large_box_sends_less_than_two_kib_a_second() {
        let mut report = large_box();
        let (plain, packed) = (write_report(&report), pack(&mut report).unwrap());
        println!("a report has {} bytes, {} packed", plain.len(), packed.len());
        assert!(packed.len() < 2_048, "{} of {}", packed.len(), plain.len());
        assert_eq!(wire::node::read_report(&plain).unwrap(), report);
    }

    #[test]
    fn a_report_that_is_too_large_is_cut_and_says_so() {
        let mut report = large_box();
        let long = |at: usize| format!("{}{at}", "a name that is long for a model ".repeat(15));
        let model = report.servers[0].models[0].clone();
        report.servers[0].models = (0..100).map(|at| ServedModel { id: long(at), ..model.clone() }).collect();
        report.servers = vec![report.servers[0].clone(); 20];
        report.bound();
        assert_eq!(report.left_out, LeftOut::default());
        assert!(write_report(&report).len() > REPORT_BYTES_MAX);
        let packed = pack(&mut report).unwrap();
        assert!(packed.len() <= http::PACKED_BYTES_MAX);
        let read = wire::node::read_report(&write_report(&report)).unwrap();
        assert_eq!(read.servers.len(), 20, "no server is missing");
        let left: usize = read.servers.iter().map(|server| server.models.len()).sum();
        assert_eq!(usize::try_from(read.left_out.models).unwrap() + left, 2_000);
        assert_eq!(read.notes(1_790_000_000).len(), 1);
    }
}
