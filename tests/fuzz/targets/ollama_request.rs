//! Bodies on the Ollama surfaces.
#![no_main]

use domain::surface::Surface;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    airlane_fuzz::request(
        &[Surface::OllamaChat, Surface::OllamaGenerate, Surface::OllamaEmbed, Surface::OllamaEmbeddings],
        data,
    );
});
