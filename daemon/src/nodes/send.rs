//! The node's end: tells the router every second what it has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::catalogue::Target;
use domain::dispatch::Dispatch;
use domain::moment::Moment;
use domain::node::{LeftOut, Report, ServedModel, Server};
use domain::upstream::Upstream;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use super::book::Router;
use super::pack::{list_number, pack};
use super::receive::{Claim, PURPOSE};
use super::{Nodes, http, said};
use crate::live::Snapshot;
use crate::upstreams::{CallError, Fault, Outbound};

/// How often is reported.
const EVERY: Duration = Duration::from_secs(1);
/// Longest wait for our own servers before the first report.
const FIRST_ROUND_MAX: Duration = Duration::from_secs(5);
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
        // Requests that wait for a node to wake come with its first report: by then it knows what its servers have.
        let _ = timeout(FIRST_ROUND_MAX, self.live.first_round()).await;
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
