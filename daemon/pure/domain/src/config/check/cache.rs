//! The cache and the policies.

use std::sync::Arc;
use std::time::Duration;

use super::super::{CacheDraft, CacheRulesDraft, PolicyDraft};
use super::{Check, NAME_CHARS_MAX, is_short_name};
use crate::cache::{Chat, Rules, Scope, Settings, Store, TableFiles};
use crate::policy::Policy;

/// What a database in memory may take unless the config says so: routers have little.
const IN_MEMORY_BYTES: u64 = 32 << 20;
/// How a scope that is shared by a group is written.
const GROUP: &str = "group:";

impl Check {
    pub(super) fn cache(&mut self, draft: &CacheDraft, table: Option<TableFiles>) -> Settings {
        let default = Settings::default();
        let in_memory = self.word("cache.store", draft.store.as_deref(), &[("disk", false), ("memory", true)]);
        let copy_every = self.seconds("cache.copy_every_s", draft.copy_every_s, 60..=604_800, 3_600);
        let store = match in_memory {
            Some(true) => Store::Memory { copy_every },
            Some(false) | None => Store::Disk,
        };
        let disk_bytes = if in_memory == Some(true) { IN_MEMORY_BYTES } else { default.disk_max_bytes };
        let share = self.number("cache.tenant_share", draft.tenant_share, 1..=100, default.tenant_share.into());
        Settings {
            enabled: draft.enabled.unwrap_or(default.enabled),
            memory_max_bytes: self.mib("cache.memory_mib", draft.memory_mib, 1..=65_536, default.memory_max_bytes),
            disk_max_bytes: self.mib("cache.disk_mib", draft.disk_mib, 1..=1_048_576, disk_bytes),
            tenant_share: u8::try_from(share).unwrap_or(100),
            store,
            table,
        }
    }

    fn mib(&mut self, path: &str, value: Option<u64>, range: std::ops::RangeInclusive<u64>, default: u64) -> u64 {
        self.number(path, value, range, default >> 20) << 20
    }

    fn cache_rules(&mut self, path: &str, draft: &CacheRulesDraft, default: &Rules) -> Rules {
        let at = |key: &str| format!("{path}.{key}");
        let ttl = default.ttl.as_secs();
        let pace = self.number(
            &at("replay_tokens_per_s"),
            draft.replay_tokens_per_s,
            0..=100_000,
            default.replay_tokens_per_s.into(),
        );
        Rules {
            chat: self.word(&at("chat"), draft.chat.as_deref(), &Chat::NAMES).unwrap_or(default.chat),
            embeddings: draft.embeddings.unwrap_or(default.embeddings),
            scope: self.scope(&at("scope"), draft.scope.as_deref()).unwrap_or_else(|| default.scope.clone()),
            // A year: what is older was said by a model that nobody uses any more.
            ttl: Duration::from_secs(self.number(&at("ttl_s"), draft.ttl_s, 1..=31_536_000, ttl)),
            replay_tokens_per_s: u32::try_from(pace).unwrap_or(0),
        }
    }

    fn scope(&mut self, path: &str, text: Option<&str>) -> Option<Scope> {
        let scope = match text? {
            "tenant" => Some(Scope::Tenant),
            "house" => Some(Scope::House),
            text => text
                .strip_prefix(GROUP)
                .filter(|group| !group.is_empty() && is_short_name(group))
                .map(|group| Scope::Group(group.to_owned())),
        };
        if scope.is_none() {
            self.problem(path, "must be \"tenant\", \"house\", or \"group:\" and a short name");
        }
        scope
    }

    /// What holds where no policy does.
    pub(super) fn default_policy(&mut self, rules: &CacheRulesDraft) -> Policy {
        Policy { cache: self.cache_rules("cache", rules, &Rules::default()), ..Policy::default() }
    }

    /// The policies; what they do not say of the cache is as it is for all others.
    pub(super) fn policies(&mut self, drafts: &[PolicyDraft], defaults: &Rules, has_table: bool) -> Vec<Arc<Policy>> {
        let mut policies: Vec<Arc<Policy>> = Vec::new();
        for (position, drafted) in drafts.iter().enumerate() {
            let path = format!("policy[{position}]");
            let name = drafted.name.clone().unwrap_or_default();
            if name.is_empty() || !is_short_name(&name) {
                let wanted = format!("give it a name of at most {NAME_CHARS_MAX} letters, digits, '-', '_' and '.'");
                self.problem(format!("{path}.name"), wanted);
            } else if policies.iter().any(|known| known.name == name) {
                self.problem(format!("{path}.name"), format!("another policy is called {name:?}; names must differ"));
            }
            let names_apps = drafted.apps.as_ref().is_some_and(|apps| !apps.is_empty());
            let semantic = drafted.semantic.as_ref();
            let cache = self.cache_rules(&format!("{path}.cache"), &drafted.cache, defaults);
            let is_shared = cache.scope != Scope::Tenant;
            policies.push(Arc::new(Policy {
                name,
                apps: drafted.apps.clone().unwrap_or_default(),
                clients: self.list(&format!("{path}.clients"), drafted.clients.as_deref()),
                models: drafted.models.clone().unwrap_or_default(),
                cache,
                semantic: semantic.and_then(|draft| self.semantic(&path, draft, names_apps, has_table, is_shared)),
            }));
        }
        policies
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Draft, check};
    use super::*;

    #[test]
    fn a_policy_has_what_it_does_not_say_from_the_section() {
        let text = |text: &str| Some(text.to_owned());
        let draft = Draft {
            cache: CacheDraft {
                store: text("memory"),
                copy_every_s: Some(600),
                disk_mib: Some(8),
                rules: CacheRulesDraft { ttl_s: Some(60), chat: text("off"), ..CacheRulesDraft::default() },
                ..CacheDraft::default()
            },
            policies: vec![PolicyDraft {
                name: text("faq"),
                cache: CacheRulesDraft { chat: text("all"), scope: text("group:office"), ..CacheRulesDraft::default() },
                ..PolicyDraft::default()
            }],
            ..Draft::default()
        };
        let config = check(&draft).unwrap();
        assert_eq!(config.cache.store, Store::Memory { copy_every: Duration::from_secs(600) });
        assert_eq!(config.cache.disk_max_bytes, 8 << 20);
        let memory = CacheDraft { store: text("memory"), ..CacheDraft::default() };
        let small = check(&Draft { cache: memory, ..Draft::default() }).unwrap();
        assert_eq!(small.cache.disk_max_bytes, IN_MEMORY_BYTES, "memory is scarcer than disk");
        let (faq, others) = (&config.policies[0], &config.default_policy);
        assert_eq!((others.cache.chat, &others.cache.scope), (Chat::Off, &Scope::Tenant));
        let rules = &faq.cache;
        assert_eq!((rules.chat, rules.ttl.as_secs(), rules.embeddings), (Chat::All, 60, true));
        assert_eq!(rules.scope.of("a"), "group:office");
        assert_eq!(others.cache.scope.of("a"), "tenant:a");
    }

    #[test]
    fn what_is_wrong_is_named_once() {
        let text = |text: &str| Some(text.to_owned());
        let rules = |scope: &str| CacheRulesDraft { scope: text(scope), ..CacheRulesDraft::default() };
        let draft = Draft {
            cache: CacheDraft { tenant_share: Some(0), rules: rules("group:"), ..CacheDraft::default() },
            policies: vec![
                PolicyDraft { name: text("a"), cache: rules("all"), ..PolicyDraft::default() },
                PolicyDraft { name: text("a"), clients: Some(vec!["home".to_owned()]), ..PolicyDraft::default() },
                PolicyDraft::default(),
            ],
            ..Draft::default()
        };
        let problems = check(&draft).unwrap_err();
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        let want = [
            "cache.scope",
            "policy[0].cache.scope",
            "policy[1].name",
            "policy[1].clients[0]",
            "policy[2].name",
            "cache.tenant_share",
        ];
        assert_eq!(paths, want);
    }
}
