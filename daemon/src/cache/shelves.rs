//! The partitions of questions that are in use, in memory; the others are in the database.

use std::collections::HashMap;

use domain::cache::Key;
use domain::semantic::{ASKED_MAX, Asked, Bar, Match, Partition};

use super::questions::{Counts, Job, Place, count};
use crate::store::{self, Store};

/// What partitions in memory may take, in bytes: 10,000 questions with vectors of 256 numbers take 8 MB.
const BYTES_MAX: usize = 32 << 20;

/// Partitions in memory: each system prompt makes one.
const PARTITIONS_MAX: usize = 1_024;

/// The partitions in memory.
pub(super) struct Shelves<'s> {
    store: &'s Store,
    counts: &'s Counts,
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

impl<'s> Shelves<'s> {
    pub(super) fn new(store: &'s Store, counts: &'s Counts) -> Self {
        Self { store, counts, partitions: HashMap::new(), turn: 0 }
    }

    /// What is in memory is read anew.
    pub(super) fn clear(&mut self) {
        self.partitions.clear();
    }

    pub(super) fn does(&mut self, job: Job) {
        match job {
            Job::Look(looked, draw, reply) => {
                // Nobody waits any more: the search would only delay others.
                if !reply.is_closed() {
                    let partition = self.partition(&looked.place);
                    let _ = reply.send(partition.look(&looked.signature, &looked.vector, &looked.goal, draw));
                }
            }
            Job::Add(place, asked, vector) => {
                self.knows_bar(&place, &asked.key);
                self.held(&place).partition.add(asked.clone(), &vector);
                self.store.ask(place.partition, store::Asked { key: asked.key, text: asked.text, vector });
            }
            Job::Learn(place, found, is_right) => self.learn(&place, &found, is_right),
            Job::Wrong(looked) => {
                if let Some(found) = self.partition(&looked.place).same(&looked.signature, &looked.vector, &looked.goal)
                {
                    count(&self.counts.said_wrong);
                    self.learn(&looked.place, &found, false);
                }
            }
            // An answer that was kept a moment ago is found in memory before it is in the database.
            Job::Missing(place, key) => {
                if self.store.standing(&key).is_ok_and(|standing| !standing.is_fresh) {
                    self.partition(&place).remove_answer(&key);
                }
            }
            Job::Gone(place, key) => self.partition(&place).remove_answer(&key),
            Job::Wake => {}
        }
    }

    /// What was learned of an answer holds also when no question leads to it any more.
    fn knows_bar(&mut self, place: &Place, key: &Key) {
        if self.held(place).partition.has_bar(key) {
            return;
        }
        if let Some(bytes) = self.store.standing(key).ok().and_then(|standing| standing.bar) {
            self.held(place).partition.set_bar(key, Bar::read(&bytes));
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

    /// Questions in memory.
    pub(super) fn len(&self) -> usize {
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
