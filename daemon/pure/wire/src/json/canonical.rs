//! One form for all JSON that says the same: members sorted by name, no blanks, no needless escapes, text in Unicode's
//! Normalization Form C (UAX #15).
//!
//! Two texts with the same form say the same; the reverse need not hold: numbers are compared as they are written, save
//! for `1.0`, which is `1`.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

use super::{elements, members, write_string};

/// Appends the form of a value. The text is JSON already, of bounded depth.
pub(crate) fn canonical(text: &str, out: &mut Vec<u8>) {
    match text.as_bytes().first() {
        Some(b'{') => object(text, out),
        Some(b'[') => {
            out.push(b'[');
            separated(elements(text), out, canonical);
            out.push(b']');
        }
        Some(b'"') => string(text, out),
        Some(b'-' | b'0'..=b'9') => out.extend_from_slice(number(text).as_bytes()),
        _ => out.extend_from_slice(text.as_bytes()),
    }
}

/// The text that a JSON string stands for, in Normalization Form C; `None` if it is no string.
pub(crate) fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    let text: Cow<'_, str> = match memchr::memchr(b'\\', inner.as_bytes()) {
        None => inner.into(),
        Some(_) => serde_json::from_str::<String>(raw).ok()?.into(),
    };
    Some(composed(text))
}

/// A text in Unicode's Normalization Form C, in which equal texts are equal bytes.
#[must_use]
pub fn composed(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.is_ascii() {
        return text;
    }
    ComposingNormalizerBorrowed::new_nfc().normalize(&text).into_owned().into()
}

fn object(text: &str, out: &mut Vec<u8>) {
    let mut sorted: Vec<(Cow<'_, str>, &str)> =
        members(text).map(|(name, value)| (text_of(name).unwrap_or(name.into()), value)).collect();
    // Stable: a name that stands there twice keeps its order, which may count.
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    out.push(b'{');
    separated(sorted.into_iter(), out, |(name, value), out| {
        write_string(out, &name);
        out.push(b':');
        canonical(value, out);
    });
    out.push(b'}');
}

fn string(raw: &str, out: &mut Vec<u8>) {
    match text_of(raw) {
        // Without escapes it is its own form.
        Some(text) if text.len() + 2 == raw.len() && text.is_ascii() => out.extend_from_slice(raw.as_bytes()),
        Some(text) => write_string(out, &text),
        None => out.extend_from_slice(raw.as_bytes()),
    }
}

/// Programs differ in whether they write a whole number with a point.
fn number(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') && whole != "-0" => whole,
        _ => text,
    }
}

fn separated<T>(items: impl Iterator<Item = T>, out: &mut Vec<u8>, mut write: impl FnMut(T, &mut Vec<u8>)) {
    for (position, item) in items.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write(item, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn form(text: &str) -> String {
        let mut out = Vec::new();
        canonical(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_says_the_same_has_one_form() {
        for (text, want) in [
            (
                r#"{ "b" : [1, 2.0,2.50,-0.0,1e2] , "a":{"d":null,"c":true} }"#,
                r#"{"a":{"c":true,"d":null},"b":[1,2,2.50,-0.0,1e2]}"#,
            ),
            (r#""caf\u00e9 \u0041\/""#, "\"café A/\""),
            ("\"cafe\u{301}\"", "\"café\""),
            (r#""a\"b\\c\n""#, r#""a\"b\\c\n""#),
            (r#"{"\u0061":1,"A":2}"#, r#"{"A":2,"a":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
            ("{}", "{}"),
            ("[ ]", "[]"),
            (r#""""#, r#""""#),
            ("123456789012345678901", "123456789012345678901"),
        ] {
            assert_eq!(form(text), want, "{text}");
        }
    }

    #[test]
    fn what_says_something_else_has_another() {
        for (a, b) in [("[1,2]", "[2,1]"), (r#""a""#, r#""A""#), (r#"{"a":[{}]}"#, r#"{"a":[{},{}]}"#), ("1", "\"1\"")]
        {
            assert_ne!(form(a), form(b));
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~é\\n]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-c\"\\\\]{1,2}", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_form_says_what_the_text_says(value in json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let formed = form(&pretty);
            prop_assert_eq!(&formed, &form(&value.to_string()));
            prop_assert_eq!(serde_json::from_str::<Value>(&formed).unwrap(), value);
            prop_assert_eq!(form(&formed), formed);
        }
    }
}
