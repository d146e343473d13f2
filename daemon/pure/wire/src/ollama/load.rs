//! Requests without a prompt: Ollama's way to load a model into memory, or to throw it out.

use std::time::Duration;

use serde_json::Value;

use crate::json::Object;
use crate::reply::{Finish, ReplyContext};

use super::Form;
use super::line::{self, Ending, Piece};

/// What a request without a prompt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Load {
    /// Have the model in memory.
    Load,
    /// Have it there no longer (`keep_alive: 0`).
    Unload,
}

/// Tells whether a request has no messages (chat) or no prompt (generate). Members of a wrong type are left to
/// `decode` to complain about.
#[must_use]
pub fn is_load_request(object: &Object, form: Form) -> Option<Load> {
    let empty = match form {
        Form::Chat => {
            object.get::<Vec<&serde_json::value::RawValue>>("messages").ok()?.is_none_or(|list| list.is_empty())
        }
        Form::Generate => object.get::<String>("prompt").ok()?.is_none_or(|prompt| prompt.is_empty()),
    };
    let unload = object.get::<Value>("keep_alive").ok()?.is_some_and(|keep_alive| is_zero(&keep_alive));
    empty.then_some(if unload { Load::Unload } else { Load::Load })
}

/// A number of seconds, or a text like `0`, `0s` or `0m`.
fn is_zero(keep_alive: &Value) -> bool {
    let text = keep_alive.as_str().map(|text| text.trim_end_matches(|c: char| c.is_ascii_alphabetic()));
    keep_alive.as_f64().or_else(|| text?.parse().ok()) == Some(0.0)
}

/// The answer to such a request: one object, streamed or not.
#[must_use]
pub fn reply(load: Load, context: &ReplyContext, form: Form, elapsed: Duration) -> Vec<u8> {
    let word = match load {
        Load::Load => "load",
        Load::Unload => "unload",
    };
    let finish = Finish::Other(word.to_owned());
    let ending = Ending::new(Some(&finish), &domain::usage::Usage::default(), Duration::ZERO, elapsed);
    let mut out = Vec::new();
    line::write(form, context, elapsed, &Piece { ending: Some(ending), ..Piece::default() }, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_prompts_are_found() {
        use Form::{Chat, Generate};
        for (body, form, want) in [
            (r#"{"model":"m"}"#, Chat, Some(Load::Load)),
            (r#"{"model":"m"}"#, Generate, Some(Load::Load)),
            (r#"{"model":"m","messages":[]}"#, Chat, Some(Load::Load)),
            (r#"{"model":"m","messages":null,"keep_alive":0}"#, Chat, Some(Load::Unload)),
            (r#"{"model":"m","prompt":"","keep_alive":"0s"}"#, Generate, Some(Load::Unload)),
            (r#"{"model":"m","prompt":"","keep_alive":"10m"}"#, Generate, Some(Load::Load)),
            (r#"{"model":"m","keep_alive":-1}"#, Generate, Some(Load::Load)),
            (r#"{"model":"m","prompt":"hi","keep_alive":0}"#, Generate, None),
            (r#"{"model":"m","messages":[{}]}"#, Chat, None),
            (r#"{"model":"m","messages":"hi"}"#, Chat, None),
            (r#"{"model":"m","prompt":1}"#, Generate, None),
        ] {
            assert_eq!(is_load_request(&Object::of(body.as_bytes()).unwrap(), form), want, "{body}");
        }
    }

    #[test]
    fn the_answer_says_what_was_done() {
        let context =
            ReplyContext { unique: "x".to_owned(), model: "m".to_owned(), created_ms: 0, include_usage: false };
        let text = |load, form| String::from_utf8(reply(load, &context, form, Duration::ZERO)).unwrap();
        insta::assert_snapshot!(text(Load::Load, Form::Chat), @r#"{"model":"m","created_at":"1970-01-01T00:00:00.000000000Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"load","total_duration":1,"load_duration":0,"prompt_eval_duration":1,"eval_duration":1}"#);
        assert!(text(Load::Unload, Form::Generate).contains(r#""response":"","done":true,"done_reason":"unload""#));
    }
}
