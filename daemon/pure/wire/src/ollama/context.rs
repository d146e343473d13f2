//! The context that a request asks for.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::json::Object;

/// Sets `options.num_ctx` of a body for Ollama, unless the client has chosen one.
#[must_use]
pub fn with_context(body: Bytes, tokens: u64) -> Bytes {
    let set = || {
        let mut object = Object::parse(&body).ok()?;
        let mut options: Map<String, Value> = object.get("options").ok()?.unwrap_or_default();
        if options.get("num_ctx").is_some_and(|chosen| !chosen.is_null()) {
            return None;
        }
        options.insert("num_ctx".to_owned(), tokens.into());
        object.set("options", &options);
        Some(object.to_bytes())
    };
    set().unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_own_choice_stands() {
        for (body, want) in [
            (r#"{"model":"m"}"#, r#"{"model":"m","options":{"num_ctx":8192}}"#),
            (r#"{"options":{"seed":1}}"#, r#"{"options":{"seed":1,"num_ctx":8192}}"#),
            (r#"{"options":{"num_ctx":null}}"#, r#"{"options":{"num_ctx":8192}}"#),
            (r#"{"options":{"num_ctx":2048}}"#, r#"{"options":{"num_ctx":2048}}"#),
            (r#"{"options":7}"#, r#"{"options":7}"#),
        ] {
            assert_eq!(with_context(Bytes::from_static(body.as_bytes()), 8_192), want);
        }
    }
}
