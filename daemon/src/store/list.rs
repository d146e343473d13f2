//! What is kept, for its owner; and how what is named is found.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use domain::cache::{Entry, Key, Listed, Purge};
use domain::catalogue::Target;
use domain::surface::Surface;
use rusqlite::{Connection, Row, params};

use crate::sqlite::{StoreError, open_to_read};

/// All that an owner may know of an answer: everything but the answer.
const COLUMNS: &str = "id, scope, digest, model, asked, tenant, head, kept_ms, length, size";

/// A row without its body.
struct Seen {
    id: i64,
    key: Key,
    entry: Entry,
    length: u64,
    size: u64,
}

impl Seen {
    fn of(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        let entry = Entry {
            // Neither is looked at.
            surface: Surface::OpenaiChat,
            body: Bytes::new(),
            target: Target::new("", &row.get::<_, String>(3)?),
            model: row.get::<_, String>(4)?.into(),
            tenant: row.get::<_, String>(5)?.into(),
            head: row.get::<_, String>(6)?.into(),
            kept_ms: row.get(7)?,
            ttl: Duration::ZERO,
        };
        let key = Key { scope: row.get::<_, String>(1)?.into(), digest: row.get(2)? };
        Ok(Self { id: row.get(0)?, key, entry, length: row.get(8)?, size: row.get(9)? })
    }
}

/// The newest entries that `filter` names, or of all where it names nothing.
pub(super) fn newest(path: &Path, filter: &Purge, max: usize, now_ms: u64) -> Result<Vec<Listed>, StoreError> {
    let connection = open_to_read(path)?;
    let mut all = connection.prepare(&format!("SELECT {COLUMNS} FROM answer ORDER BY kept_ms DESC, id DESC"))?;
    let mut rows = all.query([])?;
    let mut listed = Vec::new();
    while listed.len() < max
        && let Some(row) = rows.next()?
    {
        let seen = Seen::of(row)?;
        if filter.names(&seen.key, &seen.entry, now_ms) {
            listed.push(Listed {
                name: seen.key.name(),
                scope: seen.key.scope.to_string(),
                model: seen.entry.model.to_string(),
                tenant: seen.entry.tenant.to_string(),
                head: seen.entry.head.to_string(),
                age_s: seen.entry.age(now_ms).as_secs(),
                bytes: seen.length,
            });
        }
    }
    Ok(listed)
}

/// Rows that are named, after this one: their ids and what they take. So few at once that a purge of everything takes
/// no memory; the last id to go on from comes with them, or none at the end.
pub(super) struct Named {
    pub(super) rows: Vec<(i64, u64)>,
    pub(super) next: Option<i64>,
}

/// Rows that are looked at together.
const STEP: usize = 2_000;

pub(super) fn named(connection: &Connection, purge: &Purge, after: i64, now_ms: u64) -> Result<Named, rusqlite::Error> {
    let sql = format!("SELECT {COLUMNS} FROM answer WHERE id > ?1 ORDER BY id LIMIT ?2");
    let mut select = connection.prepare_cached(&sql)?;
    let mut seen = select.query(params![after, STEP])?;
    let (mut rows, mut count, mut last) = (Vec::new(), 0, after);
    while let Some(row) = seen.next()? {
        let row = Seen::of(row)?;
        (count, last) = (count + 1, row.id);
        if purge.names(&row.key, &row.entry, now_ms) {
            rows.push((row.id, row.size));
        }
    }
    Ok(Named { rows, next: (count == STEP).then_some(last) })
}
