//! What the suites stand on: a scripted upstream with one knob per fault, the real daemon as a child process, and a
//! client that can leave in every phase of a request.

pub mod client;
pub mod daemon;
pub mod events;
pub mod fake;
pub mod fast;
mod message;
pub mod nvml;
pub mod programs;
pub mod replay;
pub mod semantic;
mod setup;
pub mod sockets;
pub mod stored;
pub mod traffic;
