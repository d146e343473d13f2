//! How much to think: the many spellings of the wish, and the one that an upstream is likely to know.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::server::Server;
use crate::chat::Reasoning;
use crate::json::Object;
use crate::malformed::Malformed;

/// Members that [`decode`] reads.
pub(super) const MEMBERS: [&str; 5] =
    ["reasoning_effort", "reasoning", "thinking", "enable_thinking", "chat_template_kwargs"];

/// OpenRouter's `reasoning`. Its `exclude` only hides the text, and what is hidden changes no answer.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawReasoning {
    effort: Option<String>,
    max_tokens: Option<u64>,
    enabled: Option<bool>,
}

/// `thinking` of DeepSeek, GLM and Kimi, and of clients that write Anthropic's member here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawThinking {
    #[serde(rename = "type")]
    kind: Option<String>,
    budget_tokens: Option<u64>,
}

/// Reads the wish in every known spelling. A `chat_template_kwargs` with more than the thinking switch goes to `extra`.
pub(super) fn decode(object: &Object, extra: &mut Map<String, Value>) -> Result<Option<Reasoning>, Malformed> {
    let mut wish = Reasoning::default();
    if let Some(raw) = object.get::<RawThinking>("thinking")? {
        wish.enabled = raw.kind.map(|kind| kind != "disabled");
        wish.budget_tokens = raw.budget_tokens;
    }
    wish.enabled = object.get("enable_thinking")?.or(wish.enabled);
    if let Some(kwargs) = object.get::<Map<String, Value>>("chat_template_kwargs")? {
        match kwargs.get("enable_thinking").and_then(Value::as_bool) {
            Some(enabled) if kwargs.len() == 1 => wish.enabled = Some(enabled),
            Some(_) | None => {
                extra.insert("chat_template_kwargs".to_owned(), Value::Object(kwargs));
            }
        }
    }
    if let Some(raw) = object.get::<RawReasoning>("reasoning")? {
        wish.effort = raw.effort;
        wish.budget_tokens = raw.max_tokens.or(wish.budget_tokens);
        wish.enabled = raw.enabled.or(wish.enabled);
    }
    wish.effort = object.get("reasoning_effort")?.or(wish.effort);
    if wish.effort.as_deref() == Some("none") {
        wish = Reasoning { enabled: Some(false), ..Reasoning::default() };
    }
    Ok(Some(wish).filter(|wish| *wish != Reasoning::default()))
}

/// Writes the wish.
///
/// - Effort goes out as `reasoning_effort`; a budget of tokens becomes one by [`effort`].
/// - "Do not think" is `chat_template_kwargs.enable_thinking: false` for local servers, `reasoning_effort: "none"` for
///   clouds, and nothing for OpenAI: there it never shows its reasoning, and models without reasoning refuse the member.
/// - "Do think" without a measure is what servers do by default; local ones are told so all the same.
pub(super) fn encode(wish: &Reasoning, server: Server, body: &mut Map<String, Value>) {
    let off = wish.enabled == Some(false);
    match server {
        Server::Local if off || wish.enabled == Some(true) => {
            body.insert("chat_template_kwargs".to_owned(), json!({ "enable_thinking": !off }));
        }
        Server::Cloud | Server::Strict | Server::Gemini | Server::Mistral if off => {
            body.insert("reasoning_effort".to_owned(), "none".into());
        }
        Server::Local | Server::Cloud | Server::Strict | Server::Gemini | Server::Mistral | Server::Openai => {}
    }
    if off {
        return;
    }
    if let Some(word) = wish.effort.as_deref().or_else(|| wish.budget_tokens.map(effort)) {
        body.insert("reasoning_effort".to_owned(), word.into());
    }
}

/// The effort that a budget stands for: below 1,024 tokens `minimal`, up to 2,048 `low`, up to 8,192 `medium`, above
/// `high`. Anthropic's least budget is 1,024; its coding client asks for 4,000, 10,000 or 31,999.
const fn effort(budget_tokens: u64) -> &'static str {
    match budget_tokens {
        0..1_024 => "minimal",
        1_024..=2_048 => "low",
        2_049..=8_192 => "medium",
        _ => "high",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(enabled: Option<bool>, effort: Option<&str>, budget_tokens: Option<u64>) -> Reasoning {
        Reasoning { enabled, effort: effort.map(str::to_owned), budget_tokens }
    }

    #[test]
    fn every_spelling_is_read() {
        for (text, want) in [
            (r#"{}"#, None),
            (r#"{"reasoning_effort":null,"reasoning":{}}"#, None),
            (r#"{"reasoning_effort":"low"}"#, Some(wish(None, Some("low"), None))),
            (r#"{"reasoning_effort":"none"}"#, Some(wish(Some(false), None, None))),
            (
                r#"{"reasoning":{"effort":"high","exclude":true,"enabled":true}}"#,
                Some(wish(Some(true), Some("high"), None)),
            ),
            (r#"{"reasoning":{"max_tokens":2000}}"#, Some(wish(None, None, Some(2_000)))),
            (r#"{"thinking":{"type":"enabled","budget_tokens":4096}}"#, Some(wish(Some(true), None, Some(4_096)))),
            (r#"{"thinking":{"type":"disabled"}}"#, Some(wish(Some(false), None, None))),
            (r#"{"chat_template_kwargs":{"enable_thinking":false}}"#, Some(wish(Some(false), None, None))),
        ] {
            let mut extra = Map::new();
            let got = decode(&Object::of(text.as_bytes()).unwrap(), &mut extra).unwrap();
            assert_eq!(got, want, "{text}");
            assert!(extra.is_empty(), "{text}");
        }
        let mut extra = Map::new();
        let object = Object::of(br#"{"chat_template_kwargs":{"enable_thinking":false,"x":1}}"#).unwrap();
        assert_eq!(decode(&object, &mut extra).unwrap(), None);
        assert!(extra.contains_key("chat_template_kwargs"));
    }

    #[test]
    fn every_server_is_asked_in_its_words() {
        for (server, wish, want) in [
            (Server::Openai, wish(None, Some("high"), None), r#"{"reasoning_effort":"high"}"#),
            (Server::Openai, wish(Some(true), None, Some(31_999)), r#"{"reasoning_effort":"high"}"#),
            (Server::Openai, wish(Some(false), None, None), "{}"),
            (Server::Cloud, wish(Some(false), None, None), r#"{"reasoning_effort":"none"}"#),
            (Server::Cloud, wish(Some(true), None, None), "{}"),
            (Server::Local, wish(Some(false), None, None), r#"{"chat_template_kwargs":{"enable_thinking":false}}"#),
            (
                Server::Local,
                wish(Some(true), None, Some(4_096)),
                r#"{"chat_template_kwargs":{"enable_thinking":true},"reasoning_effort":"medium"}"#,
            ),
        ] {
            let mut body = Map::new();
            encode(&wish, server, &mut body);
            assert_eq!(serde_json::to_string(&body).unwrap(), want, "{server:?} {wish:?}");
        }
    }

    #[test]
    fn budgets_become_efforts() {
        for (budget, want) in
            [(0, "minimal"), (1_024, "low"), (2_048, "low"), (2_049, "medium"), (8_192, "medium"), (8_193, "high")]
        {
            assert_eq!(effort(budget), want, "{budget}");
        }
    }
}
