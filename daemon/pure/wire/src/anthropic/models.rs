//! The models list, which Anthropic gives in pages.

use std::time::Duration;

use domain::catalogue::{Capabilities, Listed, ModelInfo};
use serde::{Deserialize, Serialize};

use crate::json;
use crate::malformed::Malformed;
use crate::rfc3339;

#[derive(Debug, Deserialize)]
struct Page {
    data: Vec<Received>,
    #[serde(default)]
    has_more: Option<bool>,
    #[serde(default)]
    last_id: Option<String>,
}

/// One model, in Anthropic's words and in those of OpenAI's list, which some servers answer with.
#[derive(Debug, Deserialize)]
struct Received {
    id: String,
    display_name: Option<String>,
    created_at: Option<String>,
    created: Option<u64>,
    owned_by: Option<String>,
    max_input_tokens: Option<u64>,
    max_tokens: Option<u64>,
    context_length: Option<u64>,
    max_model_len: Option<u64>,
    meta: Option<Meta>,
    capabilities: Option<Told>,
}

#[derive(Debug, Deserialize)]
struct Meta {
    n_ctx_train: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Told {
    Anthropic { image_input: Option<Support>, thinking: Option<Support> },
    Other(serde::de::IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct Support {
    supported: bool,
}

/// Reads one page. Beside the models stands the `after_id` with which to ask for the next page, if there is one.
///
/// # Errors
/// The body is not a list of models.
pub fn decode(body: &[u8]) -> Result<(Vec<ModelInfo>, Option<String>), Malformed> {
    let page: Page = json::read(body)?;
    let last = page.data.last().map(|model| model.id.clone());
    let next = page.has_more.unwrap_or(false).then(|| page.last_id.or(last)).flatten();
    Ok((page.data.into_iter().map(info).collect(), next))
}

fn info(model: Received) -> ModelInfo {
    let (vision, reasoning) = match model.capabilities {
        Some(Told::Anthropic { image_input, thinking }) => {
            (image_input.map(|support| support.supported), thinking.map(|support| support.supported))
        }
        Some(Told::Other(_)) | None => (None, None),
    };
    let trained = model.meta.and_then(|meta| meta.n_ctx_train);
    // Anthropic writes the epoch for a date that it does not know.
    let created_s = model.created_at.as_deref().and_then(rfc3339::seconds).or(model.created);
    ModelInfo {
        id: model.id,
        display_name: model.display_name,
        owned_by: model.owned_by,
        created_s: created_s.filter(|created_s| *created_s > 0),
        context_tokens: model.max_input_tokens.or(model.context_length).or(model.max_model_len).or(trained),
        output_tokens_max: model.max_tokens,
        capabilities: Capabilities { vision, reasoning, ..Capabilities::default() },
        ..ModelInfo::default()
    }
}

#[derive(Debug, Serialize)]
struct List<'a> {
    data: Vec<Entry<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
}

impl<'a> From<&'a Listed> for Entry<'a> {
    fn from(model: &'a Listed) -> Self {
        // The member is required and is the epoch where the date is unknown.
        let created_at = rfc3339::format(Duration::from_secs(model.info.created_s.unwrap_or(0)));
        Self {
            kind: "model",
            id: &model.id,
            display_name: model.info.display_name.as_deref().unwrap_or(&model.id),
            created_at: created_at.replace(".000000000", ""),
            max_input_tokens: model.info.context_tokens,
            max_tokens: model.info.output_tokens_max,
        }
    }
}

/// Writes the list, all models on one page.
#[must_use]
pub fn encode_list(models: &[Listed]) -> Vec<u8> {
    let list = List {
        data: models.iter().map(Entry::from).collect(),
        has_more: false,
        first_id: models.first().map(|model| model.id.as_str()),
        last_id: models.last().map(|model| model.id.as_str()),
    };
    // Strings and numbers always serialise.
    serde_json::to_vec(&list).unwrap_or_default()
}

/// Writes one model.
#[must_use]
pub fn encode_one(model: &Listed) -> Vec<u8> {
    serde_json::to_vec(&Entry::from(model)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_anthropic() {
        let body = br#"{"data":[{"type":"model","id":"claude-a","display_name":"Claude A","created_at":"2025-02-19T00:00:00Z",
            "max_input_tokens":200000,"max_tokens":64000,"lifecycle":"active",
            "capabilities":{"image_input":{"supported":true},"thinking":{"supported":false,"types":{}},"batch":{"supported":true}}},
            {"type":"model","id":"claude-b","display_name":"B","created_at":"1970-01-01T00:00:00Z"}],
            "has_more":true,"first_id":"claude-a","last_id":"claude-b"}"#;
        let (models, next) = decode(body).unwrap();
        assert_eq!(next.as_deref(), Some("claude-b"));
        insta::assert_debug_snapshot!(models[0]);
        assert_eq!(models[1].created_s, None);
        let (models, next) = decode(br#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#).unwrap();
        assert_eq!((models.len(), next), (0, None));
    }

    #[test]
    fn lists_in_openais_shape() {
        let body = br#"{"object":"list","data":[{"id":"m","object":"model","created":1700000000,"owned_by":"llamacpp",
            "meta":{"n_ctx_train":8192},"capabilities":["completion"]},{"id":"v","created":1,"max_model_len":4096}]}"#;
        let (models, next) = decode(body).unwrap();
        assert_eq!(next, None);
        assert_eq!((models[0].context_tokens, models[1].context_tokens), (Some(8_192), Some(4_096)));
        assert_eq!(models[0].created_s, Some(1_700_000_000));
        assert!(decode(b"{}").is_err());
        assert!(decode(br#"{"data":[{}]}"#).is_err());
    }

    #[test]
    fn lists_for_clients() {
        let known = ModelInfo {
            display_name: Some("Qwen 3".to_owned()),
            created_s: Some(1_739_923_200),
            context_tokens: Some(32_768),
            ..ModelInfo::default()
        };
        let listed = |id: &str, info: &ModelInfo| Listed {
            id: id.to_owned(),
            upstream: "gpu-box".to_owned(),
            info: info.clone(),
        };
        let models = [listed("qwen3-8b", &known), listed("plain", &ModelInfo::default())];
        insta::assert_snapshot!(String::from_utf8(encode_list(&models)).unwrap(), @r#"{"data":[{"type":"model","id":"qwen3-8b","display_name":"Qwen 3","created_at":"2025-02-19T00:00:00Z","max_input_tokens":32768},{"type":"model","id":"plain","display_name":"plain","created_at":"1970-01-01T00:00:00Z"}],"has_more":false,"first_id":"qwen3-8b","last_id":"plain"}"#);
        insta::assert_snapshot!(String::from_utf8(encode_one(&models[1])).unwrap(), @r#"{"type":"model","id":"plain","display_name":"plain","created_at":"1970-01-01T00:00:00Z"}"#);
        insta::assert_snapshot!(String::from_utf8(encode_list(&[])).unwrap(), @r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#);
        let (read, next) = decode(&encode_list(&models)).unwrap();
        assert_eq!((read[0].display_name.as_deref(), read[0].created_s, next), (Some("Qwen 3"), known.created_s, None));
    }
}
