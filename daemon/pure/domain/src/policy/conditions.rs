//! For which requests a policy holds.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Layer, When};
use crate::upstream::matches;

/// What must be so for a policy to hold: all that is named. An empty list is no condition; `*` stands for any letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Tenants.
    pub tenants: Vec<String>,
    /// API keys, by their names (`airlane key list`).
    pub keys: Vec<String>,
    /// Groups, one of which the tenant must be in.
    pub groups: Vec<String>,
    /// Programs, by what they call themselves (`x-title`, or else the product that `user-agent` begins with).
    pub apps: Vec<String>,
    /// Networks of clients.
    pub clients: Vec<IpNet>,
    /// Models, one of which the client must ask for by this name.
    pub models: Vec<String>,
    /// An expression over the request, its sender, the time and the house.
    pub when: Option<When>,
}

/// Who asks for what, as far as policies look at it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asks<'a> {
    /// Who is asking; empty where nobody knows.
    pub tenant: &'a str,
    /// Nobody knows the device, and its requests are not to leave the house.
    pub is_stranger: bool,
    /// The name of the key that was shown.
    pub key: Option<&'a str>,
    /// The groups that the tenant is in.
    pub groups: &'a [String],
    /// What the program calls itself.
    pub app: &'a str,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The models that it asks for, first choice first.
    pub models: &'a [String],
    /// What else is known of the request.
    pub traits: Traits,
    /// Seconds since 1970, UTC.
    pub unix_s: i64,
    /// How the house does.
    pub pulse: Pulse,
}

/// What a request is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traits {
    /// The prompt's length in tokens, estimated.
    pub tokens: u64,
    /// Longest answer that is wanted, in tokens; 0 where nothing is said.
    pub output_tokens_max: u64,
    /// The answer is wanted in pieces.
    pub stream: bool,
    /// It brings tools.
    pub tools: bool,
    /// It holds pictures.
    pub images: bool,
    /// The answer must keep to a JSON schema.
    pub json_schema: bool,
    /// It wants the model to think.
    pub reasoning: bool,
    /// The client's dialect: `openai`, `anthropic` or `ollama`.
    pub dialect: &'static str,
}

/// How the house does, as far as that costs nothing to know.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pulse {
    /// What others do with the house's graphics cards: 0 is nothing, 1 all they can.
    pub gpu_pressure: f64,
    /// Requests that wait for their turn.
    pub queue_waiting: u64,
    /// Model servers of the house that answer.
    pub local_healthy: u64,
}

impl Conditions {
    /// The layer of the innermost condition.
    #[must_use]
    pub const fn layer(&self) -> Layer {
        if self.when.is_some() || !self.models.is_empty() {
            Layer::Request
        } else if !self.groups.is_empty() {
            Layer::Group
        } else if !self.apps.is_empty() {
            Layer::App
        } else if !self.tenants.is_empty() || !self.keys.is_empty() || !self.clients.is_empty() {
            Layer::Tenant
        } else {
            Layer::House
        }
    }

    /// Whether they are met. An expression that cannot be worked out counts as met, since policies only narrow; why it cannot is
    /// told to `slips`.
    pub fn hold(&self, asks: &Asks<'_>, slips: &mut dyn FnMut(String)) -> bool {
        let client = asks.client.map(|client| client.to_canonical());
        let is_client = self.clients.is_empty()
            || client.is_some_and(|client| self.clients.iter().any(|network| network.contains(&client)));
        is_client
            && named(&self.tenants, std::iter::once(asks.tenant))
            && named(&self.keys, asks.key.into_iter())
            && named(&self.groups, asks.groups.iter().map(String::as_str))
            && named(&self.apps, std::iter::once(asks.app))
            && named(&self.models, asks.models.iter().flat_map(|name| names(name)))
            && self.when.as_ref().is_none_or(|when| {
                when.holds(asks).unwrap_or_else(|why| {
                    slips(why);
                    true
                })
            })
    }
}

/// Whether a pattern names one of them; no pattern at all means everybody.
fn named<'a>(patterns: &[String], mut names: impl Iterator<Item = &'a str>) -> bool {
    patterns.is_empty() || names.any(|name| patterns.iter().any(|pattern| matches(pattern, name)))
}

/// A name that a client gave, and those that it may be made of: parts between commas, each without OpenRouter's ending.
pub(crate) fn names(name: &str) -> impl Iterator<Item = &str> {
    let parts = name.split(',').map(str::trim);
    std::iter::once(name).chain(parts.flat_map(|part| [part, part.rsplit_once(':').map_or(part, |(bare, _)| bare)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn hold(conditions: &Conditions, asks: &Asks<'_>) -> bool {
        conditions.hold(asks, &mut |why| panic!("{why}"))
    }

    #[test]
    fn a_policy_holds_for_whom_it_names() {
        let conditions = |apps: &[&str], clients: &[&str], models: &[&str]| Conditions {
            apps: texts(apps),
            clients: clients.iter().map(|client| client.parse().unwrap()).collect(),
            models: texts(models),
            ..Conditions::default()
        };
        let models = texts(&["fast", "big:floor", "a, b"]);
        let asks = Asks { app: "open-webui", client: "192.168.1.7".parse().ok(), models: &models, ..Asks::default() };
        for (apps, clients, models, want) in [
            (&[][..], &[][..], &[][..], true),
            (&["open-webui"], &["192.168.1.0/24"], &["fast"], true),
            (&["open-*", "x"], &[], &[], true),
            (&["webui"], &[], &[], false),
            (&[], &["10.0.0.0/8"], &[], false),
            (&[], &["10.0.0.0/8", "192.168.1.7/32"], &[], true),
            (&[], &[], &["slow"], false),
            (&[], &[], &["big"], true),
            (&[], &[], &["b"], true),
            (&["open-webui"], &[], &["slow"], false),
        ] {
            assert_eq!(hold(&conditions(apps, clients, models), &asks), want, "{apps:?} {clients:?} {models:?}");
        }
        let mapped = Asks { client: "::ffff:192.168.1.7".parse().ok(), ..asks };
        assert!(hold(&conditions(&[], &["192.168.1.0/24"], &[]), &mapped));
        assert!(!hold(&conditions(&[], &["192.168.1.0/24"], &[]), &Asks { client: None, ..asks }));
    }

    #[test]
    fn tenants_keys_and_groups_are_named() {
        let groups = texts(&["kids", "school"]);
        let asks = Asks { tenant: "mia", key: Some("laptop"), groups: &groups, ..Asks::default() };
        let conditions = |tenants: &[&str], keys: &[&str], groups: &[&str]| Conditions {
            tenants: texts(tenants),
            keys: texts(keys),
            groups: texts(groups),
            ..Conditions::default()
        };
        for (tenants, keys, groups, want) in [
            (&["mia"][..], &[][..], &[][..], true),
            (&["m*"], &["lap*"], &["school"], true),
            (&["tom"], &[], &[], false),
            (&[], &["phone"], &[], false),
            (&[], &[], &["parents"], false),
        ] {
            assert_eq!(hold(&conditions(tenants, keys, groups), &asks), want, "{tenants:?} {keys:?} {groups:?}");
        }
        assert!(!hold(&conditions(&["*"], &["*"], &[]), &Asks { key: None, ..asks }), "no key is no key of any name");
        assert!(!hold(&conditions(&[], &[], &["*"]), &Asks { groups: &[], ..asks }));
    }

    #[test]
    fn the_innermost_condition_is_the_layer() {
        let one = || texts(&["x"]);
        let none = Conditions::default();
        for (conditions, want) in [
            (none.clone(), Layer::House),
            (Conditions { tenants: one(), ..none.clone() }, Layer::Tenant),
            (Conditions { keys: one(), ..none.clone() }, Layer::Tenant),
            (Conditions { apps: one(), tenants: one(), ..none.clone() }, Layer::App),
            (Conditions { groups: one(), apps: one(), ..none.clone() }, Layer::Group),
            (Conditions { models: one(), groups: one(), ..none.clone() }, Layer::Request),
        ] {
            assert_eq!(conditions.layer(), want, "{conditions:?}");
        }
        assert!(Layer::NAMES.iter().all(|(name, layer)| *name == layer.name()) && Layer::House < Layer::Request);
    }
}
