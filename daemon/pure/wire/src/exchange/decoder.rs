//! The upstream's side of a stream: chunks to frames to events.

use bytes::Bytes;
use domain::surface::Surface;

use crate::malformed::Malformed;
use crate::reply::Event;
use crate::{anthropic, ndjson, ollama, openai, sse};

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
    OllamaChat(ollama::stream::Decoder),
    OllamaGenerate(ollama::generate::Decoder),
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
            Surface::OpenaiResponses => (events(), Dialect::Responses(openai::responses::peek::Decoder::default())),
            Surface::AnthropicMessages => (events(), Dialect::Anthropic(anthropic::stream::Decoder::default())),
            Surface::OllamaChat => (lines(), Dialect::OllamaChat(ollama::stream::Decoder::default())),
            Surface::OllamaGenerate | Surface::OllamaGenerateRaw => {
                (lines(), Dialect::OllamaGenerate(ollama::generate::Decoder::default()))
            }
            _ => (events(), Dialect::Chat(openai::chat_stream::Decoder::default())),
        };
        Self { framing, dialect }
    }

    /// Takes a chunk and gives the pieces that it completes.
    pub(super) fn feed(&mut self, chunk: &Bytes) -> Result<Vec<Piece>, Malformed> {
        match &mut self.framing {
            Framing::Sse(reader) => {
                let mut frames = Vec::new();
                reader.feed(chunk, &mut frames)?;
                frames.into_iter().map(|frame| self.dialect.frame(frame)).collect()
            }
            Framing::Lines(reader) => {
                let mut lines = Vec::new();
                reader.feed(chunk, &mut lines)?;
                lines.into_iter().map(|line| self.dialect.line(line)).collect()
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
    fn frame(&mut self, frame: sse::Frame) -> Result<Piece, Malformed> {
        let mut events = Vec::new();
        match self {
            Self::Chat(decoder) => decoder.frame(&frame, &mut events)?,
            Self::Completions(decoder) => decoder.frame(&frame, &mut events)?,
            Self::Responses(decoder) => decoder.frame(&frame, &mut events)?,
            Self::Anthropic(decoder) => decoder.frame(&frame, &mut events)?,
            Self::OllamaChat(_) | Self::OllamaGenerate(_) => {}
        }
        Ok(Piece { raw: frame.raw, events })
    }

    fn line(&mut self, line: Bytes) -> Result<Piece, Malformed> {
        let mut events = Vec::new();
        match self {
            Self::OllamaChat(decoder) => decoder.line(&line, &mut events)?,
            Self::OllamaGenerate(decoder) => decoder.line(&line, &mut events)?,
            Self::Chat(_) | Self::Completions(_) | Self::Responses(_) | Self::Anthropic(_) => {}
        }
        Ok(Piece { raw: line, events })
    }
}
