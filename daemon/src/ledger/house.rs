//! What is done now and then: days that are over go, room is kept within its limit, copies are made.

use std::time::{Duration, Instant};

use domain::date::Day;
use domain::ledger::Settings;
use rusqlite::Connection;

use super::schema::{self, of_day};
use super::{Shared, WORDS};
use crate::sqlite::{Copies, Home, StoreError, Working, give_back};

/// Entries that are thrown away at once where one day takes all the room.
const STEP: u32 = 10_000;

pub(super) struct House {
    every: Duration,
    next: Instant,
    copies: Copies,
}

impl House {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, next: Instant::now(), copies: Copies::new() }
    }

    /// Something was written.
    pub(super) fn changed(&mut self) {
        self.copies.changed();
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Whether days are gone.
    pub(super) fn keep(&mut self, working: &Working, home: &Home, shared: &Shared) -> Result<bool, StoreError> {
        if !self.is_due() {
            return Ok(false);
        }
        self.next = Instant::now() + self.every;
        let connection = &working.connection;
        let today = Day::of_unix_ms(shared.clock.unix_ms());
        let is_less =
            drop_old(connection, &shared.settings, today)? | make_room(connection, shared.settings.bytes_max)?;
        if is_less {
            self.changed();
        }
        give_back(connection)?;
        self.copies.copy_if_due(connection, home, &WORDS);
        let bytes = bytes(connection)?;
        shared.tell(|told| told.bytes = bytes);
        Ok(is_less)
    }

    /// Everything that was written is in the file, and in its copy.
    pub(super) fn finish(&mut self, connection: &Connection, home: &Home) -> Result<(), StoreError> {
        self.copies.finish(connection, home)
    }
}

/// Drops days and sums that are too old; whether there were any.
fn drop_old(connection: &Connection, settings: &Settings, today: Day) -> Result<bool, StoreError> {
    let mut is_less = false;
    for day in schema::days(connection)? {
        if day < today.before(settings.days) {
            schema::drop(connection, day)?;
            is_less = true;
        }
    }
    let first = today.before(settings.sums_days.max(settings.days));
    let gone = connection.prepare_cached("DELETE FROM sum WHERE day < ?1")?.execute([first.0])?;
    Ok(is_less || gone > 0)
}

/// Drops the oldest days until the file takes no more than this; whether it had to. Of the last day the oldest entries go, so
/// that a flood of requests cannot fill the disk; all their sums stay.
fn make_room(connection: &Connection, bytes_max: u64) -> Result<bool, StoreError> {
    let mut is_less = false;
    while bytes(connection)? > bytes_max {
        let days = schema::days(connection)?;
        let gone = match days.as_slice() {
            [] => 0,
            [last] => trim(connection, *last)?,
            [oldest, ..] => {
                schema::drop(connection, *oldest)?;
                1
            }
        };
        if gone == 0 {
            break;
        }
        is_less = true;
    }
    Ok(is_less)
}

/// Throws the oldest entries of a day away; gives their number.
fn trim(connection: &Connection, day: Day) -> Result<usize, rusqlite::Error> {
    let sql = "DELETE FROM day_DAY WHERE id IN (SELECT id FROM day_DAY ORDER BY id LIMIT ?1)";
    connection.prepare_cached(&of_day(sql, day))?.execute([STEP])
}

/// What of the file is in use, in bytes.
fn bytes(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, u64>(0));
    let pages = number("PRAGMA page_count")?.saturating_sub(number("PRAGMA freelist_count")?);
    Ok(pages.saturating_mul(number("PRAGMA page_size")?))
}
