//! The LLM endpoint. One request is one line: admit → recall → choose → call → relay → settle (see `serve`).

mod account;
mod admit;
mod answer_error;
mod attempt;
mod catalogue;
mod client;
mod count;
mod errand;
mod flight;
mod forward;
mod guard;
mod headers;
mod hedge;
mod job;
mod judge;
mod listen;
mod ops;
mod preload;
mod quota;
mod read;
mod recall;
mod relay;
mod replay;
mod routes;
mod semantic;
mod serve;
mod settle;
mod vectors;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::cache::Cache;
use crate::dispatch::Dispatcher;
use crate::edges::Clock;
use crate::ledger::Ledger;
use crate::live::Live;
use crate::meter::Meter;
use crate::metrics::Metrics;
use crate::tenants::Tenants;
use crate::upstreams::Clients;

pub(crate) use flight::Flights;
pub(crate) use guard::{Peer, is_let_in};
pub(crate) use judge::Judges;
pub(crate) use routes::configure;

/// What a worker needs to serve.
pub(crate) struct Gateway {
    pub(crate) live: Arc<Live>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) judges: Arc<Judges>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clients: Clients,
    pub(crate) clock: Arc<dyn Clock>,
    /// Set when upstreams have been asked for the first time; cleared at the end.
    pub(crate) ready: Arc<AtomicBool>,
    /// Set at the end: new requests are told to come back.
    pub(crate) stopping: Arc<AtomicBool>,
}
