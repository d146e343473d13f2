//! The best few of many places: a thousand candidates need no room for a thousand, and no sorting of a thousand.

use super::score::Score;
use crate::surface::Surface;

/// By what a place is put in its order, and its number within its tier.
pub(super) type Rank = ((usize, u8, [u64; 2]), usize);

/// A place with its rank, and what was found out about it.
pub(super) type Ranked = (Rank, (Surface, Score));

/// Keeps the best of those that it is shown.
#[derive(Debug)]
pub(super) struct Best {
    most: usize,
    kept: Vec<Ranked>,
    /// The rank that a further one must be better than, once so many are kept.
    worst: Option<Rank>,
}

impl Best {
    /// Keeps so many.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, kept: Vec::new(), worst: None }
    }

    /// Takes one, if it is better than the worst of those that are kept.
    pub(super) fn take(&mut self, rank: Rank, found: (Surface, Score)) {
        if self.worst.is_some_and(|worst| rank >= worst) {
            return;
        }
        self.kept.push((rank, found));
        // They are sorted out now and then, so that each one costs a part of that only.
        if self.kept.len() >= self.most.saturating_mul(4) {
            self.sort_out();
        }
    }

    /// Those that are left, best first.
    pub(super) fn sorted(mut self) -> Vec<Ranked> {
        self.sort_out();
        self.kept
    }

    fn sort_out(&mut self) {
        #[cfg(test)]
        super::work::done(self.kept.len());
        self.kept.sort_unstable_by_key(|(rank, _)| *rank);
        self.kept.truncate(self.most);
        self.worst = self.kept.last().filter(|_| self.kept.len() >= self.most).map(|(rank, _)| *rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_best_are_those_that_a_sort_puts_first(keys in prop::collection::vec(0_u64..50, 0..300), most in 1_usize..20) {
            let ranks: Vec<Rank> = keys.iter().enumerate().map(|(number, key)| ((0, 0, [*key, 0]), number)).collect();
            let mut best = Best::new(most);
            ranks.iter().for_each(|rank| best.take(*rank, (Surface::OpenaiChat, Score::default())));
            prop_assert!(best.kept.len() <= most * 4);
            let kept: Vec<Rank> = best.sorted().into_iter().map(|(rank, _)| rank).collect();
            let mut want = ranks;
            want.sort_unstable();
            want.truncate(most);
            prop_assert_eq!(kept, want);
        }
    }
}
