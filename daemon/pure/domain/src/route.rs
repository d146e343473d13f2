//! Chooses where a request goes.

use crate::catalogue::{Catalogue, Target};
use crate::config::Config;
use crate::refusal::Refusal;
use crate::surface::Surface;

/// What of a request matters for its route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The model names to try, first choice first: the request's `model`, then its `models`.
    pub models: Vec<String>,
}

/// One attempt that may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Where.
    pub target: Target,
    /// On which surface it is called.
    pub far: Surface,
}

/// The decision: the attempts in order. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The attempts, best first.
    pub legs: Vec<Leg>,
}

/// Most attempts for one request: more would keep a client waiting on a house on fire.
pub const LEGS_MAX: usize = 8;

/// Chooses the route of a request to `near`.
///
/// # Errors
/// No model is named or known, or nothing that offers it can serve this surface.
pub fn choose(near: Surface, wish: &Wish, config: &Config, catalogue: &Catalogue) -> Result<Route, Refusal> {
    let asked = wish.models.first().ok_or(Refusal::NoModelNamed)?;
    let mut legs: Vec<Leg> = Vec::new();
    let mut reasons: Vec<String> = Vec::new();
    for target in wish.models.iter().flat_map(|name| catalogue.find_with(config, name)) {
        let Some(upstream) = config.upstream(&target.upstream) else { continue };
        match upstream.far_surface(near) {
            Ok(far) if !legs.iter().any(|leg| leg.target == target) => legs.push(Leg { target, far }),
            Ok(_) => {}
            Err(reason) => reasons.push(format!("{}: {reason}", upstream.name)),
        }
    }
    legs.truncate(LEGS_MAX);
    if !legs.is_empty() {
        return Ok(Route { legs });
    }
    if reasons.is_empty() {
        return Err(Refusal::UnknownModel { model: asked.clone(), near: catalogue.near(asked) });
    }
    Err(Refusal::CannotServe { model: asked.clone(), reasons })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Listings, ModelInfo};
    use crate::upstream::UpstreamKind;
    use crate::upstream::tests::upstream;

    fn choose_in_house(near: Surface, models: &[&str]) -> Result<Vec<String>, Refusal> {
        let config = Config {
            upstreams: vec![upstream("a", UpstreamKind::Anthropic), upstream("o", UpstreamKind::Ollama)],
            ..Config::default()
        };
        let model = |id: &str| vec![ModelInfo { id: id.to_owned(), ..ModelInfo::default() }];
        let listings = Listings::from([("a".to_owned(), model("claude")), ("o".to_owned(), model("qwen"))]);
        let wish = Wish { models: models.iter().map(|name| (*name).to_owned()).collect() };
        let route = choose(near, &wish, &config, &Catalogue::build(&config, &listings))?;
        Ok(route.legs.iter().map(|leg| format!("{} {}", leg.target.upstream, leg.far.path())).collect())
    }

    #[test]
    fn lists_are_tried_in_order_and_once() {
        assert_eq!(
            choose_in_house(Surface::OpenaiChat, &["claude", "missing", "o/qwen", "qwen"]).unwrap(),
            ["a /v1/messages", "o /api/chat"]
        );
    }

    #[test]
    fn who_cannot_serve_is_passed_over() {
        assert_eq!(choose_in_house(Surface::OpenaiEmbeddings, &["claude", "qwen"]).unwrap(), ["o /api/embed"]);
        let refusal = choose_in_house(Surface::OpenaiEmbeddings, &["claude"]).unwrap_err();
        assert_eq!(refusal.to_string(), "model `claude` cannot serve this request: a: Anthropic has no embeddings");
    }

    #[test]
    fn unknown_models_are_refused_with_help() {
        let refusal = choose_in_house(Surface::OpenaiChat, &["claude-9"]).unwrap_err();
        assert_eq!(refusal.to_string(), "model `claude-9` is not offered here. Did you mean `claude`?");
        assert_eq!(choose_in_house(Surface::OpenaiChat, &[]).unwrap_err(), Refusal::NoModelNamed);
    }
}
