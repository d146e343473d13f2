//! An export as it comes, into a file or onto standard output.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::plain;
use crate::upstreams::Reply;

/// Writes the whole of a reply.
///
/// # Errors
/// It does not end properly, or cannot be written: then there is no such file, or still the old one.
pub(super) async fn export(mut reply: Reply, out: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = out else { return print(&mut reply).await };
    let part = part_of(path);
    let written = write(&mut reply, &part, path).await;
    if written.is_err() {
        // What is left of it would be taken for the whole one day.
        let _ = fs::remove_file(&part);
    }
    written
}

async fn write(reply: &mut Reply, part: &Path, path: &Path) -> anyhow::Result<()> {
    let failed = || format!("{} cannot be written", path.display());
    let mut file = create(part).with_context(failed)?;
    while let Some(chunk) = next(reply).await? {
        file.write_all(&chunk).with_context(failed)?;
    }
    file.sync_all().with_context(failed)?;
    fs::rename(part, path).with_context(failed)
}

/// For its owner's eyes only: it says who asked what of whom.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)
}

fn part_of(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

async fn print(reply: &mut Reply) -> anyhow::Result<()> {
    let mut out = io::stdout();
    let is_terminal = out.is_terminal();
    let mut rest = Vec::new();
    while let Some(chunk) = next(reply).await? {
        let printed = if is_terminal {
            rest.extend_from_slice(&chunk);
            out.write_all(plain(&whole_lines(&mut rest)).as_bytes())
        } else {
            out.write_all(&chunk)
        };
        match printed {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            printed => printed.context("standard output cannot be written")?,
        }
    }
    Ok(())
}

/// Takes all lines out that are complete.
fn whole_lines(bytes: &mut Vec<u8>) -> String {
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    let lines: Vec<u8> = bytes.drain(..end).collect();
    // A terminal shows what Windows ends its lines with as what it is.
    String::from_utf8_lossy(&lines).replace("\r\n", "\n")
}

async fn next(reply: &mut Reply) -> anyhow::Result<Option<bytes::Bytes>> {
    let broken =
        "the export broke off, so nothing of it is complete; try again, and look into airlane's log if that lasts";
    reply.body.chunk().await.map_err(|_| anyhow!(broken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_until_they_are_whole() {
        let mut bytes = b"a,\xc3\xa9\r\nb,\xc3".to_vec();
        assert_eq!(whole_lines(&mut bytes), "a,\u{e9}\n");
        assert_eq!(whole_lines(&mut bytes), "");
        bytes.extend_from_slice(b"\xa9\r\n");
        assert_eq!((whole_lines(&mut bytes).as_str(), bytes.len()), ("b,\u{e9}\n", 0));
    }

    #[test]
    fn a_part_stands_beside_its_file() {
        assert_eq!(part_of(Path::new("/tmp/books.csv")), Path::new("/tmp/books.csv.part"));
    }
}
