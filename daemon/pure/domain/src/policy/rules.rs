//! What a policy says.

use std::time::Duration;

use super::Hours;
pub use crate::allowance::Kind as Subject;
use crate::allowance::Quota;
use crate::cache::{self, Chat, Scope};
use crate::calendar::{Cycle, Zone};
use crate::lane::Lane;
pub use crate::limit::Per as Window;
use crate::semantic;
use crate::strategy::Strategy;

/// What holds for the requests of a policy. What is not said here is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The only models that may answer: patterns for the model's name, for `upstream/model`, or for the alias that was asked for.
    pub models: Option<Vec<String>>,
    /// The only upstreams that may answer, as patterns.
    pub upstreams: Option<Vec<String>>,
    /// How far requests may go.
    pub privacy: Privacy,
    /// The most urgent lane.
    pub lane: Option<Lane>,
    /// How the best of several places is found. It is no permission: the innermost policy that says it decides.
    pub strategy: Option<Strategy>,
    /// What requests may not ask for.
    pub deny: Capabilities,
    /// What the model is told before all that the client says.
    pub system: Option<String>,
    /// When requests are served.
    pub hours: Option<Hours>,
    /// What is kept of the answers.
    pub cache: CacheRules,
    /// Kept answers are given to questions in other words.
    pub semantic: Option<semantic::Settings>,
    /// How much, in a time.
    pub limits: Vec<LimitRule>,
    /// How much money.
    pub budgets: Vec<BudgetRule>,
    /// What its limits and budgets come to, one for each kind of subject.
    pub quotas: Vec<Quota>,
}

/// How far a request may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privacy {
    /// To any upstream.
    #[default]
    Any,
    /// To servers of the house.
    LocalOnly,
}

impl Privacy {
    /// All of them under their names in the config.
    pub const NAMES: [(&'static str, Self); 2] = [("any", Self::Any), ("local-only", Self::LocalOnly)];
}

/// What a request may ask for besides text, as a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities(u8);

impl Capabilities {
    /// Calling tools.
    pub const TOOLS: Self = Self(1);
    /// Looking at pictures.
    pub const IMAGES: Self = Self(2);
    /// Keeping to a JSON schema.
    pub const JSON_SCHEMA: Self = Self(4);
    /// Thinking before the answer.
    pub const REASONING: Self = Self(8);
    /// Answers in pieces.
    pub const STREAMING: Self = Self(16);

    /// Each under its name in the config.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("tools", Self::TOOLS),
        ("images", Self::IMAGES),
        ("json_schema", Self::JSON_SCHEMA),
        ("reasoning", Self::REASONING),
        ("streaming", Self::STREAMING),
    ];

    /// What is in one of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of what is in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, one)| !self.and(*one).is_empty()).map(|(name, _)| name)
    }
}

/// What a policy says of kept answers; see [`cache::Rules`] for what each means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is that of the same name in `cache::Rules`")]
pub struct CacheRules {
    pub chat: Option<Chat>,
    pub embeddings: Option<bool>,
    pub scope: Option<Scope>,
    pub ttl: Option<Duration>,
    pub replay_tokens_per_s: Option<u32>,
}

impl CacheRules {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes what a policy further in says: the narrower of both, save for the pace, which is no permission.
    pub(super) fn narrow(&mut self, inner: &Self) {
        least(&mut self.chat, inner.chat, |chat| chat as u8);
        least(&mut self.embeddings, inner.embeddings, u8::from);
        least(&mut self.ttl, inner.ttl, |ttl| ttl);
        self.scope = match (self.scope.take(), &inner.scope) {
            (None, inner) => inner.clone(),
            (Some(outer), None) => Some(outer),
            (Some(outer), Some(inner)) => Some(narrower(outer, inner)),
        };
        self.replay_tokens_per_s = inner.replay_tokens_per_s.or(self.replay_tokens_per_s);
    }

    /// With what holds where nothing is said.
    #[must_use]
    pub fn or(&self, default: &cache::Rules) -> cache::Rules {
        cache::Rules {
            chat: self.chat.unwrap_or(default.chat),
            embeddings: self.embeddings.unwrap_or(default.embeddings),
            scope: self.scope.clone().unwrap_or_else(|| default.scope.clone()),
            ttl: self.ttl.unwrap_or(default.ttl),
            replay_tokens_per_s: self.replay_tokens_per_s.unwrap_or(default.replay_tokens_per_s),
        }
    }
}

fn least<T: Copy, K: Ord>(outer: &mut Option<T>, inner: Option<T>, key: impl Fn(T) -> K) {
    *outer = outer.iter().copied().chain(inner).min_by_key(|value| key(*value));
}

/// Those who are in both scopes. Two groups may have nobody in common but the tenant who asks.
fn narrower(outer: Scope, inner: &Scope) -> Scope {
    match (outer, inner) {
        (Scope::House, inner) => inner.clone(),
        (outer, Scope::House) => outer,
        (Scope::Group(outer), Scope::Group(inner)) if outer == *inner => Scope::Group(outer),
        (Scope::Group(_), Scope::Group(_)) | (Scope::Tenant, _) | (_, Scope::Tenant) => Scope::Tenant,
    }
}

/// `[[policy.limit]]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitRule {
    /// Of what each has its own.
    pub per: Subject,
    /// The time of `requests` and `tokens`.
    pub window: Window,
    /// Most requests in that time.
    pub requests: Option<u64>,
    /// Most tokens in that time, those of prompts and of answers.
    pub tokens: Option<u64>,
    /// Most requests at once.
    pub concurrent: Option<u64>,
    /// Longest prompt, in tokens, as estimated.
    pub input_tokens_max: Option<u64>,
}

/// What happens when a budget is used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AtLimit {
    /// Requests stay in the house.
    Local,
    /// Requests are refused.
    #[default]
    Stop,
}

impl AtLimit {
    /// Both under their names in the config.
    pub const NAMES: [(&'static str, Self); 2] = [("local", Self::Local), ("stop", Self::Stop)];
}

/// `[[policy.budget]]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BudgetRule {
    /// Of what each has its own.
    pub per: Subject,
    /// What may be spent in a period, in millionths of a US dollar.
    pub micro_usd: u64,
    /// When it begins anew.
    pub period: Cycle,
    /// Whose calendar counts.
    pub zone: Zone,
    /// Shares of it, in percent, at which somebody is told.
    pub warn: Vec<u8>,
    /// What happens at its end.
    pub at_limit: AtLimit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_only_gets_narrower() {
        let group = |name: &str| Scope::Group(name.to_owned());
        for (a, b, want) in [
            (Scope::House, Scope::House, Scope::House),
            (Scope::House, group("a"), group("a")),
            (group("a"), group("a"), group("a")),
            (group("a"), group("b"), Scope::Tenant),
            (group("a"), Scope::Tenant, Scope::Tenant),
            (Scope::House, Scope::Tenant, Scope::Tenant),
        ] {
            assert_eq!(narrower(a.clone(), &b), want, "{a:?} {b:?}");
            assert_eq!(narrower(b.clone(), &a), want, "{b:?} {a:?}");
        }
    }

    #[test]
    fn capabilities_have_names() {
        let both = Capabilities::TOOLS.or(Capabilities::REASONING);
        assert_eq!(both.names().collect::<Vec<_>>(), ["tools", "reasoning"]);
        assert!(both.and(Capabilities::IMAGES).is_empty() && !both.is_empty());
    }
}
