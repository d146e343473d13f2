//! `POST /v1/responses`, for clients only: upstreams are called with their own dialect's conversations.
//!
//! Airlane keeps no responses, so a request must hold its whole conversation.

pub mod echo;
pub mod peek;
pub mod reply;
pub mod request;
pub mod stream;

mod input;
mod output;
mod reasoning;

pub use echo::Echo;
