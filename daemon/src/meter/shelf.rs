//! The counts of all subjects, by name; those that have run dry are forgotten.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::allowance::{Charge, Kind, Now, Subject};
use domain::moment::Moment;
use hashbrown::HashTable;

use super::cell::Cell;

/// All counts, in parts with a lock each, so that looking one up seldom waits for another.
pub(super) struct Shelf {
    hasher: RandomState,
    parts: Box<[Mutex<Part>]>,
    /// How many strangers of a kind one part keeps apart.
    strangers_max: usize,
}

/// By kind.
type Part = [Drawer; 5];

#[derive(Default)]
struct Drawer {
    /// By the hash of their policies and names.
    cells: HashTable<Arc<Cell>>,
    /// When it was last looked which have run dry.
    swept: Moment,
}

const PARTS: usize = 64;

/// Under this name a policy counts all strangers of a kind beyond those that are kept apart.
const CROWD: &str = "all others";

/// A drawer full of strangers is not looked through for each that comes.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl Shelf {
    pub(super) fn new(strangers_max: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            strangers_max: strangers_max.div_ceil(PARTS),
        }
    }

    /// The count of a subject, a new one if there is none. Strangers may have to share one.
    pub(super) fn cell(&self, charge: &Charge<'_>, now: Now) -> Arc<Cell> {
        // Tenants, keys and upstreams are looked up before they come here, so nobody can invent one.
        let is_known = !matches!(charge.quota.kind, Kind::Device | Kind::Model) || charge.name == CROWD;
        self.find(charge, is_known, now).unwrap_or_else(|charge| self.cell(&charge, now))
    }

    /// # Errors
    /// There are too many strangers: it is one of the crowd.
    fn find<'a>(&self, charge: &Charge<'a>, is_known: bool, now: Now) -> Result<Arc<Cell>, Charge<'a>> {
        let Charge { quota, name } = *charge;
        let hash = self.hash(&quota.policy, name);
        // There are PARTS of them. The table takes the upper and the lowest bits, so these are from between.
        let mut part = lock(&self.parts[(hash >> 32) as usize % PARTS]);
        let drawer = &mut part[quota.kind as usize];
        let is_it = |cell: &Arc<Cell>| *cell.subject.name == *name && cell.subject.policy == quota.policy;
        if let Some(cell) = drawer.cells.find(hash, is_it) {
            return Ok(Arc::clone(cell));
        }
        let is_full = |drawer: &Drawer| !is_known && drawer.cells.len() >= self.strangers_max;
        if is_full(drawer) && now.moment.since(drawer.swept) >= SWEEP_EVERY {
            self.clean(drawer, now);
        }
        if is_full(drawer) {
            return Err(Charge { name: CROWD, ..*charge });
        }
        let subject = Subject { kind: quota.kind, policy: Arc::clone(&quota.policy), name: name.into() };
        let cell = Arc::new(Cell::new(subject));
        drawer.cells.insert_unique(hash, Arc::clone(&cell), |cell| self.hash_of(cell));
        Ok(cell)
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
            cells.shrink_to(cells.len() * 2, |cell| self.hash_of(cell));
        }
        *swept = now.moment;
    }

    fn hash(&self, policy: &str, name: &str) -> u64 {
        self.hasher.hash_one((policy, name))
    }

    fn hash_of(&self, cell: &Cell) -> u64 {
        self.hash(&cell.subject.policy, &cell.subject.name)
    }
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
