//! Pairs of questions with a label: may they have the same answer? Made of the files in `tests/semantic`, the same each time.
//!
//! There are two sets. Rules and lists were written with the first before one's eyes; nothing was changed for the second.

mod edit;
mod rephrase;

use std::collections::BTreeMap;

use serde_json::Value;

/// Two texts, the first of which is kept and the second asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The question whose answer is kept.
    pub kept: String,
    /// The question that is asked.
    pub asked: String,
    /// The kept answer may be given.
    pub same: bool,
    /// Where it is from, or what was done.
    pub kind: &'static str,
    /// Pairs of one group, or of one text, have one number: texts of two numbers never ask the same.
    pub group: usize,
}

/// One of the two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// What rules were written for.
    Tuned,
    /// What nothing was changed for.
    HeldOut,
}

impl Set {
    /// Its pairs, in a fixed order.
    #[must_use]
    pub fn pairs(self) -> Vec<Pair> {
        let (groups, texts) = match self {
            Self::Tuned => (include_str!("../../semantic/tuned.jsonl"), include_str!("../../semantic/python_faq.txt")),
            Self::HeldOut => {
                (include_str!("../../semantic/held_out.jsonl"), include_str!("../../semantic/customer_questions.txt"))
            }
        };
        let mut pairs: Vec<Pair> = groups.lines().enumerate().flat_map(|(group, line)| of_group(group, line)).collect();
        let first = groups.lines().count();
        let texts: Vec<&str> = texts.lines().collect();
        for (place, text) in texts.iter().enumerate() {
            let next = texts.get((place + texts.len() / 2) % texts.len()).copied().unwrap_or_default();
            let pair = |same| {
                move |(kind, asked): (&'static str, String)| Pair {
                    kept: (*text).to_owned(),
                    asked,
                    same,
                    kind,
                    group: first + place,
                }
            };
            pairs.extend(rephrase::all(self, text).into_iter().map(pair(true)));
            pairs.extend(edit::all(self, text, next).into_iter().map(pair(false)));
        }
        pairs.retain(|pair| pair.kept != pair.asked);
        pairs
    }
}

/// The pairs of a line: all of the same two by two, and each of them with each that differs.
fn of_group(group: usize, line: &str) -> Vec<Pair> {
    let texts: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let list = |name: &str| -> Vec<&str> {
        let found = texts[name].as_array().unwrap_or_else(|| panic!("{line}: no list {name}"));
        found.iter().filter_map(Value::as_str).collect()
    };
    let (same, differ) = (list("same"), list("differ"));
    let mut pairs = Vec::new();
    for (place, kept) in same.iter().enumerate() {
        let pair =
            |asked: &&str, same, kind| Pair { kept: (*kept).to_owned(), asked: (*asked).to_owned(), same, kind, group };
        pairs.extend(same.iter().skip(place + 1).map(|asked| pair(asked, true, "written: the same")));
        pairs.extend(differ.iter().map(|asked| pair(asked, false, "written: another")));
    }
    pairs
}

/// All texts of a set, each once, with a label: those that share one may have the same answer, all others must not.
#[must_use]
pub fn labelled(pairs: &[Pair]) -> Vec<(String, usize)> {
    let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
    let mut texts: Vec<&str> = Vec::new();
    for text in pairs.iter().flat_map(|pair| [&*pair.kept, &*pair.asked]) {
        if !labels.contains_key(text) {
            labels.insert(text, texts.len());
            texts.push(text);
        }
    }
    // The lowest number of all that are the same, one pair after another until nothing changes.
    loop {
        let mut is_done = true;
        for pair in pairs.iter().filter(|pair| pair.same) {
            let (one, other) = (labels[&*pair.kept], labels[&*pair.asked]);
            if one != other {
                is_done = false;
                labels.insert(&pair.kept, one.min(other));
                labels.insert(&pair.asked, one.min(other));
            }
        }
        if is_done {
            return texts.into_iter().map(|text| (text.to_owned(), labels[text])).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_differ_has_labels_that_differ() {
        for set in [Set::Tuned, Set::HeldOut] {
            let pairs = set.pairs();
            let labels: BTreeMap<String, usize> = labelled(&pairs).into_iter().collect();
            for pair in &pairs {
                assert_eq!(labels[&pair.kept] == labels[&pair.asked], pair.same, "{} / {}", pair.kept, pair.asked);
            }
        }
    }

    #[test]
    fn the_sets_are_large_and_do_not_overlap() {
        let (tuned, held) = (Set::Tuned.pairs(), Set::HeldOut.pairs());
        for pairs in [&tuned, &held] {
            let same = pairs.iter().filter(|pair| pair.same).count();
            assert!(pairs.len() >= 2_000 && same >= 500 && pairs.len() - same >= 1_000, "{} {same}", pairs.len());
        }
        let kept: std::collections::BTreeSet<&str> = tuned.iter().map(|pair| &*pair.kept).collect();
        assert!(held.iter().all(|pair| !kept.contains(&*pair.kept)));
        assert_eq!(tuned, Set::Tuned.pairs());
    }
}
