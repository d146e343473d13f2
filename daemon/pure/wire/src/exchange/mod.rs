//! One request through the house, as bytes: what a client asks ([`Ask`]), what an upstream is sent ([`Outgoing`]),
//! and the way back, whole ([`answer`]) or in pieces ([`Transcoder`]).
//!
//! Where client and upstream speak the same surface, bytes are passed on with only what must change; everything else
//! goes through the neutral types of [`crate::chat`] and [`crate::reply`].

mod answer;
mod ask;
mod decoder;
mod encoder;
mod outgoing;
mod transcoder;

pub use answer::{Answer, BadAnswer, answer, error_body};
pub use ask::Ask;
pub use outgoing::Outgoing;
pub use transcoder::{Step, Transcoder};
