//! Writes: gathers what is to be kept, and does what the owner asked for in between.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use domain::cache::{Entry, Key, Purge, Purged};
use rusqlite::Connection;
use tracing::{info, warn};

use super::house::House;
use super::queue::{Change, Control, Job, Queue};
use super::row::{self, Packed};
use super::schema::migrate;
use super::{Pace, Shared, WORDS, list, question, quota};
use crate::sqlite::{self, Home, Kind, Open, Plan, StoreError, Working};

/// A file that is not ours is of no use either: what is kept can be made again.
const PLAN: Plan = Plan { migrate, is_secret: true, is_of_no_use: Kind::is_useless };

/// What is written together with others.
enum Write {
    Keep(Packed),
    Change(Change),
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    home: Home,
    pace: Pace,
    file: Option<Working>,
    /// When a database that failed is tried again.
    retry: Instant,
    house: House,
    generation: u64,
    /// Purges that could not be carried out, and when each was asked for, in Unix milliseconds: what they name is not given
    /// to anybody until it is gone.
    owed: Vec<(Purge, u64)>,
    /// What was thrown away since the last purge was asked for.
    thrown: Purged,
}

/// Most purges that are owed one by one; with more, everything goes.
const OWED_MAX: usize = 100;

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, queue: Arc<Queue>, home: Home, pace: Pace) -> Self {
        let (house, generation) = (House::new(pace.house), shared.generation());
        let (owed, thrown) = (Vec::new(), Purged::default());
        Self { shared, queue, home, pace, file: None, retry: Instant::now(), house, generation, owed, thrown }
    }

    /// Writes until it is told to close.
    pub(super) fn run(mut self) {
        let shared = self.shared.clone();
        loop {
            if self.file.is_none() && Instant::now() >= self.retry {
                // What is there is told before anything comes.
                shared.writing.work(|| {
                    self.open();
                    self.look_after_house();
                });
            }
            let batch = self.queue.take(self.pace.house.min(self.pace.retry), self.pace.gather);
            let is_last = shared.writing.work(|| {
                let is_last = self.work(batch);
                self.look_after_house();
                is_last
            });
            if is_last {
                return;
            }
        }
    }

    /// Does what was asked for, in its order; whether this was the last.
    fn work(&mut self, batch: Vec<Job>) -> bool {
        let mut changes = Vec::with_capacity(batch.len());
        for job in batch {
            let control = match job {
                Job::Keep(key, entry) => {
                    self.pack(&mut changes, key, entry);
                    continue;
                }
                Job::Change(change) => {
                    changes.push(Write::Change(change));
                    continue;
                }
                Job::Control(control) => control,
            };
            self.write(mem::take(&mut changes));
            match control {
                Control::Purge(purge, done, purging) => {
                    let purged = self.purge(*purge);
                    // Whoever asked looks at the sums next.
                    self.look_after_house();
                    drop(purging);
                    let _ = done.send(purged);
                }
                Control::Flush(done) => {
                    self.look_after_house();
                    let _ = done.send(());
                }
                Control::Damaged(generation) => self.damaged(generation),
                Control::Close(done) => {
                    self.close();
                    let _ = done.send(());
                    return true;
                }
            }
        }
        self.write(changes);
        false
    }

    fn pack(&self, changes: &mut Vec<Write>, key: Key, entry: Arc<Entry>) {
        if self.file.is_some() {
            changes.push(Write::Keep(Packed::new(key, entry)));
        } else {
            self.shared.unwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn write(&mut self, changes: Vec<Write>) {
        if changes.is_empty() {
            return;
        }
        let mut written = self.try_write(&changes);
        if let Err(error) = &written
            && self.failed(error)
        {
            written = self.try_write(&changes);
            if let Err(error) = &written {
                self.failed(error);
            }
        }
        let kept = changes.iter().filter(|change| matches!(change, Write::Keep(_))).count() as u64;
        let counter = if written.is_ok() { &self.shared.written } else { &self.shared.unwritten };
        counter.fetch_add(kept, Ordering::Relaxed);
        self.house.changed();
    }

    /// All of it or nothing.
    fn try_write(&mut self, changes: &[Write]) -> Result<(), StoreError> {
        let Some(working) = &mut self.file else { return Ok(()) };
        let (hour, now_ms) = (self.shared.hour(), self.shared.clock.unix_ms());
        let whole = working.connection.transaction()?;
        for change in changes {
            match change {
                Write::Keep(packed) => packed.write(&whole, hour)?,
                Write::Change(change) => make(&whole, change, hour)?,
            }
        }
        let evicted = quota::make_room(&whole, self.shared.limits, now_ms)?;
        whole.commit()?;
        self.shared.evicted.fetch_add(evicted, Ordering::Relaxed);
        Ok(())
    }

    fn look_after_house(&mut self) {
        if let Err(error) = self.keep_house() {
            self.failed(&error);
        }
    }

    fn keep_house(&mut self) -> Result<(), StoreError> {
        let Some(working) = &self.file else { return Ok(()) };
        if self.house.is_due() && working.is_replaced() {
            info!("{} was replaced or removed; what is there now is used", working.path.display());
            self.file = None;
            self.open();
        }
        match &self.file {
            Some(working) => self.house.keep(working, &self.home, &self.shared),
            None => Ok(()),
        }
    }

    /// Throws away what is named: no page of the file shows it afterwards, and no copy.
    fn purge(&mut self, purge: Purge) -> Result<Purged, String> {
        self.thrown = Purged::default();
        if self.owed.len() >= OWED_MAX {
            self.owed = vec![(Purge { all: true, ..Purge::default() }, 0)];
        }
        self.owed.push((purge, self.shared.clock.unix_ms()));
        if self.file.is_none() {
            self.open();
        } else if let Err(error) = self.pay() {
            self.failed(&error);
        }
        if self.owed.is_empty() {
            return Ok(self.thrown);
        }
        self.shared.set_open(None);
        let why = self.shared.told().trouble;
        Err(format!(
            "not everything could be thrown away: {why}. Nothing in the file is given to anybody until it is, which is tried \
             again all the time; if airlane is restarted before, purge again"
        ))
    }

    /// Carries out the purges that are owed. Nothing was written since they were asked for.
    fn pay(&mut self) -> Result<(), StoreError> {
        while let (Some((purge, asked_ms)), Some(Working { connection, .. })) = (self.owed.first(), &mut self.file) {
            let thrown = throw_away(connection, purge, *asked_ms)?;
            // Also where nothing else was written since the last copy: the copy is to lose it too.
            self.house.changed();
            self.house.finish(connection, &self.home)?;
            // What was put aside because of damage cannot be looked through.
            sqlite::remove(&sqlite::beside(&self.home.on_disk(), ".damaged"))?;
            self.thrown.entries += thrown.entries;
            self.thrown.bytes += thrown.bytes;
            self.owed.remove(0);
        }
        Ok(())
    }

    /// The reader found damage.
    fn damaged(&mut self, generation: u64) {
        // Others may have found it as well, and another file is in use by now.
        if generation == self.generation && self.file.is_some() {
            self.failed(&StoreError::FoundDamaged);
        }
    }

    /// Takes the file in use.
    fn open(&mut self) {
        let opened = self.home.prepare().and_then(|(path, note)| {
            let opened = sqlite::open(&path, &PLAN)?;
            Ok((path, note.or(opened.note), opened.connection))
        });
        match opened {
            Ok((path, note, connection)) => {
                self.generation += 1;
                self.file = Some(Working { connection, identity: sqlite::identity(&path), path: path.clone() });
                self.house.changed();
                self.begin(path, note);
            }
            Err(error) => {
                let path = self.home.on_disk();
                self.tell(error.sentence(&path, &WORDS), None);
                self.retry = Instant::now() + self.pace.retry;
            }
        }
    }

    /// Lets others look into the file, once nothing in it is to be thrown away any more.
    fn begin(&mut self, path: PathBuf, note: Option<String>) {
        let Err(error) = self.pay() else {
            self.tell(String::new(), note);
            self.shared.set_open(Some(Open { path, generation: self.generation }));
            return;
        };
        self.file = None;
        self.retry = Instant::now() + self.pace.retry;
        let aside = error.kind().is_useless().then(|| sqlite::set_aside(&path, &error).ok()).flatten();
        self.tell(aside.unwrap_or_else(|| error.sentence(&path, &WORDS)), None);
    }

    /// Whether the file can be written again, being another one now.
    fn failed(&mut self, error: &StoreError) -> bool {
        let path = self.file.take().map_or_else(|| self.home.on_disk(), |working| working.path);
        self.retry = Instant::now() + self.pace.retry;
        if !error.kind().is_useless() {
            // What is there can still be read.
            self.tell(error.sentence(&path, &WORDS), None);
            return false;
        }
        self.shared.set_open(None);
        match sqlite::set_aside(&path, error) {
            Ok(note) => {
                let is_purged = !self.owed.is_empty();
                self.open();
                let note = if is_purged && self.owed.is_empty() {
                    format!("{} was damaged ({error}) and was thrown away; a new one was begun", path.display())
                } else {
                    note
                };
                self.tell(self.shared.told().trouble, Some(note));
            }
            Err(_) => self.tell(error.sentence(&path, &WORDS), None),
        }
        self.file.is_some()
    }

    fn tell(&self, trouble: String, note: Option<String>) {
        if let Some(note) = &note {
            warn!("{note}");
        }
        self.shared.tell(|told| {
            if told.trouble != trouble {
                if trouble.is_empty() { info!("kept answers are written again") } else { warn!("{trouble}") }
            }
            told.trouble = trouble;
            told.note = note.unwrap_or(mem::take(&mut told.note));
        });
    }

    fn close(&mut self) {
        if !self.owed.is_empty() {
            warn!("what was to be thrown away is still in the file; purge again after the next start");
        }
        let Some(working) = self.file.take() else { return };
        self.shared.set_open(None);
        if let Err(error) = self.house.finish(&working.connection, &self.home) {
            warn!("{}", error.sentence(&working.path, &WORDS));
            return;
        }
        drop(working);
        if let Err(error) = self.home.leave() {
            warn!("the memory that kept answers took is not given back: {error}");
        }
    }
}

fn make(connection: &Connection, change: &Change, hour: u64) -> Result<(), rusqlite::Error> {
    match change {
        Change::Used(key) => row::used(connection, key, hour),
        Change::Bad(key) => row::remove(connection, key),
        Change::Ask(partition, asked) => question::ask(connection, partition, asked),
        Change::Unask(key, text) => question::unask(connection, key, text),
        Change::Bar(key, bytes) => question::bar(connection, key, bytes),
        Change::BadQuestion(id) => question::remove_bad(connection, *id),
    }
}

fn throw_away(connection: &mut Connection, purge: &Purge, asked_ms: u64) -> Result<Purged, rusqlite::Error> {
    let (mut purged, mut after) = (Purged::default(), Some(0));
    while let Some(from) = after {
        let whole = connection.transaction()?;
        let named = list::named(&whole, purge, from, asked_ms)?;
        let mut delete = whole.prepare_cached("DELETE FROM answer WHERE id = ?1")?;
        for (id, size) in named.rows {
            delete.execute([id])?;
            purged = Purged { entries: purged.entries + 1, bytes: purged.bytes + size };
        }
        drop(delete);
        whole.commit()?;
        after = named.next;
    }
    Ok(purged)
}
