//! Questions that ask the same as kept ones in other words: looked for on a thread of their own, since a search may take as
//! long as a thousand look-ups by key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::cache::{Key, Questioned, TableFiles};
use domain::semantic::{ASKED_MAX, Asked, Bar, Found, Goal, Match, Partition, Signature, Vector};
use tokio::sync::oneshot;
use wire::table::Table;

use super::given::Given;
use crate::store::{self, Store};

/// Jobs that may wait: more is an overload, and then every question is a new one.
const JOBS_MAX: usize = 256;

/// Longest wait for a search: a model takes twenty times as long to answer.
const LATE: Duration = Duration::from_millis(50);

/// What partitions in memory may take, in bytes: 10,000 questions with vectors of 256 numbers take 8 MB.
const BYTES_MAX: usize = 32 << 20;

/// Partitions in memory: each system prompt makes one.
const PARTITIONS_MAX: usize = 1_024;

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

enum Job {
    Look(Looked, f32, oneshot::Sender<Option<Found>>),
    Add(Place, Asked, Vector),
    Learn(Place, Match, bool),
    Wrong(Looked),
    Gone(Place, Key),
    /// Nothing: to look whether something was purged, and to be back.
    Wake,
}

/// All that is counted, since the start.
#[derive(Default)]
struct Counts {
    looked: AtomicU64,
    late: AtomicU64,
    given: AtomicU64,
    same: AtomicU64,
    other: AtomicU64,
    unjudged: AtomicU64,
    audited: AtomicU64,
    audited_wrong: AtomicU64,
    audited_unclear: AtomicU64,
    said_wrong: AtomicU64,
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
    files: Option<TableFiles>,
    table: OnceLock<Result<Table, String>>,
    counts: Counts,
    given: Given,
    /// Purges so far.
    clears: AtomicU64,
    /// A search was late, and the thread has not come back since: then nobody waits for it.
    hangs: AtomicBool,
}

impl Questions {
    pub(super) fn new(files: Option<TableFiles>) -> Self {
        let (jobs, taken) = sync_channel(JOBS_MAX);
        Self {
            jobs,
            taken: Mutex::new(Some(taken)),
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
        let mut shelves = Shelves { store, partitions: HashMap::new(), turn: 0 };
        let mut cleared = 0;
        // The other end lives as long as this.
        for job in taken.into_iter().flatten() {
            let clears = self.clears.load(Ordering::SeqCst);
            if clears != std::mem::replace(&mut cleared, clears) {
                shelves.partitions.clear();
            }
            shelves.does(job);
            self.hangs.store(false, Ordering::Relaxed);
            self.counts.kept.store(shelves.len() as u64, Ordering::Relaxed);
        }
    }

    /// The vector of a text by the table; nothing before the table is read, or where there is none.
    pub(crate) fn vector(&self, text: &str) -> Option<Vector> {
        self.table.get()?.as_ref().ok()?.vector(text)
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
        count(&self.counts.said_wrong);
        self.sends(Job::Wrong(looked));
    }

    /// Whoever asked says that the answer to this request was wrong; whether it was given to a question in other words.
    pub(crate) fn was_wrong(&self, request_id: &str) -> bool {
        let Some((place, found)) = self.given.take(request_id) else { return false };
        count(&self.counts.said_wrong);
        self.sends(Job::Learn(place, found, false));
        true
    }

    /// The answer to which a question led is not kept any more.
    pub(crate) fn gone(&self, place: Place, key: Key) {
        self.sends(Job::Gone(place, key));
    }

    /// Something was purged: what is in memory is read anew.
    pub(super) fn clear(&self) {
        self.given.clear();
        self.clears.fetch_add(1, Ordering::SeqCst);
        // Where the queue is full, what stands in it is reason enough to look.
        let _ = self.jobs.try_send(Job::Wake);
    }

    /// Lost in an overload: then less is learned.
    fn sends(&self, job: Job) {
        if self.jobs.try_send(job).is_err() {
            count(&self.counts.late);
        }
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

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(files: &TableFiles) -> Result<Table, String> {
    let bytes = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| format!("the table of vectors: {} cannot be read: {error}", path.display()))
    };
    let (vectors, tokenizer) = (bytes(&files.vectors)?, bytes(&files.tokenizer)?);
    Table::read(Bytes::from(vectors), &tokenizer).map_err(|error| error.to_string())
}

/// The partitions in memory.
struct Shelves<'s> {
    store: &'s Store,
    partitions: HashMap<Place, Held>,
    turn: u64,
}

/// A partition in memory.
#[derive(Default)]
struct Held {
    partition: Partition,
    /// The turn in which it was used last.
    used: u64,
    /// What the database has of it is in it.
    is_read: bool,
}

impl Shelves<'_> {
    fn does(&mut self, job: Job) {
        match job {
            Job::Look(looked, draw, reply) => {
                // Nobody waits any more: the search would only delay others.
                if !reply.is_closed() {
                    let partition = self.partition(&looked.place);
                    let _ = reply.send(partition.look(&looked.signature, &looked.vector, &looked.goal, draw));
                }
            }
            Job::Add(place, asked, vector) => {
                self.held(&place).partition.add(asked.clone(), &vector);
                self.store.ask(place.partition, store::Asked { key: asked.key, text: asked.text, vector });
            }
            Job::Learn(place, found, is_right) => self.learn(&place, &found, is_right),
            Job::Wrong(looked) => {
                if let Some(found) = self.partition(&looked.place).same(&looked.signature, &looked.vector, &looked.goal)
                {
                    self.learn(&looked.place, &found, false);
                }
            }
            Job::Gone(place, key) => self.partition(&place).remove_answer(&key),
            Job::Wake => {}
        }
    }

    /// Of a pair that was wrong, the question goes: the answer is not reached by it any more.
    fn learn(&mut self, place: &Place, found: &Match, is_right: bool) {
        let Asked { key, text } = &found.asked;
        self.partition(place);
        let held = self.held(place);
        let bar = held.partition.learn(key, found.likeness, is_right).to_bytes();
        let is_read = held.is_read;
        if !is_right {
            held.partition.remove(key, text);
            self.store.unask(key.clone(), text.clone());
        }
        // What the database knows more is not written over.
        if is_read {
            self.store.bar(key.clone(), bar);
        }
    }

    /// The partition of this place, with what the database has of it.
    fn partition(&mut self, place: &Place) -> &mut Partition {
        let store = self.store;
        let held = self.held(place);
        // While the database is not open it grows with what is asked, and the rest comes later.
        if !held.is_read
            && let Ok(read) = store.partition(&place.scope, &place.partition, ASKED_MAX)
        {
            fill(&mut held.partition, read);
            held.is_read = true;
        }
        &mut held.partition
    }

    /// What is in memory of this place.
    fn held(&mut self, place: &Place) -> &mut Held {
        self.turn += 1;
        if !self.partitions.contains_key(place) {
            self.make_room();
        }
        let held = self.partitions.entry(place.clone()).or_default();
        held.used = self.turn;
        held
    }

    /// What was not used for the longest goes.
    fn make_room(&mut self) {
        let is_full = |held: &HashMap<Place, Held>| {
            held.len() >= PARTITIONS_MAX || held.values().map(|held| held.partition.bytes()).sum::<usize>() > BYTES_MAX
        };
        while is_full(&self.partitions) {
            let oldest = self.partitions.iter().min_by_key(|(_, held)| held.used).map(|(place, _)| place.clone());
            let Some(oldest) = oldest else { return };
            self.partitions.remove(&oldest);
        }
    }

    fn len(&self) -> usize {
        self.partitions.values().map(|held| held.partition.len()).sum()
    }
}

fn fill(partition: &mut Partition, read: store::Partition) {
    // The newest come first, and go last.
    for store::Asked { key, text, vector } in read.asked.into_iter().rev() {
        partition.add(Asked { key, text }, &vector);
    }
    for (key, bytes) in read.bars {
        partition.set_bar(&key, Bar::read(&bytes));
    }
}
