//! Whole answers of upstreams.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    airlane_fuzz::whole(data);
});
