//! Tool calls of one choice, put in order from the pieces of a stream.
//!
//! Servers differ: some number the calls, some give every call the number 0 or none and only a fresh id; some repeat
//! the name in every piece; some send the arguments at once as an object, or as JSON text inside JSON text.

use crate::chat::ToolCall;
use crate::malformed::Malformed;
use crate::openai::assistant::{RawCall, unwrap_quoted};
use crate::openai::chat_reply::made_id;
use crate::openai::loose::Loose;
use crate::reply::Event;

/// Most tool calls of one choice.
const CALLS_MAX: usize = 256;

/// Longest quoted arguments that are held back until they are complete.
const QUOTED_BYTES_MAX: usize = 1024 * 1024;

/// The calls of one choice so far.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug, Default)]
struct Call {
    /// The upstream's own number.
    number: Option<u32>,
    id: String,
    name: String,
    /// Arguments that are not passed on yet: before the name is known, or while they are quoted.
    held: String,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The name is not known.
    #[default]
    Unnamed,
    /// Passed on; the arguments have not begun.
    Named,
    /// The arguments begin with a quote: perhaps JSON text inside JSON text.
    Quoted,
    /// The arguments are passed on as they come.
    Plain,
}

impl Calls {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a piece of a call.
    pub(super) fn piece(
        &mut self,
        raw: RawCall,
        choice: u32,
        reply_id: &str,
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let id = raw.id.into_text().unwrap_or_default();
        let function = raw.function.unwrap_or_default();
        let name = function.name.into_text().unwrap_or_default();
        let position = self.position(raw.index, &id, &name)?;
        let index = u32::try_from(position).unwrap_or(u32::MAX);
        let Some(call) = self.0.get_mut(position) else { return Ok(()) };
        if call.id.is_empty() {
            call.id = id;
        }
        if call.name.is_empty() {
            call.name = name;
        }
        match function.arguments {
            Loose::Nothing => {}
            Loose::Text(text) => call.held.push_str(&text),
            Loose::Other(value) => call.held.push_str(&value.to_string()),
        }
        if call.state == State::Unnamed && call.held.len() > QUOTED_BYTES_MAX {
            return Err(Malformed::new("choices.delta.tool_calls", "a call's name is expected before its arguments"));
        }
        if call.state == State::Unnamed && !call.name.is_empty() {
            call.begin(choice, index, reply_id, out);
        }
        call.pass_on(choice, index, out);
        Ok(())
    }

    /// Passes on what is held back; the choice is complete.
    pub(super) fn finish(&mut self, choice: u32, reply_id: &str, out: &mut Vec<Event>) {
        for (call, index) in self.0.iter_mut().zip(0_u32..) {
            if call.state == State::Unnamed {
                call.begin(choice, index, reply_id, out);
            }
            call.held = unwrap_quoted(std::mem::take(&mut call.held));
            call.state = State::Plain;
            call.pass_on(choice, index, out);
        }
    }

    /// Finds the call that a piece belongs to, or makes a place for it.
    fn position(&mut self, number: Option<u32>, id: &str, name: &str) -> Result<usize, Malformed> {
        let known = match number {
            Some(_) => self.0.iter().rposition(|call| call.number == number),
            None => self.0.len().checked_sub(1),
        };
        if let Some(position) = known
            && let Some(call) = self.0.get(position)
        {
            let is_other = !id.is_empty() && !call.id.is_empty() && call.id != id;
            // Without numbers and ids, a name after arguments begins the next call.
            let is_next = number.is_none() && id.is_empty() && !name.is_empty() && call.state != State::Unnamed;
            if !(is_next || (is_other && !name.is_empty())) {
                return Ok(position);
            }
        }
        if self.0.len() >= CALLS_MAX {
            return Err(Malformed::new("choices.delta.tool_calls", format!("more than {CALLS_MAX} calls")));
        }
        self.0.push(Call { number, ..Call::default() });
        Ok(self.0.len() - 1)
    }
}

impl Call {
    fn begin(&mut self, choice: u32, index: u32, reply_id: &str, out: &mut Vec<Event>) {
        if self.id.is_empty() {
            self.id = made_id(reply_id, choice, index);
        }
        self.state = State::Named;
        let call = ToolCall { id: self.id.clone(), name: self.name.clone(), arguments: String::new() };
        out.push(Event::ToolCall { choice, index, call });
    }

    fn pass_on(&mut self, choice: u32, index: u32, out: &mut Vec<Event>) {
        if self.state == State::Named {
            match self.held.trim_start().chars().next() {
                // Models may write blanks without end: they are not looked at again with each new one.
                None => self.held.clear(),
                Some('"') => self.state = State::Quoted,
                Some(_) => self.state = State::Plain,
            }
        }
        if self.state == State::Quoted && self.held.len() > QUOTED_BYTES_MAX {
            self.state = State::Plain;
        }
        if self.state == State::Plain && !self.held.is_empty() {
            let piece = std::mem::take(&mut self.held);
            out.push(Event::ToolArguments { choice, index, piece });
        }
    }
}
