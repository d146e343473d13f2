//! Where the requests of a policy may go.

use std::fmt;
use std::sync::Arc;

use super::{Policy, Privacy, SPENT, STRANGERS};
use crate::upstream::{Upstream, matches};

/// The policies that say where a request may go. All of them must agree to a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    policies: Vec<Arc<Policy>>,
    /// What the owner himself named, as a model for vectors, is held to places only.
    is_any_model: bool,
}

/// Which policy keeps a request from a place, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barred {
    /// The policy's name.
    pub policy: String,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Model,
    Upstream,
    Cloud,
}

impl fmt::Display for Barred {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = &self.policy;
        match self.what {
            What::Model => write!(formatter, "policy {policy:?} does not allow this model"),
            What::Upstream => write!(formatter, "policy {policy:?} does not allow this upstream"),
            What::Cloud if policy == STRANGERS => formatter.write_str(
                "this device is not known here, and unknown devices may use the models of the house only; the owner can give it a key \
                 (airlane key create NAME) or make it known (airlane tenant set NAME --device ADDRESS)",
            ),
            What::Cloud if policy == SPENT => formatter.write_str(
                "a budget is used up, and until it begins anew only the models of the house may answer; ask the owner for more",
            ),
            What::Cloud => write!(formatter, "policy {policy:?} lets no request leave the house"),
        }
    }
}

impl Bounds {
    /// Those of the policies that say where requests may go.
    pub(super) fn of(policies: &[Arc<Policy>]) -> Self {
        let bind = |policy: &&Arc<Policy>| {
            let rules = &policy.rules;
            rules.models.is_some() || rules.upstreams.is_some() || rules.privacy != Privacy::Any
        };
        Self { policies: policies.iter().filter(bind).cloned().collect(), is_any_model: false }
    }

    /// The same, with one more policy that must agree.
    #[must_use]
    pub(super) fn with(&self, policy: Policy) -> Self {
        let policies = std::iter::once(Arc::new(policy)).chain(self.policies.iter().cloned()).collect();
        Self { policies, ..self.clone() }
    }

    /// The same places for any model.
    #[must_use]
    pub fn of_places(&self) -> Self {
        Self { is_any_model: true, ..self.clone() }
    }

    /// Whether a request may go anywhere.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.policies.is_empty()
    }

    /// Why a place may not answer. `aliases` are the names of ours under which it was asked for.
    pub fn bars<'a>(
        &self,
        upstream: &Upstream,
        model: &str,
        aliases: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<Barred> {
        self.policies.iter().find_map(|policy| {
            let rules = &policy.rules;
            let what = if rules.privacy == Privacy::LocalOnly && !upstream.local {
                What::Cloud
            } else if rules.upstreams.as_ref().is_some_and(|patterns| !any(patterns, &upstream.name)) {
                What::Upstream
            } else if let Some(patterns) = rules.models.as_ref().filter(|_| !self.is_any_model)
                && !any(patterns, model)
                && !any(patterns, &format!("{}/{model}", upstream.name))
                && !aliases.clone().any(|alias| any(patterns, alias))
            {
                What::Model
            } else {
                return None;
            };
            Some(Barred { policy: policy.name.clone(), what })
        })
    }

    /// What tells them apart from others, as bytes: part of a kept answer's key, so that nobody is served what they may not ask for.
    #[must_use]
    pub fn revision(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.is_any_model)];
        for Policy { rules, .. } in self.policies.iter().map(Arc::as_ref) {
            bytes.push(rules.privacy as u8);
            for patterns in [&rules.models, &rules.upstreams] {
                let Some(patterns) = patterns else {
                    bytes.push(0);
                    continue;
                };
                bytes.push(1);
                bytes.extend_from_slice(&patterns.len().to_be_bytes());
                for pattern in patterns {
                    bytes.extend_from_slice(&pattern.len().to_be_bytes());
                    bytes.extend_from_slice(pattern.as_bytes());
                }
            }
        }
        bytes
    }
}

fn any(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

#[cfg(test)]
mod tests {
    use super::super::Rules;
    use super::*;
    use crate::config::{Draft, UpstreamDraft, check};

    fn policy(name: &str, rules: Rules) -> Arc<Policy> {
        Arc::new(Policy { name: name.to_owned(), rules, ..Policy::default() })
    }

    fn texts(texts: &[&str]) -> Option<Vec<String>> {
        Some(texts.iter().map(|&text| text.to_owned()).collect())
    }

    fn upstream(name: &str) -> Upstream {
        let kind = Some("loopback".to_owned());
        let local = Some(name != "cloud");
        let draft = UpstreamDraft { name: Some(name.to_owned()), kind, local, ..UpstreamDraft::default() };
        check(&Draft { upstreams: vec![draft], ..Draft::default() }).unwrap().upstreams.remove(0)
    }

    #[test]
    fn every_policy_must_agree() {
        let bounds = Bounds::of(&[
            policy("no rule", Rules::default()),
            policy("house", Rules { models: texts(&["qwen*", "cloud/*", "fast"]), ..Rules::default() }),
            policy("kids", Rules { upstreams: texts(&["gpu", "cloud"]), ..Rules::default() }),
        ]);
        let told = |name: &str, model: &str, aliases: &[&str]| {
            bounds.bars(&upstream(name), model, aliases.iter().copied()).map(|barred| barred.to_string())
        };
        assert_eq!(told("gpu", "qwen3", &[]), None);
        assert_eq!(told("cloud", "gpt", &[]), None);
        assert_eq!(told("gpu", "llama", &["fast"]), None);
        assert_eq!(told("gpu", "llama", &["slow"]).as_deref(), Some("policy \"house\" does not allow this model"));
        assert_eq!(told("attic", "qwen3", &[]).as_deref(), Some("policy \"kids\" does not allow this upstream"));
        assert_eq!(bounds.of_places().bars(&upstream("gpu"), "llama", std::iter::empty()), None);
        let local = Bounds::of(&[policy("home", Rules { privacy: Privacy::LocalOnly, ..Rules::default() })]);
        let barred = local.bars(&upstream("cloud"), "gpt", std::iter::empty());
        assert_eq!(barred.unwrap().to_string(), "policy \"home\" lets no request leave the house");
        assert!(local.bars(&upstream("gpu"), "gpt", std::iter::empty()).is_none());
    }

    #[test]
    fn a_list_that_is_empty_allows_nothing_and_every_list_has_its_own_revision() {
        let nothing = Bounds::of(&[policy("none", Rules { models: texts(&[]), ..Rules::default() })]);
        assert!(nothing.bars(&upstream("gpu"), "m", std::iter::empty()).is_some());
        let revisions: Vec<Vec<u8>> = [
            Rules { models: texts(&["ab", "c"]), ..Rules::default() },
            Rules { models: texts(&["a", "bc"]), ..Rules::default() },
            Rules { upstreams: texts(&["a", "bc"]), ..Rules::default() },
            Rules { privacy: Privacy::LocalOnly, ..Rules::default() },
        ]
        .into_iter()
        .map(|rules| Bounds::of(&[policy("x", rules)]).revision())
        .collect();
        for (position, revision) in revisions.iter().enumerate() {
            assert!(!revisions[..position].contains(revision), "{position}");
        }
    }
}
