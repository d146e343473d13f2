//! A decision about one request, with everything that it was made of.

use std::net::IpAddr;

use actix_web::web::Bytes;
use domain::lane::Lane;
use domain::surface::Surface;
use serde::{Deserialize, Serialize};

/// Where would this request go?
#[derive(Debug, Clone)]
pub struct Question {
    /// The path of the endpoint that it is meant for.
    pub surface: Surface,
    /// How urgent it is.
    pub lane: Lane,
    /// The request's body.
    pub body: Bytes,
    /// Who would ask.
    pub asker: Asker,
}

/// Who would ask, as far as policies look at it; what is not given is nobody in particular.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Asker {
    /// The tenant.
    pub tenant: String,
    /// The name of the key that is shown.
    pub key: Option<String>,
    /// The groups that the tenant is in, with commas between them.
    pub groups: String,
    /// What the program calls itself.
    pub app: String,
    /// The client's address.
    pub client: Option<IpAddr>,
}

/// The answer. Either there is a `chosen` place, or a `refusal`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The path that the client calls.
    pub surface: String,
    /// The names that it asks for, first choice first.
    pub models: Vec<String>,
    /// Its lane in the queue.
    pub lane: String,
    /// The prompt's length, estimated.
    pub prompt_tokens: u64,
    /// Longest answer that it wants, where it says.
    pub output_tokens_max: Option<u64>,
    /// Where it goes.
    pub chosen: Option<Chosen>,
    /// Why it is not served.
    pub refusal: Option<RefusalRow>,
    /// The places that may answer, best first.
    pub candidates: Vec<Candidate>,
    /// The places that bear the name and may not answer.
    pub dropped: Vec<DroppedRow>,
    /// What policies decided, field by field.
    #[serde(default)]
    pub policies: Vec<PolicyRow>,
}

/// What policies decided of one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRow {
    /// The key in the config.
    pub field: String,
    /// What it came to.
    pub value: String,
    /// The policies that made it so, outermost first.
    pub by: Vec<DecidedBy>,
}

/// A policy and where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidedBy {
    /// `house`, `tenant`, `app`, `group` or `request`.
    pub layer: String,
    /// The policy's name.
    pub policy: String,
}

/// Where a request goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The upstream's name.
    pub upstream: String,
    /// The model's name there.
    pub model: String,
    /// It has no room: the request waits for it, or for whoever has room before.
    pub waits: bool,
}

/// Why a request is not served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalRow {
    /// A word, the same as in metrics.
    pub kind: String,
    /// The sentence that a client reads.
    pub message: String,
    /// When to come back, if that helps.
    pub retry_after_s: Option<u64>,
}

/// A place that may answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The upstream's name.
    pub upstream: String,
    /// The model's name there.
    pub model: String,
    /// The path on which it is called.
    pub surface: String,
    /// It stands in the house.
    pub local: bool,
    /// By what it was put in its place.
    pub strategy: String,
    /// Why it stands there, as in the header `x-airlane-reason`.
    pub reason: String,
    /// A tool call goes on there.
    pub bound: bool,
    /// It does not do well, and is tried since nobody else is left.
    pub last_resort: bool,
    /// It would work on the request at once.
    pub room: bool,
    /// Why this very request cannot be put into its dialect; it is passed over then.
    pub cannot_take: Option<String>,
    /// What is predicted of it.
    pub score: Parts,
}

/// A prediction for one place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Until its machine is awake.
    #[serde(default)]
    pub wake_ms: u64,
    /// Until it begins to work on the request.
    pub wait_ms: u64,
    /// To load the model.
    pub load_ms: u64,
    /// To read the prompt.
    pub prefill_ms: u64,
    /// To generate the answer.
    pub decode_ms: u64,
    /// Prompt tokens that it has read before.
    pub warm_tokens: u64,
    /// The price, in millionths of a dollar.
    pub price_micro_usd: u64,
    /// Requests that it works on for Airlane.
    pub running: u32,
    /// Requests of others at the server, as far as it tells.
    #[serde(default)]
    pub others: u32,
    /// How long everything takes there, in percent of what it takes on a place that is free and cool.
    #[serde(default)]
    pub slow_percent: u32,
}

/// A place that was not considered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedRow {
    /// The upstream's name.
    pub upstream: String,
    /// The model's name there.
    pub model: String,
    /// Why not, as a clause.
    pub reason: String,
}
