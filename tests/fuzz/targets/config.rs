//! The config file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A `key_file` is read from the disk, and what lies there is not the question.
    if !text.contains("_file") {
        airlane_fuzz::settings::read_and_check(text);
    }
});
