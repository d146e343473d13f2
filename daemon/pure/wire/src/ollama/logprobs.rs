//! Log-probabilities: a bare list here, an object with `content` in the neutral words (OpenAI's form).

use serde_json::{Value, json};

/// From Ollama's list to OpenAI's object, with the members that OpenAI's clients insist on.
pub(super) fn decode(tokens: Vec<Value>) -> Option<Value> {
    if tokens.is_empty() {
        return None;
    }
    let tokens: Vec<Value> = tokens.into_iter().map(|token| complete(token, true)).collect();
    Some(json!({ "content": tokens, "refusal": null }))
}

fn complete(mut token: Value, with_alternatives: bool) -> Value {
    if let Some(map) = token.as_object_mut() {
        map.entry("bytes").or_insert(Value::Null);
        if with_alternatives {
            let alternatives = map.entry("top_logprobs").or_insert_with(|| json!([]));
            let list = alternatives.as_array_mut().map(std::mem::take).unwrap_or_default();
            *alternatives = list.into_iter().map(|token| complete(token, false)).collect();
        }
    }
    token
}

/// From OpenAI's object to Ollama's list.
pub(super) fn encode(logprobs: Option<&Value>) -> Option<Value> {
    logprobs?.get("content").filter(|content| content.as_array().is_some_and(|tokens| !tokens.is_empty())).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let list = json!([{"token": "a", "logprob": -0.1, "top_logprobs": [{"token": "b", "logprob": -2.0}]},
                          {"token": "c", "logprob": -0.3}]);
        let object = decode(list.as_array().unwrap().clone()).unwrap();
        assert_eq!(
            object,
            json!({"content": [
                {"token": "a", "logprob": -0.1, "top_logprobs": [{"token": "b", "logprob": -2.0, "bytes": null}], "bytes": null},
                {"token": "c", "logprob": -0.3, "bytes": null, "top_logprobs": []}], "refusal": null})
        );
        assert_eq!(encode(Some(&object)).unwrap()[1]["token"], "c");
        assert_eq!(encode(Some(&json!({"content": null}))), None);
        assert_eq!(decode(Vec::new()), None);
    }
}
