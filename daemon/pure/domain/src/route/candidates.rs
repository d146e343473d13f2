//! From the names that a client gave to the places that bear them.

use std::borrow::Cow;

use super::wish::Wish;
use crate::catalogue::{Catalogue, Target};
use crate::config::{Alias, Config};
use crate::policy::{Barred, names};
use crate::strategy::Strategy;
use crate::surface::{Surface, Task};
use crate::upstream::UpstreamKind;
use crate::virtual_model::{CLOUD, LOCAL, is_virtual};

/// Places among which a strategy chooses. Several tiers are tried one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tier<'a> {
    pub(super) strategy: Strategy,
    pub(super) targets: Cow<'a, [Target]>,
    /// Weights by position, for [`Strategy::Weighted`].
    pub(super) weights: &'a [u32],
}

/// One tier for each name of the wish; a name that leads nowhere has none.
pub(super) fn tiers<'a>(
    near: Surface,
    wish: &Wish,
    config: &'a Config,
    catalogue: &'a Catalogue,
) -> impl Iterator<Item = Tier<'a>> {
    let wanted = wish.strategy;
    let tiers = wish.models.iter().map(move |name| tier(near, name, wanted, config, catalogue));
    tiers.filter(|tier| !tier.targets.is_empty())
}

/// The one model that answers whoever asks for this, at whatever place; nothing where it might be one of several.
#[must_use]
pub fn sole_model(near: Surface, wish: &Wish, config: &Config, catalogue: &Catalogue) -> Option<Target> {
    let mut sole: Option<Target> = None;
    for tier in tiers(near, wish, config, catalogue) {
        for target in tier.targets.iter().filter(|target| barred(wish, config, catalogue, target).is_none()) {
            match &sole {
                None => sole = Some(target.clone()),
                Some(sole) if sole.model == target.model => {}
                Some(_) => return None,
            }
        }
    }
    sole
}

/// Which policy keeps the request from this place.
pub(super) fn barred(wish: &Wish, config: &Config, catalogue: &Catalogue, target: &Target) -> Option<Barred> {
    if wish.bounds.is_open() {
        return None;
    }
    let upstream = config.upstream(&target.upstream)?;
    let is_asked = |alias: &&Alias| wish.models.iter().any(|name| names(name).any(|name| name == alias.name));
    let leads_here = |alias: &&Alias| catalogue.find_with(config, &alias.name).contains(target);
    let aliases = config.aliases.iter().filter(is_asked).filter(leads_here);
    wish.bounds.bars(upstream, &target.model, aliases.map(|alias| alias.name.as_str()))
}

/// The places behind a name. `wanted` is the strategy that goes before those of the config.
fn tier<'a>(
    near: Surface,
    name: &str,
    wanted: Option<Strategy>,
    config: &'a Config,
    catalogue: &'a Catalogue,
) -> Tier<'a> {
    let found = |targets, strategy: Strategy| Tier { strategy: wanted.unwrap_or(strategy), targets, weights: &[] };
    if let Some(alias) = config.aliases.iter().find(|alias| alias.name == name) {
        return Tier { weights: &alias.weights, ..found(catalogue.find_with(config, name), alias.strategy) };
    }
    let targets = catalogue.find_with(config, name);
    if !targets.is_empty() {
        return found(targets, config.route.strategy);
    }
    if let Some((bare, strategy)) = suffix(name) {
        return Tier { strategy, ..tier(near, bare, wanted, config, catalogue) };
    }
    if name.contains(',') {
        let mut all: Vec<Target> = Vec::new();
        for part in name.split(',').map(str::trim) {
            for target in tier(near, part, wanted, config, catalogue).targets.iter() {
                if !all.contains(target) {
                    all.push(target.clone());
                }
            }
        }
        return found(all.into(), config.route.strategy);
    }
    found(virtual_targets(near, name, config, catalogue).into(), config.route.strategy)
}

/// OpenRouter's endings for "the cheapest" and "the fastest".
fn suffix(name: &str) -> Option<(&str, Strategy)> {
    let (bare, ending) = name.rsplit_once(':')?;
    match ending {
        "floor" => Some((bare, Strategy::Cheapest)),
        "nitro" => Some((bare, Strategy::Fastest)),
        _ => None,
    }
}

/// All models that may be meant by a virtual name, for what is asked.
fn virtual_targets(near: Surface, name: &str, config: &Config, catalogue: &Catalogue) -> Vec<Target> {
    if !is_virtual(name) {
        return Vec::new();
    }
    let mut targets = Vec::new();
    for listed in catalogue.listed() {
        let Some(upstream) = config.upstream(&listed.upstream) else { continue };
        let is_place = match name {
            LOCAL => upstream.local,
            CLOUD => !upstream.local,
            _ => true,
        };
        let can = listed.info.capabilities;
        let fits = match near.task() {
            // An embedding model that tells of no chat is none to talk to.
            Task::Chat | Task::Completion | Task::TokenCount => {
                can.chat.unwrap_or(can.embeddings != Some(true)) && !is_for_other_work(&listed.info.id)
            }
            Task::Embedding => can.embeddings.unwrap_or_else(|| listed.info.id.contains("embed")),
        };
        if is_place && fits && upstream.kind != UpstreamKind::Loopback {
            targets.push(Target::new(&listed.upstream, &listed.info.id));
        }
    }
    targets
}

/// Whether a model's id says that it does not talk: catalogues of clouds tell no more than the id.
fn is_for_other_work(id: &str) -> bool {
    const WORDS: [&str; 16] = [
        "embed",
        "whisper",
        "tts",
        "dall-e",
        "image",
        "moderation",
        "audio",
        "realtime",
        "transcri",
        "rerank",
        "sora",
        "veo",
        "imagen",
        "babbage",
        "davinci",
        "guard",
    ];
    let id = id.to_ascii_lowercase();
    WORDS.iter().any(|word| id.contains(word))
}
