//! Lists of models that upstreams give.
#![no_main]

use wire::{anthropic, ollama, openai};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = openai::models::decode(data);
    let _ = anthropic::models::decode(data);
    let _ = ollama::models::decode(data);
});
