//! Questions that lead to a kept answer in other words, and what was learned of how like they must be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::cache::{Key, fresh_for};
use domain::semantic::Vector;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::{SEAL_BYTES, blob, number, sealed, text};

/// Most questions of one answer: of further ones the oldest goes, but never the first, with which the answer came.
const QUESTIONS_MAX: u32 = 32;
/// What a row and its places in the indexes take besides its text and its vector, in bytes.
const ROW_BYTES: usize = 100;

/// A question that leads to a kept answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    /// The answer.
    pub(crate) key: Key,
    /// The question's text; at most [`domain::semantic::TEXT_BYTES_MAX`] bytes.
    pub(crate) text: Arc<str>,
    /// What it means, as a vector.
    pub(crate) vector: Vector,
}

/// What may be compared with a question of one scope and partition.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Partition {
    /// The questions whose answers are fresh, the newest first.
    pub(crate) asked: Vec<Asked>,
    /// [`domain::semantic::Bar::to_bytes`] of their answers, where something was learned.
    pub(crate) bars: Vec<(Key, Vec<u8>)>,
}

/// What the database has of an answer by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// It is there, and fresh.
    pub(crate) is_fresh: bool,
    /// [`domain::semantic::Bar::to_bytes`], where something was learned of it.
    pub(crate) bar: Option<Vec<u8>>,
}

/// A question's row with what it needs of its answer's.
const SELECT: &str = "SELECT q.id, q.seal, q.partition, q.text, q.vector, a.scope, a.digest, a.kept_ms, a.ttl_ms, a.id, \
                      b.seal, b.bytes FROM question q CROSS JOIN answer a ON a.id = q.answer LEFT JOIN bar b ON b.answer = a.id";

/// Writes a question beside its answer, if that is there. The same text again keeps its place.
pub(super) fn ask(connection: &Connection, partition: &[u8; 32], asked: &Asked) -> Result<(), rusqlite::Error> {
    let Asked { key, text, vector } = asked;
    let Some(answer) = answer(connection, key)? else { return Ok(()) };
    let same = "DELETE FROM question WHERE answer = ?1 AND text = ?2 RETURNING id";
    let place: Option<i64> =
        connection.prepare_cached(same)?.query_row(params![answer, &**text], |row| row.get(0)).optional()?;
    let vector = vector.to_bytes();
    let (seal, size) = (seal(key, partition, text, &vector), ROW_BYTES + text.len() + vector.len());
    let insert =
        "INSERT INTO question (id, answer, size, seal, partition, text, vector) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(insert)?.execute(params![place, answer, size, seal, partition, &**text, vector])?;
    let further = "DELETE FROM question WHERE answer = ?1 AND id <> (SELECT min(id) FROM question WHERE answer = ?1)
        AND id NOT IN (SELECT id FROM question WHERE answer = ?1 ORDER BY id DESC LIMIT ?2)";
    connection.prepare_cached(further)?.execute(params![answer, QUESTIONS_MAX - 1]).map(drop)
}

/// Removes a question; its answer stays.
pub(super) fn unask(connection: &Connection, key: &Key, text: &str) -> Result<(), rusqlite::Error> {
    let Some(answer) = answer(connection, key)? else { return Ok(()) };
    let sql = "DELETE FROM question WHERE answer = ?1 AND text = ?2";
    connection.prepare_cached(sql)?.execute(params![answer, text]).map(drop)
}

/// Writes what was learned of an answer, if that is there.
pub(super) fn bar(connection: &Connection, key: &Key, bytes: &[u8]) -> Result<(), rusqlite::Error> {
    let Some(answer) = answer(connection, key)? else { return Ok(()) };
    let sql = "INSERT INTO bar (answer, seal, bytes) VALUES (?1, ?2, ?3)
        ON CONFLICT (answer) DO UPDATE SET seal = excluded.seal, bytes = excluded.bytes";
    connection.prepare_cached(sql)?.execute(params![answer, bar_seal(key, bytes), bytes]).map(drop)
}

/// Removes a question that is not as it was written; one that came into its place meanwhile stays.
pub(super) fn remove_bad(connection: &Connection, id: i64) -> Result<(), rusqlite::Error> {
    let mut select = connection.prepare_cached(&format!("{SELECT} WHERE q.id = ?1"))?;
    if select.query_row([id], |row| Ok(read(row).is_none())).optional()? == Some(true) {
        connection.prepare_cached("DELETE FROM question WHERE id = ?1")?.execute([id])?;
    }
    Ok(())
}

/// What was found of a partition.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) partition: Partition,
    /// Rows that are not as they were written.
    pub(super) bad: Vec<i64>,
}

/// The newest questions of the partition whose answers are fresh.
pub(super) fn find(
    connection: &Connection,
    scope: &str,
    partition: &[u8; 32],
    max: usize,
    now_ms: u64,
) -> Result<Found, rusqlite::Error> {
    let sql = format!("{SELECT} WHERE q.partition = ?1 AND a.scope = ?2 ORDER BY q.id DESC");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![partition, scope])?;
    let (mut found, mut bars) = (Found::default(), BTreeMap::new());
    while found.partition.asked.len() < max
        && let Some(row) = rows.next()?
    {
        let Some(asked) = read(row) else {
            found.bad.push(row.get(0)?);
            continue;
        };
        if !is_fresh(row, 7, now_ms) {
            continue;
        }
        if let Some(bytes) = read_bar(row, &asked.key) {
            bars.insert(row.get::<_, i64>(9)?, (asked.key.clone(), bytes));
        }
        found.partition.asked.push(asked);
    }
    found.partition.bars = bars.into_values().collect();
    Ok(found)
}

/// What there is of an answer, whether a question leads to it or not.
pub(super) fn standing(connection: &Connection, key: &Key, now_ms: u64) -> Result<Standing, rusqlite::Error> {
    let sql = "SELECT a.kept_ms, a.ttl_ms, b.seal, b.bytes FROM answer a LEFT JOIN bar b ON b.answer = a.id
        WHERE a.scope = ?1 AND a.digest = ?2";
    let read = |row: &Row<'_>| {
        let bar = blob(row, 3).filter(|bytes| blob(row, 2).is_some_and(|seal| seal == bar_seal(key, bytes)));
        Ok(Standing { is_fresh: is_fresh(row, 0, now_ms), bar: bar.map(<[u8]>::to_owned) })
    };
    let found = connection.prepare_cached(sql)?.query_row(params![&*key.scope, key.digest], read).optional()?;
    Ok(found.unwrap_or_default())
}

/// Whether an answer may still be given; `at` is the column of the time at which it was kept, and its lifetime is the next.
fn is_fresh(row: &Row<'_>, at: usize, now_ms: u64) -> bool {
    let (kept_ms, ttl) = (number(row, at), number(row, at + 1).map(Duration::from_millis));
    kept_ms.zip(ttl).is_some_and(|(kept_ms, ttl)| !fresh_for(kept_ms, ttl, now_ms).is_zero())
}

/// `None` for what was not written so.
fn read(row: &Row<'_>) -> Option<Asked> {
    let (partition, vector) = (blob(row, 2)?, blob(row, 4)?);
    let key = Key { scope: text(row, 5)?.into(), digest: row.get(6).ok()? };
    let text = text(row, 3)?;
    let is_sealed = blob(row, 1)? == seal(&key, partition, text, vector);
    is_sealed.then_some(Asked { key, text: text.into(), vector: Vector::read(vector)? })
}

/// A bar that is not as it was written is none: then less is known of the answer.
fn read_bar(row: &Row<'_>, key: &Key) -> Option<Vec<u8>> {
    let bytes = blob(row, 11)?;
    (blob(row, 10)? == bar_seal(key, bytes)).then(|| bytes.to_owned())
}

/// The answer's row.
fn answer(connection: &Connection, key: &Key) -> Result<Option<i64>, rusqlite::Error> {
    let sql = "SELECT id FROM answer WHERE scope = ?1 AND digest = ?2";
    connection.prepare_cached(sql)?.query_row(params![&*key.scope, key.digest], |row| row.get(0)).optional()
}

/// Over what is compared and over where it leads: a question that stands beside another answer is worthless.
fn seal(key: &Key, partition: &[u8], text: &str, vector: &[u8]) -> [u8; SEAL_BYTES] {
    sealed(&[b"question", key.scope.as_bytes(), &key.digest, partition, text.as_bytes(), vector], &[])
}

fn bar_seal(key: &Key, bytes: &[u8]) -> [u8; SEAL_BYTES] {
    sealed(&[b"bar", key.scope.as_bytes(), &key.digest, bytes], &[])
}
