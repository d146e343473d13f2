//! The second copy of a request that is late: whichever place shows something first answers it, and the other one is left.
//! Where answers come in one piece, the head of the response shows that it is there.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use domain::surface::Dialect;
use hyper::header::HeaderMap;
use tokio::time::Instant;
use tracing::debug;
use wire::exchange::Transcoder;

use super::Gateway;
use super::attempt::Prepared;
use super::job::{Job, Live};
use crate::dispatch::Slot;
use crate::live::Snapshot;
use crate::metrics::AtUpstream;
use crate::upstreams::{CallError, Fault, Reply};

/// What is done about a first token that does not come.
#[derive(Default)]
pub(super) enum Hedge {
    /// Nothing, or nothing more.
    #[default]
    Over,
    /// At this time a second copy is sent, if there is an idle place.
    Due(Instant),
    /// It is there.
    Sent(Pin<Box<dyn Future<Output = Option<Won>>>>),
}

/// A second copy that has something to show.
pub(super) struct Won {
    pub(super) live: Live,
    pub(super) at: AtUpstream,
}

/// Most bytes of a second copy that are kept while none of them can be seen.
const HELD_BYTES_MAX: usize = 1024 * 1024;

impl Hedge {
    /// For a call that begins now.
    pub(super) fn of(slot: &Slot) -> Self {
        slot.grant().hedge_after.map_or(Self::Over, |after| Self::Due(Instant::now() + after))
    }

    /// Resolves when the second copy has something to show; never where there is none. Safe to drop and call again.
    pub(super) async fn won(&mut self, job: &Job, first: &Slot) -> Won {
        loop {
            *self = match self {
                Self::Over => std::future::pending().await,
                Self::Due(at) => {
                    tokio::time::sleep_until(*at).await;
                    job.second_copy(first)
                }
                Self::Sent(copy) => {
                    let won = copy.await;
                    *self = Self::Over;
                    match won {
                        Some(won) => return won,
                        None => continue,
                    }
                }
            };
        }
    }

    /// The first place has failed: what the second copy comes to, if there is one.
    pub(super) async fn rest(self) -> Option<Won> {
        if let Self::Sent(copy) = self { copy.await } else { None }
    }
}

impl Job {
    /// Sends the second copy, if there is an idle place.
    fn second_copy(&self, first: &Slot) -> Hedge {
        let Some(slot) = self.gateway.dispatcher.hedge(&self.entry, first, &self.snapshot) else {
            return Hedge::Over;
        };
        let leg = &slot.grant().leg;
        debug!(request.id = %self.request_id, upstream = %leg.target.upstream, "late: a second copy is sent");
        self.copied.replace(Some(leg.target.clone()));
        let Ok(prepared) = self.prepare(leg) else { return Hedge::Over };
        self.settlement.attempt();
        self.sends(&leg.target.upstream, &prepared);
        let transcoder = self.ask.stream.then(|| Transcoder::new(&self.ask, leg.far, self.context.clone()));
        let sent = (prepared, self.headers(leg));
        Hedge::Sent(Box::pin(copy(self.gateway.clone(), self.snapshot.clone(), slot, sent, transcoder)))
    }

    /// The second copy answers. The first call is dropped by the caller, which ends it.
    pub(super) fn take_over(&mut self, won: Won) -> Live {
        let Won { live, at } = won;
        self.gateway.dispatcher.hedge_won(&self.entry, &live.slot);
        let target = &live.leg().target;
        self.settlement.moves_to(target, self.snapshot.catalogue.info(target).is_some(), at);
        live
    }
}

/// Calls a place and waits until it has something to show; `None` if it fails.
async fn copy(
    gateway: Rc<Gateway>,
    snapshot: Arc<Snapshot>,
    mut slot: Slot,
    (prepared, headers): (Prepared, HeaderMap),
    transcoder: Option<Transcoder>,
) -> Option<Won> {
    let upstream = snapshot.config.upstream(&slot.grant().leg.target.upstream)?;
    let at = gateway.metrics.at_upstream(&upstream.name);
    slot.sends();
    let mut is_gone = slot.gone();
    let shown = async {
        let mut reply = gateway.clients.call(upstream, || prepared.outbound(headers.clone())).await?;
        if let Some(transcoder) = transcoder
            && (reply.is_stream || slot.grant().leg.far.dialect() == Dialect::Ollama)
        {
            first_visible(&mut reply, transcoder).await.map_err(|fault| CallError::new(upstream, fault))?;
        }
        Ok(reply)
    };
    let shown = tokio::select! {
        biased;
        shown = shown => shown,
        Ok(()) = is_gone.changed() => Err(CallError::new(upstream, Fault::gone())),
    };
    match shown {
        Ok(reply) => Some(Won { live: Live { slot, reply, hedge: Hedge::Over }, at }),
        Err(error) => {
            gateway.metrics.failed(&error.upstream, error.kind());
            slot.note(error.outcome());
            None
        }
    }
}

/// Reads until there is something to see, and gives it back to be read again.
async fn first_visible(reply: &mut Reply, mut transcoder: Transcoder) -> Result<(), Fault> {
    let (mut chunks, mut bytes) = (VecDeque::new(), 0);
    loop {
        let Some(chunk) = reply.body.chunk().await? else {
            return Err(Fault::Broken("the stream ended before the answer was complete".to_owned()));
        };
        let step = transcoder.feed(&chunk, std::time::Duration::ZERO);
        let step = step.map_err(|malformed| Fault::NotAnAnswer(malformed.to_string()))?;
        if let Some(failure) = step.failure {
            return Err(Fault::Reported(failure));
        }
        bytes += chunk.len();
        chunks.push_back(chunk);
        if step.visible > 0 || transcoder.is_done() {
            reply.body.give_back(chunks);
            return Ok(());
        }
        if bytes > HELD_BYTES_MAX {
            return Err(Fault::NotAnAnswer(format!("it said nothing in {HELD_BYTES_MAX} bytes")));
        }
    }
}
