//! Golden pairs of streams: what an upstream sent, and what a client of each surface gets.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use domain::surface::{Surface, Task};
use domain::usage::Usage;
use wire::exchange::{Ask, Transcoder};
use wire::failure::ErrorBody;
use wire::malformed::Malformed;

use crate::asks::{CHAT, COMPLETION, ask, assert_golden, context, fixtures};

pub(crate) const ELAPSED: Duration = Duration::from_millis(1_500);

/// What a client got of a stream, and what was known of it in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) visible: u32,
    pub(crate) usage: Usage,
    pub(crate) done: bool,
    pub(crate) failed: bool,
}

/// Carries `chunks` of an upstream on `far` to the client of `ask`.
pub(crate) fn carry<'c>(
    ask: &Ask,
    far: Surface,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> Result<Received, Malformed> {
    let mut transcoder = Transcoder::new(ask, far, context(ask.include_usage));
    let mut received = Received::default();
    let mut take = |step: wire::exchange::Step| {
        received.bytes.extend_from_slice(&step.all());
        received.visible += step.visible;
        received.failed |= step.failure.is_some();
    };
    for chunk in chunks {
        take(transcoder.feed(&Bytes::copy_from_slice(chunk), ELAPSED)?);
    }
    take(transcoder.finish(ELAPSED)?);
    Ok(Received { usage: transcoder.usage(), done: transcoder.is_done(), ..received })
}

/// All streams, by the surface that the upstream was called on.
pub(crate) fn streams() -> Vec<(Surface, &'static str, String)> {
    let events = fixtures!("streams", ".sse":
        OpenaiChat "openai_chat.openai",
        OpenaiChat "openai_chat.openai_calls",
        OpenaiChat "openai_chat.vllm",
        OpenaiChat "openai_chat.llamacpp",
        OpenaiChat "openai_chat.no_end",
        OpenaiChat "openai_chat.two",
        OpenaiCompletions "openai_completions.vllm",
        OpenaiResponses "openai_responses.openai",
        AnthropicMessages "anthropic_messages.agent",
        AnthropicMessages "anthropic_messages.text",
    );
    let lines = fixtures!("streams", ".ndjson":
        OllamaChat "ollama_chat.agent",
        OllamaChat "ollama_chat.cut",
        OllamaGenerateRaw "ollama_generate.raw",
    );
    let all = events.into_iter().chain(lines);
    // Some servers write the line ends of other systems; one of the fixtures stands for them.
    let ends =
        |name, text: &str| if name == "openai_chat.no_end" { text.replace('\n', "\r\n") } else { text.to_owned() };
    all.map(|(far, name, text)| (far, name, ends(name, text))).collect()
}

/// The surfaces of the clients that a stream from `far` may go to.
pub(crate) fn nears(far: Surface) -> &'static [Surface] {
    match far.task() {
        Task::Chat if far == Surface::OpenaiResponses => &[Surface::OpenaiResponses],
        Task::Completion => &COMPLETION,
        Task::Chat | Task::Embedding | Task::TokenCount => &CHAT,
    }
}

#[test]
fn every_stream_for_every_client() {
    for (far, name, stream) in streams() {
        let mut text = String::new();
        for near in nears(far) {
            let mut ask = ask(*near, true);
            ask.include_usage = *near != far;
            let received = carry(&ask, far, [stream.as_bytes()]).unwrap();
            assert!(received.done && !received.failed && received.visible > 0, "{name} {near:?}");
            let bytes = String::from_utf8(received.bytes).unwrap().replace('\r', "␍");
            writeln!(text, "── {near:?}, {} visible, {:?}\n{bytes}", received.visible, received.usage).unwrap();
        }
        assert_golden!("streams", name, text);
    }
}

#[test]
fn a_failure_inside_a_stream_ends_it_in_the_clients_words() {
    let events = fixtures!("streams", ".sse":
        OpenaiChat "openai_chat.fails",
        AnthropicMessages "anthropic_messages.fails",
    );
    let lines = fixtures!("streams", ".ndjson": OllamaChat "ollama_chat.fails");
    for (far, name, stream) in events.into_iter().chain(lines) {
        let mut text = String::new();
        for near in CHAT {
            let mut transcoder = Transcoder::new(&ask(near, true), far, context(false));
            let step = transcoder.feed(&Bytes::from_static(stream.as_bytes()), ELAPSED).unwrap();
            let failure = step.failure.clone().unwrap();
            assert!(transcoder.finish(ELAPSED).unwrap().all().is_empty() && !transcoder.is_done(), "{name} {near:?}");
            let error = ErrorBody {
                kind: failure.kind,
                message: format!("box/m failed: {}", failure.message),
                code: failure.code,
                param: failure.param,
                request_id: Some("r1".to_owned()),
            };
            let bytes = [step.all(), transcoder.fail(&error)].concat();
            writeln!(text, "── {near:?}\n{}", String::from_utf8(bytes).unwrap()).unwrap();
        }
        assert_golden!("streams", name, text);
    }
}

#[test]
fn only_the_first_frame_may_come_from_an_upstream_that_fails() {
    let stream = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,",
        "\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n",
    );
    let far = Surface::AnthropicMessages;
    let new = || Transcoder::new(&ask(far, true), far, context(false));
    let step = new().feed(&Bytes::from_static(stream.as_bytes()), ELAPSED).unwrap();
    assert!(
        step.preamble.starts_with(b"event: message_start") && step.bytes.starts_with(b"event: content_block_start")
    );
    let step = new().resumed().feed(&Bytes::from_static(stream.as_bytes()), ELAPSED).unwrap();
    assert!(step.all().starts_with(b"event: content_block_start"));
}

#[test]
fn a_response_that_is_passed_on_fails_as_the_same_response() {
    let far = Surface::OpenaiResponses;
    let created = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"},\"sequence_number\":0}\n\n";
    let mut transcoder = Transcoder::new(&ask(far, true), far, context(false));
    transcoder.feed(&Bytes::from_static(created.as_bytes()), ELAPSED).unwrap();
    let error = ErrorBody {
        kind: wire::failure::FailureKind::Upstream,
        message: "gone".to_owned(),
        code: None,
        param: None,
        request_id: None,
    };
    let text = String::from_utf8(transcoder.fail(&error).to_vec()).unwrap();
    assert!(!text.contains("response.created") && text.contains("\"sequence_number\":1"), "{text}");
}
