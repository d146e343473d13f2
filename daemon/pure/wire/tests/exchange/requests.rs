//! Golden pairs of requests: a client's body, and what each kind of upstream is sent.

use std::fmt::Write;

use domain::surface::{Surface, Task};
use wire::exchange::Ask;

use crate::asks::{assert_golden, fixtures, pretty, read};

/// Where a request may go: the upstream's host, and the surface it is called on.
fn ways(ask: &Ask) -> Vec<(&'static str, Surface)> {
    match ask.near.task() {
        Task::Chat => vec![
            ("api.openai.com", Surface::OpenaiChat),
            ("openrouter.ai", Surface::OpenaiChat),
            ("192.168.1.20", Surface::OpenaiChat),
            ("api.anthropic.com", Surface::AnthropicMessages),
            ("192.168.1.21", if ask.near == Surface::OllamaGenerate { ask.near } else { Surface::OllamaChat }),
        ],
        Task::Completion => {
            vec![("192.168.1.20", Surface::OpenaiCompletions), ("192.168.1.21", Surface::OllamaGenerateRaw)]
        }
        Task::Embedding => vec![("192.168.1.20", Surface::OpenaiEmbeddings), ("192.168.1.21", Surface::OllamaEmbed)],
        Task::TokenCount => vec![("api.anthropic.com", Surface::AnthropicCountTokens)],
    }
}

fn model(far: Surface) -> &'static str {
    if far == Surface::AnthropicMessages { "claude-sonnet-4-5" } else { "up" }
}

#[test]
fn every_request_to_every_upstream() {
    let fixtures = fixtures!("requests", ".json":
        OpenaiChat "openai_chat.minimal",
        OpenaiChat "openai_chat.agent",
        OpenaiChat "openai_chat.sampling",
        OpenaiChat "openai_chat.local_server",
        OpenaiChat "openai_chat.thinking",
        OpenaiCompletions "openai_completions.gap",
        OpenaiCompletions "openai_completions.many",
        OpenaiCompletions "openai_completions.raw",
        OpenaiEmbeddings "openai_embeddings.sdk",
        OpenaiResponses "openai_responses.minimal",
        OpenaiResponses "openai_responses.agent",
        AnthropicMessages "anthropic_messages.minimal",
        AnthropicMessages "anthropic_messages.agent",
        AnthropicMessages "anthropic_messages.forced",
        OllamaChat "ollama_chat.minimal",
        OllamaChat "ollama_chat.agent",
        OllamaChat "ollama_chat.sampling",
        OllamaGenerate "ollama_generate.picture",
        OllamaGenerate "ollama_generate.raw",
        OllamaEmbed "ollama_embed.many",
        OllamaEmbeddings "ollama_embeddings.one",
    );
    for (near, name, body) in fixtures {
        let ask = read(near, body);
        let mut text = String::new();
        for (host, far) in ways(&ask) {
            writeln!(text, "── {host}{}", far.path()).unwrap();
            match ask.outgoing(far, model(far), host) {
                Ok(body) => writeln!(text, "{}", pretty(&body)).unwrap(),
                Err(error) => writeln!(text, "not sent: {error}").unwrap(),
            }
        }
        assert_golden!("requests", name, text);
    }
}
