//! One transaction: entries with their sums, or corrections with theirs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::date::Day;
use domain::ledger::{Correction, Entry, EntryId, Sums};
use domain::price::Cost;
use rusqlite::{Connection, OptionalExtension as _};

use super::reprice::Fix;
use super::row::{self, Faces};
use super::schema;
use super::sums::{self, Whose};

/// What the writer knows of the file, so that it need not ask.
#[derive(Default)]
pub(super) struct Known {
    days: HashSet<Day>,
    faces: Faces,
}

impl Known {
    /// Another file is written, or what was written was taken back.
    pub(super) fn forget(&mut self) {
        self.days.clear();
        self.faces.forget();
    }
}

/// Writes entries, all or none. One that is there already is passed over, and counts in no sum a second time: so a batch of
/// which it is not known whether it was written may be written again.
pub(super) fn write<'e>(
    connection: &mut Connection,
    known: &mut Known,
    entries: impl Iterator<Item = &'e Entry>,
) -> Result<(), rusqlite::Error> {
    let whole = connection.transaction()?;
    let mut sums: HashMap<Whose, Sums> = HashMap::new();
    for entry in entries {
        let day = entry.id.day();
        if known.days.insert(day) {
            schema::create(&whole, day)?;
        }
        let face = known.faces.number(&whole, day, entry)?;
        if row::write(&whole, day, face, entry)? {
            let sum = sums.entry(sums::whose(day, entry)).or_default();
            *sum = sum.plus(&Sums::of(entry));
        }
    }
    for (whose, more) in sums {
        sums::change(&whole, &whose, &|sum| sum.plus(&more))?;
    }
    whole.commit()
}

/// Writes corrections beside their entries, all or none; gives the number of entries that cost something else now.
pub(super) fn correct(connection: &mut Connection, fixes: &[Fix], at_ms: u64) -> Result<u64, rusqlite::Error> {
    let whole = connection.transaction()?;
    let mut changed = 0;
    for fix in fixes {
        // Its day may have been dropped, or another reckoning may have come before this one.
        let Some((number, was)) = current(&whole, fix.id)? else { continue };
        if was == Some(fix.cost) {
            continue;
        }
        let correction = Correction { at_ms, prices: Some(Arc::clone(&fix.prices)), cost: fix.cost };
        row::correct(&whole, fix.id, number + 1, &correction)?;
        sums::change(&whole, &fix.whose, &|sum| sum.corrected(was, Some(fix.cost)))?;
        changed += 1;
    }
    whole.commit()?;
    Ok(changed)
}

/// How often an entry was corrected, and what it costs now; `None` where it is not there any more.
fn current(connection: &Connection, id: EntryId) -> Result<Option<(i64, Option<Cost>)>, rusqlite::Error> {
    if !schema::days(connection)?.contains(&id.day()) {
        return Ok(None);
    }
    let Some(first) = row::first_cost(connection, id).optional()? else { return Ok(None) };
    Ok(Some(match row::correction(connection, id.day(), id)? {
        Some((number, correction)) => (number, Some(correction.cost)),
        None => (0, first),
    }))
}
