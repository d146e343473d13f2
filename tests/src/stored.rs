//! Checks a database of kept answers from outside: it opens, no entry is half, and none belongs to another scope.
//!
//! What the daemon writes is read here by other code, which shares nothing with it but the description of the file.

use std::fs;
use std::path::Path;

use ring::digest::{Context, SHA256};
use rusqlite::{Connection, Row};

/// What stands in a sound database.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Scope and answer of each entry.
    pub entries: Vec<(String, String)>,
}

/// Checks the file and its log as a daemon left them, on a copy: nothing is changed there.
///
/// # Errors
/// What is wrong.
pub fn check(file: &Path) -> Result<Stored, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    for end in ["", "-wal"] {
        let (from, to) = (format!("{}{end}", file.display()), folder.path().join(format!("cache.db{end}")));
        match fs::copy(&from, to) {
            Err(error) if end.is_empty() => return Err(format!("{from}: {error}")),
            _ => {}
        }
    }
    check_copy(&folder.path().join("cache.db")).map_err(|error| error.to_string())?
}

fn check_copy(file: &Path) -> rusqlite::Result<Result<Stored, String>> {
    let connection = Connection::open(file)?;
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if sound != "ok" {
        return Ok(Err(format!("the file is not sound: {sound}")));
    }
    if connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? == 0 {
        // It was not even begun.
        return Ok(Ok(Stored::default()));
    }
    let mut select = connection.prepare("SELECT * FROM answer ORDER BY id")?;
    let mut rows = select.query([])?;
    let mut stored = Stored::default();
    while let Some(row) = rows.next()? {
        match entry(row)? {
            Ok(entry) => stored.entries.push(entry),
            Err(wrong) => return Ok(Err(wrong)),
        }
    }
    if let Some(wrong) = questions(&connection)? {
        return Ok(Err(wrong));
    }
    let sums = "SELECT (SELECT coalesce(sum(entries), 0) FROM tenant) = (SELECT count(*) FROM answer)
        AND (SELECT coalesce(sum(bytes), 0) FROM tenant) = (SELECT coalesce(sum(size), 0) FROM answer)";
    let is_summed_up: bool = connection.query_row(sums, [], |row| row.get(0))?;
    Ok(if is_summed_up { Ok(stored) } else { Err("the sums of the tenants are wrong".to_owned()) })
}

/// What is wrong with the questions that lead to answers.
fn questions(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT q.id, q.seal, a.scope, a.digest, q.partition, q.text, q.vector FROM question q LEFT JOIN answer a
        ON a.id = q.answer";
    let mut select = connection.prepare(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let Some(scope) = row.get::<_, Option<String>>(2)? else {
            return Ok(Some(format!("question {id} leads to no answer")));
        };
        let bytes = |column| row.get::<_, Vec<u8>>(column);
        let text: String = row.get(5)?;
        let mut context = Context::new(&SHA256);
        for part in [&b"question"[..], scope.as_bytes(), &bytes(3)?, &bytes(4)?, text.as_bytes(), &bytes(6)?] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        if bytes(1)? != context.finish().as_ref()[..16] {
            return Ok(Some(format!("question {id} of {scope} is not what was sealed")));
        }
    }
    let lost = "SELECT count(*) FROM bar WHERE answer NOT IN (SELECT id FROM answer)";
    let lost: i64 = connection.query_row(lost, [], |row| row.get(0))?;
    Ok((lost > 0).then(|| format!("{lost} bars belong to no answer")))
}

/// Scope and answer of a row that is whole.
fn entry(row: &Row<'_>) -> rusqlite::Result<Result<(String, String), String>> {
    let text = |name: &str| row.get::<_, String>(name);
    let (scope, id) = (text("scope")?, row.get::<_, i64>("id")?);
    let (stored, coding): (Vec<u8>, u64) = (row.get("body")?, row.get("coding")?);
    let mut context = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_le_bytes());
        context.update(bytes);
    };
    for name in ["scope", "surface", "upstream", "model", "asked", "tenant", "head"] {
        part(text(name)?.as_bytes());
    }
    part(&row.get::<_, Vec<u8>>("digest")?);
    part(&stored);
    for number in [row.get::<_, u64>("kept_ms")?, row.get("ttl_ms")?, coding] {
        context.update(&number.to_le_bytes());
    }
    if row.get::<_, Vec<u8>>("seal")? != context.finish().as_ref()[..16] {
        return Ok(Err(format!("entry {id} of {scope} is not what was sealed")));
    }
    let length: usize = row.get("length")?;
    let body = if coding == 1 { zstd::bulk::decompress(&stored, length).unwrap_or_default() } else { stored };
    if body.len() != length {
        return Ok(Err(format!("entry {id} of {scope} has {} bytes of {length}", body.len())));
    }
    Ok(match String::from_utf8(body) {
        Ok(body) if serde_json::from_str::<serde_json::Value>(&body).is_ok() => Ok((scope, body)),
        _ => Err(format!("entry {id} of {scope} is no whole answer")),
    })
}
