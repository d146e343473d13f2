//! Streams of an OpenAI-compatible upstream.
#![no_main]

use domain::surface::Surface;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    airlane_fuzz::stream(&[Surface::OpenaiChat, Surface::OpenaiCompletions], data);
});
