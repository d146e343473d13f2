//! The models of all upstreams under names that clients can ask for.

/// What an upstream tells of one of its models. `None` means that it does not tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelInfo {
    /// The upstream's own id.
    pub id: String,
    /// A name for people.
    pub display_name: Option<String>,
    /// Who made it, or the server's word for itself.
    pub owned_by: Option<String>,
    /// Seconds since the Unix epoch.
    pub created_s: Option<u64>,
    /// Longest prompt plus answer that the server accepts, in tokens.
    pub context_tokens: Option<u64>,
    /// Longest answer, in tokens.
    pub output_tokens_max: Option<u64>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Size of the weights on disk.
    pub size_bytes: Option<u64>,
    /// Digest of the weights (Ollama).
    pub digest: Option<String>,
    /// Architecture family, like `llama`.
    pub family: Option<String>,
    /// Like `8.2B`.
    pub parameter_size: Option<String>,
    /// Like `Q4_K_M`.
    pub quantization: Option<String>,
    /// Whether it is in memory.
    pub loaded: Option<bool>,
    /// The context with which it is in memory now, in tokens, where that can be chosen (Ollama).
    pub loaded_context_tokens: Option<u64>,
    /// Requests that the server answers at once.
    pub slots: Option<u32>,
    /// What it costs there.
    pub prices: Option<Arc<Prices>>,
}

/// What tokens cost, in micro-dollars per million.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Price {
    /// Tokens of prompts.
    pub prompt_micros: u64,
    /// Tokens of answers.
    pub output_micros: u64,
}

impl Price {
    /// What a request costs, in micro-dollars, rounded up.
    #[must_use]
    pub fn of(self, prompt_tokens: u64, output_tokens: u64) -> u64 {
        let part = |tokens: u64, micros: u64| u128::from(tokens) * u128::from(micros);
        let micros = part(prompt_tokens, self.prompt_micros).saturating_add(part(output_tokens, self.output_micros));
        u64::try_from(micros.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

impl std::fmt::Display for Price {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cents = |micros: u64| (micros / 1_000_000, micros / 10_000 % 100);
        let ((prompt, prompt_cents), (output, output_cents)) = (cents(self.prompt_micros), cents(self.output_micros));
        write!(
            formatter,
            "{prompt}.{prompt_cents:02} USD per million tokens of prompt, {output}.{output_cents:02} of answer"
        )
    }
}

/// What a model can do, as far as its upstream tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Conversations and completions.
    pub chat: Option<bool>,
    /// Vectors for texts.
    pub embeddings: Option<bool>,
    /// Tool calls.
    pub tools: Option<bool>,
    /// Pictures as input.
    pub vision: Option<bool>,
    /// Reasoning.
    pub reasoning: Option<bool>,
}

/// One line of the catalogue: a name that clients may ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The name for clients, unique in the catalogue.
    pub id: String,
    /// The upstream that offers it, or `airlane` for an alias.
    pub upstream: String,
    /// What is known of it; for an alias, of the first model behind it.
    pub info: ModelInfo,
}

mod target;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::config::Config;
use crate::price::Prices;
use crate::upstream::Upstream;

pub use target::Target;

/// What the upstreams told, by upstream name. An upstream that is not here has not answered, or not for too long.
pub type Listings = HashMap<String, Vec<ModelInfo>>;

/// All models that can be asked for. Made anew whenever the config or a listing changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalogue {
    listed: Vec<Listed>,
    /// Name → where it is, in the order in which it should be tried.
    names: HashMap<String, Vec<Target>, FixedState>,
    /// Upstreams whose list is known.
    known: Vec<String>,
    /// What is known of each model at each upstream.
    infos: HashMap<Target, ModelInfo, FixedState>,
}

impl Catalogue {
    /// Unifies the listings: a model that one upstream offers keeps its id; where ids collide each gets the form
    /// `upstream/model`, and the bare id stands for all of them in the order of the config. Aliases come first.
    #[must_use]
    pub fn build(config: &Config, listings: &Listings) -> Self {
        let offered = offered(config, listings);
        let mut by_id: BTreeMap<&str, Vec<&Offer>> = BTreeMap::new();
        for offer in &offered {
            by_id.entry(&offer.info.id).or_default().push(offer);
        }
        let mut catalogue = Self {
            known: listings.keys().filter(|name| config.upstream(name).is_some()).cloned().collect(),
            ..Self::default()
        };
        for offer in &offered {
            let unique = by_id.get(offer.info.id.as_str()).is_none_or(|offers| offers.len() == 1);
            let clash = config.aliases.iter().any(|alias| alias.name == offer.info.id);
            let qualified = format!("{}/{}", offer.upstream, offer.info.id);
            let id = if unique && !clash && !offer.named_only { offer.info.id.clone() } else { qualified.clone() };
            let target = Target::new(offer.upstream, &offer.info.id);
            catalogue.infos.entry(target.clone()).or_insert_with(|| offer.info.clone());
            catalogue.listed.push(Listed { id, upstream: offer.upstream.to_owned(), info: offer.info.clone() });
            // The loopback is reached under its own name only, so that nobody lands there by chance.
            if !offer.named_only {
                catalogue.names.entry(offer.info.id.clone()).or_default().push(target.clone());
            }
            catalogue.names.insert(qualified, vec![target]);
        }
        catalogue.listed.sort_by(|a, b| a.id.cmp(&b.id));
        catalogue.add_aliases(config);
        catalogue
    }

    fn add_aliases(&mut self, config: &Config) {
        for alias in config.aliases.iter().rev() {
            let mut targets: Vec<Target> = Vec::new();
            for name in &alias.models {
                for target in self.find_with(config, name).iter() {
                    if !targets.contains(target) {
                        targets.push(target.clone());
                    }
                }
            }
            let first = targets.first().and_then(|first| self.info(first).cloned());
            let info = ModelInfo { id: alias.name.clone(), ..first.unwrap_or_default() };
            self.listed.insert(0, Listed { id: alias.name.clone(), upstream: ALIAS_OWNER.to_owned(), info });
            self.names.insert(alias.name.clone(), targets);
        }
    }

    /// All lines, aliases first, then by id.
    #[must_use]
    pub fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// The lines of our own model servers: what other Airlanes may have through us.
    pub fn shared(&self, config: &Config) -> impl Iterator<Item = &Listed> {
        let is_shared = |listed: &&Listed| config.upstream(&listed.upstream).is_some_and(Upstream::is_shared);
        self.listed.iter().filter(is_shared)
    }

    /// The line of a name, also when it is asked for as `upstream/model` or with Ollama's `:latest`.
    #[must_use]
    pub fn line(&self, name: &str) -> Option<&Listed> {
        let bare = name.strip_suffix(LATEST);
        self.listed
            .iter()
            .find(|listed| listed.id == name)
            .or_else(|| self.listed.iter().find(|listed| Some(listed.id.as_str()) == bare))
            .or_else(|| self.listed.iter().find(|listed| listed.id.strip_suffix(LATEST) == Some(name)))
            .or_else(|| {
                let target = self.names.get(name)?.first()?;
                self.listed.iter().find(|listed| listed.upstream == target.upstream && listed.info.id == target.model)
            })
    }

    /// What is known of a model at an upstream.
    #[must_use]
    pub fn info(&self, target: &Target) -> Option<&ModelInfo> {
        self.infos.get(target)
    }

    /// Where a name leads, in the order in which to try; empty if nowhere.
    #[must_use]
    pub fn find(&self, name: &str) -> &[Target] {
        let with_tag = || self.names.get(&format!("{name}{LATEST}"));
        let without_tag = || name.strip_suffix(LATEST).and_then(|bare| self.names.get(bare));
        self.names.get(name).or_else(with_tag).or_else(without_tag).map_or(&[], Vec::as_slice)
    }

    /// Like [`Catalogue::find`], and believes the config where an upstream has not (yet) told its models.
    #[must_use]
    pub fn find_with(&self, config: &Config, name: &str) -> Cow<'_, [Target]> {
        let found = Cow::Borrowed(self.find(name));
        if !found.is_empty() {
            return found;
        }
        let Some((upstream, model)) = name.split_once('/') else { return found };
        match config.upstream(upstream) {
            Some(known) if !self.known.iter().any(|name| name == upstream) && known.offers(model) => {
                Cow::Owned(vec![Target::new(upstream, model)])
            }
            _ => found,
        }
    }

    /// Listed names that resemble `name`, best first, at most three.
    #[must_use]
    pub fn near(&self, name: &str) -> Vec<String> {
        let wanted = name.to_ascii_lowercase();
        let wanted_tail = wanted.rsplit('/').next().unwrap_or(&wanted);
        let mut scored: Vec<(usize, &str)> = self
            .listed
            .iter()
            .filter_map(|listed| {
                let id = listed.id.to_ascii_lowercase();
                let common = id.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
                let contains = wanted_tail.len() >= 3 && (id.contains(wanted_tail) || wanted.contains(id.as_str()));
                let score = common + if contains { 100 } else { 0 };
                (score >= 4).then_some((score, listed.id.as_str()))
            })
            .collect();
        scored.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.len().cmp(&b.1.len())).then(a.1.cmp(b.1)));
        scored.into_iter().take(3).map(|(_, id)| id.to_owned()).collect()
    }
}

/// What stands as the upstream of an alias.
pub const ALIAS_OWNER: &str = "airlane";

/// The tag that Ollama adds to a model name without one.
const LATEST: &str = ":latest";

struct Offer<'a> {
    upstream: &'a str,
    info: ModelInfo,
    named_only: bool,
}

/// The allowed models of all upstreams in the order of the config, listed ones and those the config names.
fn offered<'a>(config: &'a Config, listings: &Listings) -> Vec<Offer<'a>> {
    let mut offered = Vec::new();
    for upstream in &config.upstreams {
        let named_only = upstream.kind == crate::upstream::UpstreamKind::Loopback;
        let listing = listings.get(&upstream.name).map_or(&[][..], Vec::as_slice);
        let mut ids: Vec<&str> = Vec::new();
        for info in listing {
            if upstream.offers(&info.id) && !ids.contains(&info.id.as_str()) {
                ids.push(&info.id);
                offered.push(Offer { upstream: &upstream.name, info: info.clone(), named_only });
            }
        }
        for name in upstream.named_models() {
            if !ids.contains(&name) {
                let info = ModelInfo { id: name.to_owned(), ..ModelInfo::default() };
                offered.push(Offer { upstream: &upstream.name, info, named_only });
            }
        }
    }
    offered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Alias;
    use crate::upstream::UpstreamKind;
    use crate::upstream::tests::upstream;

    fn listing(ids: &[&str]) -> Vec<ModelInfo> {
        ids.iter().map(|id| ModelInfo { id: (*id).to_owned(), ..ModelInfo::default() }).collect()
    }

    fn house() -> (Config, Listings) {
        let config = Config {
            upstreams: vec![
                upstream("gpu", UpstreamKind::Openai),
                upstream("mac", UpstreamKind::Ollama),
                upstream("cloud", UpstreamKind::Openai),
                upstream("loopback", UpstreamKind::Loopback),
            ],
            aliases: vec![Alias {
                name: "fast".to_owned(),
                models: vec!["gpu/qwen".to_owned(), "cloud/big".to_owned(), "mac/none".to_owned()],
                ..Alias::default()
            }],
            ..Config::default()
        };
        let listings = Listings::from([
            ("gpu".to_owned(), listing(&["qwen", "only-here"])),
            ("mac".to_owned(), listing(&["qwen", "llama3:latest"])),
            ("loopback".to_owned(), listing(&["echo"])),
        ]);
        (config, listings)
    }

    fn targets(found: &[Target]) -> Vec<String> {
        found.iter().map(|target| format!("{} {}", target.upstream, target.model)).collect()
    }

    #[test]
    fn ids_are_unique_and_aliases_first() {
        let (config, listings) = house();
        let catalogue = Catalogue::build(&config, &listings);
        let ids: Vec<_> = catalogue.listed().iter().map(|listed| listed.id.as_str()).collect();
        assert_eq!(ids, ["fast", "gpu/qwen", "llama3:latest", "loopback/echo", "mac/qwen", "only-here"]);
    }

    #[test]
    fn names_lead_to_upstreams_in_order() {
        let (config, listings) = house();
        let catalogue = Catalogue::build(&config, &listings);
        for (name, want) in [
            ("only-here", vec!["gpu only-here"]),
            ("qwen", vec!["gpu qwen", "mac qwen"]),
            ("mac/qwen", vec!["mac qwen"]),
            ("llama3", vec!["mac llama3:latest"]),
            ("only-here:latest", vec!["gpu only-here"]),
            ("fast", vec!["gpu qwen", "cloud big"]),
            // The cloud has not told its models: believe the client.
            ("cloud/any/model", vec!["cloud any/model"]),
            // The GPU box has, and this is not one of them.
            ("gpu/any", vec![]),
            ("loopback/echo", vec!["loopback echo"]),
            ("echo", vec![]),
            ("nobody/any", vec![]),
        ] {
            assert_eq!(targets(&catalogue.find_with(&config, name)), want, "{name}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_not_there() {
        let (mut config, listings) = house();
        config.upstreams[0].models = vec!["only*".to_owned(), "extra".to_owned()];
        let catalogue = Catalogue::build(&config, &listings);
        assert_eq!(targets(catalogue.find("qwen")), ["mac qwen"]);
        assert_eq!(targets(catalogue.find("extra")), ["gpu extra"]);
        assert!(catalogue.line("gpu/qwen").is_none());
    }

    #[test]
    fn prices_are_whole_micro_dollars_and_round_up() {
        let price = Price { prompt_micros: 3_000_000, output_micros: 15_000_000 };
        assert_eq!((price.of(1_000, 100), price.of(0, 0)), (4_500, 0));
        assert_eq!(Price { prompt_micros: 1, output_micros: 0 }.of(1, 0), 1);
        assert_eq!(Price { prompt_micros: u64::MAX, output_micros: u64::MAX }.of(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(price.to_string(), "3.00 USD per million tokens of prompt, 15.00 of answer");
    }

    #[test]
    fn near_names_are_offered() {
        let (config, listings) = house();
        let catalogue = Catalogue::build(&config, &listings);
        assert_eq!(catalogue.near("llama3.1"), ["llama3:latest"]);
        assert_eq!(catalogue.near("qwen"), ["gpu/qwen", "mac/qwen"]);
        assert!(catalogue.near("zzz").is_empty());
    }
}
