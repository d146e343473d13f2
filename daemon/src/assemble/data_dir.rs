//! The directory for what is kept: one daemon at a time, and a file that tells its addresses to the command line.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// What the running daemon tells the command line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DaemonFile {
    pub(crate) pid: u32,
    /// Base URLs of the endpoint.
    pub(crate) endpoint: Vec<String>,
    /// Base URLs of the console.
    pub(crate) console: Vec<String>,
}

const DAEMON_FILE: &str = "daemon.json";

/// An open data directory. Its lock is held as long as this lives.
pub(super) struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Where a daemon of this user may keep its data, best first.
pub(crate) fn candidates(configured: &Path) -> Vec<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    let mut dirs = vec![configured.to_owned()];
    dirs.extend(state.map(|state| state.join("airlane")));
    dirs
}

/// Opens `configured`, or, unless the owner named it, the user's own state directory where that cannot be written.
pub(super) fn open(configured: &Path, is_named: bool) -> anyhow::Result<DataDir> {
    let dirs = if is_named { vec![configured.to_owned()] } else { candidates(configured) };
    let mut failure = None;
    for dir in dirs {
        match fs::create_dir_all(&dir).and_then(|()| File::create(dir.join("lock"))) {
            Ok(lock) => return lock_dir(dir, lock),
            Err(error) => {
                let error = anyhow::Error::from(error);
                failure.get_or_insert(error.context(format!(
                    "{} cannot be written; give a directory that can with --data DIR or [data] dir",
                    dir.display()
                )));
            }
        }
    }
    Err(failure.unwrap_or_else(|| anyhow::anyhow!("there is no directory for data; give one with --data DIR")))
}

fn lock_dir(path: PathBuf, lock: File) -> anyhow::Result<DataDir> {
    if lock.try_lock().is_err() {
        bail!(
            "another airlane keeps its data in {}; stop it first, or give this one another directory with --data DIR",
            path.display()
        );
    }
    Ok(DataDir { path, _lock: lock })
}

impl DataDir {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Tells the command line where to find us.
    pub(super) fn publish(&self, endpoint: &[String], console: &[String]) -> anyhow::Result<()> {
        let file = DaemonFile { pid: std::process::id(), endpoint: endpoint.to_vec(), console: console.to_vec() };
        let (path, part) = (self.path.join(DAEMON_FILE), self.path.join("daemon.json.part"));
        fs::write(&part, serde_json::to_vec_pretty(&file)?)
            .and_then(|()| fs::rename(&part, &path))
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// We are no longer to be found.
    pub(super) fn withdraw(&self) {
        // A file that is left behind is seen through: nobody answers there.
        let _ = fs::remove_file(self.path.join(DAEMON_FILE));
    }
}

impl DaemonFile {
    /// Reads what a daemon left in one of these directories.
    pub(crate) fn find(dirs: &[PathBuf]) -> Option<Self> {
        dirs.iter().find_map(|dir| serde_json::from_slice(&fs::read(dir.join(DAEMON_FILE)).ok()?).ok())
    }
}
