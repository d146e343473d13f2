//! What is done now and then: what is over goes, room that nobody uses is given back, sums are told, copies are made.

use std::time::{Duration, Instant};

use domain::cache::Share;
use rusqlite::Connection;

use super::{Shared, WORDS, quota};
use crate::sqlite::{Copies, Home, StoreError, Working, give_back};

/// The tenants that are told one by one.
const TENANTS_MAX: u32 = 100;

pub(super) struct House {
    every: Duration,
    next: Instant,
    /// Something was written since the sums were told.
    is_untold: bool,
    copies: Copies,
}

impl House {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, next: Instant::now(), is_untold: true, copies: Copies::new() }
    }

    /// Something was written.
    pub(super) fn changed(&mut self) {
        self.is_untold = true;
        self.copies.changed();
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    pub(super) fn keep(&mut self, working: &Working, home: &Home, shared: &Shared) -> Result<(), StoreError> {
        let connection = &working.connection;
        if self.is_due() {
            self.next = Instant::now() + self.every;
            if quota::sweep(connection, shared.clock.unix_ms())? > 0 {
                self.changed();
            }
            give_back(connection)?;
            self.copies.copy_if_due(connection, home, &WORDS);
        }
        if self.is_untold {
            tell(connection, shared)?;
            self.is_untold = false;
        }
        Ok(())
    }

    /// Everything that was written is in the file, and in its copy.
    pub(super) fn finish(&mut self, connection: &Connection, home: &Home) -> Result<(), StoreError> {
        self.copies.finish(connection, home)
    }
}

fn tell(connection: &Connection, shared: &Shared) -> Result<(), StoreError> {
    let sums = "SELECT coalesce(sum(entries), 0), coalesce(sum(bytes), 0) FROM tenant";
    let (entries, bytes) = connection.prepare_cached(sums)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = format!("SELECT name, bytes FROM tenant ORDER BY bytes DESC, name LIMIT {TENANTS_MAX}");
    let mut largest = connection.prepare_cached(&sql)?;
    let tenants = largest
        .query_map([], |row| Ok(Share { tenant: row.get(0)?, bytes: row.get(1)? }))?
        .collect::<Result<_, _>>()?;
    shared.tell(|told| (told.entries, told.bytes, told.tenants) = (entries, bytes, tenants));
    Ok(())
}
