//! The upstream's side of a stream: chunks to frames to events.

use bytes::Bytes;
use domain::surface::Surface;

use crate::malformed::Malformed;
use crate::reply::Event;
use crate::{anthropic, json, ndjson, ollama, openai, sse};

/// One frame as received, and what it says.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) raw: Bytes,
    pub(super) events: Vec<Event>,
}

#[derive(Debug)]
enum Dialect {
    Chat(openai::chat_stream::Decoder),
    Completions(openai::completions::Decoder),
    Responses(openai::responses::peek::Decoder),
    Anthropic(anthropic::stream::Decoder),
    Ollama(ollama::stream::Decoder),
}

#[derive(Debug)]
enum Framing {
    Sse(sse::Reader),
    Lines(ndjson::Lines),
}

/// Splits and decodes an upstream's stream.
#[derive(Debug)]
pub(super) struct Decoder {
    framing: Framing,
    dialect: Dialect,
}

impl Decoder {
    pub(super) fn new(far: Surface) -> Self {
        let lines = || Framing::Lines(ndjson::Lines::default());
        let events = || Framing::Sse(sse::Reader::default());
        let (framing, dialect) = match far {
            Surface::OpenaiCompletions => (events(), Dialect::Completions(openai::completions::Decoder::default())),
            Surface::OpenaiResponses => (events(), Dialect::Responses(openai::responses::peek::Decoder)),
            Surface::AnthropicMessages => (events(), Dialect::Anthropic(anthropic::stream::Decoder::default())),
            Surface::OllamaChat | Surface::OllamaGenerate | Surface::OllamaGenerateRaw => {
                (lines(), Dialect::Ollama(ollama::stream::Decoder::default()))
            }
            _ => (events(), Dialect::Chat(openai::chat_stream::Decoder::default())),
        };
        Self { framing, dialect }
    }

    /// Takes a chunk and appends the pieces that it completes, up to the first that cannot be read.
    pub(super) fn feed(&mut self, chunk: &Bytes, out: &mut Vec<Piece>) -> Result<(), Malformed> {
        match &mut self.framing {
            Framing::Sse(reader) => {
                let mut frames = Vec::new();
                let read = reader.feed(chunk, &mut frames);
                frames.into_iter().try_for_each(|frame| self.dialect.frame(frame).map(|piece| out.push(piece)))?;
                read
            }
            Framing::Lines(reader) => {
                let mut lines = Vec::new();
                let read = reader.feed(chunk, &mut lines);
                lines.into_iter().try_for_each(|line| self.dialect.line(line).map(|piece| out.push(piece)))?;
                read
            }
        }
    }

    /// Takes what was left without an end.
    pub(super) fn finish(&mut self) -> Result<Option<Piece>, Malformed> {
        match &mut self.framing {
            Framing::Sse(reader) => reader.finish().map(|frame| self.dialect.frame(frame)).transpose(),
            Framing::Lines(reader) => reader.finish().map(|line| self.dialect.line(line)).transpose(),
        }
    }
}

impl Dialect {
    fn frame(&mut self, mut frame: sse::Frame) -> Result<Piece, Malformed> {
        let mut events = Vec::new();
        if let Err(error) = self.read_frame(&frame, &mut events) {
            let mended = frame.data.as_deref().and_then(json::mended).ok_or(error)?;
            frame.data = Some(mended.into());
            self.read_frame(&frame, &mut events)?;
        }
        Ok(Piece { raw: frame.raw, events })
    }

    fn read_frame(&mut self, frame: &sse::Frame, events: &mut Vec<Event>) -> Result<(), Malformed> {
        match self {
            Self::Chat(decoder) => decoder.frame(frame, events),
            Self::Completions(decoder) => decoder.frame(frame, events),
            Self::Responses(decoder) => decoder.frame(frame, events),
            Self::Anthropic(decoder) => decoder.frame(frame, events),
            Self::Ollama(_) => Ok(()),
        }
    }

    fn line(&mut self, line: Bytes) -> Result<Piece, Malformed> {
        let mut events = Vec::new();
        if let Self::Ollama(decoder) = self
            && let Err(error) = decoder.line(&line, &mut events)
        {
            decoder.line(&json::mended(&line).ok_or(error)?, &mut events)?;
        }
        Ok(Piece { raw: line, events })
    }
}
