//! Requests that Airlane makes for itself. They go the way of all others: the same queue, the same places, the same failover.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::to_bytes_limited;
use bytes::Bytes;
use domain::cache::Directives;
use domain::lane::Lane;
use domain::policy::Effective;
use domain::route::Provider;
use domain::surface::Surface;
use domain::tenant::Identity;
use wire::exchange::Ask;

use super::Gateway;
use super::account::Account;
use super::client::{Client, Patience};
use super::forward::Forwarded;
use super::job::{Job, entry};
use super::serve::answer_job;
use super::settle::Settlement;
use crate::live::Snapshot;

/// Largest answer to one of our own requests: a vector, or a word with what a model thought before it.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// For whom, and how urgently.
#[derive(Clone)]
pub(super) struct Errand {
    /// Whose request it serves: it counts as theirs.
    pub(super) identity: Rc<Identity>,
    pub(super) policy: Arc<Effective>,
    pub(super) lane: Lane,
    /// Its name in the log.
    pub(super) request_id: Rc<str>,
    /// Longest wait for the answer.
    pub(super) patience: Duration,
    /// What is to be kept of it.
    pub(super) wishes: Directives,
    /// The places that whoever asks wants or forbids.
    pub(super) provider: Provider,
    /// Only servers of the house may answer.
    pub(super) stays_in_house: bool,
}

impl Errand {
    /// The request as a job; nothing where it cannot be one, as with a model that has no name.
    pub(super) fn job(&self, gateway: &Rc<Gateway>, surface: Surface, body: &Bytes) -> Option<Job> {
        let snapshot = gateway.live.now();
        let ask = self.ask(&snapshot, surface, body)?;
        let metrics = gateway.metrics.clone();
        let mut settlement = Settlement::new(metrics, self.request_id.clone(), surface, Instant::now());
        let account = Account::new(gateway, snapshot.clone(), self.identity.clone());
        settlement.account = Some(Box::new(account));
        Some(Job::new(gateway.clone(), snapshot, self.client(), self.request_id.clone(), ask, settlement))
    }

    /// Whether the place to which it would go has nothing to do, for us or for others, and is awake.
    pub(super) fn finds_idle(&self, gateway: &Gateway, surface: Surface, body: &Bytes) -> bool {
        let snapshot = gateway.live.now();
        let Some(ask) = self.ask(&snapshot, surface, body) else { return false };
        let route = gateway.dispatcher.choose(&entry(gateway, &ask, &self.client()), &snapshot);
        let Some(leg) = route.ok().and_then(|route| route.legs.into_iter().next()) else { return false };
        let score = &leg.score;
        let is_free = score.others == 0 && score.wait.is_zero() && score.wake.is_zero();
        is_free && !gateway.dispatcher.works_at(&leg.target.upstream)
    }

    fn ask(&self, snapshot: &Snapshot, surface: Surface, body: &Bytes) -> Option<Ask> {
        let mut ask = Ask::read(surface, body).ok()?;
        let wish = Arc::make_mut(&mut ask.wish);
        wish.provider = self.provider.clone();
        self.policy.bind(wish);
        // It is counted under no budget, so under one it costs nothing.
        if self.stays_in_house || self.policy.budgets().next().is_some() {
            let away = snapshot.config.upstreams.iter().filter(|upstream| !upstream.local);
            wish.provider.ignore.extend(away.map(|upstream| upstream.name.clone()));
        }
        Some(ask)
    }

    fn client(&self) -> Client {
        Client {
            forwarded: Forwarded::default(),
            lane: self.lane,
            identity: self.identity.clone(),
            app: "airlane".into(),
            patience: Patience { answer: Some(self.patience), silence: None },
            policy: self.policy.clone(),
            wishes: self.wishes.clone(),
        }
    }
}

/// The body of the answer; nothing where there is none in time.
pub(super) async fn answered(job: Job, patience: Duration) -> Option<Bytes> {
    let response = async {
        // Boxed, since an errand is a request within a request.
        let response = Box::pin(answer_job(job)).await.ok()?;
        to_bytes_limited(response.into_body(), ANSWER_BYTES_MAX).await.ok()?.ok()
    };
    tokio::time::timeout(patience, response).await.ok()?
}
