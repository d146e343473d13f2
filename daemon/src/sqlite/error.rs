//! What goes wrong with the file, and what the owner is told.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

/// A failure of the database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is a database, and not one of ours.
    #[error("it is another program's database")]
    Foreign,
    /// A newer Airlane wrote it.
    #[error("a newer airlane wrote it (version {0})")]
    Newer(i64),
    /// A reader could not read it.
    #[error("it could not be read")]
    FoundDamaged,
    /// The directory in memory belongs to somebody else.
    #[error("it belongs to another user, or others may write there")]
    NotOurs,
    /// There is no file system in memory.
    #[error("neither /dev/shm nor /run nor /tmp is in memory and can be written")]
    NoMemory,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The file is of no use.
    Damaged,
    /// Something in it is of another kind than what was written.
    Odd,
    /// It is whole, and not ours or not yet ours.
    Foreign,
    /// No space left on the disk.
    Full,
    /// The disk, the directory or the file cannot be written.
    ReadOnly,
    /// Another program holds the file.
    Busy,
    /// Something else.
    Other,
}

impl Kind {
    /// Whether the file is of no use to a room that can make its content again.
    pub(crate) fn is_useless(self) -> bool {
        matches!(self, Self::Damaged | Self::Odd | Self::Foreign)
    }
}

impl StoreError {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(rusqlite::Error::SqliteFailure(failure, _)) => kind(failure.code),
            // A value is of another type than was written.
            Self::Sqlite(_) => Kind::Odd,
            Self::FoundDamaged => Kind::Damaged,
            Self::Foreign | Self::Newer(_) => Kind::Foreign,
            Self::Io(error) => io_kind(error.kind()),
            Self::NotOurs | Self::NoMemory => Kind::Other,
        }
    }

    /// What the owner is told.
    pub(crate) fn sentence(&self, path: &Path, words: &Words) -> String {
        let (path, Words { seen, less, .. }) = (path.display(), words);
        match self.kind() {
            Kind::Damaged | Kind::Odd => {
                format!("{seen}: {path} is damaged ({self}) and could not be put aside; remove it")
            }
            Kind::Foreign => format!("{seen}: {path} cannot be used, since {self}; move it elsewhere, or set data.dir"),
            Kind::Full => format!("{seen}: there is no space left for {path}; free some, or {less}"),
            Kind::ReadOnly => format!("{seen}: {path} cannot be written; give airlane the right to, or set data.dir"),
            Kind::Busy => format!("{seen}: another program holds {path}; close it there"),
            Kind::Other => format!("{seen}: {path} cannot be used: {self}"),
        }
    }
}

/// A room's words for the troubles of its file.
pub(crate) struct Words {
    /// What they mean for the owner.
    pub(crate) seen: &'static str,
    /// What would make the file smaller.
    pub(crate) less: &'static str,
    /// What lies in the file, where that is in memory.
    pub(crate) in_memory: &'static str,
}

fn io_kind(kind: io::ErrorKind) -> Kind {
    if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        Kind::Full
    } else if matches!(kind, io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) {
        Kind::ReadOnly
    } else {
        Kind::Other
    }
}

fn kind(code: ErrorCode) -> Kind {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all the others are alike")]
    match code {
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Kind::Damaged,
        // An error of SQL itself, where the same SQL ran before, is a table that is gone.
        ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ConstraintViolation => Kind::Odd,
        ErrorCode::DiskFull => Kind::Full,
        ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Kind::ReadOnly,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Kind::Busy,
        _ => Kind::Other,
    }
}
