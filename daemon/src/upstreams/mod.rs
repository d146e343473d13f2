//! The places that answer: connections to them, calls, what they offer, and how they are found.

mod body;
mod call;
mod client;
mod discovery;
mod listing;
mod loopback;
mod refresh;
mod trust;

pub(crate) use call::{CallError, Fault, Outbound, Reply};
pub(crate) use client::Clients;
pub(crate) use discovery::{Found, discover, loopback};
pub(crate) use refresh::Refresh;
pub(crate) use trust::Trust;
