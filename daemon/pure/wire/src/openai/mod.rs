//! The OpenAI dialect: chat, legacy completions, embeddings, models and errors, as OpenAI and the many servers that
//! copy it (llama.cpp, vLLM, SGLang, OpenRouter and others) speak it.

pub mod chat_reply;
pub mod chat_request;
pub mod chat_stream;
pub mod completions;
pub mod embeddings;
pub mod error;
pub mod models;
pub mod peek;
pub mod responses;
pub mod server;

mod assistant;
mod chunk;
mod completion_logprobs;
mod extra;
mod image;
mod loose;
mod reasoning;
mod sampling;
pub(crate) mod usage;
