//! The loads that are compared.

use std::time::Duration;

/// One load.
pub(crate) struct Scenario {
    /// Its name in the table.
    pub name: &'static str,
    /// What is sent.
    pub load: Load,
}

/// The kinds of load.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// Whole answers over kept connections.
    Unary {
        /// Connections, each with one request at a time.
        connections: usize,
        /// Size of the request's body.
        request_bytes: usize,
        /// The same question each time, of which the answer is kept.
        kept: bool,
    },
    /// Event streams, one after another on each connection.
    Streams {
        /// Streams at once.
        count: usize,
        /// Time between two tokens of a stream.
        gap: Duration,
        /// Tokens in a stream.
        tokens: usize,
    },
}

/// Size of the text in a whole answer.
pub(crate) const REPLY_BYTES: usize = 1024;

const KIB: usize = 1024;

const fn unary(name: &'static str, connections: usize, request_bytes: usize) -> Scenario {
    Scenario { name, load: Load::Unary { connections, request_bytes, kept: false } }
}

const fn kept(name: &'static str, connections: usize, request_bytes: usize) -> Scenario {
    Scenario { name, load: Load::Unary { connections, request_bytes, kept: true } }
}

const fn streams(name: &'static str, count: usize, gap_ms: u64, tokens: usize) -> Scenario {
    Scenario { name, load: Load::Streams { count, gap: Duration::from_millis(gap_ms), tokens } }
}

/// All loads. The gaps grow with the streams: at 4,000 tokens a second two cores still have air, and without air the
/// chunks of one stream would arrive glued together, which flatters every proxy.
pub(crate) const SCENARIOS: &[Scenario] = &[
    unary("1 KiB, 1 connection", 1, KIB),
    unary("1 KiB, 16 connections", 16, KIB),
    unary("1 KiB, 64 connections", 64, KIB),
    unary("32 KiB prompt, 16 connections", 16, 32 * KIB),
    kept("kept answer, 1 connection", 1, KIB),
    kept("kept answer, 16 connections", 16, KIB),
    kept("kept, 32 KiB, 16 connections", 16, 32 * KIB),
    streams("32 streams", 32, 20, 50),
    streams("256 streams", 256, 64, 30),
    streams("1,000 streams", 1_000, 250, 12),
];

/// A chat request of about `bytes` bytes; the answer to one that is to be `kept` shall be the same each time.
pub(crate) fn request_body(bytes: usize, stream: bool, kept: bool) -> String {
    let knob = if kept { r#""temperature":0,"# } else { "" };
    let before = format!(r#"{{"model":"bench",{knob}"stream":{stream},"messages":[{{"role":"user","content":""#);
    let after = r#""}]}"#;
    let words = "The quick brown fox jumps over the lazy dog. ".repeat(bytes / 40 + 1);
    let text = &words[..bytes.saturating_sub(before.len() + after.len())];
    format!("{before}{text}{after}")
}
