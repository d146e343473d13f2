//! The knobs of the fake upstream: what it answers, how fast, and what goes wrong.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

/// How the fake upstream answers one request. Every field is one knob; the default is a healthy, fast answer.
#[derive(Debug, Clone)]
pub struct Script {
    /// Reasoning, piece by piece, before the text.
    pub reasoning: Vec<String>,
    /// The visible text, piece by piece.
    pub tokens: Vec<String>,
    /// Tool calls after the text, all in one turn.
    pub tools: Vec<Tool>,
    /// The finish reason in OpenAI's words. `None`: `tool_calls` with tools, else `stop`.
    pub finish: Option<&'static str>,
    /// Whether token counts are told.
    pub usage: bool,
    /// Wait before the response head.
    pub headers_after: Duration,
    /// Wait between the head and the first token: the prefill of a server that sends its head at once.
    pub first_token_after: Duration,
    /// Wait before every later token.
    pub gap: Duration,
    /// Each token waits for one [`super::Fake::release`], and so does an answer in one piece.
    pub gated: bool,
    /// What is answered at all.
    pub answer: Answer,
    /// The connection ends in the middle of the answer.
    pub cut: Option<Cut>,
    /// An error event instead of the token with this number.
    pub error_after: Option<usize>,
    /// A stream ends without its end mark, but cleanly.
    pub no_done: bool,
    /// Lines of event streams end in CR LF.
    pub crlf: bool,
    /// Event data is spread over several `data:` lines.
    pub multi_line: bool,
    /// Body bytes per write; `None` is one write per event.
    pub bytes_per_write: Option<usize>,
    /// The body is compressed, whatever the client asked for.
    pub gzip: bool,
    /// The connection is closed after the answer without saying so beforehand.
    pub close_after: bool,
    /// Instead of the right content type.
    pub content_type: Option<&'static str>,
    /// Instead of the text, the number of the request, from 0: so that it is known from which request an answer came.
    pub numbered: bool,
    /// Instead of the text, what this makes of the request's body.
    pub writes: Option<Writer>,
    /// Embeddings are sent as lists of numbers even if base64 was asked for, as many local servers do.
    pub floats_only: bool,
}

/// Makes an answer's text of a request's body.
#[derive(Clone)]
pub struct Writer(Arc<dyn Fn(&Value) -> String + Send + Sync>);

impl Writer {
    /// The text for this body.
    #[must_use]
    pub fn text(&self, body: &Value) -> String {
        (self.0)(body)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Writer")
    }
}

/// One tool call of the answer.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The call's id.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// Its arguments.
    pub arguments: Value,
}

/// What the fake answers to a request for text or vectors.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A model's answer in the dialect of the path.
    Model,
    /// An error with this status in the dialect of the path.
    Status {
        /// HTTP status.
        status: u16,
        /// `Retry-After`, in seconds.
        retry_after_s: Option<u32>,
        /// The text of the error.
        message: String,
    },
    /// These bytes.
    Raw {
        /// HTTP status.
        status: u16,
        /// Headers beside the length.
        headers: Vec<(String, String)>,
        /// Body.
        body: Vec<u8>,
    },
    /// A JSON body of about this many bytes.
    Oversize(usize),
    /// Nothing, for as long as the client waits.
    Hang,
    /// The connection is closed before an answer.
    Close,
}

/// Where and how an answer is cut.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Tokens sent before; 0 is after the head.
    pub after_tokens: usize,
    /// Reset (RST) instead of an orderly close (FIN) without the last chunk.
    pub reset: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            reasoning: Vec::new(),
            tokens: ["Hello", " wörld", " 👋", ", fine", "."].map(String::from).to_vec(),
            tools: Vec::new(),
            finish: None,
            usage: true,
            headers_after: Duration::ZERO,
            first_token_after: Duration::ZERO,
            gap: Duration::ZERO,
            gated: false,
            answer: Answer::Model,
            cut: None,
            error_after: None,
            no_done: false,
            crlf: false,
            multi_line: false,
            bytes_per_write: None,
            gzip: false,
            close_after: false,
            content_type: None,
            numbered: false,
            writes: None,
            floats_only: false,
        }
    }
}

impl Script {
    /// A healthy answer with this text, split after every space.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self { tokens: text.split_inclusive(' ').map(String::from).collect(), ..Self::default() }
    }

    /// A healthy answer whose text is made of the request's body.
    #[must_use]
    pub fn writing(writes: impl Fn(&Value) -> String + Send + Sync + 'static) -> Self {
        Self { writes: Some(Writer(Arc::new(writes))), ..Self::default() }
    }

    /// An error with this status, in the dialect of the path.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::failing(status, None, &format!("scripted failure {status}"))
    }

    /// An error with all its parts.
    #[must_use]
    pub fn failing(status: u16, retry_after_s: Option<u32>, message: &str) -> Self {
        let message = message.to_owned();
        Self { answer: Answer::Status { status, retry_after_s, message }, ..Self::default() }
    }

    /// These bytes with this status and content type.
    #[must_use]
    pub fn raw(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { answer: Answer::Raw { status, headers, body: body.into() }, ..Self::default() }
    }

    /// Sends nothing until the client leaves.
    #[must_use]
    pub fn hang() -> Self {
        Self { answer: Answer::Hang, ..Self::default() }
    }

    /// A cut after this many tokens.
    #[must_use]
    pub fn cut(after_tokens: usize, reset: bool) -> Self {
        Self { cut: Some(Cut { after_tokens, reset }), ..Self::default() }
    }

    /// Two parallel tool calls and no text.
    #[must_use]
    pub fn two_tools() -> Self {
        let tool = |id: &str, city: &str| Tool {
            id: id.to_owned(),
            name: "get_weather".to_owned(),
            arguments: json!({"city": city, "days": 2}),
        };
        let tools = vec![tool("call_a1", "Köln"), tool("call_b2", "Oslo")];
        Self { tokens: Vec::new(), tools, ..Self::default() }
    }

    /// Each token waits for a release by the test.
    #[must_use]
    pub fn gated() -> Self {
        Self { gated: true, ..Self::default() }
    }

    /// The whole visible text.
    #[must_use]
    pub fn full_text(&self) -> String {
        self.tokens.concat()
    }

    /// The finish reason in OpenAI's words.
    #[must_use]
    pub fn finish_reason(&self) -> &'static str {
        self.finish.unwrap_or(if self.tools.is_empty() { "stop" } else { "tool_calls" })
    }

    /// Output tokens as told in usage.
    #[must_use]
    pub fn output_tokens(&self) -> usize {
        self.tokens.len() + self.reasoning.len() + 5 * self.tools.len()
    }
}

/// Prompt tokens that every answer claims.
pub const INPUT_TOKENS: usize = 11;
