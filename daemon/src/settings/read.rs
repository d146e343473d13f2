//! Reads small files whole, whatever stands under their names.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::Path;

/// The text of a file of at most `bytes_max`: a device or a disk image named by mistake fills no memory.
///
/// # Errors
/// It cannot be read, is no UTF-8, or is larger.
pub(super) fn text(path: &Path, bytes_max: usize) -> Result<String> {
    String::from_utf8(bytes(path, bytes_max)?).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// A file of at most `bytes_max`.
///
/// # Errors
/// It cannot be read, or is larger.
pub(super) fn bytes(path: &Path, bytes_max: usize) -> Result<Vec<u8>> {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_texts_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        for (content, want) in
            [(&b"abc"[..], Ok("abc")), (b"abcd", Err(ErrorKind::FileTooLarge)), (b"\xff", Err(ErrorKind::InvalidData))]
        {
            std::fs::write(&file, content).unwrap();
            assert_eq!(text(&file, 3).as_deref().map_err(Error::kind), want, "{content:?}");
        }
        assert_eq!(text(Path::new("/dev/zero"), 3).map_err(|error| error.kind()), Err(ErrorKind::FileTooLarge));
    }
}
