//! The smallest question to a server: is it there?

use std::time::Duration;

use domain::dispatch::Outcome;
use domain::health::Symptom;
use domain::upstream::{Upstream, UpstreamKind};

use super::call::{CallError, Fault, Outbound};
use super::client::Clients;

/// What a look tells of a server's health: a symptom with a sentence for the owner, if it is not well.
pub(crate) type Health = Result<(), (Symptom, String)>;

impl Clients {
    /// Asks whether a server is there. Any answer but "I load a model" will do: not every server knows the path.
    ///
    /// # Errors
    /// There is no connection ([`Symptom::Unreachable`]), no answer within `limit` ([`Symptom::Failing`]), or it is not
    /// ready.
    pub(crate) async fn probe(&self, upstream: &Upstream, limit: Duration) -> Health {
        let path = match upstream.kind {
            UpstreamKind::Ollama => "/api/version",
            UpstreamKind::Openai | UpstreamKind::Anthropic | UpstreamKind::Loopback => "/health",
        };
        let root = upstream.root();
        let outbound = || Outbound { path, ..Outbound::default() };
        match tokio::time::timeout(limit, self.call(&root, outbound)).await {
            Ok(called) => called.map_or_else(|error| health(&error), |_| Ok(())),
            Err(_) => Err(silent(&upstream.name)),
        }
    }
}

/// What a failed look tells of a server.
///
/// # Errors
/// It is not there, or not ready.
pub(crate) fn health(error: &CallError) -> Health {
    match (&error.fault, error.outcome()) {
        (Fault::Timeout { .. }, _) => Err(silent(&error.upstream)),
        (Fault::Status { status: 503, .. } | Fault::Connect(_), Outcome::Failed { symptom, cause }) => {
            Err((symptom, cause))
        }
        (Fault::Broken(_), Outcome::Failed { cause, .. }) => Err((Symptom::Unreachable, cause)),
        _ => Ok(()),
    }
}

fn silent(upstream: &str) -> (Symptom, String) {
    (Symptom::Failing, format!("upstream {upstream} gives no sign of life"))
}
