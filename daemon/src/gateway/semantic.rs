//! Kept answers to questions that ask the same in other words.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::cache::{Entry, How, Key};
use domain::semantic::{Asked, Embeddings, Found, Match, Signature, Vector};
use domain::surface::Surface;
use ring::digest::Context;
use wire::exchange::{ask_vector, read_vector};

use super::errand::{Errand, answered};
use super::job::Job;
use super::judge::{Case, judge};
use super::recall::{digest, of_model};
use crate::cache::{Looked, Meaning, Place};

/// Whether this build looks for questions in other words.
const IS_BUILT: bool = cfg!(feature = "semantic");

/// Longest wait for a vector: a model that is loaded takes a tenth of it. One that must be loaded first is there for the next
/// question.
const VECTOR_WAIT: Duration = Duration::from_millis(500);

/// Longest time that a model for embeddings may take, loading included.
const VECTOR_PATIENCE: Duration = Duration::from_secs(60);

/// What a request is among questions in other words.
pub(super) struct Alike {
    pub(super) text: Arc<str>,
    pub(super) vector: Vector,
    /// Of everything else that changes the answer, save the model that answers.
    digest: Context,
    /// The model that was expected to answer.
    model: String,
    /// A kept question that asks the same, perhaps.
    near: Option<Near>,
}

/// A kept question of which it is found out whether its answer would have done.
pub(super) struct Near {
    pub(super) found: Match,
    /// Its answer was held to be right: this measures how often that is so.
    pub(super) is_audit: bool,
}

impl Alike {
    fn place(&self, scope: &Arc<str>, model: &str) -> Place {
        Place { scope: scope.clone(), partition: of_model(&self.digest, model) }
    }
}

/// A look for the answer to a question that asks the same.
type Finding<'a> = Pin<Box<dyn Future<Output = Option<(Arc<Entry>, How)>> + 'a>>;

/// Looks for the answer to a question that asks the same, where this build and the policy want that. Boxed, since few requests
/// need its room; and by a name that the compiler can leave out with all that is behind it.
pub(super) fn finding<'a>(job: &'a mut Job, model: &'a str) -> Option<Finding<'a>> {
    if IS_BUILT && job.policy.semantic.is_some() { Some(Box::pin(find(job, model))) } else { None }
}

async fn find(job: &mut Job, model: &str) -> Option<(Arc<Entry>, How)> {
    let policy = job.policy.clone();
    let settings = policy.semantic.as_ref()?;
    let question = job.ask.question().ok()?;
    let signature = Arc::new(Signature::of(&question.text));
    let meaning = match &settings.embeddings {
        Embeddings::Table => job.gateway.cache.questions().meaning(signature.core())?,
        Embeddings::Model(model) => asked_meaning(job, model, &signature).await?,
    };
    let mut said = question.rest;
    // What made the vector stands at the end, behind bytes that no text holds.
    said.push(0xff);
    said.extend_from_slice(settings.embeddings.name().as_bytes());
    said.push(0xff);
    said.extend_from_slice(&meaning.maker);
    let digest = digest(job, &said);
    let vector = meaning.vector;
    let alike = Alike { text: question.text.into(), vector, digest, model: model.to_owned(), near: None };
    let keeping = job.keeping.as_ref()?;
    let (place, own) = (alike.place(&keeping.scope, model), keeping.key(model));
    let looked = Looked { place: place.clone(), signature, vector: alike.vector.clone(), goal: settings.goal };
    let alike = job.alike.insert(Box::new(alike));
    let questions = job.gateway.cache.questions();
    if job.wishes.no_cache {
        if job.wishes.is_wrong {
            // The answer under its own key is thrown away as well, with all that led to it.
            questions.gone(place, own);
            questions.wrong(looked);
        }
        return None;
    }
    let found = match questions.look(looked, draw()).await? {
        Found::Same(found) => found,
        Found::Perhaps(found) => {
            alike.near = Some(Near { found, is_audit: false });
            return None;
        }
        Found::Audit(found) => {
            alike.near = Some(Near { found, is_audit: true });
            return None;
        }
    };
    let Some(entry) = job.gateway.cache.look(&found.asked.key).await else {
        questions.missing(place, found.asked.key);
        return None;
    };
    if !job.wishes.accepts(&entry, job.gateway.clock.unix_ms()) {
        return None;
    }
    let how = How::Semantic { likeness: hundredths(found.likeness) };
    questions.given(&job.request_id, place, found);
    Some((entry, how))
}

/// The answer to the request is kept: from now on its question leads to it, or it is compared with the one that was found.
pub(super) fn keep(job: &Job, key: Key, entry: Arc<Entry>) {
    if !IS_BUILT {
        return;
    }
    let Some((alike, keeping)) = job.alike.as_deref().zip(job.keeping.as_ref()) else { return };
    let place = alike.place(&keeping.scope, &entry.target.model);
    let asked = Asked { key, text: alike.text.clone() };
    match &alike.near {
        // An answer by another model stands elsewhere, and is no measure for this one.
        Some(near) if alike.model == entry.target.model && near.found.asked.key != asked.key => {
            let near = Near { found: near.found.clone(), is_audit: near.is_audit };
            judge(job, Case { place, near, asked, vector: alike.vector.clone(), fresh: entry });
        }
        _ => {
            let questions = job.gateway.cache.questions();
            // What led to an answer that was kept under this key before was not judged by this one.
            questions.gone(place.clone(), asked.key.clone());
            questions.add(place, asked, alike.vector.clone());
        }
    }
}

/// What a question means to a model, if it says so in a moment.
async fn asked_meaning(job: &Job, model: &str, signature: &Signature) -> Option<Meaning> {
    let meaning = ask_meaning(job, model, signature).await;
    if meaning.is_none() {
        job.gateway.cache.questions().missed();
    }
    meaning
}

async fn ask_meaning(job: &Job, model: &str, signature: &Signature) -> Option<Meaning> {
    let vectors = job.gateway.judges.vectors.clone();
    // One that was late last time gets one question at a time, for which nobody waits, until it is in time again.
    let was_late = vectors.is_late(model);
    let place = if was_late { vectors.only_place() } else { vectors.place() }?;
    let errand = Errand {
        identity: job.identity.clone(),
        policy: job.policy.for_errands().into(),
        lane: job.entry.lane,
        request_id: format!("{}.vector", job.request_id).into(),
        patience: VECTOR_PATIENCE,
        wishes: domain::cache::Directives::default(),
        provider: job.entry.wish.provider.clone(),
        stays_in_house: false,
    };
    let asks = errand.job(&job.gateway, Surface::OpenaiEmbeddings, &ask_vector(model, signature.core()))?;
    // On a task of its own: a model that is being loaded is loaded for the next question, although this one does not wait.
    let (began, name) = (Instant::now(), model.to_owned());
    let asked = actix_web::rt::spawn(async move {
        let _place = place;
        let body = answered(asks, VECTOR_PATIENCE).await;
        vectors.took(name, began.elapsed() > VECTOR_WAIT);
        body
    });
    if was_late {
        return None;
    }
    let body = match tokio::time::timeout(VECTOR_WAIT, asked).await {
        Ok(body) => body.ok()??,
        Err(_) => {
            job.gateway.judges.vectors.took(model.to_owned(), true);
            return None;
        }
    };
    let (vector, maker) = read_vector(&body)?;
    Some(Meaning { vector, maker: maker.into_bytes().into() })
}

/// A number, evenly from 0 up to 1.
fn draw() -> f32 {
    // Fails only on a kernel without randomness: then everything is measured.
    let number = getrandom::u32().unwrap_or(0) >> 8;
    #[expect(clippy::cast_precision_loss, reason = "24 bits are what the type holds exactly")]
    let number = number as f32;
    number / 16_777_216.0
}

fn hundredths(likeness: f32) -> u8 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and 100")]
    let hundredths = (likeness.clamp(0.0, 1.0) * 100.0) as u8;
    hundredths
}
