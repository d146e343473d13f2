//! Looks entries up on a thread of its own. Whoever asks waits for some milliseconds; while a look-up hangs, nobody waits.

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::cache::{Entry, Key};
use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Shared;
use super::queue::{Change, Control, Job, Queue};
use super::row::{self, Found};
use crate::sqlite::{Busy, Open, StoreError, lock, open_to_read};

/// Look-ups that wait at most; with more, the next ones are misses.
const ASKS_MAX: usize = 256;

struct Ask {
    key: Key,
    answer: oneshot::Sender<Option<Arc<Entry>>>,
}

pub(super) struct Reader {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    asks: SyncSender<Ask>,
    asked: Mutex<Receiver<Ask>>,
    busy: Busy,
    late: Duration,
    /// Held by tests to play a slow disk.
    #[cfg(test)]
    pub(super) disk: Mutex<()>,
    #[cfg(test)]
    asked_count: AtomicU64,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, queue: Arc<Queue>, late: Duration) -> Self {
        let (asks, asked) = sync_channel(ASKS_MAX);
        Self {
            shared,
            queue,
            asks,
            asked: Mutex::new(asked),
            busy: Busy::new(),
            late,
            #[cfg(test)]
            disk: Mutex::default(),
            #[cfg(test)]
            asked_count: AtomicU64::new(0),
        }
    }

    /// Look-ups that the thread was asked for.
    #[cfg(test)]
    pub(super) fn asked(&self) -> u64 {
        self.asked_count.load(Ordering::Relaxed)
    }

    /// Whether one look-up takes longer than this.
    pub(super) fn hangs(&self, most: Duration) -> bool {
        self.busy.longer_than(most)
    }

    /// The fresh answer of this key, unless it comes late.
    pub(super) async fn find(&self, key: &Key) -> Option<Arc<Entry>> {
        if self.shared.open().is_none() || self.busy.longer_than(self.late) {
            return None;
        }
        #[cfg(test)]
        self.asked_count.fetch_add(1, Ordering::Relaxed);
        let (answer, found) = oneshot::channel();
        self.asks.try_send(Ask { key: key.clone(), answer }).ok()?;
        timeout(self.late, found).await.ok()?.ok()?
    }

    /// Answers on this thread, for as long as the reader lives.
    pub(super) fn run(&self) {
        let asked = lock(&self.asked);
        let mut file = None;
        while let Ok(ask) = asked.recv() {
            // Whoever asked may have given up while others were looked up.
            if ask.answer.is_closed() {
                continue;
            }
            let found = self.busy.work(|| self.look(&mut file, &ask.key));
            let _ = ask.answer.send(found);
        }
    }

    fn look(&self, file: &mut Option<(Open, Connection)>, key: &Key) -> Option<Arc<Entry>> {
        #[cfg(test)]
        let _disk = lock(&self.disk);
        let open = self.shared.open()?;
        let connection = match file {
            Some((known, connection)) if *known == open => connection,
            _ => {
                let connection = open_to_read(&open.path).ok()?;
                &mut file.insert((open.clone(), connection)).1
            }
        };
        match row::find(connection, key) {
            Ok(found) => self.take(key, found),
            Err(error) => {
                let error = StoreError::from(error);
                if error.kind().is_useless() {
                    self.queue.push(Job::Control(Control::Damaged(open.generation)));
                }
                *file = None;
                None
            }
        }
    }

    fn take(&self, key: &Key, found: Found) -> Option<Arc<Entry>> {
        match found {
            Found::Nothing => None,
            Found::Bad => {
                self.queue.push(Job::Change(Change::Bad(key.clone())));
                None
            }
            Found::Answer(entry, hour) => {
                if entry.fresh_for(self.shared.clock.unix_ms()).is_zero() {
                    return None;
                }
                if hour < self.shared.hour() {
                    self.queue.push(Job::Change(Change::Used(key.clone())));
                }
                Some(Arc::new(*entry))
            }
        }
    }
}
