//! What a client says about kept answers.

use std::time::Duration;

use super::{Chat, Entry, Rules};
use crate::surface::Task;

/// The wishes of one request: `Cache-Control` (RFC 9111 section 5.2.1) and LiteLLM's `cache` member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// Nothing of it is kept, and nothing kept is served.
    pub no_store: bool,
    /// No kept answer is served.
    pub no_cache: bool,
    /// No answer is wanted that would have to be made.
    pub only_if_cached: bool,
    /// A kept answer is not to be older.
    pub max_age: Option<Duration>,
    /// A kept answer is to be fresh for so long.
    pub min_fresh: Option<Duration>,
    /// How long the answer to this request may be kept, where that is shorter than the policy's.
    pub ttl: Option<Duration>,
    /// The client wants this answer kept, although it may differ each time (LiteLLM's `use-cache`).
    pub is_wanted: bool,
    /// The kept answer that was given is wrong: it is thrown away, and another one made.
    pub is_wrong: bool,
    /// Kept answers are for requests that name the same.
    pub namespace: Option<String>,
}

impl Directives {
    /// Why the answer to such a request is not kept, and no kept one served; nothing where they are.
    #[must_use]
    pub fn bypass(&self, rules: &Rules, task: Task, is_deterministic: bool) -> Option<&'static str> {
        if self.no_store {
            return Some("no-store");
        }
        match (task, rules.chat) {
            (Task::TokenCount, _) => Some("a count"),
            (Task::Embedding, _) => (!rules.embeddings).then_some("off for embeddings"),
            (Task::Chat | Task::Completion, Chat::Off) => Some("off for chats"),
            (Task::Chat | Task::Completion, Chat::Deterministic) if !is_deterministic && !self.is_wanted => {
                Some("neither temperature 0 nor a seed")
            }
            (Task::Chat | Task::Completion, Chat::Deterministic | Chat::All) => None,
        }
    }

    /// Whether the client takes this kept answer.
    #[must_use]
    pub fn accepts(&self, entry: &Entry, now_ms: u64) -> bool {
        let fresh = entry.fresh_for(now_ms);
        !self.no_cache
            && !fresh.is_zero()
            && self.max_age.is_none_or(|age| entry.age(now_ms) <= age)
            && self.min_fresh.is_none_or(|wanted| fresh >= wanted)
    }

    /// How long the answer is kept.
    #[must_use]
    pub fn ttl(&self, rules: &Rules) -> Duration {
        self.ttl.map_or(rules.ttl, |ttl| ttl.min(rules.ttl))
    }

    /// Takes our own header `x-airlane-cache`, which knows one word.
    pub fn read_own_header(&mut self, header: &str) {
        if header.trim().eq_ignore_ascii_case("wrong") {
            (self.is_wrong, self.no_cache) = (true, true);
        }
    }

    /// Takes a `Cache-Control` header. What is not understood is passed over, as the RFC wants it.
    pub fn read_header(&mut self, header: &str) {
        for directive in header.split(',').map(str::trim) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let seconds = || value.trim_matches('"').parse().ok().map(Duration::from_secs);
            if name.eq_ignore_ascii_case("no-store") {
                self.no_store = true;
            } else if name.eq_ignore_ascii_case("no-cache") {
                self.no_cache = true;
            } else if name.eq_ignore_ascii_case("only-if-cached") {
                self.only_if_cached = true;
            } else if name.eq_ignore_ascii_case("max-age") {
                self.max_age = seconds().or(self.max_age);
            } else if name.eq_ignore_ascii_case("min-fresh") {
                self.min_fresh = seconds().or(self.min_fresh);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    fn read(header: &str) -> Directives {
        let mut directives = Directives::default();
        directives.read_header(header);
        directives
    }

    #[test]
    fn headers_are_read() {
        let second = |seconds| Some(Duration::from_secs(seconds));
        for (header, want) in [
            ("", Directives::default()),
            ("no-store", Directives { no_store: true, ..Directives::default() }),
            ("No-Cache, max-age=60", Directives { no_cache: true, max_age: second(60), ..Directives::default() }),
            (
                "only-if-cached,min-fresh=\"5\"",
                Directives { only_if_cached: true, min_fresh: second(5), ..Directives::default() },
            ),
            ("max-age=soon, immutable, ,=", Directives::default()),
        ] {
            assert_eq!(read(header), want, "{header}");
        }
    }

    #[test]
    fn a_wrong_answer_is_told() {
        for (header, want) in [("wrong", true), (" Wrong ", true), ("right", false), ("", false)] {
            let mut directives = Directives::default();
            directives.read_own_header(header);
            assert_eq!((directives.is_wrong, directives.no_cache), (want, want), "{header}");
        }
    }

    #[test]
    fn what_is_kept() {
        let rules = |chat, embeddings| Rules { chat, embeddings, ..Rules::default() };
        let (none, wanted) = (Directives::default(), Directives { is_wanted: true, ..Directives::default() });
        for (directives, rules, task, is_deterministic, want) in [
            (&none, rules(Chat::Deterministic, true), Task::Chat, true, true),
            (&none, rules(Chat::Deterministic, true), Task::Chat, false, false),
            (&wanted, rules(Chat::Deterministic, true), Task::Completion, false, true),
            (&wanted, rules(Chat::Off, true), Task::Chat, true, false),
            (&none, rules(Chat::All, true), Task::Chat, false, true),
            (&none, rules(Chat::Off, true), Task::Embedding, false, true),
            (&none, rules(Chat::All, false), Task::Embedding, true, false),
            (&none, rules(Chat::All, true), Task::TokenCount, true, false),
            (&read("no-store"), rules(Chat::All, true), Task::Chat, true, false),
            (&read("no-cache"), rules(Chat::All, true), Task::Chat, true, true),
        ] {
            let is_kept = directives.bypass(&rules, task, is_deterministic).is_none();
            assert_eq!(is_kept, want, "{directives:?} {rules:?} {task:?}");
        }
    }

    #[test]
    fn what_is_accepted() {
        // 40 s old, fresh for 20 s.
        let entry = entry(1_000_000, 60);
        for (header, want) in [
            ("", true),
            ("no-cache", false),
            ("max-age=40", true),
            ("max-age=39", false),
            ("min-fresh=20", true),
            ("min-fresh=21", false),
        ] {
            assert_eq!(read(header).accepts(&entry, 1_040_000), want, "{header}");
        }
        assert!(!read("").accepts(&entry, 1_060_000));
    }

    #[test]
    fn a_client_only_shortens_the_time() {
        let rules = Rules::default();
        for (ttl, want) in [(None, 86_400), (Some(60), 60), (Some(1_000_000), 86_400)] {
            let directives = Directives { ttl: ttl.map(Duration::from_secs), ..Directives::default() };
            assert_eq!(directives.ttl(&rules).as_secs(), want);
        }
    }
}
