//! The configuration in force. It comes from a [`Draft`] by [`check()`] only, so it is always whole and valid.

mod check;
mod draft;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::access::Access;
use crate::cache;
use crate::ledger;
use crate::policy::{Asks, Effective, Policy, When};
use crate::sleep::Wake;
use crate::strategy::Strategy;
use crate::tenant::Unknown;
use crate::upstream::Upstream;

pub use check::{Problem, check, is_short_name};
pub use draft::{
    AliasDraft, BudgetDraft, CacheDraft, CacheRulesDraft, ConsoleDraft, DataDraft, DiscoveryDraft, Draft,
    EndpointDraft, GpuDraft, HoursDraft, KnownNodeDraft, LedgerDraft, LimitDraft, LogDraft, NodeDraft, NodesDraft,
    PolicyDraft, RouteDraft, SemanticDraft, TableDraft, UpstreamDraft,
};

/// Everything that the owner can set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// The LLM endpoint.
    pub endpoint: Endpoint,
    /// The page and the admin API.
    pub console: Console,
    /// Where state is kept.
    pub data: Data,
    /// Logs.
    pub log: Log,
    /// Finding model servers.
    pub discovery: Discovery,
    /// How places are chosen.
    pub route: RouteSettings,
    /// Reading graphics cards.
    pub gpu: Gpu,
    /// Being a node of a router.
    pub node: NodeSettings,
    /// Having nodes.
    pub nodes: NodesSettings,
    /// Where answers are kept.
    pub cache: cache::Settings,
    /// Where requests are written down.
    pub ledger: ledger::Settings,
    /// What holds for whom, in the order of their layers, and then as they stand in the file.
    pub policies: Vec<Arc<Policy>>,
    /// What holds where none of them does.
    pub default_policy: Arc<Effective>,
    /// The places that answer, in order of preference.
    pub upstreams: Vec<Upstream>,
    /// Names for ordered lists of models.
    pub aliases: Vec<Alias>,
}

impl Config {
    /// The upstream of that name.
    #[must_use]
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }

    /// What holds for a request: all policies whose conditions it meets. A condition that cannot be worked out counts as met;
    /// `slips` is told the policy's name and why.
    pub fn policy(&self, asks: &Asks<'_>, mut slips: impl FnMut(&str, String)) -> Arc<Effective> {
        let mut holds = |policy: &&Arc<Policy>| policy.conditions.hold(asks, &mut |why| slips(&policy.name, why));
        let strangers = asks.is_stranger.then(|| Arc::new(Policy::of_strangers()));
        let holding: Vec<Arc<Policy>> =
            strangers.into_iter().chain(self.policies.iter().filter(|policy| holds(policy)).cloned()).collect();
        if holding.is_empty() {
            return self.default_policy.clone();
        }
        Arc::new(Effective::of(holding, &self.default_policy.cache))
    }

    /// Whether a policy asks how the house does.
    #[must_use]
    pub fn asks_pulse(&self) -> bool {
        self.policies.iter().filter_map(|policy| policy.conditions.when.as_ref()).any(When::asks_pulse)
    }

    /// Keys whose change needs a restart: what of `self` differs from `other` in them.
    #[must_use]
    pub fn restart_needed(&self, other: &Self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        let (a, b) = (&self.endpoint, &other.endpoint);
        for (key, same) in [
            ("endpoint.listen", a.listen == b.listen),
            ("endpoint.ollama_listen", a.ollama_listen == b.ollama_listen),
            ("endpoint.tls_cert", a.tls == b.tls),
            ("endpoint.workers", a.workers == b.workers),
            ("endpoint.max_concurrent", a.max_concurrent == b.max_concurrent),
            ("endpoint.client_timeout_s", a.client_timeout == b.client_timeout),
            ("endpoint.max_connections", a.max_connections == b.max_connections),
            ("console.listen", self.console == other.console),
            ("data.dir", self.data == other.data),
            ("log", self.log == other.log),
            ("cache.enabled", self.cache.enabled == other.cache.enabled),
            ("cache.store", self.cache.store == other.cache.store),
            ("cache.memory_mib", self.cache.memory_max_bytes == other.cache.memory_max_bytes),
            ("cache.disk_mib", self.cache.disk_max_bytes == other.cache.disk_max_bytes),
            ("cache.tenant_share", self.cache.tenant_share == other.cache.tenant_share),
            ("ledger.store", self.ledger.store == other.ledger.store),
            ("ledger.keep_days", self.ledger.days == other.ledger.days),
            ("ledger.disk_mib", self.ledger.bytes_max == other.ledger.bytes_max),
            ("gpu.enabled", self.gpu.enabled == other.gpu.enabled),
            ("node", self.node == other.node),
            ("nodes.enabled", self.nodes.enabled == other.nodes.enabled),
            ("gpu.library", self.gpu.library == other.gpu.library),
        ] {
            if !same {
                keys.push(key);
            }
        }
        keys
    }
}

/// `[endpoint]`
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Addresses for all dialects.
    pub listen: Vec<SocketAddr>,
    /// Further addresses for clients that look for an Ollama at its own port.
    pub ollama_listen: Vec<SocketAddr>,
    /// Certificate chain and key as PEM files.
    pub tls: Option<TlsFiles>,
    /// Who may connect.
    pub access: Access,
    /// What devices may do that nobody knows.
    pub unknown_devices: Unknown,
    /// Further names under which clients may call us.
    pub host_names: Vec<String>,
    /// Web origins that may call us; `*` stands for any letters.
    pub cors_origins: Vec<String>,
    /// Largest request body, unpacked.
    pub body_max_bytes: usize,
    /// Requests that are served at once.
    pub max_concurrent: usize,
    /// Requests that may wait besides.
    pub max_waiting: usize,
    /// Open client connections.
    pub max_connections: usize,
    /// Longest wait for a place.
    pub queue_wait: Duration,
    /// Longest wait for a model that is being loaded.
    pub load_wait: Duration,
    /// Silence after which a waiting stream gets a comment.
    pub heartbeat: Duration,
    /// Longest silence of a client that should send or read.
    pub client_timeout: Duration,
    /// Longest wait for streams to end at shutdown.
    pub drain: Duration,
    /// Threads that serve; 0 is one a core.
    pub workers: usize,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 8484))],
            ollama_listen: Vec::new(),
            tls: None,
            access: Access::default(),
            unknown_devices: Unknown::default(),
            host_names: Vec::new(),
            cors_origins: DEFAULT_ORIGINS.iter().map(|&origin| origin.to_owned()).collect(),
            body_max_bytes: 32 * MIB,
            max_concurrent: 1_024,
            max_waiting: 1_024,
            max_connections: 8_192,
            queue_wait: Duration::from_secs(30),
            load_wait: Duration::from_secs(300),
            heartbeat: Duration::from_secs(10),
            client_timeout: Duration::from_secs(60),
            drain: Duration::from_secs(30),
            workers: 0,
        }
    }
}

/// Bytes in a MiB.
const MIB: usize = 1024 * 1024;

/// Pages on this machine and desktop applications: the same that Ollama lets in. A page of the Internet could
/// otherwise spend the owner's tokens through any browser of the LAN.
const DEFAULT_ORIGINS: [&str; 11] = [
    "http://localhost",
    "https://localhost",
    "http://localhost:*",
    "https://localhost:*",
    "http://127.0.0.1",
    "http://127.0.0.1:*",
    "https://127.0.0.1:*",
    "app://*",
    "file://*",
    "tauri://*",
    "vscode-webview://*",
];

/// PEM files for TLS to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// `[console]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// Addresses of the page and the admin API.
    pub listen: Vec<SocketAddr>,
}

impl Default for Console {
    fn default() -> Self {
        Self { listen: vec![SocketAddr::from(([127, 0, 0, 1], 8485))] }
    }
}

/// `[data]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Directory for everything that is kept.
    pub dir: PathBuf,
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: PathBuf::from("/var/lib/airlane") }
    }
}

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// Which lines are written.
    pub level: LogLevel,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Which log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures that need the owner.
    Error,
    /// And what is odd.
    Warn,
    /// And one line a request.
    #[default]
    Info,
    /// And what helps to find a fault; holds addresses and names.
    Debug,
    /// Everything but prompts, answers and keys.
    Trace,
}

/// `[discovery]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// Look for model servers on this machine and for keys in the environment.
    pub enabled: bool,
    /// How often the upstreams are asked for their models.
    pub refresh: Duration,
}

impl Default for Discovery {
    fn default() -> Self {
        Self { enabled: true, refresh: Duration::from_secs(60) }
    }
}

/// `[route]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteSettings {
    /// How one of several places is chosen where the alias says nothing.
    pub strategy: Strategy,
    /// Clients may say how urgent their requests are.
    pub client_lanes: bool,
    /// Clients may make the first place fail, to try what happens then.
    pub mock_fallbacks: bool,
    /// A second copy may go to an idle place of the house when the first token is late.
    pub hedge: bool,
}

impl Default for RouteSettings {
    fn default() -> Self {
        Self { strategy: Strategy::Auto, client_lanes: true, mock_fallbacks: false, hedge: true }
    }
}

/// `[gpu]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Read the graphics cards of this machine.
    pub enabled: bool,
    /// NVIDIA's management library; `None` looks where drivers put it.
    pub library: Option<PathBuf>,
}

impl Default for Gpu {
    fn default() -> Self {
        Self { enabled: true, library: None }
    }
}

/// `[node]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// Report to a router, once one has been paired.
    pub enabled: bool,
    /// The name under which it is found; `None` for that of the machine.
    pub name: Option<String>,
    /// Let itself be found on the network.
    pub announce: bool,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self { enabled: false, name: None, announce: true }
    }
}

/// `[nodes]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodesSettings {
    /// Take nodes in.
    pub enabled: bool,
    /// What the owner says of some of them.
    pub known: Vec<KnownNode>,
}

impl Default for NodesSettings {
    fn default() -> Self {
        Self { enabled: true, known: Vec::new() }
    }
}

/// One `[[nodes.node]]`: what the owner says of a node, as he would of an upstream. It need not be paired yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNode {
    /// Its name here.
    pub name: String,
    /// Which of its models may be used, as for an upstream.
    pub models: Vec<String>,
    /// How its machine is woken when it sleeps.
    pub wake: Option<Wake>,
}

impl NodesSettings {
    /// A node's upstream with what the owner says of it.
    #[must_use]
    pub fn dress(&self, node: Upstream) -> Upstream {
        match self.known.iter().find(|known| known.name == node.name) {
            None => node,
            Some(known) => Upstream { models: known.models.clone(), wake: known.wake, ..node },
        }
    }
}

/// One `[[alias]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The name that clients ask for.
    pub name: String,
    /// Models, in the order in which they are tried unless the strategy says otherwise.
    pub models: Vec<String>,
    /// How one of them is chosen.
    pub strategy: Strategy,
    /// The models' weights for [`Strategy::Weighted`]; those that are missing weigh 1.
    pub weights: Vec<u32>,
}

impl Default for Alias {
    fn default() -> Self {
        Self { name: String::new(), models: Vec::new(), strategy: Strategy::Ordered, weights: Vec::new() }
    }
}

impl LogLevel {
    /// All levels under their names in the config.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];

    /// The name in the config.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
