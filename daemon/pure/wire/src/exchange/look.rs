//! What the conversation itself tells of its route: its length, what a model must be able to do, and which one it is.

use std::hash::{BuildHasher as _, Hasher as _};

use domain::route::{Mark, Needs};
use foldhash::fast::FixedState;

use crate::json::{Object, elements, strings};

/// What a look at a conversation tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) prompt_tokens: u64,
    pub(super) needs: Needs,
    pub(super) tool_loop: bool,
    pub(super) prefix: Vec<Mark>,
}

/// Bytes of JSON text that make a token: about four for English and for code, and quotes and names besides.
const BYTES_PER_TOKEN: u64 = 4;
/// What a picture takes, in tokens: between 85 and 1,600 with the models of today.
const PICTURE_TOKENS: u64 = 800;
/// A string so long without a blank is no text but a file in base64.
const PAYLOAD_BYTES_MIN: usize = 2_048;
/// Ends of messages that are remembered of one conversation: the newest.
const MARKS_MAX: usize = 64;

/// Members that come before the conversation and hold for all of it.
const HEAD: [&str; 3] = ["system", "instructions", "tools"];
/// Members that hold the conversation, by dialect.
const BODY: [&str; 3] = ["messages", "input", "prompt"];

/// Looks at the raw text, once.
pub(super) fn look(object: &Object) -> Look {
    let mut look = Look::default();
    let mut hasher = FixedState::with_seed(0).build_hasher();
    let mut tokens = 0;
    for text in HEAD.iter().filter_map(|name| object.raw(name)) {
        hasher.write(text.as_bytes());
        let words = words(text);
        look.needs.vision |= words.picture;
        tokens += length(text, words);
    }
    let is_list = |text: &str| text.starts_with('[') && text != "[]";
    look.needs.tools = object.raw("tools").is_some_and(is_list);
    look.needs.json_schema = object.raw("response_format").is_some_and(|text| text.contains("\"json_schema\""));
    for text in BODY.iter().filter_map(|name| object.raw(name)) {
        for message in elements(text) {
            hasher.write(message.as_bytes());
            let words = words(message);
            look.needs.vision |= words.picture;
            look.tool_loop = words.tool_result;
            tokens += length(message, words);
            look.prefix.push(Mark { hash: hasher.finish(), tokens });
        }
    }
    // Ollama's pictures stand beside the prompt.
    look.needs.vision |= object.raw("images").is_some_and(is_list);
    let old = look.prefix.len().saturating_sub(MARKS_MAX);
    look.prefix.drain(..old);
    look.prompt_tokens = tokens;
    look
}

/// The length of a piece of JSON in tokens. Pictures in it are counted as such.
fn length(text: &str, words: Words) -> u64 {
    let (mut bytes, mut pictures) = (text.len(), 0);
    if words.picture && bytes > PAYLOAD_BYTES_MIN {
        for payload in payloads(text) {
            bytes -= payload;
            pictures += 1;
        }
    }
    (bytes as u64).div_ceil(BYTES_PER_TOKEN) + pictures * PICTURE_TOKENS
}

/// Lengths of the strings that are files.
fn payloads(text: &str) -> impl Iterator<Item = usize> {
    let is_file = |string: &&str| string.len() >= PAYLOAD_BYTES_MIN && !string.contains(' ');
    strings(text).filter(is_file).map(str::len)
}

/// Which telling words a piece of JSON holds, as names or values. Quotes within texts are escaped, so that a text about
/// pictures is none.
#[derive(Debug, Clone, Copy, Default)]
struct Words {
    /// `image`, `images`, `image_url` or `input_image`.
    picture: bool,
    /// It brings the result of a tool call, in any dialect: a member `tool_call_id`, or a type `tool_result` or
    /// `function_call_output`, or the role `tool`.
    tool_result: bool,
}

/// Looks at what stands behind each quote: texts are long and have few, so that one pass finds all words.
fn words(text: &str) -> Words {
    let bytes = text.as_bytes();
    let mut words = Words::default();
    for quote in memchr::memchr_iter(b'"', bytes) {
        let (before, after) = bytes.split_at(quote);
        let after = after.get(1..).unwrap_or_default();
        let is_one = |names: &[&str]| {
            names.iter().any(|name| after.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"\"")))
        };
        match after.first() {
            Some(b'i') => words.picture |= is_one(&["image", "images", "image_url", "input_image"]),
            Some(b'f') => words.tool_result |= is_one(&["function_call_output"]),
            Some(b't') => {
                let is_role = || before.ends_with(b"\"role\":") || before.ends_with(b"\"role\": ");
                words.tool_result |= is_one(&["tool_result", "tool_call_id"]) || (is_one(&["tool"]) && is_role());
            }
            _ => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(body: &str) -> Look {
        look(&Object::of(body.as_bytes()).unwrap())
    }

    #[test]
    fn a_conversation_is_known_by_its_beginning() {
        let first = at(r#"{"tools":[{}],"messages":[{"role":"user","content":"a"}]}"#);
        let next = at(r#"{"messages":[{"role":"user","content":"a"}, {"role":"assistant","content":"b, [c]"},
            {"role":"user","content":"\"},{"}],"tools":[{}],"temperature":1}"#);
        assert_eq!((first.prefix.len(), next.prefix.len()), (1, 3));
        assert_eq!(next.prefix[0], first.prefix[0]);
        assert!(next.prefix.is_sorted_by_key(|mark| mark.tokens));
        let other = at(r#"{"tools":[{"x":1}],"messages":[{"role":"user","content":"a"}]}"#);
        assert_ne!(other.prefix[0].hash, first.prefix[0].hash);
    }

    #[test]
    fn what_a_model_must_do() {
        for (body, tools, vision, json_schema) in [
            (
                r#"{"messages":[{"role":"user","content":"say \"image_url\" loudly please, thirty times"}]}"#,
                false,
                false,
                false,
            ),
            (
                r#"{"tools":[],"messages":[{"content":[{"type":"image_url","image_url":{"url":"http://x"}}]}]}"#,
                false,
                true,
                false,
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url"}}]}]}"#,
                false,
                true,
                false,
            ),
            (r#"{"prompt":"what is it?","images":["aGk="]}"#, false, true, false),
            (r#"{"tools":[{"type":"function"}],"response_format":{"type":"json_schema"}}"#, true, false, true),
        ] {
            assert_eq!(at(body).needs, Needs { tools, vision, json_schema }, "{body}");
        }
    }

    #[test]
    fn tool_loops_are_seen_in_every_dialect() {
        for (last, want) in [
            (r#"{"role":"user","content":"x"}"#, false),
            (r#"{"role":"tool","tool_call_id":"1","content":"x"}"#, true),
            (r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"1"}]}"#, true),
            (r#"{"type":"function_call_output","call_id":"1","output":"x"}"#, true),
            (r#"{"role":"tool","tool_name":"f","content":"x"}"#, true),
        ] {
            assert_eq!(at(&format!(r#"{{"messages":[{{"role":"user"}},{last}]}}"#)).tool_loop, want, "{last}");
        }
        assert!(!at(r#"{"messages":[{"role":"tool","content":"x"},{"role":"user","content":"and?"}]}"#).tool_loop);
    }

    #[test]
    fn pictures_are_no_text() {
        let picture = "QUJD".repeat(100_000);
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"what is it?"}},
            {{"type":"image_url","image_url":{{"url":"data:image/png;base64,{picture}"}}}}]}}]}}"#
        );
        assert!((800..1_000).contains(&at(&body).prompt_tokens), "{}", at(&body).prompt_tokens);
        let text = "word ".repeat(4_000);
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#);
        assert!((5_000..5_100).contains(&at(&body).prompt_tokens));
    }

    #[test]
    fn marks_are_bounded() {
        let messages = vec![r#"{"role":"user","content":"x"}"#; 1_000].join(",");
        assert_eq!(at(&format!(r#"{{"messages":[{messages}]}}"#)).prefix.len(), MARKS_MAX);
    }
}
