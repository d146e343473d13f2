//! Opens the file, and puts one that is of no use aside.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{Kind, StoreError};

/// Most that a log of changes takes on the disk when it has been taken over, in bytes.
const LOG_BYTES_MAX: u32 = 8 << 20;
/// What SQLite keeps of the file in memory for each connection, in KiB; the system keeps more while it has room.
const PAGES_KIB: i32 = 1_024;

/// A file that can be written.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    /// What was there before could not be used; a sentence for the owner.
    pub(crate) note: Option<String>,
}

/// How a room's file is opened.
pub(crate) struct Plan {
    /// Brings its tables up to this version.
    pub(crate) migrate: fn(&mut Connection) -> Result<(), StoreError>,
    /// Whether what is taken out of the file is to be overwritten.
    pub(crate) is_secret: bool,
    /// Whether a file that has this trouble is put aside, and another one begun.
    pub(crate) is_of_no_use: fn(Kind) -> bool,
}

/// Opens the file for the one who writes; one that is of no use is put aside.
pub(crate) fn open(path: &Path, plan: &Plan) -> Result<Opened, StoreError> {
    match open_as_it_is(path, plan) {
        Err(error) if (plan.is_of_no_use)(error.kind()) => {
            let note = set_aside(path, &error)?;
            Ok(Opened { connection: open_as_it_is(path, plan)?, note: Some(note) })
        }
        opened => Ok(Opened { connection: opened?, note: None }),
    }
}

/// Puts a file that is of no use aside, in the place of the one before; gives the sentence that tells it.
pub(crate) fn set_aside(path: &Path, why: &StoreError) -> Result<String, StoreError> {
    let aside = beside(path, ".damaged");
    fs::rename(path, &aside)?;
    // They belong to that file only: with another one they would make damage of it.
    for part in ["-wal", "-shm", "-journal"] {
        remove(&beside(path, part))?;
    }
    Ok(format!("{} was of no use ({why}); it is now {}, and a new one was begun", path.display(), aside.display()))
}

/// Removes a file that may be missing.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The path with something at its end.
pub(crate) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Which file stands under a path: its device and its number there.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Makes the file, if there is none. What is in it is for their owner's eyes only; what SQLite puts beside the file has the
/// file's permissions.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
}

fn open_as_it_is(path: &Path, plan: &Plan) -> Result<Connection, StoreError> {
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.execute_batch(&format!(
        // Before there is a table, or it has no effect.
        "PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         PRAGMA journal_size_limit = {LOG_BYTES_MAX};
         PRAGMA cache_size = -{PAGES_KIB};
         PRAGMA secure_delete = {};
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;",
        if plan.is_secret { "ON" } else { "OFF" }
    ))?;
    (plan.migrate)(&mut connection)?;
    Ok(connection)
}

/// Opens the file for one who only reads.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(5))?;
    connection.execute_batch(&format!(
        "PRAGMA cache_size = -{PAGES_KIB}; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
    ))?;
    Ok(connection)
}
