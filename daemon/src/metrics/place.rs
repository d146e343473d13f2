//! The counters of one place, found once and kept: looking each one up by its labels takes longer than counting.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use super::{Ended, Families, Outcome, Place, TokenKind};

/// The counters of all places, by upstream and model.
#[derive(Default)]
pub(super) struct Places {
    known: RwLock<HashMap<String, HashMap<String, Arc<Counters>>>>,
}

/// Those of one place. Each is registered when it is first needed, so that none shows a zero for what never was.
struct Counters {
    labels: Place,
    /// By surface and outcome: a handful.
    requests: RwLock<Vec<(&'static str, &'static str, Counter)>>,
    duration: OnceLock<Histogram>,
    first_token: OnceLock<Histogram>,
    between_tokens: OnceLock<Histogram>,
    tokens: [OnceLock<Counter>; 5],
}

impl Places {
    /// Counts a request that has ended.
    pub(super) fn ended(&self, families: &Families, ended: &Ended<'_>) {
        let counters = self.of(ended.upstream, ended.model);
        counters.request(families, ended.surface, ended.outcome).inc();
        if ended.upstream.is_empty() {
            return;
        }
        let labels = &counters.labels;
        let duration = || families.duration.get_or_create(labels).clone();
        counters.duration.get_or_init(duration).observe(ended.total.as_secs_f64());
        if let Some(first) = ended.first_token {
            let first_token = || families.first_token.get_or_create(labels).clone();
            counters.first_token.get_or_init(first_token).observe(first.as_secs_f64());
        }
        if let Some(between) = ended.between_tokens {
            let between_tokens = || families.between_tokens.get_or_create(labels).clone();
            counters.between_tokens.get_or_init(between_tokens).observe(between.as_secs_f64());
        }
        let usage = &ended.usage;
        let kinds = [
            ("input", usage.input),
            ("output", usage.output),
            ("cached_read", usage.cached_read),
            ("cache_write", usage.cache_write),
            ("reasoning", usage.reasoning),
        ];
        for ((kind, count), counter) in kinds.into_iter().zip(&counters.tokens) {
            let Some(count) = count.filter(|count| *count > 0) else { continue };
            let labels = || TokenKind { upstream: labels.upstream.clone(), model: labels.model.clone(), kind };
            counter.get_or_init(|| families.tokens.get_or_create(&labels()).clone()).inc_by(count);
        }
    }

    fn of(&self, upstream: &str, model: &str) -> Arc<Counters> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = known.get(upstream).and_then(|models| models.get(model)) {
            return counters.clone();
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let models = known.entry(upstream.to_owned()).or_default();
        models.entry(model.to_owned()).or_insert_with(|| Arc::new(Counters::new(upstream, model))).clone()
    }
}

impl Counters {
    fn new(upstream: &str, model: &str) -> Self {
        Self {
            labels: Place { upstream: upstream.to_owned(), model: model.to_owned() },
            requests: RwLock::default(),
            duration: OnceLock::new(),
            first_token: OnceLock::new(),
            between_tokens: OnceLock::new(),
            tokens: Default::default(),
        }
    }

    fn request(&self, families: &Families, surface: &'static str, outcome: &'static str) -> Counter {
        let known = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., counter)) = known.iter().find(|(s, o, _)| (*s, *o) == (surface, outcome)) {
            return counter.clone();
        }
        drop(known);
        let Place { upstream, model } = self.labels.clone();
        let counter = families.requests.get_or_create(&Outcome { surface, upstream, model, outcome }).clone();
        let mut known = self.requests.write().unwrap_or_else(PoisonError::into_inner);
        known.push((surface, outcome, counter.clone()));
        counter
    }
}
