//! Writes a request for an upstream that speaks Anthropic's dialect.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::block::Block;
use super::thinking::{Plan, Thinking, plan};
use super::turns::{Turn, turns};
use crate::chat::{ChatRequest, Format, Sampling, Tool, ToolChoice};
use crate::malformed::Uncarried;

/// `max_tokens` for clients that give none, where Anthropic demands one: what every Claude model since 3.5 accepts.
/// A thinking budget comes on top.
pub const MAX_TOKENS_DEFAULT: u64 = 8_192;

#[derive(Debug, Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<i64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    output_config: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

/// Writes the body for an upstream whose name for the model is `model`.
///
/// # Errors
/// The request holds something that would change the answer and that Anthropic cannot do.
pub fn encode(request: &ChatRequest, model: &str) -> Result<Vec<u8>, Uncarried> {
    // First, because a message may be empty for want of what only Anthropic's dialect holds.
    let extra = checked(&request.extra)?;
    refuse(&request.sampling)?;
    let plan = plan(request, model)?;
    let turns = turns(&request.messages)?;
    let sampling = Sampled::of(&request.sampling, &plan, model)?;
    let body = Body {
        model,
        max_tokens: plan.max_tokens,
        system: turns.system,
        messages: turns.messages,
        tools: tools(&request.tools)?,
        tool_choice: tool_choice(request)?,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        top_k: sampling.top_k,
        stop_sequences: &request.sampling.stop,
        thinking: plan.thinking,
        output_config: output_config(request.format.as_ref(), &plan)?,
        metadata: request.user.as_deref().filter(|user| is_accepted(user)).map(|user| json!({ "user_id": user })),
        stream: request.stream,
        extra,
    };
    serde_json::to_vec(&body).map_err(|error| Uncarried::new("body", error.to_string()))
}

/// Refuses what would change the answer; values that change nothing pass.
fn refuse(sampling: &Sampling) -> Result<(), Uncarried> {
    let is = |value: Option<f64>, without_effect: f64| value.is_none_or(|value| value == without_effect);
    let empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
    for (field, passes) in [
        ("frequency_penalty", is(sampling.frequency_penalty, 0.0)),
        ("presence_penalty", is(sampling.presence_penalty, 0.0)),
        ("repeat_penalty", is(sampling.repeat_penalty, 1.0)),
        ("min_p", is(sampling.min_p, 0.0)),
        ("seed", sampling.seed.is_none()),
        ("n", sampling.n.is_none_or(|n| n == 1)),
        ("logprobs", sampling.logprobs != Some(true)),
        ("top_logprobs", sampling.top_logprobs.is_none_or(|count| count == 0)),
        ("logit_bias", sampling.logit_bias.as_ref().is_none_or(empty)),
    ] {
        if !passes {
            return Err(Uncarried::new(field, "Anthropic has no counterpart"));
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Sampled {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
}

impl Sampled {
    /// Claude's own defaults are left out, because some Claudes refuse `temperature` and `top_p` side by side, the latest
    /// refuse both, and OpenAI's clients send the defaults by habit. While a Claude thinks, Anthropic fixes the
    /// temperature and `top_k` and accepts `top_p` from 0.95 on.
    fn of(sampling: &Sampling, plan: &Plan, model: &str) -> Result<Self, Uncarried> {
        const TOP_P_THINKING_MIN: f64 = 0.95;
        let is_claude = model.contains("claude");
        let needed = |value: &f64| *value != 1.0 || !is_claude;
        let sampled = Self {
            temperature: sampling.temperature.filter(needed),
            top_p: sampling.top_p.filter(needed),
            top_k: sampling.top_k.filter(|top_k| *top_k > 0 || !is_claude),
        };
        if !plan.thinks() || !is_claude {
            return Ok(sampled);
        }
        for (field, passes) in [
            ("temperature", sampled.temperature.is_none()),
            ("top_k", sampled.top_k.is_none()),
            ("top_p", sampled.top_p.is_none_or(|top_p| top_p >= TOP_P_THINKING_MIN)),
        ] {
            if !passes {
                return Err(Uncarried::new(field, "Anthropic does not let it be chosen while a Claude thinks"));
            }
        }
        Ok(sampled)
    }
}

fn tools(tools: &[Tool]) -> Result<Vec<Value>, Uncarried> {
    tools.iter().enumerate().map(|(position, tool)| written(tool, position)).collect()
}

fn written(tool: &Tool, position: usize) -> Result<Value, Uncarried> {
    let mut schema = match &tool.parameters {
        None => Map::new(),
        Some(Value::Object(schema)) => schema.clone(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err(Uncarried::new(format!("tools[{position}].parameters"), "Anthropic wants a schema object"));
        }
    };
    schema.entry("type").or_insert_with(|| json!("object"));
    let mut value = json!({ "name": tool.name });
    if let Some(description) = &tool.description {
        value["description"] = json!(description);
    }
    value["input_schema"] = Value::Object(schema);
    if tool.strict == Some(true) {
        value["strict"] = json!(true);
    }
    Ok(value)
}

/// Writes `tool_choice`, which holds the ban on parallel calls too. Anthropic refuses it in a request without tools,
/// where "auto" and "none" come to the same.
fn tool_choice(request: &ChatRequest) -> Result<Option<Value>, Uncarried> {
    if request.tools.is_empty() {
        return match &request.tool_choice {
            Some(ToolChoice::Required | ToolChoice::Named(_)) => {
                Err(Uncarried::new("tool_choice", "the request has no tools to call"))
            }
            None | Some(ToolChoice::Auto | ToolChoice::None) => Ok(None),
        };
    }
    let single = request.parallel_tool_calls == Some(false);
    let mut choice = match &request.tool_choice {
        None if single => json!({ "type": "auto" }),
        None => return Ok(None),
        Some(ToolChoice::Auto) => json!({ "type": "auto" }),
        Some(ToolChoice::None) => return Ok(Some(json!({ "type": "none" }))),
        Some(ToolChoice::Required) => json!({ "type": "any" }),
        Some(ToolChoice::Named(name)) => json!({ "type": "tool", "name": name }),
    };
    if single {
        choice["disable_parallel_tool_use"] = json!(true);
    }
    Ok(Some(choice))
}

fn output_config(format: Option<&Format>, plan: &Plan) -> Result<Map<String, Value>, Uncarried> {
    let mut config = Map::new();
    if let Some(effort) = plan.effort {
        config.insert("effort".to_owned(), json!(effort));
    }
    match format {
        None | Some(Format::Text) => {}
        Some(Format::JsonObject) => {
            return Err(Uncarried::new("response_format", "Anthropic gives JSON for a schema only: use json_schema"));
        }
        Some(Format::JsonSchema { schema, .. }) => {
            config.insert("format".to_owned(), json!({ "type": "json_schema", "schema": schema }));
        }
    }
    Ok(config)
}

/// Anthropic refuses requests whose user looks like a mail address or a telephone number, and servers that copy its API
/// those with other letters than these. The name does not change the answer, so it stays behind.
fn is_accepted(user: &str) -> bool {
    const BYTES_MAX: usize = 128;
    let plain = user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    plain && user.bytes().any(|byte| byte.is_ascii_alphabetic()) && user.len() <= BYTES_MAX
}

/// Lets unknown members pass, which Anthropic checks itself, unless they belong to another dialect's inside or repeat
/// a member that is written anyway.
fn checked(extra: &Map<String, Value>) -> Result<&Map<String, Value>, Uncarried> {
    const WRITTEN: [&str; 14] = [
        "model",
        "max_tokens",
        "system",
        "messages",
        "tools",
        "tool_choice",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "thinking",
        "output_config",
        "metadata",
        "stream",
    ];
    for name in extra.keys() {
        if name.contains(['[', '.']) {
            return Err(Uncarried::new(name, "the upstream's dialect has no counterpart"));
        }
        if WRITTEN.contains(&name.as_str()) {
            return Err(Uncarried::new(name, "Anthropic's member of that name is made from the other members"));
        }
    }
    Ok(extra)
}
