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
mod line;
mod logprobs;
mod options;
mod picture;
mod read_messages;
mod write_messages;

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
    use super::*;

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
