//! Streams of an Ollama upstream: one JSON object a line.
#![no_main]

use domain::surface::Surface;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    airlane_fuzz::stream(&[Surface::OllamaChat, Surface::OllamaGenerateRaw], data);
});
