//! What model servers and exporters tell of themselves beside their dialects: metrics, slots, models in memory.
//!
//! Everything here is read while nobody waits for it. What cannot be read is left out, and prompts that stand in it
//! (older llama.cpp servers list them with their slots) are passed over.

pub mod exposition;
mod gpus;
mod llama_cpp;
mod memory;
mod metrics;

pub use gpus::{Exported, gpus};
pub use llama_cpp::slots;
pub use memory::{LmStudioModel, llama_router, llama_swap, lm_studio, ollama};
pub use metrics::{engine, metrics};
