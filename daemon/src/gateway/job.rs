//! One request on its way through the upstreams of its route.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::catalogue::Target;
use domain::refusal::Refusal;
use domain::route::{Leg, choose};
use domain::upstream::UpstreamKind;
use tracing::debug;
use wire::exchange::{Ask, NotSent};
use wire::reply::ReplyContext;

use super::Gateway;
use super::answer_error::ServeError;
use super::forward::Forwarded;
use super::settle::{Phase, Settlement};
use crate::live::Snapshot;
use crate::meter::Permit;
use crate::upstreams::{CallError, Fault, Outbound, Reply};

/// A request that is being served. Dropping it gives its place back, ends its upstream call and settles it.
pub(super) struct Job {
    pub(super) gateway: Rc<Gateway>,
    pub(super) snapshot: Arc<Snapshot>,
    forwarded: Forwarded,
    pub(super) request_id: String,
    pub(super) ask: Ask,
    pub(super) settlement: Settlement,
    /// What encoders need to know: the same for all attempts, so that ids do not change under the client.
    pub(super) context: ReplyContext,
    permit: Option<Permit>,
    legs: Vec<Leg>,
    /// The leg to try next.
    next: usize,
    /// All legs failed once and are tried again.
    second_round: bool,
    failure: Option<ServeError>,
    /// What failed before, in few words.
    before: Vec<String>,
}

/// An upstream that has accepted the request.
pub(super) struct Live {
    pub(super) leg: Leg,
    pub(super) reply: Reply,
}

/// Longest `Retry-After` that is waited out here instead of by the client.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

impl Job {
    pub(super) fn new(
        gateway: Rc<Gateway>,
        snapshot: Arc<Snapshot>,
        forwarded: Forwarded,
        request_id: String,
        ask: Ask,
        settlement: Settlement,
    ) -> Self {
        let context = ReplyContext {
            unique: gateway.clock.unique(),
            model: ask.model().to_owned(),
            created_ms: gateway.clock.unix_ms(),
            include_usage: ask.include_usage,
        };
        Self {
            gateway,
            snapshot,
            forwarded,
            request_id,
            ask,
            settlement,
            context,
            permit: None,
            legs: Vec::new(),
            next: 0,
            second_round: false,
            failure: None,
            before: Vec::new(),
        }
    }

    /// Admit, choose, call: up to the first upstream that accepts.
    ///
    /// # Errors
    /// No place, no route, or no upstream accepts.
    pub(super) async fn begin(&mut self) -> Result<Live, ServeError> {
        let endpoint = &self.snapshot.config.endpoint;
        let waiting = Instant::now();
        self.permit = Some(self.gateway.meter.admit(endpoint).await?);
        self.settlement.queued = waiting.elapsed();
        self.settlement.phase = Phase::Calling;
        self.choose()?;
        self.next_live().await
    }

    /// Decides on the route, and gives its first leg.
    ///
    /// # Errors
    /// Nobody offers the model, or can do with it what is asked.
    pub(super) fn choose(&mut self) -> Result<Leg, ServeError> {
        let route = choose(self.ask.near, &self.ask.wish, &self.snapshot.config, &self.snapshot.catalogue)?;
        self.legs = route.legs;
        self.next = 0;
        self.legs.first().cloned().ok_or(ServeError::Refused(Refusal::NoModelNamed))
    }

    /// Calls the upstreams that are left until one accepts.
    ///
    /// # Errors
    /// None is left, or one failed in a way in which every other would.
    pub(super) async fn next_live(&mut self) -> Result<Live, ServeError> {
        loop {
            while let Some(leg) = self.legs.get(self.next).cloned() {
                self.next += 1;
                match self.call(&leg).await {
                    Ok(reply) => {
                        self.settlement.phase = Phase::Prefill;
                        return Ok(Live { leg, reply });
                    }
                    Err(ServeError::Call { error, .. }) => self.failed(*error)?,
                    Err(error) => self.failure = Some(error),
                }
            }
            if !self.wait_for_second_round().await {
                return Err(self.take_failure());
            }
        }
    }

    /// Notes that an upstream failed.
    ///
    /// # Errors
    /// No other upstream would do better.
    pub(super) fn failed(&mut self, error: CallError) -> Result<(), ServeError> {
        self.gateway.metrics.failed(&error.upstream, error.kind());
        let may_retry = error.may_retry();
        debug!(request.id = %self.request_id, upstream = %error.upstream, kind = error.kind(), error = %error, "attempt failed");
        let short = format!("{} ({})", error.upstream, error.kind());
        let error = ServeError::Call { error: Box::new(error), before: self.before.clone() };
        self.before.push(short);
        if may_retry {
            self.failure = Some(error);
            return Ok(());
        }
        Err(error)
    }

    /// When the last upstream said that it will be free in a moment, waits for it once.
    async fn wait_for_second_round(&mut self) -> bool {
        let Some(ServeError::Call { error, .. }) = &self.failure else { return false };
        let Fault::Status { retry_after: Some(wait), .. } = &error.fault else { return false };
        let Ok(wait) = wait.parse().map(Duration::from_secs) else { return false };
        if self.second_round || wait > RETRY_WAIT_MAX {
            return false;
        }
        self.second_round = true;
        self.next = 0;
        tokio::time::sleep(wait).await;
        true
    }

    async fn call(&mut self, leg: &Leg) -> Result<Reply, ServeError> {
        self.settlement.attempts += 1;
        self.settlement.phase = Phase::Calling;
        self.settlement.goes_to(&leg.target.upstream);
        self.settlement.model = self.label(&leg.target);
        let snapshot = self.snapshot.clone();
        let Some(upstream) = snapshot.config.upstream(&leg.target.upstream) else {
            let refusal = Refusal::UnknownModel { model: self.ask.model().to_owned(), near: Vec::new() };
            return Err(refusal.into());
        };
        let body = self
            .ask
            .outgoing(leg.far, &leg.target.model, upstream.host())
            .map_err(|error: NotSent| ServeError::NotSent { upstream: upstream.name.clone(), error })?;
        let mut path = leg.far.path().to_owned();
        if upstream.kind == UpstreamKind::Anthropic && self.forwarded.beta {
            path.push_str("?beta=true");
        }
        let outbound = Outbound {
            path,
            body: Some(Bytes::from(body)),
            headers: self.forwarded.headers(&self.request_id, leg.far.dialect()),
            stream: self.ask.stream,
        };
        self.gateway
            .clients
            .call(upstream, outbound)
            .await
            .map_err(|error| ServeError::Call { error: Box::new(error), before: Vec::new() })
    }

    /// Metrics name only models that are known, so that clients cannot make up labels.
    fn label(&self, target: &Target) -> String {
        if self.snapshot.catalogue.info(target).is_some() { target.model.clone() } else { "other".to_owned() }
    }

    /// The reason for which the last upstream failed.
    pub(super) fn take_failure(&mut self) -> ServeError {
        self.failure.take().unwrap_or(ServeError::Refused(Refusal::NoModelNamed))
    }

    /// An error of an upstream of this job.
    pub(super) fn call_error(&self, live: &Live, fault: Fault) -> CallError {
        match self.snapshot.config.upstream(&live.leg.target.upstream) {
            Some(upstream) => CallError::new(upstream, fault),
            None => CallError { upstream: live.leg.target.upstream.clone(), fault },
        }
    }
}
