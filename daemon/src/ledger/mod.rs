//! The ledger: an entry for every request, in a SQLite file that one thread writes.
//!
//! Nobody waits for the disk: entries stand in a queue, and where they cannot be written they wait in memory, within a
//! limit; only what does not fit there is lost, counted, and told. What was written is never changed.

mod batch;
mod export;
mod house;
mod page;
mod reprice;
mod row;
mod schema;
mod sums;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::date::Day;
use domain::ledger::{Entry, EntryId, Filter, Line, Page, Settings, Stats};
use domain::money::MicroUsd;
use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::edges::Clock;
use crate::sqlite::{self, Busy, Home, Kind, Open, StoreError, Words, lock, open_to_read};
use reprice::Fix;
use writer::Writer;

pub(crate) use export::{Export, object};

/// The file's name.
const NAME: &str = "ledger.db";

/// What the owner is told of a file that cannot be used.
const WORDS: Words = Words {
    seen: "requests wait in memory to be written into the ledger",
    less: "lower ledger.disk_mib and restart",
    in_memory: "ledger's entries in memory",
};

/// What the owner is told of a disk that hangs.
const HANGS: &str = "requests wait in memory to be written into the ledger: the disk under it has not answered for some \
                     seconds; if that lasts, look for errors of the disk in the system's log (dmesg)";

/// Rows that are written together at most.
const ROWS_MAX: usize = 256;

/// Most entries of a page.
const PAGE_MAX: usize = 1_000;

/// How often things happen.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Longest wait of an entry for others that are written with it: what a sudden end may cost.
    gather: Duration,
    /// Time between two looks at the file, its size and what is over.
    house: Duration,
    /// Pause before a database that failed is tried again.
    retry: Duration,
    /// A disk that has not done for so long what it was told hangs, and its owner is told.
    hangs: Duration,
}

impl Pace {
    const USUAL: Self = Self {
        gather: Duration::from_secs(1),
        house: Duration::from_secs(10),
        retry: Duration::from_secs(5),
        hangs: Duration::from_secs(5),
    };
}

/// What waits to be written.
type Queue = sqlite::Queue<Job>;

enum Job {
    Write(Box<Entry>),
    /// Not to be gathered with others.
    Control(Control),
}

enum Control {
    /// Say when all before it is written, or could not be.
    Flush(oneshot::Sender<()>),
    /// Nothing comes after it.
    Close(oneshot::Sender<()>),
    /// Write what was reckoned anew; tells how many entries cost something else now.
    Correct(Vec<Fix>, oneshot::Sender<Result<u64, String>>),
    /// The file of this generation is damaged.
    Damaged(u64),
}

impl sqlite::Job for Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Write(entry) => entry.size(),
            // Few, and must not be lost.
            Self::Control(_) => 0,
        }
    }

    fn is_control(&self) -> bool {
        matches!(self, Self::Control(_))
    }
}

/// The ledger.
pub(crate) struct Ledger {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    /// The file as it was opened for whoever reads.
    reader: Mutex<Option<(Open, Connection)>>,
    home: Home,
    pace: Pace,
    /// Tells entries of the same millisecond apart; begins at random.
    next: AtomicU64,
}

/// What the threads know of each other.
struct Shared {
    clock: Arc<dyn Clock>,
    settings: Settings,
    open: Mutex<Option<Open>>,
    told: Mutex<Told>,
    writing: Busy,
    appended: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
}

/// What the writer knew last.
#[derive(Debug, Clone, Default)]
struct Told {
    /// Why nothing is written at present.
    trouble: String,
    /// What happened once and needs no help.
    note: String,
    bytes: u64,
}

impl Shared {
    fn generation(&self) -> u64 {
        lock(&self.open).as_ref().map_or(0, |open| open.generation)
    }

    fn set_open(&self, open: Option<Open>) {
        *lock(&self.open) = open;
    }

    fn told(&self) -> Told {
        lock(&self.told).clone()
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut lock(&self.told));
    }
}

impl Ledger {
    /// A ledger that belongs into `dir`. Nothing is opened before [`Ledger::write`] runs.
    pub(crate) fn new(settings: &Settings, dir: &Path, clock: Arc<dyn Clock>) -> Self {
        Self::with_pace(settings, dir, clock, Pace::USUAL)
    }

    fn with_pace(settings: &Settings, dir: &Path, clock: Arc<dyn Clock>, pace: Pace) -> Self {
        let shared = Shared {
            clock,
            settings: *settings,
            open: Mutex::default(),
            told: Mutex::default(),
            writing: Busy::new(),
            appended: AtomicU64::new(0),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        };
        let mut first = [0; 8];
        // Fails only on a kernel without randomness; two runs within one millisecond are rarer still.
        let _ = getrandom::fill(&mut first);
        Self {
            shared: Arc::new(shared),
            queue: Arc::new(Queue::new(ROWS_MAX, settings.spool_max())),
            reader: Mutex::default(),
            home: Home::new(dir, NAME, settings.store),
            pace,
            next: AtomicU64::new(u64::from_le_bytes(first)),
        }
    }

    /// Writes on this thread until [`Ledger::close`]; then it stays, so that nobody begins another.
    pub(crate) fn write(&self) {
        Writer::new(self.shared.clone(), self.queue.clone(), self.home.clone(), self.pace).run();
        loop {
            std::thread::park();
        }
    }

    /// A name for an entry of a request that ends now.
    pub(crate) fn id(&self) -> EntryId {
        EntryId::new(self.shared.clock.unix_ms(), self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Writes an entry in a moment. Never waits; what does not fit into memory is lost and counted.
    pub(crate) fn append(&self, entry: Entry) {
        self.shared.appended.fetch_add(1, Ordering::Relaxed);
        if !self.queue.push(Job::Write(Box::new(entry.bounded()))) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The newest entries before `after` that `filter` names, at most `max` and at most a thousand. Blocks.
    ///
    /// # Errors
    /// A sentence that says why it cannot be told, as with all that reads.
    pub(crate) fn page(&self, filter: &Filter, after: Option<EntryId>, max: usize) -> Result<Page, String> {
        self.read(|connection| page::newest(connection, filter, after, max.clamp(1, PAGE_MAX)))
    }

    /// What these days add up to by tenant, model and upstream, of one tenant or of all, the dearest first: the summary of a
    /// day, or with [`Day::of_month`] a month's statement. Blocks.
    ///
    /// # Errors
    /// As [`Ledger::page`].
    pub(crate) fn sums(&self, days: &RangeInclusive<Day>, tenant: Option<&str>) -> Result<Vec<Line>, String> {
        self.read(|connection| sums::lines(connection, days, tenant))
    }

    /// What each tenant is known to have spent since a moment, in Unix milliseconds. Where entries from before the moment
    /// are gone already it is more than was spent, never less. What is not written yet is not in it. Blocks.
    ///
    /// # Errors
    /// As [`Ledger::page`].
    pub(crate) fn spent_since(&self, since_ms: u64) -> Result<BTreeMap<String, MicroUsd>, String> {
        self.read(|connection| sums::spent_since(connection, since_ms))
    }

    fn read<T>(&self, look: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>) -> Result<T, String> {
        let Some(open) = lock(&self.shared.open).clone() else { return Err(self.ill()) };
        let mut reader = lock(&self.reader);
        let looked = Self::connection(&mut reader, &open).and_then(|connection| {
            // All that it sees is of one moment.
            let whole = connection.unchecked_transaction()?;
            Ok(look(&whole)?)
        });
        looked.map_err(|error| {
            *reader = None;
            if error.kind() == Kind::Damaged {
                self.control(Control::Damaged(open.generation));
            }
            format!("the ledger cannot be read: {error}")
        })
    }

    fn connection<'r>(reader: &'r mut Option<(Open, Connection)>, open: &Open) -> Result<&'r Connection, StoreError> {
        if !reader.as_ref().is_some_and(|(known, _)| known == open) {
            *reader = Some((open.clone(), open_to_read(&open.path)?));
        }
        reader.as_ref().map(|(_, connection)| connection).ok_or(StoreError::FoundDamaged)
    }

    fn ill(&self) -> String {
        let trouble = self.shared.told().trouble;
        if trouble.is_empty() { "the ledger is not open yet; try again in a moment".to_owned() } else { trouble }
    }

    fn control(&self, control: Control) {
        self.queue.push(Job::Control(control));
    }

    /// Waits until all that was appended before is written, or waits in memory.
    pub(crate) async fn flush(&self) {
        let (done, answer) = oneshot::channel();
        self.control(Control::Flush(done));
        // The writer is gone: nothing will be written.
        let _ = answer.await;
    }

    /// Writes what is still to be written, and closes the file; waits for it so long at most.
    pub(crate) async fn close(&self, wait_max: Duration) {
        let (done, answer) = oneshot::channel();
        *lock(&self.reader) = None;
        self.control(Control::Close(done));
        if timeout(wait_max, answer).await.is_err() {
            tracing::warn!("the disk is so slow that {} requests are lost for the ledger", self.stats().spooled);
        }
    }

    /// How it is.
    pub(crate) fn stats(&self) -> Stats {
        let (told, count) = (self.shared.told(), |counter: &AtomicU64| counter.load(Ordering::Relaxed));
        let hangs = self.shared.writing.longer_than(self.pace.hangs);
        let mut trouble = match (told.trouble.is_empty(), hangs) {
            (false, _) => told.trouble,
            (true, true) => HANGS.to_owned(),
            (true, false) => told.note,
        };
        let (written, lost) = (count(&self.shared.written), count(&self.shared.lost));
        if lost > 0 {
            let before = if trouble.is_empty() { "" } else { ". " };
            trouble += &format!(
                "{before}{lost} requests since the start are not in the ledger, since the memory for them was full"
            );
        }
        Stats {
            trouble,
            spooled: count(&self.shared.appended).saturating_sub(written).saturating_sub(lost),
            written,
            lost,
            bytes: told.bytes,
            bytes_max: self.shared.settings.bytes_max,
        }
    }
}
