//! Bodies on the OpenAI surfaces.
#![no_main]

use domain::surface::Surface;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    airlane_fuzz::request(
        &[Surface::OpenaiChat, Surface::OpenaiCompletions, Surface::OpenaiEmbeddings, Surface::OpenaiResponses],
        data,
    );
});
