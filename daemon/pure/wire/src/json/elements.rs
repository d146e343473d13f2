//! Raw text of JSON, cut into its parts without reading them.

use super::check::string_end;

/// The elements of an array, or the whole text if it is none. The text is JSON already.
pub(crate) fn elements(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    parts(inner.unwrap_or(text), inner.is_some())
}

/// The members of an object, as raw texts of name and value; none if it is no object. The text is JSON already.
pub(crate) fn members(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    parts(inner, true).filter_map(|member| {
        let end = string_end(member.as_bytes(), 1) + 1;
        let (name, rest) = member.split_at_checked(end)?;
        Some((name, rest.trim_start().strip_prefix(':')?.trim_start()))
    })
}

/// What stands between the commas of a list, or the whole text where it is none.
fn parts(inner: &str, is_list: bool) -> impl Iterator<Item = &str> {
    let mut rest = Some(inner).filter(|rest| !rest.trim().is_empty());
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
    fn members_are_split_from_their_names() {
        let text = r#"{ "a" : [1, {"b":2}], "c\"d":"}:,", "e":{} }"#;
        let found: Vec<_> = members(text).collect();
        assert_eq!(found, [("\"a\"", r#"[1, {"b":2}]"#), (r#""c\"d""#, "\"}:,\""), ("\"e\"", "{}")]);
        assert_eq!(members("{ }").count() + members("[1]").count() + members("1").count(), 0);
    }

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
