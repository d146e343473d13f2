//! Functions that the model may or must call.

use serde_json::{Map, Value, json};

use crate::chat::{ChatRequest, Tool, ToolChoice};
use crate::json::Object;
use crate::malformed::Malformed;
use crate::openai::extra::{leftovers, need_text, object, put, take, take_object, take_text};

/// Reads `tools` and the older `functions`. Tools that are no functions go to `extra` as `tools[2].type`.
pub(super) fn decode(client: &Object, extra: &mut Map<String, Value>) -> Result<Vec<Tool>, Malformed> {
    let mut tools = Vec::new();
    for (index, tool) in client.get::<Vec<Value>>("tools")?.unwrap_or_default().into_iter().enumerate() {
        let at = format!("tools[{index}]");
        let mut map = object(tool, &at)?;
        let kind = take_text(&mut map, "type", &at)?.unwrap_or_else(|| "function".to_owned());
        if kind != "function" {
            extra.insert(format!("{at}.type"), kind.into());
            continue;
        }
        let place = format!("{at}.function");
        let form =
            take_object(&mut map, "function", &at)?.ok_or_else(|| Malformed::new(&place, "this member is required"))?;
        tools.push(function(form, &place, extra)?);
        leftovers(map, &at, &["cache_control"], extra);
    }
    for (index, form) in client.get::<Vec<Value>>("functions")?.unwrap_or_default().into_iter().enumerate() {
        let at = format!("functions[{index}]");
        tools.push(function(object(form, &at)?, &at, extra)?);
    }
    Ok(tools)
}

fn function(mut form: Map<String, Value>, at: &str, extra: &mut Map<String, Value>) -> Result<Tool, Malformed> {
    let strict = take(&mut form, "strict")
        .map(|value| value.as_bool().ok_or_else(|| Malformed::new(format!("{at}.strict"), "a boolean is expected")))
        .transpose()?;
    let tool = Tool {
        name: need_text(&mut form, "name", at)?,
        description: take_text(&mut form, "description", at)?,
        parameters: take_object(&mut form, "parameters", at)?.map(Value::Object),
        strict,
    };
    leftovers(form, at, &["cache_control"], extra);
    Ok(tool)
}

/// Reads `tool_choice` and the older `function_call`.
pub(super) fn decode_choice(client: &Object, extra: &mut Map<String, Value>) -> Result<Option<ToolChoice>, Malformed> {
    let at = "tool_choice";
    match client.get::<Value>(at)? {
        None => {}
        Some(Value::String(word)) => {
            return match word.as_str() {
                "auto" => Ok(Some(ToolChoice::Auto)),
                "none" => Ok(Some(ToolChoice::None)),
                "required" | "any" => Ok(Some(ToolChoice::Required)),
                _ => Err(Malformed::new(at, "auto, none, required or an object is expected")),
            };
        }
        Some(value) => {
            let mut map = object(value, at)?;
            let kind = take_text(&mut map, "type", at)?.unwrap_or_else(|| "function".to_owned());
            if kind != "function" {
                extra.insert(format!("{at}.{kind}"), Value::Object(map));
                return Ok(None);
            }
            let place = format!("{at}.function");
            let mut form = take_object(&mut map, "function", at)?
                .ok_or_else(|| Malformed::new(&place, "this member is required"))?;
            return need_text(&mut form, "name", &place).map(ToolChoice::Named).map(Some);
        }
    }
    let at = "function_call";
    match client.get::<Value>(at)? {
        None => Ok(None),
        Some(Value::String(word)) if word == "auto" => Ok(Some(ToolChoice::Auto)),
        Some(Value::String(word)) if word == "none" => Ok(Some(ToolChoice::None)),
        Some(value) => need_text(&mut object(value, at)?, "name", at).map(ToolChoice::Named).map(Some),
    }
}

/// Writes tools, choice and parallel calls. Without tools the other two are left out where that means the same:
/// OpenAI refuses them then.
pub(super) fn encode(request: &ChatRequest, body: &mut Map<String, Value>) {
    let without = request.tools.is_empty();
    if !without {
        let tools: Vec<Value> = request.tools.iter().map(tool).collect();
        body.insert("tools".to_owned(), tools.into());
        put(body, "parallel_tool_calls", request.parallel_tool_calls);
    }
    let choice = match &request.tool_choice {
        None => return,
        Some(ToolChoice::Auto | ToolChoice::None) if without => return,
        Some(ToolChoice::Auto) => "auto".into(),
        Some(ToolChoice::None) => "none".into(),
        Some(ToolChoice::Required) => "required".into(),
        Some(ToolChoice::Named(name)) => json!({ "type": "function", "function": { "name": name } }),
    };
    body.insert("tool_choice".to_owned(), choice);
}

fn tool(tool: &Tool) -> Value {
    let mut form = Map::new();
    form.insert("name".to_owned(), tool.name.as_str().into());
    put(&mut form, "description", tool.description.clone());
    // Some local servers fail on a function without a schema, OpenAI on an object of which no members are named.
    let mut parameters = tool.parameters.clone().unwrap_or_else(|| json!({ "type": "object" }));
    if parameters["type"] == "object"
        && let Some(schema) = parameters.as_object_mut()
    {
        schema.entry("properties").or_insert_with(|| json!({}));
    }
    form.insert("parameters".to_owned(), parameters);
    put(&mut form, "strict", tool.strict);
    json!({ "type": "function", "function": form })
}
