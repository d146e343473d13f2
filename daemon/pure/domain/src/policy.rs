//! Policies: what holds for whom.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::cache::Rules;
use crate::semantic;
use crate::upstream::matches;

/// `[[policy]]`: holds for the requests that it names, before those that stand after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// For its owner, and in explanations; empty for what `[cache]` says, which holds where no other does.
    pub name: String,
    /// Programs, by what they call themselves (`x-title`, or else the product that `user-agent` begins with); `*` stands for any
    /// letters. Empty is all.
    pub apps: Vec<String>,
    /// Networks of clients. Empty is all.
    pub clients: Vec<IpNet>,
    /// Models, by the name that the client asks for; `*` stands for any letters. Empty is all.
    pub models: Vec<String>,
    /// What is kept of their answers.
    pub cache: Rules,
    /// Whether kept answers are given to questions in other words; nothing where they are not.
    pub semantic: Option<semantic::Settings>,
}

/// Who asks for what, as far as policies look at it.
#[derive(Debug, Clone, Copy)]
pub struct Asks<'a> {
    /// What the program calls itself.
    pub app: &'a str,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The first model it asks for.
    pub model: &'a str,
}

impl Policy {
    /// Whether it holds for such a request.
    #[must_use]
    pub fn holds(&self, asks: &Asks<'_>) -> bool {
        let named = |patterns: &[String], name: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, name))
        };
        let client = asks.client.map(|client| client.to_canonical());
        let is_client = self.clients.is_empty()
            || client.is_some_and(|client| self.clients.iter().any(|network| network.contains(&client)));
        is_client && named(&self.apps, asks.app) && named(&self.models, asks.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_holds_for_whom_it_names() {
        let policy = |apps: &[&str], clients: &[&str], models: &[&str]| Policy {
            name: "p".to_owned(),
            apps: apps.iter().map(|&app| app.to_owned()).collect(),
            clients: clients.iter().map(|client| client.parse().unwrap()).collect(),
            models: models.iter().map(|&model| model.to_owned()).collect(),
            ..Policy::default()
        };
        let asks = Asks { app: "open-webui", client: "192.168.1.7".parse().ok(), model: "fast" };
        for (apps, clients, models, want) in [
            (&[][..], &[][..], &[][..], true),
            (&["open-webui"], &["192.168.1.0/24"], &["fast"], true),
            (&["open-*", "x"], &[], &[], true),
            (&["webui"], &[], &[], false),
            (&[], &["10.0.0.0/8"], &[], false),
            (&[], &["10.0.0.0/8", "192.168.1.7/32"], &[], true),
            (&[], &[], &["slow"], false),
            (&["open-webui"], &[], &["slow"], false),
        ] {
            assert_eq!(policy(apps, clients, models).holds(&asks), want, "{apps:?} {clients:?} {models:?}");
        }
        let mapped = Asks { client: "::ffff:192.168.1.7".parse().ok(), ..asks };
        assert!(policy(&[], &["192.168.1.0/24"], &[]).holds(&mapped));
        assert!(!policy(&[], &["192.168.1.0/24"], &[]).holds(&Asks { client: None, ..asks }));
    }
}
