//! Writes the messages: the system prompt apart, and turns of user and assistant that take turns.

use std::borrow::Cow;

use serde::Serialize;

use super::super::block::{Block, Source, ToolResult, tool_input};
use crate::chat::{Message, Part, Role};
use crate::malformed::Uncarried;

/// One message to write.
#[derive(Debug, Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

/// All messages to write.
#[derive(Debug, Default)]
pub(super) struct Turns<'a> {
    /// System messages, also those from the middle of the conversation: most Claude models know one place for them.
    pub(super) system: Vec<Block<'a>>,
    pub(super) messages: Vec<Turn<'a>>,
}

/// Sorts the messages into turns. Messages of one side that follow each other become one turn.
pub(super) fn turns(messages: &[Message]) -> Result<Turns<'_>, Uncarried> {
    let mut turns = Turns::default();
    for (position, message) in messages.iter().enumerate() {
        let at = format!("messages[{position}]");
        if message.name.is_some() && message.role != Role::Tool {
            return Err(Uncarried::new(format!("{at}.name"), "Anthropic's messages have no names of speakers"));
        }
        let blocks = blocks(message, &at)?;
        match message.role {
            Role::System => turns.system.extend(blocks),
            Role::User | Role::Tool => turns.push("user", blocks),
            Role::Assistant => turns.push("assistant", blocks),
        }
    }
    for turn in &mut turns.messages {
        // Anthropic wants results in front; the sort keeps the order otherwise.
        turn.content.sort_by_key(|block| turn.role == "user" && !matches!(block, Block::ToolResult(_)));
    }
    if turns.messages.is_empty() {
        return Err(Uncarried::new(
            "messages",
            "Anthropic wants at least one message with content that is not a system message",
        ));
    }
    Ok(turns)
}

impl<'a> Turns<'a> {
    fn push(&mut self, role: &'static str, blocks: Vec<Block<'a>>) {
        if blocks.is_empty() {
            return;
        }
        match self.messages.last_mut() {
            Some(last) if last.role == role => last.content.extend(blocks),
            _ => self.messages.push(Turn { role, content: blocks }),
        }
    }
}

fn blocks<'a>(message: &'a Message, at: &str) -> Result<Vec<Block<'a>>, Uncarried> {
    let mut blocks = Vec::with_capacity(message.parts.len());
    for (position, part) in message.parts.iter().enumerate() {
        blocks.extend(block(part, message.role, || format!("{at}.content[{position}]"))?);
    }
    Ok(blocks)
}

/// Writes one part; `None` for a part without content.
fn block<'a>(part: &'a Part, role: Role, at: impl Fn() -> String) -> Result<Option<Block<'a>>, Uncarried> {
    let misplaced = || Err(Uncarried::new(at(), "Anthropic has no place for it in such a message"));
    let block = match (part, role) {
        (Part::Text(text) | Part::Refusal(text), _) => return Ok(text_block(text)),
        (Part::Image { source, .. }, Role::User | Role::Tool) => Block::Image { source: Source::from(source) },
        (Part::ToolCall(call), Role::Assistant) => {
            Block::ToolUse { id: id(&call.id), name: &call.name, input: tool_input(&call.arguments) }
        }
        (Part::ToolResult { call_id, content, is_error, .. }, Role::User | Role::Tool) => {
            Block::ToolResult(ToolResult {
                tool_use_id: id(call_id),
                content: result(content, at)?,
                is_error: *is_error,
            })
        }
        (Part::Thinking { text, signature }, Role::Assistant) => match signature.as_deref() {
            Some(signature) => Block::Thinking { thinking: text, signature },
            // Without a signature it is another model's reasoning, which Anthropic refuses and has no use for.
            None => return Ok(None),
        },
        (Part::RedactedThinking(data), Role::Assistant) => Block::RedactedThinking { data },
        (
            Part::Image { .. }
            | Part::ToolCall(_)
            | Part::ToolResult { .. }
            | Part::Thinking { .. }
            | Part::RedactedThinking(_),
            _,
        ) => return misplaced(),
    };
    Ok(Some(block))
}

fn result<'a>(content: &'a [Part], at: impl Fn() -> String) -> Result<Vec<Block<'a>>, Uncarried> {
    let mut blocks = Vec::with_capacity(content.len());
    for part in content {
        match part {
            Part::Text(text) | Part::Refusal(text) => blocks.extend(text_block(text)),
            Part::Image { source, .. } => blocks.push(Block::Image { source: Source::from(source) }),
            Part::ToolCall(_) | Part::ToolResult { .. } | Part::Thinking { .. } | Part::RedactedThinking(_) => {
                return Err(Uncarried::new(at(), "Anthropic's tool results hold texts and images only"));
            }
        }
    }
    Ok(blocks)
}

/// Anthropic answers 400 to text without a visible character.
fn text_block(text: &str) -> Option<Block<'_>> {
    (!text.trim().is_empty()).then_some(Block::Text { text })
}

/// Anthropic accepts letters, digits, `_` and `-` in call ids; others (`functions.get:0`) are rewritten, calls and
/// results alike.
fn id(id: &str) -> Cow<'_, str> {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    if id.chars().all(fits) { Cow::Borrowed(id) } else { id.replace(|char| !fits(char), "_").into() }
}
