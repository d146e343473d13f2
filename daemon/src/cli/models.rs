//! `airlane models`: what can be asked for.

use serde::Deserialize;

use super::daemon::Daemon;
use super::plain::plain;
use super::{DaemonArgs, Done};

#[derive(Debug, Deserialize)]
pub(super) struct List {
    pub(super) data: Vec<Model>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Model {
    pub(super) id: String,
    #[serde(default)]
    pub(super) upstream: Option<String>,
    #[serde(default)]
    pub(super) context_length: Option<u64>,
}

pub(super) async fn run(args: &DaemonArgs) -> anyhow::Result<Done> {
    let daemon = Daemon::find(args)?;
    let models = list(&daemon).await?;
    if models.is_empty() {
        println!("no models: no upstream answers; `airlane status` says why");
        return Ok(Done::NothingThere);
    }
    let width = models.iter().map(|model| model.id.chars().count()).max().unwrap_or(0);
    for model in &models {
        let context = model.context_length.map(|tokens| format!("{tokens} tokens")).unwrap_or_default();
        let line = format!("{:width$}  {:>15}  {}", model.id, context, model.upstream.as_deref().unwrap_or_default());
        println!("{}", plain(line.trim_end()));
    }
    Ok(Done::Yes)
}

/// The model that is named, or else the first that is not the loopback's; where there is none, says so.
pub(super) async fn named_or_first(daemon: &Daemon, named: Option<String>) -> anyhow::Result<Option<String>> {
    if named.is_some() {
        return Ok(named);
    }
    let real = |model: &Model| model.upstream.as_deref() != Some("loopback");
    let first = list(daemon).await?.into_iter().find(real).map(|model| model.id);
    if first.is_none() {
        println!("there is no model to ask; `airlane status` says which upstreams were tried");
    }
    Ok(first)
}

/// The catalogue of the running airlane.
pub(super) async fn list(daemon: &Daemon) -> anyhow::Result<Vec<Model>> {
    let body = daemon.get("/v1/models").await?;
    let list: List = serde_json::from_slice(&body)
        .map_err(|_| anyhow::anyhow!("what answers at {} is no airlane; give its address with --url", daemon.url()))?;
    Ok(list.data)
}
