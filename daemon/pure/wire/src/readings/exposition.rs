//! The text in which Prometheus is told metrics, line by line, and its younger form OpenMetrics.
//!
//! A line that cannot be read is left out: one broken metric must not hide the others.

use std::borrow::Cow;

/// Longest text that is read, in bytes: an inference server with many models tells a few hundred KiB.
pub const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One line: a metric's name, its labels and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line<'t> {
    /// The metric's name.
    pub name: &'t str,
    /// What stands between the braces.
    labels: &'t str,
    /// The value; may be infinite or no number.
    value: f64,
}

/// The lines with values of a text. Comments, types, timestamps and exemplars are passed over.
pub fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let text = text.get(..TEXT_BYTES_MAX).unwrap_or(text);
    text.split(|byte| *byte == b'\n').filter_map(|line| read(std::str::from_utf8(line).ok()?))
}

fn read(line: &str) -> Option<Line<'_>> {
    let line = line.trim();
    let end = line.find(|letter: char| letter == '{' || letter.is_ascii_whitespace())?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with('#') {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_at(closing(rest)?),
        None => ("", rest),
    };
    let value = rest.strip_prefix('}').unwrap_or(rest).split_ascii_whitespace().next()?.parse().ok()?;
    Some(Line { name, labels, value })
}

/// Where the brace stands that ends the labels: not within a text in quotes.
fn closing(labels: &str) -> Option<usize> {
    let mut in_text = false;
    let mut bytes = labels.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if in_text => drop(bytes.next()),
            b'"' => in_text = !in_text,
            b'}' if !in_text => return Some(at),
            _ => {}
        }
    }
    None
}

impl<'t> Line<'t> {
    /// Whether this is the metric of that name. Some collectors write `_` where a server writes `:`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        let plain = |byte: u8| if byte == b':' { b'_' } else { byte };
        self.name.len() == name.len() && self.name.bytes().map(plain).eq(name.bytes().map(plain))
    }

    /// The value of a label; `None` where it is missing or empty, which is the same.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<Cow<'t, str>> {
        let mut rest = self.labels;
        loop {
            let (key, after) = rest.split_once('=')?;
            let text = after.trim_start().strip_prefix('"')?;
            let end = closing_quote(text)?;
            let (value, after) = text.split_at(end);
            if key.trim_start_matches([',', ' ']).trim_end() == name {
                return Some(plain(value)).filter(|value| !value.is_empty());
            }
            rest = after.get(1..)?;
        }
    }

    /// The value, if it is a number.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        self.value.is_finite().then_some(self.value)
    }

    /// The value as a count, rounded; `None` for what is none.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        // The cast saturates.
        self.number().filter(|value| *value >= 0.0).map(|value| value.round() as u64)
    }

    /// The value as a smaller count.
    #[must_use]
    pub fn small(&self) -> Option<u32> {
        u32::try_from(self.count()?).ok()
    }

    /// A share from 0 to 1 in percent.
    #[must_use]
    pub fn percent(&self) -> Option<u32> {
        self.number().filter(|value| (0.0..=1_000.0).contains(value)).map(|value| (value * 100.0).round() as u32)
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// The text without its escapes.
fn plain(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        out.push(match (letter, letter == '\\') {
            (letter, false) => letter,
            (_, true) => match letters.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            },
        });
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Option<Line<'_>> {
        let mut all = lines(text.as_bytes());
        let line = all.next();
        assert!(all.next().is_none(), "{text}");
        line
    }

    #[test]
    fn values_of_all_forms() {
        for (text, want) in [
            ("a 1", Some(1.0)),
            ("a{} 1.5", Some(1.5)),
            ("  a\t7e+06  ", Some(7e6)),
            ("a{x=\"y\"} -3 1700000000000", Some(-3.0)),
            ("a_total{x=\"y\"} 4 1700000000.5 # {trace_id=\"1\"} 0.67 1700000000", Some(4.0)),
            ("a{x=\"}\",y=\"\\\"}\"} 9", Some(9.0)),
            ("a{x=\"y\",} 2\r", Some(2.0)),
            ("a +Inf", None),
            ("a NaN", None),
        ] {
            assert_eq!(one(text).expect("a line").number(), want, "{text}");
        }
        for text in ["", "# HELP a 1", "#EOF", "a", "a{", "a{x=\"y} 1", "a one", "{\"quoted.name\"} 1", "a{x=\"y\"}"] {
            assert_eq!(one(text), None, "{text}");
        }
        assert_eq!(lines(b"a 1\n\xff\xfe{ 2\nb 3\n").map(|line| line.name).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn labels_are_found_and_plain() {
        let line = one(r#"a{gpu="0", name="A \"B\" \\ C\nD",empty="",tail="}"} 1"#).expect("a line");
        let label = |name: &str| line.label(name).map(Cow::into_owned);
        assert_eq!(label("gpu").as_deref(), Some("0"));
        assert_eq!(label("name").as_deref(), Some("A \"B\" \\ C\nD"));
        assert_eq!(label("tail").as_deref(), Some("}"));
        assert_eq!((label("empty"), label("nam"), label("missing")), (None, None, None));
        assert!(one("vllm:x 1").is_some_and(|line| line.is("vllm:x") && line.is("vllm_x") && !line.is("vllm:y")));
    }

    #[test]
    fn counts_are_no_more_than_they_are() {
        for (text, count, small, percent) in [
            ("a 2.6", Some(3), Some(3), Some(260)),
            ("a -1", None, None, None),
            ("a 1e10", Some(10_000_000_000), None, None),
            ("a 1e300", Some(u64::MAX), None, None),
            ("a NaN", None, None, None),
            ("a 0.385", Some(0), Some(0), Some(39)),
        ] {
            let line = one(text).expect("a line");
            assert_eq!((line.count(), line.small(), line.percent()), (count, small, percent), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: f64, label in "\\PC{0,20}") {
            let escaped = label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let text = format!("m{{a=\"1\",l=\"{escaped}\"}} {value:e}");
            let line = one(&text).expect("a line");
            prop_assert_eq!(line.label("l").unwrap_or_default().into_owned(), label);
            prop_assert_eq!(line.number(), value.is_finite().then_some(value));
        }

        #[test]
        fn nothing_breaks_it(text in "[a{}=\\\\\"# ,0-9.e\n-]{0,80}") {
            for line in lines(text.as_bytes()) {
                let _ = (line.label("a"), line.label("x"), line.count());
            }
        }
    }
}
