//! Pairing: the owner reads a code on the node and types it on the router. SPAKE2 makes a long secret of it, of which
//! nobody who listens or guesses learns more than whether one guess was right. The router proves first: who only asks
//! learns nothing and uses nothing up, and wrong proofs are counted (`domain::node::Code`).

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use domain::config::is_short_name;
use domain::node::{Code, NODES_MAX, Refused};
use domain::upstream::Upstream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spake2::{Ed25519Group, Identity, Password, Spake2};
use tracing::{info, warn};

use super::book::{Paired, Router};
use super::proof::{CODE_DIGITS, Key, of_text, plain_code, to_text};
use super::{CALL_MAX, Nodes, unwritable};
use crate::upstreams::{CallError, Fault, Outbound};

/// The first word, to the node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    message: String,
}

/// The node's answer: its part, which tells nobody anything of the code.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    message: String,
    name: String,
}

/// The router's proof, and where reports go.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Confirm {
    router: String,
    address: SocketAddr,
    proof: String,
}

/// The node's proof, once the router has given its own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Confirmed {
    proof: String,
}

/// A pairing on the node that waits for the router's proof.
pub(super) struct Unproven {
    /// Who began it: one address has one at a time.
    peer: IpAddr,
    key: Key,
    until: Duration,
}

/// Most pairings that wait at once; another one takes the place of the oldest. An owner's own waits for milliseconds.
const UNPROVEN_MAX: usize = 16;

/// Longest time between the two words of a router.
const CONFIRM_MAX: Duration = Duration::from_secs(30);
/// Largest answer of a node in a pairing.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// The port on which endpoints are, unless somebody says otherwise.
const PORT: u16 = 8484;

const HELLO_PATH: &str = super::http::PAIR;
const CONFIRM_PATH: &str = super::http::CONFIRM;

const NODE_PROOF: &str = "airlane pairing: node";
const ROUTER_PROOF: &str = "airlane pairing: router";

fn router_id() -> Identity {
    Identity::new(b"airlane router")
}

fn node_id() -> Identity {
    Identity::new(b"airlane node")
}

impl Nodes {
    /// The node's part: begins a pairing with `peer`.
    ///
    /// # Errors
    /// There is no good code, or the words are wrong.
    pub(super) fn answer(&self, hello: &Hello, peer: IpAddr) -> Result<Answer, String> {
        let now = self.started.elapsed();
        let theirs = of_text(&hello.message).ok_or(NO_MESSAGE)?;
        let mut state = self.lock();
        let code = state.code.as_ref().filter(|_| self.node.enabled).ok_or(NO_CODE)?;
        let text = code.attempt(peer, now).map_err(spent)?;
        let (ours, message) =
            Spake2::<Ed25519Group>::start_b(&Password::new(text.as_bytes()), &router_id(), &node_id());
        let key = Key::new(ours.finish(&theirs).map_err(|_| NO_MESSAGE)?);
        state.unproven.retain(|unproven| unproven.peer != peer && now < unproven.until);
        if state.unproven.len() >= UNPROVEN_MAX {
            state.unproven.remove(0);
        }
        state.unproven.push(Unproven { peer, key, until: now.saturating_add(CONFIRM_MAX) });
        drop(state);
        Ok(Answer { message: to_text(&message), name: self.own_name() })
    }

    /// The node's part: the router at `peer` has proven that it knows the code; then so do we.
    ///
    /// # Errors
    /// It has not, or the pair cannot be kept.
    pub(super) fn confirm(&self, confirm: &Confirm, peer: IpAddr) -> Result<Confirmed, String> {
        let mut state = self.lock();
        let now = self.started.elapsed();
        let at = state.unproven.iter().position(|unproven| unproven.peer == peer && now < unproven.until);
        let unproven = state.unproven.remove(at.ok_or("no pairing has begun")?);
        let code = state.code.as_mut().ok_or(NO_CODE)?;
        code.attempt(peer, now).map_err(spent)?;
        let address = confirm.address.to_string();
        if !unproven.key.is_proven(&[ROUTER_PROOF, &confirm.router, &address], b"", &confirm.proof) {
            return Err(wrong(code, peer));
        }
        if confirm.router.is_empty() || !is_short_name(&confirm.router) {
            return Err("the router has no name that can be shown".to_owned());
        }
        let (id, key) = secrets(&unproven.key);
        let router = Router { id, name: confirm.router.clone(), key, address: confirm.address };
        self.node_book.write(&Some(&router)).map_err(|error| format!("{}: {error}", unwritable(&self.node_book)))?;
        info!(router = router.name, address = %router.address, "paired: this node reports there");
        (state.router, state.trouble) = (Some(router), None);
        (state.code, state.unproven, state.following) = (None, Vec::new(), None);
        drop(state);
        self.publish();
        Ok(Confirmed { proof: unproven.key.sign(&[NODE_PROOF, &self.own_name(), &confirm.router, &address], b"") })
    }

    /// The router's part: pairs with the node at an address or of a name that is announced; gives its name here.
    ///
    /// # Errors
    /// A sentence says what to do.
    pub(crate) async fn pair(&self, node: &str, code: &str, name: Option<&str>) -> anyhow::Result<String> {
        if !self.nodes.enabled {
            bail!("this airlane takes no nodes in: [nodes] enabled = false stands in its config");
        }
        if let Some(name) = name {
            self.check_name(name)?;
        }
        let code = plain_code(code);
        if code.len() != CODE_DIGITS {
            bail!("a code has {CODE_DIGITS} digits; `airlane node code` on the node shows it");
        }
        let address = self.locate(node).await?;
        self.check_address(address)?;
        let own = self.address_for(address)?;
        let far = Upstream::node(node, format!("http://{address}"));
        let (ours, message) =
            Spake2::<Ed25519Group>::start_a(&Password::new(code.as_bytes()), &router_id(), &node_id());
        let answer: Answer = self.ask(&far, HELLO_PATH, &Hello { message: to_text(&message) }).await?;
        let theirs = of_text(&answer.message).with_context(|| stranger(&far))?;
        let key = Key::new(ours.finish(&theirs).map_err(|_| anyhow!(stranger(&far)))?);
        let name = name.unwrap_or(&answer.name).to_owned();
        self.check_name(&name)?;
        let (router, told) = (self.own_name(), own.to_string());
        let proof = key.sign(&[ROUTER_PROOF, &router, &told], b"");
        let confirm = Confirm { router: router.clone(), address: own, proof };
        let confirmed: Confirmed = self.ask(&far, CONFIRM_PATH, &confirm).await?;
        if !key.is_proven(&[NODE_PROOF, &answer.name, &router, &told], b"", &confirmed.proof) {
            bail!("what answers at {address} does not know the code that was typed: it is not the node that shows it");
        }
        let (id, key) = secrets(&key);
        self.keep(Paired { id, name: name.clone(), key, address })?;
        info!(node = name, %address, "paired: this node's models are offered");
        self.publish();
        Ok(name)
    }

    fn keep(&self, new: Paired) -> anyhow::Result<()> {
        let mut state = self.lock();
        let mut paired = state.paired.clone();
        // Two commands at once may have come this far.
        if paired.iter().any(|known| known.name == new.name) {
            bail!("{:?} has just been paired by another command", new.name);
        }
        paired.push(new);
        self.nodes_book.write(&paired).with_context(|| unwritable(&self.nodes_book))?;
        state.paired = paired;
        Ok(())
    }

    /// A node has one pair: another one would leave the first silent for ever.
    fn check_address(&self, address: SocketAddr) -> anyhow::Result<()> {
        let name = self.lock().paired.iter().find(|paired| paired.address == address).map(|known| known.name.clone());
        match name {
            None => Ok(()),
            Some(name) => bail!(
                "the node at {address} is paired already, as {name:?}; to pair it anew forget it first \
                 (`airlane node forget {name}`)"
            ),
        }
    }

    fn check_name(&self, name: &str) -> anyhow::Result<()> {
        if name.is_empty() || !is_short_name(name) || name == domain::catalogue::ALIAS_OWNER {
            bail!("a node cannot be called {name:?}; give it a short name of letters and digits with --name");
        }
        let state = self.lock();
        if state.paired.iter().any(|paired| paired.name == name) {
            bail!("a node {name:?} is paired already; forget it first (`airlane node forget {name}`), or give --name");
        }
        if state.paired.len() >= NODES_MAX {
            bail!("there are {NODES_MAX} nodes already, and no more are taken");
        }
        drop(state);
        if self.live.now().config.upstream(name).is_some_and(|upstream| !upstream.is_node) {
            bail!("an upstream is called {name:?} already; give the node another name with --name");
        }
        Ok(())
    }

    /// The address of a node, by itself or by its name on the network.
    async fn locate(&self, node: &str) -> anyhow::Result<SocketAddr> {
        if node.starts_with("https://") {
            bail!("routers and their nodes talk plain HTTP; give the node's address without https://");
        }
        // As people copy it.
        let node = node.strip_prefix("http://").unwrap_or(node).trim_end_matches('/');
        if let Ok(address) = node.parse() {
            return Ok(address);
        }
        if let Ok(ip) = node.parse() {
            return Ok(SocketAddr::new(ip, PORT));
        }
        if node.contains(':') {
            let found = resolve(node.to_owned()).await;
            return found
                .with_context(|| format!("{node} is no address on this network; give it like 192.168.1.20:{PORT}"));
        }
        let found = self.find().await?;
        let named = found.iter().find(|found| found.name == node).and_then(|found| found.addresses.first());
        let address = match named {
            Some(address) => Some(*address),
            None => resolve(format!("{node}:{PORT}")).await,
        };
        address.with_context(|| {
            format!("no node {node:?} announces itself on this network; give its address, like 192.168.1.20:{PORT}")
        })
    }

    async fn ask<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        far: &Upstream,
        path: &str,
        question: &Q,
    ) -> anyhow::Result<A> {
        let body = Bytes::from(serde_json::to_vec(question)?);
        let outbound = || Outbound { path, body: Some(body.clone()), ..Outbound::default() };
        let asked = async {
            let mut reply = self.clients.call(far, outbound).await.map_err(|error| trouble(far, &error))?;
            let bytes = reply.body.collect(ANSWER_BYTES_MAX).await;
            bytes.map_err(|_| anyhow!("the node broke off"))
        };
        let bytes = tokio::time::timeout(CALL_MAX, asked).await.with_context(|| unanswered(far, "silence"))??;
        serde_json::from_slice(&bytes).with_context(|| stranger(far))
    }
}

const NO_MESSAGE: &str = "the message is no pairing message";
const NO_CODE: &str = "this airlane waits for no pairing; `airlane node code` on that machine makes a code";

/// Why a code cannot be tried, and what to do about it.
fn spent(refused: Refused) -> String {
    let why = match refused {
        Refused::TooOld => "the node's code is too old",
        Refused::TriedHere => "the node's code is used up for this router: it was wrong three times",
        Refused::TriedOut => "the node's code is used up: too many were wrong about it",
    };
    format!("{why}; `airlane node code` on that machine makes another")
}

/// Counts a wrong proof, and says how many are left.
fn wrong(code: &mut Code, peer: IpAddr) -> String {
    code.note_wrong(peer);
    let left = code.tries_left(peer);
    warn!("a pairing was tried with a wrong code, {left} tries are left for that address");
    match left {
        0 => "the code is wrong, and used up for this router; `airlane node code` on that machine makes another"
            .to_owned(),
        1 => "the code is wrong; one more try is left".to_owned(),
        left => format!("the code is wrong; {left} tries are left"),
    }
}

/// The address of a host name with a port.
async fn resolve(host: String) -> Option<SocketAddr> {
    let found = tokio::task::spawn_blocking(move || host.to_socket_addrs().ok()?.next());
    tokio::time::timeout(CALL_MAX, found).await.ok()?.ok()?
}

/// Who answers is no node.
fn stranger(far: &Upstream) -> String {
    format!(
        "what answers at {} is no node: the endpoint of its Airlane is wanted, port {PORT} unless its config says \
         otherwise, without TLS",
        far.origin
    )
}

fn unanswered(far: &Upstream, reason: &str) -> String {
    format!("nothing answers at {} ({reason}): is the address right, and Airlane running there?", far.origin)
}

/// Why a pairing went no further, and what to do about it.
fn trouble(far: &Upstream, error: &CallError) -> anyhow::Error {
    match &error.fault {
        // Its own words; every other status is of somebody else.
        Fault::Status { status: 403, failure, .. } if !failure.message.is_empty() => anyhow!(failure.message.clone()),
        Fault::Connect(reason) => anyhow!(unanswered(far, reason)),
        Fault::Timeout { .. } => anyhow!(unanswered(far, "silence")),
        Fault::Status { .. } | Fault::Reported(_) | Fault::Broken(_) | Fault::NotAnAnswer(_) => {
            anyhow!(stranger(far))
        }
    }
}

/// The id and the secret of a pair: both ends know them now, and neither was sent.
fn secrets(key: &Key) -> (String, Key) {
    let id: String = key.sign(&["airlane pairing: id"], b"").chars().take(16).collect();
    (id, key.derive("airlane pairing: reports"))
}
