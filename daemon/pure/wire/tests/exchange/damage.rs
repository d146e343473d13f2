//! Bytes that no upstream should send: never a panic, and never another outcome because of where a chunk ends.

use std::time::Duration;

use bytes::Bytes;
use domain::surface::Surface;
use proptest::prelude::*;
use wire::exchange::{Ask, Transcoder};

use crate::asks::{ask, context};
use crate::streams::{nears, streams};

const FARS: [Surface; 6] = [
    Surface::OpenaiChat,
    Surface::OpenaiCompletions,
    Surface::OpenaiResponses,
    Surface::AnthropicMessages,
    Surface::OllamaChat,
    Surface::OllamaGenerateRaw,
];

/// What a client got until the end or the first error, and whether that was the end.
fn carry_until_error<'c>(ask: &Ask, far: Surface, chunks: impl Iterator<Item = &'c [u8]>) -> (Vec<u8>, bool, bool) {
    let mut transcoder = Transcoder::new(ask, far, context(false));
    let mut bytes = Vec::new();
    for chunk in chunks {
        match transcoder.feed(&Bytes::copy_from_slice(chunk), Duration::ZERO) {
            Ok(step) => bytes.extend_from_slice(&step.all()),
            Err(_) => return (bytes, false, transcoder.is_done()),
        }
    }
    match transcoder.finish(Duration::ZERO) {
        Ok(step) => bytes.extend_from_slice(&step.all()),
        Err(_) => return (bytes, false, transcoder.is_done()),
    }
    let _ = transcoder.heartbeat();
    (bytes, true, transcoder.is_done())
}

/// Bytes that matter to the framings and to JSON, besides any other.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), prop::sample::select(b"\n\r:{}[]\",0-9\\ \xef\xbb\xbf".to_vec())]
}

proptest! {
    #[test]
    fn arbitrary_bytes(
        far in prop::sample::select(FARS.to_vec()),
        client in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(byte(), 0..400),
        size in 1_usize..50,
    ) {
        let ask = ask(*client.get(nears(far)), true);
        carry_until_error(&ask, far, bytes.chunks(size));
    }

    #[test]
    fn damaged_streams(
        case in any::<prop::sample::Index>(),
        client in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), byte()), 1..5),
        size in 1_usize..600,
    ) {
        let streams = streams();
        let (far, name, stream) = case.get(&streams);
        let ask = ask(*client.get(nears(*far)), true);
        let mut bytes = stream.clone().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = carry_until_error(&ask, *far, std::iter::once(bytes.as_slice()));
        let cut = carry_until_error(&ask, *far, bytes.chunks(size));
        prop_assert_eq!(cut, whole, "{}", name);
    }

    #[test]
    fn frames_in_another_order(
        case in any::<prop::sample::Index>(),
        client in any::<prop::sample::Index>(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let streams = streams();
        let (far, _, stream) = case.get(&streams);
        let ask = ask(*client.get(nears(*far)), true);
        let ending = if stream.starts_with('{') { "\n" } else if stream.contains('\r') { "\r\n\r\n" } else { "\n\n" };
        let frames: Vec<&str> = stream.split_inclusive(ending).collect();
        carry_until_error(&ask, *far, order.iter().map(|at| at.get(&frames).as_bytes()));
    }
}

#[test]
fn what_came_before_a_broken_frame_is_not_lost() {
    let good = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    let stream = format!("{good}data: {{nonsense\n\n");
    let ask = ask(Surface::OpenaiChat, true);
    let (bytes, is_end, done) = carry_until_error(&ask, Surface::OpenaiChat, std::iter::once(stream.as_bytes()));
    assert_eq!((bytes.as_slice(), is_end, done), (good.as_bytes(), false, false));
}

#[test]
fn a_byte_order_mark_may_come_in_pieces() {
    let stream =
        "\u{feff}data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
    for size in [1, 2, 1_000] {
        let ask = ask(Surface::OllamaChat, true);
        let (bytes, _, done) = carry_until_error(&ask, Surface::OpenaiChat, stream.as_bytes().chunks(size));
        assert!(done && String::from_utf8(bytes).unwrap().contains(r#""content":"a""#), "{size}");
    }
}

#[test]
fn characters_that_an_upstream_cut_in_two_do_not_end_the_stream() {
    let chunk =
        |text: &str| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let stream = [chunk("a\\ud83d"), chunk("\\ude00b"), "data: [DONE]\n\n".to_owned()].concat();
    for near in nears(Surface::OpenaiChat) {
        let ask = ask(*near, true);
        let (bytes, is_end, done) = carry_until_error(&ask, Surface::OpenaiChat, std::iter::once(stream.as_bytes()));
        let text = String::from_utf8(bytes).unwrap();
        let shown = if *near == Surface::OpenaiChat { "a\\ud83d" } else { "a\u{fffd}" };
        assert!(is_end && done && text.contains(shown), "{near:?}: {text}");
    }
}

#[test]
fn an_endless_stream_is_not_kept() {
    let mut transcoder = Transcoder::new(&ask(Surface::AnthropicMessages, true), Surface::OpenaiChat, context(false));
    let comment = Bytes::from_static(b": x\n\n");
    assert!(transcoder.feed(&comment, Duration::ZERO).is_ok());
    assert!(transcoder.feed(&Bytes::from(vec![0; 256 << 20]), Duration::ZERO).is_err());
}
