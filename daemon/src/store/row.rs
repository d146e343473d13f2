//! One answer as a row: packed, and sealed so that nothing that was not written is ever read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::cache::{Entry, Key};
use domain::catalogue::Target;
use domain::surface::Surface;
use ring::digest::{Context, SHA256};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::ENTRY_BYTES_MAX;

/// Bodies of so many bytes are compressed; smaller ones gain nothing.
const PACK_MIN: usize = 256;
/// zstd's fastest usual level: the writer shares a router's cores with the requests.
const PACK_LEVEL: i32 = 1;
/// What a row and its places in the indexes take besides its texts and its body, in bytes (measured, `benches/kept`).
const ROW_BYTES: usize = 185;
/// Bytes of SHA-256 that seal a row: it has to find accidents, and the file is its owner's.
pub(super) const SEAL_BYTES: usize = 16;
/// Longest text of a row that is believed.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// How a body is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain = 0,
    Zstd = 1,
}

/// An answer, ready to be written.
pub(super) struct Packed {
    key: Key,
    entry: Arc<Entry>,
    coding: Coding,
    body: Bytes,
}

impl Packed {
    pub(super) fn new(key: Key, entry: Arc<Entry>) -> Self {
        let packed =
            if entry.body.len() < PACK_MIN { None } else { zstd::bulk::compress(&entry.body, PACK_LEVEL).ok() };
        match packed {
            Some(packed) if packed.len() < entry.body.len() => {
                Self { key, entry, coding: Coding::Zstd, body: packed.into() }
            }
            _ => Self { body: entry.body.clone(), key, entry, coding: Coding::Plain },
        }
    }

    /// What the row takes in the file, in bytes.
    fn size(&self) -> usize {
        let (key, entry) = (&self.key, &self.entry);
        let names = entry.target.upstream.len() + entry.target.model.len() + entry.model.len();
        // Scope, digest and tenant stand in an index as well.
        let twice = key.scope.len() + key.digest.len() + entry.tenant.len();
        ROW_BYTES + 2 * twice + names + entry.head.len() + self.body.len()
    }

    /// Replaces what was kept under the key; the questions that lead there stay.
    pub(super) fn write(&self, connection: &Connection, hour: u64) -> Result<(), rusqlite::Error> {
        let Self { key, entry, coding, body } = self;
        let ttl_ms = millis(entry.ttl);
        // Another answer is not the one of which questions and bars were judged: it begins without them.
        let other = "DELETE FROM answer WHERE scope = ?1 AND digest = ?2 AND (coding <> ?3 OR body <> ?4)";
        connection.prepare_cached(other)?.execute(params![&*key.scope, key.digest, *coding as u8, &body[..]])?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO answer (scope, digest, seal, surface, upstream, model, asked, tenant, head, kept_ms, ttl_ms, \
             over_s, used_h, size, length, coding, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) \
             ON CONFLICT (scope, digest) DO UPDATE SET (seal, surface, upstream, model, asked, tenant, head, kept_ms, \
             ttl_ms, over_s, used_h, size, length, coding, body) = (?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, \
             ?14 + (SELECT coalesce(sum(size), 0) FROM question WHERE answer = answer.id), ?15, ?16, ?17)",
        )?;
        insert.execute(params![
            &*key.scope,
            key.digest,
            seal(key, entry, *coding, body),
            entry.surface.name(),
            entry.target.upstream,
            entry.target.model,
            &*entry.model,
            &*entry.tenant,
            &*entry.head,
            signed(entry.kept_ms),
            signed(ttl_ms),
            signed(entry.kept_ms.saturating_add(ttl_ms) / 1_000),
            signed(hour),
            self.size(),
            entry.body.len(),
            *coding as u8,
            &body[..],
        ])?;
        Ok(())
    }
}

/// What is found under a key.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    /// The answer, and the hour in which it was last asked for.
    Answer(Box<Entry>, u64),
    /// Something that was not written so.
    Bad,
}

/// Looks a key up. Everything that is read is held against the row's seal.
pub(super) fn find(connection: &Connection, key: &Key) -> Result<Found, rusqlite::Error> {
    let mut select = connection.prepare_cached(
        "SELECT seal, surface, upstream, model, asked, tenant, head, kept_ms, ttl_ms, used_h, length, coding, body \
         FROM answer WHERE scope = ?1 AND digest = ?2",
    )?;
    let found = select.query_row(params![&*key.scope, key.digest], |row| Ok(read(row, key))).optional()?;
    Ok(match found {
        None => Found::Nothing,
        Some(None) => Found::Bad,
        Some(Some((entry, hour))) => Found::Answer(Box::new(entry), hour),
    })
}

/// `None` for what was not written so.
fn read(row: &Row<'_>, key: &Key) -> Option<(Entry, u64)> {
    let (text, number, blob) = (|column| text(row, column), |column| number(row, column), |column| blob(row, column));
    let coding = [Coding::Plain, Coding::Zstd].into_iter().find(|coding| number(11) == Some(*coding as u64))?;
    let stored = blob(12)?;
    let length = usize::try_from(number(10)?).ok().filter(|length| *length <= ENTRY_BYTES_MAX)?;
    let mut entry = Entry {
        surface: Surface::of_name(text(1)?)?,
        body: Bytes::new(),
        target: Target::new(text(2)?, text(3)?),
        model: text(4)?.into(),
        tenant: text(5)?.into(),
        head: text(6)?.into(),
        kept_ms: number(7)?,
        ttl: Duration::from_millis(number(8)?),
    };
    if blob(0)? != seal(key, &entry, coding, stored) {
        return None;
    }
    entry.body = match coding {
        Coding::Plain => Bytes::copy_from_slice(stored),
        Coding::Zstd => zstd::bulk::decompress(stored, length).ok()?.into(),
    };
    (entry.body.len() == length).then_some((entry, number(9)?))
}

/// A column's text, if it is one and not too long.
pub(super) fn text<'a>(row: &'a Row<'_>, column: usize) -> Option<&'a str> {
    let ValueRef::Text(text) = row.get_ref(column).ok()? else { return None };
    std::str::from_utf8(text).ok().filter(|text| text.len() <= TEXT_BYTES_MAX)
}

/// A column's number, if it is one without a sign.
pub(super) fn number(row: &Row<'_>, column: usize) -> Option<u64> {
    row.get::<_, i64>(column).ok().and_then(|number| u64::try_from(number).ok())
}

/// A column's bytes, if it has some.
pub(super) fn blob<'a>(row: &'a Row<'_>, column: usize) -> Option<&'a [u8]> {
    let ValueRef::Blob(blob) = row.get_ref(column).ok()? else { return None };
    Some(blob)
}

/// Notes the hour in which it was asked for.
pub(super) fn used(connection: &Connection, key: &Key, hour: u64) -> Result<(), rusqlite::Error> {
    let sql = "UPDATE answer SET used_h = ?3 WHERE scope = ?1 AND digest = ?2";
    connection.prepare_cached(sql)?.execute(params![&*key.scope, key.digest, signed(hour)]).map(drop)
}

pub(super) fn remove(connection: &Connection, key: &Key) -> Result<(), rusqlite::Error> {
    let sql = "DELETE FROM answer WHERE scope = ?1 AND digest = ?2";
    connection.prepare_cached(sql)?.execute(params![&*key.scope, key.digest]).map(drop)
}

/// Over everything that is given to somebody and everything that says to whom: a row that stands under another key than it
/// was written under is worthless.
fn seal(key: &Key, entry: &Entry, coding: Coding, stored: &[u8]) -> [u8; SEAL_BYTES] {
    let parts: [&[u8]; 9] = [
        key.scope.as_bytes(),
        entry.surface.name().as_bytes(),
        entry.target.upstream.as_bytes(),
        entry.target.model.as_bytes(),
        entry.model.as_bytes(),
        entry.tenant.as_bytes(),
        entry.head.as_bytes(),
        &key.digest,
        stored,
    ];
    sealed(&parts, &[entry.kept_ms, millis(entry.ttl), coding as u64])
}

/// The seal of these parts, in this order.
pub(super) fn sealed(parts: &[&[u8]], numbers: &[u64]) -> [u8; SEAL_BYTES] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    for number in numbers {
        context.update(&number.to_le_bytes());
    }
    let mut seal = [0; SEAL_BYTES];
    seal.copy_from_slice(&context.finish().as_ref()[..SEAL_BYTES]);
    seal
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// SQLite's numbers have a sign.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::schema::migrate;
    use super::super::tests::{clock, entry, key};
    use super::*;

    fn kept(body: &str) -> (Connection, Key, Entry) {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let (key, entry) = (key("tenant:a", 1), entry("a", body, &clock()));
        Packed::new(key.clone(), Arc::new(entry.clone())).write(&connection, 7).unwrap();
        (connection, key, entry)
    }

    fn found(connection: &Connection, key: &Key) -> Option<Entry> {
        match find(connection, key).unwrap() {
            Found::Answer(entry, _) => Some(*entry),
            Found::Nothing | Found::Bad => None,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for body in ["", "short", &"long ".repeat(10_000)] {
            let (connection, key, entry) = kept(body);
            assert_eq!(found(&connection, &key), Some(entry), "{} bytes", body.len());
            let stored: usize = connection.query_row("SELECT length(body) FROM answer", [], |row| row.get(0)).unwrap();
            assert!(stored <= body.len() && stored < 1_000, "{stored}");
        }
        let (connection, key, _) = kept("one");
        let other = Key { scope: "tenant:b".into(), ..key };
        assert!(matches!(find(&connection, &other).unwrap(), Found::Nothing));
    }

    #[test]
    fn what_was_not_written_so_is_bad() {
        for change in [
            "scope = 'tenant:b'",
            "digest = zeroblob(32)",
            "seal = zeroblob(16)",
            "surface = 'openai_completions'",
            "surface = 'telepathy'",
            "upstream = 'other'",
            "model = 'other'",
            "asked = 'other'",
            "tenant = 'b'",
            "head = 'other'",
            "kept_ms = kept_ms + 1",
            "ttl_ms = ttl_ms + 1",
            "ttl_ms = -1",
            "length = length + 1",
            "length = 1 << 40",
            "coding = 0",
            "coding = 7",
            "body = substr(body, 2)",
        ] {
            let (connection, key, _) = kept(&"long ".repeat(100));
            connection.execute(&format!("UPDATE answer SET {change}"), []).unwrap();
            let key = match change {
                "scope = 'tenant:b'" => Key { scope: "tenant:b".into(), ..key },
                "digest = zeroblob(32)" => Key { digest: [0; 32], ..key },
                _ => key,
            };
            assert!(matches!(find(&connection, &key).unwrap(), Found::Bad), "{change}");
        }
    }

    #[test]
    fn sums_follow_what_comes_and_goes() {
        let (connection, key, entry) = kept("one");
        let sums = || -> Option<(i64, i64, i64)> {
            let sql = "SELECT t.entries, t.bytes, (SELECT sum(size) FROM answer) FROM tenant t WHERE name = 'a'";
            connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional().unwrap()
        };
        let first = sums().unwrap();
        assert!(first.0 == 1 && first.1 == first.2);
        let larger = Entry { body: "larger".into(), ..entry };
        Packed::new(key.clone(), Arc::new(larger)).write(&connection, 7).unwrap();
        assert_eq!(sums().unwrap(), (1, first.1 + 3, first.1 + 3));
        remove(&connection, &key).unwrap();
        assert_eq!(sums(), None);
    }
}
