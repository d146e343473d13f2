//! Which models a server has in memory: Ollama, llama-swap, llama.cpp in router mode and LM Studio.

use domain::catalogue::{Capabilities, ModelInfo};
use domain::reading::{InMemory, ModelState, Reading};
use serde::Deserialize;

use crate::json;
use crate::malformed::Malformed;

/// Most models that are taken from one answer.
const MODELS_MAX: usize = 5_000;

fn reading(models: impl Iterator<Item = ModelState>) -> Reading {
    let models = models.filter(|state| !state.model.is_empty()).take(MODELS_MAX).collect();
    Reading { loads: Vec::new(), models: Some(models) }
}

/// Ollama's `/api/ps`: <https://docs.ollama.com/api/ps>.
#[derive(Debug, Deserialize)]
struct OllamaList {
    models: Option<Vec<OllamaModel>>,
}

#[derive(Debug, Deserialize)]
struct OllamaModel {
    model: Option<String>,
    name: Option<String>,
    /// All that it takes, in bytes.
    size: Option<u64>,
    /// What of that lies on cards.
    size_vram: Option<u64>,
}

/// Reads Ollama's `/api/ps`, which does not tell a model that is being loaded from one that is.
///
/// # Errors
/// The body is no such list.
pub fn ollama(body: &[u8]) -> Result<Reading, Malformed> {
    let list: OllamaList = json::read(body)?;
    let models = list.models.unwrap_or_default().into_iter().map(|entry| ModelState {
        on_cpu_percent: on_cpu_percent(entry.size, entry.size_vram),
        model: entry.model.or(entry.name).unwrap_or_default(),
        memory: InMemory::Yes,
    });
    Ok(reading(models))
}

fn on_cpu_percent(size: Option<u64>, size_vram: Option<u64>) -> Option<u8> {
    let (size, on_cards) = (size.filter(|size| *size > 0)?, size_vram?);
    let percent = u128::from(size.saturating_sub(on_cards)) * 100 / u128::from(size);
    u8::try_from(percent).ok()
}

/// llama-swap's `/running`: <https://github.com/mostlygeek/llama-swap>.
#[derive(Debug, Deserialize)]
struct Running {
    running: Option<Vec<RunningModel>>,
}

#[derive(Debug, Deserialize)]
struct RunningModel {
    #[serde(default)]
    model: String,
    #[serde(default)]
    state: String,
}

/// Reads llama-swap's `/running`.
///
/// # Errors
/// The body is no such list.
pub fn llama_swap(body: &[u8]) -> Result<Reading, Malformed> {
    let list: Running = json::read(body)?;
    let running = list.running.ok_or_else(|| Malformed::new("running", "this member is required"))?;
    let models = running.into_iter().map(|entry| ModelState {
        memory: match entry.state.as_str() {
            "ready" => InMemory::Yes,
            "starting" => InMemory::Loading,
            _ => InMemory::No,
        },
        model: entry.model,
        on_cpu_percent: None,
    });
    Ok(reading(models))
}

/// The list of a llama.cpp in router mode, whose other members are those of any list of models:
/// <https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md#using-multiple-models>.
#[derive(Debug, Deserialize)]
struct Routed {
    data: Option<Vec<RoutedModel>>,
}

#[derive(Debug, Deserialize)]
struct RoutedModel {
    #[serde(default)]
    id: String,
    status: Option<RoutedStatus>,
}

#[derive(Debug, Deserialize)]
struct RoutedStatus {
    #[serde(default)]
    value: String,
}

/// Reads `/models` of a llama.cpp in router mode. One that sleeps has given its memory back, and is loaded again by the
/// next request, as one that is unloaded.
///
/// # Errors
/// The body is no such list: a server with a single model tells no status.
pub fn llama_router(body: &[u8]) -> Result<Reading, Malformed> {
    let list: Routed = json::read(body)?;
    let models = list.data.unwrap_or_default().into_iter().filter_map(|entry| {
        let memory = match entry.status?.value.as_str() {
            "loaded" => InMemory::Yes,
            "loading" => InMemory::Loading,
            _ => InMemory::No,
        };
        Some(ModelState { model: entry.id, memory, on_cpu_percent: None })
    });
    let reading = reading(models);
    let is_router = reading.models.as_ref().is_some_and(|models| !models.is_empty());
    if is_router { Ok(reading) } else { Err(Malformed::new("data", "a router tells the status of each model")) }
}

/// LM Studio's own lists: `data` of `/api/v0/models` (<https://lmstudio.ai/docs/developer/rest/endpoints>) and `models`
/// of `/api/v1/models` (<https://lmstudio.ai/docs/developer/rest>), from version 0.4 on.
#[derive(Debug, Deserialize)]
struct LmStudioList {
    data: Option<Vec<LmStudioV0>>,
    models: Option<Vec<LmStudioV1>>,
}

#[derive(Debug, Deserialize)]
struct LmStudioV0 {
    #[serde(default)]
    id: String,
    r#type: Option<String>,
    state: Option<String>,
    max_context_length: Option<u64>,
    loaded_context_length: Option<u64>,
    capabilities: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct LmStudioV1 {
    #[serde(default)]
    key: String,
    r#type: Option<String>,
    max_context_length: Option<u64>,
    #[serde(default)]
    loaded_instances: Vec<Instance>,
    capabilities: Option<CapabilitiesV1>,
}

#[derive(Debug, Deserialize)]
struct Instance {
    id: Option<String>,
    config: Option<InstanceConfig>,
}

#[derive(Debug, Deserialize)]
struct InstanceConfig {
    context_length: Option<u64>,
    /// Requests that it works on at once.
    parallel: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct CapabilitiesV1 {
    vision: Option<bool>,
    trained_for_tool_use: Option<bool>,
}

/// One model of LM Studio under one of its names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LmStudioModel {
    /// Its id in `/v1/models`.
    pub id: String,
    /// Whether it is in memory.
    pub is_loaded: bool,
    /// The context with which it is in memory, or else the longest that it can have.
    pub context_tokens: Option<u64>,
    /// Requests that it works on at once.
    pub slots: Option<u32>,
    /// What it can do.
    pub capabilities: Capabilities,
}

impl LmStudioModel {
    /// Adds what is known to what the OpenAI list told.
    pub fn add_to(&self, info: &mut ModelInfo) {
        info.loaded = Some(self.is_loaded);
        info.context_tokens = self.context_tokens.or(info.context_tokens);
        info.slots = self.slots.or(info.slots);
        info.capabilities = self.capabilities;
    }

    fn state(&self) -> ModelState {
        let memory = if self.is_loaded { InMemory::Yes } else { InMemory::No };
        ModelState { model: self.id.clone(), memory, on_cpu_percent: None }
    }
}

/// Reads LM Studio's own lists, of either version: its models, and which of them are in memory.
///
/// # Errors
/// The body is no such list.
pub fn lm_studio(body: &[u8]) -> Result<(Vec<LmStudioModel>, Reading), Malformed> {
    let list: LmStudioList = json::read(body)?;
    let mut models: Vec<LmStudioModel> = match (list.data, list.models) {
        (Some(entries), _) => entries.into_iter().map(of_v0).collect(),
        (None, Some(entries)) => entries.into_iter().flat_map(of_v1).collect(),
        (None, None) => return Err(Malformed::new("data", "this member is required")),
    };
    models.truncate(MODELS_MAX);
    let reading = reading(models.iter().map(LmStudioModel::state));
    Ok((models, reading))
}

fn of_v0(entry: LmStudioV0) -> LmStudioModel {
    let has = |word: &str| entry.capabilities.as_ref().map(|words| words.iter().any(|known| known == word));
    let is_loaded = entry.state.as_deref() == Some("loaded");
    LmStudioModel {
        context_tokens: context(entry.loaded_context_length.filter(|_| is_loaded), entry.max_context_length),
        capabilities: capabilities(entry.r#type.as_deref(), has("tool_use"), None),
        id: entry.id,
        is_loaded,
        slots: None,
    }
}

/// Under its key, and under the names of its instances, where these differ.
fn of_v1(entry: LmStudioV1) -> Vec<LmStudioModel> {
    let can = entry.capabilities.as_ref();
    let (tools, vision) = (can.and_then(|can| can.trained_for_tool_use), can.and_then(|can| can.vision));
    let model = |id: String, instance: Option<&Instance>| {
        let config = instance.and_then(|instance| instance.config.as_ref());
        LmStudioModel {
            id,
            is_loaded: instance.is_some(),
            context_tokens: context(config.and_then(|config| config.context_length), entry.max_context_length),
            slots: config.and_then(|config| config.parallel).filter(|slots| *slots > 0),
            capabilities: capabilities(entry.r#type.as_deref(), tools, vision),
        }
    };
    let instances = entry.loaded_instances.iter();
    let named = instances.filter_map(|instance| Some((instance.id.clone()?, instance)));
    let named = named.filter(|(id, _)| *id != entry.key).map(|(id, instance)| model(id, Some(instance)));
    let main = model(entry.key.clone(), entry.loaded_instances.first());
    std::iter::once(main).chain(named).collect()
}

fn context(loaded: Option<u64>, longest: Option<u64>) -> Option<u64> {
    loaded.or(longest).filter(|tokens| *tokens > 0)
}

fn capabilities(kind: Option<&str>, tools: Option<bool>, vision: Option<bool>) -> Capabilities {
    let is_embedding = matches!(kind, Some("embeddings" | "embedding"));
    Capabilities {
        chat: kind.map(|_| !is_embedding),
        embeddings: kind.map(|_| is_embedding),
        tools,
        vision: vision.or(kind.map(|kind| kind == "vlm").filter(|is_vlm| *is_vlm)),
        reasoning: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(reading: &Reading) -> Vec<(&str, InMemory)> {
        reading.models.iter().flatten().map(|state| (state.model.as_str(), state.memory)).collect()
    }

    #[test]
    fn ollama_tells_what_lies_beside_the_card() {
        let body = br#"{"models":[
            {"name":"a","model":"a:latest","size":10,"size_vram":10,"expires_at":"2030-01-02T03:04:05Z"},
            {"name":"b","size":100,"size_vram":60}, {"model":"c","size":0,"size_vram":0}, {"model":""}]}"#;
        let reading = ollama(body).expect("a list");
        let told: Vec<_> = reading.models.iter().flatten().map(|s| (s.model.as_str(), s.on_cpu_percent)).collect();
        assert_eq!(told, [("a:latest", Some(0)), ("b", Some(40)), ("c", None)]);
        assert_eq!(states(&ollama(br#"{"models":null}"#).expect("nothing")), []);
        assert!(ollama(b"[]").is_err());
    }

    #[test]
    fn llama_swap_tells_states() {
        let body = br#"{"running":[{"model":"a","state":"ready","cmd":"x"},{"model":"b","state":"starting"},
            {"model":"c","state":"stopping"},{"model":"d","state":"something new"}]}"#;
        let reading = llama_swap(body).expect("a list");
        let (yes, loading, no) = (InMemory::Yes, InMemory::Loading, InMemory::No);
        assert_eq!(states(&reading), [("a", yes), ("b", loading), ("c", no), ("d", no)]);
        assert_eq!(states(&llama_swap(br#"{"running":[]}"#).expect("nothing")), []);
        assert!(llama_swap(b"{}").is_err());
    }

    #[test]
    fn a_router_of_llama_cpp_tells_states() {
        let body = br#"{"object":"list","data":[
            {"id":"a","path":"/m/a.gguf","status":{"value":"loaded","args":["llama-server","-ctx","4096"]}},
            {"id":"b","status":{"value":"loading","args":[]}}, {"id":"c","status":{"value":"unloaded"}},
            {"id":"d","status":{"value":"unloaded","failed":true,"exit_code":1}}, {"id":"e","status":{"value":"sleeping"}},
            {"id":"f","status":{"value":"downloading","progress":{}}}, {"id":"g"}, {"status":{"value":"loaded"}}]}"#;
        let reading = llama_router(body).expect("a list");
        let (yes, loading, no) = (InMemory::Yes, InMemory::Loading, InMemory::No);
        assert_eq!(states(&reading), [("a", yes), ("b", loading), ("c", no), ("d", no), ("e", no), ("f", no)]);
        for single in [r#"{"data":[{"id":"m","owned_by":"llamacpp"}]}"#, r#"{"data":[]}"#, "{}", "[]"] {
            assert!(llama_router(single.as_bytes()).is_err(), "{single}");
        }
    }

    #[test]
    fn lm_studio_of_both_versions() {
        let v0 = br#"{"object":"list","data":[
            {"id":"qwen2-vl-7b","object":"model","type":"vlm","state":"loaded","max_context_length":32768,
             "loaded_context_length":4096,"capabilities":["tool_use"]},
            {"id":"nomic","object":"model","type":"embeddings","state":"not-loaded","max_context_length":2048}]}"#;
        let (models, reading) = lm_studio(v0).expect("a list");
        assert_eq!(states(&reading), [("qwen2-vl-7b", InMemory::Yes), ("nomic", InMemory::No)]);
        assert_eq!(models.iter().map(|model| model.context_tokens).collect::<Vec<_>>(), [Some(4_096), Some(2_048)]);
        let can = models[0].capabilities;
        assert_eq!(
            (can.chat, can.vision, can.tools, can.embeddings),
            (Some(true), Some(true), Some(true), Some(false))
        );
        assert_eq!(models[1].capabilities.embeddings, Some(true));

        let v1 = br#"{"models":[{"type":"llm","key":"google/gemma","loaded_instances":[
              {"id":"google/gemma","config":{"context_length":8192,"parallel":4}},{"id":"google/gemma:2"}],
              "max_context_length":262144,"capabilities":{"vision":true,"trained_for_tool_use":true,"reasoning":{}}},
            {"type":"embedding","key":"nomic","loaded_instances":[],"max_context_length":2048}]}"#;
        let (models, reading) = lm_studio(v1).expect("a list");
        let want = [("google/gemma", InMemory::Yes), ("google/gemma:2", InMemory::Yes), ("nomic", InMemory::No)];
        assert_eq!(states(&reading), want);
        assert_eq!((models[0].slots, models[0].context_tokens), (Some(4), Some(8_192)));
        let mut info = ModelInfo { context_tokens: Some(1), ..ModelInfo::default() };
        models[0].add_to(&mut info);
        assert_eq!((info.loaded, info.context_tokens, info.capabilities.vision), (Some(true), Some(8_192), Some(true)));
        assert!(lm_studio(b"{}").is_err());
    }
}
