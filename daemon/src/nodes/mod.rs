//! Nodes: boxes with GPUs on which an Airlane runs that reports to this one; and this one as such a node.
//!
//! Both ends are here, so that they stay one protocol: pairing (`pairing`), reports (`send`, `receive`), how one finds
//! the other (`find`), and the paths on the endpoint (`http`).

mod book;
#[cfg_attr(not(feature = "mdns"), path = "find_absent.rs")]
mod find;
mod http;
mod moving;
mod pack;
mod pairing;
mod proof;
mod receive;
mod send;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use domain::config::{NodeSettings, NodesSettings};
use domain::node::{Code, Node};
use domain::upstream::Upstream;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::dispatch::Dispatcher;
use crate::live::Live;
use crate::upstreams::{CallError, Clients, Fault};
use book::{Book, Paired, Router};
use receive::Heard;

pub(crate) use find::Found;
pub(crate) use http::configure;

/// Both ends: the nodes of this house, and this machine as a node of another.
pub(crate) struct Nodes {
    live: Arc<Live>,
    dispatcher: Arc<Dispatcher>,
    clients: Clients,
    started: Instant,
    node: NodeSettings,
    nodes: NodesSettings,
    nodes_book: Book,
    node_book: Book,
    /// Where our endpoint listens; empty where it speaks HTTPS only.
    own: OnceLock<Vec<SocketAddr>>,
    state: Mutex<State>,
    /// The nodes as places that answer.
    upstreams: watch::Sender<Vec<Upstream>>,
    /// The numbers of their lists of models.
    lists: watch::Sender<HashMap<String, u64>>,
    /// Under which id we report, once we are paired.
    own_id: watch::Sender<Option<String>>,
}

#[derive(Default)]
struct State {
    paired: Vec<Paired>,
    /// By id.
    heard: HashMap<String, Heard>,
    /// Whom we report to.
    router: Option<Router>,
    /// What it says to us.
    following: Option<moving::Following>,
    /// Why our reports do not arrive there.
    trouble: Option<String>,
    code: Option<Code>,
    /// Pairings of which the other end has yet to prove that it knows the code, the oldest first.
    unproven: Vec<pairing::Unproven>,
}

impl Nodes {
    /// Reads what is kept of pairs.
    pub(crate) fn new(
        config: &domain::config::Config,
        dir: &Path,
        live: Arc<Live>,
        dispatcher: Arc<Dispatcher>,
        clients: Clients,
    ) -> Self {
        let (nodes_book, node_book) = (Book::new(dir, "nodes.json"), Book::new(dir, "node.json"));
        let (paired, router) = (nodes_book.read(), node_book.read());
        let nodes = Self {
            live,
            dispatcher,
            clients,
            started: Instant::now(),
            node: config.node.clone(),
            nodes: config.nodes.clone(),
            nodes_book,
            node_book,
            own: OnceLock::new(),
            state: Mutex::new(State { paired, router, ..State::default() }),
            upstreams: watch::Sender::default(),
            lists: watch::Sender::default(),
            own_id: watch::Sender::default(),
        };
        nodes.publish();
        nodes
    }

    /// The nodes as places that answer, whenever they change.
    pub(crate) fn upstreams(&self) -> watch::Receiver<Vec<Upstream>> {
        self.upstreams.subscribe()
    }

    /// The numbers of the nodes' lists of models, by name, whenever they change.
    pub(crate) fn lists(&self) -> watch::Receiver<HashMap<String, u64>> {
        self.lists.subscribe()
    }

    /// Where our endpoint listens, told once.
    pub(crate) fn listens(&self, own: Vec<SocketAddr>) {
        let _ = self.own.set(own);
    }

    /// Makes a first code where one will be needed.
    pub(crate) fn begin(&self) {
        if !self.node.enabled {
            return;
        }
        if let Some(router) = &self.lock().router {
            info!(router = router.name, address = %router.address, "this node reports to a router");
            return;
        }
        match self.new_code() {
            Ok(code) => info!(
                "this node belongs to no router yet; on the router: airlane node pair {} {code}  (good for 15 minutes, \
                 then `airlane node code` here makes another)",
                self.own_name()
            ),
            Err(error) => warn!("{error:#}"),
        }
    }

    /// Another pairing code; the one before is void.
    ///
    /// # Errors
    /// This is no node.
    pub(crate) fn new_code(&self) -> anyhow::Result<String> {
        if !self.node.enabled {
            bail!("this airlane is no node; start it with `airlane run --node`, or set enabled = true in [node]");
        }
        self.own()?;
        let code = proof::random_code().context("the system gives no random numbers")?;
        let mut state = self.lock();
        state.unproven.clear();
        state.code = Some(Code::new(proof::plain_code(&code), self.started.elapsed()));
        Ok(code)
    }

    /// Ends a pair.
    ///
    /// # Errors
    /// There is none of that name, or the file cannot be written.
    pub(crate) fn forget(&self, name: &str) -> anyhow::Result<()> {
        let mut state = self.lock();
        if let Some(at) = state.paired.iter().position(|paired| paired.name == name) {
            let mut left = state.paired.clone();
            let gone = left.remove(at);
            self.nodes_book.write(&left).with_context(|| unwritable(&self.nodes_book))?;
            state.paired = left;
            state.heard.remove(&gone.id);
        } else if state.router.as_ref().is_some_and(|router| router.name == name) {
            self.node_book.write(&None::<Router>).with_context(|| unwritable(&self.node_book))?;
            (state.router, state.trouble, state.following) = (None, None, None);
        } else {
            bail!("nothing of the name {name:?} is paired; `airlane node list` shows what is");
        }
        drop(state);
        info!(name, "the pair is forgotten");
        self.publish();
        Ok(())
    }

    /// The router that this node reports to: its name and address, and why reports do not arrive if they do not.
    pub(crate) fn router(&self) -> Option<(String, SocketAddr, Option<String>)> {
        let state = self.lock();
        state.router.as_ref().map(|router| (router.name.clone(), router.address, state.trouble.clone()))
    }

    /// The name under which this machine is a node; `None` where it is none.
    pub(crate) fn name_as_node(&self) -> Option<String> {
        self.node.enabled.then(|| self.own_name())
    }

    /// The name here of a pair's node; `None` for an id of somebody else.
    pub(crate) fn name_of(&self, id: &str) -> Option<String> {
        self.lock().paired.iter().find(|paired| paired.id == id).map(|paired| paired.name.clone())
    }

    /// Where a node's endpoint is.
    pub(crate) fn address(&self, name: &str) -> Option<SocketAddr> {
        self.lock().paired.iter().find(|paired| paired.name == name).map(|paired| paired.address)
    }

    /// Looks who announces itself on the network.
    ///
    /// # Errors
    /// The network cannot be used for it.
    pub(crate) async fn find(&self) -> anyhow::Result<Vec<Found>> {
        let mut found = find::look().await?;
        found.retain(|found| !self.is_self(found));
        Ok(found)
    }

    /// Whether it is this very node that was found.
    fn is_self(&self, found: &Found) -> bool {
        let telemetry = self.live.telemetry();
        let networks = telemetry.machine.as_ref().map(|machine| machine.networks.as_slice()).unwrap_or_default();
        let is_here = |address: &SocketAddr| {
            let is_ours = networks.iter().any(|network| network.addresses.contains(&address.ip()));
            is_ours && self.own.get().is_some_and(|own| own.iter().any(|own| own.port() == address.port()))
        };
        self.node.enabled && found.name == self.own_name() && found.addresses.iter().any(is_here)
    }

    /// Lets ourselves be found for as long as the daemon lives.
    pub(crate) async fn announce(self: Arc<Self>) {
        let port = self.own.get().and_then(|own| own.iter().find(|own| !own.ip().is_loopback())).map(SocketAddr::port);
        if let (true, true, Some(port)) = (self.node.enabled, self.node.announce, port) {
            find::announce(&self.own_name(), port, self.own_id.subscribe()).await;
        }
        std::future::pending::<()>().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What we call ourselves.
    fn own_name(&self) -> String {
        let told = self.node.name.clone();
        let host = || self.live.telemetry().machine.as_ref().and_then(|machine| machine.host_name.clone());
        let name = told.or_else(host).or_else(host_name).unwrap_or_default();
        let short: String = name.chars().filter(|letter| domain::config::is_short_name(&letter.to_string())).collect();
        if short.is_empty() { "node".to_owned() } else { short }
    }

    fn own(&self) -> anyhow::Result<&[SocketAddr]> {
        match self.own.get().map(Vec::as_slice) {
            None | Some([]) => bail!(
                "routers and their nodes talk plain HTTP on the endpoint, and this one speaks HTTPS only: \
                 take tls_cert and tls_key out of [endpoint]"
            ),
            Some(own) => Ok(own),
        }
    }

    /// Our endpoint as `peer` reaches it.
    fn address_for(&self, peer: SocketAddr) -> anyhow::Result<SocketAddr> {
        let own = self.own()?;
        let near = |own: &&SocketAddr| own.ip().is_loopback() == peer.ip().is_loopback();
        let reached = own.iter().find_map(|own| match own.ip() {
            ip if ip.is_unspecified() => Some(SocketAddr::new(local_ip(peer)?, own.port())),
            _ => None,
        });
        let fixed = || own.iter().find(near).copied();
        reached.or_else(fixed).with_context(|| {
            format!("the endpoint listens on no address that {} can reach; see [endpoint] listen", peer.ip())
        })
    }

    /// Publishes the nodes as they are now.
    fn publish(&self) {
        let state = self.lock();
        let is_on = self.nodes.enabled;
        let nodes: Vec<Node> =
            state.paired.iter().filter(|_| is_on).map(|paired| self.node_of(paired, &state)).collect();
        let places: Vec<Upstream> = state
            .paired
            .iter()
            .filter(|_| is_on)
            .map(|paired| Upstream::node(&paired.name, format!("http://{}", paired.address)))
            .collect();
        let lists = if is_on { Self::numbers(&state) } else { HashMap::new() };
        let own_id = state.router.as_ref().map(|router| router.id.clone());
        drop(state);
        set(&self.lists, lists);
        set(&self.own_id, own_id);
        self.live.publish_nodes(domain::node::Origin::Agent, &nodes);
        set(&self.upstreams, places);
    }
}

/// Tells a value where it is another one.
fn set<T: PartialEq>(told: &watch::Sender<T>, value: T) {
    told.send_if_modified(|known| {
        let is_new = *known != value;
        *known = value;
        is_new
    });
}

/// Our clock, in seconds since the Unix epoch; `None` where it stands before that.
fn clock_s() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

fn unwritable(book: &Book) -> String {
    format!("{} cannot be written", book.path().display())
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned())
}

/// Our address towards a peer, as the kernel chooses it; nothing is sent.
fn local_ip(peer: SocketAddr) -> Option<IpAddr> {
    let any = if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(peer).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// A failure of a call in words for the owner.
fn said(error: &CallError) -> String {
    match &error.fault {
        Fault::Status { failure, .. } if !failure.message.is_empty() => failure.message.clone(),
        Fault::Connect(_)
        | Fault::Timeout { .. }
        | Fault::Status { .. }
        | Fault::Reported(_)
        | Fault::Broken(_)
        | Fault::NotAnAnswer(_) => error.to_string(),
    }
}

/// Longest wait for the other end.
const CALL_MAX: Duration = Duration::from_secs(5);
