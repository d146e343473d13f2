//! What Airlane decides: configuration, catalogue, route and refusal, as pure functions of their arguments.
//!
//! Nothing in this crate reads a clock, a file, a socket or the environment.

pub mod catalogue;
pub mod surface;
pub mod usage;
