//! What the other modules share: small requests on every surface, and the place of the golden files.

use bytes::Bytes;
use domain::surface::Surface;
use wire::exchange::Ask;
use wire::reply::ReplyContext;

/// What a fixture is compared with, beside the fixture.
macro_rules! assert_golden {
    ($folder:literal, $name:expr, $text:expr) => {
        insta::with_settings!({
            snapshot_path => concat!("../../../../../tests/golden/", $folder),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_snapshot!($name, $text) })
    };
}
pub(crate) use assert_golden;

/// Names of the fixtures of a folder, and their text.
macro_rules! fixtures {
    ($folder:literal, $ending:literal: $($surface:ident $name:literal),* $(,)?) => {
        [$((
            Surface::$surface,
            $name,
            include_str!(concat!("../../../../../tests/golden/", $folder, "/", $name, $ending)),
        )),*]
    };
}
pub(crate) use fixtures;

/// Surfaces that a conversation's answer is written in.
pub(crate) const CHAT: [Surface; 5] = [
    Surface::OpenaiChat,
    Surface::OpenaiResponses,
    Surface::AnthropicMessages,
    Surface::OllamaChat,
    Surface::OllamaGenerate,
];

/// Surfaces that a raw continuation is written in.
pub(crate) const COMPLETION: [Surface; 2] = [Surface::OpenaiCompletions, Surface::OllamaGenerateRaw];

/// Surfaces that vectors are written in.
pub(crate) const EMBEDDING: [Surface; 3] = [Surface::OpenaiEmbeddings, Surface::OllamaEmbed, Surface::OllamaEmbeddings];

/// A small request on `near`.
pub(crate) fn ask(near: Surface, stream: bool) -> Ask {
    let body = match near {
        Surface::OpenaiCompletions => r#""prompt":"Hi""#,
        Surface::OpenaiEmbeddings => r#""input":"Hi","encoding_format":"base64""#,
        Surface::OpenaiResponses | Surface::OllamaEmbed => r#""input":"Hi""#,
        Surface::OllamaGenerate | Surface::OllamaEmbeddings => r#""prompt":"Hi""#,
        Surface::OllamaGenerateRaw => r#""prompt":"Hi","raw":true"#,
        Surface::AnthropicMessages => r#""max_tokens":64,"messages":[{"role":"user","content":"Hi"}]"#,
        Surface::OpenaiChat | Surface::AnthropicCountTokens | Surface::OllamaChat => {
            r#""messages":[{"role":"user","content":"Hi"}]"#
        }
    };
    read(near, &format!(r#"{{"model":"fast","stream":{stream},{body}}}"#))
}

/// A request on `near` that came as `body`.
pub(crate) fn read(near: Surface, body: &str) -> Ask {
    Ask::read(near, &Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

/// An answer to the model `fast` at a fixed time.
pub(crate) fn context(include_usage: bool) -> ReplyContext {
    ReplyContext { unique: "u1".to_owned(), model: "fast".to_owned(), created_ms: 1_750_000_000_000, include_usage }
}

/// JSON over several lines.
pub(crate) fn pretty(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}
