//! Asks a server what it tells of itself beside its dialect, in one small request.

use std::time::Duration;

use domain::reading::{Engine, Reading};
use domain::upstream::Upstream;
use wire::Malformed;
use wire::readings::{self, LmStudioModel};

use super::call::{CallError, Fault, Outbound};
use super::client::Clients;

/// What a server can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Which engine it is, by its metrics.
    Engine,
    /// llama.cpp's slots.
    Slots,
    /// The models of a llama.cpp in router mode.
    Router,
    /// An engine's metrics.
    Metrics(Engine),
    /// What is in the memory of an Ollama.
    Ollama,
    /// What is in the memory of a llama-swap.
    LlamaSwap,
    /// What is in the memory of an LM Studio from version 0.4 on.
    LmStudio,
    /// The same for older ones.
    LmStudioV0,
}

/// What a server told.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The program that it is.
    pub(crate) engine: Engine,
    pub(crate) reading: Reading,
}

/// Why a server told nothing.
#[derive(Debug)]
pub(crate) enum Untold {
    /// It does not know the question.
    Never,
    /// There was no answer this time.
    NotNow(Box<CallError>),
}

/// Longest answer: an inference server's metrics are some hundred KiB, and slots may hold prompts.
const ANSWER_BYTES_MAX: usize = readings::exposition::TEXT_BYTES_MAX;

impl Question {
    /// What an engine can be asked, the best first.
    pub(crate) const fn of(engine: Engine) -> &'static [Self] {
        match engine {
            // It reports by itself.
            Engine::Airlane => &[],
            // Slots are there unless they were switched off or it is a router, metrics only if they were switched on.
            Engine::LlamaCpp => &[Self::Slots, Self::Router, Self::Metrics(Engine::LlamaCpp)],
            Engine::LlamaSwap => &[Self::LlamaSwap],
            Engine::LmStudio => &[Self::LmStudio, Self::LmStudioV0],
            Engine::Ollama => &[Self::Ollama],
            Engine::Sglang => &[Self::Metrics(Engine::Sglang)],
            Engine::Vllm => &[Self::Metrics(Engine::Vllm)],
        }
    }

    /// Whether the answer shows that the server is well. llama.cpp answers between two pieces of work, which may take
    /// long without any harm, and the metrics of a busy engine may be slow to gather: these tell of their health at once
    /// elsewhere.
    pub(crate) const fn is_sign_of_life(self) -> bool {
        match self {
            Self::Router | Self::Ollama | Self::LlamaSwap | Self::LmStudio | Self::LmStudioV0 => true,
            Self::Engine | Self::Slots | Self::Metrics(_) => false,
        }
    }

    /// Whether it is about requests, which come and go faster than models do.
    pub(crate) const fn is_about_requests(self) -> bool {
        matches!(self, Self::Slots | Self::Metrics(_) | Self::LlamaSwap)
    }

    /// How long a server is left in peace after it answered. A llama.cpp that works on an answer in one piece notices
    /// within a second that its client has left, but begins that second anew with each question.
    pub(crate) const fn rest(self) -> Duration {
        match self {
            Self::Slots | Self::Metrics(Engine::LlamaCpp) => Duration::from_millis(2_500),
            Self::Engine
            | Self::Router
            | Self::Metrics(_)
            | Self::Ollama
            | Self::LlamaSwap
            | Self::LmStudio
            | Self::LmStudioV0 => Duration::ZERO,
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Engine | Self::Metrics(_) => "/metrics",
            Self::Slots => "/slots",
            Self::Router => "/models",
            Self::Ollama => "/api/ps",
            Self::LlamaSwap => "/running",
            Self::LmStudio => "/api/v1/models",
            Self::LmStudioV0 => "/api/v0/models",
        }
    }

    /// `None` for an answer to another question.
    fn decode(self, body: &[u8]) -> Option<Answered> {
        let known = |engine, read: Result<Reading, Malformed>| Some(Answered { engine, reading: read.ok()? });
        match self {
            Self::Engine => {
                let engine = readings::engine(body)?;
                Some(Answered { engine, reading: readings::metrics(engine, body)? })
            }
            Self::Metrics(engine) => Some(Answered { engine, reading: readings::metrics(engine, body)? }),
            Self::Slots => known(Engine::LlamaCpp, readings::slots(body)),
            Self::Router => known(Engine::LlamaCpp, readings::llama_router(body)),
            Self::Ollama => known(Engine::Ollama, readings::ollama(body)),
            Self::LlamaSwap => known(Engine::LlamaSwap, readings::llama_swap(body)),
            Self::LmStudio | Self::LmStudioV0 => {
                known(Engine::LmStudio, readings::lm_studio(body).map(|(_, reading)| reading))
            }
        }
    }
}

impl Clients {
    /// Asks a server.
    ///
    /// # Errors
    /// It does not know the question, or does not answer within `limit`.
    pub(crate) async fn ask(
        &self,
        upstream: &Upstream,
        question: Question,
        limit: Duration,
    ) -> Result<Answered, Untold> {
        let body =
            self.small(&upstream.root(), question.path(), limit).await.map_err(|fault| untold(upstream, fault))?;
        question.decode(&body).ok_or(Untold::Never)
    }

    /// LM Studio's own list of its models, which tells more than the one that it has in common with others.
    pub(super) async fn lm_studio_models(&self, upstream: &Upstream, limit: Duration) -> Vec<LmStudioModel> {
        for question in Question::of(Engine::LmStudio) {
            let Ok(body) = self.small(&upstream.root(), question.path(), limit).await else { continue };
            if let Ok((models, _)) = readings::lm_studio(&body) {
                return models;
            }
        }
        Vec::new()
    }

    /// The metrics of a program beside the server that reads its GPUs.
    ///
    /// # Errors
    /// It does not answer within `limit`.
    pub(crate) async fn metrics_of(&self, exporter: &Upstream, limit: Duration) -> Result<bytes::Bytes, CallError> {
        self.small(exporter, "", limit).await.map_err(|fault| CallError::new(exporter, fault))
    }

    async fn small(&self, root: &Upstream, path: &str, limit: Duration) -> Result<bytes::Bytes, Fault> {
        let outbound = || Outbound { path, ..Outbound::default() };
        let answer = async {
            let mut reply = self.call(root, outbound).await.map_err(|error| error.fault)?;
            reply.body.collect(ANSWER_BYTES_MAX).await
        };
        let waited = tokio::time::timeout(limit, answer).await;
        waited.unwrap_or(Err(Fault::Timeout { waiting_for: "word of itself", waited: limit }))
    }
}

fn untold(upstream: &Upstream, fault: Fault) -> Untold {
    match fault {
        // Too early, or too often.
        fault @ Fault::Status { status: 408 | 425 | 429, .. } => {
            Untold::NotNow(Box::new(CallError::new(upstream, fault)))
        }
        Fault::Status { status: 400..=499 | 501, .. } | Fault::NotAnAnswer(_) | Fault::Reported(_) => Untold::Never,
        fault @ (Fault::Status { .. } | Fault::Connect(_) | Fault::Timeout { .. } | Fault::Broken(_)) => {
            Untold::NotNow(Box::new(CallError::new(upstream, fault)))
        }
    }
}
