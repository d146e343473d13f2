//! Keeps the catalogue true: asks every upstream for its models again and again, off the request path.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::catalogue::{Catalogue, Listings, ModelInfo};
use domain::config::Config;
use domain::price::Table;
use domain::upstream::Upstream;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::call::CallError;
use super::client::Clients;
use super::listing::Shown;
use crate::live::{Live, Snapshot, UpstreamState};
use crate::metrics::Metrics;

/// Failures in a row after which an upstream's models are no longer offered.
const STALE_AFTER: u32 = 3;
/// First pause after a failure; doubled up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(2);
/// Longest such pause: a server that is back is in the list again within ten seconds.
const RETRY_MAX: Duration = Duration::from_secs(8);

/// The one author of the snapshot.
pub(crate) struct Refresh {
    live: Arc<Live>,
    clients: Arc<Clients>,
    metrics: Arc<Metrics>,
    configs: watch::Receiver<Arc<Config>>,
    /// The numbers of the lists of those upstreams that tell when their list has changed: our nodes.
    lists: watch::Receiver<HashMap<String, u64>>,
    upstreams: HashMap<String, Known>,
    /// What is known of prices that upstreams do not tell.
    prices: Table,
}

/// What is known of one upstream.
struct Known {
    upstream: Upstream,
    models: Option<Vec<ModelInfo>>,
    shown: Shown,
    failures: u32,
    error: Option<String>,
    asked: bool,
    /// It is being asked.
    is_asking: bool,
    /// The number of its list when it was last asked, where it tells one.
    list: Option<u64>,
    /// When to ask again; `None` while it is being asked, and until its list has another number.
    due: Option<Instant>,
}

/// An upstream's answer, with what it was asked as.
struct Answered {
    upstream: Upstream,
    shown: Shown,
    listed: Result<Vec<ModelInfo>, CallError>,
}

type Asking = FuturesUnordered<BoxFuture<'static, Answered>>;

impl Refresh {
    pub(crate) fn new(
        live: Arc<Live>,
        clients: Arc<Clients>,
        metrics: Arc<Metrics>,
        configs: watch::Receiver<Arc<Config>>,
        lists: watch::Receiver<HashMap<String, u64>>,
    ) -> Self {
        Self { live, clients, metrics, configs, lists, upstreams: HashMap::new(), prices: Table::shipped() }
    }

    /// Works until nobody publishes configs any more.
    pub(crate) async fn run(mut self) {
        let mut asking = Asking::new();
        self.adopt();
        loop {
            self.ask_due(&asking);
            let next = self.upstreams.values().filter_map(|known| known.due).min();
            let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
            tokio::select! {
                changed = self.configs.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.adopt();
                }
                Ok(()) = self.lists.changed() => self.compare(),
                Some(answered) = asking.next(), if !asking.is_empty() => self.note(answered),
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Takes over the config in force: new and changed upstreams are due at once.
    fn adopt(&mut self) {
        let config = self.configs.borrow_and_update().clone();
        let mut kept = HashMap::new();
        for upstream in &config.upstreams {
            let known = self.upstreams.remove(&upstream.name).filter(|known| known.upstream == *upstream);
            let known = known.unwrap_or_else(|| Known {
                upstream: upstream.clone(),
                models: None,
                shown: Shown::default(),
                failures: 0,
                error: None,
                asked: false,
                is_asking: false,
                list: None,
                due: Some(Instant::now()),
            });
            kept.insert(upstream.name.clone(), known);
        }
        self.upstreams = kept;
        self.publish();
    }

    /// Those whose list has another number are due at once.
    fn compare(&mut self) {
        let lists = self.lists.borrow_and_update();
        for known in self.upstreams.values_mut().filter(|known| known.upstream.is_node && !known.is_asking) {
            if known.list != lists.get(&known.upstream.name).copied() {
                known.due = Some(Instant::now());
            }
        }
    }

    fn ask_due(&mut self, asking: &Asking) {
        let now = Instant::now();
        let lists = self.lists.borrow();
        for known in self.upstreams.values_mut().filter(|known| known.due.is_some_and(|due| due <= now)) {
            (known.due, known.is_asking) = (None, true);
            known.list = lists.get(&known.upstream.name).copied().filter(|_| known.upstream.is_node);
            let (clients, upstream) = (self.clients.clone(), known.upstream.clone());
            let mut shown = std::mem::take(&mut known.shown);
            asking.push(Box::pin(async move {
                let listed = clients.list(&upstream, &mut shown).await;
                Answered { upstream, shown, listed }
            }));
        }
    }

    fn note(&mut self, answered: Answered) {
        let refresh = self.configs.borrow().discovery.refresh;
        let name = &answered.upstream.name;
        // An answer for a config that is no longer in force tells nothing.
        let Some(known) = self.upstreams.get_mut(name).filter(|known| known.upstream == answered.upstream) else {
            return;
        };
        self.metrics.reachable(name, answered.listed.is_ok());
        known.shown = answered.shown;
        known.note(answered.listed.map(|models| priced(models, &known.upstream, &self.prices)), refresh);
        self.compare();
        self.publish();
    }

    fn publish(&self) {
        let config = self.configs.borrow().clone();
        let mut listings = Listings::new();
        let mut states = Vec::new();
        for upstream in &config.upstreams {
            let Some(known) = self.upstreams.get(&upstream.name) else { continue };
            if let Some(models) = &known.models {
                listings.insert(upstream.name.clone(), models.clone());
            }
            states.push(UpstreamState {
                name: upstream.name.clone(),
                asked: known.asked,
                error: known.error.clone(),
                models: known.models.as_ref().map_or(0, Vec::len),
            });
        }
        let catalogue = Catalogue::build(&config, &listings);
        let first_round_over = states.iter().all(|state| state.asked);
        self.live.publish(Snapshot { config, catalogue, upstreams: states, first_round_over });
    }
}

/// The models with the prices of their vendor's list, where the upstream tells none.
fn priced(mut models: Vec<ModelInfo>, upstream: &Upstream, prices: &Table) -> Vec<ModelInfo> {
    if let Some(vendor) = prices.vendor(upstream.host()) {
        for model in models.iter_mut().filter(|model| model.prices.is_none()) {
            model.prices = prices.find(vendor, &model.id).cloned().map(Arc::new);
        }
    }
    models
}

impl Known {
    fn note(&mut self, listed: Result<Vec<ModelInfo>, CallError>, refresh: Duration) {
        let name = &self.upstream.name;
        (self.asked, self.is_asking) = (true, false);
        match listed {
            Ok(models) => {
                if self.failures > 0 || self.models.is_none() {
                    info!(upstream = %name, models = models.len(), "upstream answers");
                }
                self.failures = 0;
                self.error = None;
                self.models = Some(models);
                // A node tells when it is worth asking again.
                self.due = self.list.is_none().then(|| Instant::now() + refresh);
            }
            Err(error) => {
                if self.failures == 0 {
                    warn!(upstream = %name, error = %error, "upstream does not list its models");
                }
                self.failures = self.failures.saturating_add(1);
                self.error = Some(error.to_string());
                // What sleeps still has its models, and is woken for them.
                if self.failures >= STALE_AFTER && self.upstream.wake.is_none() {
                    self.models = None;
                }
                let pause = RETRY_MIN.saturating_mul(1 << self.failures.min(10).saturating_sub(1));
                self.due = Some(Instant::now() + pause.min(RETRY_MAX).min(refresh));
            }
        }
    }
}
