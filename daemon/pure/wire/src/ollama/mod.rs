//! The Ollama dialect: newline-delimited JSON, bare base64 pictures, tool arguments as objects, streams by default.

pub mod chat_request;
pub mod embed;
pub mod error;
pub mod generate;
pub mod load;
pub mod models;
pub mod reply;
pub mod stream;

mod arguments;
mod context;
mod line;
mod logprobs;
mod options;
mod picture;
mod read_messages;
mod write_messages;

pub use context::with_context;
pub use load::{Load, is_load_request};

/// Which of Ollama's two answer forms is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `/api/chat`: the text is in `message.content`.
    Chat,
    /// `/api/generate`: the text is in `response`.
    Generate,
}

/// A model's name without the tag that Ollama adds by itself: `qwen3:latest` becomes `qwen3`.
#[must_use]
pub fn canonical(name: &str) -> &str {
    name.strip_suffix(":latest").filter(|rest| !rest.is_empty()).unwrap_or(name)
}

/// Whether two names mean the same model: `qwen3` and `qwen3:latest` do.
#[must_use]
pub fn same_model(a: &str, b: &str) -> bool {
    canonical(a) == canonical(b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::Object;

    /// Bodies of every kind: each is read by every decoder below.
    const BODIES: [&str; 4] = [
        r#"{"model":"m","messages":[{"role":"assistant","content":"é","thinking":"t","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},{"role":"tool","content":"x","tool_name":"f","images":["iVBORw0KGgoAAAANSUhEUg=="]}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"options":{"stop":["x"],"num_predict":-1,"mirostat":2},"format":{},"think":"low","keep_alive":"0s"}"#,
        r#"{"model":"m","prompt":"p","suffix":"s","input":["a","b"],"images":["/9j/4AAQSkZJRgABAQ=="],"context":[1],"raw":true,"logprobs":true}"#,
        r#"{"model":"m","created_at":"2024-12-06T00:48:09Z","message":{"content":"é","tool_calls":[{"id":"","function":{}}]},"logprobs":[{"token":"a","top_logprobs":[{}]}],"done":true,"done_reason":"stop","eval_count":3,"embeddings":[[0.5]]}"#,
        r#"{"models":[{"name":"a","modified_at":"2024-12-06T00:48:09+01:00","size":1,"details":{"family":"x"}}],"model_info":{"general.architecture":"q","q.context_length":5},"parameters":"num_ctx 7","error":{"message":"x","code":1}}"#,
    ];

    fn read_as_everything(body: &[u8]) {
        if let Ok(object) = Object::of(body) {
            if let Ok(request) = chat_request::decode(&object) {
                let _ = chat_request::encode(&request, "up");
            }
            let _ = (generate::decode(&object), generate::is_raw(&object), is_load_request(&object, Form::Chat));
            if let Ok(request) = generate::decode_raw(&object) {
                let _ = generate::encode(&request, "up");
            }
            let _ = (embed::decode(&object), embed::decode_legacy(&object));
        }
        let _ = (reply::decode(body), embed::decode_reply(body), models::decode(body), models::decode_ps(body));
        let _ = models::decode_show(body, &mut domain::catalogue::ModelInfo::default());
        let _ = error::decode(500, body);
        let _ = stream::Decoder::default().line(body, &mut Vec::new());
    }

    proptest! {
        #[test]
        fn nothing_panics(
            body in 0..BODIES.len(),
            changes in proptest::collection::vec((0_usize..500, prop_oneof![any::<u8>(), Just(b'"'), Just(b'['), Just(b'0')]), 0..4),
        ) {
            let mut body = BODIES[body].as_bytes().to_vec();
            for (at, byte) in changes {
                let at = at % body.len();
                body[at] = byte;
            }
            read_as_everything(&body);
        }
    }

    #[test]
    fn the_tag_latest_may_be_left_out() {
        for (a, b, same) in [
            ("qwen3", "qwen3:latest", true),
            ("qwen3:latest", "qwen3:latest", true),
            ("qwen3:8b", "qwen3", false),
            ("box/qwen3:latest", "box/qwen3", true),
            (":latest", "", false),
        ] {
            assert_eq!(same_model(a, b), same, "{a} {b}");
        }
    }
}
