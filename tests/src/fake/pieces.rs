//! An answer as pieces that the sender paces, cuts and splits.

use serde_json::Value;

use super::script::Script;

/// What one write of the answer's body means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Envelope: sent at once.
    Frame,
    /// Holds generated text: paced, counted, gated.
    Token,
}

/// A whole answer before it is sent.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Body {
    /// With a length.
    Whole(Vec<u8>),
    /// Chunked.
    Pieces(Vec<(Mark, Vec<u8>)>),
}

impl Rendered {
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            body: Body::Whole(value.to_string().into_bytes()),
        }
    }

    pub(super) fn text(status: u16, text: String) -> Self {
        Self {
            status,
            content_type: "text/plain".to_owned(),
            headers: Vec::new(),
            body: Body::Whole(text.into_bytes()),
        }
    }

    pub(super) fn stream(content_type: &str, pieces: Vec<(Mark, Vec<u8>)>) -> Self {
        Self { status: 200, content_type: content_type.to_owned(), headers: Vec::new(), body: Body::Pieces(pieces) }
    }
}

/// One server-sent event, in the line style that the script asks for.
pub(super) fn sse(script: &Script, event: Option<&str>, data: &str) -> Vec<u8> {
    let end = if script.crlf { "\r\n" } else { "\n" };
    let mut text = String::new();
    if let Some(event) = event {
        text.push_str(&format!("event: {event}{end}"));
    }
    for line in data.lines() {
        text.push_str(&format!("data: {line}{end}"));
    }
    text.push_str(end);
    text.into_bytes()
}

/// JSON on one line, or on many when the script asks for data over several lines.
pub(super) fn data_text(script: &Script, value: &Value) -> String {
    if script.multi_line { serde_json::to_string_pretty(value).unwrap_or_default() } else { value.to_string() }
}

/// Splits a text in two near its middle, between characters.
pub(super) fn halves(text: &str) -> (&str, &str) {
    let middle = (text.len() / 2..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    text.split_at(middle)
}
