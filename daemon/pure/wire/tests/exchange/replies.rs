//! Golden pairs of whole answers: an upstream's body, and what a client of each surface gets.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use domain::surface::{Surface, Task};
use wire::exchange::{answer, whole_as_stream};

use crate::asks::{CHAT, COMPLETION, EMBEDDING, ask, assert_golden, context, fixtures, pretty};

const ELAPSED: Duration = Duration::from_millis(1_500);

fn nears(far: Surface) -> &'static [Surface] {
    match far.task() {
        Task::Chat if far == Surface::OpenaiResponses => &[Surface::OpenaiResponses],
        Task::Chat => &CHAT,
        Task::Completion => &COMPLETION,
        Task::Embedding => &EMBEDDING,
        Task::TokenCount => &[],
    }
}

fn answers() -> [(Surface, &'static str, &'static str); 18] {
    fixtures!("replies", ".json":
        OpenaiChat "openai_chat.text",
        OpenaiChat "openai_chat.agent",
        OpenaiChat "openai_chat.llamacpp_cut",
        OpenaiChat "openai_chat.stop_text",
        OpenaiChat "openai_chat.filtered",
        OpenaiCompletions "openai_completions.text",
        OpenaiEmbeddings "openai_embeddings.floats",
        OpenaiResponses "openai_responses.text",
        AnthropicMessages "anthropic_messages.stop_text",
        AnthropicMessages "anthropic_messages.agent",
        AnthropicMessages "anthropic_messages.cut",
        AnthropicMessages "anthropic_messages.refused",
        OllamaChat "ollama_chat.text",
        OllamaChat "ollama_chat.agent",
        OllamaChat "ollama_chat.cut",
        OllamaGenerateRaw "ollama_generate.raw",
        OllamaEmbed "ollama_embed.many",
        OllamaEmbeddings "ollama_embeddings.one",
    )
}

#[test]
fn every_answer_for_every_client() {
    for (far, name, body) in answers() {
        let body = Bytes::from_static(body.as_bytes());
        let mut text = String::new();
        for near in nears(far) {
            let answer = answer(&ask(*near, false), far, &body, &context(false), ELAPSED).unwrap();
            writeln!(text, "── {near:?}\n{}", pretty(&answer.body)).unwrap();
            if near == nears(far).last().unwrap() {
                writeln!(text, "── {:?}", answer.usage).unwrap();
            }
        }
        assert_golden!("replies", name, text);
    }
}

#[test]
fn a_whole_answer_for_a_client_that_wants_pieces() {
    let (far, _, body) = answers()[1];
    let mut text = String::new();
    for near in CHAT {
        let ask = ask(near, true);
        let body = Bytes::from_static(body.as_bytes());
        let (preamble, stream) = whole_as_stream(&ask, far, &body, context(true), ELAPSED).unwrap();
        let begins = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            [r#""delta":{"role""#, "response.created", "message_start"].iter().any(|mark| text.contains(mark))
        };
        assert!(!begins(&stream.body) && (begins(&preamble) || preamble.is_empty()), "{near:?}");
        writeln!(text, "── {near:?}\n{}", String::from_utf8_lossy(&[preamble, stream.body].concat())).unwrap();
    }
    assert_golden!("replies", "openai_chat.agent.in_pieces", text);
}
