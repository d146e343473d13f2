//! However a stream is cut, the client gets the same bytes; and a stream that ends too early is never called complete.

use domain::surface::{Dialect, Surface};
use proptest::prelude::*;

use crate::asks::ask;
use crate::streams::{carry, nears, streams};

/// A stream with other line ends, where the framing allows them.
fn with_ends(far: Surface, stream: &str, ends: &str) -> Vec<u8> {
    if far.dialect() == Dialect::Ollama { stream.into() } else { stream.replace('\n', ends).into_bytes() }
}

fn pieces<'b>(bytes: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn any_cut_gives_the_same(
        case in any::<prop::sample::Index>(),
        client in any::<prop::sample::Index>(),
        include_usage in any::<bool>(),
        ends in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let streams = streams();
        let (far, name, stream) = case.get(&streams);
        let near = *client.get(nears(*far));
        let mut ask = ask(near, true);
        ask.include_usage = include_usage;
        let bytes = with_ends(*far, stream, ends);
        let whole = carry(&ask, *far, [bytes.as_slice()]).unwrap();
        prop_assert!(whole.done, "{name}");
        let cut = carry(&ask, *far, pieces(&bytes, &cuts)).unwrap();
        prop_assert_eq!(cut, whole, "{} for {:?}", name, near);
    }
}

#[test]
fn one_byte_at_a_time() {
    for (far, name, stream) in streams() {
        for near in nears(far) {
            let ask = ask(*near, true);
            let whole = carry(&ask, far, [stream.as_bytes()]).unwrap();
            let cut = carry(&ask, far, stream.as_bytes().chunks(1)).unwrap();
            assert_eq!(cut, whole, "{name} for {near:?}");
        }
    }
}

#[test]
fn what_is_passed_on_keeps_its_bytes() {
    for (far, name, stream) in streams().into_iter().filter(|(_, name, _)| *name != "openai_chat.no_end") {
        let mut ask = ask(far, true);
        ask.include_usage = true;
        let received = carry(&ask, far, stream.as_bytes().chunks(7)).unwrap();
        assert_eq!(String::from_utf8(received.bytes).unwrap(), stream, "{name}");

        ask.include_usage = false;
        let received = carry(&ask, far, stream.as_bytes().chunks(7)).unwrap();
        let is_openai = matches!(far, Surface::OpenaiChat | Surface::OpenaiCompletions);
        let without_usage = |frame: &&str| !is_openai || !frame.contains(r#""choices":[],"#);
        let want: String = stream.split_inclusive("\n\n").filter(without_usage).collect();
        assert_eq!(String::from_utf8(received.bytes).unwrap(), want, "{name}");
    }
}

/// Where the last alternative begins to be told as finished.
fn last_finish(far: Surface, stream: &str) -> usize {
    let words: &[&str] = match far {
        Surface::AnthropicMessages => &[r#""stop_reason":""#],
        Surface::OllamaChat | Surface::OllamaGenerateRaw => &[r#""done":true"#],
        Surface::OpenaiResponses => &["response.completed"],
        Surface::OpenaiChat
        | Surface::OpenaiCompletions
        | Surface::OpenaiEmbeddings
        | Surface::AnthropicCountTokens
        | Surface::OllamaGenerate
        | Surface::OllamaEmbed
        | Surface::OllamaEmbeddings => {
            &[r#""finish_reason":"stop"#, r#""finish_reason":"length"#, r#""finish_reason":"tool_calls"#]
        }
    };
    words.iter().filter_map(|word| stream.rfind(word)).max().unwrap()
}

#[test]
fn a_stream_that_ends_too_early_is_not_complete() {
    for (far, name, stream) in streams() {
        let finish = last_finish(far, &stream);
        for end in 0..stream.len() {
            let near = nears(far)[end % nears(far).len()];
            let received = carry(&ask(near, true), far, [&stream.as_bytes()[..end]]);
            let done = received.is_ok_and(|received| received.done);
            assert!(!done || end > finish, "{name} for {near:?} cut at {end}");
        }
    }
}

#[test]
fn an_end_that_the_upstream_forgot_is_added_as_a_frame_of_its_own() {
    let chunk = r#"data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    for missing in ["", "\n", "\r\n"] {
        let stream = format!("{chunk}{missing}");
        let received = carry(&ask(Surface::OpenaiChat, true), Surface::OpenaiChat, [stream.as_bytes()]).unwrap();
        let text = String::from_utf8(received.bytes).unwrap();
        assert!(received.done && text.starts_with(&stream) && text.ends_with("\n\ndata: [DONE]\n\n"), "{text}");
    }
}

#[test]
fn an_alternative_that_never_came_is_missed() {
    let stream = "data: {\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":\"stop\"}]}\n\n";
    for (prompt, n, done) in [
        (r#""a""#, 1, true),
        (r#""a""#, 2, false),
        (r#"["a","b"]"#, 1, false),
        ("[1,2]", 1, true),
        ("[[1],[2]]", 1, false),
    ] {
        let body = format!(r#"{{"model":"m","prompt":{prompt},"n":{n},"stream":true}}"#);
        let ask = crate::asks::read(Surface::OpenaiCompletions, &body);
        let received = carry(&ask, Surface::OpenaiCompletions, [stream.as_bytes()]).unwrap();
        assert_eq!(received.done, done, "{body}");
    }
}
