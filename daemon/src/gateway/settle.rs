//! The end of every request, also of one whose client left: counted and logged exactly once, on drop.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::catalogue::Target;
use domain::surface::Surface;
use domain::usage::Usage;
use tracing::info;

use super::account::{Account, Course};
use super::quota::{self, Quotas, Told};
use crate::metrics::{AtUpstream, Ended, Metrics};

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for a place.
    Queued,
    /// Waits for an upstream's status line.
    Calling,
    /// The upstream has accepted; nothing to see yet.
    Prefill,
    /// The answer comes.
    Answering,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Calling => "calling",
            Self::Prefill => "prefill",
            Self::Answering => "answering",
        }
    }
}

/// What is known of a request so far. Dropping it settles.
pub(super) struct Settlement {
    metrics: Arc<Metrics>,
    request_id: Rc<str>,
    pub(super) surface: Surface,
    pub(super) stream: bool,
    started: Instant,
    pub(super) phase: Phase,
    pub(super) attempts: Cell<u32>,
    /// Where it went last.
    target: Option<Target>,
    /// The catalogue knows the model.
    is_listed: bool,
    at_upstream: Option<AtUpstream>,
    pub(super) queued: Duration,
    pub(super) usage: Usage,
    pub(super) first_piece: Option<Instant>,
    last_piece: Option<Instant>,
    pub(super) pieces: u32,
    /// How it met the kept answers.
    pub(super) cache: Option<&'static str>,
    outcome: Option<&'static str>,
    /// Nothing before it is known who asks.
    pub(super) account: Option<Box<Account>>,
    /// Where limits or budgets hold for it: its leave.
    pub(super) quotas: Option<Box<Quotas>>,
}

impl Settlement {
    pub(super) fn new(metrics: Arc<Metrics>, request_id: Rc<str>, surface: Surface, started: Instant) -> Self {
        Self {
            metrics,
            request_id,
            surface,
            stream: false,
            started,
            phase: Phase::Queued,
            attempts: Cell::new(0),
            target: None,
            is_listed: false,
            at_upstream: None,
            queued: Duration::ZERO,
            usage: Usage::default(),
            first_piece: None,
            last_piece: None,
            pieces: 0,
            cache: None,
            outcome: None,
            account: None,
            quotas: None,
        }
    }

    /// What its answer tells of limits.
    pub(super) fn told(&self) -> Option<Told> {
        self.quotas.as_ref().map(|quotas| quotas.told.clone())
    }

    /// When the request came.
    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    /// Time since the request came.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// It goes there, and stays until it goes elsewhere or ends. A model that is not `listed` is counted as `other`.
    pub(super) fn goes_to(&mut self, target: &Target, listed: bool) {
        (self.target, self.is_listed) = (Some(target.clone()), listed);
        self.at_upstream = Some(self.metrics.at_upstream(&target.upstream));
    }

    /// Upstream and model, as they are counted.
    fn labels(&self) -> (&str, &str) {
        match &self.target {
            Some(target) if self.is_listed => (&target.upstream, &target.model),
            Some(target) => (&target.upstream, "other"),
            None => ("", ""),
        }
    }

    /// One more place gets it.
    pub(super) fn attempt(&self) {
        self.attempts.set(self.attempts.get().saturating_add(1));
    }

    /// Another place that has it answers it.
    pub(super) fn moves_to(&mut self, target: &Target, listed: bool, at: AtUpstream) {
        (self.target, self.is_listed) = (Some(target.clone()), listed);
        self.at_upstream = Some(at);
    }

    /// Visible pieces went to the client.
    pub(super) fn saw(&mut self, pieces: u32) {
        if pieces > 0 {
            let now = Instant::now();
            self.first_piece.get_or_insert(now);
            self.last_piece = Some(now);
            self.pieces = self.pieces.saturating_add(pieces);
            self.phase = Phase::Answering;
        }
    }

    /// Whether the client has seen something of the answer.
    pub(super) const fn is_visible(&self) -> bool {
        self.first_piece.is_some()
    }

    /// The answer is complete.
    pub(super) const fn complete(&mut self) {
        self.outcome = Some("ok");
    }

    /// The request failed for this reason.
    pub(super) const fn fail(&mut self, kind: &'static str) {
        self.outcome = Some(kind);
    }

    fn between_pieces(&self) -> Option<Duration> {
        let (first, last) = (self.first_piece?, self.last_piece?);
        let gaps = self.pieces.checked_sub(1).filter(|gaps| *gaps > 0)?;
        Some(last.duration_since(first) / gaps)
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        let outcome = self.outcome.unwrap_or("cancelled");
        if self.outcome.is_none() {
            self.metrics.cancelled(self.phase.name());
        }
        let (account, quotas) = (self.account.take(), self.quotas.take());
        let (upstream, model) = self.labels();
        let total = self.elapsed();
        let first_token = self.first_piece.map(|first| first.duration_since(self.started));
        self.metrics.ended(&Ended {
            surface: self.surface.path(),
            upstream,
            model,
            outcome,
            total,
            first_token,
            between_tokens: self.between_pieces(),
            usage: self.usage,
            cache: self.cache,
        });
        if let Some(account) = account {
            let used = account.close(&Course {
                surface: self.surface,
                target: self.target.as_ref(),
                outcome,
                cache: self.cache,
                phase: self.phase,
                usage: self.usage,
                pieces: self.pieces,
                queued: self.queued,
                first_token,
                total,
            });
            if let Some(quotas) = quotas {
                quota::settle(*quotas, used.tokens, used.cost_micro_usd, used.unix_s);
            }
        }
        info!(
            request.id = %self.request_id,
            path = self.surface.path(),
            stream = self.stream,
            upstream,
            model,
            outcome,
            cache = self.cache,
            phase = self.phase.name(),
            attempts = self.attempts.get(),
            input_tokens = self.usage.input,
            output_tokens = self.usage.output,
            queue_ms = millis(self.queued),
            first_token_ms = first_token.map(millis),
            duration_ms = millis(total),
            "request ended"
        );
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
