//! The database of kept answers: one file, one thread that writes it, and one that reads.
//!
//! Nobody waits for the disk: what is to be written stands in a queue of bounded size, and a look-up that is late is a
//! miss. Whatever is wrong with the file, the memory in front of it goes on, and the owner is told in a sentence.

mod house;
mod list;
mod question;
mod queue;
mod quota;
mod reader;
mod row;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::cache::{Entry, Key, Listed, Place, Purge, Purged, Questioned, Settings, Share, Stats};
use domain::semantic::TEXT_BYTES_MAX;
use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::edges::Clock;
use crate::sqlite::{Busy, Home, Open, StoreError, Words, lock, open_to_read};
use queue::{Change, Control, Job, Queue};
use reader::Reader;
use writer::Writer;

pub(crate) use question::{Asked, Partition, Standing};

/// The file's name.
const NAME: &str = "cache.db";

/// What the owner is told of a file that cannot be used.
const WORDS: Words = Words {
    seen: "kept answers are in memory only",
    less: "lower cache.disk_mib and restart",
    in_memory: "kept answers in memory",
};

/// The largest answer that is kept, in bytes: larger ones would each drive out hundreds of others.
pub(crate) const ENTRY_BYTES_MAX: usize = 2 << 20;

/// Longest wait for a purge: a thousand megabytes are looked through in some seconds.
const PURGE_MAX: Duration = Duration::from_secs(120);

/// What the owner is told of a disk that hangs.
const HANGS: &str = "kept answers are in memory only: the disk under the database has not answered for some seconds; if that \
                     lasts, look for errors of the disk in the system's log (dmesg)";

/// How often things happen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Longest wait of a row for others that are written with it.
    gather: Duration,
    /// Time between two looks at the file, its size and what is over.
    house: Duration,
    /// Pause before a database that failed is tried again.
    retry: Duration,
    /// Longest wait for a look-up: a miss costs seconds, so this is as long as nobody notices.
    late: Duration,
    /// A disk that has not done for so long what it was told hangs, and its owner is told.
    hangs: Duration,
}

impl Pace {
    const USUAL: Self = Self {
        gather: Duration::from_secs(1),
        house: Duration::from_secs(10),
        retry: Duration::from_secs(5),
        late: Duration::from_millis(20),
        hangs: Duration::from_secs(5),
    };
}

/// What the database may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    bytes_max: u64,
    tenant_bytes_max: u64,
}

/// The database.
pub(crate) struct Store {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    reader: Reader,
    home: Home,
    pace: Pace,
}

/// What the threads know of each other, and callers of them.
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    open: Mutex<Option<Open>>,
    /// Cloned by each purge that waits or is carried out.
    purging: Arc<()>,
    told: Mutex<Told>,
    writing: Busy,
    pub(super) written: AtomicU64,
    pub(super) unwritten: AtomicU64,
    pub(super) evicted: AtomicU64,
}

/// What the writer knew last.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// Why nothing is written at present.
    pub(super) trouble: String,
    /// What happened once and needs no help.
    pub(super) note: String,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) tenants: Vec<Share>,
}

impl Shared {
    fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        let bytes_max = settings.disk_max_bytes;
        let tenant_bytes_max = bytes_max / 100 * u64::from(settings.tenant_share.clamp(1, 100));
        Self {
            clock,
            limits: Limits { bytes_max, tenant_bytes_max },
            open: Mutex::default(),
            purging: Arc::default(),
            told: Mutex::default(),
            writing: Busy::new(),
            written: AtomicU64::new(0),
            unwritten: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    /// The file that may be read: none while a purge is under way, since whoever asked for that may have given up waiting.
    pub(super) fn open(&self) -> Option<Open> {
        if Arc::strong_count(&self.purging) > 1 { None } else { lock(&self.open).clone() }
    }

    fn generation(&self) -> u64 {
        lock(&self.open).as_ref().map_or(0, |open| open.generation)
    }

    /// Another file is in use from now on, or none.
    pub(super) fn set_open(&self, open: Option<Open>) {
        *lock(&self.open) = open;
    }

    pub(super) fn told(&self) -> Told {
        lock(&self.told).clone()
    }

    pub(super) fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut lock(&self.told));
    }

    /// Hours since the Unix epoch: how exactly it is known when an answer was asked for.
    pub(super) fn hour(&self) -> u64 {
        self.clock.unix_ms() / 3_600_000
    }
}

impl Store {
    /// A database that belongs into `dir`. Nothing is opened before [`Store::write`] runs.
    pub(crate) fn new(settings: &Settings, dir: &Path, clock: Arc<dyn Clock>) -> Self {
        Self::with_pace(settings, dir, clock, Pace::USUAL)
    }

    fn with_pace(settings: &Settings, dir: &Path, clock: Arc<dyn Clock>, pace: Pace) -> Self {
        let shared = Arc::new(Shared::new(settings, clock));
        let queue = Arc::new(queue::new(settings.memory_max_bytes));
        let reader = Reader::new(shared.clone(), queue.clone(), pace.late);
        Self { shared, queue, reader, home: Home::new(dir, NAME, settings.store), pace }
    }

    /// Writes on this thread until [`Store::close`]; then it stays, so that nobody begins another.
    pub(crate) fn write(&self) {
        Writer::new(self.shared.clone(), self.queue.clone(), self.home.clone(), self.pace).run();
        loop {
            std::thread::park();
        }
    }

    /// Looks entries up on this thread.
    pub(crate) fn read(&self) {
        self.reader.run();
    }

    /// The fresh answer of this key; `None` as well when the disk is late.
    pub(crate) async fn find(&self, key: &Key) -> Option<Arc<Entry>> {
        self.reader.find(key).await
    }

    /// Writes an answer in a moment, if it is still due when it takes its place behind what was asked for before: so whoever
    /// says that it is not, before asking for a purge, will not see it. Tells whether it was due. What does not fit into the
    /// queue is counted and not written.
    pub(crate) fn keep(&self, key: Key, entry: Arc<Entry>, is_due: impl FnOnce() -> bool) -> bool {
        let pushed = self.queue.push_if(Job::Keep(key, entry), is_due);
        if pushed == Some(false) {
            self.shared.unwritten.fetch_add(1, Ordering::Relaxed);
        }
        pushed.is_some()
    }

    /// An answer was given, in this hour for the first time: it stays longer than others.
    pub(crate) fn used(&self, key: Key) {
        // Lost when the queue is full: it is asked for again.
        let _ = self.queue.push(Job::Change(Change::Used(key)));
    }

    /// Writes a question that leads to a kept answer, in a moment. Nothing is written if the answer is not there by then, if
    /// the text is too long, or if the queue is full.
    pub(crate) fn ask(&self, partition: [u8; 32], asked: Asked) {
        if asked.text.len() <= TEXT_BYTES_MAX {
            let _ = self.queue.push(Job::Change(Change::Ask(partition, asked)));
        }
    }

    /// The question of this text does not lead to the answer any more, in a moment.
    pub(crate) fn unask(&self, key: Key, text: Arc<str>) {
        let _ = self.queue.push(Job::Change(Change::Unask(key, text)));
    }

    /// Replaces what was learned of an answer, in a moment.
    pub(crate) fn bar(&self, key: Key, bytes: Vec<u8>) {
        let _ = self.queue.push(Job::Change(Change::Bar(key, bytes)));
    }

    /// All questions of a partition in this scope whose answers are fresh, the newest first, at most `max`, with their
    /// answers' bars. Blocks.
    ///
    /// # Errors
    /// A sentence that says why it cannot be told.
    pub(crate) fn partition(&self, scope: &str, partition: &[u8; 32], max: usize) -> Result<Partition, String> {
        let found = self.reads(|connection, now_ms| Ok(question::find(connection, scope, partition, max, now_ms)?))?;
        for id in found.bad {
            let _ = self.queue.push(Job::Change(Change::BadQuestion(id)));
        }
        Ok(found.partition)
    }

    /// What there is of an answer, whether a question leads to it or not. Blocks.
    ///
    /// # Errors
    /// A sentence that says why it cannot be told.
    pub(crate) fn standing(&self, key: &Key) -> Result<Standing, String> {
        self.reads(|connection, now_ms| Ok(question::standing(connection, key, now_ms)?))
    }

    /// Reads with a connection of its own, at this time.
    fn reads<T>(&self, read: impl FnOnce(&Connection, u64) -> Result<T, StoreError>) -> Result<T, String> {
        let Some(open) = self.shared.open() else { return Err(self.ill()) };
        let now_ms = self.shared.clock.unix_ms();
        let found = open_to_read(&open.path).and_then(|connection| read(&connection, now_ms));
        found.map_err(|error| {
            if error.kind().is_useless() {
                self.queue.push(Job::Control(Control::Damaged(open.generation)));
            }
            error.sentence(&open.path, &WORDS)
        })
    }

    /// Throws one answer away, in a moment.
    pub(crate) fn remove(&self, key: Key) {
        let _ = self.queue.push(Job::Change(Change::Bad(key)));
    }

    /// Throws away what is named, of all that was kept before.
    ///
    /// # Errors
    /// A sentence that says why it could not.
    pub(crate) async fn purge(&self, purge: Purge) -> Result<Purged, String> {
        let (done, answer) = oneshot::channel();
        self.queue.push(Job::Control(Control::Purge(Box::new(purge), done, self.shared.purging.clone())));
        match timeout(PURGE_MAX, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err("the database is not running; try again in a moment".to_owned()),
            Err(_) => Err("the disk is so slow that it is not finished; it goes on".to_owned()),
        }
    }

    /// The newest entries that `filter` names, or of all, at most so many. Blocks.
    ///
    /// # Errors
    /// A sentence that says why it cannot be told.
    pub(crate) fn list(&self, filter: &Purge, max: usize) -> Result<Vec<Listed>, String> {
        let Some(open) = self.shared.open() else { return Err(self.ill()) };
        list::newest(&open.path, filter, max, self.shared.clock.unix_ms())
            .map_err(|error| error.sentence(&open.path, &WORDS))
    }

    fn ill(&self) -> String {
        let trouble = self.shared.told().trouble;
        if trouble.is_empty() { "the database is not open yet; try again in a moment".to_owned() } else { trouble }
    }

    /// Waits until all that was kept before is written, or given up.
    pub(crate) async fn flush(&self) {
        let (done, answer) = oneshot::channel();
        self.queue.push(Job::Control(Control::Flush(done)));
        // The writer is gone: nothing will be written.
        let _ = answer.await;
    }

    /// Writes what is still to be written, and closes the file; waits for it so long at most.
    pub(crate) async fn close(&self, wait_max: Duration) {
        let (done, answer) = oneshot::channel();
        self.queue.push(Job::Control(Control::Close(done)));
        if timeout(wait_max, answer).await.is_err() {
            tracing::warn!("the disk is so slow that the newest kept answers are lost");
        }
    }

    /// How it is; the memory's part is not known here.
    pub(crate) fn stats(&self) -> Stats {
        let told = self.shared.told();
        let hangs = self.shared.writing.longer_than(self.pace.hangs) || self.reader.hangs(self.pace.hangs);
        let trouble = match (told.trouble.is_empty(), hangs) {
            (false, _) => told.trouble,
            (true, true) => HANGS.to_owned(),
            (true, false) => told.note,
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            trouble,
            memory: Place::default(),
            questions: Questioned::default(),
            database: Place { entries: told.entries, bytes: told.bytes, bytes_max: self.shared.limits.bytes_max },
            tenants: told.tenants,
            written: count(&self.shared.written),
            unwritten: count(&self.shared.unwritten),
            evicted: count(&self.shared.evicted),
        }
    }
}
