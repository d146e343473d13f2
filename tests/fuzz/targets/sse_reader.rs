//! The event-stream reader: however the bytes are cut, the same events come out.
#![no_main]

use bytes::Bytes;
use wire::sse::{Frame, Reader};

fn frames(data: &[u8], step: usize) -> Vec<(String, Bytes)> {
    let mut reader = Reader::default();
    let mut frames: Vec<Frame> = Vec::new();
    for chunk in data.chunks(step) {
        reader.feed(&Bytes::copy_from_slice(chunk), &mut frames).expect("the input is far below the limit");
    }
    frames.extend(reader.finish());
    frames.into_iter().filter_map(|frame| Some((frame.event, frame.data?))).collect()
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&cut, data)) = data.split_first() else { return };
    let step = usize::from(cut % 61) + 1;
    assert_eq!(frames(data, step), frames(data, data.len().max(1)));
});
