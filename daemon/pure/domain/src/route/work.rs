//! Counts what a decision does, where tests look: scores, steps in search of an upstream, places that are sorted.

use std::cell::Cell;

thread_local! {
    static DONE: Cell<usize> = const { Cell::new(0) };
}

/// So much was done.
pub(super) fn done(steps: usize) {
    DONE.set(DONE.get() + steps);
}

/// What was done meanwhile.
pub(super) fn of(decide: impl FnOnce()) -> usize {
    let before = DONE.get();
    decide();
    DONE.get() - before
}
