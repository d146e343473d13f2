//! An upstream's stream on its way to the client.

use std::time::Duration;

use bytes::Bytes;
use domain::surface::{Dialect, Surface};
use domain::usage::Usage;
use serde_json::value::RawValue;

use super::Ask;
use super::decoder::{Decoder, Piece};
use super::encoder::Encoder;
use crate::failure::{ErrorBody, UpstreamFailure};
use crate::malformed::Malformed;
use crate::reply::{Event, ReplyContext};

/// What one chunk of the upstream comes to.
#[derive(Debug, Default)]
pub struct Step {
    /// The first frames of the stream, which say that an answer begins and nothing of it. They can be sent at once;
    /// they come from the first upstream of a request only, see [`Transcoder::resumed`].
    pub preamble: Bytes,
    /// Further bytes for the client; possibly none.
    pub bytes: Bytes,
    /// Pieces of the answer among them that a person would see.
    pub visible: u32,
    /// The upstream reported a failure inside its stream; what follows it is passed over.
    pub failure: Option<UpstreamFailure>,
}

impl Step {
    /// Everything for the client, in order.
    #[must_use]
    pub fn all(&self) -> Bytes {
        if self.preamble.is_empty() { self.bytes.clone() } else { [&self.preamble[..], &self.bytes].concat().into() }
    }
}

/// Carries one stream from an upstream's surface to the client's.
///
/// Where both are the same, frames are passed on as received and decoded on the side, for usage, end and failures.
#[derive(Debug)]
pub struct Transcoder {
    near: Surface,
    pass: bool,
    resumed: bool,
    is_in_preamble: bool,
    strip_usage: bool,
    decoder: Decoder,
    encoder: Encoder,
    usage: Usage,
    choices: Choices,
    /// Bytes taken so far.
    taken: usize,
    done: bool,
    /// What came after the pieces of the last chunk and cannot be read.
    broken: Option<Malformed>,
}

/// Longest stream that is translated: encoders keep what they need of it until its end.
const STREAM_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The alternatives of an answer: when all of them are finished, an end of the connection is an end of the answer.
#[derive(Debug, Default)]
struct Choices {
    /// How many the client asked for.
    wanted: u32,
    /// A bit each.
    begun: u128,
    finished: u128,
}

impl Choices {
    /// The request's `n` for each of its prompts.
    fn of(ask: &Ask) -> Self {
        let alternatives = ask.object.get("n").ok().flatten().unwrap_or(1_u32);
        let prompts = match ask.object.get::<Vec<&RawValue>>("prompt") {
            // A list of numbers is one prompt, in tokens.
            Ok(Some(prompts)) if ask.near == Surface::OpenaiCompletions => {
                prompts.iter().filter(|prompt| prompt.get().starts_with(['"', '['])).count().max(1)
            }
            _ => 1,
        };
        let wanted = alternatives.saturating_mul(u32::try_from(prompts).unwrap_or(u32::MAX));
        Self { wanted, ..Self::default() }
    }

    fn note(&mut self, event: &Event) {
        // Decoders refuse choices beyond 127.
        let bit = event.choice().and_then(|choice| 1_u128.checked_shl(choice)).unwrap_or(0);
        self.begun |= bit;
        if matches!(event, Event::Finish { .. }) {
            self.finished |= bit;
        }
    }

    const fn are_finished(&self) -> bool {
        self.finished != 0 && self.begun == self.finished && self.finished.count_ones() >= self.wanted
    }
}

impl Transcoder {
    /// A stream for `ask` from an upstream that is called on `far`.
    #[must_use]
    pub fn new(ask: &Ask, far: Surface, context: ReplyContext) -> Self {
        let pass = ask.near == far;
        let mut encoder = Encoder::new(ask, context);
        if !pass {
            encoder.estimate_input(ask);
        }
        Self {
            near: ask.near,
            pass,
            resumed: false,
            is_in_preamble: true,
            strip_usage: !ask.include_usage && ask.near.dialect() == Dialect::Openai,
            decoder: Decoder::new(far),
            encoder,
            usage: Usage::default(),
            choices: Choices::of(ask),
            taken: 0,
            done: false,
            broken: None,
        }
    }

    /// The same for a request whose client has got the preamble from another upstream already.
    #[must_use]
    pub fn resumed(self) -> Self {
        Self { resumed: true, ..self }
    }

    /// Takes a chunk as received.
    ///
    /// # Errors
    /// The bytes are no stream of the upstream's dialect, or have no end. Pieces before the wrong one are given first:
    /// the error then comes with the next call.
    pub fn feed(&mut self, chunk: &Bytes, elapsed: Duration) -> Result<Step, Malformed> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        self.taken = self.taken.saturating_add(chunk.len());
        if self.taken > STREAM_BYTES_MAX && !self.pass {
            return Err(Malformed::new("stream", format!("it is longer than {STREAM_BYTES_MAX} bytes")));
        }
        let mut pieces = Vec::new();
        if let Err(error) = self.decoder.feed(chunk, &mut pieces) {
            if pieces.is_empty() {
                return Err(error);
            }
            self.broken = Some(error);
        }
        Ok(self.take(pieces, elapsed))
    }

    /// Takes the end of the upstream's stream and completes the client's if the answer was complete; see
    /// [`Transcoder::is_done`].
    ///
    /// # Errors
    /// What was left is no frame of the upstream's dialect.
    pub fn finish(&mut self, elapsed: Duration) -> Result<Step, Malformed> {
        if let Some(error) = self.broken.take().filter(|_| !self.done) {
            return Err(error);
        }
        let mut pieces: Vec<Piece> = self.decoder.finish()?.into_iter().collect();
        if self.pass {
            pieces.iter_mut().for_each(|piece| close(self.near, piece));
        }
        let mut step = self.take(pieces, elapsed);
        if !self.done && self.choices.are_finished() && step.failure.is_none() {
            let mut out = Vec::from(step.bytes);
            if self.pass {
                out.extend_from_slice(missing_end(self.near));
            } else {
                self.encoder.event(&Event::Done, elapsed, &mut out);
            }
            self.done = true;
            step.bytes = out.into();
        }
        Ok(step)
    }

    /// Whether the answer is complete, and the client has been told so.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// Tokens used, as far as told.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// A sign of life for the client.
    #[must_use]
    pub fn heartbeat(&mut self) -> Bytes {
        let mut out = Vec::new();
        self.encoder.heartbeat(&mut out);
        out.into()
    }

    /// A sign of life that says something, where the dialect has room for it: in a comment of the event stream.
    #[must_use]
    pub fn heartbeat_saying(&mut self, text: &str) -> Bytes {
        let heartbeat = self.heartbeat();
        if self.near.dialect() == Dialect::Ollama {
            return heartbeat;
        }
        // A comment ends with its line.
        let text = text.replace(['\r', '\n'], " ");
        [format!(": {text}\n\n").as_bytes(), &heartbeat].concat().into()
    }

    /// Ends the client's stream with an error event of its dialect.
    #[must_use]
    pub fn fail(&mut self, error: &ErrorBody) -> Bytes {
        let mut out = Vec::new();
        self.encoder.fail(error, &mut out);
        self.done = true;
        out.into()
    }

    fn take(&mut self, pieces: Vec<Piece>, elapsed: Duration) -> Step {
        let mut step = Step::default();
        let (mut preamble, mut out) = (Out::default(), Out::default());
        for piece in pieces {
            if self.done {
                break;
            }
            for event in &piece.events {
                self.note(event, &mut step);
            }
            if step.failure.is_some() {
                break;
            }
            self.is_in_preamble &= is_preamble(&piece.events);
            let begins = !piece.events.is_empty();
            if self.is_in_preamble {
                self.write(piece, elapsed, &mut preamble);
            } else {
                self.write(piece, elapsed, &mut out);
            }
            // What follows belongs to this upstream's answer, also where it is empty: the next upstream's may be
            // another one.
            self.is_in_preamble &= !begins;
        }
        step.preamble = if self.resumed { Bytes::new() } else { preamble.into_bytes() };
        step.bytes = out.into_bytes();
        step
    }

    fn write(&mut self, piece: Piece, elapsed: Duration, out: &mut Out) {
        if !self.pass {
            for event in &piece.events {
                self.encoder.event(event, elapsed, out.own());
            }
        } else if !(self.strip_usage && is_usage_only(&piece.events)) {
            if !piece.raw.starts_with(b":") {
                self.encoder.passed();
            }
            out.pass(piece.raw);
        }
    }

    fn note(&mut self, event: &Event, step: &mut Step) {
        step.visible += u32::from(event.is_visible());
        self.choices.note(event);
        match event {
            Event::Usage(usage) => self.usage.update(usage),
            Event::Done => self.done = true,
            Event::Failed(failure) => step.failure = Some(failure.clone()),
            Event::Start { .. }
            | Event::Finish { .. }
            | Event::Text { .. }
            | Event::Thinking { .. }
            | Event::Signature { .. }
            | Event::RedactedThinking { .. }
            | Event::Refusal { .. }
            | Event::ToolCall { .. }
            | Event::ToolArguments { .. } => {}
        }
    }
}

/// Comments, and the first frame if it says nothing but that an answer begins.
fn is_preamble(events: &[Event]) -> bool {
    let begins = matches!(events.first(), None | Some(Event::Start { .. }));
    begins && !events.iter().any(|event| event.is_visible() || matches!(event, Event::Finish { .. } | Event::Done))
}

fn is_usage_only(events: &[Event]) -> bool {
    matches!(events, [Event::Usage(_)])
}

/// Adds the empty line that ends an event, where the stream ended without it: clients pass over what has none.
fn close(near: Surface, piece: &mut Piece) {
    if near.dialect() != Dialect::Ollama {
        piece.raw = [piece.raw.as_ref(), b"\n\n"].concat().into();
    }
}

/// What a stream of this surface ends with, for upstreams that forget it.
const fn missing_end(near: Surface) -> &'static [u8] {
    match near.dialect() {
        Dialect::Openai if matches!(near, Surface::OpenaiResponses) => b"",
        Dialect::Openai => b"data: [DONE]\n\n",
        Dialect::Anthropic => b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        Dialect::Ollama => b"",
    }
}

/// Collects output: one frame is handed on without copying.
#[derive(Default)]
struct Out {
    whole: Bytes,
    parts: Vec<u8>,
}

impl Out {
    fn pass(&mut self, raw: Bytes) {
        if self.whole.is_empty() && self.parts.is_empty() {
            self.whole = raw;
        } else {
            self.own().extend_from_slice(&raw);
        }
    }

    fn own(&mut self) -> &mut Vec<u8> {
        if !self.whole.is_empty() {
            self.parts.extend_from_slice(&std::mem::take(&mut self.whole));
        }
        &mut self.parts
    }

    fn into_bytes(self) -> Bytes {
        if self.parts.is_empty() { self.whole } else { self.parts.into() }
    }
}
