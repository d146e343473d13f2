//! What the console's pages ask of the house.

mod explain;
mod ledger;
mod nodes;
mod places;
mod tenants;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::cache::{Listed, Purge, Purged, Stats};
use domain::date::Day;
use domain::key::KeyFacts;
use domain::ledger::{EntryId, Filter, Format, Line, Stats as LedgerStats};
use domain::telemetry::Telemetry;
use domain::tenant::Tenant;
use domain::upstream::{Upstream, UpstreamKind};
use webui::{
    Console, Decision, FoundNodes, HealthRow, KeyWish, LedgerPage, LedgerPieces, ModelRow, NewKey, Nodes, Overview,
    PairWish, Places, Question, Repriced, Rotation, UpstreamRow, UpstreamState,
};

use crate::cache::Cache;
use crate::dispatch::Dispatcher;
use crate::edges::Clock;
use crate::ledger::{Export, Ledger};
use crate::live::{self, Live};
use crate::metrics::Metrics;
use crate::tenants::Tenants;
use tenants::carry_out;

/// The house as the console sees it.
pub(crate) struct House {
    pub(crate) live: Arc<Live>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) nodes: Arc<crate::nodes::Nodes>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) started: Instant,
    /// Those of the endpoint as clients write them, the best one first.
    pub(crate) base_urls: Vec<String>,
}

impl House {
    fn health(&self, upstream: &str) -> HealthRow {
        self.dispatcher.with(|dispatch, now| HealthRow::of(&dispatch.places.standing(upstream, now)))
    }
}

/// Longest wait for what is newest to be written before it is listed.
const FLUSH_MAX: Duration = Duration::from_secs(2);

impl Console for House {
    fn overview(&self) -> Overview {
        let snapshot = self.live.now();
        let config = self.live.config_state();
        let upstreams = snapshot.upstreams.iter().filter_map(|state| {
            let upstream = snapshot.config.upstream(&state.name)?;
            Some(row(upstream, state, self.health(&state.name)))
        });
        let models = snapshot.catalogue.listed().iter().map(|listed| ModelRow {
            id: listed.id.clone(),
            upstream: listed.upstream.clone(),
            context_tokens: listed.info.context_tokens,
            chat: listed.info.capabilities.chat,
        });
        let count = |gauge: i64| u64::try_from(gauge).unwrap_or(0);
        Overview {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: self.started.elapsed(),
            base_urls: self.base_urls.clone(),
            upstreams: upstreams.collect(),
            models: models.collect(),
            in_flight: count(self.metrics.in_flight.get()),
            waiting: count(self.metrics.waiting.get()),
            revision: config.revision,
            config_problem: config.problem.clone(),
            restart_needed: config.restart_needed.iter().map(|&key| key.to_owned()).collect(),
        }
    }

    fn telemetry(&self) -> Arc<Telemetry> {
        self.live.telemetry()
    }

    fn places(&self) -> Places {
        let snapshot = self.live.now();
        let nodes = self.live.nodes();
        self.dispatcher.with(|dispatch, now| places::all(&snapshot.config, dispatch, &nodes, now))
    }

    fn explain(&self, question: &Question) -> Result<Decision, String> {
        let snapshot = self.live.now();
        let unix_s = i64::try_from(self.clock.unix_ms() / 1_000).unwrap_or(i64::MAX);
        let now = explain::Now { unix_s, pulse: self.live.pulse(&snapshot, self.metrics.waiting.get()) };
        explain::decide(&self.dispatcher, &snapshot, question, &now)
    }

    fn nodes(&self) -> Nodes {
        nodes::all(&self.live, &self.nodes)
    }

    async fn find_nodes(&self) -> Result<FoundNodes, String> {
        self.nodes.find().await.map(|found| nodes::found(found, &self.nodes)).map_err(|error| format!("{error:#}"))
    }

    async fn pair_node(&self, wish: &PairWish) -> Result<String, String> {
        let paired = self.nodes.pair(&wish.node, &wish.code, wish.name.as_deref()).await;
        paired.map_err(|error| format!("{error:#}"))
    }

    fn forget_node(&self, name: &str) -> Result<(), String> {
        self.nodes.forget(name).map_err(|error| format!("{error:#}"))
    }

    fn pairing_code(&self) -> Result<String, String> {
        self.nodes.new_code().map_err(|error| format!("{error:#}"))
    }

    fn cache_stats(&self) -> Stats {
        self.cache.stats()
    }

    async fn cache_entries(&self, filter: Purge, max: usize) -> Result<Vec<Listed>, String> {
        let cache = self.cache.clone();
        // Who lists what was kept a moment ago wants to see it; a disk that is very slow is not waited for.
        let _ = tokio::time::timeout(FLUSH_MAX, cache.flush()).await;
        // It reads the file, which may take a while.
        let listed = tokio::task::spawn_blocking(move || cache.list(&filter, max)).await;
        listed.unwrap_or_else(|_| Err("the list could not be made; Airlane's log says why".to_owned()))
    }

    async fn purge_cache(&self, purge: Purge) -> Result<Purged, String> {
        // To its end, also if who asked for it does not wait.
        let cache = self.cache.clone();
        let purged = actix_web::rt::spawn(async move { cache.purge(purge).await });
        purged.await.unwrap_or_else(|_| Err("the purge was broken off; try again".to_owned()))
    }

    fn wrong_answer(&self, request_id: &str) -> Result<(), String> {
        if self.cache.questions().was_wrong(request_id) {
            return Ok(());
        }
        Err("no request of this name got the answer to another question of late; an answer that was kept for the same \
             request is thrown away with: airlane cache purge --entry"
            .to_owned())
    }

    fn ledger_stats(&self) -> LedgerStats {
        self.ledger.stats()
    }

    async fn ledger_entries(&self, filter: Filter, after: Option<EntryId>, max: usize) -> Result<LedgerPage, String> {
        ledger::read(&self.ledger, move |ledger| ledger.page(&filter, after, max).map(|page| ledger::page(&page))).await
    }

    async fn ledger_sums(&self, days: RangeInclusive<Day>, tenant: Option<String>) -> Result<Vec<Line>, String> {
        ledger::read(&self.ledger, move |ledger| ledger.sums(&days, tenant.as_deref())).await
    }

    async fn reprice(&self, filter: Filter) -> Result<Repriced, String> {
        let snapshot = self.live.now();
        ledger::read(&self.ledger, move |books| books.reprice(&filter, &|entry| ledger::prices(&snapshot, entry)))
            .await
            .map(|done| Repriced { looked: done.looked, changed: done.changed })
    }

    async fn ledger_export(&self, filter: Filter, format: Format) -> LedgerPieces {
        ledger::bring_up_to_date(&self.ledger).await;
        Box::new(Export::new(self.ledger.clone(), filter, format))
    }

    fn tenants(&self) -> Vec<Tenant> {
        self.tenants.tenants()
    }

    async fn set_tenant(&self, tenant: Tenant) -> Result<(), String> {
        carry_out(&self.tenants, move |tenants| tenants.set(&tenant)).await
    }

    async fn remove_tenant(&self, name: String) -> Result<(), String> {
        carry_out(&self.tenants, move |tenants| tenants.remove(&name)).await
    }

    fn keys(&self) -> Vec<KeyFacts> {
        self.tenants.keys()
    }

    async fn create_key(&self, wish: KeyWish) -> Result<NewKey, String> {
        carry_out(&self.tenants, move |tenants| tenants.create(&wish.tenant, &wish.label, wish.lifetime_s))
            .await
            .map(|(facts, key)| NewKey { key, facts })
    }

    async fn rotate_key(&self, wish: Rotation) -> Result<NewKey, String> {
        carry_out(&self.tenants, move |tenants| tenants.rotate(&wish.id, wish.overlap_s))
            .await
            .map(|(facts, key)| NewKey { key, facts })
    }

    async fn revoke_key(&self, id: String) -> Result<KeyFacts, String> {
        carry_out(&self.tenants, move |tenants| tenants.revoke(&id)).await
    }

    fn body_bytes_max(&self) -> usize {
        self.live.now().config.endpoint.body_max_bytes
    }
}

fn row(upstream: &Upstream, state: &live::UpstreamState, health: HealthRow) -> UpstreamRow {
    let place = if upstream.kind == UpstreamKind::Loopback { "built in" } else { &upstream.origin };
    UpstreamRow {
        name: upstream.name.clone(),
        kind: upstream.kind.name().to_owned(),
        where_: place.to_owned(),
        health,
        state: match &state.error {
            _ if !state.asked => UpstreamState::Asking,
            Some(reason) => UpstreamState::Silent { reason: reason.clone() },
            None => UpstreamState::Answers { models: u64::try_from(state.models).unwrap_or(u64::MAX) },
        },
    }
}
