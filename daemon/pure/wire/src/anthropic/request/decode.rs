//! Reads a request.
//!
//! Members fall into three groups: those with a neutral field, those that do not change the answer and are passed
//! over ([`HARMLESS`]), and the rest, kept in `extra`. What Anthropic alone can do (server tools, documents, MCP
//! servers) goes into `extra` under its full path, which every encoder refuses.

use serde_json::{Map, Value};

use super::conversation::Conversation;
use crate::chat::{ChatRequest, Format, Reasoning, Sampling, Tool, ToolChoice};
use crate::json::Object;
use crate::malformed::Malformed;
use crate::members::{Members, read_all};

/// Members with a neutral field.
const CARRIED: [&str; 15] = [
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// Members that do not change the answer: caching, billing, attribution, speed, and the two that let Anthropic forget
/// old tool results when a conversation grows long (`context_management`, `compaction`): without them the upstream sees
/// more of it, not less.
const HARMLESS: [&str; 13] = [
    "anthropic_beta",
    "anthropic_version",
    "betas",
    "billing_policy",
    "cache_control",
    "compaction",
    "context_management",
    "diagnostics",
    "fallback_credit_token",
    "service_tier",
    "speed",
    "user_profile_id",
    "workspace_id",
];

/// Members that only Anthropic's servers can act on, with the path under which they are refused.
const ANTHROPIC_ONLY: [(&str, &str); 4] = [
    ("container", "container.id"),
    ("fallbacks", "fallbacks[0]"),
    ("mcp_servers", "mcp_servers[0]"),
    ("thread", "thread.id"),
];

/// Reads a message request.
///
/// # Errors
/// A member is missing (`model`, `messages`, `max_tokens`) or not what it should be.
pub fn decode(object: &Object) -> Result<ChatRequest, Malformed> {
    let request = conversation(object)?;
    match request.sampling.max_tokens {
        Some(_) => Ok(request),
        None => Err(Malformed::new("max_tokens", "this member is required")),
    }
}

/// Reads what message and token count requests have in common: everything, but `max_tokens` may be missing.
pub(in crate::anthropic) fn conversation(object: &Object) -> Result<ChatRequest, Malformed> {
    let map = read_all(object)?;
    let top = Members::top(&map);
    let model = top.need_text("model")?.to_owned();
    let mut conversation = Conversation::default();
    conversation.system(&top)?;
    conversation.messages(&top)?;
    let (messages, mut extra) = conversation.finish();
    let tools = tools(&top, &mut extra)?;
    let (tool_choice, parallel_tool_calls) = tool_choice(&top)?;
    let reasoning = reasoning(&top, &mut extra)?;
    let format = format(&top, &mut extra)?;
    keep_rest(&top, &mut extra);
    Ok(ChatRequest {
        model,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls,
        sampling: sampling(&top)?,
        format,
        reasoning,
        stream: top.flag("stream")?.unwrap_or(false),
        user: user(&top)?,
        extra,
    })
}

fn keep_rest(top: &Members<'_>, extra: &mut Map<String, Value>) {
    for (name, value) in top.iter() {
        if CARRIED.contains(&name) || HARMLESS.contains(&name) || value.as_array().is_some_and(Vec::is_empty) {
            continue;
        }
        let path = ANTHROPIC_ONLY.iter().find(|(known, _)| *known == name).map_or(name, |(_, path)| path);
        extra.insert(path.to_owned(), value.clone());
    }
}

fn sampling(top: &Members<'_>) -> Result<Sampling, Malformed> {
    Ok(Sampling {
        max_tokens: top.count("max_tokens")?,
        temperature: top.number("temperature")?,
        top_p: top.number("top_p")?,
        top_k: top.whole("top_k")?,
        stop: top.texts("stop_sequences")?.into_iter().map(str::to_owned).collect(),
        ..Sampling::default()
    })
}

fn user(top: &Members<'_>) -> Result<Option<String>, Malformed> {
    let Some(metadata) = top.object("metadata")? else { return Ok(None) };
    Ok(metadata.text("user_id")?.map(str::to_owned))
}

fn tools(top: &Members<'_>, extra: &mut Map<String, Value>) -> Result<Vec<Tool>, Malformed> {
    let mut tools = Vec::new();
    for member in top.objects("tools")? {
        tools.extend(tool(&member, extra)?);
    }
    Ok(tools)
}

/// Reads one tool; `None` for a tool that Anthropic runs or defines itself (`web_search_…`, `bash_…`).
fn tool(member: &Members<'_>, extra: &mut Map<String, Value>) -> Result<Option<Tool>, Malformed> {
    let kind = member.text("type")?.unwrap_or("custom");
    if kind != "custom" {
        extra.insert(member.at("type"), Value::from(kind));
        return Ok(None);
    }
    for (name, value) in member.iter() {
        let known = match name {
            // Sent to hide tools until a search finds them, or to stream arguments unchecked: both save time only.
            "cache_control" | "defer_loading" | "eager_input_streaming" => true,
            "type" | "name" | "description" | "input_schema" | "strict" => true,
            "allowed_callers" => value.as_array().is_some_and(|callers| callers.iter().all(|who| who == "direct")),
            _ => false,
        };
        if !known {
            extra.insert(member.at(name), value.clone());
        }
    }
    member.object("input_schema")?.ok_or_else(|| member.missing("input_schema"))?;
    Ok(Some(Tool {
        name: member.need_text("name")?.to_owned(),
        description: member.text("description")?.map(str::to_owned),
        parameters: member.value("input_schema").cloned(),
        strict: member.flag("strict")?,
    }))
}

fn tool_choice(top: &Members<'_>) -> Result<(Option<ToolChoice>, Option<bool>), Malformed> {
    let Some(member) = top.object("tool_choice")? else { return Ok((None, None)) };
    let choice = match member.need_text("type")? {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(member.need_text("name")?.to_owned()),
        _ => return Err(Malformed::new(member.at("type"), "`auto`, `any`, `tool` or `none` is expected")),
    };
    Ok((Some(choice), member.flag("disable_parallel_tool_use")?.map(|disabled| !disabled)))
}

/// Reads `thinking` and `output_config.effort`.
///
/// `adaptive` leaves it to the model whether it thinks: [`Reasoning`] with nothing set. Upstreams without reasoning
/// refuse to be told to think, and Claude Code sends `adaptive` with every request.
fn reasoning(top: &Members<'_>, extra: &mut Map<String, Value>) -> Result<Option<Reasoning>, Malformed> {
    let effort = match top.object("output_config")? {
        Some(config) => config.text("effort")?.map(str::to_owned),
        None => None,
    };
    let Some(thinking) = top.object("thinking")? else {
        return Ok(effort.map(|effort| Reasoning { effort: Some(effort), ..Reasoning::default() }));
    };
    let (enabled, budget_tokens) = match thinking.need_text("type")? {
        "enabled" => {
            (Some(true), Some(thinking.count("budget_tokens")?.ok_or_else(|| thinking.missing("budget_tokens"))?))
        }
        "adaptive" => (None, None),
        "disabled" | "between_tools" => (Some(false), None),
        unknown => {
            extra.insert(thinking.at("type"), Value::from(unknown));
            (None, None)
        }
    };
    Ok(Some(Reasoning { enabled, effort, budget_tokens }))
}

/// Reads the form of the answer: `output_config.format`, or `output_format` as older clients write it.
fn format(top: &Members<'_>, extra: &mut Map<String, Value>) -> Result<Option<Format>, Malformed> {
    let mut member = top.object("output_format")?;
    if let Some(config) = top.object("output_config")? {
        for (name, value) in config.iter().filter(|(name, _)| !matches!(*name, "effort" | "format")) {
            extra.insert(config.at(name), value.clone());
        }
        member = config.object("format")?.or(member);
    }
    let Some(member) = member else { return Ok(None) };
    if member.need_text("type")? != "json_schema" {
        return Err(Malformed::new(member.at("type"), "`json_schema` is expected"));
    }
    let schema = member.value("schema").ok_or_else(|| member.missing("schema"))?.clone();
    // Anthropic holds the model to the schema, which is what OpenAI calls strict.
    Ok(Some(Format::JsonSchema { name: None, schema, strict: Some(true) }))
}
