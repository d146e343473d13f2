//! What an answer repeats of its request.

use serde_json::{Map, Value, json};

use crate::json::Object;
use crate::malformed::Malformed;
use crate::members;

/// The request's members that every answer repeats, with the defaults of those that were left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Echo {
    members: Map<String, Value>,
}

impl Echo {
    /// Takes over what answers repeat.
    ///
    /// # Errors
    /// A member is no JSON that can be held, like a number that is too large.
    pub fn of(object: &Object) -> Result<Self, Malformed> {
        let mut request = members::read_all(object)?;
        let mut members = Map::new();
        for (name, default) in defaults() {
            members.insert(name.to_owned(), request.remove(name).unwrap_or(default));
        }
        if let Some(Value::Array(tools)) = members.get_mut("tools") {
            for tool in tools.iter_mut().filter_map(Value::as_object_mut) {
                // Some clients' types have no default for these two.
                tool.entry("parameters").or_insert(Value::Null);
                tool.entry("strict").or_insert(false.into());
            }
        }
        // Nothing is kept, whatever was asked for.
        members.insert("store".to_owned(), false.into());
        Ok(Self { members })
    }

    /// Writes the members into an answer.
    pub(super) fn write_to(&self, response: &mut Map<String, Value>) {
        if self.members.is_empty() {
            response.extend(defaults().into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        response.extend(self.members.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

fn defaults() -> [(&'static str, Value); 17] {
    [
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("max_tool_calls", Value::Null),
        ("metadata", json!({})),
        ("parallel_tool_calls", true.into()),
        ("previous_response_id", Value::Null),
        ("prompt_cache_key", Value::Null),
        ("reasoning", json!({"effort": null, "summary": null})),
        ("safety_identifier", Value::Null),
        ("temperature", Value::Null),
        ("text", json!({"format": {"type": "text"}})),
        ("tool_choice", "auto".into()),
        ("tools", json!([])),
        ("top_logprobs", 0.into()),
        ("top_p", Value::Null),
        ("truncation", "disabled".into()),
        ("user", Value::Null),
    ]
}
