//! Which entries are thrown away.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(!named(Purge { prefix: Some(String::new()), ..Purge::default() }));
    }
}
