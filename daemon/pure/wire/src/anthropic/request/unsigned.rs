//! Earlier reasoning without a signature, on its way to a Claude.
//!
//! It stands in conversations that another upstream took part in, whose answers Airlane had to give to the client with
//! an empty signature. A Claude refuses the whole request for it.

use serde_json::Value;

use crate::json::Object;
use crate::malformed::Malformed;

/// Takes unsigned reasoning out of a request for a Claude.
///
/// Where it led to the tool calls that are being answered, `thinking` goes too: a Claude that thinks refuses such calls
/// without the reasoning before them.
///
/// # Errors
/// `messages` is no list.
pub fn drop_unsigned(object: &mut Object) -> Result<(), Malformed> {
    if !object.raw("messages").is_some_and(has_empty_signature) {
        return Ok(());
    }
    let mut messages: Vec<Value> = object.need("messages")?;
    for message in &mut messages {
        if let Some(Value::Array(blocks)) = message.get_mut("content") {
            blocks.retain(|block| !is_unsigned(block));
        }
    }
    // Claude refuses messages without content as well.
    messages.retain(|message| message.get("content").and_then(Value::as_array).is_none_or(|blocks| !blocks.is_empty()));
    if has_lost_thinking(&messages) {
        object.remove("thinking");
    }
    object.set("messages", &messages);
    Ok(())
}

/// A cheap look before all messages are read: `"signature": ""`.
fn has_empty_signature(messages: &str) -> bool {
    const NAME: &str = "\"signature\"";
    memchr::memmem::find_iter(messages.as_bytes(), NAME).any(|at| {
        let rest = messages.get(at + NAME.len()..).unwrap_or_default().trim_start();
        rest.strip_prefix(':').is_some_and(|value| value.trim_start().starts_with("\"\""))
    })
}

fn is_unsigned(block: &Value) -> bool {
    is(block, "thinking") && block.get("signature").and_then(Value::as_str).is_none_or(str::is_empty)
}

fn is(block: &Value, kind: &str) -> bool {
    block.get("type").is_some_and(|found| found == kind)
}

/// Whether the turn that is still going on holds calls and no reasoning.
fn has_lost_thinking(messages: &[Value]) -> bool {
    let blocks = |message: &Value| message.get("content").and_then(Value::as_array).cloned().unwrap_or_default();
    let only_results = |message: &Value| {
        let blocks = blocks(message);
        !blocks.is_empty() && blocks.iter().all(|block| is(block, "tool_result"))
    };
    let has_role = |message: &Value, role: &str| message.get("role").is_some_and(|found| found == role);
    let turn = messages.iter().rev().take_while(|message| has_role(message, "assistant") || only_results(message));
    let said: Vec<Value> = turn.filter(|message| has_role(message, "assistant")).flat_map(blocks).collect();
    said.iter().any(|block| is(block, "tool_use"))
        && !said.iter().any(|block| is(block, "thinking") || is(block, "redacted_thinking"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn dropped(messages: &Value) -> Map<String, Value> {
        let body = json!({"model": "m", "thinking": {"type": "adaptive"}, "messages": messages}).to_string();
        let mut object = Object::of(body.as_bytes()).unwrap();
        drop_unsigned(&mut object).unwrap();
        serde_json::from_slice(&object.to_bytes()).unwrap()
    }

    fn thinking(signature: &str) -> Value {
        json!({"type": "thinking", "thinking": "hm", "signature": signature})
    }

    #[test]
    fn only_unsigned_reasoning_goes() {
        let text = json!({"type": "text", "text": "a", "x": 1.5});
        let user = json!({"role": "user", "content": "\"signature\":\"\""});
        let said = |blocks: Value| json!({"role": "assistant", "content": blocks});
        for (blocks, want) in [
            (json!([thinking(""), text]), Some(json!([text]))),
            (json!([thinking("s"), thinking(""), text]), Some(json!([thinking("s"), text]))),
            (json!([thinking("")]), None),
            (json!([thinking("s"), text]), Some(json!([thinking("s"), text]))),
        ] {
            let body = dropped(&json!([user, said(blocks), user]));
            let want: Vec<Value> =
                [Some(user.clone()), want.map(said), Some(user.clone())].into_iter().flatten().collect();
            assert_eq!((&body["messages"], &body["thinking"]), (&Value::from(want), &json!({"type": "adaptive"})));
        }
    }

    #[test]
    fn a_turn_that_lost_its_reasoning_goes_on_without() {
        let call = json!({"type": "tool_use", "id": "a", "name": "f", "input": {}});
        let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]});
        let user = json!({"role": "user", "content": "x"});
        for (blocks, more, thinks) in [
            (json!([thinking(""), call]), vec![result.clone()], false),
            (json!([thinking("s"), thinking(""), call]), vec![result.clone()], true),
            (json!([thinking(""), call]), vec![result, user.clone()], true),
        ] {
            let said = json!({"role": "assistant", "content": blocks});
            let messages: Vec<Value> = [user.clone(), said].into_iter().chain(more).collect();
            assert_eq!(dropped(&Value::from(messages)).contains_key("thinking"), thinks, "{blocks}");
        }
    }

    #[test]
    fn requests_without_it_are_not_touched() {
        let body = br#"{"messages": [ {"role":"assistant","content":[{"type":"thinking","thinking":"","signature" : "s"}]} ]}"#;
        let mut object = Object::of(body).unwrap();
        let before = object.to_bytes();
        drop_unsigned(&mut object).unwrap();
        assert_eq!(object.to_bytes(), before);
    }
}
