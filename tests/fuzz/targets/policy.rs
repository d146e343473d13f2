//! A policy: what stands in its table, and its condition.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    airlane_fuzz::condition(text);
    if !text.contains("_file") {
        airlane_fuzz::settings::read_and_check(&format!("[[policy]]\nname = \"x\"\n{text}"));
    }
});
