//! Leave to go on, which holds what a request may use until it is known what it did use.

use std::mem;
use std::sync::Arc;

use domain::allowance::{Held, Notice};
use domain::budget::{Account, Step};
use domain::limit::{Needed, Standing};

use super::cell::Cell;

/// Admission of one request. Dropping it unsettled gives tokens and money back; that a request was let in stays counted.
pub(crate) struct Permit {
    parts: Vec<Part>,
    needed: Needed,
    held_micro_usd: u64,
    is_degraded: bool,
    passed_percent: Option<u8>,
    standing: Standing,
    notices: Vec<Notice>,
}

/// Where a request is counted.
pub(super) struct Part {
    pub(super) cell: Arc<Cell>,
    pub(super) held: Held,
    /// What it may cost there, in millionths of a US dollar.
    pub(super) held_micro_usd: u64,
}

impl Permit {
    pub(super) const fn new(needed: Needed, held_micro_usd: u64, is_degraded: bool) -> Self {
        Self {
            parts: Vec::new(),
            needed,
            held_micro_usd,
            is_degraded,
            passed_percent: None,
            standing: Standing { requests: None, tokens: None },
            notices: Vec::new(),
        }
    }

    /// Puts right what was used, and returns which soft limits that passed. Money counts in the period of `unix_s`.
    pub(crate) fn settle(mut self, tokens: u64, cost_micro_usd: u64, unix_s: i64) -> Vec<Notice> {
        let mut notices = Vec::new();
        for Part { cell, held, held_micro_usd } in mem::take(&mut self.parts) {
            let mut tally = cell.open();
            tally.settle(held, (self.needed.tokens, held_micro_usd), (tokens, cost_micro_usd), unix_s);
            tally.warn(&mut notice(&mut notices, &cell));
        }
        notices
    }

    /// Gives back the money that the request cannot cost any more, now that it is known where it goes.
    pub(crate) fn lower(&mut self, cost_micro_usd: u64) {
        self.held_micro_usd = self.held_micro_usd.min(cost_micro_usd);
        for Part { cell, held, held_micro_usd } in &mut self.parts {
            let back = held_micro_usd.saturating_sub(cost_micro_usd);
            if back > 0 {
                *held_micro_usd -= back;
                cell.open().lower(*held, back);
            }
        }
    }

    /// Whether a budget wants the request to be served in the house.
    pub(crate) const fn is_degraded(&self) -> bool {
        self.is_degraded
    }

    /// What the owner should know, each once in a period: soft limits that are passed, and that requests stay in the house.
    pub(crate) fn warnings(&self) -> &[Notice] {
        &self.notices
    }

    /// The highest soft limit that any budget of the request has passed, for a header on every answer.
    pub(crate) const fn passed_percent(&self) -> Option<u8> {
        self.passed_percent
    }

    /// How the scarcest limits stood when it was let in, for headers.
    pub(crate) const fn standing(&self) -> Standing {
        self.standing
    }

    /// The money that is held for it, in millionths of a US dollar.
    pub(crate) const fn held_micro_usd(&self) -> u64 {
        self.held_micro_usd
    }

    pub(super) const fn needed(&self) -> Needed {
        self.needed
    }

    pub(super) fn is_in(&self, cell: &Arc<Cell>) -> bool {
        self.parts.iter().any(|part| Arc::ptr_eq(&part.cell, cell))
    }

    pub(super) fn enter(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// Gives back what is held under subjects of a place, save for those that are still its own.
    pub(super) fn leave_place(&mut self, is_still: impl Fn(&Arc<Cell>) -> bool) {
        let goes = |part: &mut Part| part.cell.subject.kind.is_of_place() && !is_still(&part.cell);
        let tokens = self.needed.tokens;
        self.parts.extract_if(.., goes).for_each(|part| part.release(tokens));
    }

    pub(super) fn note(&mut self, standing: Standing) {
        self.standing.merge(standing);
    }

    pub(super) fn pass(&mut self, percent: Option<u8>) {
        self.passed_percent = self.passed_percent.max(percent);
    }

    /// Notes what the owner should know of a subject's budgets.
    pub(super) fn notice(&mut self, cell: &Cell) -> impl FnMut(Step, Account) {
        notice(&mut self.notices, cell)
    }
}

impl Part {
    fn release(&self, tokens: u64) {
        self.cell.open().release(self.held, (tokens, self.held_micro_usd), 0);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let tokens = self.needed.tokens;
        self.parts.drain(..).for_each(|part| part.release(tokens));
    }
}

fn notice(notices: &mut Vec<Notice>, cell: &Cell) -> impl FnMut(Step, Account) {
    |step, account| notices.push(Notice { subject: cell.subject.clone(), step, account })
}
