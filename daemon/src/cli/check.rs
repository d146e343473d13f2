//! `airlane check`: what is wrong, and what would be used.

use std::sync::Arc;

use domain::upstream::Upstream;

use super::Done;
use super::plain::plain;
use crate::settings::Source;
use crate::upstreams::{Clients, Trust, discover};

pub(super) async fn run(source: Source, only_upstreams: bool) -> anyhow::Result<Done> {
    let config = source.load()?;
    let clients = Clients::new(Arc::new(Trust::default()));
    let found = if config.discovery.enabled {
        let own: Vec<_> = config.endpoint.listen.iter().chain(&config.endpoint.ollama_listen).copied().collect();
        discover(&clients, &config, &own).await
    } else {
        Vec::new()
    };
    if !only_upstreams {
        match &source.file {
            Some(file) => println!("{}: no mistakes found", file.display()),
            None => println!("no config file: everything has its default"),
        }
    }
    for upstream in &config.upstreams {
        println!("upstream {}", line(upstream, "from the config"));
    }
    for found in &found {
        println!("upstream {}", plain(&line(&found.upstream, &found.reason)));
    }
    for alias in &config.aliases {
        println!("alias {} → {}", alias.name, alias.models.join(", then "));
    }
    if config.upstreams.is_empty() && found.is_empty() {
        println!(
            "no upstream: start a model server on this machine (Ollama, llama.cpp, vLLM, LM Studio), set a key such as \
             OPENAI_API_KEY, or name one under [[upstream]] in a config file"
        );
        return Ok(if only_upstreams { Done::NothingThere } else { Done::Yes });
    }
    Ok(Done::Yes)
}

fn line(upstream: &Upstream, reason: &str) -> String {
    let place = format!("{}{}", upstream.origin, upstream.base_path);
    let place = if place.is_empty() { "built in" } else { place.as_str() };
    format!("{} ({}) {place}: {reason}", upstream.name, upstream.kind.name())
}
