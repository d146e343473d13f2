//! An entry as a row, and back.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::date::Day;
use domain::ledger::{Correction, Entry, EntryId, Estimated, Label, Text};
use domain::money::MicroUsd;
use domain::price::{Cost, Prices, Unknown};
use domain::usage::{Saved, Usage};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::schema::of_day;

/// The columns that [`read`] expects.
pub(super) const COLUMNS: &str = "id, face, input, output, cached_read, cache_write, reasoning, saved_input, saved_output, \
                                  images, estimated, cost, unknown, saved, queue_ms, first_token_ms, total_ms, bytes_out";

/// A count as it can be written.
fn count(number: u64) -> i64 {
    number.min(Entry::COUNT_MAX).cast_signed()
}

fn millis(duration: Duration) -> i64 {
    count(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Writes an entry; false if it was there already.
pub(super) fn write(connection: &Connection, day: Day, face: i64, entry: &Entry) -> Result<bool, rusqlite::Error> {
    let sql = format!(
        "INSERT OR IGNORE INTO day_DAY ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
         ?16, ?17, ?18)"
    );
    let (usage, known) = (&entry.usage, |tokens: Option<u64>| tokens.map(count));
    let added = connection.prepare_cached(&of_day(&sql, day))?.execute(params![
        entry.id.number(),
        face,
        known(usage.input),
        known(usage.output),
        known(usage.cached_read),
        known(usage.cache_write),
        known(usage.reasoning),
        usage.saved.map(|saved| count(saved.input)),
        usage.saved.map(|saved| count(saved.output)),
        count(entry.images),
        u8::from(entry.estimated.input) | u8::from(entry.estimated.output) << 1,
        entry.cost.map(|cost| cost.micro_usd.0),
        entry.cost.unwrap_or_default().unknown.bits(),
        entry.saved.map(|saved| saved.0),
        millis(entry.queue),
        entry.first_token.map(millis),
        millis(entry.total),
        count(entry.bytes_out),
    ])?;
    Ok(added > 0)
}

/// Reads a row with [`COLUMNS`]; `face` is an entry with the words of the row's face.
pub(super) fn read(row: &Row<'_>, face: &Entry) -> Result<Entry, rusqlite::Error> {
    let saved = row.get::<_, Option<u64>>(7)?.zip(row.get(8)?).map(|(input, output)| Saved { input, output });
    let estimated: u8 = row.get(10)?;
    let first_token: Option<u64> = row.get(15)?;
    Ok(Entry {
        id: EntryId::from_number(row.get(0)?),
        usage: Usage {
            input: row.get(2)?,
            output: row.get(3)?,
            cached_read: row.get(4)?,
            cache_write: row.get(5)?,
            reasoning: row.get(6)?,
            saved,
        },
        estimated: Estimated { input: estimated & 1 != 0, output: estimated & 2 != 0 },
        images: row.get(9)?,
        cost: cost(row.get(11)?, row.get(12)?),
        saved: row.get::<_, Option<i64>>(13)?.map(MicroUsd),
        queue: Duration::from_millis(row.get(14)?),
        first_token: first_token.map(Duration::from_millis),
        total: Duration::from_millis(row.get(16)?),
        bytes_out: row.get(17)?,
        ..face.clone()
    })
}

fn cost(micro_usd: Option<i64>, unknown: u8) -> Option<Cost> {
    Some(Cost { micro_usd: MicroUsd(micro_usd?), unknown: Unknown::from_bits(unknown) })
}

/// What an entry was reckoned to cost first; fails with "no rows" where it is not there.
pub(super) fn first_cost(connection: &Connection, id: EntryId) -> Result<Option<Cost>, rusqlite::Error> {
    let sql = of_day("SELECT cost, unknown FROM day_DAY WHERE id = ?1", id.day());
    connection.prepare_cached(&sql)?.query_row([id.number()], |row| Ok(cost(row.get(0)?, row.get(1)?)))
}

/// The last correction of an entry, with its number.
pub(super) fn correction(
    connection: &Connection,
    day: Day,
    id: EntryId,
) -> Result<Option<(i64, Correction)>, rusqlite::Error> {
    let sql = "SELECT number, at_ms, prices, cost, unknown FROM fix_DAY WHERE entry = ?1 ORDER BY number DESC LIMIT 1";
    connection
        .prepare_cached(&of_day(sql, day))?
        .query_row([id.number()], |row| {
            let prices = Prices::from_line(&row.get::<_, String>(2)?).map(Arc::new);
            let cost = cost(Some(row.get(3)?), row.get(4)?).unwrap_or_default();
            Ok((row.get(0)?, Correction { at_ms: row.get(1)?, prices, cost }))
        })
        .optional()
}

/// Writes another correction of an entry.
pub(super) fn correct(
    connection: &Connection,
    id: EntryId,
    number: i64,
    correction: &Correction,
) -> Result<(), rusqlite::Error> {
    let sql = "INSERT INTO fix_DAY (entry, number, at_ms, prices, cost, unknown) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let line = correction.prices.as_ref().map(|prices| prices.to_line());
    let (amount, unknown) = (correction.cost.micro_usd.0, correction.cost.unknown.bits());
    connection.prepare_cached(&of_day(sql, id.day()))?.execute(params![
        id.number(),
        number,
        correction.at_ms.cast_signed(),
        line.unwrap_or_default(),
        amount,
        unknown
    ])?;
    Ok(())
}

/// An entry with the words of a face and nothing else.
pub(super) fn face(connection: &Connection, day: Day, id: i64) -> Result<Entry, rusqlite::Error> {
    let sql = of_day("SELECT words FROM face_DAY WHERE id = ?1", day);
    let words: String = connection.prepare_cached(&sql)?.query_row([id], |row| row.get(0))?;
    Ok(entry_of(&words))
}

/// What entries say in words, as the text that stands for it.
fn words(entry: &Entry) -> String {
    let prices = entry.prices.as_ref().map(|prices| prices.to_line()).unwrap_or_default();
    let all: [&str; 13] = [
        &entry.tenant,
        &entry.key,
        &entry.app,
        &entry.client,
        &entry.surface,
        &entry.asked,
        &entry.upstream,
        &entry.answered,
        &entry.lane,
        &entry.outcome,
        &entry.cache,
        &entry.reason,
        &prices,
    ];
    serde_json::Value::from(all.as_slice()).to_string()
}

fn entry_of(words: &str) -> Entry {
    // Whatever is no longer a word is empty.
    let all: Vec<String> = serde_json::from_str(words).unwrap_or_default();
    let mut all = all.into_iter();
    let mut next = || all.next().unwrap_or_default();
    macro_rules! take {
        ($entry:ident, $($field:ident: $kind:expr),*) => { $( $entry.$field = $kind(next()); )* };
    }
    let mut entry = Entry::new(EntryId::from_number(0));
    let (text, label) = (|word: String| Text::new(word), |word: String| -> Label { Cow::Owned(word) });
    take!(entry, tenant: text, key: text, app: text, client: text, surface: label, asked: text, upstream: text);
    take!(entry, answered: text, lane: label, outcome: label, cache: label, reason: text);
    entry.prices = Prices::from_line(&next()).map(Arc::new);
    entry
}

/// Most faces whose numbers are known without asking.
const FACES_MAX: usize = 2_048;

/// The numbers of faces that were written lately.
#[derive(Default)]
pub(super) struct Faces {
    known: HashMap<(Day, String), i64>,
}

impl Faces {
    /// The number of an entry's face, which is written if it is not there.
    pub(super) fn number(&mut self, connection: &Connection, day: Day, entry: &Entry) -> Result<i64, rusqlite::Error> {
        let key = (day, words(entry));
        if let Some(number) = self.known.get(&key) {
            return Ok(*number);
        }
        let find = of_day("SELECT id FROM face_DAY WHERE words = ?1", day);
        let find = || connection.prepare_cached(&find)?.query_row([&key.1], |row| row.get::<_, i64>(0)).optional();
        let number = if let Some(number) = find()? {
            number
        } else {
            let insert = of_day("INSERT INTO face_DAY (words) VALUES (?1)", day);
            connection.prepare_cached(&insert)?.execute([&key.1])?;
            connection.last_insert_rowid()
        };
        if self.known.len() >= FACES_MAX {
            self.known.clear();
        }
        self.known.insert(key, number);
        Ok(number)
    }

    /// What was written is not there any more.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }
}
