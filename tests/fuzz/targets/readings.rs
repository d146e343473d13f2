//! What model servers and exporters tell of themselves.
#![no_main]

use domain::reading::{Engine, Others, OursThen};
use wire::readings;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = readings::engine(data);
    for engine in [Engine::LlamaCpp, Engine::Sglang, Engine::Vllm] {
        let Some(reading) = readings::metrics(engine, data) else { continue };
        assert!(!reading.loads.is_empty() && reading.loads.len() <= 64);
        for load in &reading.loads {
            let ours = OursThen { least: 1, most: 2 };
            assert!(Others::of(load, ours, Others::default()).requests() <= load.requests());
            assert!(load.kv_used_percent.is_none_or(|percent| percent <= 100));
        }
    }
    if let Some(told) = readings::gpus(data) {
        assert!(!told.gpus.cards.is_empty() && told.gpus.cards.len() <= 64);
    }
    let _ = readings::slots(data);
    let _ = readings::ollama(data);
    let _ = readings::llama_swap(data);
    let _ = readings::lm_studio(data);
    if let Ok(routed) = readings::llama_router(data) {
        assert!(routed.models.is_some_and(|models| !models.is_empty() && models.len() <= 5_000));
    }
});
