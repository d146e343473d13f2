//! `GET /v1/models`: what servers tell of their models, and the catalogue for clients.

use std::collections::HashMap;
use std::sync::Arc;

use domain::catalogue::{Capabilities, Listed, ModelInfo};
use domain::money::PicoUsd;
use domain::price::{Prices, Rates};
use serde_json::{Map, Value, json};

use super::extra::put;
use super::loose;
use crate::json;
use crate::malformed::Malformed;

/// What stands as the source of prices that a list tells.
const PRICES_SOURCE: &str = "the upstream's list of models";

/// Reads a server's list: OpenAI's form, a bare array (Together), and llama.cpp's with its second list `models`.
/// Entries without a name are passed over; an entry told twice is merged.
///
/// # Errors
/// The body is no JSON or holds no list.
pub fn decode(body: &[u8]) -> Result<Vec<ModelInfo>, Malformed> {
    let value: Value = json::read(body)?;
    let lists = [Some(&value), value.get("data"), value.get("models")];
    if !lists.iter().flatten().any(|list| list.is_array() || list.is_null()) {
        return Err(Malformed::new("data", "a list of models is expected"));
    }
    let mut models: Vec<ModelInfo> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for entry in lists.into_iter().flatten().filter_map(Value::as_array).flatten() {
        let Some(told) = info(entry) else { continue };
        match places.get(&told.id).and_then(|place| models.get_mut(*place)) {
            Some(known) => merge(known, told),
            None => {
                places.insert(told.id.clone(), models.len());
                models.push(told);
            }
        }
    }
    Ok(models)
}

fn info(entry: &Value) -> Option<ModelInfo> {
    let id = ["id", "model", "name"].into_iter().find_map(|name| text(entry, name))?;
    Some(ModelInfo {
        display_name: ["display_name", "name"]
            .into_iter()
            .find_map(|name| text(entry, name))
            .filter(|name| *name != id),
        owned_by: text(entry, "owned_by"),
        created_s: count(entry, "created"),
        context_tokens: context_tokens(entry),
        output_tokens_max: output_tokens_max(entry),
        capabilities: capabilities(entry),
        size_bytes: count(entry, "/meta/size"),
        digest: text(entry, "digest"),
        family: ["arch", "/details/family", "/meta/general.architecture"].into_iter().find_map(|at| text(entry, at)),
        parameter_size: text(entry, "/details/parameter_size")
            .or_else(|| count(entry, "/meta/n_params").filter(|number| *number > 0).map(parameter_size)),
        quantization: ["quantization", "/details/quantization_level"].into_iter().find_map(|at| text(entry, at)),
        loaded: loaded(entry),
        loaded_context_tokens: None,
        slots: None,
        prices: prices(entry),
        id,
    })
}

/// The member called `at`, or at the JSON pointer `at`.
fn member<'v>(entry: &'v Value, at: &str) -> Option<&'v Value> {
    if at.starts_with('/') { entry.pointer(at) } else { entry.get(at) }
}

fn text(entry: &Value, at: &str) -> Option<String> {
    member(entry, at)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn count(entry: &Value, at: &str) -> Option<u64> {
    member(entry, at).and_then(loose::count)
}

/// OpenRouter's `pricing`: US dollars per token, picture or request, as texts so that nothing is rounded. What is below
/// nothing ("ask the provider") or no number is unknown; a model of which neither main price is known has none.
fn prices(entry: &Value) -> Option<Arc<Prices>> {
    let told = entry.get("pricing")?.as_object()?;
    let price = |name: &str| match told.get(name)? {
        Value::String(text) => PicoUsd::from_usd(text),
        Value::Number(number) => PicoUsd::from_usd(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    // A part that costs nothing, as it stands in many lists, means that it has no price of its own, not that it is free.
    let part = |name: &str| price(name).filter(|price| *price != PicoUsd::default());
    let rates = Rates {
        input: price("prompt"),
        output: price("completion"),
        cached_read: part("input_cache_read"),
        cache_write: part("input_cache_write"),
        reasoning: part("internal_reasoning"),
        image: price("image"),
        request: price("request"),
    };
    let is_told = rates.input.is_some() || rates.output.is_some();
    is_told.then(|| Arc::new(Prices::new(rates, PRICES_SOURCE, "")))
}

/// The first of `places` with a count above zero; 0 means unknown.
fn limit(entry: &Value, places: &[&str]) -> Option<u64> {
    places.iter().find_map(|at| count(entry, at).filter(|tokens| *tokens > 0))
}

fn context_tokens(entry: &Value) -> Option<u64> {
    // The first names tell what the server is set to, the later ones what the model could do.
    limit(
        entry,
        &[
            "max_model_len",
            "loaded_context_length",
            "/meta/n_ctx",
            "/top_provider/context_length",
            "context_length",
            "context_window",
            "max_context_length",
            "inputTokenLimit",
            "input_token_limit",
            "/meta/n_ctx_train",
        ],
    )
}

fn output_tokens_max(entry: &Value) -> Option<u64> {
    limit(
        entry,
        &[
            "/top_provider/max_completion_tokens",
            "max_completion_tokens",
            "max_output_tokens",
            "max_output_length",
            "outputTokenLimit",
        ],
    )
}

fn capabilities(entry: &Value) -> Capabilities {
    let words = |at: &str| -> Option<Vec<&str>> {
        Some(member(entry, at)?.as_array()?.iter().filter_map(Value::as_str).collect())
    };
    let flag = |at: &str| member(entry, at).and_then(Value::as_bool);
    let known = words("capabilities");
    let offers = |names: &[&str]| known.as_ref().map(|words| words.iter().any(|word| names.contains(word)));
    // llama.cpp names neither tools nor thinking in its list: only a yes counts.
    let yes = |names: &[&str]| offers(names).filter(|yes| *yes);
    let inputs = words("/architecture/input_modalities").or_else(|| words("input_modalities"));
    let parameters = words("supported_parameters").filter(|words| !words.is_empty());
    let takes = |names: &[&str]| parameters.as_ref().map(|words| words.iter().any(|word| names.contains(word)));
    let kind = text(entry, "type");
    let is_kind = |names: &[&str]| kind.as_deref().map(|kind| names.contains(&kind));
    let is_embedder =
        is_kind(&["embeddings", "embedding"]).filter(|yes| *yes).or_else(|| yes(&["embedding", "embeddings"]));
    Capabilities {
        chat: flag("/capabilities/completion_chat")
            .or_else(|| is_kind(&["llm", "vlm", "chat"]).filter(|yes| *yes))
            .or_else(|| offers(&["completion", "completions", "chat"]))
            .or_else(|| is_embedder.map(|_| false)),
        embeddings: is_embedder,
        tools: flag("/capabilities/function_calling")
            .or_else(|| takes(&["tools"]))
            .or_else(|| yes(&["tools", "tool_use", "tool-use"])),
        vision: flag("/capabilities/vision")
            .or_else(|| inputs.as_ref().map(|words| words.contains(&"image")))
            .or_else(|| is_kind(&["vlm"]).filter(|yes| *yes))
            .or_else(|| yes(&["multimodal", "vision"])),
        reasoning: flag("/capabilities/reasoning")
            .or_else(|| takes(&["reasoning", "include_reasoning", "reasoning_effort"]))
            .or_else(|| yes(&["thinking", "reasoning"])),
    }
}

/// LM Studio's `state`, llama.cpp's router's `status`.
fn loaded(entry: &Value) -> Option<bool> {
    let word = ["state", "/status/value", "status"].into_iter().find_map(|at| text(entry, at))?;
    match word.as_str() {
        "loaded" => Some(true),
        "not-loaded" | "unloaded" | "loading" => Some(false),
        _ => None,
    }
}

/// `8190735360` as `8.2B`.
fn parameter_size(parameters: u64) -> String {
    let number = parameters as f64;
    if number >= 1e9 { format!("{:.1}B", number / 1e9) } else { format!("{:.1}M", number / 1e6) }
}

fn merge(known: &mut ModelInfo, told: ModelInfo) {
    macro_rules! fill {
        ($into:expr, $from:expr, $($field:ident),*) => { $( if $into.$field.is_none() { $into.$field = $from.$field; } )* };
    }
    fill!(known.capabilities, told.capabilities, chat, embeddings, tools, vision, reasoning);
    fill!(known, told, display_name, owned_by, created_s, context_tokens, output_tokens_max);
    fill!(known, told, size_bytes, digest, family, parameter_size, quantization, loaded, prices);
}

/// Writes the catalogue as OpenAI's list, with the members that OpenRouter and vLLM add where they are known.
#[must_use]
pub fn encode_list(models: &[Listed]) -> Vec<u8> {
    let data: Vec<Value> = models.iter().map(entry).collect();
    json!({ "object": "list", "data": data }).to_string().into_bytes()
}

/// Writes one entry of the catalogue.
#[must_use]
pub fn encode_one(model: &Listed) -> Vec<u8> {
    entry(model).to_string().into_bytes()
}

fn entry(model: &Listed) -> Value {
    let info = &model.info;
    let can = &info.capabilities;
    let mut map = Map::new();
    map.insert("id".to_owned(), model.id.as_str().into());
    map.insert("object".to_owned(), "model".into());
    map.insert("created".to_owned(), info.created_s.unwrap_or(0).into());
    map.insert("upstream".to_owned(), model.upstream.as_str().into());
    map.insert("owned_by".to_owned(), info.owned_by.as_deref().unwrap_or(&model.upstream).into());
    put(&mut map, "name", info.display_name.clone());
    put(&mut map, "context_length", info.context_tokens);
    put(&mut map, "max_model_len", info.context_tokens);
    put(&mut map, "max_completion_tokens", info.output_tokens_max);
    let embeds = can.embeddings == Some(true);
    if can.vision.is_some() || embeds {
        let inputs: &[&str] = if can.vision == Some(true) { &["text", "image"] } else { &["text"] };
        let output = if embeds { "embeddings" } else { "text" };
        map.insert("architecture".to_owned(), json!({ "input_modalities": inputs, "output_modalities": [output] }));
    }
    if can.tools.is_some() || can.reasoning.is_some() {
        let tools: &[&str] = if can.tools == Some(true) { &["tools", "tool_choice"] } else { &[] };
        let reasoning: &[&str] =
            if can.reasoning == Some(true) { &["reasoning", "include_reasoning", "reasoning_effort"] } else { &[] };
        map.insert("supported_parameters".to_owned(), [tools, reasoning].concat().into());
    }
    let word = |loaded| if loaded { "loaded" } else { "unloaded" };
    put(&mut map, "status", info.loaded.map(|loaded| json!({ "value": word(loaded) })));
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> ModelInfo {
        let mut models = decode(text.as_bytes()).unwrap();
        assert_eq!(models.len(), 1, "{text}");
        models.remove(0)
    }

    #[test]
    fn what_servers_tell() {
        let openai =
            one(r#"{"object":"list","data":[{"id":"gpt-4o","object":"model","created":7,"owned_by":"system"}]}"#);
        assert_eq!((openai.created_s, openai.owned_by.as_deref()), (Some(7), Some("system")));
        assert_eq!(openai.capabilities, Capabilities::default());

        let vllm = one(r#"{"data":[{"id":"q","max_model_len":4096,"root":"q","parent":null}]}"#);
        assert_eq!(vllm.context_tokens, Some(4_096));

        let openrouter = one(r#"{"data":[{"id":"a/b","name":"B","context_length":200000,
            "architecture":{"input_modalities":["text","image"],"output_modalities":["text"]},
            "top_provider":{"context_length":128000,"max_completion_tokens":8192},"supported_parameters":["tools","reasoning"]}]}"#);
        assert_eq!((openrouter.context_tokens, openrouter.output_tokens_max), (Some(128_000), Some(8_192)));
        let can = openrouter.capabilities;
        assert_eq!((can.tools, can.vision, can.reasoning), (Some(true), Some(true), Some(true)));

        let lm_studio =
            one(r#"{"data":[{"id":"q","type":"vlm","arch":"qwen2","quantization":"Q4_K_M","state":"not-loaded",
            "max_context_length":32768,"capabilities":["tool_use"]}]}"#);
        assert_eq!((lm_studio.loaded, lm_studio.context_tokens), (Some(false), Some(32_768)));
        assert_eq!(lm_studio.capabilities.chat, Some(true));
        assert_eq!(lm_studio.capabilities.vision, Some(true));
        assert_eq!(lm_studio.capabilities.tools, Some(true));

        let mistral = one(
            r#"{"data":[{"id":"m","max_context_length":8,"capabilities":{"completion_chat":true,"function_calling":false,"vision":false}}]}"#,
        );
        assert_eq!((mistral.capabilities.chat, mistral.capabilities.tools), (Some(true), Some(false)));

        let together = one(r#"[{"id":"t","context_length":0,"type":"embedding"}]"#);
        assert_eq!((together.context_tokens, together.capabilities.embeddings), (None, Some(true)));
        assert_eq!(together.capabilities.chat, Some(false));
    }

    #[test]
    fn prices_are_read_exactly() {
        let none = ModelInfo::default().prices;
        for (told, want) in [
            (
                r#"{"prompt":"0.0000025","completion":"0.00001","request":"0","image":"0.003613","input_cache_read":"0.00000125",
                "input_cache_write":"0","internal_reasoning":"0","web_search":"0.01"}"#,
                Some("input 2.5 output 10 cached_read 1.25 image 3613 request 0"),
            ),
            (r#"{"prompt":"0.00000019999999999999998","completion":"0.0000000375"}"#, Some("input 0.2 output 0.0375")),
            (r#"{"prompt":0.0000025,"completion":1e-5}"#, Some("input 2.5 output 10")),
            (
                r#"{"prompt":"0.000001","completion":"0.000002","internal_reasoning":"0.000003","input_cache_write":"0.00000125"}"#,
                Some("input 1 output 2 cache_write 1.25 reasoning 3"),
            ),
            (r#"{"prompt":"0","completion":"0"}"#, Some("input 0 output 0")),
            (r#"{"prompt":"0.000001","completion":"-1"}"#, Some("input 1")),
            // "Ask the provider", nonsense, and prices that nobody asks.
            (r#"{"prompt":"-1","completion":"-1"}"#, None),
            (r#"{"prompt":"","completion":"a lot","request":"0.5"}"#, None),
            (r#"{"prompt":"1e9","completion":"99999999999"}"#, None),
            (r#"{"prompt":["0"],"completion":null}"#, None),
            ("{}", None),
            ("7", None),
        ] {
            let model = one(&format!(r#"{{"data":[{{"id":"a/b","pricing":{told}}}]}}"#));
            let line = model.prices.as_ref().map(|prices| prices.to_line());
            let want = want.map(|want| format!("{want} | {PRICES_SOURCE} | "));
            assert_eq!(line, want, "{told}");
        }
        assert_eq!(one(r#"{"data":[{"id":"a"}]}"#).prices, none);
    }

    #[test]
    fn the_two_lists_of_llama_cpp_are_one() {
        let model = one(
            r#"{"models":[{"name":"q.gguf","model":"q.gguf","capabilities":["completion","multimodal"],"details":{"family":"","format":"gguf"}}],
            "object":"list","data":[{"id":"q.gguf","object":"model","created":9,"owned_by":"llamacpp",
            "meta":{"n_vocab":1,"n_ctx":8192,"n_ctx_train":40960,"n_params":8190735360,"size":5020000000}}]}"#,
        );
        assert_eq!((model.context_tokens, model.size_bytes), (Some(8_192), Some(5_020_000_000)));
        assert_eq!(model.parameter_size.as_deref(), Some("8.2B"));
        assert_eq!(model.family, None);
        assert_eq!((model.capabilities.chat, model.capabilities.vision), (Some(true), Some(true)));
        assert_eq!(model.capabilities.tools, None);
    }

    #[test]
    fn odd_lists() {
        assert_eq!(decode(br#"{"data":null}"#), Ok(vec![]));
        assert_eq!(decode(br#"{"data":[{},7,{"id":""}]}"#), Ok(vec![]));
        assert_eq!(decode(br#"{"error":"x"}"#).unwrap_err().at, "data");
        assert!(decode(b"<html>").is_err());
    }

    #[test]
    fn the_catalogue_for_clients() {
        let info = ModelInfo {
            id: "q".into(),
            display_name: Some("Q".into()),
            context_tokens: Some(4_096),
            capabilities: Capabilities { tools: Some(true), vision: Some(false), ..Capabilities::default() },
            loaded: Some(true),
            ..ModelInfo::default()
        };
        let listed = [
            Listed { id: "gpu/q".into(), upstream: "gpu".into(), info },
            Listed { id: "fast".into(), upstream: "airlane".into(), info: ModelInfo::default() },
        ];
        insta::assert_snapshot!(
            String::from_utf8(encode_list(&listed)).unwrap(),
            @r#"{"object":"list","data":[{"id":"gpu/q","object":"model","created":0,"upstream":"gpu","owned_by":"gpu","name":"Q","context_length":4096,"max_model_len":4096,"architecture":{"input_modalities":["text"],"output_modalities":["text"]},"supported_parameters":["tools","tool_choice"],"status":{"value":"loaded"}},{"id":"fast","object":"model","created":0,"upstream":"airlane","owned_by":"airlane"}]}"#
        );
        let back = decode(&encode_list(&listed)).unwrap();
        assert_eq!((back[0].capabilities.tools, back[0].capabilities.vision), (Some(true), Some(false)));
        assert_eq!((back[0].context_tokens, back[0].loaded), (Some(4_096), Some(true)));
        let single: Value = serde_json::from_slice(&encode_one(&listed[1])).unwrap();
        assert_eq!(single["owned_by"], "airlane");
    }
}
