//! Error bodies of upstreams, which may be anything: JSON, HTML, plain text, nothing.
#![no_main]

use wire::{anthropic, ollama, openai};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&status, body)) = data.split_first() else { return };
    let status = 400 + u16::from(status) % 200;
    for failure in [
        openai::error::decode(status, body),
        anthropic::error::decode(status, body),
        ollama::error::decode(status, body),
    ] {
        assert!(failure.message.chars().count() <= wire::failure::MESSAGE_CHARS_MAX);
    }
});
