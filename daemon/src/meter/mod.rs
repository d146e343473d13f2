//! Limits and budgets in memory: who may go on, and what they have used.
//!
//! A request is admitted once, for all its subjects together (tenant, key, device, model, upstream): it has room under all
//! their limits and budgets, or it is counted nowhere. Its [`Permit`] holds what it may use at most; settling puts right what
//! it did use, and dropping a permit gives back all but the fact that a request was let in.
//!
//! Each subject has a lock of its own, taken in the order of their kinds and never held across an `await`; whoever shares
//! no subject shares no lock, save for the moment of looking a subject up.

mod cell;
mod permit;
#[cfg(test)]
mod race;
mod shelf;
#[cfg(test)]
mod tests;

use std::sync::{Arc, MutexGuard};

use domain::allowance::{
    Allowance, Cause, Demand, Exceeded, Found, Kind, Notice, Now, Rules, Subject, Tally, Used, Who,
};
use domain::budget::{Account, Price, Purse};
use domain::calendar::PeriodKey;
use domain::limit::Standing;

use cell::Cell;
use permit::Part;
pub(crate) use permit::Permit;
use shelf::Shelf;

/// What all subjects have used.
pub(crate) struct Meter {
    shelf: Shelf,
}

/// A subject that is being decided on.
struct Open<'a> {
    cell: &'a Arc<Cell>,
    allowance: &'a Allowance,
    tally: MutexGuard<'a, Tally>,
}

impl Meter {
    /// Keeps count of up to `strangers_max` devices, models and upstreams of each kind that the rules do not name; any more
    /// share one count, so that nobody can fill the memory or slip through with many addresses.
    pub(crate) fn new(strangers_max: usize) -> Self {
        Self { shelf: Shelf::new(strangers_max) }
    }

    /// Lets a request in under all limits and budgets of its subjects, or counts it nowhere.
    ///
    /// # Errors
    /// It has no room: the gravest reason, and how the limits stand.
    pub(crate) fn admit(
        &self,
        who: &Who<'_>,
        demand: &Demand,
        rules: &Rules,
        now: Now,
    ) -> Result<Permit, Box<Exceeded>> {
        let subjects = Kind::ALL.map(|kind| self.subject(kind, who.name(kind)?, rules, now));
        let mut open = subjects.each_ref().map(|subject| subject.as_ref().map(Open::new));
        let is_degraded = open.iter_mut().flatten().any(|open| open.wants_local(demand.price, now).is_some());
        let held_micro_usd = demand.price.reservation(is_degraded);
        let mut refused: Option<(&Subject, Cause)> = None;
        for open in open.iter_mut().flatten() {
            let Err(cause) = open.look(demand, held_micro_usd, now) else { continue };
            if refused.is_none_or(|(_, graver)| graver.graver(cause) != graver) {
                refused = Some((&open.cell.subject, cause));
            }
        }
        match refused {
            Some((subject, cause)) => Err(refuse(subject, cause, &mut open, held_micro_usd, now)),
            None => Ok(charge(&mut open, demand, is_degraded, now)),
        }
    }

    /// Counts a request under one more subject, when it is known: the model that answers, or the upstream that is tried. One
    /// that it had before of the same kind gets back what was held there.
    ///
    /// # Errors
    /// It has no room there. A budget that wants requests to stay in the house has none for one that may leave it.
    pub(crate) fn join(
        &self,
        permit: &mut Permit,
        kind: Kind,
        name: &str,
        rules: &Rules,
        now: Now,
    ) -> Result<(), Box<Exceeded>> {
        if permit.is_of(kind, name) {
            return Ok(());
        }
        let Some(subject) = self.subject(kind, name, rules, now) else {
            permit.leave(kind);
            return Ok(());
        };
        let demand = permit.demand();
        let held_micro_usd = permit.held_micro_usd();
        let mut open = [Some(Open::new(&subject))];
        let [Some(one)] = &mut open else { return Ok(()) };
        let leaves = if permit.is_degraded() { None } else { one.wants_local(demand.price, now) };
        let looked =
            leaves.map_or_else(|| one.look(&demand, held_micro_usd, now), |account| Err(Cause::Budget(account)));
        if let Err(cause) = looked {
            return Err(refuse(&subject.0.subject, cause, &mut open, held_micro_usd, now));
        }
        let held = one.tally.take(one.allowance, &demand.needed, held_micro_usd, now);
        permit.note(one.tally.standing(one.allowance, now));
        drop(open);
        permit.enter(kind, Part { cell: subject.0, held });
        Ok(())
    }

    /// Takes over what was spent, from the ledger: at the start, and when there are new budgets. Amounts of periods that are
    /// over, and of subjects without a budget for such periods, are left out; what is known already counts once.
    pub(crate) fn restore(
        &self,
        spent_micro_usd: impl IntoIterator<Item = (Subject, PeriodKey, u64)>,
        rules: &Rules,
        now: Now,
    ) {
        for (Subject { kind, name }, key, spent) in spent_micro_usd {
            let Some((cell, allowance)) = self.subject(kind, &name, rules, now) else { continue };
            let budget = allowance.budgets.iter().find(|budget| budget.cycle == key.cycle());
            let purse = budget.and_then(|budget| Purse::restore(Arc::clone(budget), key, spent, now.unix_s));
            purse.into_iter().for_each(|purse| cell.open().restore(purse));
        }
    }

    /// What all subjects of a kind have used, by name. Each is right for itself; others may have gone on meanwhile.
    pub(crate) fn standings(&self, kind: Kind, now: Now) -> Vec<Used> {
        let mut standings: Vec<Used> = self.shelf.all(kind).iter().map(|cell| cell.used(now)).collect();
        standings.sort_by(|one, other| one.subject.name.cmp(&other.subject.name));
        standings
    }

    /// Forgets those whose counts have run dry. Call it every minute or so; strangers make room for each other anyway.
    pub(crate) fn sweep(&self, now: Now) {
        self.shelf.sweep(now);
    }

    /// The count of a subject that is limited in anything.
    fn subject<'a>(&self, kind: Kind, name: &str, rules: &'a Rules, now: Now) -> Option<(Arc<Cell>, &'a Allowance)> {
        let Found { allowance, is_named } = rules.of(kind, name)?;
        // Tenants and keys are looked up before they come here, so nobody can invent one.
        let is_known = is_named || matches!(kind, Kind::Tenant | Kind::Key);
        Some((self.shelf.cell(kind, name, is_known, now), allowance))
    }
}

impl<'a> Open<'a> {
    fn new((cell, allowance): &'a (Arc<Cell>, &'a Allowance)) -> Self {
        Self { cell, allowance, tally: cell.open() }
    }

    fn wants_local(&mut self, price: Price, now: Now) -> Option<Account> {
        self.tally.wants_local(self.allowance, price, now)
    }

    fn look(&mut self, demand: &Demand, held_micro_usd: u64, now: Now) -> Result<(), Cause> {
        self.tally.look(self.allowance, &demand.needed, held_micro_usd, now)
    }
}

/// Counts a request everywhere.
fn charge(open: &mut [Option<Open<'_>>; 5], demand: &Demand, is_degraded: bool, now: Now) -> Permit {
    let held_micro_usd = demand.price.reservation(is_degraded);
    let mut permit = Permit::new(demand.needed, held_micro_usd, is_degraded);
    for (kind, open) in Kind::ALL.into_iter().zip(open) {
        let Some(Open { cell, allowance, tally }) = open else { continue };
        if is_degraded {
            tally.tell_degraded(allowance, demand.price, now, &mut permit.notice(cell));
        }
        tally.warn(&mut permit.notice(cell));
        let held = tally.take(allowance, &demand.needed, held_micro_usd, now);
        permit.note(tally.standing(allowance, now));
        permit.pass(tally.passed_percent());
        permit.enter(kind, Part { cell: Arc::clone(cell), held });
    }
    permit
}

/// Says why a request is counted nowhere.
fn refuse(
    subject: &Subject,
    cause: Cause,
    open: &mut [Option<Open<'_>>],
    held_micro_usd: u64,
    now: Now,
) -> Box<Exceeded> {
    let (mut standing, mut notices) = (Standing::default(), Vec::new());
    for Open { cell, allowance, tally } in open.iter_mut().flatten() {
        standing.merge(tally.standing(allowance, now));
        let mut tell = |step, account| notices.push(Notice { subject: cell.subject.clone(), step, account });
        tally.tell_stopped(allowance, held_micro_usd, now, &mut tell);
    }
    Box::new(Exceeded { subject: subject.clone(), cause, standing, notices })
}
