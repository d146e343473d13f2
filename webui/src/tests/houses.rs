//! Houses to look at: empty, busy and on fire.

use std::time::Duration;

use crate::{ModelRow, Overview, UpstreamRow, UpstreamState};

/// Right after the installation: nobody to answer.
pub(crate) fn empty() -> Overview {
    Overview {
        version: "0.1.0".to_owned(),
        uptime: Duration::from_secs(42),
        base_urls: vec!["http://192.168.1.1:8484".to_owned()],
        revision: 1,
        ..Overview::default()
    }
}

/// A good day with many models.
pub(crate) fn busy() -> Overview {
    let mut models = vec![
        model("fast", "airlane", Some(40_960), Some(true)),
        model("all-minilm:latest", "ollama", Some(512), Some(false)),
        model("claude-sonnet-4-5-20250929", "anthropic", Some(200_000), Some(true)),
        model("hf.co/unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF:Q4_K_M", "ollama", Some(262_144), Some(true)),
    ];
    models.extend((1..=15).map(|size| model(&format!("qwen3-{size}b"), "gpu-box", Some(131_072), None)));
    Overview {
        version: "0.1.0".to_owned(),
        uptime: Duration::from_secs(273_600),
        base_urls: vec!["http://192.168.1.1:8484".to_owned(), "http://[fd00::1]:8484/".to_owned()],
        upstreams: vec![
            upstream("gpu-box", "openai", "http://192.168.1.20:8000", UpstreamState::Answers { models: 15 }),
            upstream("ollama", "ollama", "http://127.0.0.1:11434", UpstreamState::Answers { models: 2 }),
            upstream("anthropic", "anthropic", "https://api.anthropic.com", UpstreamState::Answers { models: 1 }),
        ],
        models,
        in_flight: 37,
        waiting: 4,
        revision: 12,
        ..Overview::default()
    }
}

/// A bad day: silence, a refused config and a restart that waits.
pub(crate) fn on_fire() -> Overview {
    let refused = "connection refused (os error 111)".to_owned();
    let key = "answered 401 to /v1/models: the key was not accepted".to_owned();
    Overview {
        version: "0.1.0".to_owned(),
        uptime: Duration::from_secs(7_380),
        base_urls: vec!["http://192.168.1.1:8484".to_owned()],
        upstreams: vec![
            upstream("gpu-box", "openai", "http://192.168.1.20:8000", UpstreamState::Silent { reason: refused }),
            upstream("openrouter", "openai", "https://openrouter.ai", UpstreamState::Silent { reason: key }),
            upstream("ollama", "ollama", "http://127.0.0.1:11434", UpstreamState::Answers { models: 0 }),
            upstream("attic", "ollama", "http://192.168.1.31:11434", UpstreamState::Asking),
            upstream("echo", "loopback", "built in", UpstreamState::Answers { models: 1 }),
        ],
        models: vec![model("echo/loopback", "echo", None, Some(true))],
        in_flight: 0,
        waiting: 1_024,
        revision: 3,
        config_problem: Some(
            "line 14: upstream[1].url: “htp://x” has no scheme that Airlane knows; write http:// or https://\n\
             line 22: alias[0].models: “gpu-bx/qwen3” names no upstream\n"
                .to_owned(),
        ),
        restart_needed: vec!["endpoint.listen".to_owned(), "data.dir".to_owned()],
    }
}

/// Every text in it was chosen by someone who wants to get out of its place.
pub(crate) fn hostile() -> Overview {
    let text = "<script>alert(1)</script>\"'&{{ 7*7 }}".to_owned();
    Overview {
        version: text.clone(),
        base_urls: vec![text.clone(), text.clone()],
        upstreams: vec![
            upstream(&text, &text, &text, UpstreamState::Silent { reason: text.clone() }),
            upstream(&text, &text, &text, UpstreamState::Answers { models: 1 }),
        ],
        models: vec![model(&text, &text, None, None)],
        config_problem: Some(text.clone()),
        restart_needed: vec![text],
        ..Overview::default()
    }
}

fn upstream(name: &str, kind: &str, origin: &str, state: UpstreamState) -> UpstreamRow {
    UpstreamRow { name: name.to_owned(), kind: kind.to_owned(), where_: origin.to_owned(), state }
}

fn model(id: &str, upstream: &str, context_tokens: Option<u64>, chat: Option<bool>) -> ModelRow {
    ModelRow { id: id.to_owned(), upstream: upstream.to_owned(), context_tokens, chat }
}
