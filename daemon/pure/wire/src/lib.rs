//! Bytes to facts and back: the OpenAI, Anthropic and Ollama dialects, as pure functions.
//!
//! Nothing in this crate reads a clock, a socket or a random number.

pub mod anthropic;
pub mod chat;
pub mod completion;
pub mod embedding;
pub mod exchange;
pub mod failure;
pub mod json;
pub mod limits;
pub mod malformed;
mod members;
pub mod ndjson;
pub mod neighbours;
pub mod node;
pub mod ollama;
pub mod openai;
pub mod readings;
pub mod reply;
mod saved;
pub mod sse;
pub mod table;

pub use domain::rfc3339;
pub use malformed::{Malformed, Uncarried};
