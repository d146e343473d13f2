//! The OpenAI dialect.

pub mod responses;
