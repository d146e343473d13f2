//! The Anthropic dialect: Messages, token counts, the models list and errors.
//!
//! Facts that the neutral types keep and Anthropic writes otherwise: the system prompt stands beside the messages,
//! tool results are part of the user's turn, and cached prompt tokens are not among `input_tokens`.

mod block;
pub mod count_tokens;
pub mod error;
mod finish;
pub mod models;
pub mod reply;
pub mod request;
pub mod stream;
mod usage;
