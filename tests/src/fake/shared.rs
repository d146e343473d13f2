//! What the fake's connections and the test both see.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::http::Incoming;
use super::script::Script;

/// One request that the fake got.
#[derive(Debug, Clone)]
pub struct Record {
    /// The request itself.
    pub request: Incoming,
    /// When its last byte came.
    pub at: Instant,
    /// Number of the connection that carried it.
    pub connection: usize,
    /// Tokens sent so far.
    pub tokens_sent: usize,
    /// Whether the answer went out whole.
    pub finished: bool,
    /// When the other side closed before the answer was out.
    pub closed_at: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) records: Vec<Record>,
    pub(super) models: Vec<String>,
    pub(super) about: Option<Script>,
    /// Answers to questions about the server, by path.
    pub(super) pages: HashMap<String, (u16, String)>,
    pub(super) default: Script,
    pub(super) by_model: HashMap<String, Script>,
    pub(super) next: VecDeque<Script>,
}

/// State with a way to wait for its changes.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    pub(super) gate: tokio::sync::Semaphore,
}

impl Shared {
    pub(super) fn new(models: Vec<String>) -> Self {
        let state = State { models, ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new(), gate: tokio::sync::Semaphore::new(0) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn record(&self, request: Incoming, connection: usize) -> usize {
        let mut state = self.lock();
        state.records.push(Record {
            request,
            at: Instant::now(),
            connection,
            tokens_sent: 0,
            finished: false,
            closed_at: None,
        });
        self.changed.notify_all();
        state.records.len() - 1
    }

    pub(super) fn update(&self, id: usize, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.lock().records.get_mut(id) {
            change(record);
        }
        self.changed.notify_all();
    }

    pub(super) fn token_sent(&self, id: usize) {
        self.update(id, |record| record.tokens_sent += 1);
    }

    /// Waits until `ready` gives something.
    pub(super) fn wait<T>(&self, bound: Duration, mut ready: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + bound;
        let mut state = self.lock();
        loop {
            if let Some(found) = ready(&state) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// The script for questions about the server, and its models.
    pub(super) fn about(&self) -> (Option<Script>, Vec<String>) {
        let state = self.lock();
        (state.about.clone(), state.models.clone())
    }

    /// What the test wants to be told on this path.
    pub(super) fn page(&self, path: &str) -> Option<(u16, String)> {
        self.lock().pages.get(path).cloned()
    }

    /// The script for a generating request: one-shot ones first, then by model, then the default.
    pub(super) fn script_for(&self, model: &str) -> Script {
        let mut state = self.lock();
        if let Some(script) = state.next.pop_front() {
            return script;
        }
        state.by_model.get(model).unwrap_or(&state.default).clone()
    }
}
