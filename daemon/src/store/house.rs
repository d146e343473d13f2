//! What is done now and then: what is over goes, room that nobody uses is given back, sums are told, copies are made.

use std::time::{Duration, Instant};

use domain::cache::Share;
use rusqlite::Connection;
use tracing::warn;

use super::error::StoreError;
use super::home::Home;
use super::writer::Working;
use super::{Shared, quota};

/// Pages that are given back to the disk at once.
const PAGES_STEP: u32 = 1_000;
/// The tenants that are told one by one.
const TENANTS_MAX: u32 = 100;

pub(super) struct House {
    every: Duration,
    next: Instant,
    /// Something was written since the sums were told.
    is_untold: bool,
    /// Something was written since the last copy.
    is_uncopied: bool,
    copied: Instant,
}

impl House {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, next: Instant::now(), is_untold: true, is_uncopied: false, copied: Instant::now() }
    }

    /// Something was written.
    pub(super) fn changed(&mut self) {
        (self.is_untold, self.is_uncopied) = (true, true);
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
            self.copy_if_due(connection, home)?;
        }
        if self.is_untold {
            tell(connection, shared)?;
            self.is_untold = false;
        }
        Ok(())
    }

    fn copy_if_due(&mut self, connection: &Connection, home: &Home) -> Result<(), StoreError> {
        let is_due = home.copy_every().is_some_and(|every| self.copied.elapsed() >= every);
        if !(is_due && self.is_uncopied) {
            return Ok(());
        }
        // Tried again after the same time, so that a full flash is not written all the time.
        self.copied = Instant::now();
        match home.copy(connection) {
            Ok(()) => self.is_uncopied = false,
            Err(error) => warn!("the kept answers in memory are not copied: {}", error.sentence(&home.on_disk())),
        }
        Ok(())
    }

    /// Everything that was written is in the file, and in its copy.
    pub(super) fn finish(&mut self, connection: &Connection, home: &Home) -> Result<(), StoreError> {
        // Tells in columns how it went; whoever reads at the moment only defers it.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        if home.copy_every().is_some() && self.is_uncopied {
            home.copy(connection)?;
            (self.is_uncopied, self.copied) = (false, Instant::now());
        }
        Ok(())
    }
}

/// Gives pages back to the disk when a quarter of the file is of no use.
fn give_back(connection: &Connection) -> Result<(), StoreError> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, u64>(0));
    let (free, all) = (number("PRAGMA freelist_count")?, number("PRAGMA page_count")?);
    if free > u64::from(PAGES_STEP) && free > all / 4 {
        let mut step = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_STEP})"))?;
        let mut rows = step.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
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
