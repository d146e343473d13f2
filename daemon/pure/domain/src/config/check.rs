//! `Draft` to `Config`: everything that is wrong, at once.

mod cache;
mod gpu;
mod ledger;
mod policy;
mod semantic;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Alias, AliasDraft, Config, Console, Data, Discovery, Draft, Endpoint, EndpointDraft, Gpu, GpuDraft, KnownNode, Log,
    LogDraft, LogFormat, LogLevel, MIB, NodeDraft, NodeSettings, NodesDraft, NodesSettings, RouteDraft, RouteSettings,
    TlsFiles, UpstreamDraft,
};
use crate::access::{Access, is_in_house};
use crate::catalogue::ALIAS_OWNER;
use crate::sleep::Wake;
use crate::strategy::Strategy;
use crate::tenant::Unknown;
use crate::upstream::{Upstream, UpstreamKind};
use crate::virtual_model::is_virtual;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key's path, like `upstream[1].url`; list positions are 0-based.
    pub path: String,
    /// What is wrong and what would be right, as a clause.
    pub message: String,
}

impl Problem {
    /// Names the key and what is wrong with it.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// Checks a draft as a whole.
///
/// # Errors
/// All problems, in the order of the file's sections.
pub fn check(draft: &Draft) -> Result<Config, Vec<Problem>> {
    let mut check = Check::default();
    let default_policy = check.default_policy(&draft.cache.rules);
    let table = check.table(draft.cache.table.as_ref());
    let policies = check.policies(&draft.policies, &default_policy.cache, table.is_some());
    let config = Config {
        endpoint: check.endpoint(&draft.endpoint),
        console: Console {
            listen: check.addresses("console.listen", draft.console.listen.as_deref(), Console::default().listen),
        },
        data: Data { dir: draft.data.dir.as_ref().map_or_else(|| Data::default().dir, PathBuf::from) },
        log: check.log(&draft.log),
        discovery: Discovery {
            // A file that names its upstreams means these and no others.
            enabled: draft.discovery.enabled.unwrap_or(draft.upstreams.is_empty()),
            refresh: check.seconds("discovery.refresh_s", draft.discovery.refresh_s, 1..=86_400, 60),
        },
        route: check.route(&draft.route),
        gpu: check.gpu(&draft.gpu),
        node: check.node(&draft.node),
        nodes: check.nodes(&draft.nodes),
        cache: check.cache(&draft.cache, table),
        ledger: check.ledger(&draft.ledger),
        default_policy: Arc::new(default_policy),
        policies,
        upstreams: check.upstreams(&draft.upstreams),
        aliases: check.aliases(&draft.aliases),
    };
    if check.problems.is_empty() { Ok(config) } else { Err(check.problems) }
}

/// Whether an upstream or a node may be called so.
#[must_use]
pub fn is_short_name(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
}

/// Collects problems; each method gives a usable value even when it found one, so that the check goes on.
#[derive(Default)]
struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    fn endpoint(&mut self, draft: &EndpointDraft) -> Endpoint {
        let default = Endpoint::default();
        let whole = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Endpoint {
            listen: self.addresses("endpoint.listen", draft.listen.as_deref(), default.listen),
            ollama_listen: self.addresses(
                "endpoint.ollama_listen",
                draft.ollama_listen.as_deref(),
                default.ollama_listen,
            ),
            tls: self.tls(draft),
            access: Access {
                allow_public: draft.allow_public.unwrap_or(false),
                allow_networks: self.list("endpoint.allow_networks", draft.allow_networks.as_deref()),
                trusted_proxies: self.list("endpoint.trusted_proxies", draft.trusted_proxies.as_deref()),
            },
            unknown_devices: self
                .word("endpoint.unknown_devices", draft.unknown_devices.as_deref(), &Unknown::NAMES)
                .unwrap_or_default(),
            host_names: draft.host_names.clone().unwrap_or_default(),
            cors_origins: draft.cors_origins.clone().unwrap_or(default.cors_origins),
            body_max_bytes: whole(self.number("endpoint.body_max_mib", draft.body_max_mib, 1..=1_024, 32)) * MIB,
            max_concurrent: whole(self.number("endpoint.max_concurrent", draft.max_concurrent, 1..=100_000, 1_024)),
            max_waiting: whole(self.number("endpoint.max_waiting", draft.max_waiting, 0..=100_000, 1_024)),
            max_connections: whole(self.number(
                "endpoint.max_connections",
                draft.max_connections,
                1..=1_000_000,
                8_192,
            )),
            queue_wait: self.seconds("endpoint.queue_wait_s", draft.queue_wait_s, 0..=3_600, 30),
            load_wait: self.seconds("endpoint.load_wait_s", draft.load_wait_s, 0..=3_600, 300),
            heartbeat: self.seconds("endpoint.heartbeat_s", draft.heartbeat_s, 1..=600, 10),
            client_timeout: self.seconds("endpoint.client_timeout_s", draft.client_timeout_s, 1..=3_600, 60),
            drain: self.seconds("endpoint.drain_s", draft.drain_s, 0..=3_600, 30),
            workers: whole(self.number("endpoint.workers", draft.workers, 0..=256, 0)),
        }
    }

    fn tls(&mut self, draft: &EndpointDraft) -> Option<TlsFiles> {
        match (&draft.tls_cert, &draft.tls_key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert: PathBuf::from(cert), key: PathBuf::from(key) }),
            (Some(_), None) => {
                self.problem("endpoint.tls_cert", "needs endpoint.tls_key, the file with its private key");
                None
            }
            (None, Some(_)) => {
                self.problem("endpoint.tls_key", "needs endpoint.tls_cert, the file with the certificate chain");
                None
            }
            (None, None) => None,
        }
    }

    fn log(&mut self, draft: &LogDraft) -> Log {
        let formats = [("human", LogFormat::Human), ("json", LogFormat::Json)];
        Log {
            format: self.word("log.format", draft.format.as_deref(), &formats).unwrap_or_default(),
            level: self.word("log.level", draft.level.as_deref(), &LogLevel::NAMES).unwrap_or_default(),
        }
    }

    fn route(&mut self, draft: &RouteDraft) -> RouteSettings {
        let default = RouteSettings::default();
        let strategy = self.word("route.strategy", draft.strategy.as_deref(), &Strategy::NAMES);
        if strategy == Some(Strategy::Weighted) {
            self.problem("route.strategy", "weights belong to an alias: set strategy and weights there");
        }
        RouteSettings {
            strategy: strategy.unwrap_or(default.strategy),
            client_lanes: draft.client_lanes.unwrap_or(default.client_lanes),
            mock_fallbacks: draft.mock_fallbacks.unwrap_or(default.mock_fallbacks),
            hedge: draft.hedge.unwrap_or(default.hedge),
        }
    }

    fn gpu(&mut self, draft: &GpuDraft) -> Gpu {
        let library = draft.library.as_ref().map(PathBuf::from);
        // The system's loader would look for any other name in folders that it chooses.
        if library.as_ref().is_some_and(|library| !library.is_absolute()) {
            self.problem("gpu.library", "must be a whole path, like \"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1\"");
        }
        Gpu { enabled: draft.enabled.unwrap_or(true), library }
    }

    fn node(&mut self, draft: &NodeDraft) -> NodeSettings {
        let name = draft.name.clone().filter(|name| {
            let is_name = !name.is_empty() && is_short_name(name);
            if !is_name {
                self.problem("node.name", format!("use 1 to {NAME_CHARS_MAX} letters, digits, '-', '_' and '.'"));
            }
            is_name
        });
        NodeSettings { enabled: draft.enabled.unwrap_or(false), name, announce: draft.announce.unwrap_or(true) }
    }

    fn upstreams(&mut self, drafts: &[UpstreamDraft]) -> Vec<Upstream> {
        let mut upstreams: Vec<Upstream> = Vec::new();
        for (position, draft) in drafts.iter().enumerate() {
            let upstream = self.upstream(&format!("upstream[{position}]"), draft);
            if !upstream.name.is_empty() && upstreams.iter().any(|known| known.name == upstream.name) {
                self.problem(
                    format!("upstream[{position}].name"),
                    format!("another upstream is called {:?}; names must differ", upstream.name),
                );
            }
            upstreams.push(upstream);
        }
        upstreams
    }

    fn upstream(&mut self, path: &str, draft: &UpstreamDraft) -> Upstream {
        let at = |key: &str| format!("{path}.{key}");
        let kind = self.word(&at("kind"), draft.kind.as_deref(), &UpstreamKind::NAMES);
        if draft.kind.is_none() {
            self.problem(at("kind"), "is missing: say openai, anthropic, ollama or loopback");
        }
        let kind = kind.unwrap_or(UpstreamKind::Openai);
        let url = self.url(&at("url"), draft.url.as_deref(), kind);
        let seconds = [
            ("connect_timeout_s", draft.connect_timeout_s, 5),
            ("first_byte_timeout_s", draft.first_byte_timeout_s, 120),
            ("idle_timeout_s", draft.idle_timeout_s, 120),
        ]
        .map(|(key, value, default)| self.seconds(&at(key), value, 1..=86_400, default));
        for (name, _) in &draft.headers {
            if !is_header_name(name) {
                self.problem(at(&format!("headers.{name}")), "is no name of an HTTP header");
            }
        }
        let tokens_per_s = self.number(&at("tokens_per_s"), draft.tokens_per_s, 1..=100_000, 50);
        let slots = draft.slots.map(|slots| self.number(&at("slots"), Some(slots), 1..=10_000, 1));
        Upstream {
            local: draft.local.unwrap_or_else(|| kind == UpstreamKind::Loopback || is_in_house(url.host())),
            slots: slots.and_then(|slots| u32::try_from(slots).ok()),
            one_model: draft.one_model.unwrap_or(false),
            is_node: false,
            wake: self.wake(path, draft.wake.as_deref(), draft.wake_address.as_deref(), draft.wake_s),
            gpu: self.cards(&at("gpu"), draft),
            gpu_metrics: self.gpu_metrics(&at("gpu_metrics"), draft),
            name: self.upstream_name(&at("name"), draft.name.as_deref()),
            kind,
            responses: draft.responses.unwrap_or(url.origin == "https://api.openai.com"),
            origin: url.origin,
            base_path: url.base_path,
            query: url.query,
            key: draft.key.clone(),
            headers: draft.headers.clone(),
            models: draft.models.clone().unwrap_or_else(|| vec!["*".to_owned()]),
            ca_file: draft.ca_file.clone(),
            connect_timeout: seconds[0],
            first_byte_timeout: seconds[1],
            idle_timeout: seconds[2],
            tokens_per_s: u32::try_from(tokens_per_s).unwrap_or(u32::MAX),
        }
    }

    fn nodes(&mut self, draft: &NodesDraft) -> NodesSettings {
        let mut known: Vec<KnownNode> = Vec::new();
        for (position, draft) in draft.known.iter().enumerate() {
            let path = format!("nodes.node[{position}]");
            let name = self.upstream_name(&format!("{path}.name"), draft.name.as_deref());
            if !name.is_empty() && known.iter().any(|known| known.name == name) {
                self.problem(format!("{path}.name"), format!("{name:?} stands here twice; one is enough"));
            }
            let models = draft.models.clone().unwrap_or_else(|| vec!["*".to_owned()]);
            let wake = self.wake(&path, draft.wake.as_deref(), draft.wake_address.as_deref(), draft.wake_s);
            known.push(KnownNode { name, models, wake });
        }
        NodesSettings { enabled: draft.enabled.unwrap_or(true), known }
    }

    fn wake(&mut self, path: &str, mac: Option<&str>, to: Option<&str>, seconds: Option<u64>) -> Option<Wake> {
        let at = |key: &str| format!("{path}.{key}");
        let guess = self.seconds(&at("wake_s"), seconds, 1..=3_600, 45);
        let broadcast = SocketAddr::from(([255, 255, 255, 255], 9));
        let address = match to.map(str::parse) {
            None => broadcast,
            Some(Ok(address)) => address,
            Some(Err(_)) => {
                self.problem(at("wake_address"), "must be an address with a port, like \"192.168.1.255:9\"");
                broadcast
            }
        };
        let Some(text) = mac else {
            for (key, is_given) in [("wake_address", to.is_some()), ("wake_s", seconds.is_some())] {
                if is_given {
                    self.problem(at(key), "needs wake, the address of the machine's network card");
                }
            }
            return None;
        };
        let mac = parse_mac(text);
        if mac.is_none() {
            self.problem(at("wake"), format!("{text:?} is no address of a network card, like \"aa:bb:cc:dd:ee:ff\""));
        }
        Some(Wake { mac: mac?, address, guess })
    }

    fn upstream_name(&mut self, path: &str, name: Option<&str>) -> String {
        match name {
            None | Some("") => self.problem(path, "is missing: give this upstream a short name"),
            Some(ALIAS_OWNER) => self.problem(path, "is taken: aliases are listed under it"),
            Some(name) if !is_short_name(name) => {
                self.problem(path, format!("use at most {NAME_CHARS_MAX} letters, digits, '-', '_' and '.'"));
            }
            Some(_) => {}
        }
        name.unwrap_or_default().to_owned()
    }

    fn url(&mut self, path: &str, url: Option<&str>, kind: UpstreamKind) -> Url {
        match (url, kind) {
            (None, UpstreamKind::Loopback) => Url::default(),
            (Some(_), UpstreamKind::Loopback) => {
                self.problem(path, "a loopback is built in and has no url");
                Url::default()
            }
            (None, _) => {
                self.problem(path, "is missing: the address of the server, like \"http://192.168.1.20:8000\"");
                Url::default()
            }
            (Some(url), _) => parse_url(url, kind).unwrap_or_else(|message| {
                self.problem(path, message);
                Url::default()
            }),
        }
    }

    fn aliases(&mut self, drafts: &[AliasDraft]) -> Vec<Alias> {
        let mut aliases: Vec<Alias> = Vec::new();
        for (position, draft) in drafts.iter().enumerate() {
            let name = draft.name.clone().unwrap_or_default();
            let models = draft.models.clone().unwrap_or_default();
            if name.is_empty() {
                self.problem(format!("alias[{position}].name"), "is missing: the model name that clients will ask for");
            } else if aliases.iter().any(|known| known.name == name) {
                self.problem(
                    format!("alias[{position}].name"),
                    format!("another alias is called {name:?}; names must differ"),
                );
            }
            if models.is_empty() {
                self.problem(
                    format!("alias[{position}].models"),
                    "is empty: list at least one model, like \"gpu-box/qwen3-8b\"",
                );
            }
            if models.contains(&name) && !name.is_empty() {
                self.problem(format!("alias[{position}].models"), "holds the alias itself; write upstream/model");
            }
            if is_virtual(&name) {
                self.problem(
                    format!("alias[{position}].name"),
                    format!("{name:?} already stands for all models of its kind; choose another name"),
                );
            }
            let (strategy, weights) = self.alias_order(position, draft, models.len());
            aliases.push(Alias { name, models, strategy, weights });
        }
        aliases
    }

    fn alias_order(&mut self, position: usize, draft: &AliasDraft, models: usize) -> (Strategy, Vec<u32>) {
        let at = |key: &str| format!("alias[{position}].{key}");
        let named = self.word(&at("strategy"), draft.strategy.as_deref(), &Strategy::NAMES);
        let strategy = named.unwrap_or(Alias::default().strategy);
        let drafted = draft.weights.as_deref().unwrap_or_default();
        let weights: Vec<u32> = (drafted.iter().enumerate())
            .map(|(number, weight)| self.number(&format!("{}[{number}]", at("weights")), Some(*weight), 1..=1_000, 1))
            .filter_map(|weight| u32::try_from(weight).ok())
            .collect();
        if strategy == Strategy::Weighted && weights.len() != models {
            self.problem(at("weights"), format!("needs one number for each of the {models} models"));
        }
        if strategy != Strategy::Weighted && !weights.is_empty() {
            self.problem(at("weights"), "only count with strategy = \"weighted\"");
        }
        (strategy, weights)
    }

    fn addresses(&mut self, path: &str, texts: Option<&[String]>, default: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let Some(texts) = texts else { return default };
        let mut addresses = Vec::new();
        for (position, text) in texts.iter().enumerate() {
            match SocketAddr::from_str(text) {
                Ok(address) => addresses.push(address),
                Err(_) => self.problem(
                    format!("{path}[{position}]"),
                    format!("{text:?} is no address with a port: write \"0.0.0.0:8484\", \"[::]:8484\" or the like"),
                ),
            }
        }
        addresses
    }

    fn list<T: FromStr<Err: std::fmt::Display>>(&mut self, path: &str, texts: Option<&[String]>) -> Vec<T> {
        let mut values = Vec::new();
        for (position, text) in texts.unwrap_or_default().iter().enumerate() {
            match text.parse() {
                Ok(value) => values.push(value),
                Err(error) => self.problem(format!("{path}[{position}]"), format!("{text:?}: {error}")),
            }
        }
        values
    }

    fn number(&mut self, path: &str, value: Option<u64>, range: std::ops::RangeInclusive<u64>, default: u64) -> u64 {
        match value {
            Some(value) if !range.contains(&value) => {
                self.problem(path, format!("{value} is outside {} to {}", range.start(), range.end()));
                default
            }
            Some(value) => value,
            None => default,
        }
    }

    fn seconds(
        &mut self,
        path: &str,
        value: Option<u64>,
        range: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> Duration {
        Duration::from_secs(self.number(path, value, range, default))
    }

    fn word<T: Copy>(&mut self, path: &str, word: Option<&str>, words: &[(&str, T)]) -> Option<T> {
        let word = word?;
        let found = words.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
            self.problem(path, format!("{word:?} is not one of {}", names.join(", ")));
        }
        found
    }
}

/// Long enough for a host name's label.
const NAME_CHARS_MAX: usize = 63;

#[derive(Debug, Default, PartialEq, Eq)]
struct Url {
    origin: String,
    base_path: String,
    query: Option<String>,
}

impl Url {
    /// The host without the port.
    fn host(&self) -> &str {
        let authority = self.origin.split_once("://").map_or("", |(_, authority)| authority);
        match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or(v6),
            None => authority.split(':').next().unwrap_or(authority),
        }
    }
}

/// Splits a base URL. The endings that people copy along (`/v1` of Ollama, `/chat/completions`) are understood.
fn parse_url(text: &str, kind: UpstreamKind) -> Result<Url, String> {
    let (scheme, rest) = text
        .split_once("://")
        .filter(|(scheme, _)| ["http", "https"].contains(scheme))
        .ok_or_else(|| "must begin with http:// or https://".to_owned())?;
    let (before_query, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query.to_owned())),
        None => (rest, None),
    };
    let (authority, path) = match before_query.find('/') {
        Some(slash) => before_query.split_at(slash),
        None => (before_query, ""),
    };
    if authority.contains('@') {
        return Err("holds a user name or password; use key, key_env or key_file, which are never shown".to_owned());
    }
    if !is_authority(authority) {
        return Err("names no host: write it like \"http://192.168.1.20:8000\"".to_owned());
    }
    if !path
        .bytes()
        .chain(query.iter().flat_map(|query| query.bytes()))
        .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        return Err("holds a blank, a '#' or a letter that URLs can't hold".to_owned());
    }
    let mut path = path.trim_end_matches('/');
    for ending in ["/chat/completions", "/completions", "/embeddings", "/models", "/messages", "/responses"] {
        path = path.strip_suffix(ending).unwrap_or(path);
    }
    if kind == UpstreamKind::Ollama {
        path = path.strip_suffix("/v1").or_else(|| path.strip_suffix("/api")).unwrap_or(path);
    }
    Ok(Url { origin: format!("{scheme}://{authority}"), base_path: path.to_owned(), query })
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => return host.parse::<std::net::Ipv6Addr>().is_ok(),
        Some((host, rest)) if host.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", rest.strip_prefix(':')),
        Some(_) => return false,
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port_is_right = match (port, text.contains(':')) {
        (Some(port), _) => port.parse::<u16>().is_ok_and(|port| port > 0),
        (None, has_colon) => !has_colon,
    };
    !host.is_empty() && port_is_right && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// Six bytes in hexadecimal digits, with colons or dashes between them.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let part =
            parts.next().filter(|part| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests;
