//! The words for how a place does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a place does, the worst last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has asked it yet.
    #[default]
    Unknown,
    /// It answers.
    Healthy,
    /// It answers that it has no room.
    Busy,
    /// It loads a model.
    Warming,
    /// Its machine sleeps, and is woken when a request needs it.
    Sleeping,
    /// It answers, but fails too often.
    Degraded,
    /// It wants to be left alone for a while. This is not held against it.
    RateLimited,
    /// It refuses our key: the owner must act.
    Misconfigured,
    /// It does not answer.
    Offline,
}

impl State {
    /// All states, in their order.
    pub const ALL: [Self; 9] = [
        Self::Unknown,
        Self::Healthy,
        Self::Busy,
        Self::Warming,
        Self::Sleeping,
        Self::Degraded,
        Self::RateLimited,
        Self::Misconfigured,
        Self::Offline,
    ];

    /// A word for metrics, headers and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Busy => "busy",
            Self::Warming => "warming",
            Self::Sleeping => "sleeping",
            Self::Degraded => "degraded",
            Self::RateLimited => "rate_limited",
            Self::Misconfigured => "misconfigured",
            Self::Offline => "offline",
        }
    }

    /// What the word means, as a clause for people that has the place as its subject.
    #[must_use]
    pub const fn clause(self) -> &'static str {
        match self {
            Self::Unknown => "has not been asked for an answer yet",
            Self::Healthy => "answers",
            Self::Busy => "has no room at the moment",
            Self::Warming => "loads a model",
            Self::Sleeping => "sleeps, and is woken when a request needs it",
            Self::Degraded => "fails too often",
            Self::RateLimited => "wants to be left alone for a while",
            Self::Misconfigured => "refuses the key that the config has for it",
            Self::Offline => "cannot be reached",
        }
    }

    /// Nothing is wrong, as far as anybody knows.
    #[must_use]
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Unknown | Self::Healthy)
    }
}

/// How a place does, with everything that there is to say about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing<'a> {
    /// In a word.
    pub state: State,
    /// In the words of the last failure; empty if it does well.
    pub cause: &'a str,
    /// When it is tried again; `None` if nothing holds it.
    pub trial_in: Option<Duration>,
    /// It sleeps, and is awake in about this time once it is woken.
    pub wakes_in: Option<Duration>,
    /// The only model that does not do well, if it is not all of them.
    pub model: Option<&'a str>,
    /// It goes on with work whose client has left.
    pub ignores_cancel: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};

    #[test]
    fn the_words_are_one_in_json_and_metrics() {
        for state in State::ALL {
            let name: StrDeserializer<'_, Error> = state.name().into_deserializer();
            assert_eq!(State::deserialize(name), Ok(state));
            assert!(!state.clause().is_empty() && !state.clause().ends_with('.'));
        }
        assert!(State::ALL.is_sorted());
    }
}
