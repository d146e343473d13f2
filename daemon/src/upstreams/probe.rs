//! The smallest question to a server: is it there?

use std::time::Duration;

use domain::dispatch::Outcome;
use domain::health::Symptom;
use domain::upstream::{Upstream, UpstreamKind};

use super::call::{Fault, Outbound};
use super::client::Clients;

impl Clients {
    /// Asks whether a server is there. Any answer but "I load a model" will do: not every server knows the path.
    ///
    /// # Errors
    /// There is no connection ([`Symptom::Unreachable`]), no answer within `limit` ([`Symptom::Failing`]), or it is not
    /// ready; with a sentence for the owner.
    pub(crate) async fn probe(&self, upstream: &Upstream, limit: Duration) -> Result<(), (Symptom, String)> {
        let mut root = upstream.clone();
        let path = match upstream.kind {
            UpstreamKind::Ollama => "/api/version",
            UpstreamKind::Openai | UpstreamKind::Anthropic | UpstreamKind::Loopback => {
                root.base_path = root.base_path.strip_suffix("/v1").unwrap_or(&root.base_path).to_owned();
                "/health"
            }
        };
        let outbound = || Outbound { path, ..Outbound::default() };
        let Ok(called) = tokio::time::timeout(limit, self.call(&root, outbound)).await else {
            return Err((Symptom::Failing, format!("upstream {} gives no sign of life", upstream.name)));
        };
        match called {
            Ok(_) => Ok(()),
            Err(error) => match (&error.fault, error.outcome()) {
                (Fault::Status { status: 503, .. } | Fault::Connect(_), Outcome::Failed { symptom, cause }) => {
                    Err((symptom, cause))
                }
                (Fault::Broken(_), Outcome::Failed { cause, .. }) => Err((Symptom::Unreachable, cause)),
                _ => Ok(()),
            },
        }
    }
}
