//! The questions among which one is looked for: those of which everything but the text is equal.

use std::collections::HashMap;
use std::sync::Arc;

use super::bar::{Bar, Decision, Goal};
use super::gate::{Verdict, gate};
use super::signature::Signature;
use super::vector::{Near, Shelf, Vector};
use crate::cache::Key;

/// Most questions of one partition: a search takes so many times 0.15 µs. The oldest makes room.
pub const ASKED_MAX: usize = 10_000;

/// Nearest questions that are compared word by word.
const NEAREST: usize = 8;

/// What a question takes in memory besides its text and its vector, in bytes.
const ASKED_BYTES: usize = 200;

/// A question that leads to a kept answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The answer's.
    pub key: Key,
    /// What was asked.
    pub text: Arc<str>,
}

/// What comes of looking for a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// This one asks the same: its answer is given.
    Same(Match),
    /// This one may ask the same: the model is asked, and the answers are compared afterwards.
    Perhaps(Match),
    /// This one asks the same, and its answer is not given this time, but measured.
    Audit(Match),
}

/// A kept question beside the one that was looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// It.
    pub asked: Asked,
    /// The cosine of the two vectors.
    pub likeness: f32,
}

/// The questions of one partition, and what is known of their answers.
#[derive(Debug, Default)]
pub struct Partition {
    shelf: Shelf,
    /// In the shelf's order, each with a number that grows.
    asked: Vec<(u64, Asked)>,
    bars: HashMap<[u8; 32], Bar>,
    next: u64,
    bytes: usize,
}

impl Partition {
    /// Takes a question in. One that is there already, or whose vector was made by another model, is not taken.
    pub fn add(&mut self, asked: Asked, vector: &Vector) {
        if self.position(&asked.key, &asked.text).is_some() || !self.shelf.push(vector) {
            return;
        }
        self.bytes += size(&asked, vector.dimensions());
        self.asked.push((self.next, asked));
        self.next += 1;
        if self.asked.len() > ASKED_MAX {
            let oldest = (0..self.asked.len()).min_by_key(|place| self.asked.get(*place).map(|(number, _)| *number));
            oldest.into_iter().for_each(|place| self.remove_at(place));
        }
    }

    /// Takes a question out.
    pub fn remove(&mut self, key: &Key, text: &str) {
        if let Some(place) = self.position(key, text) {
            self.remove_at(place);
        }
    }

    /// Takes out all questions that lead to this answer, which is not kept any more, and what was learned of it.
    pub fn remove_answer(&mut self, key: &Key) {
        self.bars.remove(&key.digest);
        while let Some(place) = self.asked.iter().position(|(_, asked)| asked.key == *key) {
            self.remove_at(place);
        }
    }

    /// Whether something was learned of an answer.
    #[must_use]
    pub fn has_bar(&self, key: &Key) -> bool {
        self.bars.contains_key(&key.digest)
    }

    /// Puts in what was learned of an answer before, unless something was learned since.
    pub fn set_bar(&mut self, key: &Key, bar: Bar) {
        self.bars.entry(key.digest).or_insert(bar);
    }

    /// Learns that an answer was right or wrong at such a likeness; gives all that is known of it.
    pub fn learn(&mut self, key: &Key, likeness: f32, is_right: bool) -> &Bar {
        let bar = self.bars.entry(key.digest).or_default();
        bar.learn(likeness, is_right);
        bar
    }

    /// Looks for a question. `draw` is a number that was drawn evenly from 0 up to 1.
    #[must_use]
    pub fn look(&self, signature: &Signature, vector: &Vector, goal: &Goal, draw: f32) -> Option<Found> {
        let unknown = Bar::default();
        let mut perhaps = None;
        for Near { place, likeness } in self.shelf.nearest(vector, goal.judge_from, NEAREST) {
            let (_, asked) = self.asked.get(place)?;
            let found = || Match { asked: asked.clone(), likeness };
            let bar = self.bars.get(&asked.key.digest).unwrap_or(&unknown);
            let verdict = gate(&Signature::of(&asked.text), signature);
            // Nobody draws less than nothing, or as much as one.
            match bar.decide(&verdict, likeness, 1.0, goal) {
                Decision::Serve if draw < goal.audited => return Some(Found::Audit(found())),
                Decision::Serve => return Some(Found::Same(found())),
                Decision::AskAndJudge if perhaps.is_none() => perhaps = Some(Found::Perhaps(found())),
                Decision::AskAndJudge | Decision::Ask => {}
            }
        }
        perhaps
    }

    /// The question whose answer is given for this one; or else the nearest that asks the same by its words, whatever is known of
    /// its answer.
    #[must_use]
    pub fn same(&self, signature: &Signature, vector: &Vector, goal: &Goal) -> Option<Match> {
        // As long as there is one to give, it is not the nearest that was given where that one was wrong before.
        if let Some(Found::Same(found)) = self.look(signature, vector, goal, 1.0) {
            return Some(found);
        }
        self.shelf.nearest(vector, goal.at_least, NEAREST).into_iter().find_map(|Near { place, likeness }| {
            let (_, asked) = self.asked.get(place)?;
            let is_same = gate(&Signature::of(&asked.text), signature) == Verdict::Same;
            is_same.then(|| Match { asked: asked.clone(), likeness })
        })
    }

    /// How many questions there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.asked.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// What it takes in memory, in bytes; roughly.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn position(&self, key: &Key, text: &str) -> Option<usize> {
        self.asked.iter().position(|(_, asked)| *asked.text == *text && asked.key == *key)
    }

    fn remove_at(&mut self, place: usize) {
        self.shelf.swap_remove(place);
        let (_, asked) = self.asked.swap_remove(place);
        self.bytes = self.bytes.saturating_sub(size(&asked, self.shelf.dimensions()));
    }
}

fn size(asked: &Asked, dimensions: usize) -> usize {
    ASKED_BYTES + asked.text.len() + 2 * dimensions
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOAL: Goal = Goal { error_max: 0.005, at_least: 0.8, judge_from: 0.75, audited: 0.02, judges_open: true };

    fn asked(number: u8, text: &str) -> Asked {
        Asked { key: Key { scope: "house".into(), digest: [number; 32] }, text: text.into() }
    }

    /// A vector whose cosine with (1, 0) is this.
    fn vector(likeness: f32) -> Vector {
        Vector::of(&[likeness, (1.0 - likeness * likeness).sqrt()]).unwrap()
    }

    fn look(partition: &Partition, text: &str, draw: f32) -> Option<(&'static str, u8)> {
        let found = partition.look(&Signature::of(text), &vector(1.0), &GOAL, draw)?;
        Some(match found {
            Found::Same(found) => ("same", found.asked.key.digest[0]),
            Found::Perhaps(found) => ("perhaps", found.asked.key.digest[0]),
            Found::Audit(found) => ("audit", found.asked.key.digest[0]),
        })
    }

    #[test]
    fn the_nearest_that_asks_the_same_is_found() {
        let mut partition = Partition::default();
        partition.add(asked(1, "How do I boil three eggs?"), &vector(0.99));
        partition.add(asked(2, "How do I cook an egg properly?"), &vector(0.97));
        partition.add(asked(3, "how do I boil an egg"), &vector(0.95));
        partition.add(asked(4, "How do I boil an egg"), &vector(0.7));
        let text = "How can I boil an egg, please?";
        assert_eq!(look(&partition, text, 0.5), Some(("same", 3)), "not the one with three, nor one that is open");
        assert_eq!(look(&partition, text, 0.01), Some(("audit", 3)));
        partition.learn(&asked(3, "").key, 0.96, false);
        assert_eq!(look(&partition, text, 0.5), Some(("perhaps", 2)), "it was wrong");
        partition.remove(&asked(2, "").key, "How do I cook an egg properly?");
        assert_eq!(look(&partition, text, 0.5), Some(("perhaps", 3)));
        partition.remove_answer(&asked(3, "").key);
        assert_eq!((look(&partition, text, 0.5), partition.len()), (None, 2));
        let same = partition.same(&Signature::of("Boil an egg?"), &vector(0.7), &GOAL);
        assert!(same.is_none_or(|same| same.asked.key.digest[0] == 4));
    }

    #[test]
    fn what_was_wrong_is_named_all_the_same() {
        let mut partition = Partition::default();
        partition.add(asked(3, "how do I boil an egg"), &vector(0.95));
        partition.learn(&asked(3, "").key, 0.96, false);
        let signature = Signature::of("How do I boil an egg?");
        let same = partition.same(&signature, &vector(1.0), &GOAL).unwrap();
        assert!((same.likeness - 0.95).abs() < 1e-3, "{}", same.likeness);
        assert_eq!(partition.same(&Signature::of("How do I boil two eggs?"), &vector(1.0), &GOAL), None);
        // Another one is given instead of it: that is the one that is meant.
        partition.add(asked(4, "how can I boil an egg"), &vector(0.93));
        assert_eq!(partition.same(&signature, &vector(1.0), &GOAL).map(|same| same.asked.key.digest[0]), Some(4));
    }

    #[test]
    fn what_is_learned_is_read_back() {
        let mut partition = Partition::default();
        partition.add(asked(3, "how do I boil an egg"), &vector(0.95));
        let bytes = partition.learn(&asked(3, "").key, 0.99, false).to_bytes();
        let mut again = Partition::default();
        again.add(asked(3, "how do I boil an egg"), &vector(0.95));
        assert_eq!(look(&again, "How do I boil an egg?", 0.5), Some(("same", 3)));
        again.set_bar(&asked(3, "").key, Bar::read(&bytes));
        assert_eq!(look(&again, "How do I boil an egg?", 0.5), Some(("perhaps", 3)));
    }

    #[test]
    fn a_partition_is_bounded() {
        let mut partition = Partition::default();
        for number in 0..ASKED_MAX + 5 {
            partition.add(asked(1, &format!("question {number}")), &vector(0.9));
        }
        partition.add(asked(1, &format!("question {ASKED_MAX}")), &vector(0.9));
        partition.add(asked(1, "of another model"), &Vector::of(&[1.0, 0.0, 0.0]).unwrap());
        assert_eq!(partition.len(), ASKED_MAX);
        let is_there = |number: usize| partition.position(&asked(1, "").key, &format!("question {number}")).is_some();
        assert!(!is_there(4) && is_there(5) && is_there(ASKED_MAX));
        partition.remove_answer(&asked(1, "").key);
        assert_eq!((partition.len(), partition.bytes(), partition.is_empty()), (0, 0, true));
    }
}
