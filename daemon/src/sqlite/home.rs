//! Where the file is: in the data directory, or in memory with a copy there.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::cache;
use ring::digest::{SHA256, digest};
use rusqlite::Connection;

use super::file::beside;
use super::{StoreError, file};

/// Where file systems in memory usually are.
const IN_MEMORY: [&str; 3] = ["/dev/shm", "/run", "/tmp"];
/// Linux's numbers of the file systems tmpfs and ramfs.
const MEMORY_KINDS: [u32; 2] = [0x0102_1994, 0x8584_58f6];

#[derive(Debug, Clone)]
pub(crate) struct Home {
    data: PathBuf,
    /// The file's name.
    name: &'static str,
    copy_every: Option<Duration>,
    memories: Vec<PathBuf>,
}

impl Home {
    pub(crate) fn new(data: &Path, name: &'static str, store: cache::Store) -> Self {
        let copy_every = match store {
            cache::Store::Disk => None,
            cache::Store::Memory { copy_every } => Some(copy_every),
        };
        Self { data: data.to_owned(), name, copy_every, memories: IN_MEMORY.map(PathBuf::from).to_vec() }
    }

    /// Time between two copies; `None` where the file itself is on the disk.
    pub(crate) const fn copy_every(&self) -> Option<Duration> {
        self.copy_every
    }

    /// The file in the data directory.
    pub(crate) fn on_disk(&self) -> PathBuf {
        self.data.join(self.name)
    }

    /// The file that is worked on. One in memory that a killed daemon left is newer than its copy; where there is none it
    /// is made from the copy, and a sentence says what was wrong with that.
    pub(crate) fn prepare(&self) -> Result<(PathBuf, Option<String>), StoreError> {
        let on_disk = self.on_disk();
        if self.copy_every.is_none() {
            return Ok((on_disk, None));
        }
        let path = self.memory_dir()?.join(self.name);
        if path.exists() || !on_disk.exists() {
            return Ok((path, None));
        }
        let note = match duplicate(&on_disk, &path) {
            Ok(()) => None,
            Err(error) if error.kind().is_useless() => Some(file::set_aside(&on_disk, &error)?),
            Err(error) => return Err(error),
        };
        Ok((path, note))
    }

    /// Copies the file in memory to the disk, in one step for whoever looks.
    pub(crate) fn copy(&self, connection: &Connection) -> Result<(), StoreError> {
        copy(connection, &self.on_disk())
    }

    /// Gives the memory back: the copy on the disk is as new. The last file takes the directory with it.
    pub(crate) fn leave(&self) -> Result<(), StoreError> {
        if self.copy_every.is_none() {
            return Ok(());
        }
        let dir = self.memory_dir()?;
        for end in ["", "-wal", "-shm", "-journal", ".part", ".damaged"] {
            file::remove(&beside(&dir.join(self.name), end))?;
        }
        match fs::remove_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A directory in memory that belongs to the data directory, and nobody else can look into.
    fn memory_dir(&self) -> Result<PathBuf, StoreError> {
        let whole = fs::canonicalize(&self.data)?;
        let digest = digest(&SHA256, whole.as_os_str().as_encoded_bytes());
        let name = digest.as_ref().iter().take(8).fold("airlane-".to_owned(), |name, byte| format!("{name}{byte:02x}"));
        let mut failure = StoreError::NoMemory;
        for memory in self.memories.iter().filter(|dir| is_memory(dir)) {
            match own_dir(&memory.join(&name)) {
                Ok(dir) => return Ok(dir),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

fn is_memory(dir: &Path) -> bool {
    // The number has another type on other machines.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "all kinds of file systems have 32 bits"
    )]
    rustix::fs::statfs(dir).is_ok_and(|system| MEMORY_KINDS.contains(&(system.f_type as u32)))
}

/// Makes the directory, or takes it when it is ours and nobody else's.
fn own_dir(path: &Path) -> Result<PathBuf, StoreError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    let is_ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0;
    if is_ours { Ok(path.to_owned()) } else { Err(StoreError::NotOurs) }
}

/// Copies a whole file, with what its log still holds.
fn duplicate(from: &Path, to: &Path) -> Result<(), StoreError> {
    copy(&Connection::open(from)?, to)
}

fn copy(connection: &Connection, to: &Path) -> Result<(), StoreError> {
    let part = beside(to, ".part");
    file::remove(&part)?;
    file::create_private(&part)?;
    connection.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
    File::open(&part)?.sync_all()?;
    // What a file that was worked on there left beside it has been taken over, and does not belong to this one.
    for end in ["-wal", "-shm"] {
        file::remove(&beside(to, end))?;
    }
    fs::rename(&part, to)?;
    if let Some(dir) = to.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_may_look_into_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("airlane-1");
        assert_eq!(own_dir(&path).unwrap(), path);
        assert_eq!(own_dir(&path).unwrap(), path, "it is ours the second time too");
        let open = dir.path().join("airlane-2");
        DirBuilder::new().mode(0o755).create(&open).unwrap();
        assert!(matches!(own_dir(&open), Err(StoreError::NotOurs)));
        std::os::unix::fs::symlink(&path, dir.path().join("airlane-3")).unwrap();
        assert!(matches!(own_dir(&dir.path().join("airlane-3")), Err(StoreError::NotOurs)));
    }

    #[test]
    fn a_disk_is_not_memory() {
        assert!(!is_memory(Path::new("/proc")));
        assert!(!is_memory(Path::new("/nonexistent")));
    }
}
