//! Tenants and keys on disk: a small database of its own, written at once and to its end, since a revoked key that came back would be a
//! key again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::key::{KeyFacts, KeyId};
use domain::tenant::Tenant;
use rusqlite::{Connection, params};
use tracing::warn;

/// Changes when rows come to mean something else.
const VERSION: i64 = 1;

/// Longest wait for another program that holds the file.
const BUSY_MAX: Duration = Duration::from_secs(5);

const SCHEMA: &str = "CREATE TABLE tenant (name TEXT PRIMARY KEY, facts TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE key (id TEXT PRIMARY KEY, proof BLOB NOT NULL, facts TEXT NOT NULL) WITHOUT ROWID;
    PRAGMA user_version = 1;";

pub(super) struct Book {
    connection: Connection,
}

/// A key as it is kept: its proof cannot be turned back into the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) id: KeyId,
    /// HMAC-SHA256 of the whole key.
    pub(super) proof: [u8; 32],
    pub(super) facts: KeyFacts,
}

/// All that is in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct All {
    pub(super) tenants: Vec<Tenant>,
    pub(super) keys: Vec<Kept>,
}

impl Book {
    /// Opens the file, or begins it. A damaged one is put aside and said so: its keys are refused from then on.
    pub(super) fn open(path: &Path) -> Result<(Self, All), String> {
        match Self::read(path) {
            Err(rusqlite::Error::SqliteFailure(error, _)) if is_damaged(error.code) => {
                let aside = PathBuf::from(format!("{}.damaged", path.display()));
                fs::rename(path, &aside).map_err(|error| format!("{}: {error}", path.display()))?;
                warn!(
                    "{} is damaged; it is kept as {}, and tenants and keys must be made anew",
                    path.display(),
                    aside.display()
                );
                Self::read(path)
            }
            read => read,
        }
        .map_err(|error| format!("{}: {error}", path.display()))
    }

    fn read(path: &Path) -> rusqlite::Result<(Self, All)> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_MAX)?;
        connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;")?;
        match connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? {
            0 => connection.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;"))?,
            VERSION => {}
            newer => return Err(rusqlite::Error::IntegralValueOutOfRange(0, newer)),
        }
        let book = Self { connection };
        let all = book.all()?;
        Ok((book, all))
    }

    /// All that is in it.
    pub(super) fn all(&self) -> rusqlite::Result<All> {
        let mut all = All::default();
        let mut select = self.connection.prepare("SELECT facts FROM tenant")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            // What cannot be read is nobody's.
            all.tenants.extend(serde_json::from_str::<Tenant>(row.get_ref(0)?.as_str()?).ok());
        }
        let mut select = self.connection.prepare("SELECT id, proof, facts FROM key")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let id = KeyId::read(row.get_ref(0)?.as_str()?);
            let facts = serde_json::from_str::<KeyFacts>(row.get_ref(2)?.as_str()?).ok();
            if let (Some(id), Some(facts)) = (id, facts) {
                all.keys.push(Kept { id, proof: row.get(1)?, facts });
            }
        }
        Ok(all)
    }

    /// Writes tenants and keys, in the place of those of the same names; all or none.
    pub(super) fn put(&mut self, tenants: &[Tenant], keys: &[Kept]) -> Result<(), String> {
        self.change(|transaction| {
            for tenant in tenants {
                let sql = "INSERT OR REPLACE INTO tenant (name, facts) VALUES (?1, ?2)";
                transaction.prepare_cached(sql)?.execute(params![tenant.name, json(tenant)?])?;
            }
            for key in keys {
                let sql = "INSERT OR REPLACE INTO key (id, proof, facts) VALUES (?1, ?2, ?3)";
                transaction.prepare_cached(sql)?.execute(params![key.id.as_str(), key.proof, json(&key.facts)?])?;
            }
            Ok(())
        })
    }

    /// Removes a tenant; its keys must be revoked beforehand.
    pub(super) fn remove(&mut self, tenant: &str) -> Result<(), String> {
        self.change(|transaction| transaction.execute("DELETE FROM tenant WHERE name = ?1", [tenant]).map(drop))
    }

    fn change(&mut self, change: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<(), String> {
        let done = self.connection.transaction().and_then(|transaction| {
            change(&transaction)?;
            transaction.commit()
        });
        done.map_err(|error| format!("it could not be written, and nothing was changed: {error}"))
    }
}

fn json<T: serde::Serialize>(facts: &T) -> rusqlite::Result<String> {
    serde_json::to_string(facts).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn is_damaged(code: rusqlite::ErrorCode) -> bool {
    matches!(code, rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(id: &str) -> Kept {
        let facts = KeyFacts {
            id: id.to_owned(),
            tenant: "anna".to_owned(),
            label: String::new(),
            created_s: 1,
            expires_s: Some(2),
            revoked_s: None,
        };
        Kept { id: KeyId::read(id).unwrap(), proof: [7; 32], facts }
    }

    fn tenant(name: &str) -> Tenant {
        Tenant { name: name.to_owned(), groups: vec!["kids".to_owned()], devices: vec![] }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tenants.db");
        let (mut book, all) = Book::open(&path).unwrap();
        assert_eq!(all, All::default());
        book.put(&[tenant("anna"), tenant("bob")], &[kept("abcdefgh")]).unwrap();
        let revoked = Kept { facts: KeyFacts { revoked_s: Some(3), ..kept("abcdefgh").facts }, ..kept("abcdefgh") };
        book.put(&[], std::slice::from_ref(&revoked)).unwrap();
        book.remove("bob").unwrap();
        drop(book);
        let (_, all) = Book::open(&path).unwrap();
        assert_eq!(all, All { tenants: vec![tenant("anna")], keys: vec![revoked] });
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_a_newer_one_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tenants.db");
        fs::write(&path, "?".repeat(5_000)).unwrap();
        let (mut book, all) = Book::open(&path).unwrap();
        assert_eq!(all, All::default());
        assert!(dir.path().join("tenants.db.damaged").exists());
        book.put(&[tenant("anna")], &[]).unwrap();
        book.connection.execute_batch("PRAGMA user_version = 2").unwrap();
        drop(book);
        assert!(Book::open(&path).is_err());
        assert!(path.exists());
    }
}
