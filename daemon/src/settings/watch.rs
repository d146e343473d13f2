//! Notices that the config file has changed.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

/// How often the file is looked at: a change is in force before the owner has switched windows.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells two states of a file apart.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size_bytes: u64,
    inode: u64,
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp { modified: metadata.modified().ok(), size_bytes: metadata.len(), inode: metadata.ino() })
}

/// Sends a word whenever the file at `path` is another than before. Ends when nobody listens.
///
/// Polling one file costs less than a watcher library and sees every way in which editors replace files.
pub(crate) async fn watch(path: std::path::PathBuf, changed: mpsc::Sender<()>) {
    let mut last = stamp(&path);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = stamp(&path);
        // A file that is gone is about to be replaced; nothing to read yet.
        if now.is_some() && now != last {
            last = now;
            if changed.send(()).await.is_err() {
                return;
            }
        }
    }
}
