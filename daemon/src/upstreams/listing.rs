//! Asks an upstream which models it has.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use domain::catalogue::{Capabilities, ModelInfo};
use domain::reading::Engine;
use domain::upstream::{Upstream, UpstreamKind};
use serde::Deserialize;
use serde_json::json;
use wire::readings::LmStudioModel;

use super::call::{CallError, Fault, Outbound};
use super::client::Clients;
use super::loopback;

/// Largest listing that is read: OpenRouter's is about 1 MiB.
const LISTING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most models taken from one upstream.
const MODELS_MAX: usize = 5_000;
/// Longest id that is taken for a model's name.
const ID_BYTES_MAX: usize = 512;
/// Most pages asked of an Anthropic upstream.
const PAGES_MAX: usize = 20;
/// Longest wait for a whole listing.
const LISTING_WAIT_MAX: Duration = Duration::from_secs(15);
/// Longest wait for each further list of a server: without it the first one still counts.
const OWN_LIST_WAIT_MAX: Duration = Duration::from_secs(3);

/// What an upstream told of its Ollama models before, by digest: weights do not change their abilities.
pub(super) type Shown = HashMap<String, ModelInfo>;

/// What llama.cpp tells of itself.
#[derive(Deserialize)]
struct LlamaProps {
    default_generation_settings: LlamaSettings,
    /// Requests that it answers at once.
    total_slots: Option<u32>,
}

#[derive(Deserialize)]
struct LlamaSettings {
    /// Context of one slot.
    n_ctx: u64,
}

impl Clients {
    /// The models of an upstream.
    ///
    /// # Errors
    /// It does not answer, or not with a list.
    pub(super) async fn list(&self, upstream: &Upstream, shown: &mut Shown) -> Result<Vec<ModelInfo>, CallError> {
        let listing = async {
            match upstream.kind {
                UpstreamKind::Loopback => Ok(loopback_models()),
                UpstreamKind::Openai => self.list_openai(upstream).await,
                UpstreamKind::Anthropic => self.list_anthropic(upstream).await,
                UpstreamKind::Ollama => self.list_ollama(upstream, shown).await,
            }
        };
        let listed = tokio::time::timeout(LISTING_WAIT_MAX, listing).await;
        let mut models = listed
            .unwrap_or(Err(Fault::Timeout { waiting_for: "list of models", waited: LISTING_WAIT_MAX }))
            .map_err(|fault| CallError::new(upstream, fault))?;
        models.retain(|model| is_name(&model.id));
        models.truncate(MODELS_MAX);
        Ok(models)
    }

    async fn list_openai(&self, upstream: &Upstream) -> Result<Vec<ModelInfo>, Fault> {
        let body = self.fetch(upstream, "/v1/models", None).await?;
        let mut models = wire::openai::models::decode(&body).map_err(|error| Fault::NotAnAnswer(error.to_string()))?;
        let owners = models.iter().filter_map(|model| model.owned_by.as_deref());
        let engine = Engine::of(upstream.kind, owners);
        if engine == Some(Engine::LmStudio) {
            let own = self.lm_studio_models(upstream, OWN_LIST_WAIT_MAX).await;
            let own: HashMap<&str, &LmStudioModel> = own.iter().map(|known| (known.id.as_str(), known)).collect();
            for model in &mut models {
                if let Some(known) = own.get(model.id.as_str()) {
                    known.add_to(model);
                }
            }
        }
        if engine == Some(Engine::LlamaCpp) {
            // Its list tells the context of the training, its properties that of a slot.
            if let Some(props) = self.llama_props(upstream).await {
                for model in &mut models {
                    model.context_tokens = Some(props.default_generation_settings.n_ctx);
                    model.slots = props.total_slots.filter(|slots| *slots > 0);
                }
            }
        }
        Ok(models)
    }

    async fn llama_props(&self, upstream: &Upstream) -> Option<LlamaProps> {
        let body = self.fetch(&upstream.root(), "/props", None).await.ok()?;
        serde_json::from_slice(&body).ok()
    }

    async fn list_anthropic(&self, upstream: &Upstream) -> Result<Vec<ModelInfo>, Fault> {
        let mut models = Vec::new();
        let mut path = "/v1/models?limit=1000".to_owned();
        for _ in 0..PAGES_MAX {
            let body = self.fetch(upstream, &path, None).await?;
            let (page, after) =
                wire::anthropic::models::decode(&body).map_err(|error| Fault::NotAnAnswer(error.to_string()))?;
            models.extend(page);
            match after.filter(|after| after.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'&')) {
                Some(after) => path = format!("/v1/models?limit=1000&after_id={after}"),
                None => break,
            }
        }
        Ok(models)
    }

    async fn list_ollama(&self, upstream: &Upstream, shown: &mut Shown) -> Result<Vec<ModelInfo>, Fault> {
        let body = self.fetch(upstream, "/api/tags", None).await?;
        let mut models = wire::ollama::models::decode(&body).map_err(|error| Fault::NotAnAnswer(error.to_string()))?;
        let loaded = match self.fetch(upstream, "/api/ps", None).await {
            Ok(body) => wire::ollama::models::decode_ps(&body).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        for model in &mut models {
            let running = loaded.iter().find(|running| running.id == model.id);
            model.loaded = Some(running.is_some());
            model.loaded_context_tokens = running.and_then(|running| running.context_tokens);
            let key = model.digest.clone().unwrap_or_else(|| model.id.clone());
            if !shown.contains_key(&key) {
                let question = Bytes::from(json!({ "model": model.id }).to_string());
                // A model that does not show itself is still listed.
                let Ok(body) = self.fetch(upstream, "/api/show", Some(question)).await else { continue };
                let mut info = ModelInfo::default();
                if wire::ollama::models::decode_show(&body, &mut info).is_err() {
                    continue;
                }
                shown.insert(key.clone(), info);
            }
            if let Some(info) = shown.get(&key) {
                model.context_tokens = info.context_tokens;
                model.capabilities = info.capabilities;
            }
        }
        Ok(models)
    }

    /// A small call whose whole answer is wanted.
    pub(super) async fn fetch(&self, upstream: &Upstream, path: &str, body: Option<Bytes>) -> Result<Bytes, Fault> {
        let outbound = || Outbound { path, body: body.clone(), ..Outbound::default() };
        let mut reply = self.call(upstream, outbound).await.map_err(|error| error.fault)?;
        reply.body.collect(LISTING_BYTES_MAX).await
    }
}

/// Whether it can name a model: a line of text, so that lists, headers and terminals can show it as it is.
fn is_name(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID_BYTES_MAX && !id.chars().any(char::is_control)
}

fn loopback_models() -> Vec<ModelInfo> {
    vec![ModelInfo {
        id: loopback::MODEL.to_owned(),
        display_name: Some("gives the prompt back".to_owned()),
        owned_by: Some("loopback".to_owned()),
        capabilities: Capabilities { chat: Some(true), embeddings: Some(true), ..Capabilities::default() },
        ..ModelInfo::default()
    }]
}
