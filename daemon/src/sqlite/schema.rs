//! How the tables of an older file become those of this version.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// What a room's file is.
pub(crate) struct Version {
    /// Marks the file as the room's.
    pub(crate) application_id: i64,
    /// The step that leads from each version to the next. What has been released is never changed, only added to.
    pub(crate) steps: &'static [&'static str],
}

/// Brings the tables up to this version.
pub(crate) fn step_up(connection: &mut Connection, to: &Version) -> Result<(), StoreError> {
    let version = number(connection, "PRAGMA user_version")?;
    let is_ours = number(connection, "PRAGMA application_id")? == to.application_id;
    let is_empty = version == 0 && number(connection, "SELECT count(*) FROM sqlite_schema")? == 0;
    let done = match usize::try_from(version) {
        Ok(_) if !is_ours && !is_empty => return Err(StoreError::Foreign),
        Ok(done) if done <= to.steps.len() => done,
        _ => return Err(StoreError::Newer(version)),
    };
    for (position, step) in to.steps.iter().enumerate().skip(done) {
        let step_done = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step_done.execute_batch(step)?;
        step_done.pragma_update(None, "application_id", to.application_id)?;
        step_done.pragma_update(None, "user_version", position as u64 + 1)?;
        step_done.commit()?;
    }
    Ok(())
}

fn number(connection: &Connection, sql: &str) -> Result<i64, rusqlite::Error> {
    connection.query_row(sql, [], |row| row.get(0))
}
