//! Before anybody is called: is an answer kept, or is one being made for somebody else who asks the same?

use std::sync::Arc;

use bytes::Bytes;
use domain::cache::{Entry, HEAD_BYTES_MAX, How, Key, Scope, Status};
use domain::route::sole_model;
use domain::surface::Surface;
use ring::digest::{Context, SHA256};
use wire::exchange::{may_be_kept, whole_of_stream};

use super::answer_error::ServeError;
use super::flight::{Boarded, Passenger};
use super::job::{Job, Live};
use super::listen::{Ear, Listener, fly};
use super::semantic;

/// Changes when the same bytes come to mean something else, or other bytes the same.
const FORM: &[u8] = b"airlane 1";

/// The only version of Anthropic's API that there is; every client sends it.
const ANTHROPIC_VERSION: &[u8] = b"2023-06-01";

/// Largest answer that is kept: a thousand vectors. One that is larger would push out hundreds of others.
const ANSWER_BYTES_MAX: usize = 2 << 20;

/// Longest stream of which a whole answer is made to be kept: frames are mostly not text.
const STREAM_BYTES_MAX: usize = 16 * ANSWER_BYTES_MAX;

/// Where the answer comes from.
pub(super) enum Recalled {
    /// From an upstream, for this request alone.
    Own(Job),
    /// It is kept.
    Kept(Job, Arc<Entry>, How),
    /// From a call that others may share.
    Shared(Listener),
}

/// Under what an answer is kept.
pub(super) struct Keeping {
    pub(super) scope: Arc<str>,
    /// Of all that changes the answer, save the model that answers.
    digest: Context,
}

/// Of everything that changes the answer, save the model that answers, as one digest; `said` is what is asked.
pub(super) fn digest(job: &Job, said: &[u8]) -> Context {
    let mut digest = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        // With its length, so that no two lists of parts are the same bytes.
        digest.update(&(bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    part(FORM);
    part(&job.policy.cache.revision());
    // Where tenants share, their users do as well; otherwise a program's users are different people.
    part(&if job.policy.cache.scope == Scope::Tenant { job.ask.asker() } else { Vec::new() });
    part(job.wishes.namespace.as_deref().unwrap_or_default().as_bytes());
    part(said);
    part(&[u8::from(job.forwarded.beta)]);
    for value in job.forwarded.anthropic_values().filter(|value| *value != ANTHROPIC_VERSION) {
        part(value);
    }
    if !job.entry.wish.bounds.is_open() {
        // Who may go to other places is asked by other policies: what one may not ask for, no other's answer brings.
        part(b"bounds");
        part(&job.entry.wish.bounds.revision());
    }
    part(b"models");
    job.ask.wish.models.iter().for_each(|name| part(name.as_bytes()));
    digest
}

/// The digest of a model's answers.
pub(super) fn of_model(digest: &Context, model: &str) -> [u8; 32] {
    let mut digest = digest.clone();
    digest.update(model.as_bytes());
    let mut bytes = [0; 32];
    // SHA-256 has so many bytes.
    bytes.copy_from_slice(digest.finish().as_ref());
    bytes
}

impl Keeping {
    fn of(job: &Job) -> Self {
        let scope = job.policy.cache.scope.of(&job.entry.client).into();
        Self { scope, digest: digest(job, &job.ask.canonical()) }
    }

    /// The key of an answer by this model.
    pub(super) fn key(&self, model: &str) -> Key {
        Key { scope: self.scope.clone(), digest: of_model(&self.digest, model) }
    }
}

/// Looks for an answer.
///
/// # Errors
/// The client wants a kept answer only, and there is none.
pub(super) async fn recall(mut job: Job) -> Result<Recalled, ServeError> {
    if !job.gateway.cache.is_enabled() {
        return Ok(Recalled::Own(job));
    }
    if let Some(detail) = bypass(&job) {
        job.tells(Status::Bypass { detail });
        return if job.wishes.only_if_cached { Err(not_kept(job)) } else { Ok(Recalled::Own(job)) };
    }
    let keeping = Keeping::of(&job);
    // Without one there is a refusal, which the usual way finds as well.
    let Some(model) = model(&job) else { return Ok(Recalled::Own(job)) };
    let key = keeping.key(&model);
    job.keeping = Some(keeping);
    job.tells(Status::Miss { stored: false });
    if job.wishes.is_wrong {
        job.gateway.cache.remove(&key);
    }
    if let Some(entry) = job.gateway.cache.look(&key).await {
        if job.wishes.accepts(&entry, job.gateway.clock.unix_ms()) {
            return Ok(Recalled::Kept(job, entry, How::Exact));
        }
        job.tells(Status::Refused { stored: false });
    }
    let found = match semantic::finding(&mut job, &model) {
        Some(finding) => finding.await,
        None => None,
    };
    if let Some((entry, how)) = found {
        return Ok(Recalled::Kept(job, entry, how));
    }
    if job.wishes.only_if_cached {
        return Err(not_kept(job));
    }
    Ok(board(job, &key))
}

fn not_kept(mut job: Job) -> ServeError {
    let error = ServeError::NotKept;
    job.settlement.fail(error.kind());
    error
}

/// Shares the call of somebody who asks the same, or makes one that others may share.
fn board(mut job: Job, key: &Key) -> Recalled {
    let gateway = job.gateway.clone();
    let now_ms = gateway.clock.unix_ms();
    let kept = || gateway.cache.front(key).filter(|entry| job.wishes.accepts(entry, now_ms));
    // A tape of OpenAI's Responses surface cannot be given to whoever wants the answer in the other form.
    let joins = !job.wishes.no_cache && job.ask.near != Surface::OpenaiResponses;
    let mut ear = Ear::of(&job);
    let purges = gateway.cache.purges();
    match gateway.flights.board(key, Passenger { lane: job.entry.lane, waits: &job.waits, purges, joins }, kept) {
        Boarded::Kept(entry) => Recalled::Kept(job, entry, How::Exact),
        Boarded::Joined(reader) => {
            job.tells(Status::Collapsed);
            ear.cache = job.cache;
            Recalled::Shared(Listener::new(ear, reader, Some(job)))
        }
        Boarded::First(reader, recorder) => {
            if matches!(job.cache, Some(Status::Collapsed)) {
                // The call that it shared has failed: this one is its own.
                job.tells(Status::Miss { stored: false });
                ear.cache = job.cache;
            }
            job.purges = purges;
            job.tape = Some(recorder);
            fly(job);
            Recalled::Shared(Listener::new(ear, reader, None))
        }
    }
}

/// Once more, after a shared call has failed or a kept answer was none.
pub(super) fn again(job: Job) -> Recalled {
    match model(&job).zip(job.keeping.as_ref()).map(|(model, keeping)| keeping.key(&model)) {
        Some(key) => board(job, &key),
        None => Recalled::Own(job),
    }
}

/// Why nothing is kept of such a request, nor a kept answer served.
fn bypass(job: &Job) -> Option<&'static str> {
    if job.forwarded.hops > 0 {
        // Its clients are not known here; it keeps answers itself.
        return Some("asked by another airlane");
    }
    if job.ask.load().is_some() {
        return Some("loads a model");
    }
    if job.mock_fallbacks {
        return Some("mock_testing_fallbacks");
    }
    job.wishes.bypass(&job.policy.cache, job.ask.near.task(), job.ask.is_deterministic())
}

/// The model that will answer: the only one that can, or else the one that would be chosen now.
fn model(job: &Job) -> Option<String> {
    let snapshot = &job.snapshot;
    let sole = sole_model(job.ask.near, &job.entry.wish, &snapshot.config, &snapshot.catalogue);
    sole.map_or_else(|| job.choose().ok().map(|leg| leg.target.model.clone()), |sole| Some(sole.model.clone()))
}

impl Job {
    /// Notes how the request met the kept answers, for its client and the log.
    pub(super) fn tells(&mut self, status: Status) {
        self.settlement.cache = Some(status.name());
        self.cache = Some(status);
    }

    /// Keeps a shared call's answer, if it may be kept; tells whether it did. The answer belongs to the model that made it,
    /// whichever was expected to.
    pub(super) fn keep(&self, live: &Live, is_stream: bool, said: &[Bytes]) -> bool {
        let Some(keeping) = &self.keeping else { return false };
        let (leg, ttl) = (live.leg(), self.wishes.ttl(&self.policy.cache));
        let bytes: usize = said.iter().map(Bytes::len).sum();
        let is_large = bytes > if is_stream { STREAM_BYTES_MAX } else { ANSWER_BYTES_MAX };
        // What was asked before a purge may be what was purged.
        if is_large || ttl.is_zero() || self.gateway.cache.purges() != self.purges {
            return false;
        }
        let body = if is_stream {
            whole_of_stream(leg.far, said).filter(|whole| whole.may_be_kept).map(|whole| whole.body)
        } else {
            said.first().filter(|body| may_be_kept(leg.far, body)).cloned()
        };
        let Some(body) = body.filter(|body| body.len() <= ANSWER_BYTES_MAX) else { return false };
        let entry = Entry {
            surface: leg.far,
            // A copy: what came from the network is a piece of a buffer that is larger.
            body: Bytes::copy_from_slice(&body),
            target: leg.target.clone(),
            model: self.ask.model().into(),
            tenant: self.entry.client.clone(),
            head: self.ask.head(HEAD_BYTES_MAX).into(),
            kept_ms: self.gateway.clock.unix_ms(),
            ttl,
        };
        let (key, entry) = (keeping.key(&leg.target.model), Arc::new(entry));
        let is_kept = self.gateway.cache.keep(key.clone(), entry.clone(), self.purges);
        if is_kept {
            semantic::keep(self, key, entry);
        }
        is_kept
    }
}
