//! Leave to go on, which holds what a request may use until it is known what it did use.

use std::mem;
use std::sync::Arc;

use domain::allowance::{Demand, Held, Kind, Notice};
use domain::budget::{Account, Price, Step};
use domain::limit::{Needed, Standing};

use super::cell::Cell;

/// Admission of one request. Dropping it unsettled gives tokens and money back; that a request was let in stays counted.
pub(crate) struct Permit {
    /// By [`Kind`], in its order.
    parts: [Option<Part>; 5],
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
}

impl Permit {
    pub(super) const fn new(needed: Needed, held_micro_usd: u64, is_degraded: bool) -> Self {
        Self {
            parts: [const { None }; 5],
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
        let held = (self.needed.tokens, self.held_micro_usd);
        let mut notices = Vec::new();
        for Part { cell, held: place } in mem::take(&mut self.parts).into_iter().flatten() {
            let mut tally = cell.open();
            tally.settle(place, held, (tokens, cost_micro_usd), unix_s);
            tally.warn(&mut notice(&mut notices, &cell));
        }
        notices
    }

    /// Gives back the money that the request cannot cost any more, now that it is known where it goes.
    pub(crate) fn lower(&mut self, cost_micro_usd: u64) {
        let back = self.held_micro_usd.saturating_sub(cost_micro_usd);
        self.held_micro_usd -= back;
        for Part { cell, held } in self.parts.iter().flatten() {
            cell.open().lower(*held, back);
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

    /// What one more subject has to have room for.
    pub(super) const fn demand(&self) -> Demand {
        let price = Price { anywhere_micro_usd: self.held_micro_usd, local_micro_usd: self.held_micro_usd };
        Demand { needed: self.needed, price }
    }

    pub(super) fn is_of(&self, kind: Kind, name: &str) -> bool {
        self.parts[kind as usize].as_ref().is_some_and(|part| &*part.cell.subject.name == name)
    }

    /// Counts it under a subject, instead of another of that kind.
    pub(super) fn enter(&mut self, kind: Kind, part: Part) {
        self.leave(kind);
        self.parts[kind as usize] = Some(part);
    }

    /// Gives back what is held under a kind's subject.
    pub(super) fn leave(&mut self, kind: Kind) {
        if let Some(Part { cell, held }) = self.parts[kind as usize].take() {
            cell.open().release(held, (self.needed.tokens, self.held_micro_usd), 0);
        }
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

impl Drop for Permit {
    fn drop(&mut self) {
        Kind::ALL.into_iter().for_each(|kind| self.leave(kind));
    }
}

fn notice(notices: &mut Vec<Notice>, cell: &Cell) -> impl FnMut(Step, Account) {
    |step, account| notices.push(Notice { subject: cell.subject.clone(), step, account })
}
