//! What of pairs is kept over a restart: one file on the router, one on the node, for their owner's eyes only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::proof::Key;

/// A node of ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Paired {
    /// Under which it reports.
    pub(super) id: String,
    /// Its name here.
    pub(super) name: String,
    pub(super) key: Key,
    /// Where its endpoint was last.
    pub(super) address: std::net::SocketAddr,
}

/// The router that we report to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Router {
    /// Our id there.
    pub(super) id: String,
    /// What it calls itself.
    pub(super) name: String,
    pub(super) key: Key,
    /// Where its endpoint is.
    pub(super) address: std::net::SocketAddr,
}

/// A file of the data directory.
#[derive(Debug)]
pub(super) struct Book {
    path: PathBuf,
}

impl Book {
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self { path: dir.join(name) }
    }

    /// What the file holds; the default where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub(super) fn read<T: DeserializeOwned + Default>(&self) -> io::Result<T> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file in one step: whatever happens, it holds the old text or the new one.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write<T: Serialize>(&self, value: &T) -> io::Result<()> {
        let part = self.path.with_extension("part");
        // A part that a crash left may have other rights.
        let _ = fs::remove_file(&part);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(&serde_json::to_vec_pretty(value)?)?;
        file.sync_all()?;
        fs::rename(&part, &self.path)?;
        self.path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_written_is_read_again_and_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::new(dir.path(), "nodes.json");
        assert!(book.read::<Vec<Paired>>().unwrap().is_empty());
        let paired = Paired {
            id: "id".to_owned(),
            name: "gpu-box".to_owned(),
            key: Key::new(vec![1; 32]),
            address: "192.168.1.20:8484".parse().unwrap(),
        };
        fs::write(dir.path().join("nodes.part"), "left by a crash").unwrap();
        let paired = [paired];
        book.write(&paired).unwrap();
        book.write(&paired).unwrap();
        let read: Vec<Paired> = book.read().unwrap();
        assert!(read[0].key.is_proven(&["x"], b"", &Key::new(vec![1; 32]).sign(&["x"], b"")));
        assert_eq!(fs::metadata(book.path()).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(book.path(), "{").unwrap();
        assert!(book.read::<Vec<Paired>>().is_err());
    }
}
