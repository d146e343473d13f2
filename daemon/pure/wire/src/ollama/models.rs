//! Lists of models: `/api/tags` (all), `/api/ps` (in memory) and `/api/show` (one).

use domain::catalogue::{Capabilities, Listed, ModelInfo};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::json;
use crate::malformed::Malformed;
use crate::rfc3339;

use std::time::Duration;

use super::line::fnv1a;

#[derive(Debug, Deserialize)]
struct List {
    models: Option<Vec<Entry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    name: Option<String>,
    model: Option<String>,
    modified_at: Option<String>,
    size: Option<u64>,
    digest: Option<String>,
    details: Option<Details>,
    capabilities: Option<Vec<String>>,
    context_length: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    family: Option<String>,
    parameter_size: Option<String>,
    quantization_level: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Show {
    details: Option<Details>,
    model_info: Option<Map<String, Value>>,
    capabilities: Option<Vec<String>>,
    parameters: Option<String>,
    modified_at: Option<String>,
}

/// Reads the answer of `/api/tags`.
///
/// # Errors
/// The body is no such list.
pub fn decode(body: &[u8]) -> Result<Vec<ModelInfo>, Malformed> {
    let list: List = json::read(body)?;
    let models = list.models.ok_or_else(|| Malformed::new("models", "this member is required"))?;
    Ok(models.into_iter().filter_map(|entry| entry.into_info(None)).collect())
}

/// Reads the answer of `/api/ps`: the models in memory, with the context length that each was loaded with.
///
/// # Errors
/// The body is no such list.
pub fn decode_ps(body: &[u8]) -> Result<Vec<ModelInfo>, Malformed> {
    let list: List = json::read(body)?;
    let models = list.models.unwrap_or_default();
    Ok(models.into_iter().filter_map(|entry| entry.into_info(Some(true))).collect())
}

/// Reads the answer of `/api/show` into what is known of the model already.
///
/// # Errors
/// The body is no such answer.
pub fn decode_show(body: &[u8], info: &mut ModelInfo) -> Result<(), Malformed> {
    let show: Show = json::read(body)?;
    if let Some(details) = show.details {
        details.write_to(info);
    }
    if let Some(capabilities) = &show.capabilities {
        info.capabilities = read_capabilities(capabilities);
    }
    info.created_s = show.modified_at.as_deref().and_then(rfc3339::seconds).or(info.created_s);
    let trained = show.model_info.as_ref().and_then(trained_context);
    // The model's own `num_ctx` is what the server really gives it.
    info.context_tokens = show.parameters.as_deref().and_then(num_ctx).or(trained).or(info.context_tokens);
    Ok(())
}

impl Entry {
    fn into_info(self, loaded: Option<bool>) -> Option<ModelInfo> {
        let mut info = ModelInfo {
            id: self.model.or(self.name).filter(|id| !id.is_empty())?,
            owned_by: None,
            created_s: self.modified_at.as_deref().and_then(rfc3339::seconds),
            context_tokens: self.context_length.filter(|tokens| *tokens > 0),
            size_bytes: self.size.filter(|size| *size > 0),
            digest: self.digest.filter(|digest| !digest.is_empty()),
            capabilities: self.capabilities.as_deref().map(read_capabilities).unwrap_or_default(),
            loaded,
            ..ModelInfo::default()
        };
        if let Some(details) = self.details {
            details.write_to(&mut info);
        }
        Some(info)
    }
}

impl Details {
    fn write_to(self, info: &mut ModelInfo) {
        let known = |text: Option<String>| text.filter(|text| !text.is_empty());
        info.family = known(self.family).or(info.family.take());
        info.parameter_size = known(self.parameter_size).or(info.parameter_size.take());
        info.quantization = known(self.quantization_level).or(info.quantization.take());
    }
}

/// A list of words is complete: what it does not name, the model cannot do.
fn read_capabilities(words: &[String]) -> Capabilities {
    let has = |word: &str| Some(words.iter().any(|known| known == word));
    Capabilities {
        chat: has("completion"),
        embeddings: has("embedding"),
        tools: has("tools"),
        vision: has("vision"),
        reasoning: has("thinking"),
    }
}

fn trained_context(model_info: &Map<String, Value>) -> Option<u64> {
    let architecture = model_info.get("general.architecture").and_then(Value::as_str);
    let named = architecture.and_then(|name| model_info.get(&format!("{name}.context_length")));
    named
        .or_else(|| model_info.iter().find(|(name, _)| name.ends_with(".context_length")).map(|(_, value)| value))?
        .as_u64()
}

/// `parameters` is text, a name and a value on each line.
fn num_ctx(parameters: &str) -> Option<u64> {
    parameters.lines().find_map(|line| line.trim().strip_prefix("num_ctx")?.trim().parse().ok())
}

/// Writes the answer of `/api/tags`.
#[must_use]
pub fn encode_tags(models: &[Listed]) -> Vec<u8> {
    let models: Vec<Value> = models.iter().map(entry).collect();
    json!({ "models": models }).to_string().into_bytes()
}

/// Writes the answer of `/api/ps`: the models that are known to be in memory. When an upstream will throw one out is
/// not known, so the time stands for "never", as Ollama writes it.
#[must_use]
pub fn encode_ps(models: &[Listed]) -> Vec<u8> {
    let loaded = models.iter().filter(|model| model.info.loaded == Some(true));
    let models: Vec<Value> = loaded
        .map(|model| {
            let mut entry = entry(model);
            if let Some(map) = entry.as_object_mut() {
                map.remove("modified_at");
                map.insert("expires_at".to_owned(), "2318-01-01T00:00:00Z".into());
                map.insert("size_vram".to_owned(), model.info.size_bytes.unwrap_or(0).into());
                map.insert("context_length".to_owned(), model.info.context_tokens.unwrap_or(0).into());
            }
            entry
        })
        .collect();
    json!({ "models": models }).to_string().into_bytes()
}

/// Writes the answer of `/api/show`.
#[must_use]
pub fn encode_show(model: &Listed) -> Vec<u8> {
    let info = &model.info;
    let family = info.family.as_deref().unwrap_or("unknown");
    let mut model_info = Map::new();
    model_info.insert("general.architecture".to_owned(), family.into());
    if let Some(tokens) = info.context_tokens {
        model_info.insert(format!("{family}.context_length"), tokens.into());
    }
    json!({
        "license": "",
        "modelfile": format!("# served by {}\nFROM {}\n", model.upstream, model.id),
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": details(info),
        "model_info": model_info,
        "capabilities": capability_words(info.capabilities),
        "modified_at": modified_at(info),
    })
    .to_string()
    .into_bytes()
}

fn entry(model: &Listed) -> Value {
    let info = &model.info;
    json!({
        "name": model.id,
        "model": model.id,
        "modified_at": modified_at(info),
        "size": info.size_bytes.unwrap_or(0),
        "digest": info.digest.clone().unwrap_or_else(|| stand_in_digest(&model.id)),
        "details": details(info),
    })
}

fn details(info: &ModelInfo) -> Value {
    json!({
        "parent_model": "",
        // Only weights that an Ollama holds have a digest, and it holds nothing else.
        "format": if info.digest.is_some() { "gguf" } else { "" },
        "family": info.family.as_deref().unwrap_or(""),
        "families": info.family.iter().collect::<Vec<_>>(),
        "parameter_size": info.parameter_size.as_deref().unwrap_or(""),
        "quantization_level": info.quantization.as_deref().unwrap_or(""),
    })
}

/// 64 digits, because clients cut ids out of them and compare them; the zeros say that they are no real checksum.
fn stand_in_digest(id: &str) -> String {
    format!("{:016x}{:048}", fnv1a(id.as_bytes()), 0)
}

fn modified_at(info: &ModelInfo) -> String {
    rfc3339::format(Duration::from_secs(info.created_s.unwrap_or(0)))
}

fn capability_words(capabilities: Capabilities) -> Vec<&'static str> {
    let embeds = capabilities.embeddings == Some(true);
    [
        ("completion", capabilities.chat.unwrap_or(!embeds)),
        ("embedding", embeds),
        ("tools", capabilities.tools == Some(true)),
        ("vision", capabilities.vision == Some(true)),
        ("thinking", capabilities.reasoning == Some(true)),
    ]
    .into_iter()
    .filter_map(|(word, can)| can.then_some(word))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0a8c266910232fd3291e71e5ba1e058cc5af9d411192cf88b6d30e92b6e73163";

    fn tags() -> Value {
        json!({"models": [{
            "name": "llava:7b", "model": "llava:7b", "modified_at": "2023-11-04T21:56:49.000000000Z",
            "size": 4_733_363_377_u64, "digest": DIGEST,
            "details": {"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"],
                        "parameter_size": "7B", "quantization_level": "Q4_0"}}]})
    }

    fn listed(info: ModelInfo) -> Listed {
        Listed { id: info.id.clone(), upstream: "box".to_owned(), info }
    }

    fn json_of(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn tags_both_ways() {
        let models: Vec<Listed> = decode(tags().to_string().as_bytes()).unwrap().into_iter().map(listed).collect();
        assert_eq!(models[0].info.size_bytes, Some(4_733_363_377));
        assert_eq!(models[0].info.created_s, Some(1_699_135_009));
        assert_eq!(json_of(&encode_tags(&models)), tags());
    }

    #[test]
    fn entries_with_holes() {
        let body = br#"{"models":[{"name":"a"},{"model":"","name":null},{"name":"b","details":null,"digest":""}]}"#;
        let ids: Vec<String> = decode(body).unwrap().into_iter().map(|info| info.id).collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(decode(b"{}").unwrap_err().at, "models");
        assert!(decode_ps(br#"{"models":null}"#).unwrap().is_empty());
    }

    #[test]
    fn what_is_in_memory() {
        let body = br#"{"models":[{"name":"a","model":"a:latest","size":10,"size_vram":10,"context_length":4096,
            "expires_at":"2024-06-04T14:38:31.83753-07:00"}]}"#;
        let models = decode_ps(body).unwrap();
        assert_eq!((models[0].context_tokens, models[0].loaded), (Some(4096), Some(true)));
        let mut all: Vec<Listed> = models.into_iter().map(listed).collect();
        all.push(listed(ModelInfo { id: "cold".to_owned(), ..ModelInfo::default() }));
        let ps = json_of(&encode_ps(&all));
        assert_eq!(ps["models"].as_array().unwrap().len(), 1);
        assert_eq!(ps["models"][0]["context_length"], 4096);
    }

    #[test]
    fn show_tells_context_and_capabilities() {
        let show = |parameters: &str| {
            json!({"parameters": parameters, "capabilities": ["completion", "tools", "thinking"],
                "details": {"family": "qwen3", "parameter_size": "8.2B", "quantization_level": "Q4_K_M"},
                "model_info": {"general.architecture": "qwen3", "other.context_length": 1, "qwen3.context_length": 40960}})
            .to_string()
        };
        let mut info = ModelInfo { id: "m".to_owned(), ..ModelInfo::default() };
        decode_show(show("stop \"<|im_end|>\"").as_bytes(), &mut info).unwrap();
        assert_eq!(info.context_tokens, Some(40_960));
        assert_eq!((info.capabilities.tools, info.capabilities.vision), (Some(true), Some(false)));
        decode_show(show("top_k 20\nnum_ctx                        8192").as_bytes(), &mut info).unwrap();
        assert_eq!(info.context_tokens, Some(8192));
        decode_show(b"{}", &mut info).unwrap();
        assert_eq!(info.family.as_deref(), Some("qwen3"));
    }

    #[test]
    fn a_model_that_is_not_ollamas() {
        let info = ModelInfo {
            id: "gpt-x".to_owned(),
            context_tokens: Some(128_000),
            capabilities: Capabilities { tools: Some(true), ..Capabilities::default() },
            ..ModelInfo::default()
        };
        let model = listed(info);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        insta::assert_snapshot!(text(encode_show(&model)), @r##"{"license":"","modelfile":"# served by box\nFROM gpt-x\n","parameters":"","template":"{{ .Prompt }}","details":{"parent_model":"","format":"","family":"","families":[],"parameter_size":"","quantization_level":""},"model_info":{"general.architecture":"unknown","unknown.context_length":128000},"capabilities":["completion","tools"],"modified_at":"1970-01-01T00:00:00.000000000Z"}"##);
        insta::assert_snapshot!(text(encode_tags(&[model])), @r#"{"models":[{"name":"gpt-x","model":"gpt-x","modified_at":"1970-01-01T00:00:00.000000000Z","size":0,"digest":"15b83f3a8026647f000000000000000000000000000000000000000000000000","details":{"parent_model":"","format":"","family":"","families":[],"parameter_size":"","quantization_level":""}}]}"#);
    }
}
