//! Whether a kept answer would have done: judged afterwards, by a model of the house that has nothing else to do.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::cache::{Directives, Entry};
use domain::lane::Lane;
use domain::policy::Effective;
use domain::semantic::{Asked, Vector};
use domain::surface::Surface;
use tokio::sync::Semaphore;
use wire::exchange::{Told, ask_judge, read_judge, said};

use super::Gateway;
use super::errand::{Errand, answered};
use super::job::Job;
use super::semantic::Near;
use super::vectors::Vectors;
use crate::cache::{Judged, Place};

/// Judgements that may wait for an idle model; further ones are given up.
const WAITING_MAX: usize = 64;

/// Longest wait for a model that is idle.
const IDLE_WAIT: Duration = Duration::from_secs(1_800);

/// Time between two looks whether it is.
const IDLE_LOOK: Duration = Duration::from_millis(500);

/// Longest judgement.
const PATIENCE: Duration = Duration::from_secs(120);

/// All judgements of the house: one at a time, so that they take one place at most.
pub(crate) struct Judges {
    turn: Semaphore,
    waiting: AtomicUsize,
    pub(super) vectors: Arc<Vectors>,
}

impl Default for Judges {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), waiting: AtomicUsize::new(0), vectors: Arc::default() }
    }
}

/// What is judged.
pub(super) struct Case {
    pub(super) place: Place,
    /// The kept question, whose answer was not given.
    pub(super) near: Near,
    /// What was asked, and the key of its own answer.
    pub(super) asked: Asked,
    pub(super) vector: Vector,
    pub(super) fresh: Arc<Entry>,
}

/// Judges in the background; then the question leads to the answer that was kept before, if that is as good, or to its own.
pub(super) fn judge(job: &Job, case: Case) {
    let (gateway, policy) = (job.gateway.clone(), job.policy.clone());
    let request_id: Rc<str> = format!("{}.judge", job.request_id).into();
    let errand = Errand {
        identity: job.identity.clone(),
        policy: policy.for_errands().into(),
        lane: Lane::Bulk,
        request_id,
        patience: PATIENCE,
        wishes: Directives { no_store: true, ..Directives::default() },
        provider: job.entry.wish.provider.clone(),
        stays_in_house: true,
    };
    actix_web::rt::spawn(async move {
        let key = &case.near.found.asked.key;
        let purges = gateway.cache.purges();
        let Some(kept) = gateway.cache.look(key).await else { return stands_alone(&gateway, case) };
        let judged = judged(&gateway, &policy, &errand, &case, &kept).await;
        // What was purged is not learned from.
        if gateway.cache.purges() != purges {
            return;
        }
        // Nor what is another answer meanwhile.
        match gateway.cache.look(key).await {
            Some(now) if now.body == kept.body => conclude(&gateway, case, judged),
            _ => stands_alone(&gateway, case),
        }
    });
}

/// There is nothing to compare with: the question leads to its own answer.
fn stands_alone(gateway: &Gateway, case: Case) {
    gateway.cache.questions().add(case.place, case.asked, case.vector);
}

fn conclude(gateway: &Gateway, case: Case, judged: Judged) {
    let Case { place, near: Near { found, is_audit }, asked, vector, fresh: _ } = case;
    let questions = gateway.cache.questions();
    let leads_to = if judged == Judged::Same { found.asked.key.clone() } else { asked.key };
    questions.judged(place.clone(), found, judged, is_audit);
    // One that was measured is found as it is.
    if !(is_audit && judged == Judged::Same) {
        questions.add(place, Asked { key: leads_to, text: asked.text }, vector);
    }
}

async fn judged(gateway: &Rc<Gateway>, policy: &Effective, errand: &Errand, case: &Case, kept: &Entry) -> Judged {
    let Some(settings) = &policy.semantic else { return Judged::Unclear };
    let answers = said(kept.surface, &kept.body).zip(said(case.fresh.surface, &case.fresh.body));
    let Some((kept, fresh)) = answers else { return Judged::Unclear };
    if kept.trim() == fresh.trim() {
        return Judged::Same;
    }
    let kept = Told { question: &case.near.found.asked.text, answer: &kept };
    let fresh = Told { question: &case.asked.text, answer: &fresh };
    let Some(body) = ask_judge(&settings.judge, kept, fresh) else { return Judged::Unclear };
    let Some(_waits) = Waits::begin(&gateway.judges.waiting) else { return Judged::Unclear };
    let since = Instant::now();
    while since.elapsed() < IDLE_WAIT {
        // The turn is held for the call only, so that a server that is never idle holds up no other.
        if let Ok(_turn) = gateway.judges.turn.try_acquire()
            && errand.finds_idle(gateway, Surface::OpenaiChat, &body)
        {
            let Some(job) = errand.job(gateway, Surface::OpenaiChat, &body) else { return Judged::Unclear };
            let answer = answered(job, PATIENCE).await;
            return match answer.and_then(|body| read_judge(&body)) {
                Some(true) => Judged::Same,
                Some(false) => Judged::Other,
                None => Judged::Unclear,
            };
        }
        tokio::time::sleep(IDLE_LOOK).await;
    }
    Judged::Unclear
}

/// One that waits, counted.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    /// Nothing where too many wait.
    fn begin(waiting: &'a AtomicUsize) -> Option<Self> {
        let more = |count| (count < WAITING_MAX).then_some(count + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self(waiting))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
