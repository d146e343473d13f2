//! The tables, and how older ones become these.

use rusqlite::Connection;

use crate::sqlite::{StoreError, Version, step_up};

/// Marks the file as ours: `Airl`.
const APPLICATION_ID: i64 = 0x4169_726c;

/// The step that leads from each version to the next. What has been released is never changed, only added to.
const STEPS: [&str; 2] = [
    // The body comes last, so that the rest of a row can be read without it. What a tenant takes is summed up as it comes and
    // goes, since to add it up would read everything.
    "CREATE TABLE answer (
        id INTEGER PRIMARY KEY,
        scope TEXT NOT NULL,
        digest BLOB NOT NULL,
        seal BLOB NOT NULL,
        surface TEXT NOT NULL,
        upstream TEXT NOT NULL,
        model TEXT NOT NULL,
        asked TEXT NOT NULL,
        tenant TEXT NOT NULL,
        head TEXT NOT NULL,
        kept_ms INTEGER NOT NULL,
        ttl_ms INTEGER NOT NULL,
        over_s INTEGER NOT NULL,
        used_h INTEGER NOT NULL,
        size INTEGER NOT NULL,
        length INTEGER NOT NULL,
        coding INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX answer_key ON answer (scope, digest);
    CREATE INDEX answer_over ON answer (over_s);
    CREATE INDEX answer_use ON answer (tenant, used_h);
    CREATE TABLE tenant (
        name TEXT PRIMARY KEY,
        entries INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER answer_comes AFTER INSERT ON answer BEGIN
        INSERT INTO tenant (name, entries, bytes) VALUES (new.tenant, 1, new.size)
        ON CONFLICT (name) DO UPDATE SET entries = entries + 1, bytes = bytes + new.size;
    END;
    CREATE TRIGGER answer_goes AFTER DELETE ON answer BEGIN
        UPDATE tenant SET entries = entries - 1, bytes = bytes - old.size WHERE name = old.tenant;
        DELETE FROM tenant WHERE name = old.tenant AND entries <= 0;
    END;",
    // What questions take counts as their answer's, and so as its tenant's. They go with their answer by a trigger, which, unlike
    // a foreign key, no connection can forget to switch on. An answer that is kept again keeps its number, so that the newest
    // have an order of their own.
    "CREATE TABLE question (
        id INTEGER PRIMARY KEY,
        answer INTEGER NOT NULL,
        size INTEGER NOT NULL,
        seal BLOB NOT NULL,
        partition BLOB NOT NULL,
        text TEXT NOT NULL,
        vector BLOB NOT NULL
    ) STRICT;
    CREATE INDEX question_answer ON question (answer);
    CREATE INDEX question_partition ON question (partition);
    CREATE TABLE bar (
        answer INTEGER PRIMARY KEY,
        seal BLOB NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT;
    CREATE INDEX answer_kept ON answer (kept_ms);
    CREATE TRIGGER answer_changes AFTER UPDATE OF tenant, size ON answer BEGIN
        UPDATE tenant SET entries = entries - 1, bytes = bytes - old.size WHERE name = old.tenant;
        INSERT INTO tenant (name, entries, bytes) VALUES (new.tenant, 1, new.size)
        ON CONFLICT (name) DO UPDATE SET entries = entries + 1, bytes = bytes + new.size;
        DELETE FROM tenant WHERE name = old.tenant AND entries <= 0;
    END;
    CREATE TRIGGER answer_takes AFTER DELETE ON answer BEGIN
        DELETE FROM question WHERE answer = old.id;
        DELETE FROM bar WHERE answer = old.id;
    END;
    CREATE TRIGGER question_comes AFTER INSERT ON question BEGIN
        UPDATE answer SET size = size + new.size WHERE id = new.answer;
    END;
    CREATE TRIGGER question_goes AFTER DELETE ON question BEGIN
        UPDATE answer SET size = size - old.size WHERE id = old.answer;
    END;",
];

/// Sums everything up again.
pub(super) const SUM_UP: &str = "DELETE FROM tenant;
    INSERT INTO tenant (name, entries, bytes) SELECT tenant, count(*), sum(size) FROM answer GROUP BY tenant;";

/// Brings the tables up to this version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    step_up(connection, &Version { application_id: APPLICATION_ID, steps: &STEPS })?;
    if shape(connection)? == expected()? { Ok(()) } else { Err(StoreError::Foreign) }
}

/// Everything that a file of this version holds.
fn expected() -> Result<Vec<String>, StoreError> {
    let connection = Connection::open_in_memory()?;
    for step in STEPS {
        connection.execute_batch(step)?;
    }
    Ok(shape(&connection)?)
}

fn shape(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let mut all = connection.prepare("SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY type, name")?;
    all.query_map([], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
    }

    #[test]
    fn a_file_of_this_version_is_taken_again() {
        let mut connection = fresh();
        migrate(&mut connection).unwrap();
        let version = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u64>(0));
        assert_eq!(version.unwrap(), STEPS.len() as u64);
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        for (sql, want) in [
            ("PRAGMA user_version = 99", "newer"),
            ("PRAGMA user_version = -1", "newer"),
            ("PRAGMA application_id = 7", "another program"),
            ("DROP TABLE tenant", "another program"),
            ("DROP TRIGGER answer_goes", "another program"),
            ("CREATE TABLE more (a)", "another program"),
            ("PRAGMA user_version = 0", "already exists"),
        ] {
            let mut connection = fresh();
            connection.execute_batch(sql).unwrap();
            let error = migrate(&mut connection).unwrap_err().to_string();
            assert!(error.contains(want), "{sql}: {error}");
        }
        let mut foreign = Connection::open_in_memory().unwrap();
        foreign.execute_batch("CREATE TABLE notes (text)").unwrap();
        assert!(matches!(migrate(&mut foreign), Err(StoreError::Foreign)));
    }
}
