//! Newline-delimited JSON: splits a byte stream into lines, however it is cut.

use bytes::{Bytes, BytesMut};

use crate::malformed::Malformed;

/// Largest single line accepted: a whole answer fits, a runaway upstream does not.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Splits chunks into lines. A line keeps its line feed, so that it can be forwarded as received.
#[derive(Debug, Default)]
pub struct Lines {
    pending: BytesMut,
}

impl Lines {
    /// Takes a chunk and appends the lines that it completes to `lines`.
    ///
    /// # Errors
    /// A line grows beyond [`LINE_BYTES_MAX`].
    pub fn feed(&mut self, chunk: &Bytes, lines: &mut Vec<Bytes>) -> Result<(), Malformed> {
        let mut rest = chunk.clone();
        if !self.pending.is_empty() {
            let end = line_end(&rest).unwrap_or(rest.len());
            self.pending.extend_from_slice(&rest.split_to(end));
            if self.pending.ends_with(b"\n") {
                lines.push(self.pending.split().freeze());
            }
        }
        while let Some(end) = line_end(&rest) {
            lines.push(rest.split_to(end));
        }
        self.pending.extend_from_slice(&rest);
        if self.pending.len() > LINE_BYTES_MAX {
            return Err(Malformed::new("stream", format!("a line is longer than {LINE_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    /// Takes what is left when the stream ends: a line whose line feed never came.
    pub fn finish(&mut self) -> Option<Bytes> {
        Some(self.pending.split().freeze()).filter(|line| !line.is_empty())
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes).map(|position| position + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut reader = Lines::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            reader.feed(&Bytes::copy_from_slice(chunk), &mut lines).unwrap();
        }
        lines.extend(reader.finish());
        lines.into_iter().map(|line| line.to_vec()).collect()
    }

    #[test]
    fn lines_keep_their_bytes() {
        assert_eq!(read(&[b"{\"a\":1}\r\n\n{\"b\"", b":2}"]), [&b"{\"a\":1}\r\n"[..], b"\n", b"{\"b\":2}"]);
        assert_eq!(read(&[b"a", b"\n", b"b\n"]), [&b"a\n"[..], b"b\n"]);
        assert!(read(&[b""]).is_empty());
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut reader = Lines::default();
        let chunk = Bytes::from(vec![b'x'; 1 << 20]);
        let mut lines = Vec::new();
        let refused = (0..20).any(|_| reader.feed(&chunk, &mut lines).is_err());
        assert!(refused && lines.is_empty());
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_lines(
            lines in proptest::collection::vec(prop_oneof![Just("{\"é\":\"😀\"}"), Just(""), Just("x\r")], 0..20),
            closed in any::<bool>(),
            cuts in proptest::collection::vec(0_usize..300, 0..30),
        ) {
            let mut bytes = lines.join("\n").into_bytes();
            if closed {
                bytes.push(b'\n');
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let cut = read(&chunks);
            prop_assert_eq!(&cut, &read(&[&bytes]));
            prop_assert_eq!(cut.concat(), bytes);
        }
    }
}
