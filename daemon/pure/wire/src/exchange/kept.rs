//! Answers that are kept: which ones may be, in what form, and how they are given again.
//!
//! What is kept is an upstream's whole answer in its own wire format. Giving it again is the same exchange as with an
//! upstream that answers in one piece, with new ids and nothing to pay.

use std::time::Duration;

use bytes::Bytes;
use domain::surface::{Surface, Task};
use domain::usage::Usage;
use serde_json::Value;

use super::Ask;
use super::answer::{Answer, BadAnswer, answer, encode, read_vectors, refuse_error, reply};
use super::decoder::Decoder;
use super::encoder::Encoder;
use super::known;
use crate::chat::Part;
use crate::json::Object;
use crate::malformed::Malformed;
use crate::ollama::Form;
use crate::openai;
use crate::reply::{ChatReply, Choice, Event, Finish, ReplyContext};
use crate::saved::{self, Saved};

/// Whether an upstream's whole answer may be kept: it is complete, says something, the model ended it by itself and says so,
/// and nothing in it would be lost when it is given again.
///
/// Answers of OpenAI's Responses surface are passed on unread, and so are not kept.
#[must_use]
pub fn may_be_kept(far: Surface, body: &Bytes) -> bool {
    let is_answer = match far.task() {
        Task::Embedding => read_vectors(far, body).is_ok_and(|reply| !reply.vectors.is_empty()),
        Task::Chat | Task::Completion if far != Surface::OpenaiResponses => {
            let is_readable = |said: &Value| known::is_known(far, said) && known::says_its_end(far, said);
            reply(far, body).is_ok_and(|reply| ends_by_itself(&reply))
                && serde_json::from_slice(body).is_ok_and(|said| is_readable(&said))
        }
        Task::Chat | Task::Completion | Task::TokenCount => false,
    };
    is_answer && refuse_error(far.dialect(), body).is_ok()
}

/// An upstream's stream as the whole answer that it would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// In the stream's own surface.
    pub body: Bytes,
    /// Whether it may be kept, see [`may_be_kept`].
    pub may_be_kept: bool,
}

/// Makes one answer of a stream; nothing of one that was cut, or of OpenAI's Responses surface, which is passed on unread.
#[must_use]
pub fn whole_of_stream(far: Surface, chunks: &[Bytes]) -> Option<Whole> {
    if far == Surface::OpenaiResponses {
        return None;
    }
    let (reply, is_known) = collect(far, chunks).ok().flatten()?;
    let context = ReplyContext {
        unique: "kept".to_owned(),
        model: reply.model.clone().unwrap_or_default(),
        created_ms: 0,
        include_usage: true,
    };
    let body = match far {
        Surface::OpenaiCompletions => openai::completions::encode_reply(&reply, &context),
        Surface::AnthropicMessages => crate::anthropic::reply::encode(&reply, &context),
        Surface::OllamaChat => crate::ollama::reply::encode(&reply, &context, Form::Chat, Duration::ZERO),
        Surface::OllamaGenerate | Surface::OllamaGenerateRaw => {
            crate::ollama::reply::encode(&reply, &context, Form::Generate, Duration::ZERO)
        }
        _ => openai::chat_reply::encode(&reply, &context),
    };
    let body = Bytes::from(body);
    // A surface may have no form for all that its stream said: then it is not the same answer any more.
    let may_be_kept = is_known && ends_by_itself(&reply) && may_be_kept(far, &body);
    Some(Whole { body, may_be_kept })
}

/// Reads a stream to its end, and tells whether it says why it ended and nothing that would be lost; `None` if it was cut.
fn collect(far: Surface, chunks: &[Bytes]) -> Result<Option<(ChatReply, bool)>, Malformed> {
    let mut decoder = Decoder::new(far);
    let mut pieces = Vec::new();
    for chunk in chunks {
        decoder.feed(chunk, &mut pieces)?;
    }
    pieces.extend(decoder.finish()?);
    let frames: Vec<Value> = pieces.iter().filter_map(|piece| frame(&piece.raw)).collect();
    // OpenAI's completions are the only ones whose end is taken for a finish.
    let says_its_end = far != Surface::OpenaiCompletions
        || frames.iter().any(|frame| frame["choices"][0]["finish_reason"].is_string());
    let is_known = says_its_end && frames.iter().all(|frame| known::is_known(far, frame));
    let events: Vec<Event> = pieces.into_iter().flat_map(|piece| piece.events).collect();
    let is_whole = events.contains(&Event::Done) && !events.iter().any(|event| matches!(event, Event::Failed(_)));
    Ok(is_whole.then(|| (ChatReply::of_events(events), is_known)))
}

/// The JSON of a frame that has some; one that cannot be read is a text, which nobody knows.
fn frame(raw: &[u8]) -> Option<Value> {
    let begin = raw.iter().position(|byte| *byte == b'{')?;
    let end = raw.iter().rposition(|byte| *byte == b'}')?;
    let unread = || serde_json::json!({"message": "unread", "content": ["unread"]});
    Some(serde_json::from_slice(raw.get(begin..=end)?).unwrap_or_else(|_| unread()))
}

fn ends_by_itself(reply: &ChatReply) -> bool {
    let is_natural = |choice: &Choice| {
        matches!(choice.finish, Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls)
            && choice.parts.iter().any(|part| !matches!(part, Part::Text(text) if text.is_empty()))
    };
    !reply.choices.is_empty() && reply.choices.iter().all(is_natural)
}

/// Gives a kept answer to a client that wants it in one piece.
///
/// # Errors
/// The body is no answer.
pub fn replay(
    ask: &Ask,
    kept: Surface,
    body: &Bytes,
    context: &ReplyContext,
    elapsed: Duration,
) -> Result<Answer, BadAnswer> {
    if kept.task() == Task::Embedding {
        let Answer { body, usage } = answer(ask, kept, body, context, elapsed)?;
        return Ok(Answer { body: free_vectors(ask.near, &body, &usage)?, usage: usage.as_saved() });
    }
    let mut reply = reply(kept, body)?;
    reply.usage = reply.usage.as_saved();
    let body = match renewed(ask.near, kept, body, &reply.usage, context)? {
        Some(body) => body,
        None => encode(ask, &reply, context, elapsed).into(),
    };
    Ok(Answer { body, usage: reply.usage })
}

/// The same body with a new id, a new date and nothing to pay: what the upstream said besides is not lost.
fn renewed(
    near: Surface,
    kept: Surface,
    body: &Bytes,
    usage: &Usage,
    context: &ReplyContext,
) -> Result<Option<Bytes>, Malformed> {
    let prefix = match near {
        Surface::OpenaiChat => "chatcmpl",
        Surface::OpenaiCompletions => "cmpl",
        _ => return Ok(None),
    };
    if near != kept {
        return Ok(None);
    }
    let mut object = Object::parse(body)?;
    object.set("id", &format!("{prefix}-{}", context.unique));
    object.set("created", &(context.created_ms / 1_000));
    object.set("usage", &openai::usage::encode(usage));
    Ok(Some(object.to_bytes()))
}

/// Vectors with nothing to pay.
fn free_vectors(near: Surface, body: &Bytes, usage: &Usage) -> Result<Bytes, Malformed> {
    let mut object = Object::parse(body)?;
    let saved = usage.as_saved();
    match near {
        Surface::OpenaiEmbeddings => {
            let mut counts = serde_json::json!({"prompt_tokens": 0, "total_tokens": 0});
            saved::put(&mut counts, &saved);
            object.set("usage", &counts);
        }
        Surface::OllamaEmbed => {
            object.set("prompt_eval_count", &0);
            object.set(saved::NAME, &Saved::of(&saved));
        }
        // The older form has no counts.
        _ => {}
    }
    Ok(object.to_bytes())
}

/// A kept answer as a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// The frames, in order: one for each word where `by_words` was asked for.
    pub frames: Vec<Bytes>,
    /// Tokens used: none.
    pub usage: Usage,
}

/// Gives a kept answer to a client that wants it in pieces.
///
/// # Errors
/// The body is no answer.
pub fn replay_stream(
    ask: &Ask,
    kept: Surface,
    body: &Bytes,
    context: ReplyContext,
    elapsed: Duration,
    by_words: bool,
) -> Result<Replay, BadAnswer> {
    let mut reply = reply(kept, body)?;
    reply.usage = reply.usage.as_saved();
    let mut encoder = Encoder::new(ask, context);
    let mut frames = Vec::new();
    let mut write = |event: &Event| {
        let mut frame = Vec::new();
        encoder.event(event, elapsed, &mut frame);
        if !frame.is_empty() {
            frames.push(frame.into());
        }
    };
    // First, because Anthropic's streams begin with the prompt's count.
    write(&Event::Usage(reply.usage));
    for event in reply.events() {
        match &event {
            Event::Text { choice, text, logprobs: None } if by_words => {
                words(text).for_each(|text| write(&Event::Text { choice: *choice, text, logprobs: None }));
            }
            Event::Thinking { choice, text } if by_words => {
                words(text).for_each(|text| write(&Event::Thinking { choice: *choice, text }));
            }
            _ => write(&event),
        }
    }
    Ok(Replay { frames, usage: reply.usage })
}

/// A text in pieces of a word and the blanks after it: about a token each.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_inclusive(char::is_whitespace).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CHATS: [(Surface, &str); 3] = [
        (Surface::OpenaiChat, r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#),
        (Surface::AnthropicMessages, r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#),
        (Surface::OllamaChat, r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#),
    ];

    fn ask(near: Surface, body: &str) -> Ask {
        Ask::read(near, &Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    fn context() -> ReplyContext {
        ReplyContext { unique: "new".to_owned(), model: "fast".to_owned(), created_ms: 9_000, include_usage: true }
    }

    fn chat(finish: &str, message: &Value) -> Bytes {
        json!({"id": "chatcmpl-old", "created": 1, "model": "qwen", "object": "chat.completion", "citations": ["c"],
            "choices": [{"index": 0, "finish_reason": finish, "message": message}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}})
        .to_string()
        .into()
    }

    fn hello() -> Bytes {
        chat("stop", &json!({"role": "assistant", "content": "Hello there, you"}))
    }

    #[test]
    fn what_may_be_kept() {
        let said = json!({"role": "assistant", "content": "Hi"});
        let called = json!({"role": "assistant", "content": null,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
        for (body, want) in [
            (chat("stop", &said), true),
            (chat("tool_calls", &called), true),
            (chat("length", &said), false),
            (chat("content_filter", &said), false),
            (chat("error", &said), false),
            (r#"{"choices":[{"message":{"content":"half an ans"},"finish_reason":null}]}"#.into(), false),
            (chat("stop", &json!({"content": "Hi", "annotations": [{"type": "url_citation"}]})), false),
            (chat("stop", &json!({"role": "assistant", "content": ""})), false),
            (r#"{"error":{"message":"no"},"choices":[]}"#.into(), false),
            (r#"{"choices":[]}"#.into(), false),
            ("<html>".into(), false),
        ] {
            assert_eq!(may_be_kept(Surface::OpenaiChat, &body), want, "{body:?}");
        }
        let silent = r#"{"choices":[{"text":"","finish_reason":"stop"}]}"#;
        assert!(!may_be_kept(Surface::OpenaiCompletions, &silent.into()));
        assert!(may_be_kept(Surface::OpenaiEmbeddings, &r#"{"data":[{"embedding":[1]}]}"#.into()));
        for no_vectors in [r#"{"error":"x"}"#, "<html>", "{}", r#"{"data":[]}"#] {
            assert!(!may_be_kept(Surface::OpenaiEmbeddings, &no_vectors.into()), "{no_vectors}");
        }
        assert!(may_be_kept(Surface::OllamaEmbeddings, &r#"{"embedding":[1.5]}"#.into()));
        assert!(!may_be_kept(Surface::AnthropicCountTokens, &r#"{"input_tokens":1}"#.into()));
    }

    #[test]
    fn a_stream_is_kept_only_when_it_is_whole() {
        let frames = [
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}],"model":"qwen"}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"lo"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#,
            "[DONE]",
        ];
        let chunks: Vec<Bytes> = frames.iter().map(|frame| format!("data: {frame}\n\n").into()).collect();
        let whole = whole_of_stream(Surface::OpenaiChat, &chunks).expect("it is whole");
        assert!(whole.may_be_kept);
        let reply = reply(Surface::OpenaiChat, &whole.body).unwrap();
        assert_eq!(reply.choices[0].parts, [crate::chat::Part::Text("Hello".to_owned())]);
        assert_eq!((reply.usage.input, reply.model.as_deref()), (Some(5), Some("qwen")));
        for cut in 0..chunks.len() {
            assert_eq!(whole_of_stream(Surface::OpenaiChat, &chunks[..cut]), None, "{cut} frames");
        }
        let mut failed = chunks.clone();
        failed.insert(1, "data: {\"error\":{\"message\":\"x\"}}\n\n".into());
        assert_eq!(whole_of_stream(Surface::OpenaiChat, &failed), None);
        let mut long = chunks.clone();
        long[2] = frames[2].replace("stop", "length").into();
        long[2] = [&b"data: "[..], &long[2], b"\n\n"].concat().into();
        let long = whole_of_stream(Surface::OpenaiChat, &long).expect("it is whole, though the model did not end it");
        assert!(!long.may_be_kept);
    }

    #[test]
    fn a_kept_answer_serves_every_dialect() {
        for (near, body) in CHATS {
            let given = replay(&ask(near, body), Surface::OpenaiChat, &hello(), &context(), Duration::ZERO).unwrap();
            let text = String::from_utf8(given.body.to_vec()).unwrap();
            assert!(text.contains("Hello there, you") && !text.contains("old"), "{text}");
            assert!(text.contains(r#""airlane":{"input_tokens":5,"output_tokens":2}"#), "{text}");
            assert_eq!((given.usage.total(), given.usage.saved.map(|saved| saved.input)), (0, Some(5)));

            let asked = ask(near, body);
            let stream = replay_stream(&asked, Surface::OpenaiChat, &hello(), context(), Duration::ZERO, true).unwrap();
            let text = String::from_utf8(stream.frames.concat()).unwrap();
            let (collected, _) = collect(near, &stream.frames).unwrap().expect("it is a whole stream");
            let want = reply(Surface::OpenaiChat, &hello()).unwrap();
            assert_eq!(collected.choices, want.choices, "{text}");
            assert!(text.contains(r#""airlane":{"input_tokens":5,"output_tokens":2}"#), "{text}");
            let at_once =
                replay_stream(&asked, Surface::OpenaiChat, &hello(), context(), Duration::ZERO, false).unwrap();
            assert_eq!(stream.frames.len(), at_once.frames.len() + 2, "three words instead of one text");
        }
    }

    #[test]
    fn what_the_upstream_said_besides_is_given_as_well() {
        let (near, body) = CHATS[0];
        let given = replay(&ask(near, body), near, &hello(), &context(), Duration::ZERO).unwrap();
        let value: Value = serde_json::from_slice(&given.body).unwrap();
        assert_eq!(value["citations"], json!(["c"]));
        assert_eq!((&value["id"], &value["created"]), (&json!("chatcmpl-new"), &json!(9)));
        let counts = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0,
            "airlane": {"input_tokens": 5, "output_tokens": 2}});
        assert_eq!(value["usage"], counts);
    }

    #[test]
    fn vectors_cost_nothing_the_second_time() {
        let kept = json!({"object": "list", "model": "e", "data": [{"index": 0, "embedding": [0.5, 1.0]}],
            "usage": {"prompt_tokens": 3, "total_tokens": 3}});
        let kept = Bytes::from(kept.to_string());
        let far = Surface::OpenaiEmbeddings;
        for (near, body, path) in [
            (Surface::OpenaiEmbeddings, r#"{"model":"m","input":"x"}"#, "/usage/airlane/input_tokens"),
            (Surface::OllamaEmbed, r#"{"model":"m","input":"x"}"#, "/airlane/input_tokens"),
        ] {
            let given = replay(&ask(near, body), far, &kept, &context(), Duration::ZERO).unwrap();
            let value: Value = serde_json::from_slice(&given.body).unwrap();
            assert_eq!(value.pointer(path), Some(&json!(3)), "{value}");
            assert_eq!(given.usage.total(), 0);
        }
        let base64 = r#"{"model":"m","input":"x","encoding_format":"base64"}"#;
        let given = replay(&ask(far, base64), far, &kept, &context(), Duration::ZERO).unwrap();
        assert!(String::from_utf8_lossy(&given.body).contains("AAAAPwAAgD8="));
    }
}
