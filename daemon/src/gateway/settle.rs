//! The end of every request, also of one whose client left: counted and logged exactly once, on drop.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::surface::Surface;
use domain::usage::Usage;
use tracing::info;

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
    request_id: String,
    surface: Surface,
    pub(super) stream: bool,
    started: Instant,
    pub(super) phase: Phase,
    pub(super) attempts: Cell<u32>,
    /// Where it went last.
    pub(super) upstream: String,
    at_upstream: Option<AtUpstream>,
    /// The upstream's model, or `other` when the catalogue does not know it.
    pub(super) model: String,
    pub(super) queued: Duration,
    pub(super) usage: Usage,
    pub(super) first_piece: Option<Instant>,
    last_piece: Option<Instant>,
    pub(super) pieces: u32,
    outcome: Option<&'static str>,
}

impl Settlement {
    pub(super) fn new(metrics: Arc<Metrics>, request_id: &str, surface: Surface, started: Instant) -> Self {
        Self {
            metrics,
            request_id: request_id.to_owned(),
            surface,
            stream: false,
            started,
            phase: Phase::Queued,
            attempts: Cell::new(0),
            upstream: String::new(),
            at_upstream: None,
            model: String::new(),
            queued: Duration::ZERO,
            usage: Usage::default(),
            first_piece: None,
            last_piece: None,
            pieces: 0,
            outcome: None,
        }
    }

    /// Time since the request came.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// It goes to this upstream, and is there until it goes to another or ends.
    pub(super) fn goes_to(&mut self, upstream: &str) {
        upstream.clone_into(&mut self.upstream);
        self.at_upstream = Some(self.metrics.at_upstream(upstream));
    }

    /// One more place gets it.
    pub(super) fn attempt(&self) {
        self.attempts.set(self.attempts.get().saturating_add(1));
    }

    /// Another place that has it answers it.
    pub(super) fn moves_to(&mut self, upstream: &str, at: AtUpstream) {
        upstream.clone_into(&mut self.upstream);
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
        let total = self.elapsed();
        let first_token = self.first_piece.map(|first| first.duration_since(self.started));
        self.metrics.ended(&Ended {
            surface: self.surface.path(),
            upstream: &self.upstream,
            model: &self.model,
            outcome,
            total,
            first_token,
            between_tokens: self.between_pieces(),
            usage: self.usage,
        });
        info!(
            request.id = %self.request_id,
            path = self.surface.path(),
            stream = self.stream,
            upstream = %self.upstream,
            model = %self.model,
            outcome,
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
