//! The event stream of `POST /v1/messages`.

mod blocks;
mod decoder;
mod encoder;
mod whole;

pub use decoder::Decoder;
pub use encoder::Encoder;

#[cfg(test)]
mod tests;
