//! The OpenAI dialect.
