//! Semantic caches.

use std::path::PathBuf;

use super::super::{SemanticDraft, TableDraft};
use super::Check;
use crate::cache::TableFiles;
use crate::semantic::{Embeddings, Goal, Settings};

impl Check {
    pub(super) fn table(&mut self, draft: Option<&TableDraft>) -> Option<TableFiles> {
        let draft = draft?;
        if let (Some(vectors), Some(tokenizer)) = (&draft.vectors, &draft.tokenizer) {
            return Some(TableFiles { vectors: PathBuf::from(vectors), tokenizer: PathBuf::from(tokenizer) });
        }
        let wanted = "name both files: vectors (safetensors) and tokenizer (JSON), which were made for each other";
        self.problem("cache.table", wanted);
        None
    }

    /// What a policy at `path` says. Who is meant must be said, since questions of other apps may want an answer each.
    pub(super) fn semantic(
        &mut self,
        path: &str,
        draft: &SemanticDraft,
        names_apps: bool,
        has_table: bool,
        is_shared: bool,
    ) -> Option<Settings> {
        if !names_apps {
            self.problem(
                format!("{path}.apps"),
                "name the apps whose questions may be answered by kept answers to like ones",
            );
        }
        let embeddings = match draft.embeddings.as_deref() {
            Some(Embeddings::TABLE) if !has_table => {
                self.problem(
                    format!("{path}.semantic.embeddings"),
                    "there is no table: name its files in [cache.table]",
                );
                None
            }
            Some(Embeddings::TABLE) => Some(Embeddings::Table),
            Some(name) if !name.is_empty() => Some(Embeddings::Model(name.to_owned())),
            Some(_) | None => {
                let wanted = "name a model for embeddings, or \"table\" for the one of [cache.table]";
                self.problem(format!("{path}.semantic.embeddings"), wanted);
                None
            }
        };
        let judge = draft.judge.clone().filter(|judge| !judge.is_empty());
        if judge.is_none() {
            let wanted = "name a model of the house that compares answers when it has nothing else to do: how often a \
                          kept answer was wrong is measured so";
            self.problem(format!("{path}.semantic.judge"), wanted);
        }
        let goal = self.goal(path, draft, is_shared);
        Some(Settings { embeddings: embeddings?, judge: judge?, goal })
    }

    fn goal(&mut self, path: &str, draft: &SemanticDraft, is_shared: bool) -> Goal {
        let default = Goal::default();
        let mut share = |key: &str, value: Option<f64>, range: std::ops::RangeInclusive<f64>, default: f32| {
            let Some(value) = value else { return default };
            if !range.contains(&value) {
                let wanted = format!("must lie between {} and {}", range.start(), range.end());
                self.problem(format!("{path}.semantic.{key}"), wanted);
                return default;
            }
            #[expect(clippy::cast_possible_truncation, reason = "a share needs no more digits")]
            let value = value as f32;
            value
        };
        Goal {
            error_max: share("error_max", draft.error_max, 0.003..=0.1, default.error_max),
            at_least: share("at_least", draft.at_least, f64::from(default.judge_from)..=1.0, default.at_least),
            judge_from: default.judge_from,
            audited: share("audited", draft.audited, 0.001..=1.0, default.audited),
            judges_open: !is_shared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{CacheDraft, Draft, PolicyDraft, check};
    use super::*;

    fn draft(semantic: SemanticDraft, apps: &[&str], table: Option<TableDraft>) -> Draft {
        Draft {
            cache: CacheDraft { table, ..CacheDraft::default() },
            policies: vec![PolicyDraft {
                name: Some("faq".to_owned()),
                apps: Some(apps.iter().map(|&app| app.to_owned()).collect()),
                semantic: Some(semantic),
                ..PolicyDraft::default()
            }],
            ..Draft::default()
        }
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let table = TableDraft { vectors: text("/a"), tokenizer: text("/b") };
        let said = SemanticDraft { embeddings: text("table"), judge: text("qwen"), ..SemanticDraft::default() };
        let config = check(&draft(said.clone(), &["helpdesk"], Some(table.clone()))).unwrap();
        assert_eq!(config.cache.table.unwrap().tokenizer, PathBuf::from("/b"));
        let found = config.policies[0].rules.semantic.clone().unwrap();
        let want = Settings { embeddings: Embeddings::Table, judge: "qwen".to_owned(), goal: Goal::default() };
        assert_eq!(found, want);
        let other =
            SemanticDraft { embeddings: text("nomic"), audited: Some(0.5), at_least: Some(0.9), ..said.clone() };
        let config = check(&draft(other, &["helpdesk"], None)).unwrap();
        let found = config.policies[0].rules.semantic.clone().unwrap();
        assert_eq!(found.embeddings.name(), "nomic");
        assert_eq!((found.goal.audited, found.goal.at_least), (0.5, 0.9));
        assert!(config.default_policy.semantic.is_none(), "off unless a policy says so");
        let mut shared = draft(said, &["helpdesk"], Some(table));
        shared.policies[0].cache.scope = text("house");
        let config = check(&shared).unwrap();
        assert!(
            !config.policies[0].rules.semantic.as_ref().unwrap().goal.judges_open,
            "a question might speak to the judge"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let said = SemanticDraft {
            embeddings: text("table"),
            error_max: Some(0.0),
            at_least: Some(f64::NAN),
            audited: Some(2.0),
            ..SemanticDraft::default()
        };
        let problems = check(&draft(said, &[], Some(TableDraft { vectors: text("/a"), tokenizer: None }))).unwrap_err();
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        let want = [
            "cache.table",
            "policy[0].apps",
            "policy[0].semantic.embeddings",
            "policy[0].semantic.judge",
            "policy[0].semantic.error_max",
            "policy[0].semantic.at_least",
            "policy[0].semantic.audited",
        ];
        assert_eq!(paths, want);
    }
}
