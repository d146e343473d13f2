//! Finds upstreams without being told: model servers on this machine, keys in the environment.

use std::net::SocketAddr;
use std::time::Duration;

use domain::config::{Config, Draft, UpstreamDraft, check};
use domain::secret::Secret;
use domain::upstream::Upstream;
use futures_util::future::join_all;
use tokio::net::TcpStream;

use super::client::Clients;

/// An upstream that was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) upstream: Upstream,
    /// Why it is believed to be there, for people.
    pub(crate) reason: String,
}

/// Where model servers listen on their own machine unless told otherwise.
const LOCAL: [(&str, &str, u16); 4] = [
    ("ollama", "ollama", 11434),
    ("llama-cpp", "openai", 8080),
    ("vllm", "openai", 8000),
    ("lm-studio", "openai", 1234),
];

/// Clouds whose keys are looked for in the environment.
const CLOUDS: [(&str, &str, &str, &str); 7] = [
    ("openai", "openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    ("anthropic", "anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    ("openrouter", "openai", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    ("gemini", "openai", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    ("groq", "openai", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    ("mistral", "openai", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    ("deepseek", "openai", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
];

/// Longest wait for a server on this machine to accept and to say what it is.
const PROBE_WAIT_MAX: Duration = Duration::from_millis(800);

/// Looks for upstreams; local ones first. `own` are our own addresses, on which nobody else listens.
pub(crate) async fn discover(clients: &Clients, config: &Config, own: &[SocketAddr]) -> Vec<Found> {
    let ports = LOCAL.iter().filter(|(_, _, port)| !own.iter().any(|address| address.port() == *port));
    let local = join_all(ports.map(|(name, kind, port)| probe(clients, name, kind, *port))).await;
    let mut found: Vec<Found> = local.into_iter().flatten().collect();
    for (name, kind, url, variable) in CLOUDS {
        let Ok(key) = std::env::var(variable) else { continue };
        if let Some(upstream) = make(name, kind, Some(url), Some(&key)).filter(|_| !key.trim().is_empty()) {
            found.push(Found { upstream, reason: format!("{variable} is set") });
        }
    }
    found.retain(|found| config.upstream(&found.upstream.name).is_none());
    found
}

async fn probe(clients: &Clients, name: &str, kind: &str, port: u16) -> Option<Found> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    tokio::time::timeout(PROBE_WAIT_MAX, TcpStream::connect(address)).await.ok()?.ok()?;
    let upstream = make(name, kind, Some(&format!("http://127.0.0.1:{port}")), None)?;
    let path = if kind == "ollama" { "/api/version" } else { "/v1/models" };
    let body = tokio::time::timeout(PROBE_WAIT_MAX, clients.fetch(&upstream, path, None)).await.ok()?.ok()?;
    let is_right = match kind {
        "ollama" => serde_json::from_slice::<serde_json::Value>(&body).ok()?.get("version").is_some(),
        _ => wire::openai::models::decode(&body).is_ok(),
    };
    is_right.then(|| Found { upstream, reason: format!("a model server listens on port {port} of this machine") })
}

/// The built-in upstream under its usual name.
pub(crate) fn loopback() -> Option<Upstream> {
    make("loopback", "loopback", None, None)
}

/// Makes an upstream as the config would.
fn make(name: &str, kind: &str, url: Option<&str>, key: Option<&str>) -> Option<Upstream> {
    let draft = UpstreamDraft {
        name: Some(name.to_owned()),
        kind: Some(kind.to_owned()),
        url: url.map(str::to_owned),
        key: key.map(Secret::new),
        ..UpstreamDraft::default()
    };
    check(&Draft { upstreams: vec![draft], ..Draft::default() }).ok()?.upstreams.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_known_servers_and_clouds_make_upstreams() {
        for (name, kind, url, _) in CLOUDS {
            assert!(make(name, kind, Some(url), Some("key")).is_some(), "{name}");
        }
        for (name, kind, port) in LOCAL {
            assert!(make(name, kind, Some(&format!("http://127.0.0.1:{port}")), None).is_some(), "{name}");
        }
    }
}
