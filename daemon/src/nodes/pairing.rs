//! Pairing: the owner reads a code on the node and types it on the router. SPAKE2 makes a long secret of it, of which
//! nobody who listens or guesses learns more than whether one guess was right; guesses are counted (`domain::node::Code`).

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use domain::config::is_short_name;
use domain::node::NODES_MAX;
use domain::upstream::Upstream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spake2::{Ed25519Group, Identity, Password, Spake2};
use tracing::{info, warn};

use super::book::{Paired, Router};
use super::proof::{Key, of_text, plain_code, to_text};
use super::{CALL_MAX, Nodes, said, unwritable};
use crate::upstreams::Outbound;

/// The first word, to the node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    message: String,
}

/// The node's answer: its part, and the proof that it knows the code.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    message: String,
    name: String,
    proof: String,
}

/// The router's proof, and where reports go.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Confirm {
    router: String,
    address: SocketAddr,
    proof: String,
}

/// A pairing on the node that waits for the router's proof.
pub(super) struct Unproven {
    key: Key,
    until: Duration,
}

/// Longest time between the two words of a router.
const CONFIRM_MAX: Duration = Duration::from_secs(30);
/// Largest answer of a node in a pairing.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

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
    /// The node's part: takes a try, and answers it.
    ///
    /// # Errors
    /// There is no good code, or the words are wrong.
    pub(super) fn answer(&self, hello: &Hello) -> Result<Answer, String> {
        let now = self.started.elapsed();
        let theirs = of_text(&hello.message).ok_or("the message is no pairing message")?;
        let mut state = self.lock();
        let Some(code) = state.code.as_mut().filter(|_| self.node.enabled) else {
            return Err(
                "this airlane waits for no pairing; `airlane node code` on that machine makes a code".to_owned()
            );
        };
        let Ok(text) = code.attempt(now) else {
            return Err(
                "the node's code is used up or too old; `airlane node code` on that machine makes another".to_owned()
            );
        };
        let password = Password::new(text.as_bytes());
        let is_last = !code.is_good(now);
        let (ours, message) = Spake2::<Ed25519Group>::start_b(&password, &router_id(), &node_id());
        let key = Key::new(ours.finish(&theirs).map_err(|_| "the message is no pairing message")?);
        let name = self.own_name();
        let proof = key.sign(&[NODE_PROOF, &name], b"");
        state.unproven = Some(Unproven { key, until: now.saturating_add(CONFIRM_MAX) });
        drop(state);
        if is_last {
            warn!("the pairing code was tried as often as it may be; `airlane node code` makes another");
        }
        Ok(Answer { message: to_text(&message), name, proof })
    }

    /// The node's part: the router has proven that it knows the code.
    ///
    /// # Errors
    /// It has not, or the pair cannot be kept.
    pub(super) fn confirm(&self, confirm: &Confirm) -> Result<(), String> {
        let mut state = self.lock();
        let now = self.started.elapsed();
        let unproven = state.unproven.take().filter(|unproven| now < unproven.until);
        let unproven = unproven.ok_or("no pairing has begun")?;
        let address = confirm.address.to_string();
        if !unproven.key.is_proven(&[ROUTER_PROOF, &confirm.router, &address], b"", &confirm.proof) {
            return Err("the code is wrong".to_owned());
        }
        let (id, key) = secrets(&unproven.key);
        let router = Router { id, name: confirm.router.clone(), key, address: confirm.address };
        self.node_book.write(&Some(&router)).map_err(|error| format!("{}: {error}", unwritable(&self.node_book)))?;
        info!(router = router.name, address = %router.address, "paired: this node reports there");
        state.router = Some(router);
        state.code = None;
        Ok(())
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
        if code.is_empty() {
            bail!("a code has eight digits; `airlane node code` on the node shows it");
        }
        let address = self.locate(node).await?;
        let own = self.address_for(address)?;
        let far = Upstream::node(node, format!("http://{address}"));
        let (ours, message) =
            Spake2::<Ed25519Group>::start_a(&Password::new(code.as_bytes()), &router_id(), &node_id());
        let answer: Answer = self.ask(&far, HELLO_PATH, &Hello { message: to_text(&message) }).await?;
        let theirs = of_text(&answer.message).context("what answers there is no node")?;
        let key = Key::new(ours.finish(&theirs).map_err(|_| anyhow!("what answers there is no node"))?);
        if !key.is_proven(&[NODE_PROOF, &answer.name], b"", &answer.proof) {
            bail!("the code is wrong; `airlane node code` on the node shows another after three wrong tries");
        }
        let name = name.unwrap_or(&answer.name).to_owned();
        self.check_name(&name)?;
        let router = self.own_name();
        let proof = key.sign(&[ROUTER_PROOF, &router, &own.to_string()], b"");
        let _: serde_json::Value = self.ask(&far, CONFIRM_PATH, &Confirm { router, address: own, proof }).await?;
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
        if node.contains(':') || node.parse::<std::net::IpAddr>().is_ok() {
            let with_port = if node.parse::<SocketAddr>().is_err() && node.parse::<std::net::IpAddr>().is_ok() {
                SocketAddr::new(node.parse()?, 8484).to_string()
            } else {
                node.to_owned()
            };
            let found = tokio::task::spawn_blocking(move || with_port.to_socket_addrs().map(Vec::from_iter)).await?;
            let found = found.with_context(|| format!("{node} is no address of the network"))?;
            return found.into_iter().next().with_context(|| format!("{node} is no address of the network"));
        }
        let found = self.find().await?;
        let named = found.iter().find(|found| found.name == node).and_then(|found| found.addresses.first());
        named.copied().with_context(|| {
            format!("no node {node:?} announces itself on this network; give its address, like 192.168.1.20:8484")
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
            let mut reply = self.clients.call(far, outbound).await.map_err(|error| anyhow!(said(&error)))?;
            let bytes = reply.body.collect(ANSWER_BYTES_MAX).await;
            bytes.map_err(|_| anyhow!("the node broke off"))
        };
        let bytes = tokio::time::timeout(CALL_MAX, asked).await.context("the node does not answer")??;
        serde_json::from_slice(&bytes).context("what answers there is no node")
    }
}

/// The id and the secret of a pair: both ends know them now, and neither was sent.
fn secrets(key: &Key) -> (String, Key) {
    let id: String = key.sign(&["airlane pairing: id"], b"").chars().take(16).collect();
    (id, key.derive("airlane pairing: reports"))
}
