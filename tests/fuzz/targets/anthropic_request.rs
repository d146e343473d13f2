//! Bodies on the Anthropic surfaces.
#![no_main]

use domain::surface::Surface;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    airlane_fuzz::request(&[Surface::AnthropicMessages, Surface::AnthropicCountTokens], data);
});
