//! The metrics of inference servers.

use domain::reading::{Engine, Load, Reading};

use super::exposition::{Line, lines};

/// What an engine calls its numbers.
struct Names {
    running: &'static str,
    waiting: &'static str,
    /// Share of its key-value cache that requests hold, from 0 to 1, by its names in younger and older versions.
    kv_used: &'static [&'static str],
    tokens_per_s: &'static str,
}

/// vLLM's: <https://docs.vllm.ai/en/stable/usage/metrics/>. Up to 0.9 the cache was `gpu_cache_usage_perc`, and a
/// share all the same; the throughput was told up to 0.6.
const VLLM: Names = Names {
    running: "vllm:num_requests_running",
    waiting: "vllm:num_requests_waiting",
    kv_used: &["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"],
    tokens_per_s: "vllm:avg_generation_throughput_toks_per_s",
};

/// SGLang's, if it was started with `--enable-metrics`: <https://docs.sglang.io/references/production_metrics.html>.
const SGLANG: Names = Names {
    running: "sglang:num_running_reqs",
    waiting: "sglang:num_queue_reqs",
    kv_used: &["sglang:token_usage"],
    tokens_per_s: "sglang:gen_throughput",
};

/// llama.cpp's, if it was started with `--metrics`:
/// <https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md>. The `kv_cache_usage_ratio` of older
/// versions counts what idle slots keep for later as well, and so does not say whether there is room.
const LLAMA_CPP: Names = Names {
    running: "llamacpp:requests_processing",
    waiting: "llamacpp:requests_deferred",
    kv_used: &[],
    tokens_per_s: "llamacpp:predicted_tokens_seconds",
};

/// The engine whose metrics these are.
#[must_use]
pub fn engine(text: &[u8]) -> Option<Engine> {
    lines(text).find_map(|line| match line.name.split_once([':', '_'])?.0 {
        "llamacpp" => Some(Engine::LlamaCpp),
        "sglang" => Some(Engine::Sglang),
        "vllm" => Some(Engine::Vllm),
        _ => None,
    })
}

/// Most models of one server that are told apart.
const MODELS_MAX: usize = 64;

/// Reads an engine's metrics; `None` where they tell nothing of its requests.
#[must_use]
pub fn metrics(engine: Engine, text: &[u8]) -> Option<Reading> {
    let names = match engine {
        Engine::LlamaCpp => &LLAMA_CPP,
        Engine::Sglang => &SGLANG,
        Engine::Vllm => &VLLM,
        Engine::Airlane | Engine::LlamaSwap | Engine::LmStudio | Engine::Ollama => return None,
    };
    let mut loads: Vec<(bool, Load)> = Vec::new();
    for line in lines(text) {
        let is_kv = names.kv_used.iter().any(|name| line.is(name));
        let [running, waiting, speed] = [names.running, names.waiting, names.tokens_per_s].map(|name| line.is(name));
        if !(running || waiting || speed || is_kv) || !is_first_of_its_group(&line) {
            continue;
        }
        let Some((is_told, load)) = find(&mut loads, &line) else { continue };
        if let Some(count) = line.small().filter(|_| running) {
            *is_told = true;
            load.running = load.running.saturating_add(count);
        } else if let Some(count) = line.small().filter(|_| waiting) {
            load.waiting = Some(load.waiting.unwrap_or(0).saturating_add(count));
        } else if let Some(per_s) = line.number().filter(|_| speed) {
            load.tokens_per_s = Some(load.tokens_per_s.unwrap_or(0.0) + per_s);
        } else if let Some(percent) = line.percent().filter(|_| is_kv) {
            // The fullest of several engines is the one that may have no room.
            let percent = u8::try_from(percent.min(100)).unwrap_or(100);
            load.kv_used_percent = load.kv_used_percent.max(Some(percent));
        }
    }
    let loads: Vec<Load> = loads.into_iter().filter(|(is_told, _)| *is_told).map(|(_, load)| load).collect();
    (!loads.is_empty()).then_some(Reading { loads, models: None })
}

/// The cards that compute one request together may each tell the same numbers: those of the first count. Engines
/// that share the work (data parallel) each tell their own.
fn is_first_of_its_group(line: &Line<'_>) -> bool {
    ["tp_rank", "pp_rank", "moe_ep_rank"].iter().all(|rank| line.label(rank).is_none_or(|rank| rank == "0"))
}

fn find<'l>(loads: &'l mut Vec<(bool, Load)>, line: &Line<'_>) -> Option<&'l mut (bool, Load)> {
    let model = line.label("model_name");
    let position = loads.iter().position(|(_, load)| load.model.as_deref() == model.as_deref());
    if let Some(position) = position {
        return loads.get_mut(position);
    }
    if loads.len() >= MODELS_MAX {
        return None;
    }
    loads.push((false, Load { model: model.map(std::borrow::Cow::into_owned), ..Load::default() }));
    loads.last_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VLLM_TEXT: &str = r#"# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 10485.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3-8B"} 3.0
vllm:num_requests_running{engine="1",model_name="Qwen/Qwen3-8B"} 2.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3-8B"} 1.0
vllm:num_requests_waiting{engine="1",model_name="Qwen/Qwen3-8B"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="Qwen/Qwen3-8B"} 0.9712
vllm:kv_cache_usage_perc{engine="1",model_name="Qwen/Qwen3-8B"} 0.25
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="Qwen/Qwen3-8B"} 0.0
"#;

    #[test]
    fn vllm_tells_all_its_engines() {
        let reading = metrics(Engine::Vllm, VLLM_TEXT.as_bytes()).expect("a reading");
        let want = Load {
            model: Some("Qwen/Qwen3-8B".to_owned()),
            running: 5,
            waiting: Some(1),
            kv_used_percent: Some(97),
            ..Load::default()
        };
        assert_eq!(reading, Reading { loads: vec![want], models: None });
        assert_eq!(engine(VLLM_TEXT.as_bytes()), Some(Engine::Vllm));
    }

    #[test]
    fn older_vllm_and_a_new_name_for_the_colon() {
        let text = "vllm_num_requests_running 1\nvllm:gpu_cache_usage_perc 0.5\nvllm:num_requests_swapped 0\n\
            vllm:avg_generation_throughput_toks_per_s 42.5";
        let reading = metrics(Engine::Vllm, text.as_bytes()).expect("a reading");
        let load = &reading.loads[0];
        assert_eq!((load.running, load.waiting, load.kv_used_percent), (1, None, Some(50)));
        assert_eq!(load.tokens_per_s, Some(42.5));
    }

    #[test]
    fn sglang_counts_each_group_once() {
        let text = r#"sglang:num_running_reqs{engine_type="unified",model_name="llama",tp_rank="0",pp_rank="0"} 4.0
sglang:num_running_reqs{engine_type="unified",model_name="llama",tp_rank="1",pp_rank="0"} 4.0
sglang:num_running_reqs{dp_rank="1",engine_type="unified",model_name="llama",tp_rank="0",pp_rank="0"} 1.0
sglang:num_queue_reqs{engine_type="unified",model_name="llama",tp_rank="0",pp_rank="0"} 7.0
sglang:token_usage{engine_type="unified",model_name="llama",tp_rank="0",pp_rank="0"} 0.28
sglang:gen_throughput{engine_type="unified",model_name="llama",tp_rank="0",pp_rank="0"} 86.5"#;
        let reading = metrics(Engine::Sglang, text.as_bytes()).expect("a reading");
        let want = Load {
            model: Some("llama".to_owned()),
            running: 5,
            waiting: Some(7),
            slots: None,
            kv_used_percent: Some(28),
            tokens_per_s: Some(86.5),
        };
        assert_eq!(reading.loads, [want]);
        assert_eq!(engine(text.as_bytes()), Some(Engine::Sglang));
    }

    #[test]
    fn llama_cpp_counts_for_the_whole_server() {
        let text = "# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing 2\n\
            llamacpp:requests_deferred 3\nllamacpp:predicted_tokens_seconds 43.2\nllamacpp:kv_cache_usage_ratio 1.0";
        let reading = metrics(Engine::LlamaCpp, text.as_bytes()).expect("a reading");
        let want = Load { running: 2, waiting: Some(3), tokens_per_s: Some(43.2), ..Load::default() };
        assert_eq!(reading.loads, [want], "what idle slots keep is no load");
        assert_eq!(engine(text.as_bytes()), Some(Engine::LlamaCpp));
    }

    #[test]
    fn what_tells_nothing_is_no_reading() {
        for text in ["", "up 1", "vllm:num_requests_waiting 4", "vllm:num_requests_running NaN", "<html>"] {
            assert_eq!(metrics(Engine::Vllm, text.as_bytes()), None, "{text}");
        }
        assert_eq!(metrics(Engine::Sglang, VLLM_TEXT.as_bytes()), None);
        assert_eq!(engine(b"go_info 1\n"), None);
        let many: String =
            (0..1_000).map(|number| format!("vllm:num_requests_running{{model_name=\"{number}\"}} 1\n")).collect();
        assert_eq!(metrics(Engine::Vllm, many.as_bytes()).map(|reading| reading.loads.len()), Some(MODELS_MAX));
    }
}
