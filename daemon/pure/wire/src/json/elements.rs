//! Raw text of JSON, cut into its parts without reading them.

use super::check::string_end;

/// The elements of an array, or the whole text if it is none. The text is JSON already.
pub(crate) fn elements(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let mut rest = Some(inner.unwrap_or(text)).filter(|rest| !rest.trim().is_empty());
    let is_list = inner.is_some();
    std::iter::from_fn(move || {
        let text = rest?;
        let end = if is_list { element_end(text.as_bytes()) } else { text.len() };
        rest = text.get(end + 1..);
        Some(text.get(..end).unwrap_or(text).trim())
    })
}

/// Position of the comma that ends the first element, or the end of the text.
fn element_end(text: &[u8]) -> usize {
    let (mut depth, mut position) = (0_usize, 0);
    while let Some(&byte) = text.get(position) {
        match byte {
            b'"' => position = string_end(text, position + 1),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return position,
            _ => {}
        }
        position += 1;
    }
    text.len()
}

/// The strings in a text, without their quotes.
pub(crate) fn strings(text: &str) -> impl Iterator<Item = &str> {
    let mut position = 0;
    std::iter::from_fn(move || {
        let start = position + memchr::memchr(b'"', text.as_bytes().get(position..)?)? + 1;
        let end = string_end(text.as_bytes(), start);
        position = end + 1;
        text.get(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found() {
        let found: Vec<_> = strings(r#"{"a":["b\"c",1],"d":""}"#).collect();
        assert_eq!(found, ["a", r#"b\"c"#, "d", ""]);
    }

    #[test]
    fn arrays_are_split_where_their_commas_are() {
        for (text, want) in [
            ("[]", &[][..]),
            ("[ ]", &[]),
            ("[1]", &["1"]),
            (r#"[{"a":[1,2]}, "x,\"]" ,[,]]"#, &[r#"{"a":[1,2]}"#, r#""x,\"]""#, "[,]"]),
            (r#""no, array""#, &[r#""no, array""#]),
        ] {
            assert_eq!(elements(text).collect::<Vec<_>>(), want, "{text}");
        }
    }
}
