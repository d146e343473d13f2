//! One attempt: the request in the words of a place, and its call.

use std::borrow::Cow;

use bytes::Bytes;
use domain::context;
use domain::refusal::Refusal;
use domain::route::Leg;
use domain::upstream::UpstreamKind;
use hyper::header::HeaderMap;
use wire::exchange::NotSent;

use super::answer_error::ServeError;
use super::hedge::{Hedge, Won};
use super::job::{Job, Live, Waits};
use super::settle::Phase;
use crate::dispatch::Slot;
use crate::upstreams::{CallError, Fault, Outbound, Reply};

/// A request in the words of one place.
pub(super) struct Prepared {
    path: Cow<'static, str>,
    body: Bytes,
    stream: bool,
}

impl Prepared {
    /// To be sent once.
    pub(super) fn outbound(&self, headers: HeaderMap) -> Outbound<'_> {
        Outbound { path: &self.path, body: Some(self.body.clone()), headers, stream: self.stream }
    }
}

impl Job {
    /// Calls a place, and perhaps another one beside it when it is late.
    pub(super) async fn call(&mut self, mut slot: Slot) -> Result<Live, ServeError> {
        let leg = &slot.grant().leg;
        self.settlement.attempt();
        self.settlement.phase = Phase::Calling;
        let snapshot = self.snapshot.clone();
        // Metrics name only models that are known, so that clients cannot make up labels.
        self.settlement.goes_to(&leg.target, snapshot.catalogue.info(&leg.target).is_some());
        if !leg.score.load.is_zero() {
            self.waits.set(Waits::Loads(slot.began() + leg.score.wait + leg.score.load));
        }
        let prepared = self.prepare(leg)?;
        let Some(upstream) = snapshot.config.upstream(&slot.grant().leg.target.upstream) else {
            return Err(self.unknown().into());
        };
        slot.sends();
        self.sends(&upstream.name, &prepared);
        let mut hedge = Hedge::of(&slot);
        let called: Result<Result<Reply, CallError>, Won> = tokio::select! {
            biased;
            called = self.gateway.clients.call(upstream, || prepared.outbound(self.headers(&slot.grant().leg))) => Ok(called),
            () = self.gone(&slot) => Ok(Err(CallError::new(upstream, Fault::gone()))),
            won = hedge.won(self, &slot) => Err(won),
        };
        match called {
            Err(won) => Ok(self.take_over(won)),
            Ok(Ok(reply)) => {
                // An answer in one piece is there when its head is.
                let hedge = if self.ask.stream { hedge } else { Hedge::Over };
                Ok(Live { slot, reply, hedge })
            }
            Ok(Err(error)) => {
                slot.note(error.outcome());
                drop(slot);
                let copied = if error.may_retry() { hedge.rest().await } else { None };
                match copied {
                    Some(won) => {
                        self.gateway.metrics.failed(&error.upstream, error.kind());
                        Ok(self.take_over(won))
                    }
                    None => Err(ServeError::call(error)),
                }
            }
        }
    }

    /// The request in the words of a place.
    pub(super) fn prepare(&self, leg: &Leg) -> Result<Prepared, ServeError> {
        let Some(upstream) = self.snapshot.config.upstream(&leg.target.upstream) else {
            return Err(self.unknown().into());
        };
        let mut body = self
            .ask
            .outgoing(leg.far, &leg.target.model, upstream.host())
            .map_err(|error: NotSent| ServeError::NotSent { upstream: upstream.name.clone(), error })?;
        if upstream.kind == UpstreamKind::Ollama
            && let Some(tokens) = context::to_ask(&self.entry.wish, self.snapshot.catalogue.info(&leg.target))
        {
            body = wire::ollama::with_context(body, tokens);
        }
        let is_beta = upstream.kind == UpstreamKind::Anthropic && self.forwarded.beta;
        let path = leg.far.path();
        let path = if is_beta { format!("{path}?beta=true").into() } else { path.into() };
        Ok(Prepared { path, body, stream: self.ask.stream })
    }

    /// So much goes out to an upstream.
    pub(super) fn sends(&self, upstream: &str, prepared: &Prepared) {
        if let Some(account) = &self.settlement.account {
            account.sends(upstream, prepared.body.len());
        }
    }

    /// The headers for a place.
    pub(super) fn headers(&self, leg: &Leg) -> HeaderMap {
        let upstream = self.snapshot.config.upstream(&leg.target.upstream);
        let is_local = upstream.is_some_and(|upstream| upstream.local);
        self.forwarded.headers(&self.request_id, leg.far.dialect(), is_local)
    }

    /// The config has lost the upstream meanwhile.
    fn unknown(&self) -> Refusal {
        Refusal::UnknownModel { model: self.ask.model().to_owned(), near: Vec::new() }
    }
}
