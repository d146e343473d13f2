//! The places that answer: connections to them, calls, what they offer, and how they are found.

mod body;
mod call;
mod client;
mod connection;
mod discovery;
mod listing;
mod loopback;
mod probe;
mod reading;
mod refresh;
#[cfg_attr(not(feature = "http2"), path = "shared_absent.rs")]
mod shared;
mod symptom;
mod trust;

pub(crate) use call::{CallError, Fault, Outbound, Reply};
pub(crate) use client::{Clients, SWEEP_EVERY};
pub(crate) use discovery::{Found, discover, loopback};
pub(crate) use probe::{Health, health};
pub(crate) use reading::{Answered, Question, Untold};
pub(crate) use refresh::Refresh;
pub(crate) use trust::Trust;
