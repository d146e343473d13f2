//! Limits and budgets in memory: who may go on, and what they have used.
//!
//! A request is admitted once, for all its subjects together: those of each policy that holds for it. It has room under all
//! their limits and budgets, or it is counted nowhere. Its [`Permit`] holds what it may use at most; settling puts right what
//! it did use, and dropping a permit gives back all but the fact that a request was let in.
//!
//! Each subject has a lock of its own, taken in the order of subjects and never held across an `await`; whoever shares
//! no subject shares no lock, save for the moment of looking a subject up.

mod cell;
mod permit;
#[cfg(test)]
mod race;
mod shelf;
#[cfg(test)]
mod tests;

use std::sync::{Arc, MutexGuard};

use domain::allowance::{Cause, Charge, Demand, Exceeded, Kind, Notice, Now, Quota, Subject, Tally, Used};
use domain::budget::{Account, Price, Purse};
use domain::calendar::PeriodKey;
use domain::limit::{Needed, Standing};

use cell::Cell;
use permit::Part;
pub(crate) use permit::Permit;
use shelf::Shelf;

/// What all subjects have used.
pub(crate) struct Meter {
    shelf: Shelf,
}

/// A subject under which a request is to count.
type Place<'a> = (Arc<Cell>, &'a Quota);

/// A subject that is being decided on.
struct Open<'a> {
    cell: &'a Arc<Cell>,
    quota: &'a Quota,
    tally: MutexGuard<'a, Tally>,
}

impl Meter {
    /// Keeps count of up to `strangers_max` devices and models of each kind; any more share one count under each policy,
    /// so that nobody can fill the memory or slip through with many addresses.
    pub(crate) fn new(strangers_max: usize) -> Self {
        Self { shelf: Shelf::new(strangers_max) }
    }

    /// Lets a request in under all limits and budgets of its subjects, or counts it nowhere.
    ///
    /// # Errors
    /// It has no room: the gravest reason, and how the limits stand.
    pub(crate) fn admit(&self, charges: &[Charge<'_>], demand: &Demand, now: Now) -> Result<Permit, Box<Exceeded>> {
        let places = self.places(charges, now);
        let mut open: Vec<Open<'_>> = places.iter().map(Open::new).collect();
        let is_degraded = open.iter_mut().any(|open| open.wants_local(demand.price, now).is_some());
        let held_micro_usd = demand.price.reservation(is_degraded);
        look(&mut open, &demand.needed, held_micro_usd, now)?;
        let mut permit = Permit::new(demand.needed, held_micro_usd, is_degraded);
        if is_degraded {
            for Open { cell, quota, tally } in &mut open {
                tally.tell_degraded(&quota.allowance, demand.price, now, &mut permit.notice(cell));
            }
        }
        charge(&mut permit, &mut open, held_micro_usd, now);
        Ok(permit)
    }

    /// Counts a request under the subjects of a place, when it is tried: the model that is to answer, and the upstream. It
    /// may cost so much there. Those of the place before get back what was held, unless they are the same.
    ///
    /// # Errors
    /// It has no room there. A budget that wants requests to stay in the house has none for one that costs something.
    pub(crate) fn join(
        &self,
        permit: &mut Permit,
        charges: &[Charge<'_>],
        held_micro_usd: u64,
        now: Now,
    ) -> Result<(), Box<Exceeded>> {
        let mut places = self.places(charges, now);
        permit.leave_place(|cell| places.iter().any(|(place, _)| Arc::ptr_eq(place, cell)));
        places.retain(|(cell, _)| !permit.is_in(cell));
        let mut open: Vec<Open<'_>> = places.iter().map(Open::new).collect();
        let price = Price { anywhere_micro_usd: held_micro_usd, local_micro_usd: held_micro_usd };
        if held_micro_usd > 0
            && let Some((cell, account)) =
                (open.iter_mut()).find_map(|open| Some((open.cell, open.wants_local(price, now)?)))
        {
            return Err(refuse(&cell.subject, Cause::Budget(account), &mut open, held_micro_usd, now));
        }
        look(&mut open, &permit.needed(), held_micro_usd, now)?;
        charge(permit, &mut open, held_micro_usd, now);
        Ok(())
    }

    /// Takes over what was spent, from the ledger: at the start, and when there are new budgets. Amounts of periods that are
    /// over, and of subjects without a budget for such periods, are left out; what is known already counts once.
    pub(crate) fn restore(&self, charge: &Charge<'_>, key: PeriodKey, spent_micro_usd: u64, now: Now) {
        let budget = charge.quota.allowance.budgets.iter().find(|budget| budget.cycle == key.cycle());
        let purse = budget.and_then(|budget| Purse::restore(Arc::clone(budget), key, spent_micro_usd, now.unix_s));
        purse.into_iter().for_each(|purse| self.shelf.cell(charge, now).open().restore(purse));
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

    /// The counts of these subjects, in the order in which they are locked. Each is there once.
    fn places<'a>(&self, charges: &[Charge<'a>], now: Now) -> Vec<Place<'a>> {
        let mut places: Vec<_> = charges.iter().map(|charge| (self.shelf.cell(charge, now), charge.quota)).collect();
        places.sort_unstable_by(|(one, _), (other, _)| one.subject.cmp(&other.subject));
        places.dedup_by(|(one, _), (other, _)| Arc::ptr_eq(one, other));
        places
    }
}

impl<'a> Open<'a> {
    fn new((cell, quota): &'a Place<'_>) -> Self {
        Self { cell, quota, tally: cell.open() }
    }

    fn wants_local(&mut self, price: Price, now: Now) -> Option<Account> {
        self.tally.wants_local(&self.quota.allowance, price, now)
    }
}

/// Whether a request has room everywhere. Nothing is counted.
///
/// # Errors
/// The gravest reason why not.
fn look(open: &mut [Open<'_>], needed: &Needed, held_micro_usd: u64, now: Now) -> Result<(), Box<Exceeded>> {
    let mut refused: Option<(&Subject, Cause)> = None;
    for Open { cell, quota, tally } in open.iter_mut() {
        let Err(cause) = tally.look(&quota.allowance, needed, held_micro_usd, now) else { continue };
        if refused.is_none_or(|(_, graver)| graver.graver(cause) != graver) {
            refused = Some((&cell.subject, cause));
        }
    }
    refused.map_or(Ok(()), |(subject, cause)| Err(refuse(subject, cause, open, held_micro_usd, now)))
}

/// Counts a request everywhere.
fn charge(permit: &mut Permit, open: &mut [Open<'_>], held_micro_usd: u64, now: Now) {
    let needed = permit.needed();
    for Open { cell, quota, tally } in open {
        tally.warn(&mut permit.notice(cell));
        let held = tally.take(&quota.allowance, &needed, held_micro_usd, now);
        permit.note(tally.standing(&quota.allowance, now));
        permit.pass(tally.passed_percent());
        permit.enter(Part { cell: Arc::clone(cell), held, held_micro_usd });
    }
}

/// Says why a request is counted nowhere.
fn refuse(subject: &Subject, cause: Cause, open: &mut [Open<'_>], held_micro_usd: u64, now: Now) -> Box<Exceeded> {
    let (mut standing, mut notices) = (Standing::default(), Vec::new());
    for Open { cell, quota, tally } in open {
        standing.merge(tally.standing(&quota.allowance, now));
        let mut tell = |step, account| notices.push(Notice { subject: cell.subject.clone(), step, account });
        tally.tell_stopped(&quota.allowance, held_micro_usd, now, &mut tell);
    }
    Box::new(Exceeded { subject: subject.clone(), cause, standing, notices })
}
