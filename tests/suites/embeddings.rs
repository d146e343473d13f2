//! Vectors: the SDKs ask for base64 by default, many servers only know numbers.

use airlane_tests::fake::{Script, vector, vector_base64};
use serde_json::json;

use crate::common::pair;

#[test]
fn base64_is_made_where_the_upstream_only_knows_numbers() {
    for (kind, floats_only) in [("openai", false), ("openai", true), ("ollama", false)] {
        let (fake, daemon) = pair(kind);
        fake.answer(Script { floats_only, ..Script::default() });
        let body = json!({"model": "fake-1", "input": ["one", "two"], "encoding_format": "base64"});
        let reply = daemon.post("/v1/embeddings", &body).json();
        assert_eq!(reply["data"][1]["embedding"], vector_base64(1), "{kind}: {reply}");
        assert_eq!(reply["data"][1]["index"], 1);
        assert!(reply["usage"]["prompt_tokens"].as_u64() > Some(0), "{reply}");
    }
}

#[test]
fn numbers_stay_numbers() {
    for kind in ["openai", "ollama"] {
        let (_fake, daemon) = pair(kind);
        let reply = daemon.post("/v1/embeddings", &json!({"model": "fake-1", "input": "one"})).json();
        assert_eq!(reply["data"][0]["embedding"], json!(vector(0)), "{kind}: {reply}");
    }
}

#[test]
fn ollama_clients_get_vectors_from_every_kind() {
    for kind in ["openai", "ollama"] {
        let (_fake, daemon) = pair(kind);
        let reply = daemon.post("/api/embed", &json!({"model": "fake-1", "input": ["one", "two"]})).json();
        assert_eq!(reply["embeddings"], json!([vector(0), vector(1)]), "{kind}: {reply}");
        let old = daemon.post("/api/embeddings", &json!({"model": "fake-1", "prompt": "one"})).json();
        assert_eq!(old["embedding"], json!(vector(0)), "{kind}: {old}");
    }
}

#[test]
fn anthropic_has_none_and_that_is_said() {
    let (_fake, daemon) = pair("anthropic");
    let response = daemon.post("/v1/embeddings", &json!({"model": "fake-1", "input": "one"}));
    assert_eq!(response.status(), 400, "{}", response.text());
    assert!(response.text().contains("embeddings"), "{}", response.text());
}
