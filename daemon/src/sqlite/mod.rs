//! What the rooms with a SQLite file share: where it is, how it is opened, what goes wrong with it and what is told of that,
//! what waits to be written, and the upkeep.

mod busy;
mod error;
mod file;
mod home;
mod queue;
mod schema;
mod upkeep;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

pub(crate) use busy::Busy;
pub(crate) use error::{Kind, StoreError, Words};
pub(crate) use file::{Plan, beside, identity, open, open_to_read, remove, set_aside};
pub(crate) use home::Home;
pub(crate) use queue::{Job, Queue};
pub(crate) use schema::{Version, step_up};
pub(crate) use upkeep::{Copies, give_back};

/// The file that is written.
pub(crate) struct Working {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    /// Which file was opened: its owner may put another one there.
    pub(crate) identity: Option<(u64, u64)>,
}

impl Working {
    /// Whether another file stands there now, or none.
    pub(crate) fn is_replaced(&self) -> bool {
        identity(&self.path) != self.identity
    }
}

/// The file that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) path: PathBuf,
    /// Tells it from the files that were in use before.
    pub(crate) generation: u64,
}

/// A thread that panicked has left nothing half: what is locked here is replaced as a whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
