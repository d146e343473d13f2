//! Checks of JSON as text, before anything of it is read.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::malformed::Malformed;

/// Deepest nesting accepted. Real requests (tool schemas) stay below 30; some upstreams recurse per level.
pub const DEPTH_MAX: usize = 96;

/// Most values of a body that is read as a whole: one of two bytes takes up to a hundred in memory.
pub const VALUES_MAX: usize = 1_000_000;

pub(super) fn depth(body: &[u8]) -> Result<(), Malformed> {
    // Most bodies have fewer brackets than levels are allowed: counting them is much faster than following strings.
    if memchr::memchr2_iter(b'{', b'[', body).take(DEPTH_MAX + 1).count() <= DEPTH_MAX {
        return Ok(());
    }
    let mut depth = 0_usize;
    let mut position = 0;
    while let Some(&byte) = body.get(position) {
        match byte {
            b'"' => position = string_end(body, position + 1),
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(Malformed::new(
                        format!("byte {position}"),
                        format!("nested deeper than {DEPTH_MAX} levels"),
                    ));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        position += 1;
    }
    Ok(())
}

/// Refuses more than [`VALUES_MAX`] values.
pub(super) fn values(body: &[u8]) -> Result<(), Malformed> {
    // Texts hold these characters too, but rarely so many.
    if memchr::memchr3_iter(b',', b'[', b'{', body).take(VALUES_MAX + 1).count() <= VALUES_MAX {
        return Ok(());
    }
    let mut count = 0_usize;
    let mut position = 0;
    while let Some(&byte) = body.get(position) {
        match byte {
            b'"' => position = string_end(body, position + 1),
            b',' | b'[' | b'{' => count += 1,
            _ => {}
        }
        position += 1;
    }
    if count <= VALUES_MAX {
        return Ok(());
    }
    Err(Malformed::new("the body", format!("holds more than {VALUES_MAX} values")))
}

/// Position of the quote that closes the string whose first character is at `from`, or the end of the body.
pub(super) fn string_end(body: &[u8], from: usize) -> usize {
    let mut position = from;
    while let Some(rest) = body.get(position..) {
        match memchr::memchr2(b'"', b'\\', rest) {
            None => return body.len(),
            Some(offset) if rest[offset] == b'"' => return position + offset,
            Some(offset) => position += offset + 2,
        }
    }
    body.len()
}

/// Refuses `\ud800` without its partner: serde passes it over inside skipped text, and upstreams answer it with a 500.
pub(super) fn surrogates(text: &str) -> Result<(), Malformed> {
    let bytes = text.as_bytes();
    static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\u"));
    if ESCAPE.find(bytes).is_none() {
        return Ok(());
    }
    match half_pair(bytes, 0) {
        Some(at) => Err(Malformed::new(format!("byte {at}"), "half of a surrogate pair: this is no character")),
        None => Ok(()),
    }
}

/// Position of the first escape from `position` on that is half of a surrogate pair.
fn half_pair(bytes: &[u8], mut position: usize) -> Option<usize> {
    while let Some(offset) = bytes.get(position..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        let at = position + offset;
        position = at + 2;
        let Some(unit) = escape_at(bytes, at) else { continue };
        position = at + 6;
        if (0xdc00..0xe000).contains(&unit) {
            return Some(at);
        }
        if (0xd800..0xdc00).contains(&unit) {
            if !escape_at(bytes, at + 6).is_some_and(|low| (0xdc00..0xe000).contains(&low)) {
                return Some(at);
            }
            position = at + 12;
        }
    }
    None
}

/// An upstream's JSON with U+FFFD in the place of characters that it cut in two, as servers do that send a part of an
/// emoji at a time; `None` if there are none.
#[must_use]
pub fn mended(body: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(body);
    let is_utf8 = matches!(text, Cow::Borrowed(_));
    let mut bytes = text.into_owned().into_bytes();
    let mut half = half_pair(&bytes, 0);
    if is_utf8 && half.is_none() {
        return None;
    }
    while let Some(at) = half {
        bytes[at..at + 6].copy_from_slice(b"\\ufffd");
        half = half_pair(&bytes, at + 6);
    }
    Some(bytes)
}

/// The UTF-16 unit of a `\uXXXX` escape that begins at `at`.
fn escape_at(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    if &escape[..2] != b"\\u" {
        return None;
    }
    let digits = std::str::from_utf8(&escape[2..]).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_texts() {
        let numbers = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(values(numbers(VALUES_MAX).as_bytes()), Ok(()));
        assert_eq!(values(numbers(VALUES_MAX + 1).as_bytes()).unwrap_err().at, "the body");
        assert_eq!(values(format!("[{:?}]", ",".repeat(2 * VALUES_MAX)).as_bytes()), Ok(()));
    }

    #[test]
    fn cut_characters_are_mended() {
        for (body, want) in [
            (&br#"{"a":"\\ud83d \ud83d\ude00"}"#[..], None),
            (br#"{"a":"\ud83d","b":"\ude00\\"}"#, Some(r#"{"a":"\ufffd","b":"\ufffd\\"}"#)),
            (b"{\"a\":\"\xf0\x9f\"}", Some("{\"a\":\"\u{fffd}\"}")),
            (b"{}", None),
        ] {
            assert_eq!(mended(body).map(|text| String::from_utf8(text).unwrap()).as_deref(), want);
        }
    }
}
