//! Members without a neutral field: collected when reading, forwarded or refused when writing.

use serde_json::{Map, Value};

use crate::json::Object;
use crate::malformed::{Malformed, Uncarried};

/// Members that change nothing in the answer: bookkeeping of clouds, caches and clients, and what the gateway itself
/// reads (`models`, `route`).
const HARMLESS: [&str; 20] = [
    "metadata",
    "store",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "cache_control",
    "keep_alive",
    "prediction",
    "stream_options",
    "include_reasoning",
    "session_id",
    "trace",
    "models",
    "route",
    "cache_prompt",
    "id_slot",
    "timings_per_token",
    "return_progress",
    "tags",
];

/// Top-level members that are neither in `known` nor harmless nor null.
pub(super) fn collect(object: &Object, known: &[&str]) -> Result<Map<String, Value>, Malformed> {
    let mut extra = Map::new();
    for (name, _) in object.members() {
        if known.contains(&name) || HARMLESS.contains(&name) {
            continue;
        }
        if let Some(value) = object.get::<Value>(name)?.filter(|value| !is_nothing(value)) {
            extra.insert(name.to_owned(), value);
        }
    }
    Ok(extra)
}

/// Null and empty lists, which some clients write for what they do not use.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// Adds unknown members to a finished body. Those the client's decoder marked with a path have no counterpart here, and
/// none takes the place of a member that is made from the others.
pub(super) fn forward(extra: &Map<String, Value>, body: &mut Map<String, Value>) -> Result<(), Uncarried> {
    for (name, value) in extra {
        if name.contains(['[', '.']) {
            return Err(Uncarried::new(name, "this upstream's OpenAI dialect has no counterpart"));
        }
        if body.contains_key(name) {
            return Err(Uncarried::new(name, "OpenAI's member of that name is made from the other members"));
        }
        body.insert(name.clone(), value.clone());
    }
    Ok(())
}

/// Takes a member out of a map; null counts as absent.
pub(super) fn take(map: &mut Map<String, Value>, name: &str) -> Option<Value> {
    map.shift_remove(name).filter(|value| !value.is_null())
}

/// Takes a text out of a map; null counts as absent.
pub(super) fn take_text(map: &mut Map<String, Value>, name: &str, at: &str) -> Result<Option<String>, Malformed> {
    match take(map, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Malformed::new(format!("{at}.{name}"), "a string is expected")),
    }
}

/// Takes a text out of a map that must be there.
pub(super) fn need_text(map: &mut Map<String, Value>, name: &str, at: &str) -> Result<String, Malformed> {
    take_text(map, name, at)?.ok_or_else(|| Malformed::new(format!("{at}.{name}"), "this member is required"))
}

/// Takes an object out of a map; null counts as absent.
pub(super) fn take_object(
    map: &mut Map<String, Value>,
    name: &str,
    at: &str,
) -> Result<Option<Map<String, Value>>, Malformed> {
    take(map, name).map(|value| object(value, &format!("{at}.{name}"))).transpose()
}

/// Reads a value as an object.
pub(super) fn object(value: Value, at: &str) -> Result<Map<String, Value>, Malformed> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Malformed::new(at, "an object is expected"))
        }
    }
}

/// Notes what is left of a nested object under its path, so that no encoder loses it in silence.
pub(super) fn leftovers(map: Map<String, Value>, at: &str, harmless: &[&str], extra: &mut Map<String, Value>) {
    for (name, value) in map {
        if !is_nothing(&value) && !harmless.contains(&name.as_str()) {
            extra.insert(format!("{at}.{name}"), value);
        }
    }
}

/// Sets a member where there is a value.
pub(super) fn put<T: Into<Value>>(body: &mut Map<String, Value>, name: &str, value: Option<T>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}
