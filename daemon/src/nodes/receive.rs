//! The router's end: takes reports in, and notices who falls silent.

use std::collections::HashMap;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::health::{Permission, Symptom};
use domain::moment::Moment;
use domain::node::{Node, NodeState, Origin, Report, SILENT_AFTER_S, Server, Session};
use domain::telemetry::Telemetry;
use flate2::read::DeflateDecoder;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};
use wire::node::{REPORT_BYTES_MAX, read_report};

use super::book::Paired;
use super::proof::{Key, random_word};
use super::{Nodes, State};

/// How often silence is looked for.
const TICK: Duration = Duration::from_secs(1);
/// Reports that come faster than this are not read.
const GAP_MIN: Duration = Duration::from_millis(200);

/// What a node last told.
pub(super) struct Heard {
    session: Session,
    at: Option<Instant>,
    /// When that came, on the dispatcher's clock: the next report is younger.
    moment: Moment,
    telemetry: Arc<Telemetry>,
    servers: Arc<Vec<Server>>,
    notes: Arc<Vec<String>>,
    /// The number of its list of models.
    list: Option<u64>,
}

/// Who says that it reports, and what proves it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) id: String,
    pub(super) word: String,
    pub(super) number: u64,
    proof: String,
}

/// Why a report is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTaken {
    /// Nobody of that id is paired, or the proof is wrong, or the report was seen before.
    #[error("this report is of no node of this house")]
    NotProven,
    /// The same of a router that has moved.
    #[error("this is not the router of this node")]
    NoRouter,
    #[error("this comes too fast")]
    TooFast,
    #[error("{0}")]
    Malformed(String),
}

/// What a proof is for.
pub(super) const PURPOSE: &str = "airlane report";

impl Claim {
    /// Reads the header: `Airlane ID.WORD.NUMBER.PROOF`.
    pub(super) fn read(header: &str) -> Option<Self> {
        let mut parts = header.strip_prefix("Airlane ")?.splitn(4, '.');
        let (id, word, number, proof) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Self { id: id.to_owned(), word: word.to_owned(), number: number.parse().ok()?, proof: proof.to_owned() })
    }

    /// Writes it, for this body.
    pub(super) fn write(key: &Key, purpose: &str, id: &str, word: &str, number: u64, body: &[u8]) -> String {
        let proof = key.sign(&[purpose, id, word, &number.to_string()], body);
        format!("Airlane {id}.{word}.{number}.{proof}")
    }

    /// Whether who knows the key said it, with this body.
    pub(super) fn is_proven(&self, key: &Key, purpose: &str, body: &[u8]) -> bool {
        key.is_proven(&[purpose, &self.id, &self.word, &self.number.to_string()], body, &self.proof)
    }
}

impl Nodes {
    /// Whether a node of that id is paired.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.nodes.enabled && self.lock().paired.iter().any(|paired| paired.id == id)
    }

    /// The word with which a node begins to report.
    pub(super) fn challenge(&self, id: &str) -> Result<String, NotTaken> {
        if !self.knows(id) {
            return Err(NotTaken::NotProven);
        }
        let mut state = self.lock();
        Ok(heard(&mut state, id)?.session.challenge().to_owned())
    }

    /// Takes a report in that came from `peer`.
    pub(super) fn take(&self, claim: &Claim, packed: &[u8], peer: IpAddr) -> Result<(), NotTaken> {
        let mut state = self.lock();
        let paired = state.paired.iter().find(|paired| paired.id == claim.id && self.nodes.enabled);
        let paired = paired.cloned().ok_or(NotTaken::NotProven)?;
        if !claim.is_proven(&paired.key, PURPOSE, packed) {
            return Err(NotTaken::NotProven);
        }
        let known = heard(&mut state, &claim.id)?;
        if known.at.is_some_and(|at| at.elapsed() < GAP_MIN) {
            return Err(NotTaken::TooFast);
        }
        let fresh = random_word().map_err(|_| NotTaken::NotProven)?;
        if !known.session.accept(&claim.word, claim.number, || fresh) {
            return Err(NotTaken::NotProven);
        }
        let report = unpack(packed)?;
        let moved = report.moved(paired.address, peer);
        let was_silent = known.at.is_none_or(|at| at.elapsed().as_secs() > SILENT_AFTER_S);
        known.at = Some(Instant::now());
        known.notes = Arc::new(super::clock_s().map(|now_s| report.notes(now_s)).unwrap_or_default());
        known.list = report.list;
        known.telemetry = Arc::new(report.telemetry);
        known.servers = Arc::new(report.servers);
        let servers = known.servers.clone();
        let before = std::mem::replace(&mut known.moment, self.dispatcher.now());
        if let Some(address) = moved {
            self.moved(&mut state, &claim.id, address);
        }
        drop(state);
        if was_silent {
            info!(node = paired.name, version = report.version, "the node reports");
        }
        self.publish();
        self.dispatcher.reported(&paired.name, servers.iter().flat_map(|server| &server.models), before);
        self.dispatcher.probed(&paired.name, Ok(()));
        Ok(())
    }

    /// The node has another address now: it is called there, also after a restart.
    fn moved(&self, state: &mut State, id: &str, address: SocketAddr) {
        for paired in state.paired.iter_mut().filter(|paired| paired.id == id) {
            info!(node = paired.name, %address, "the node has a new address");
            paired.address = address;
        }
        if let Err(error) = self.nodes_book.write(&state.paired) {
            warn!(
                "{}: {error}; after a restart the node is found when it reports",
                super::unwritable(&self.nodes_book)
            );
        }
    }

    /// Notices silence, for ever.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if self.lock().paired.is_empty() {
                continue;
            }
            self.publish();
            for node in self.live.nodes().others().filter(|node| node.origin == Origin::Agent) {
                self.note_silence(node);
            }
        }
    }

    fn note_silence(&self, node: &Node) {
        // After our own start a node gets the time that any node has.
        let is_young = self.started.elapsed().as_secs() <= SILENT_AFTER_S;
        let Some(sentence) = node.state.sentence(node.origin) else { return };
        let permission = self
            .dispatcher
            .with(|dispatch, now| dispatch.places.site(&node.name).map(|site| site.health.permission(now)));
        if (node.state == NodeState::Awaited && is_young) || matches!(permission, Some(Permission::Not { .. })) {
            return;
        }
        self.dispatcher.untold(&node.name);
        let cause = format!("node {} is silent. {sentence}", node.name);
        self.dispatcher.probed(&node.name, Err((Symptom::Unreachable, cause)));
    }

    /// Whether nothing has come from a node for a while, or ever.
    pub(super) fn is_silent(&self, paired: &Paired, state: &State) -> bool {
        let age_s = state.heard.get(&paired.id).and_then(|known| known.at).map(|at| at.elapsed().as_secs());
        NodeState::of_age(age_s) != NodeState::Reporting
    }

    /// A node as it is now.
    pub(super) fn node_of(&self, paired: &Paired, state: &State) -> Node {
        let known = state.heard.get(&paired.id);
        Node {
            name: paired.name.clone(),
            origin: Origin::Agent,
            hosts: vec![paired.address.ip().to_string()],
            state: NodeState::of_age(known.and_then(|known| known.at).map(|at| at.elapsed().as_secs())),
            telemetry: known.map(|known| known.telemetry.clone()).unwrap_or_default(),
            servers: known.map(|known| known.servers.clone()).unwrap_or_default(),
            notes: known.map(|known| known.notes.clone()).unwrap_or_default(),
        }
    }

    /// The numbers of the lists of models of those nodes that report and tell one, by name. A node that falls silent has
    /// none, and one that comes back has one again: both times its list is read.
    pub(super) fn numbers(state: &State) -> HashMap<String, u64> {
        let number = |paired: &Paired| {
            let known = state.heard.get(&paired.id)?;
            let age_s = known.at?.elapsed().as_secs();
            (age_s <= SILENT_AFTER_S).then_some((paired.name.clone(), known.list?))
        };
        state.paired.iter().filter_map(number).collect()
    }
}

/// The record of a node that is paired.
fn heard<'a>(state: &'a mut State, id: &str) -> Result<&'a mut Heard, NotTaken> {
    if !state.heard.contains_key(id) {
        let word = random_word().map_err(|_| NotTaken::NotProven)?;
        let new = Heard {
            session: Session::new(word),
            at: None,
            moment: Moment::START,
            telemetry: Arc::default(),
            servers: Arc::default(),
            notes: Arc::default(),
            list: None,
        };
        state.heard.insert(id.to_owned(), new);
    }
    state.heard.get_mut(id).ok_or(NotTaken::NotProven)
}

fn unpack(packed: &[u8]) -> Result<Report, NotTaken> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(REPORT_BYTES_MAX + 1).unwrap_or(u64::MAX);
    let read = DeflateDecoder::new(packed).take(limit).read_to_end(&mut bytes);
    read.map_err(|error| NotTaken::Malformed(format!("the report cannot be unpacked: {error}")))?;
    read_report(&bytes).map_err(|error| NotTaken::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read() {
        let claim = Claim::read("Airlane id.word.7.pro_of-").unwrap();
        assert_eq!((claim.id.as_str(), claim.word.as_str(), claim.number), ("id", "word", 7));
        for wrong in ["", "Bearer x", "Airlane ", "Airlane a.b.c.d", "Airlane a.b.1", "Airlane a.b.-1.d"] {
            assert_eq!(Claim::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_report_that_grows_without_end_is_refused() {
        use std::io::Write as _;
        let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&vec![b' '; 64 << 20]).unwrap();
        let packed = packer.finish().unwrap();
        assert!(matches!(unpack(&packed), Err(NotTaken::Malformed(_))));
        assert!(matches!(unpack(b"junk"), Err(NotTaken::Malformed(_))));
    }
}
