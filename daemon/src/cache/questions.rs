//! Questions that ask the same as kept ones in other words: looked for on a thread of their own, since a search may take as
//! long as a thousand look-ups by key.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::cache::{Key, Questioned, TableFiles};
use domain::semantic::{Asked, Found, Goal, Match, Signature, Vector};
use ring::digest::{Context, SHA256};
use tokio::sync::oneshot;
use wire::table::Table;

use super::given::Given;
use super::shelves::Shelves;
use crate::store::Store;

/// Jobs that may wait: more is an overload, and then every question is a new one.
const JOBS_MAX: usize = 256;

/// Of what is learned, so much more may wait.
const OWED_MAX: usize = 4_096;

/// Longest wait for a search: a model takes twenty times as long to answer.
const LATE: Duration = Duration::from_millis(50);

/// Where a question belongs: only questions of one place are compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// Who may get the answers, see [`Key::scope`].
    pub(crate) scope: Arc<str>,
    /// SHA-256 of everything else that changes the answer, save the question's text.
    pub(crate) partition: [u8; 32],
}

/// A question in the forms in which it is compared.
#[derive(Debug, Clone)]
pub(crate) struct Looked {
    pub(crate) place: Place,
    pub(crate) signature: Arc<Signature>,
    pub(crate) vector: Vector,
    pub(crate) goal: Goal,
}

/// What a text means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Meaning {
    pub(crate) vector: Vector,
    /// What made the vector: those of two makers are not compared.
    pub(crate) maker: Arc<[u8]>,
}

pub(super) enum Job {
    Look(Looked, f32, oneshot::Sender<Option<Found>>),
    Add(Place, Asked, Vector),
    Learn(Place, Match, bool),
    Wrong(Looked),
    /// Another answer is kept under this key.
    Gone(Place, Key),
    /// The answer of this key was not found: it may be gone, or the disk is late.
    Missing(Place, Key),
    /// Nothing: to look whether something was purged, and to be back.
    Wake,
}

/// All that is counted, since the start.
#[derive(Default)]
pub(super) struct Counts {
    looked: AtomicU64,
    late: AtomicU64,
    given: AtomicU64,
    same: AtomicU64,
    other: AtomicU64,
    unjudged: AtomicU64,
    audited: AtomicU64,
    audited_wrong: AtomicU64,
    audited_unclear: AtomicU64,
    pub(super) said_wrong: AtomicU64,
    kept: AtomicU64,
}

/// How a judgement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// The kept answer would have done.
    Same,
    /// It would have been wrong.
    Other,
    /// Nobody could tell.
    Unclear,
}

pub(crate) struct Questions {
    jobs: SyncSender<Job>,
    taken: Mutex<Option<Receiver<Job>>>,
    /// What found no place among the jobs, and is not to be lost.
    owed: Mutex<VecDeque<Job>>,
    files: Option<TableFiles>,
    table: OnceLock<Result<Made, String>>,
    counts: Counts,
    given: Given,
    /// Purges so far.
    clears: AtomicU64,
    /// A search was late, and the thread has not come back since: then nobody waits for it.
    hangs: AtomicBool,
}

/// The table, and its name.
struct Made {
    table: Table,
    name: Arc<[u8]>,
}

impl Questions {
    pub(super) fn new(files: Option<TableFiles>) -> Self {
        let (jobs, taken) = sync_channel(JOBS_MAX);
        Self {
            jobs,
            taken: Mutex::new(Some(taken)),
            owed: Mutex::default(),
            files,
            table: OnceLock::new(),
            counts: Counts::default(),
            given: Given::default(),
            clears: AtomicU64::new(0),
            hangs: AtomicBool::new(false),
        }
    }

    /// Looks for questions on this thread, for as long as the process lives.
    pub(super) fn run(&self, store: &Store) {
        if let Some(files) = &self.files {
            let table = read(files);
            if let Err(trouble) = &table {
                tracing::warn!("{trouble}");
            }
            // It was not read before: this is the only thread that does.
            let _ = self.table.set(table);
        }
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut shelves = Shelves::new(store, &self.counts);
        let mut cleared = 0;
        // The other end lives as long as this.
        for job in taken.into_iter().flatten() {
            let clears = self.clears.load(Ordering::SeqCst);
            if clears != std::mem::replace(&mut cleared, clears) {
                shelves.clear();
            }
            shelves.does(job);
            while let Some(owed) = { self.owed().pop_front() } {
                shelves.does(owed);
            }
            self.hangs.store(false, Ordering::Relaxed);
            self.counts.kept.store(shelves.len() as u64, Ordering::Relaxed);
        }
    }

    /// What a text means by the table; nothing before the table is read, or where there is none.
    pub(crate) fn meaning(&self, text: &str) -> Option<Meaning> {
        let made = self.table.get()?.as_ref().ok()?;
        Some(Meaning { vector: made.table.vector(text)?, maker: made.name.clone() })
    }

    /// A question whose meaning was not known in time: it was not looked for.
    pub(crate) fn missed(&self) {
        count(&self.counts.looked);
        count(&self.counts.late);
    }

    /// Looks for a question; nothing as well when that takes too long.
    pub(crate) async fn look(&self, looked: Looked, draw: f32) -> Option<Found> {
        count(&self.counts.looked);
        let (reply, found) = oneshot::channel();
        let hangs = self.hangs.load(Ordering::Relaxed);
        if !hangs && self.jobs.try_send(Job::Look(looked, draw, reply)).is_ok() {
            if let Ok(Ok(found)) = tokio::time::timeout(LATE, found).await {
                return found;
            }
            self.hangs.store(true, Ordering::Relaxed);
            // It may have come back between the two: it sees this, and says so.
            let _ = self.jobs.try_send(Job::Wake);
        }
        count(&self.counts.late);
        None
    }

    /// An answer was given to this request, which asked the same as a kept question.
    pub(crate) fn given(&self, request_id: &str, place: Place, found: Match) {
        count(&self.counts.given);
        self.given.put(request_id, place, found);
    }

    /// A question leads to a kept answer from now on.
    pub(crate) fn add(&self, place: Place, asked: Asked, vector: Vector) {
        self.sends(Job::Add(place, asked, vector));
    }

    /// What a judge says of a kept answer that was found, or would have been given.
    pub(crate) fn judged(&self, place: Place, found: Match, judged: Judged, is_audit: bool) {
        let counter = match judged {
            Judged::Same => &self.counts.same,
            Judged::Other => &self.counts.other,
            Judged::Unclear => &self.counts.unjudged,
        };
        count(counter);
        if judged == Judged::Unclear {
            self.counts.audited_unclear.fetch_add(u64::from(is_audit), Ordering::Relaxed);
            return;
        }
        if is_audit {
            count(&self.counts.audited);
            self.counts.audited_wrong.fetch_add(u64::from(judged == Judged::Other), Ordering::Relaxed);
        }
        self.sends(Job::Learn(place, found, judged == Judged::Same));
    }

    /// Whoever asks says that what is kept for this question is wrong.
    pub(crate) fn wrong(&self, looked: Looked) {
        self.sends(Job::Wrong(looked));
    }

    /// Whoever asked says that the answer to this request was wrong; whether it was given to a question in other words.
    pub(crate) fn was_wrong(&self, request_id: &str) -> bool {
        let Some((place, found)) = self.given.take(request_id) else { return false };
        count(&self.counts.said_wrong);
        self.sends(Job::Learn(place, found, false));
        true
    }

    /// Under this key another answer is kept from now on, or none: no question leads to it that led to the one before.
    pub(crate) fn gone(&self, place: Place, key: Key) {
        self.sends(Job::Gone(place, key));
    }

    /// The answer to which a question led was not found.
    pub(crate) fn missing(&self, place: Place, key: Key) {
        self.sends(Job::Missing(place, key));
    }

    /// Something was purged: what is in memory is read anew.
    pub(super) fn clear(&self) {
        self.given.clear();
        self.clears.fetch_add(1, Ordering::SeqCst);
        // Where the queue is full, what stands in it is reason enough to look.
        let _ = self.jobs.try_send(Job::Wake);
    }

    /// In an overload it is done after what waits; what is too much even then is not learned.
    fn sends(&self, job: Job) {
        let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) = self.jobs.try_send(job) else { return };
        let mut owed = self.owed();
        if owed.len() < OWED_MAX {
            owed.push_back(job);
        }
        drop(owed);
        // The thread may have become free meanwhile.
        let _ = self.jobs.try_send(Job::Wake);
    }

    fn owed(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stats(&self) -> Questioned {
        let counts = &self.counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Questioned {
            looked: read(&counts.looked),
            late: read(&counts.late),
            given: read(&counts.given),
            judged_same: read(&counts.same),
            judged_other: read(&counts.other),
            unjudged: read(&counts.unjudged),
            audited: read(&counts.audited),
            audited_wrong: read(&counts.audited_wrong),
            audited_unclear: read(&counts.audited_unclear),
            said_wrong: read(&counts.said_wrong),
            in_memory: read(&counts.kept),
            trouble: self.table.get().and_then(|table| table.as_ref().err().cloned()).unwrap_or_default(),
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(files: &TableFiles) -> Result<Made, String> {
    let bytes = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| format!("the table of vectors: {} cannot be read: {error}", path.display()))
    };
    let (vectors, tokenizer) = (bytes(&files.vectors)?, bytes(&files.tokenizer)?);
    // Other files under the same names make other vectors.
    let mut digest = Context::new(&SHA256);
    digest.update(&vectors);
    digest.update(&tokenizer);
    let table = Table::read(Bytes::from(vectors), &tokenizer).map_err(|error| error.to_string())?;
    Ok(Made { table, name: digest.finish().as_ref().into() })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use domain::cache::{Purge, Settings};

    use super::super::Cache;
    use super::super::tests::{SetClock, entry, key};
    use super::*;

    const TEXT: &str = "How do I boil an egg?";

    /// A cache with all its threads at work in `dir`.
    fn running(dir: &Path, clock: &Arc<SetClock>) -> Arc<Cache> {
        let cache = Cache::open(&Settings::default(), dir, clock.clone());
        for work in [Cache::write, Cache::read, Cache::ask] {
            let cache = cache.clone();
            std::thread::spawn(move || work(&cache));
        }
        cache
    }

    fn place() -> Place {
        Place { scope: "house".into(), partition: [7; 32] }
    }

    fn asked(number: u32) -> Asked {
        Asked { key: key("house", number), text: TEXT.into() }
    }

    /// A vector whose cosine with (1, 0) is this.
    fn vector(likeness: f32) -> Vector {
        Vector::of(&[likeness, (1.0 - likeness * likeness).sqrt()]).unwrap()
    }

    fn looked() -> Looked {
        let signature = Arc::new(Signature::of("how can I boil an egg"));
        Looked { place: place(), signature, vector: vector(1.0), goal: Goal { audited: 0.0, ..Goal::default() } }
    }

    impl Cache {
        /// Looks until the search is not late.
        async fn found(&self) -> Option<Found> {
            loop {
                let late = self.questions.stats().late;
                let found = self.questions.look(looked(), 0.5).await;
                if self.questions.stats().late == late {
                    return found;
                }
            }
        }

        async fn keeps(&self, number: u32, clock: &SetClock) {
            self.keep(key("house", number), Arc::new(entry("a", "one", clock)), self.purges());
            self.flush().await;
            self.questions.add(place(), asked(number), vector(0.95));
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_late_keeps_its_questions_and_one_that_is_gone_does_not() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SetClock::at(1_000_000));
        let cache = running(dir.path(), &clock);
        cache.keeps(1, &clock).await;
        cache.questions.missing(place(), asked(1).key);
        assert!(matches!(cache.found().await, Some(Found::Same(_))), "the database has it");
        cache.store.as_ref().unwrap().remove(asked(1).key);
        cache.flush().await;
        cache.questions.missing(place(), asked(1).key);
        assert_eq!(cache.found().await, None);
    }

    #[tokio::test]
    async fn what_was_learned_of_an_answer_outlives_its_questions() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SetClock::at(1_000_000));
        let cache = running(dir.path(), &clock);
        cache.keeps(1, &clock).await;
        cache.questions.wrong(looked());
        assert_eq!(cache.found().await, None, "its only question is gone");
        assert_eq!(cache.questions.stats().said_wrong, 1);
        cache.questions.wrong(looked());
        assert_eq!(cache.found().await, None);
        assert_eq!(cache.questions.stats().said_wrong, 1, "there was none to be wrong");
        // Nothing is in memory any more; the question comes again.
        cache.purge(Purge { entry: Some(key("house", 9).name()), ..Purge::default() }).await.unwrap();
        cache.flush().await;
        cache.questions.add(place(), asked(1), vector(0.95));
        assert!(matches!(cache.found().await, Some(Found::Perhaps(_))), "it was wrong once");
    }

    #[tokio::test]
    async fn what_is_said_in_an_overload_is_not_lost() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), SetClock::at(1_000_000));
        // Nobody works yet.
        let cache = Cache::open(&Settings::default(), dir.path(), clock.clone());
        for number in 0..1_000 {
            let text = format!("What is {number} and {number}?").into();
            cache.questions.add(place(), Asked { key: key("house", number), text }, vector(0.8));
        }
        cache.questions.add(place(), asked(5_000), vector(0.95));
        for work in [Cache::write, Cache::ask] {
            let cache = cache.clone();
            std::thread::spawn(move || work(&cache));
        }
        assert!(matches!(cache.found().await, Some(Found::Same(_))));
        assert_eq!(cache.questions.stats().in_memory, 1_001);
    }
}
