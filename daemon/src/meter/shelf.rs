//! The counts of all subjects, by name; those that have run dry are forgotten.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::allowance::{Kind, Now, Subject};
use domain::moment::Moment;
use hashbrown::HashTable;

use super::cell::Cell;

/// All counts, in parts with a lock each, so that looking one up seldom waits for another.
pub(super) struct Shelf {
    hasher: RandomState,
    parts: Box<[Mutex<Part>]>,
    /// How many strangers of a kind one part keeps apart.
    strangers_max: usize,
    /// One count of each kind for all strangers beyond.
    crowds: [Arc<Cell>; 5],
}

/// By kind.
type Part = [Drawer; 5];

#[derive(Default)]
struct Drawer {
    /// By the hash of their names.
    cells: HashTable<Arc<Cell>>,
    /// When it was last looked which have run dry.
    swept: Moment,
}

const PARTS: usize = 64;

/// A drawer full of strangers is not looked through for each that comes.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl Shelf {
    pub(super) fn new(strangers_max: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            strangers_max: strangers_max.div_ceil(PARTS),
            crowds: Kind::ALL.map(|kind| Arc::new(Cell::new(Subject { kind, name: "all others".into() }))),
        }
    }

    /// The count of a subject, a new one if there is none. Strangers may have to share one.
    pub(super) fn cell(&self, kind: Kind, name: &str, is_known: bool, now: Now) -> Arc<Cell> {
        let hash = self.hash(name);
        // There are PARTS of them. The table takes the upper and the lowest bits, so these are from between.
        let mut part = lock(&self.parts[(hash >> 32) as usize % PARTS]);
        let drawer = &mut part[kind as usize];
        if let Some(cell) = drawer.cells.find(hash, |cell| &*cell.subject.name == name) {
            return Arc::clone(cell);
        }
        let is_full = |drawer: &Drawer| !is_known && drawer.cells.len() >= self.strangers_max;
        if is_full(drawer) && now.moment.since(drawer.swept) >= SWEEP_EVERY {
            self.clean(drawer, now);
        }
        if is_full(drawer) {
            return Arc::clone(&self.crowds[kind as usize]);
        }
        let cell = Arc::new(Cell::new(Subject { kind, name: name.into() }));
        drawer.cells.insert_unique(hash, Arc::clone(&cell), |cell| self.hash(&cell.subject.name));
        cell
    }

    /// All counts of a kind.
    pub(super) fn all(&self, kind: Kind) -> Vec<Arc<Cell>> {
        let mut cells = Vec::new();
        for part in &self.parts {
            cells.extend(lock(part)[kind as usize].cells.iter().cloned());
        }
        cells
    }

    /// Forgets the counts that have run dry.
    pub(super) fn sweep(&self, now: Now) {
        for part in &self.parts {
            lock(part).iter_mut().for_each(|drawer| self.clean(drawer, now));
        }
    }

    fn clean(&self, drawer: &mut Drawer, now: Now) {
        let Drawer { cells, swept } = drawer;
        // Whoever has a second handle got it from here, under the lock that is held: nobody can get one meanwhile.
        cells.retain(|cell| Arc::strong_count(cell) > 1 || !cell.open().is_idle(now));
        if cells.len() < cells.capacity() / 4 {
            cells.shrink_to(cells.len() * 2, |cell| self.hash(&cell.subject.name));
        }
        *swept = now.moment;
    }

    fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
