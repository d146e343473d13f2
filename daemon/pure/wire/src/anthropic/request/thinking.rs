//! How much the model shall think: efforts, budgets, and the cases in which Anthropic refuses thinking.
//!
//! | effort | budget, tokens |
//! |---|---|
//! | `minimal` | 1,024 |
//! | `low` | 2,048 |
//! | `medium`, or thinking without an effort | 8,192 |
//! | `high` | 16,384 |
//! | `xhigh`, `max` | 23,552 |
//!
//! With [`MAX_TOKENS_DEFAULT`] for the answer the largest stays below 32,000, the smallest limit of an answer among
//! the Claude models that think. Anthropic wants budgets of at least 1,024 and below `max_tokens`.

use serde::Serialize;

use super::encode::MAX_TOKENS_DEFAULT;
use crate::chat::{ChatRequest, Part, Reasoning, Role, ToolChoice};
use crate::malformed::Uncarried;

/// Smallest budget that Anthropic accepts.
const BUDGET_MIN: u64 = 1_024;

/// The `thinking` member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thinking {
    Enabled { budget_tokens: u64 },
    Adaptive,
    Disabled,
}

/// What a request's wish to think comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) thinking: Option<Thinking>,
    /// The word of `output_config.effort`.
    pub(super) effort: Option<&'static str>,
    pub(super) max_tokens: u64,
}

impl Plan {
    /// Whether the model may think: then Anthropic fixes how it samples.
    pub(super) const fn thinks(&self) -> bool {
        matches!(self.thinking, Some(Thinking::Enabled { .. } | Thinking::Adaptive))
    }
}

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `thinking.budget_tokens`: Claude up to 4.5, and the servers that copy Anthropic.
    Budget,
    /// `thinking.type: adaptive` with `output_config.effort`: later Claudes, of which the latest refuse budgets.
    Adaptive,
}

impl Style {
    fn of(model: &str) -> Self {
        const WITH_BUDGET: [&str; 12] = [
            "claude-2",
            "claude-3",
            "claude-instant",
            "opus-4-0",
            "opus-4-1",
            "opus-4.1",
            "opus-4-2025",
            "opus-4@",
            "sonnet-4-0",
            "sonnet-4-2025",
            "sonnet-4@",
            "-4-5",
        ];
        let budget = !model.contains("claude")
            || WITH_BUDGET.iter().any(|part| model.contains(part))
            || ["-4", "-4.5"].iter().any(|end| model.ends_with(end));
        if budget { Self::Budget } else { Self::Adaptive }
    }
}

#[derive(Debug, Clone, Copy)]
struct Level {
    effort: &'static str,
    budget: u64,
}

impl Level {
    fn of_effort(effort: &str) -> Result<Self, Uncarried> {
        let (effort, budget) = match effort {
            "minimal" => ("low", BUDGET_MIN),
            "low" => ("low", 2_048),
            "medium" => ("medium", 8_192),
            "high" => ("high", 16_384),
            "xhigh" => ("xhigh", 23_552),
            "max" => ("max", 23_552),
            _ => return Err(Uncarried::new("reasoning_effort", format!("Anthropic knows no effort {effort:?}"))),
        };
        Ok(Self { effort, budget })
    }

    const fn of_budget(budget: u64) -> Self {
        let effort = match budget {
            0..=2_048 => "low",
            2_049..=8_192 => "medium",
            _ => "high",
        };
        Self { effort, budget }
    }
}

/// Decides on thinking and the token limit.
pub(super) fn plan(request: &ChatRequest, model: &str) -> Result<Plan, Uncarried> {
    let asked = request.sampling.max_tokens;
    let max_tokens = asked.unwrap_or(MAX_TOKENS_DEFAULT);
    let still = Plan { thinking: None, effort: None, max_tokens };
    let Some(reasoning) = &request.reasoning else { return Ok(still) };
    if reasoning.enabled == Some(false) || reasoning.effort.as_deref() == Some("none") {
        return Ok(Plan { thinking: Some(Thinking::Disabled), ..still });
    }
    match Style::of(model) {
        Style::Adaptive => adaptive(request, reasoning, still),
        Style::Budget => with_budget(request, reasoning, still),
    }
}

fn adaptive(request: &ChatRequest, reasoning: &Reasoning, still: Plan) -> Result<Plan, Uncarried> {
    let level = match (&reasoning.effort, reasoning.budget_tokens) {
        (Some(effort), _) => Some(Level::of_effort(effort)?),
        (None, Some(budget)) => Some(Level::of_budget(budget)),
        (None, None) => None,
    };
    let effort = level.map(|level| level.effort);
    if is_refused(request) {
        return Ok(Plan { effort, ..still });
    }
    let budget = level.map_or(0, |level| level.budget);
    let max_tokens = request.sampling.max_tokens.unwrap_or_else(|| MAX_TOKENS_DEFAULT.saturating_add(budget));
    Ok(Plan { thinking: Some(Thinking::Adaptive), effort, max_tokens })
}

fn with_budget(request: &ChatRequest, reasoning: &Reasoning, still: Plan) -> Result<Plan, Uncarried> {
    let level = match &reasoning.effort {
        Some(effort) => Some(Level::of_effort(effort)?),
        None => reasoning.enabled.map(|_| Level::of_budget(8_192)),
    };
    let Some(wanted) = reasoning.budget_tokens.or(level.map(|level| level.budget)) else { return Ok(still) };
    let wanted = wanted.max(BUDGET_MIN);
    let Some(limit) = request.sampling.max_tokens else {
        let max_tokens = wanted.saturating_add(MAX_TOKENS_DEFAULT);
        let thinking = (!is_refused(request)).then_some(Thinking::Enabled { budget_tokens: wanted });
        return Ok(Plan { thinking, max_tokens, ..still });
    };
    // An effort is a hint: where the limit leaves no room to think, the answer matters more.
    if limit <= BUDGET_MIN || is_refused(request) {
        return Ok(still);
    }
    let share = if reasoning.budget_tokens.is_some() { limit - 1 } else { limit / 2 };
    let budget_tokens = wanted.min(share).max(BUDGET_MIN);
    Ok(Plan { thinking: Some(Thinking::Enabled { budget_tokens }), ..still })
}

/// Anthropic answers 400 when thinking meets a forced call, and when a turn of tool calls that is still going on lacks
/// the thinking that led to them, as it does when the conversation comes from a dialect without signatures.
fn is_refused(request: &ChatRequest) -> bool {
    matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) || has_lost_thinking(request)
}

fn has_lost_thinking(request: &ChatRequest) -> bool {
    let turn: Vec<_> = request.messages.iter().rev().take_while(|message| message.role != Role::User).collect();
    let calls = |part: &Part| matches!(part, Part::ToolCall(_));
    let kept = |part: &Part| matches!(part, Part::Thinking { signature: Some(_), .. } | Part::RedactedThinking(_));
    let parts = || turn.iter().filter(|message| message.role == Role::Assistant).flat_map(|message| &message.parts);
    parts().any(calls) && !parts().any(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Message, Sampling, ToolCall};

    const OLD: &str = "claude-sonnet-4-5-20250929";
    const NEW: &str = "claude-opus-4-7";

    fn request(effort: &str, budget_tokens: Option<u64>, max_tokens: Option<u64>) -> ChatRequest {
        let effort = Some(effort.to_owned()).filter(|effort| !effort.is_empty());
        ChatRequest {
            reasoning: Some(Reasoning { enabled: None, effort, budget_tokens }),
            sampling: Sampling { max_tokens, ..Sampling::default() },
            ..ChatRequest::default()
        }
    }

    #[test]
    fn models_and_how_they_are_told() {
        for (model, want) in [
            ("claude-3-7-sonnet-latest", Style::Budget),
            ("claude-opus-4-20250514", Style::Budget),
            ("claude-opus-4-1", Style::Budget),
            ("claude-haiku-4-5", Style::Budget),
            ("anthropic/claude-sonnet-4.5", Style::Budget),
            ("anthropic/claude-sonnet-4", Style::Budget),
            ("claude-sonnet-4@20250514", Style::Budget),
            ("glm-4.6", Style::Budget),
            ("claude-opus-4-6", Style::Adaptive),
            ("claude-sonnet-5", Style::Adaptive),
            ("claude-opus-4-7-20260416", Style::Adaptive),
        ] {
            assert_eq!(Style::of(model), want, "{model}");
        }
    }

    #[test]
    fn budgets_fit_into_the_limit() {
        for (effort, budget, limit, want, want_limit) in [
            ("low", None, None, Some(2_048), 10_240),
            ("max", None, None, Some(23_552), 31_744),
            ("high", None, Some(4_096), Some(2_048), 4_096),
            ("high", None, Some(1_500), Some(1_024), 1_500),
            ("high", None, Some(1_024), None, 1_024),
            ("", Some(500), None, Some(1_024), 9_216),
            ("", Some(10_000), Some(4_000), Some(3_999), 4_000),
            ("", Some(10_000), Some(32_000), Some(10_000), 32_000),
        ] {
            let plan = plan(&request(effort, budget, limit), OLD).unwrap();
            assert_eq!(
                plan.thinking,
                want.map(|budget_tokens| Thinking::Enabled { budget_tokens }),
                "{effort} {limit:?}"
            );
            assert_eq!((plan.max_tokens, plan.effort), (want_limit, None), "{effort} {limit:?}");
        }
    }

    #[test]
    fn later_models_get_an_effort() {
        for (effort, budget, limit, want, want_limit) in [
            ("minimal", None, None, Some("low"), 9_216),
            ("xhigh", None, Some(100), Some("xhigh"), 100),
            ("", Some(6_000), Some(9_000), Some("medium"), 9_000),
            ("", None, None, None, 8_192),
        ] {
            let want = Plan { thinking: Some(Thinking::Adaptive), effort: want, max_tokens: want_limit };
            assert_eq!(plan(&request(effort, budget, limit), NEW).unwrap(), want, "{effort}");
        }
    }

    #[test]
    fn thinking_off_and_unknown_efforts() {
        for model in [OLD, NEW] {
            assert_eq!(plan(&request("none", None, None), model).unwrap().thinking, Some(Thinking::Disabled));
            assert_eq!(plan(&request("ultra", None, None), model).unwrap_err().field, "reasoning_effort");
            assert_eq!(plan(&ChatRequest::default(), model).unwrap().thinking, None);
        }
        let mut off = request("high", None, None);
        off.reasoning = Some(Reasoning { enabled: Some(false), ..Reasoning::default() });
        assert_eq!(plan(&off, OLD).unwrap().thinking, Some(Thinking::Disabled));
    }

    #[test]
    fn no_thinking_where_anthropic_refuses_it() {
        let mut forced = request("high", None, None);
        forced.tool_choice = Some(ToolChoice::Required);
        let call = Part::ToolCall(ToolCall { id: "a".to_owned(), name: "f".to_owned(), arguments: String::new() });
        let message = |role, parts| Message { role, parts, name: None };
        let mut lost = request("high", None, None);
        lost.messages = vec![
            message(Role::User, vec![]),
            message(Role::Assistant, vec![call.clone()]),
            message(Role::Tool, vec![]),
        ];
        for request in [&forced, &lost] {
            assert_eq!(plan(request, OLD).unwrap().thinking, None);
            let later = plan(request, NEW).unwrap();
            assert_eq!((later.thinking, later.effort), (None, Some("high")));
        }
        let mut kept = lost.clone();
        kept.messages[1].parts.insert(0, Part::Thinking { text: String::new(), signature: Some("s".to_owned()) });
        assert!(plan(&kept, OLD).unwrap().thinks());
        lost.messages.push(message(Role::Assistant, vec![]));
        lost.messages.push(message(Role::User, vec![]));
        assert!(plan(&lost, OLD).unwrap().thinks());
    }
}
