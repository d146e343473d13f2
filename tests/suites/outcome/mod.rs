//! What a client gets to see of an answer, read from every surface into the same words.

mod anthropic;
mod ollama;
mod responses;

use airlane_tests::client::{Request, Response};
use airlane_tests::events;
use serde_json::{Value, json};

/// A surface that generates text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Near {
    Chat,
    Completions,
    Responses,
    Messages,
    OllamaChat,
    OllamaGenerate,
}

/// What came out.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    /// Name and arguments, in order.
    pub(crate) tools: Vec<(String, Value)>,
    /// `stop`, `length` or `tools`.
    pub(crate) finish: String,
    pub(crate) input_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
}

impl Near {
    pub(crate) const ALL: [Self; 6] =
        [Self::Chat, Self::Completions, Self::Responses, Self::Messages, Self::OllamaChat, Self::OllamaGenerate];

    /// Surfaces whose requests can carry tools.
    pub(crate) const WITH_TOOLS: [Self; 4] = [Self::Chat, Self::Responses, Self::Messages, Self::OllamaChat];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
            Self::OllamaChat => "/api/chat",
            Self::OllamaGenerate => "/api/generate",
        }
    }

    pub(crate) fn body(self, model: &str, stream: bool) -> Value {
        let conversation = json!([{"role": "user", "content": "Say something"}]);
        let mut body = json!({"model": model, "stream": stream});
        match self {
            Self::Chat => {
                body["messages"] = conversation;
                if stream {
                    body["stream_options"] = json!({"include_usage": true});
                }
            }
            Self::Completions => {
                body["prompt"] = json!("Say something");
                if stream {
                    body["stream_options"] = json!({"include_usage": true});
                }
            }
            Self::Responses => body["input"] = json!("Say something"),
            Self::Messages => {
                body["messages"] = conversation;
                body["max_tokens"] = json!(100);
            }
            Self::OllamaChat => body["messages"] = conversation,
            Self::OllamaGenerate => body["prompt"] = json!("Say something"),
        }
        body
    }

    pub(crate) fn request(self, body: &Value) -> Request {
        let request = Request::post(self.path(), body);
        if self == Self::Messages { request.with("anthropic-version", "2023-06-01") } else { request }
    }

    /// Adds one tool, `get_weather`, in the surface's own form.
    pub(crate) fn add_tool(self, body: &mut Value) {
        let schema = json!({"type": "object", "properties": {
            "city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]});
        let function = json!({"name": "get_weather", "description": "The weather", "parameters": schema});
        body["tools"] = match self {
            Self::Responses => {
                json!([{"type": "function", "name": "get_weather", "parameters": schema, "strict": false}])
            }
            Self::Messages => {
                json!([{"name": "get_weather", "description": "The weather", "input_schema": schema}])
            }
            _ => json!([{"type": "function", "function": function}]),
        };
    }

    pub(crate) fn read(self, stream: bool, response: &Response) -> Outcome {
        assert_eq!(response.status(), 200, "{self:?}: {}", response.text());
        assert!(response.complete, "{self:?}: the body has no proper end: {}", response.text());
        let content_type = response.header("content-type").unwrap_or_default();
        let wanted = match (stream, self) {
            (false, _) => "application/json",
            (true, Self::OllamaChat | Self::OllamaGenerate) => "application/x-ndjson",
            (true, _) => "text/event-stream",
        };
        assert!(content_type.starts_with(wanted), "{self:?}: content type {content_type:?}");
        match (self, stream) {
            (Self::Chat, false) => chat_whole(&response.json()),
            (Self::Chat, true) => chat_stream(&response.text()),
            (Self::Completions, false) => completion(&[response.json()]),
            (Self::Completions, true) => completion(&openai_chunks(&response.text())),
            (Self::Responses, false) => responses::response_object(&response.json()),
            (Self::Responses, true) => responses::response_stream(&response.text()),
            (Self::Messages, false) => anthropic::message_whole(&response.json()),
            (Self::Messages, true) => anthropic::message_stream(&response.text()),
            (Self::OllamaChat | Self::OllamaGenerate, _) => ollama::ollama(&events::lines(&response.text())),
        }
    }
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn openai_finish(word: &Value) -> Option<String> {
    word.as_str().map(|word| if word == "tool_calls" { "tools" } else { word }.to_owned())
}

fn openai_usage(outcome: &mut Outcome, usage: &Value) {
    if usage.is_object() {
        outcome.input_tokens = usage["prompt_tokens"].as_u64();
        outcome.output_tokens = usage["completion_tokens"].as_u64();
    }
}

fn parse(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|error| panic!("arguments are no JSON: {error}: {arguments:?}"))
}

fn chat_whole(reply: &Value) -> Outcome {
    assert_eq!(reply["object"], "chat.completion");
    let choice = &reply["choices"][0];
    let message = &choice["message"];
    let mut outcome = Outcome {
        text: string(&message["content"]).to_owned(),
        reasoning: string(&message["reasoning_content"]).to_owned(),
        finish: openai_finish(&choice["finish_reason"]).unwrap_or_default(),
        ..Outcome::default()
    };
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        assert!(!string(&call["id"]).is_empty(), "a call without id: {call}");
        let function = &call["function"];
        outcome.tools.push((string(&function["name"]).to_owned(), parse(string(&function["arguments"]))));
    }
    openai_usage(&mut outcome, &reply["usage"]);
    outcome
}

/// The chunks of an OpenAI stream, which must end with its mark.
pub(crate) fn openai_chunks(text: &str) -> Vec<Value> {
    let mut events = events::parse(text);
    assert_eq!(events.pop().map(|event| event.data).as_deref(), Some("[DONE]"), "the end mark is missing: {text}");
    events.iter().map(events::Event::json).collect()
}

fn chat_stream(text: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let mut calls: Vec<(String, String)> = Vec::new();
    for chunk in openai_chunks(text) {
        assert_eq!(chunk["object"], "chat.completion.chunk", "{chunk}");
        openai_usage(&mut outcome, &chunk["usage"]);
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        outcome.text.push_str(string(&delta["content"]));
        outcome.reasoning.push_str(string(&delta["reasoning_content"]));
        if let Some(finish) = openai_finish(&choice["finish_reason"]) {
            outcome.finish = finish;
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().and_then(|index| usize::try_from(index).ok()).expect("an index");
            calls.resize(calls.len().max(index + 1), Default::default());
            calls[index].0.push_str(string(&call["function"]["name"]));
            calls[index].1.push_str(string(&call["function"]["arguments"]));
        }
    }
    outcome.tools = calls.into_iter().map(|(name, arguments)| (name, parse(&arguments))).collect();
    outcome
}

fn completion(chunks: &[Value]) -> Outcome {
    let mut outcome = Outcome::default();
    for chunk in chunks {
        assert_eq!(chunk["object"], "text_completion", "{chunk}");
        openai_usage(&mut outcome, &chunk["usage"]);
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            assert!(choice["text"].is_string(), "a completion's text is never null: {chunk}");
            outcome.text.push_str(string(&choice["text"]));
            if let Some(finish) = openai_finish(&choice["finish_reason"]) {
                outcome.finish = finish;
            }
        }
    }
    outcome
}
