//! The newest entries, page by page.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use domain::ledger::{Entry, EntryId, Filter, Page};
use rusqlite::Connection;

use super::row;
use super::schema::{self, of_day};

/// Most rows that are looked at for one page: about a tenth of a second. A page that is not full by then tells where to go on.
const LOOKS_MAX: u32 = 200_000;

/// The newest entries before `after` that `filter` names, at most `max`.
pub(super) fn newest(
    connection: &Connection,
    filter: &Filter,
    after: Option<EntryId>,
    max: usize,
) -> Result<Page, rusqlite::Error> {
    let mut ids = filter.ids();
    ids.end = after.map_or(ids.end, |after| after.min(ids.end));
    let mut found = Page::default();
    let mut looks = 0;
    for day in schema::days(connection)?.into_iter().rev() {
        if day > ids.end.day() || day < ids.start.day() {
            continue;
        }
        let sql = format!("SELECT {} FROM day_DAY WHERE id >= ?1 AND id < ?2 ORDER BY id DESC", row::COLUMNS);
        let mut select = connection.prepare_cached(&of_day(&sql, day))?;
        let mut rows = select.query([ids.start.number(), ids.end.number()])?;
        let mut faces: HashMap<i64, Option<Entry>> = HashMap::new();
        while let Some(seen) = rows.next()? {
            looks += 1;
            let number = seen.get(1)?;
            let face = match faces.entry(number) {
                Slot::Occupied(known) => known.into_mut(),
                Slot::Vacant(slot) => {
                    let face = row::face(connection, day, number)?;
                    slot.insert(filter.names(&face).then_some(face))
                }
            };
            let id = EntryId::from_number(seen.get(0)?);
            if let Some(face) = face {
                let correction = row::correction(connection, day, id)?;
                let correction = correction.map(|(_, correction)| Arc::new(correction));
                found.entries.push(Entry { correction, ..row::read(seen, face)? });
            }
            if found.entries.len() >= max || looks >= LOOKS_MAX {
                found.next = Some(id);
                return Ok(found);
            }
        }
    }
    Ok(found)
}
