//! Which entries are thrown away.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Entry, HEAD_BYTES_MAX, Key};

/// Names entries: every condition that is given must hold. Without any, nothing is named: everything is named by `all`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Purge {
    /// Every entry.
    pub all: bool,
    /// Of this tenant, as `airlane cache stats` names it.
    pub tenant: Option<String>,
    /// Asked for under this name, or answered by this model.
    pub model: Option<String>,
    /// Kept longer ago than this, in seconds.
    pub older_than_s: Option<u64>,
    /// Whose conversation begins so.
    pub prefix: Option<String>,
    /// Whose name (of 64 hexadecimal digits) begins so.
    pub entry: Option<String>,
}

/// Fewest digits of an entry's name: with less, a slip of the finger names a sixteenth of all.
const DIGITS_MIN: usize = 8;

impl Purge {
    /// Whether it names anything, and can be carried out.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        let named = [self.tenant.is_some(), self.model.is_some(), self.prefix.is_some(), self.entry.is_some()];
        let is_named = named.contains(&true) || self.older_than_s.is_some();
        if self.all == is_named {
            return Err("name what shall go: a tenant, a model, an age, a prefix or an entry, or else all".to_owned());
        }
        if let Some(entry) = &self.entry {
            let is_hex = entry.bytes().all(|digit| digit.is_ascii_hexdigit());
            if !is_hex || !(DIGITS_MIN..=64).contains(&entry.len()) {
                return Err(format!("an entry is named by {DIGITS_MIN} to 64 hexadecimal digits"));
            }
        }
        if self.prefix.as_ref().is_some_and(|prefix| prefix.len() > HEAD_BYTES_MAX) {
            return Err(format!(
                "of a conversation's beginning, {HEAD_BYTES_MAX} bytes are known; give a shorter prefix"
            ));
        }
        if self.prefix.as_ref().is_some_and(String::is_empty) {
            return Err("the prefix is empty: everything begins so".to_owned());
        }
        Ok(())
    }

    /// The age above which entries are named.
    #[must_use]
    pub fn older_than(&self) -> Option<Duration> {
        self.older_than_s.map(Duration::from_secs)
    }

    /// Whether it names this entry.
    #[must_use]
    pub fn names(&self, key: &Key, entry: &Entry, now_ms: u64) -> bool {
        let is_model = |model: &String| **model == *entry.model || **model == *entry.target.model;
        let is_entry = |name: &String| key.name().starts_with(&name.to_ascii_lowercase());
        self.tenant.as_ref().is_none_or(|tenant| **tenant == *entry.tenant)
            && self.model.as_ref().is_none_or(is_model)
            && self.older_than().is_none_or(|age| entry.age(now_ms) > age)
            && self.prefix.as_ref().is_none_or(|prefix| entry.head.starts_with(&**prefix))
            && self.entry.as_ref().is_none_or(is_entry)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::catalogue::Target;
    use crate::surface::Surface;

    #[test]
    fn what_names_nothing_is_refused() {
        let named = |purge: Purge| purge.check().is_ok();
        assert!(!named(Purge::default()));
        assert!(named(Purge { all: true, ..Purge::default() }));
        assert!(named(Purge { older_than_s: Some(0), ..Purge::default() }));
        assert!(named(Purge { model: Some("m".into()), tenant: Some("t".into()), ..Purge::default() }));
        assert!(!named(Purge { all: true, model: Some("m".into()), ..Purge::default() }));
        for (entry, want) in [("abcd", false), ("abcdef01", true), ("abcdefg1", false), (&*"a".repeat(65), false)] {
            assert_eq!(named(Purge { entry: Some(entry.into()), ..Purge::default() }), want, "{entry}");
        }
        for (prefix, want) in [("", false), (&*"p".repeat(200), true), (&*"p".repeat(201), false)] {
            assert_eq!(named(Purge { prefix: Some(prefix.to_owned()), ..Purge::default() }), want, "{prefix}");
        }
    }

    #[test]
    fn an_entry_is_named_by_all_conditions_together() {
        let key = Key { scope: "house".into(), digest: [0xa7; 32] };
        let entry = Entry {
            surface: Surface::OpenaiChat,
            body: Bytes::new(),
            target: Target::new("box", "qwen:7b"),
            model: "fast".into(),
            tenant: "10.0.0.7".into(),
            head: "Dear Sir".into(),
            kept_ms: 1_000,
            ttl: Duration::from_secs(60),
        };
        let text = |text: &str| Some(text.to_owned());
        let none = Purge::default;
        for (purge, want) in [
            (Purge { all: true, ..none() }, true),
            (Purge { tenant: text("10.0.0.7"), ..none() }, true),
            (Purge { tenant: text("10.0.0.70"), ..none() }, false),
            (Purge { model: text("fast"), ..none() }, true),
            (Purge { model: text("qwen:7b"), ..none() }, true),
            (Purge { model: text("qwen"), ..none() }, false),
            (Purge { older_than_s: Some(4), ..none() }, true),
            (Purge { older_than_s: Some(5), ..none() }, false),
            (Purge { prefix: text("Dear"), ..none() }, true),
            (Purge { prefix: text("dear"), ..none() }, false),
            (Purge { entry: text("A7a7a7a7"), ..none() }, true),
            (Purge { entry: text("a7a7a7a8"), ..none() }, false),
            (Purge { tenant: text("10.0.0.7"), model: text("slow"), ..none() }, false),
        ] {
            assert_eq!(purge.names(&key, &entry, 6_000), want, "{purge:?}");
        }
    }
}
