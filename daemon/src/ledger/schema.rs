//! The tables: sums that stay, and three tables for each day, which go together.

use domain::date::Day;
use rusqlite::Connection;

use crate::sqlite::{StoreError, Version, step_up};

/// Marks the file as the ledger's (`Airm`), and how it came to be as it is.
///
/// The sums of a day are kept apart, since they stay longer than the day's entries, and since to add those up would read
/// millions of rows.
const VERSION: Version = Version {
    application_id: 0x4169_726d,
    steps: &["CREATE TABLE sum (
        day INTEGER NOT NULL,
        tenant TEXT NOT NULL,
        model TEXT NOT NULL,
        upstream TEXT NOT NULL,
        requests INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        kept INTEGER NOT NULL,
        input INTEGER NOT NULL,
        output INTEGER NOT NULL,
        cached_read INTEGER NOT NULL,
        cache_write INTEGER NOT NULL,
        reasoning INTEGER NOT NULL,
        cost INTEGER NOT NULL,
        saved INTEGER NOT NULL,
        unknown INTEGER NOT NULL,
        PRIMARY KEY (day, tenant, model, upstream)
    ) STRICT, WITHOUT ROWID;"],
};

/// The tables of a day; `DAY` stands for its eight digits.
///
/// What entries say in words is mostly what others said before them: it stands once, as a `face`, so that an entry takes few
/// bytes. An entry is never changed: what was reckoned anew stands beside it, as a `fix`.
const DAY_TABLES: &str = "CREATE TABLE IF NOT EXISTS face_DAY (
        id INTEGER PRIMARY KEY,
        words TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE IF NOT EXISTS day_DAY (
        id INTEGER PRIMARY KEY,
        face INTEGER NOT NULL,
        input INTEGER,
        output INTEGER,
        cached_read INTEGER,
        cache_write INTEGER,
        reasoning INTEGER,
        saved_input INTEGER,
        saved_output INTEGER,
        images INTEGER NOT NULL,
        estimated INTEGER NOT NULL,
        cost INTEGER,
        unknown INTEGER NOT NULL,
        saved INTEGER,
        queue_ms INTEGER NOT NULL,
        first_token_ms INTEGER,
        total_ms INTEGER NOT NULL,
        bytes_out INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS fix_DAY (
        entry INTEGER NOT NULL,
        number INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        prices TEXT NOT NULL,
        cost INTEGER NOT NULL,
        unknown INTEGER NOT NULL,
        PRIMARY KEY (entry, number)
    ) STRICT, WITHOUT ROWID;";

/// Brings the tables up to this version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    step_up(connection, &VERSION)?;
    // Where this table is gone or another one, nothing that is written would be right.
    match connection.prepare("SELECT day, tenant, model, upstream, requests, cost, saved, unknown FROM sum") {
        Ok(_) => Ok(()),
        Err(_) => Err(StoreError::FoundDamaged),
    }
}

/// The statement with a day's tables.
pub(super) fn of_day(sql: &str, day: Day) -> String {
    sql.replace("DAY", &day.to_string().replace('-', ""))
}

/// Makes the tables of a day.
pub(super) fn create(connection: &Connection, day: Day) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&of_day(DAY_TABLES, day))
}

/// Removes the tables of a day; its sums stay.
pub(super) fn drop(connection: &Connection, day: Day) -> Result<(), rusqlite::Error> {
    let whole = connection.unchecked_transaction()?;
    let sql = "DROP TABLE IF EXISTS day_DAY; DROP TABLE IF EXISTS face_DAY; DROP TABLE IF EXISTS fix_DAY;";
    whole.execute_batch(&of_day(sql, day))?;
    whole.commit()
}

/// The days that have tables, the oldest first.
pub(super) fn days(connection: &Connection) -> Result<Vec<Day>, rusqlite::Error> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'day_????????' ORDER BY name";
    let mut names = connection.prepare_cached(sql)?;
    let names = names.query_map([], |row| row.get::<_, String>(0))?;
    let day = |name: &str| {
        let (year, month, day) = (name.get(4..8)?, name.get(8..10)?, name.get(10..12)?);
        format!("{year}-{month}-{day}").parse().ok()
    };
    names.filter_map(|name| name.map(|name| day(&name)).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::Kind;

    fn fresh() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
    }

    #[test]
    fn days_come_and_go() {
        let (connection, known) = (fresh(), [20_784, 20_785, 11_016].map(Day));
        for day in known {
            create(&connection, day).unwrap();
            create(&connection, day).unwrap();
        }
        connection.execute_batch("CREATE TABLE day_20269999 (a); CREATE TABLE other (a)").unwrap();
        assert_eq!(days(&connection).unwrap(), [11_016, 20_784, 20_785].map(Day));
        drop(&connection, known[0]).unwrap();
        drop(&connection, known[0]).unwrap();
        assert_eq!(days(&connection).unwrap(), [11_016, 20_785].map(Day));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        for (sql, want) in [
            ("PRAGMA user_version = 99", Kind::Foreign),
            ("PRAGMA application_id = 7", Kind::Foreign),
            ("DROP TABLE sum", Kind::Damaged),
            ("ALTER TABLE sum RENAME COLUMN cost TO price", Kind::Damaged),
        ] {
            let mut connection = fresh();
            migrate(&mut connection).unwrap();
            connection.execute_batch(sql).unwrap();
            assert_eq!(migrate(&mut connection).unwrap_err().kind(), want, "{sql}");
        }
    }
}
