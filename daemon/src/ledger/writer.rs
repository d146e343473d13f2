//! Writes, on a thread of its own. What cannot be written yet waits in memory.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use domain::ledger::Entry;
use tracing::{info, warn};

use super::batch::{self, Known};
use super::house::House;
use super::reprice::Fix;
use super::schema::migrate;
use super::{Control, Job, Pace, Queue, ROWS_MAX, Shared, WORDS};
use crate::sqlite::{self, Home, Kind, Open, Plan, StoreError, Working};

/// What is whole and not ours, or written by a newer version, may be somebody's books: it is left as it is.
const PLAN: Plan = Plan { migrate, is_secret: false, is_of_no_use: |kind| kind == Kind::Damaged };

pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    home: Home,
    pace: Pace,
    file: Option<Working>,
    known: Known,
    /// When a database that failed is tried again.
    retry: Instant,
    house: House,
    generation: u64,
    /// What is not written yet.
    spool: VecDeque<Box<Entry>>,
    spool_bytes: usize,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, queue: Arc<Queue>, home: Home, pace: Pace) -> Self {
        let (house, retry, generation) = (House::new(pace.house), Instant::now(), shared.generation());
        let (known, spool) = (Known::default(), VecDeque::new());
        Self { shared, queue, home, pace, file: None, known, retry, house, generation, spool, spool_bytes: 0 }
    }

    /// Writes until it is told to close.
    pub(super) fn run(mut self) {
        let shared = self.shared.clone();
        shared.writing.work(|| self.look_after_file());
        loop {
            let batch = self.queue.take(self.pace.house.min(self.pace.retry), self.pace.gather);
            let is_last = shared.writing.work(|| {
                let is_last = self.work(batch);
                if !is_last {
                    self.look_after_file();
                }
                is_last
            });
            if is_last {
                return;
            }
        }
    }

    /// Does what was asked for, in its order; whether this was the last.
    fn work(&mut self, batch: Vec<Job>) -> bool {
        for job in batch {
            let control = match job {
                Job::Write(entry) => {
                    self.spool(entry);
                    continue;
                }
                Job::Control(control) => control,
            };
            self.write_spool();
            match control {
                Control::Flush(done) => {
                    let _ = done.send(());
                }
                Control::Correct(fixes, done) => {
                    let _ = done.send(self.correct(&fixes));
                }
                Control::Damaged(generation) => self.damaged(generation),
                Control::Close(done) => {
                    self.close();
                    let _ = done.send(());
                    return true;
                }
            }
        }
        self.write_spool();
        false
    }

    fn spool(&mut self, entry: Box<Entry>) {
        let bytes = entry.size();
        if self.spool_bytes + bytes > self.shared.settings.spool_max() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.spool_bytes += bytes;
        self.spool.push_back(entry);
    }

    fn write_spool(&mut self) {
        let mut failures = 0;
        while let (Some(working), false) = (&mut self.file, self.spool.is_empty()) {
            let count = self.spool.len().min(ROWS_MAX);
            let entries = self.spool.iter().take(count).map(|entry| &**entry);
            if let Err(error) = batch::write(&mut working.connection, &mut self.known, entries) {
                self.failed(&error.into());
                failures += 1;
                // Once more into a new file, where the old one was damaged; no more, or a bad disk would be written all the time.
                if failures > 1 {
                    return;
                }
                continue;
            }
            let bytes: usize = self.spool.drain(..count).map(|entry| entry.size()).sum();
            self.spool_bytes -= bytes;
            self.shared.written.fetch_add(count as u64, Ordering::Relaxed);
            self.house.changed();
        }
    }

    fn correct(&mut self, fixes: &[Fix]) -> Result<u64, String> {
        let now_ms = self.shared.clock.unix_ms();
        let Some(working) = &mut self.file else { return Err(self.shared.told().trouble) };
        match batch::correct(&mut working.connection, fixes, now_ms) {
            Ok(changed) => {
                self.house.changed();
                Ok(changed)
            }
            Err(error) => {
                let (error, path) = (StoreError::from(error), working.path.clone());
                self.failed(&error);
                Err(format!("the costs could not be written: {}", error.sentence(&path, &WORDS)))
            }
        }
    }

    /// Opens it, writes what waited for that, and does what is due.
    fn look_after_file(&mut self) {
        if self.house.is_due() && self.file.as_ref().is_some_and(Working::is_replaced) {
            info!("the ledger's file was replaced or removed; what is there now is used");
            (self.file, self.retry) = (None, Instant::now());
        }
        if self.file.is_none() && Instant::now() >= self.retry {
            self.open();
            self.write_spool();
        }
        let Some(working) = &self.file else { return };
        match self.house.keep(working, &self.home, &self.shared) {
            Ok(true) => self.known.forget(),
            Ok(false) => {}
            Err(error) => self.failed(&error),
        }
    }

    /// A reader found damage.
    fn damaged(&mut self, generation: u64) {
        // Others may have found it as well, and another file is in use by now.
        if generation == self.generation && self.file.is_some() {
            self.failed(&StoreError::FoundDamaged);
        }
    }

    fn open(&mut self) {
        self.known.forget();
        let opened = self.home.prepare().and_then(|(path, note)| {
            let opened = sqlite::open(&path, &PLAN)?;
            Ok((path, note.or(opened.note), opened.connection))
        });
        match opened {
            Ok((path, note, connection)) => {
                self.generation += 1;
                self.file = Some(Working { connection, identity: sqlite::identity(&path), path: path.clone() });
                self.house.changed();
                self.tell(String::new(), note);
                self.shared.set_open(Some(Open { path, generation: self.generation }));
            }
            Err(error) => {
                self.tell(error.sentence(&self.home.on_disk(), &WORDS), None);
                self.retry = Instant::now() + self.pace.retry;
            }
        }
    }

    /// The file cannot be written; one that is damaged is put aside, and another one begun.
    fn failed(&mut self, error: &StoreError) {
        self.known.forget();
        let path = self.file.take().map_or_else(|| self.home.on_disk(), |working| working.path);
        self.retry = Instant::now() + self.pace.retry;
        if error.kind() != Kind::Damaged {
            // What is there can still be read.
            self.tell(error.sentence(&path, &WORDS), None);
            return;
        }
        self.shared.set_open(None);
        match sqlite::set_aside(&path, error) {
            Ok(note) => {
                self.open();
                self.tell(self.shared.told().trouble, Some(note));
            }
            Err(_) => self.tell(error.sentence(&path, &WORDS), None),
        }
    }

    fn tell(&self, trouble: String, note: Option<String>) {
        if let Some(note) = &note {
            warn!("{note}");
        }
        self.shared.tell(|told| {
            if told.trouble != trouble {
                if trouble.is_empty() { info!("the ledger is written again") } else { warn!("{trouble}") }
            }
            told.trouble = trouble;
            told.note = note.unwrap_or(mem::take(&mut told.note));
        });
    }

    fn close(&mut self) {
        if !self.spool.is_empty() && self.file.is_none() {
            self.open();
            self.write_spool();
        }
        let left = self.spool.len() as u64;
        if left > 0 {
            self.shared.lost.fetch_add(left, Ordering::Relaxed);
            warn!("{left} requests could not be written into the ledger and are lost: {}", self.shared.told().trouble);
        }
        self.shared.set_open(None);
        let Some(working) = self.file.take() else { return };
        if let Err(error) = self.house.finish(&working.connection, &self.home) {
            warn!("{}", error.sentence(&working.path, &WORDS));
            return;
        }
        drop(working);
        if let Err(error) = self.home.leave() {
            warn!("the memory that the ledger took is not given back: {error}");
        }
    }
}
