//! Tool arguments: text in the neutral words, an object here.

use serde_json::{Map, Value};

/// Reads arguments that a model wrote as an object. Some servers wrap them in one more string; text that is no object
/// is kept whole under `_invalid`, so that the tool refuses it and the model sees what it wrote.
pub(super) fn object(text: &str) -> Map<String, Value> {
    if text.trim().is_empty() {
        return Map::new();
    }
    let read = match serde_json::from_str(text) {
        Ok(Value::String(inner)) => serde_json::from_str(&inner),
        other => other,
    };
    match read {
        Ok(Value::Object(map)) => map,
        _ => Map::from_iter([("_invalid".to_owned(), text.into())]),
    }
}

/// Writes an object as text; servers that send text are understood too.
pub(super) fn text(arguments: Option<&Value>) -> String {
    match arguments {
        None | Some(Value::Null) => "{}".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whatever_a_model_writes_becomes_an_object() {
        for (written, want) in [
            (r#"{"a": 1}"#, json!({"a": 1})),
            ("", json!({})),
            (r#""{\"a\": 1}""#, json!({"a": 1})),
            (r#"{"a": "#, json!({"_invalid": "{\"a\": "})),
            ("[1]", json!({"_invalid": "[1]"})),
            ("null", json!({"_invalid": "null"})),
        ] {
            assert_eq!(Value::from(object(written)), want, "{written}");
        }
        assert_eq!(text(Some(&json!({"a": [1, 2.5]}))), r#"{"a":[1,2.5]}"#);
        assert_eq!(text(Some(&json!("{}"))), "{}");
        assert_eq!(text(None), "{}");
    }
}
