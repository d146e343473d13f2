//! The body of `POST /v1/messages`.

mod conversation;
mod decode;
mod encode;
mod thinking;
mod turns;
mod unsigned;

pub(super) use decode::conversation;
pub use decode::decode;
pub use encode::{MAX_TOKENS_DEFAULT, encode};
pub use unsigned::drop_unsigned;

#[cfg(test)]
mod tests;
