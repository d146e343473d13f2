//! Notices that the config file has changed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

use super::folder;

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

/// The state of the config file and of all files in the folder beside it; nothing while the config file is gone, since it is about
/// to be replaced.
fn stamps(path: &Path) -> Option<Vec<(PathBuf, Option<Stamp>)>> {
    let own = stamp(path)?;
    let more = folder::files(path.parent().unwrap_or(Path::new("."))).unwrap_or_default();
    let mut stamps = vec![(path.to_owned(), Some(own))];
    stamps.extend(more.into_iter().map(|file| {
        let stamp = stamp(&file);
        (file, stamp)
    }));
    Some(stamps)
}

/// Sends a word whenever the file at `path`, or one of its policies' folder, is another than before. Ends when nobody listens.
///
/// Polling a few files costs less than a watcher library and sees every way in which editors replace files.
pub(crate) async fn watch(path: PathBuf, changed: mpsc::Sender<()>) {
    let mut last = stamps(&path);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = stamps(&path);
        if now.is_some() && now != last {
            last = now;
            if changed.send(()).await.is_err() {
                return;
            }
        }
    }
}
