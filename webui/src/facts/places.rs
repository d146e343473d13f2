//! How the places that answer do.

use domain::gpu::Gpus;
use domain::health::{Standing, State};
use serde::{Deserialize, Serialize};

use crate::texts;

/// All places at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Places {
    /// Requests that are being answered.
    pub running: u64,
    /// Requests in the queue.
    pub waiting: u64,
    /// The upstreams in the order of the config.
    pub upstreams: Vec<SiteRow>,
}

/// One upstream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SiteRow {
    /// Its name in the config.
    pub name: String,
    /// What it speaks.
    pub kind: String,
    /// It stands in the house.
    pub local: bool,
    /// How it does; where only models of it do not do well, the worst of these.
    pub health: HealthRow,
    /// The program that it is, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// How busy its GPUs are with the work of others.
    pub pressure_percent: u8,
    /// It slows its GPUs down because of their heat.
    #[serde(default)]
    pub throttled: bool,
    /// The cards of its machine, as the exporter tells them that the config names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Gpus>,
    /// Its models, by name.
    pub models: Vec<PlaceRow>,
}

/// One model at one upstream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlaceRow {
    /// Its name there.
    pub model: String,
    /// How it does.
    pub health: HealthRow,
    /// Requests that it answers at once, where somebody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Requests that it works on for Airlane.
    pub running: u64,
    /// Requests of others that it works on, as far as it tells.
    #[serde(default)]
    pub others_running: u64,
    /// Requests of others that wait inside it.
    #[serde(default)]
    pub others_waiting: u64,
    /// How much of its key-value cache its requests hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_used_percent: Option<u8>,
    /// Requests that wait for it.
    pub waiting: u64,
    /// Predicted work of those that wait for it.
    pub waiting_s: f64,
    /// Requests that it was given so far.
    pub served: u64,
    /// Prompt tokens read a second, once measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefill_tokens_per_s: Option<f64>,
    /// Tokens generated a second, once measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode_tokens_per_s: Option<f64>,
    /// Whether it is in memory, where somebody tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident: Option<bool>,
    /// How much of it lies in the machine's memory instead of the card's, where somebody tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_cpu_percent: Option<u8>,
    /// For how long it has been seen being loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loading_s: Option<u64>,
}

/// How a place does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRow {
    /// In a word.
    pub state: State,
    /// In the words of its last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// When it is tried again, if it is left alone; 0 is with the next request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_in_s: Option<u64>,
    /// It sleeps, and is awake in about this time once it is woken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wakes_in_s: Option<u64>,
    /// The only model that does not do well, if it is not the whole upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// It goes on with work whose client has left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignores_cancel: bool,
}

impl HealthRow {
    /// The same, to be kept and sent.
    #[must_use]
    pub fn of(standing: &Standing<'_>) -> Self {
        let owned = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let up = |span: std::time::Duration| span.as_secs() + u64::from(span.subsec_nanos() > 0);
        Self {
            state: standing.state,
            cause: owned(standing.cause),
            trial_in_s: standing.trial_in.map(up),
            wakes_in_s: standing.wakes_in.map(up),
            model: standing.model.and_then(owned),
            ignores_cancel: standing.ignores_cancel,
        }
    }

    /// The state in a word for people.
    #[must_use]
    pub fn word(&self) -> String {
        texts::health_word(self.state)
    }

    /// What there is to say about a place that does not do well, with the place as its subject.
    #[must_use]
    pub fn clause(&self) -> Option<String> {
        (!self.state.is_well()).then(|| texts::health(self))
    }

    /// The word and what there is to say about it.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let ill = self.clause().map(|clause| format!("{}: {clause}", self.word()));
        match (ill, self.ignores_cancel) {
            (ill, false) => ill,
            (None, true) => Some(format!("{}, but {}", self.word(), texts::IGNORES_CANCEL)),
            (Some(ill), true) => Some(format!("{ill}; {}", texts::IGNORES_CANCEL)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_say_what_when_and_where() {
        let row = |state, cause: &str, trial_in_s, model: Option<&str>| HealthRow {
            state,
            cause: Some(cause.to_owned()).filter(|cause| !cause.is_empty()),
            trial_in_s,
            wakes_in_s: None,
            model: model.map(str::to_owned),
            ignores_cancel: false,
        };
        let stubborn = |row: HealthRow| HealthRow { ignores_cancel: true, ..row };
        for (row, want) in [
            (row(State::Healthy, "", None, None), None),
            (row(State::Unknown, "", None, None), None),
            (row(State::Busy, "", Some(1), None), Some("busy: has no room at the moment; tried again in 1 s")),
            (
                row(State::RateLimited, "slow down", Some(0), Some("m")),
                Some(
                    "rate limited: its model m wants to be left alone for a while (slow down); tried again with the next request",
                ),
            ),
            (row(State::Degraded, "boom", None, None), Some("degraded: fails too often (boom)")),
            (
                HealthRow { wakes_in_s: Some(20), ..row(State::Sleeping, "no answer", None, None) },
                Some("sleeping: sleeps, and is woken when a request needs it (no answer); awake about 20 s later"),
            ),
            (
                stubborn(row(State::Healthy, "", None, None)),
                Some("healthy, but does not stop cancelled work: its slots stay taken until that ends"),
            ),
            (
                stubborn(row(State::Busy, "", None, None)),
                Some(
                    "busy: has no room at the moment; does not stop cancelled work: its slots stay taken until that ends",
                ),
            ),
        ] {
            assert_eq!(row.sentence().as_deref(), want);
        }
    }
}
