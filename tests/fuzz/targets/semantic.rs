//! Two questions that are compared word by word, and the files of a table of vectors.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    airlane_fuzz::semantic(data);
});
