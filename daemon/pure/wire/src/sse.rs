//! Server-sent events: splits a byte stream into events, however it is cut.

use bytes::{Bytes, BytesMut};

use crate::malformed::Malformed;

/// Largest single event accepted: a picture in base64 fits, a runaway upstream does not.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The byte order mark, which some servers put at the start; it may come in pieces.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// One event: its exact bytes, and where its data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The bytes as received, with the empty line that ends the event.
    pub raw: Bytes,
    /// The `event:` field; empty if there is none.
    pub event: String,
    /// The `data:` lines joined by line feeds; `None` for a comment or an event without data.
    pub data: Option<Bytes>,
}

/// Splits chunks into [`Frame`]s. Lines may end in LF, CRLF or CR; a byte order mark at the start is passed over.
#[derive(Debug, Default)]
pub struct Reader {
    pending: BytesMut,
    /// Bytes of `pending` that are known to hold no end of an event.
    searched: usize,
    begun: bool,
}

impl Reader {
    /// Takes a chunk and appends the events that it completes to `frames`.
    ///
    /// # Errors
    /// An event grows beyond [`EVENT_BYTES_MAX`].
    pub fn feed(&mut self, chunk: &Bytes, frames: &mut Vec<Frame>) -> Result<(), Malformed> {
        let mut rest = chunk.clone();
        if !self.begun {
            self.pending.extend_from_slice(&rest);
            rest = self.pending.split().freeze();
            if rest.len() < MARK.len() && MARK.starts_with(&rest) {
                self.pending.extend_from_slice(&rest);
                return Ok(());
            }
            self.begun = true;
            if rest.starts_with(MARK) {
                rest = rest.slice(MARK.len()..);
            }
        }
        if self.pending.is_empty() {
            // The usual case: whole events, cut out of the chunk without copying.
            while let Some(end) = event_end(&rest, 0) {
                frames.push(frame(rest.split_to(end)));
            }
            self.pending.extend_from_slice(&rest);
            self.searched = 0;
        } else {
            self.pending.extend_from_slice(&rest);
            // The end may straddle the chunks: look again at the last three bytes ("\r\n\r" + "\n").
            while let Some(end) = event_end(&self.pending, self.searched.saturating_sub(3)) {
                frames.push(frame(self.pending.split_to(end).freeze()));
                self.searched = 0;
            }
        }
        self.searched = self.pending.len();
        if self.pending.len() > EVENT_BYTES_MAX {
            return Err(Malformed::new("event stream", format!("an event is larger than {EVENT_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    /// Takes what is left when the stream ends: an event whose closing empty line never came.
    pub fn finish(&mut self) -> Option<Frame> {
        self.searched = 0;
        let rest = self.pending.split().freeze();
        Some(frame(rest)).filter(|frame| frame.data.is_some())
    }
}

/// Position after the empty line that ends the first event, looking from `from` on.
fn event_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut position = from;
    loop {
        let offset = memchr::memchr2(b'\n', b'\r', bytes.get(position..)?)?;
        position += offset;
        let after = line_end(bytes, position);
        match bytes.get(after) {
            Some(b'\n') => return Some(after + 1),
            // A CR that ends the chunk may be half of a CRLF: with the next chunk we know.
            Some(b'\r') if after + 1 < bytes.len() => return Some(line_end(bytes, after)),
            _ => position = after,
        }
    }
}

/// Position after the line ending at `at`.
fn line_end(bytes: &[u8], at: usize) -> usize {
    if bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n') { at + 2 } else { at + 1 }
}

fn frame(raw: Bytes) -> Frame {
    let mut event = String::new();
    let mut data: Option<Bytes> = None;
    // All lines, where there are several.
    let mut lines = Vec::new();
    let mut start = 0;
    while start < raw.len() {
        let end = memchr::memchr2(b'\n', b'\r', &raw[start..]).map_or(raw.len(), |offset| start + offset);
        let (name, value) = field(&raw, start, end);
        match &raw[start..name] {
            b"data" => match &data {
                None => data = Some(raw.slice(value..end)),
                Some(first) => {
                    if lines.is_empty() {
                        lines.extend_from_slice(first);
                    }
                    lines.push(b'\n');
                    lines.extend_from_slice(&raw[value..end]);
                }
            },
            b"event" => event = String::from_utf8_lossy(&raw[value..end]).into_owned(),
            _ => {}
        }
        start = if end < raw.len() { line_end(&raw, end) } else { end };
    }
    let data = if lines.is_empty() { data } else { Some(lines.into()) };
    Frame { raw, event, data }
}

/// Ends of the field's name and start of its value within the line `start..end`.
fn field(raw: &[u8], start: usize, end: usize) -> (usize, usize) {
    let name = memchr::memchr(b':', &raw[start..end]).map_or(end, |offset| start + offset);
    let value = (name + 1).min(end);
    let value = if raw.get(value) == Some(&b' ') && value < end { value + 1 } else { value };
    (name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]]) -> Vec<(String, Option<String>)> {
        let mut reader = Reader::default();
        let mut frames = Vec::new();
        for chunk in chunks {
            reader.feed(&Bytes::copy_from_slice(chunk), &mut frames).unwrap();
        }
        frames.extend(reader.finish());
        frames
            .into_iter()
            .map(|frame| (frame.event, frame.data.map(|data| String::from_utf8_lossy(&data).into_owned())))
            .collect()
    }

    #[test]
    fn the_forms_of_an_event() {
        for (name, bytes, want) in [
            ("plain", "data: a\n\n", vec![("", Some("a"))]),
            ("no blank after the colon", "data:a\n\n", vec![("", Some("a"))]),
            ("crlf", "event: x\r\ndata: a\r\n\r\n", vec![("x", Some("a"))]),
            ("cr", "event: x\rdata: a\r\rdata: b\r\r", vec![("x", Some("a")), ("", Some("b"))]),
            ("several lines", "data: a\ndata: b\n\n", vec![("", Some("a\nb"))]),
            ("comment", ": ping\n\ndata: a\n\n", vec![("", None), ("", Some("a"))]),
            ("byte order mark", "\u{feff}data: a\n\n", vec![("", Some("a"))]),
            ("no closing line", "data: a\n\ndata: b", vec![("", Some("a")), ("", Some("b"))]),
            ("field without colon", "data\n\n", vec![("", Some(""))]),
        ] {
            let want: Vec<_> = want.into_iter().map(|(e, d)| (e.to_owned(), d.map(str::to_owned))).collect();
            assert_eq!(read(&[bytes.as_bytes()]), want, "{name}");
        }
    }

    #[test]
    fn a_byte_order_mark_may_come_in_pieces() {
        let bytes = "\u{feff}event: x\ndata: a\n\n".as_bytes();
        for cut in 1..5 {
            assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), [("x".to_owned(), Some("a".to_owned()))], "cut at {cut}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = Reader::default();
        let chunk = Bytes::from(vec![b'x'; 1 << 20]);
        let mut frames = Vec::new();
        let refused = (0..20).any(|_| reader.feed(&chunk, &mut frames).is_err());
        assert!(refused && frames.is_empty());
    }

    #[test]
    fn many_lines_cost_no_more_than_their_bytes() {
        let event = ["data:\n".repeat(1 << 20), "\n".to_owned()].concat();
        let events = read(&[event.as_bytes()]);
        assert_eq!(events[0].1.as_ref().map(String::len), Some((1 << 20) - 1));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_events(
            lines in proptest::collection::vec(
                prop_oneof![Just("data: hé😀"), Just("data:x"), Just("event: e"), Just(": c"), Just(""), Just("id: 1")], 0..20),
            ending in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
            cuts in proptest::collection::vec(0_usize..400, 0..30),
        ) {
            let mut bytes = lines.join(ending).into_bytes();
            bytes.extend_from_slice(ending.as_bytes());
            bytes.extend_from_slice(ending.as_bytes());
            bytes.extend_from_slice(b"data: last\n\n");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let with_data = |events: Vec<(String, Option<String>)>| -> Vec<_> {
                events.into_iter().filter(|(_, data)| data.is_some()).collect()
            };
            prop_assert_eq!(with_data(read(&chunks)), with_data(read(&[&bytes])));
        }

        #[test]
        fn nothing_is_lost_and_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
            let cut = cut.min(bytes.len());
            let _ = read(&[&bytes[..cut], &bytes[cut..]]);
        }
    }
}
