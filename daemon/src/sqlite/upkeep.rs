//! What is done now and then: room that nobody uses is given back, and a file in memory is copied.

use std::time::Instant;

use rusqlite::Connection;
use tracing::warn;

use super::{Home, StoreError, Words};

/// Pages that are given back to the disk at once.
const PAGES_STEP: u32 = 1_000;

/// When the file in memory was copied, and whether that is to be done again.
pub(crate) struct Copies {
    /// Something was written since.
    is_uncopied: bool,
    copied: Instant,
}

impl Copies {
    pub(crate) fn new() -> Self {
        Self { is_uncopied: false, copied: Instant::now() }
    }

    /// Something was written.
    pub(crate) fn changed(&mut self) {
        self.is_uncopied = true;
    }

    pub(crate) fn copy_if_due(&mut self, connection: &Connection, home: &Home, words: &Words) {
        let is_due = home.copy_every().is_some_and(|every| self.copied.elapsed() >= every);
        if !(is_due && self.is_uncopied) {
            return;
        }
        // Tried again after the same time, so that a full flash is not written all the time.
        self.copied = Instant::now();
        match home.copy(connection) {
            Ok(()) => self.is_uncopied = false,
            Err(error) => warn!("the {} are not copied: {}", words.in_memory, error.sentence(&home.on_disk(), words)),
        }
    }

    /// Everything that was written is in the file, and in its copy.
    pub(crate) fn finish(&mut self, connection: &Connection, home: &Home) -> Result<(), StoreError> {
        checkpoint(connection)?;
        if home.copy_every().is_some() && self.is_uncopied {
            home.copy(connection)?;
            (self.is_uncopied, self.copied) = (false, Instant::now());
        }
        Ok(())
    }
}

/// Takes the log over into the file.
fn checkpoint(connection: &Connection) -> Result<(), StoreError> {
    // Tells in columns how it went; whoever reads at the moment only defers it.
    Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
}

/// Gives pages back to the disk when a quarter of the file is of no use.
pub(crate) fn give_back(connection: &Connection) -> Result<(), StoreError> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, u64>(0));
    let (free, all) = (number("PRAGMA freelist_count")?, number("PRAGMA page_count")?);
    if free > u64::from(PAGES_STEP) && free > all / 4 {
        let mut step = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_STEP})"))?;
        let mut rows = step.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}
