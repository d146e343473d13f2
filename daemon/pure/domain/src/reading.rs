//! What a model server tells of itself: the requests that it works on, its memory, and the models that it holds.
//!
//! A value that a server does not tell is absent, never zero.

use crate::upstream::UpstreamKind;

/// The programs that tell something, each in words of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Airlane, on a node of ours.
    Airlane,
    /// llama.cpp's server.
    LlamaCpp,
    /// llama-swap: starts one of several servers for the model that is asked for.
    LlamaSwap,
    /// LM Studio.
    LmStudio,
    /// Ollama.
    Ollama,
    /// SGLang.
    Sglang,
    /// vLLM.
    Vllm,
}

impl Engine {
    /// What an upstream is, by what it speaks and by the owner that it names for its models in `/v1/models`.
    #[must_use]
    pub fn of<'a>(kind: UpstreamKind, mut owners: impl Iterator<Item = &'a str>) -> Option<Self> {
        match kind {
            UpstreamKind::Ollama => Some(Self::Ollama),
            UpstreamKind::Anthropic | UpstreamKind::Loopback => None,
            UpstreamKind::Openai => owners.find_map(|owner| match owner {
                "llamacpp" => Some(Self::LlamaCpp),
                "llama-swap" => Some(Self::LlamaSwap),
                "organization_owner" => Some(Self::LmStudio),
                "sglang" => Some(Self::Sglang),
                "vllm" => Some(Self::Vllm),
                _ => None,
            }),
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Airlane => "Airlane",
            Self::LlamaCpp => "llama.cpp",
            Self::LlamaSwap => "llama-swap",
            Self::LmStudio => "LM Studio",
            Self::Ollama => "Ollama",
            Self::Sglang => "SGLang",
            Self::Vllm => "vLLM",
        }
    }
}

/// What a server told at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The requests that it works on, for the whole server or for each model.
    pub loads: Vec<Load>,
    /// The models of which it tells whether they are in memory; those that it leaves out are not. `None` where it
    /// tells nothing of the kind.
    pub models: Option<Vec<ModelState>>,
}

/// The requests of a server, ours and those of others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Load {
    /// The model that they are for; `None` for the whole server.
    pub model: Option<String>,
    /// Requests that it works on.
    pub running: u32,
    /// Requests that wait inside it.
    pub waiting: Option<u32>,
    /// Requests that it works on at once.
    pub slots: Option<u32>,
    /// How much of its key-value cache its requests hold, in percent; what it only keeps for later does not count.
    pub kv_used_percent: Option<u8>,
    /// Tokens that it generates a second, for all requests together.
    pub tokens_per_s: Option<f64>,
}

/// A model of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelState {
    /// Its id there.
    pub model: String,
    /// Where it is.
    pub memory: InMemory,
    /// How much of it lies in the machine's memory instead of the card's, in percent: it is slow then.
    pub on_cpu_percent: Option<u8>,
}

/// Whether a model is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InMemory {
    /// It is.
    Yes,
    /// It is being loaded.
    Loading,
    /// It is not, or is just being thrown out.
    No,
}

/// Most requests of a server that are believed.
const REQUESTS_MAX: u32 = 10_000;
/// From this share of its key-value cache on a server has no room, in percent: engines stop to admit before they are
/// quite full, and throw requests out to make room for others when they are.
pub const KV_FULL_PERCENT: u8 = 95;

impl Load {
    /// All requests, running or waiting.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.running.saturating_add(self.waiting.unwrap_or(0)).min(REQUESTS_MAX)
    }
}

/// Requests at a server that did not come from us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Others {
    /// Those that it works on.
    pub running: u32,
    /// Those that wait inside it.
    pub waiting: u32,
}

/// How many of our own requests a server may have counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OursThen {
    /// Those that it must have counted: they were there before it was asked, and still are.
    pub least: u32,
    /// With those that had just come or gone.
    pub most: u32,
}

impl Others {
    /// All of them.
    #[must_use]
    pub const fn requests(self) -> u32 {
        self.running.saturating_add(self.waiting)
    }

    /// What of a load is not ours. The load was counted a moment ago, and requests of ours come and go meanwhile: what
    /// was known before holds as long as that can explain the difference.
    #[must_use]
    pub fn of(load: &Load, ours: OursThen, before: Self) -> Self {
        let all = load.requests();
        let (least, most) = (all.saturating_sub(ours.most), all.saturating_sub(ours.least));
        let requests = before.requests().clamp(least.min(most), most);
        // Engines serve in order of coming, so those that wait are taken to be theirs as well as ours.
        let waiting = load.waiting.unwrap_or(0).min(requests);
        Self { running: requests - waiting, waiting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn engines_are_known_by_what_they_call_themselves() {
        for (kind, owners, want) in [
            (UpstreamKind::Openai, &["vllm"][..], Some(Engine::Vllm)),
            (UpstreamKind::Openai, &["me", "llamacpp"], Some(Engine::LlamaCpp)),
            (UpstreamKind::Openai, &["llama-swap"], Some(Engine::LlamaSwap)),
            (UpstreamKind::Openai, &["organization_owner"], Some(Engine::LmStudio)),
            (UpstreamKind::Openai, &["sglang"], Some(Engine::Sglang)),
            (UpstreamKind::Openai, &["openai"], None),
            (UpstreamKind::Ollama, &[], Some(Engine::Ollama)),
            (UpstreamKind::Anthropic, &["vllm"], None),
        ] {
            assert_eq!(Engine::of(kind, owners.iter().copied()), want, "{owners:?}");
        }
    }

    #[test]
    fn what_is_not_ours_is_of_others() {
        let load = |running, waiting| Load { running, waiting, ..Load::default() };
        let ours = |least, most| OursThen { least, most };
        let others = |running, waiting| Others { running, waiting };
        for (told, ours, before, want, case) in [
            (load(0, None), ours(0, 0), others(0, 0), others(0, 0), "nobody"),
            (load(2, None), ours(0, 0), others(0, 0), others(2, 0), "two of others"),
            (load(3, None), ours(1, 1), others(0, 0), others(2, 0), "two besides ours"),
            (load(1, None), ours(0, 1), others(0, 0), others(0, 0), "ours has just come"),
            (load(0, None), ours(0, 1), others(0, 0), others(0, 0), "ours is not there yet"),
            (load(2, None), ours(0, 1), others(2, 0), others(2, 0), "ours is not there yet, the others still are"),
            (load(2, None), ours(0, 1), others(0, 0), others(1, 0), "one at least is not ours"),
            (load(4, Some(3)), ours(4, 4), others(0, 0), others(0, 3), "waiting besides ours"),
            (load(0, None), ours(2, 2), others(5, 0), others(0, 0), "an engine that forgets ours"),
            (load(1, None), ours(1, 1), others(3, 1), others(0, 0), "the others have gone"),
            (load(u32::MAX, Some(u32::MAX)), ours(0, 0), others(0, 0), others(0, 10_000), "nonsense is bounded"),
        ] {
            assert_eq!(Others::of(&told, ours, before), want, "{case}");
        }
    }

    proptest! {
        #[test]
        fn ours_alone_are_never_taken_for_others(least in 0_u32..50, extra in 0_u32..50, seen in 0_u32..50) {
            // Whatever part of those that came or went it counted.
            let running = least + seen.min(extra);
            let load = Load { running, ..Load::default() };
            let ours = OursThen { least, most: least + extra };
            prop_assert_eq!(Others::of(&load, ours, Others::default()), Others::default());
        }

        #[test]
        fn no_more_are_of_others_than_there_are(running: u32, waiting: Option<u32>, least: u32, extra: u32, before: (u32, u32)) {
            let load = Load { running, waiting, ..Load::default() };
            let ours = OursThen { least, most: least.saturating_add(extra) };
            let others = Others::of(&load, ours, Others { running: before.0, waiting: before.1 });
            prop_assert!(others.requests() <= load.requests());
        }
    }
}
