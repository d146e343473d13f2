//! Writes content blocks one after the other, though the pieces of an upstream's calls may come mixed.

use std::collections::VecDeque;
use std::io::Write;

use serde_json::{Map, Value};

use super::super::block::{Block, tool_input};
use super::whole::Whole;
use crate::chat::ToolCall;
use crate::json::write_string;

/// Most blocks that wait for a call to be whole; then its end is no longer waited for.
const WAITING_MAX: usize = 256;

/// Blocks on their way out. One is live: its pieces are written at once. A call stays live until its arguments are a
/// whole object; what comes for other blocks in the meantime waits in order.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    live: Option<Content>,
    waiting: VecDeque<Content>,
    /// Index of the next block to open.
    next: u32,
}

#[derive(Debug)]
enum Content {
    Text(String),
    Thinking { text: String, signature: Option<String> },
    Redacted(String),
    Call(Call),
}

#[derive(Debug)]
struct Call {
    /// Position among the calls.
    index: u32,
    id: String,
    name: String,
    /// Arguments not written yet. A live call's are kept until their first character tells that they are an object.
    held: String,
    is_object: bool,
    whole: Whole,
}

impl Blocks {
    /// More text.
    pub(super) fn text(&mut self, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        match self.last() {
            Some(Content::Text(held)) => held.push_str(piece),
            _ => self.waiting.push_back(Content::Text(piece.to_owned())),
        }
        self.advance(out);
    }

    /// More reasoning. What follows a signature is another block.
    pub(super) fn thinking(&mut self, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        match self.last() {
            Some(Content::Thinking { text, signature: None }) => text.push_str(piece),
            _ => self.waiting.push_back(Content::Thinking { text: piece.to_owned(), signature: None }),
        }
        self.advance(out);
    }

    /// The signature of the reasoning so far, which may be hidden from view.
    pub(super) fn signature(&mut self, value: &str, out: &mut Vec<u8>) {
        match self.last() {
            Some(Content::Thinking { signature: signature @ None, .. }) => *signature = Some(value.to_owned()),
            _ => {
                let signature = Some(value.to_owned());
                self.waiting.push_back(Content::Thinking { text: String::new(), signature });
            }
        }
        self.advance(out);
    }

    /// A block of encrypted reasoning.
    pub(super) fn redacted(&mut self, data: &str, out: &mut Vec<u8>) {
        self.waiting.push_back(Content::Redacted(data.to_owned()));
        self.advance(out);
    }

    /// A call begins.
    pub(super) fn call(&mut self, index: u32, call: &ToolCall, out: &mut Vec<u8>) {
        let (id, name) = (call.id.clone(), call.name.clone());
        let call_begun = Call { index, id, name, held: String::new(), is_object: false, whole: Whole::default() };
        self.waiting.push_back(Content::Call(call_begun));
        self.arguments(index, &call.arguments, out);
    }

    /// More of a call's arguments. Pieces of a call that is complete or never began are passed over.
    pub(super) fn arguments(&mut self, index: u32, piece: &str, out: &mut Vec<u8>) {
        let contents = self.live.iter_mut().chain(&mut self.waiting).rev();
        let mut calls = contents.filter_map(|content| match content {
            Content::Call(call) => Some(call),
            Content::Text(_) | Content::Thinking { .. } | Content::Redacted(_) => None,
        });
        if let Some(call) = calls.find(|call| call.index == index) {
            call.held.push_str(call.whole.feed(piece));
        }
        self.advance(out);
    }

    /// Writes all that is left and closes the last block.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.advance(out);
        while self.live.is_some() {
            self.close(out);
            self.open_next(out);
        }
    }

    fn last(&mut self) -> Option<&mut Content> {
        self.waiting.back_mut().or(self.live.as_mut())
    }

    /// Writes what may be written.
    fn advance(&mut self, out: &mut Vec<u8>) {
        if self.live.is_none() {
            self.open_next(out);
        }
        loop {
            self.write_live(out);
            let open_call = matches!(&self.live, Some(Content::Call(call)) if !call.whole.is_closed());
            if (open_call && self.waiting.len() <= WAITING_MAX) || self.waiting.is_empty() {
                return;
            }
            self.close(out);
            self.open_next(out);
        }
    }

    fn open_next(&mut self, out: &mut Vec<u8>) {
        let Some(content) = self.waiting.pop_front() else { return };
        let start = match &content {
            Content::Text(_) => Block::Text { text: "" },
            Content::Thinking { .. } => Block::Thinking { thinking: "", signature: "" },
            Content::Redacted(data) => Block::RedactedThinking { data },
            Content::Call(call) => Block::ToolUse { id: (&call.id).into(), name: &call.name, input: Map::new() },
        };
        head(out, "content_block_start", self.next);
        out.extend_from_slice(br#","content_block":"#);
        // Strings always serialise.
        let _ = serde_json::to_writer(&mut *out, &start);
        out.extend_from_slice(b"}\n\n");
        self.live = Some(content);
        self.next += 1;
    }

    fn write_live(&mut self, out: &mut Vec<u8>) {
        let index = self.next.saturating_sub(1);
        match &mut self.live {
            None | Some(Content::Redacted(_)) => {}
            Some(Content::Text(text)) => delta(out, index, "text_delta", "text", text),
            Some(Content::Thinking { text, signature }) => {
                delta(out, index, "thinking_delta", "thinking", text);
                if let Some(signature) = signature {
                    delta(out, index, "signature_delta", "signature", signature);
                }
            }
            Some(Content::Call(call)) => {
                if !call.is_object {
                    call.is_object = call.held.trim_start().starts_with('{');
                    if call.held.trim_start().is_empty() {
                        // Models may write blanks without end: they are not looked at again with each new one.
                        call.held.clear();
                    }
                }
                if call.is_object {
                    delta(out, index, "input_json_delta", "partial_json", &mut call.held);
                }
            }
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.write_live(out);
        let index = self.next.saturating_sub(1);
        if let Some(Content::Call(call)) = &mut self.live
            && !call.is_object
        {
            let mut object = Value::Object(tool_input(&call.held)).to_string();
            delta(out, index, "input_json_delta", "partial_json", &mut object);
        }
        self.live = None;
        head(out, "content_block_stop", index);
        out.extend_from_slice(b"}\n\n");
    }
}

/// Begins an event of a block: `event:` and the first two members.
fn head(out: &mut Vec<u8>, event: &str, index: u32) {
    // A Vec never fails to take bytes.
    let _ = write!(out, "event: {event}\ndata: {{\"type\":\"{event}\",\"index\":{index}");
}

/// Writes a delta and empties its text. No text, no delta.
fn delta(out: &mut Vec<u8>, index: u32, kind: &str, member: &str, text: &mut String) {
    if text.is_empty() {
        return;
    }
    head(out, "content_block_delta", index);
    let _ = write!(out, ",\"delta\":{{\"type\":\"{kind}\",\"{member}\":");
    write_string(out, text);
    out.extend_from_slice(b"}}\n\n");
    text.clear();
}
