//! Keeps the config in force: the file's, with what was discovered; changed as a whole or not at all.

use std::net::SocketAddr;
use std::sync::Arc;

use domain::config::Config;
use domain::upstream::{Upstream, UpstreamKind};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::live::{ConfigState, Live};
use crate::settings::Source;
use crate::upstreams::{Clients, Found, discover, loopback};

/// Publishes configs; the only one who does.
pub(crate) struct Keeper {
    source: Source,
    clients: Arc<Clients>,
    live: Arc<Live>,
    configs: watch::Sender<Arc<Config>>,
    /// Our own addresses: nobody else listens there.
    own: Vec<SocketAddr>,
    /// The file's config, without what was discovered.
    written: Config,
    /// What the daemon was started with: some keys keep that until a restart.
    started: Config,
    found: Vec<Found>,
    /// The nodes that are paired.
    nodes: watch::Receiver<Vec<Upstream>>,
}

impl Keeper {
    pub(crate) fn new(
        source: Source,
        written: Config,
        clients: Arc<Clients>,
        live: Arc<Live>,
        own: Vec<SocketAddr>,
        nodes: watch::Receiver<Vec<Upstream>>,
    ) -> (Self, watch::Receiver<Arc<Config>>) {
        let (configs, receiver) = watch::channel(Arc::new(written.clone()));
        let started = written.clone();
        (Self { source, clients, live, configs, own, written, started, found: Vec::new(), nodes }, receiver)
    }

    /// Looks for upstreams and publishes the first config.
    pub(crate) async fn begin(&mut self) {
        self.look_around().await;
        if self.configs.borrow().upstreams.iter().all(|upstream| upstream.kind == UpstreamKind::Loopback) {
            warn!("there is no model to serve yet: `airlane check` says how to get one");
        }
        self.live.note_config(ConfigState { revision: 1, ..ConfigState::default() });
    }

    /// Works off reload wishes, and looks for upstreams again from time to time.
    pub(crate) async fn run(mut self, mut wishes: mpsc::Receiver<()>) {
        loop {
            let pause = self.written.discovery.refresh;
            tokio::select! {
                wish = wishes.recv() => match wish {
                    Some(()) => self.reload().await,
                    None => return,
                },
                Ok(()) = self.nodes.changed() => self.publish(),
                () = tokio::time::sleep(pause), if self.written.discovery.enabled => self.look_around().await,
            }
        }
    }

    async fn reload(&mut self) {
        let before = self.live.config_state();
        let config = match self.source.load() {
            Ok(config) => config,
            Err(problems) => {
                for line in problems.to_string().lines() {
                    error!("config not taken over: {line}");
                }
                self.live
                    .note_config(ConfigState { problem: Some(problems.to_string()), ..ConfigState::clone(&before) });
                return;
            }
        };
        let restart_needed = self.started.restart_needed(&config);
        if config == self.written {
            // Written again without a change; or put right after a mistake.
            info!("config read again, nothing to change");
            self.live.note_config(ConfigState { problem: None, ..ConfigState::clone(&before) });
            return;
        }
        if !restart_needed.is_empty() {
            warn!(keys = restart_needed.join(", "), "these keys change with the next restart");
        }
        let revision = before.revision + 1;
        info!(revision, "config taken over");
        self.written = config;
        self.live.note_config(ConfigState { revision, problem: None, restart_needed });
        self.look_around().await;
    }

    /// Discovers, if the config wants it, and publishes the sum.
    async fn look_around(&mut self) {
        if self.written.discovery.enabled {
            for found in discover(&self.clients, &self.written, &self.own).await {
                if !self.found.iter().any(|known| known.upstream.name == found.upstream.name) {
                    info!(upstream = %found.upstream.name, reason = %found.reason, "upstream found");
                    self.found.push(found);
                }
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        let config = self.sum();
        self.configs.send_if_modified(|current| {
            let changed = **current != config;
            if changed {
                *current = Arc::new(config);
            }
            changed
        });
    }

    fn sum(&mut self) -> Config {
        let mut config = self.written.clone();
        for node in self.nodes.borrow_and_update().iter() {
            if config.upstream(&node.name).is_some() {
                let name = &node.name;
                warn!(
                    "the config has an upstream {name:?} and so has a node: the node is left out. Give the upstream another \
                     name, or `airlane node forget {name}` and pair it with --name"
                );
            } else {
                let dressed = config.nodes.dress(node.clone());
                config.upstreams.push(dressed);
            }
        }
        if config.discovery.enabled {
            let found = self.found.iter().map(|found| found.upstream.clone()).chain(loopback_unless_named(&config));
            let found: Vec<Upstream> = found.filter(|found| config.upstream(&found.name).is_none()).collect();
            config.upstreams.extend(found);
        }
        config
    }
}

/// The built-in upstream is there to try things with, unless the file says something of its own.
fn loopback_unless_named(config: &Config) -> Option<Upstream> {
    let named = config.upstreams.iter().any(|upstream| upstream.kind == UpstreamKind::Loopback);
    if named { None } else { loopback() }
}
