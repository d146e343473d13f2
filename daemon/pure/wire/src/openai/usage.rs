//! Token counts and reasons to end, as this dialect writes them.

use domain::usage::Usage;
use serde::Deserialize;
use serde_json::{Value, json};

use super::loose::Loose;
use crate::reply::Finish;
use crate::saved;

/// The `usage` object of any known server.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawUsage {
    prompt_tokens: Loose,
    completion_tokens: Loose,
    prompt_tokens_details: Option<RawInput>,
    completion_tokens_details: Option<RawOutput>,
    /// DeepSeek's name.
    prompt_cache_hit_tokens: Loose,
    /// Moonshot's name.
    cached_tokens: Loose,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawInput {
    cached_tokens: Loose,
    /// OpenRouter's name.
    cache_write_tokens: Loose,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawOutput {
    reasoning_tokens: Loose,
}

impl RawUsage {
    /// The counts that the upstream told.
    pub(super) fn facts(&self) -> Usage {
        let input = self.prompt_tokens_details.as_ref();
        Usage {
            input: self.prompt_tokens.count(),
            output: self.completion_tokens.count(),
            cached_read: input
                .and_then(|details| details.cached_tokens.count())
                .or_else(|| self.prompt_cache_hit_tokens.count())
                .or_else(|| self.cached_tokens.count()),
            cache_write: input.and_then(|details| details.cache_write_tokens.count()),
            reasoning: self.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens.count()),
            saved: None,
        }
    }
}

/// The `usage` object, or `None` when the upstream told neither input nor output.
pub(crate) fn encode(usage: &Usage) -> Option<Value> {
    if usage.input.is_none() && usage.output.is_none() {
        return None;
    }
    let mut object = json!({
        "prompt_tokens": usage.input.unwrap_or(0),
        "completion_tokens": usage.output.unwrap_or(0),
        "total_tokens": usage.total(),
    });
    if usage.cached_read.is_some() || usage.cache_write.is_some() {
        let mut details = json!({ "cached_tokens": usage.cached_read.unwrap_or(0) });
        if let Some(count) = usage.cache_write {
            details["cache_write_tokens"] = count.into();
        }
        object["prompt_tokens_details"] = details;
    }
    if let Some(count) = usage.reasoning {
        object["completion_tokens_details"] = json!({ "reasoning_tokens": count });
    }
    saved::put(&mut object, usage);
    Some(object)
}

/// Reads `finish_reason`. `stop_reason` is vLLM's: the stop text that was met, or a token id.
///
/// `has_calls` says that the choice holds tool calls: vLLM (named tool choice), Gemini and Ollama then say `stop`.
pub(super) fn finish(word: &str, stop_reason: &Loose, has_calls: bool) -> Finish {
    match word {
        "stop" | "eos" | "eos_token" | "end_turn" if has_calls => Finish::ToolCalls,
        "stop" | "eos" | "eos_token" | "end_turn" => match stop_reason.as_str() {
            Some(text) => Finish::StopSequence(Some(text.to_owned())),
            None => Finish::Stop,
        },
        "stop_sequence" => Finish::StopSequence(stop_reason.as_str().map(str::to_owned)),
        "length" | "max_tokens" => Finish::Length,
        "tool_calls" | "function_call" | "tool_use" => Finish::ToolCalls,
        "content_filter" => Finish::ContentFilter,
        other => Finish::Other(other.to_owned()),
    }
}

/// Words with which servers say that they gave an answer up (vLLM, SGLang, OpenRouter, DeepSeek): what came is not whole.
pub(super) fn is_given_up(word: &str) -> bool {
    matches!(word, "error" | "abort" | "insufficient_system_resource")
}

/// The word for `finish_reason`. Words that OpenAI does not have become `stop`: many clients refuse unknown ones.
pub(super) const fn finish_word(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::Other(_) => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_servers_are_found() {
        for (name, text, want) in [
            (
                "openai",
                r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,
                    "prompt_tokens_details":{"cached_tokens":5,"audio_tokens":0},
                    "completion_tokens_details":{"reasoning_tokens":3}}"#,
                Usage {
                    input: Some(9),
                    output: Some(4),
                    cached_read: Some(5),
                    cache_write: None,
                    reasoning: Some(3),
                    saved: None,
                },
            ),
            (
                "deepseek",
                r#"{"prompt_tokens":9,"completion_tokens":4,"prompt_cache_hit_tokens":2}"#,
                Usage { input: Some(9), output: Some(4), cached_read: Some(2), ..Usage::default() },
            ),
            (
                "nulls and floats",
                r#"{"prompt_tokens":9.0,"completion_tokens":null,"prompt_tokens_details":null}"#,
                Usage { input: Some(9), ..Usage::default() },
            ),
        ] {
            assert_eq!(serde_json::from_str::<RawUsage>(text).unwrap().facts(), want, "{name}");
        }
    }

    #[test]
    fn counts_come_back_as_they_went() {
        let usage = Usage {
            input: Some(9),
            output: Some(4),
            cached_read: Some(5),
            cache_write: Some(1),
            reasoning: Some(3),
            saved: None,
        };
        let text = encode(&usage).unwrap().to_string();
        assert_eq!(serde_json::from_str::<RawUsage>(&text).unwrap().facts(), usage);
        assert_eq!(encode(&Usage { reasoning: Some(1), ..Usage::default() }), None);
    }

    #[test]
    fn reasons_to_end() {
        let none = Loose::Nothing;
        assert_eq!(finish("stop", &none, false), Finish::Stop);
        assert_eq!(finish("stop", &none, true), Finish::ToolCalls);
        assert_eq!(finish("stop", &Loose::Text("END".into()), false), Finish::StopSequence(Some("END".into())));
        assert_eq!(finish("stop", &Loose::Other(128_009.into()), false), Finish::Stop);
        assert_eq!(finish("weird", &none, false), Finish::Other("weird".into()));
        assert_eq!(finish_word(&Finish::Other("weird".into())), "stop");
    }
}
