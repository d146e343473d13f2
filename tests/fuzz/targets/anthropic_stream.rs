//! Streams of an Anthropic upstream.
#![no_main]

use domain::surface::Surface;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    airlane_fuzz::stream(&[Surface::AnthropicMessages], data);
});
