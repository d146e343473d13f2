//! Log-probabilities of legacy completions: lists side by side here, an object for each token in the neutral words
//! (the form of chat completions, which llama.cpp writes here too).

use serde_json::{Map, Value, json};

/// From the lists to objects. What is not made of such lists stays as it came; a token without a number, as the first
/// of an echoed prompt is, is left out.
pub(super) fn neutral(lists: Value) -> Value {
    let list = |name: &str| lists.get(name).and_then(Value::as_array);
    let (Some(tokens), Some(numbers)) = (list("tokens"), list("token_logprobs")) else { return lists };
    let alternatives = list("top_logprobs");
    let content: Vec<Value> = tokens
        .iter()
        .zip(numbers)
        .enumerate()
        .filter(|(_, (_, number))| number.is_number())
        .map(|(position, (token, number))| {
            let others = alternatives.and_then(|list| list.get(position)?.as_object());
            let others: Vec<Value> =
                others.into_iter().flatten().map(|(token, number)| scored(token, number)).collect();
            let mut entry = scored(token.as_str().unwrap_or_default(), number);
            entry["top_logprobs"] = others.into();
            entry
        })
        .collect();
    json!({ "content": content, "refusal": null })
}

fn scored(token: &str, number: &Value) -> Value {
    json!({ "token": token, "logprob": number, "bytes": null })
}

/// From objects to the lists. `offset` is the number of characters of the text before.
pub(super) fn lists(neutral: &Value, mut offset: usize) -> Value {
    let Some(content) = neutral.get("content").and_then(Value::as_array) else { return neutral.clone() };
    let (mut tokens, mut numbers, mut others, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for entry in content {
        let token = entry.get("token").and_then(Value::as_str).unwrap_or_default();
        offsets.push(offset);
        offset = offset.saturating_add(token.chars().count());
        tokens.push(token);
        numbers.push(entry.get("logprob").cloned().unwrap_or_default());
        others.push(alternatives(entry));
    }
    json!({ "tokens": tokens, "token_logprobs": numbers, "top_logprobs": others, "text_offset": offsets })
}

fn alternatives(entry: &Value) -> Map<String, Value> {
    let list = entry.get("top_logprobs").and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|other| Some((other.get("token")?.as_str()?.to_owned(), other.get("logprob")?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let written = json!({"tokens": ["é", " b"], "token_logprobs": [-0.5, -0.25],
            "top_logprobs": [{"é": -0.5, "e": -2.0}, {}], "text_offset": [7, 8]});
        let read = neutral(written.clone());
        assert_eq!(read["content"][0]["top_logprobs"][1], json!({"token": "e", "logprob": -2.0, "bytes": null}));
        assert_eq!(lists(&read, 7), written);
    }

    #[test]
    fn odd_forms() {
        let echoed = json!({"tokens": ["a", "b"], "token_logprobs": [null, -0.5], "top_logprobs": null});
        assert_eq!(
            neutral(echoed)["content"],
            json!([{"token": "b", "logprob": -0.5, "bytes": null, "top_logprobs": []}])
        );
        for other in [json!({"tokens": ["a"]}), json!({"content": null}), json!(3)] {
            assert_eq!((neutral(other.clone()), lists(&other, 0)), (other.clone(), other));
        }
    }
}
