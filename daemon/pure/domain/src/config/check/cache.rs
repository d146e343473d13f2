//! The cache.

use super::super::{CacheDraft, CacheRulesDraft};
use super::{Check, is_short_name};
use crate::cache::{Chat, Rules, Scope, Settings, Store, TableFiles};
use crate::policy::{CacheRules, Effective};

/// What a database in memory may take unless the config says so: routers have little.
pub(super) const IN_MEMORY_BYTES: u64 = 32 << 20;
/// How a scope that is shared by a group is written.
const GROUP: &str = "group:";

impl Check {
    pub(super) fn cache(&mut self, draft: &CacheDraft, table: Option<TableFiles>) -> Settings {
        let default = Settings::default();
        let store = self.store("cache", draft.store.as_deref(), draft.copy_every_s);
        let disk_bytes = if store == Store::Disk { default.disk_max_bytes } else { IN_MEMORY_BYTES };
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

    /// Where the database of a section is.
    pub(super) fn store(&mut self, section: &str, store: Option<&str>, copy_every_s: Option<u64>) -> Store {
        let in_memory = self.word(&format!("{section}.store"), store, &[("disk", false), ("memory", true)]);
        let copy_every = self.seconds(&format!("{section}.copy_every_s"), copy_every_s, 60..=604_800, 3_600);
        if in_memory == Some(true) { Store::Memory { copy_every } } else { Store::Disk }
    }

    pub(super) fn mib(
        &mut self,
        path: &str,
        value: Option<u64>,
        range: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        self.number(path, value, range, default >> 20) << 20
    }

    pub(super) fn cache_rules(&mut self, path: &str, draft: &CacheRulesDraft) -> CacheRules {
        let at = |key: &str| format!("{path}.{key}");
        let pace = draft.replay_tokens_per_s;
        let pace = pace.map(|pace| self.number(&at("replay_tokens_per_s"), Some(pace), 0..=100_000, 0));
        CacheRules {
            chat: self.word(&at("chat"), draft.chat.as_deref(), &Chat::NAMES),
            embeddings: draft.embeddings,
            scope: self.scope(&at("scope"), draft.scope.as_deref()),
            // A year: what is older was said by a model that nobody uses any more.
            ttl: draft.ttl_s.map(|ttl| self.seconds(&at("ttl_s"), Some(ttl), 1..=31_536_000, 1)),
            replay_tokens_per_s: pace.and_then(|pace| u32::try_from(pace).ok()),
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
    pub(super) fn default_policy(&mut self, rules: &CacheRulesDraft) -> Effective {
        Effective::of_default(self.cache_rules("cache", rules).or(&Rules::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Draft, PolicyDraft, check};
    use super::*;
    use crate::policy::Asks;
    use std::time::Duration;

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
        let (faq, others) =
            (config.policy(&Asks::default(), |name, why| panic!("{name}: {why}")), &config.default_policy);
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
