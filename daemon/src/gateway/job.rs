//! One request on its way through the upstreams of its route.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::context;
use domain::dispatch::{Entry, Outcome};
use domain::pace::Measured;
use domain::refusal::Refusal;
use domain::route::{LEGS_MAX, Leg};
use domain::upstream::UpstreamKind;
use tracing::debug;
use wire::exchange::{Ask, NotSent};
use wire::reply::ReplyContext;

use super::Gateway;
use super::answer_error::ServeError;
use super::client::Client;
use super::forward::Forwarded;
use super::settle::{Phase, Settlement};
use crate::dispatch::Slot;
use crate::live::Snapshot;
use crate::upstreams::{CallError, Fault, Outbound, Reply};

/// A request that is being served. Dropping it gives its place back, ends its upstream call and settles it.
pub(super) struct Job {
    pub(super) gateway: Rc<Gateway>,
    pub(super) snapshot: Arc<Snapshot>,
    forwarded: Forwarded,
    pub(super) request_id: Rc<str>,
    pub(super) ask: Ask,
    pub(super) settlement: Settlement,
    /// What encoders need to know: the same for all attempts, so that ids do not change under the client.
    pub(super) context: ReplyContext,
    entry: Entry,
    /// Its number in the queue while it waits; shared with whoever writes signs of life.
    pub(super) ticket: Rc<Cell<Option<u64>>>,
    /// All places failed once and are tried again.
    second_round: bool,
    failure: Option<ServeError>,
    /// What failed before, in few words.
    before: Vec<String>,
}

/// An upstream that has accepted the request.
pub(super) struct Live {
    pub(super) slot: Slot,
    pub(super) reply: Reply,
}

impl Live {
    pub(super) const fn leg(&self) -> &Leg {
        &self.slot.grant().leg
    }
}

/// Longest `Retry-After` that is waited out here instead of by the client.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

impl Job {
    pub(super) fn new(
        gateway: Rc<Gateway>,
        snapshot: Arc<Snapshot>,
        client: Client,
        request_id: Rc<str>,
        mut ask: Ask,
        settlement: Settlement,
    ) -> Self {
        let context = ReplyContext {
            unique: gateway.clock.unique(),
            model: ask.model().to_owned(),
            created_ms: gateway.clock.unix_ms(),
            include_usage: ask.include_usage,
        };
        Arc::make_mut(&mut ask.wish).provider.keep_known(&snapshot.config);
        let entry = Entry {
            near: ask.near,
            wish: ask.wish.clone(),
            lane: client.lane,
            client: client.name,
            since: gateway.dispatcher.now(),
            tried: Vec::new(),
        };
        Self {
            gateway,
            snapshot,
            forwarded: client.forwarded,
            request_id,
            ask,
            settlement,
            context,
            entry,
            ticket: Rc::default(),
            second_round: false,
            failure: None,
            before: Vec::new(),
        }
    }

    /// Chooses among the places that are left, waits for one, calls it; up to the first that accepts.
    ///
    /// # Errors
    /// No place, no route, no upstream that accepts, or one that failed in a way in which every other would.
    pub(super) async fn next_live(&mut self) -> Result<Live, ServeError> {
        if std::mem::take(&mut self.ask.mock_fallbacks) {
            self.mock_failure()?;
        }
        loop {
            let mut slot = match self.next_slot().await {
                Ok(slot) => slot,
                Err(refusal) => {
                    let Some(failure) = self.failure.take() else { return Err(refusal.into()) };
                    if self.second_round || !self.wait_for_second_round(&failure).await {
                        return Err(failure);
                    }
                    continue;
                }
            };
            self.entry.tried.push(slot.grant().leg.target.clone());
            match self.call(&slot).await {
                Ok(reply) => {
                    self.settlement.phase = Phase::Prefill;
                    return Ok(Live { slot, reply });
                }
                Err(ServeError::Call { error, .. }) => {
                    slot.note(error.outcome());
                    self.failed(*error)?;
                }
                Err(error) => {
                    slot.note(Outcome::Rejected);
                    self.failure = Some(error);
                }
            }
        }
    }

    /// Lets the best place fail without calling it. Nothing is counted or held against it: it has done nothing.
    fn mock_failure(&mut self) -> Result<(), ServeError> {
        let target = self.choose()?.target;
        self.settlement.attempts += 1;
        self.before.push(format!("{} (mocked)", target.upstream));
        let error = CallError { upstream: target.upstream.clone(), fault: Fault::mocked() };
        self.failure = Some(ServeError::Call { error: Box::new(error), before: Vec::new() });
        self.entry.tried.push(target);
        Ok(())
    }

    /// Waits for the best place that was not tried yet.
    async fn next_slot(&mut self) -> Result<Slot, Refusal> {
        if self.entry.tried.len() >= LEGS_MAX {
            return Err(Refusal::NoModelNamed);
        }
        self.settlement.phase = Phase::Queued;
        let waiting = Instant::now();
        let ticket = self.ticket.clone();
        let entered =
            self.gateway.dispatcher.enter(self.entry.clone(), &self.snapshot, |id| ticket.set(Some(id))).await;
        self.ticket.set(None);
        self.settlement.queued += waiting.elapsed();
        entered
    }

    /// The place to which the request would go now.
    ///
    /// # Errors
    /// Nobody offers the model, or can do with it what is asked.
    pub(super) fn choose(&self) -> Result<Leg, ServeError> {
        let route = self.gateway.dispatcher.choose(&self.entry, &self.snapshot)?;
        route.legs.into_iter().next().ok_or(ServeError::Refused(Refusal::NoModelNamed))
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
    async fn wait_for_second_round(&mut self, failure: &ServeError) -> bool {
        let ServeError::Call { error, .. } = failure else { return false };
        let Fault::Status { retry_after: Some(wait), .. } = &error.fault else { return false };
        let Ok(wait) = wait.parse().map(Duration::from_secs) else { return false };
        if wait > RETRY_WAIT_MAX {
            return false;
        }
        self.second_round = true;
        self.entry.tried.clear();
        tokio::time::sleep(wait).await;
        true
    }

    async fn call(&mut self, slot: &Slot) -> Result<Reply, ServeError> {
        let leg = &slot.grant().leg;
        self.settlement.attempts += 1;
        self.settlement.phase = Phase::Calling;
        let snapshot = self.snapshot.clone();
        // Metrics name only models that are known, so that clients cannot make up labels.
        self.settlement.goes_to(&leg.target, snapshot.catalogue.info(&leg.target).is_some());
        let Some(upstream) = snapshot.config.upstream(&leg.target.upstream) else {
            let refusal = Refusal::UnknownModel { model: self.ask.model().to_owned(), near: Vec::new() };
            return Err(refusal.into());
        };
        let mut body = self
            .ask
            .outgoing(leg.far, &leg.target.model, upstream.host())
            .map_err(|error: NotSent| ServeError::NotSent { upstream: upstream.name.clone(), error })?;
        if upstream.kind == UpstreamKind::Ollama
            && let Some(tokens) = context::to_ask(&self.entry.wish, snapshot.catalogue.info(&leg.target))
        {
            body = wire::ollama::with_context(body, tokens);
        }
        let is_beta = upstream.kind == UpstreamKind::Anthropic && self.forwarded.beta;
        let path = if is_beta { &format!("{}?beta=true", leg.far.path()) } else { leg.far.path() };
        let outbound = || Outbound {
            path,
            body: Some(body.clone()),
            headers: self.forwarded.headers(&self.request_id, leg.far.dialect()),
            stream: self.ask.stream,
        };
        let called = tokio::select! {
            biased;
            called = self.gateway.clients.call(upstream, outbound) => called,
            () = self.gone(slot) => Err(CallError::new(upstream, Fault::gone())),
        };
        called.map_err(|error| ServeError::Call { error: Box::new(error), before: Vec::new() })
    }

    /// Resolves when the upstream is found to be gone while another place could take over; without one, hope is better
    /// than an error.
    pub(super) async fn gone(&self, slot: &Slot) {
        let mut gone = slot.gone();
        loop {
            if gone.changed().await.is_err() {
                // The owner has taken the upstream out of the config: its calls come to their end.
                std::future::pending::<()>().await;
            }
            let route = self.gateway.dispatcher.choose(&self.entry, &self.snapshot);
            if route.is_ok_and(|route| route.legs.iter().any(|leg| !leg.is_last_resort)) {
                return;
            }
        }
    }

    /// The reason for which the last upstream failed.
    pub(super) fn take_failure(&mut self) -> ServeError {
        self.failure.take().unwrap_or(ServeError::Refused(Refusal::NoModelNamed))
    }

    /// An error of an upstream of this job, which is held against it.
    pub(super) fn call_error(&self, live: &mut Live, fault: Fault) -> CallError {
        let error = match self.snapshot.config.upstream(&live.leg().target.upstream) {
            Some(upstream) => CallError::new(upstream, fault),
            None => CallError { upstream: live.leg().target.upstream.clone(), fault },
        };
        live.slot.note(error.outcome());
        error
    }

    /// The answer is complete: the request is settled, and the place's speed is known better.
    pub(super) fn complete(&mut self, live: &mut Live) {
        let usage = self.settlement.usage;
        let prompt_tokens = usage.input.unwrap_or(self.entry.wish.prompt_tokens);
        let cached_tokens = usage.cached_read.unwrap_or(live.leg().score.warm_tokens);
        live.slot.note(Outcome::Answered(Measured {
            prompt_tokens: prompt_tokens.saturating_sub(cached_tokens),
            output_tokens: usage.output.unwrap_or(self.settlement.pieces.into()),
            first_token: self.settlement.first_piece.map(|first| first.duration_since(live.slot.began())),
            total: live.slot.began().elapsed(),
            was_cold: !live.leg().score.load.is_zero(),
        }));
        self.settlement.complete();
    }
}
