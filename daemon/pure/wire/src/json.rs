//! JSON bodies with as little work as possible: one checking pass, members kept as raw text in their order.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;
use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::malformed::Malformed;

mod canonical;
mod check;
mod elements;

pub use canonical::composed;
pub(crate) use canonical::{canonical, text_of};
pub use check::{DEPTH_MAX, VALUES_MAX, mended};
pub(crate) use elements::{elements, members, strings};

/// The top level of a JSON object: its members in order, each as raw text. Cloning it copies no text.
#[derive(Debug, Clone)]
pub struct Object {
    body: ByteString,
    members: Vec<(Text, Text)>,
    /// The members are no longer those of the body.
    is_changed: bool,
}

/// A piece of text: of the body, or put in its place.
#[derive(Debug, Clone)]
enum Text {
    Span(Range<usize>),
    Own(String),
}

impl Object {
    /// Checks `body` as a whole and splits its top level.
    ///
    /// # Errors
    /// Text that is not UTF-8 or not JSON, is nested deeper than [`DEPTH_MAX`], holds a lone surrogate escape or a
    /// member twice, or is no object. The place is given as line and column.
    pub fn parse(body: &Bytes) -> Result<Self, Malformed> {
        let body = ByteString::try_from(body.clone())
            .map_err(|error| Malformed::new(format!("byte {}", error.valid_up_to()), "the body is not UTF-8"))?;
        let text: &str = &body;
        check::depth(text.as_bytes())?;
        check::surrogates(text)?;
        let Members(members) = serde_json::from_str(text).map_err(|error| place(&error))?;
        let span = |part: &str| {
            let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
            Text::Span(start..start.wrapping_add(part.len()))
        };
        let members = members
            .into_iter()
            .map(|(key, value)| match key {
                Cow::Borrowed(key) => (span(key), span(value.get())),
                Cow::Owned(key) => (Text::Own(key), span(value.get())),
            })
            .collect();
        Ok(Self { body, members, is_changed: false })
    }

    /// Refuses a body of so many values that reading them all would fill the memory.
    ///
    /// # Errors
    /// There are more than [`VALUES_MAX`].
    pub fn check_values(&self) -> Result<(), Malformed> {
        check::values(self.body.as_bytes())
    }

    /// [`Object::parse`] for tests, which write their bodies down.
    #[cfg(test)]
    pub(crate) fn of(body: &[u8]) -> Result<Self, Malformed> {
        Self::parse(&Bytes::copy_from_slice(body))
    }

    fn text<'s>(&'s self, text: &'s Text) -> &'s str {
        match text {
            Text::Span(range) => self.body.get(range.clone()).unwrap_or_default(),
            Text::Own(text) => text,
        }
    }

    /// The raw text of a member.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.members().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Reads a member as `T`; absent and `null` are `None`.
    ///
    /// # Errors
    /// The member has another type.
    pub fn get<'s, T: Deserialize<'s>>(&'s self, name: &str) -> Result<Option<T>, Malformed> {
        match self.raw(name) {
            None | Some("null") => Ok(None),
            Some(raw) => {
                serde_json::from_str(raw).map(Some).map_err(|error| Malformed::new(name, without_place(&error)))
            }
        }
    }

    /// Like [`Object::get`], for a member that must be there.
    ///
    /// # Errors
    /// The member is missing, null or has another type.
    pub fn need<'s, T: Deserialize<'s>>(&'s self, name: &str) -> Result<T, Malformed> {
        self.get(name)?.ok_or_else(|| Malformed::new(name, "this member is required"))
    }

    /// The members in their order, as name and raw text.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().map(|(key, value)| (self.text(key), self.text(value)))
    }

    /// Sets a member, in its old place or at the end.
    pub fn set<T: serde::Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        let Ok(raw) = serde_json::to_string(value) else { return };
        let before = self.members().enumerate().find(|(_, (key, _))| *key == name);
        let position = match before {
            Some((_, (_, old))) if old == raw => return,
            Some((position, _)) => position,
            None => self.members.len(),
        };
        self.is_changed = true;
        match self.members.get_mut(position) {
            Some((_, old)) => *old = Text::Own(raw),
            None => self.members.push((Text::Own(name.to_owned()), Text::Own(raw))),
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) {
        let position = self.members().position(|(key, _)| key == name);
        if let Some(position) = position {
            self.members.remove(position);
            self.is_changed = true;
        }
    }

    /// Writes the object; untouched members keep their exact text, and an untouched object is the body itself.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if !self.is_changed {
            return self.body.as_bytes().clone();
        }
        let length: usize = self.members().map(|(key, value)| key.len() + value.len() + 8).sum();
        let mut out = Vec::with_capacity(length + 2);
        out.push(b'{');
        for (position, (key, value)) in self.members().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            write_string(&mut out, key);
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
        out.push(b'}');
        out.into()
    }
}

/// Reads a whole body as `T` with a place in the error.
///
/// # Errors
/// The body is not JSON or not a `T`.
pub fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(body).map_err(|error| place(&error))
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    // A string always serialises, and a Vec never fails to grow short of an abort.
    let _ = serde_json::to_writer(out, text);
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TopLevel;
        impl<'de> Visitor<'de> for TopLevel {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(16);
                while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
                    // Two values for one name: whoever reads next may pick the other one.
                    if members.iter().any(|(known, _)| *known == key) {
                        return Err(A::Error::custom(format!("member {key:?} stands here twice")));
                    }
                    if members.len() >= MEMBERS_MAX {
                        return Err(A::Error::custom(format!("more than {MEMBERS_MAX} members")));
                    }
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(TopLevel)
    }
}

/// Most top-level members accepted; no dialect has 60.
const MEMBERS_MAX: usize = 200;

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

fn place(error: &serde_json::Error) -> Malformed {
    Malformed::new(format!("line {} column {}", error.line(), error.column()), without_place(error))
}

fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.find(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_members_keep_their_text_and_order() {
        let mut object =
            Object::of(br#"{ "z": [1,  2.50], "model" : "old", "a": {"x":  null}, "n": 1e400, "k\u0065y": 1 }"#)
                .unwrap();
        object.set("model", "new \"one\"");
        object.remove("a");
        object.set("stream", &true);
        let bytes = object.to_bytes();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(text, r#"{"z":[1,  2.50],"model":"new \"one\"","n":1e400,"key":1,"stream":true}"#);
    }

    #[test]
    fn an_untouched_object_is_its_body() {
        let body = Bytes::from_static(br#" { "model" : "a", "n": 1 } "#);
        let mut object = Object::parse(&body).unwrap();
        object.set("model", "a");
        object.remove("models");
        assert_eq!(object.to_bytes().as_ptr(), body.as_ptr(), "nothing is copied");
        object.set("model", "b");
        assert_eq!(object.to_bytes(), r#"{"model":"b","n":1}"#);
    }

    #[test]
    fn wrong_bodies_are_refused_with_a_place() {
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        for (name, body, place) in [
            ("not json", "{\"a\": nope}", "line 1 column 8"),
            ("cut", "{\n\"a\": [1,", "line 2 column 8"),
            ("no object", "[1]", "line 1 column 0"),
            ("twice", r#"{"model":"a","model":"b"}"#, "line 1 column"),
            ("deep", deep.as_str(), "byte 100"),
            ("lone high", r#"{"a":"\ud800x"}"#, "byte 6"),
            ("lone low", r#"{"a":"\\\udc00"}"#, "byte 8"),
            ("trailing", "{} x", "line 1 column 4"),
        ] {
            let error = Object::of(body.as_bytes()).expect_err(name);
            assert!(error.at.starts_with(place), "{name}: {error}");
        }
        assert!(Object::of(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn pairs_and_escaped_backslashes_are_text() {
        for body in [r#"{"a":"\ud83d\ude00"}"#, r#"{"a":"\\ud800"}"#, r#"{"a":"[[[\"[["}"#] {
            Object::of(body.as_bytes()).expect(body);
        }
    }

    #[test]
    fn a_null_is_like_nothing() {
        let object = Object::of(br#"{"a":null,"b":"x"}"#).unwrap();
        assert_eq!(object.get::<String>("a").unwrap(), None);
        assert_eq!(object.need::<String>("a").unwrap_err().to_string(), "a: this member is required");
        assert_eq!(object.get::<u64>("b").unwrap_err().at, "b");
    }
}
