//! The Ollama dialect.
