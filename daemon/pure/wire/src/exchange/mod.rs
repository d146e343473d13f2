//! One request through the house, as bytes: what a client asks ([`Ask`]), what an upstream is sent ([`Ask::outgoing`]),
//! and the way back, whole ([`answer()`]) or in pieces ([`Transcoder`]).
//!
//! Where client and upstream speak the same surface, bytes are passed on with only what must change; everything else
//! goes through the neutral types of [`crate::chat`] and [`crate::reply`].

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each step names the surfaces that differ; OpenAI's chat form stands for the others"
)]

mod answer;
mod ask;
mod canon;
mod decoder;
mod encoder;
mod errand;
mod governed;
mod kept;
mod known;
mod look;
mod outgoing;
mod provider;
mod question;
mod transcoder;

pub use answer::{Answer, BadAnswer, answer, error_body, load_reply, whole_as_stream};
pub use ask::Ask;
pub use errand::{Told, ask_judge, ask_vector, read_judge, read_vector, said};
pub use kept::{Replay, Whole, may_be_kept, replay, replay_stream, whole_of_stream};
pub use outgoing::NotSent;
pub use transcoder::{Step, Transcoder};
