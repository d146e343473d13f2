//! A conversation request between dialects: the facts every dialect's encoder and decoder agree on.
//!
//! Only requests that change dialect pass through these types; a request that stays in its dialect is forwarded as
//! it came, with [`crate::json::Object`] replacing single members.

use serde_json::{Map, Value};

/// One conversation request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// The model name as the client wrote it.
    pub model: String,
    /// All messages in order, system messages included.
    pub messages: Vec<Message>,
    /// Functions the model may call.
    pub tools: Vec<Tool>,
    /// Whether and which tool must be called. `None` leaves it to the upstream's default (auto).
    pub tool_choice: Option<ToolChoice>,
    /// Whether several calls may be made in one turn. `None` leaves it to the upstream's default.
    pub parallel_tool_calls: Option<bool>,
    /// Length, randomness and alternatives.
    pub sampling: Sampling,
    /// The form the answer's text must have.
    pub format: Option<Format>,
    /// How much the model should think.
    pub reasoning: Option<Reasoning>,
    /// Whether the client wants the answer in pieces.
    pub stream: bool,
    /// The client's own name for its end user.
    pub user: Option<String>,
    /// Members that no neutral field stands for, under the client's names. An encoder forwards those its upstream
    /// checks itself and refuses ([`crate::Uncarried`]) those that its upstream would ignore in silence.
    pub extra: Map<String, Value>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions (`system` and `developer`).
    System,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// A tool's result. Its message holds [`Part::ToolResult`]s only.
    Tool,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// The speaker's name where the dialect has one (OpenAI's `name`).
    pub name: Option<String>,
}

/// One piece of a message or of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Plain text.
    Text(String),
    /// A picture (requests only).
    Image {
        /// Where the bytes are.
        source: ImageSource,
        /// OpenAI's `detail` hint, harmless to lose.
        detail: Option<String>,
    },
    /// The model wants a function called.
    ToolCall(ToolCall),
    /// What a function call gave back (requests only).
    ToolResult {
        /// The id of the call that this answers. Dialects without ids (Ollama) get one made from the position.
        call_id: String,
        /// The function's name where the dialect tells.
        name: Option<String>,
        /// Texts and images.
        content: Vec<Part>,
        /// The call failed (Anthropic's `is_error`).
        is_error: bool,
    },
    /// The model's reasoning, with the signature that lets its maker check it later.
    Thinking {
        /// The reasoning text.
        text: String,
        /// Anthropic's signature, to be given back unchanged.
        signature: Option<String>,
    },
    /// Reasoning that its maker encrypted; only the maker can read it.
    RedactedThinking(String),
    /// The model declines to answer (OpenAI's `refusal`).
    Refusal(String),
}

/// A function call by the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The call's id. Dialects without ids get one made by the decoder.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments as JSON text, as the model wrote them: not necessarily valid.
    pub arguments: String,
}

/// Where a picture's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// In the request. `media_type` like `image/png`; `data` in standard base64.
    Base64 {
        /// MIME type. Ollama does not tell it: its decoder reads it off the first bytes.
        media_type: String,
        /// Standard base64 with padding.
        data: String,
    },
    /// Behind an address that the upstream must fetch.
    Url(String),
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// The function's name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON schema of its arguments.
    pub parameters: Option<Value>,
    /// The arguments must follow the schema exactly (OpenAI's `strict`).
    pub strict: Option<bool>,
}

/// Whether a tool must be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// No call.
    None,
    /// Some call (`required`, Anthropic's `any`).
    Required,
    /// This function.
    Named(String),
}

/// Length, randomness and alternatives. `None` leaves a value to the upstream's default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling {
    /// Most tokens to generate.
    pub max_tokens: Option<u64>,
    /// 0 is greedy.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Most likely tokens to sample from.
    pub top_k: Option<i64>,
    /// Smallest probability relative to the most likely token.
    pub min_p: Option<f64>,
    /// OpenAI's −2 … 2.
    pub frequency_penalty: Option<f64>,
    /// OpenAI's −2 … 2.
    pub presence_penalty: Option<f64>,
    /// llama.cpp's and Ollama's multiplicative penalty.
    pub repeat_penalty: Option<f64>,
    /// Seed of the random numbers.
    pub seed: Option<i64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Number of alternative answers.
    pub n: Option<u64>,
    /// Whether token log-probabilities are wanted.
    pub logprobs: Option<bool>,
    /// How many alternatives per token are wanted with their log-probability.
    pub top_logprobs: Option<u64>,
    /// Token id → bias.
    pub logit_bias: Option<Value>,
}

/// The form an answer's text must have.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// No form.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// OpenAI's name of the schema.
        name: Option<String>,
        /// The schema.
        schema: Value,
        /// OpenAI's `strict`.
        strict: Option<bool>,
    },
}

/// How much the model should think.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// `Some(false)` switches thinking off.
    pub enabled: Option<bool>,
    /// `minimal`, `low`, `medium`, `high` …
    pub effort: Option<String>,
    /// Most tokens to think with (Anthropic's `budget_tokens`).
    pub budget_tokens: Option<u64>,
}
