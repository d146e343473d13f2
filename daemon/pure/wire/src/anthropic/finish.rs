//! Why an answer ended, in Anthropic's words.

use crate::reply::Finish;

/// Reads `stop_reason` and `stop_sequence`.
pub(super) fn decode(reason: &str, sequence: Option<String>) -> Finish {
    match reason {
        "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence(sequence),
        // A full context window cuts the answer like a token limit does.
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        other => Finish::Other(other.to_owned()),
    }
}

/// What the answer held besides its end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    /// A tool call.
    pub(super) calls: bool,
    /// Text with which the model declined.
    pub(super) refusal: bool,
}

/// Chooses `stop_reason` and `stop_sequence`.
///
/// Clients run tools only on `tool_use`, yet some upstreams say `stop` after calls: a call overrules it. A word that
/// Anthropic does not have becomes `end_turn`, because strictly typed clients fail on it.
pub(super) fn encode(finish: Option<&Finish>, held: Held) -> (&'static str, Option<&str>) {
    let done = match held {
        Held { calls: true, .. } => "tool_use",
        Held { refusal: true, .. } => "refusal",
        Held { .. } => "end_turn",
    };
    match finish {
        None | Some(Finish::Stop) => (done, None),
        Some(Finish::StopSequence(text)) => ("stop_sequence", text.as_deref()),
        Some(Finish::Length) => ("max_tokens", None),
        Some(Finish::ToolCalls) => ("tool_use", None),
        Some(Finish::ContentFilter) => ("refusal", None),
        Some(Finish::Other(word)) if word == "pause_turn" => ("pause_turn", None),
        Some(Finish::Other(_)) => (done, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_both_ways() {
        for (word, sequence) in [
            ("end_turn", None),
            ("stop_sequence", Some("END")),
            ("stop_sequence", None),
            ("max_tokens", None),
            ("tool_use", None),
            ("refusal", None),
            ("pause_turn", None),
        ] {
            let finish = decode(word, sequence.map(str::to_owned));
            assert_eq!(encode(Some(&finish), Held::default()), (word, sequence));
        }
        assert_eq!(decode("model_context_window_exceeded", None), Finish::Length);
    }

    #[test]
    fn what_was_held_decides_where_the_word_does_not() {
        let calls = Held { calls: true, refusal: false };
        let refusal = Held { calls: false, refusal: true };
        for (finish, held, want) in [
            (Some(Finish::Stop), calls, "tool_use"),
            (None, calls, "tool_use"),
            (Some(Finish::Length), calls, "max_tokens"),
            (Some(Finish::Stop), refusal, "refusal"),
            (Some(Finish::Other("abort".to_owned())), Held::default(), "end_turn"),
            (None, Held::default(), "end_turn"),
        ] {
            assert_eq!(encode(finish.as_ref(), held).0, want);
        }
    }
}
