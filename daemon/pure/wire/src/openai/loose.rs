//! Values of upstreams that may have any type: texts that are sometimes null, numbers that are sometimes texts.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Any JSON value, with the usual case (a text) read without a detour.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Loose {
    /// Absent or null.
    #[default]
    Nothing,
    /// A string.
    Text(String),
    /// Anything else.
    Other(Value),
}

impl Loose {
    /// The text, if it is one that is not empty.
    pub(super) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            Self::Text(_) | Self::Nothing | Self::Other(_) => None,
        }
    }

    /// The text, if it is one.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::Other(_) => None,
        }
    }

    /// A whole number of zero or more, also where it is written as `3.0`.
    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Other(value) => count(value),
            Self::Nothing | Self::Text(_) => None,
        }
    }
}

/// A whole number of zero or more, also where it is written as `3.0`.
pub(super) fn count(value: &Value) -> Option<u64> {
    // A float beyond 2^64 saturates, which is as wrong as any other count.
    value.as_u64().or_else(|| value.as_f64().filter(|number| *number >= 0.0).map(|number| number as u64))
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Loose;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("any JSON value")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Loose, E> {
                Ok(Loose::Text(text.to_owned()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Loose, E> {
                Ok(Loose::Text(text))
            }

            fn visit_unit<E: Error>(self) -> Result<Loose, E> {
                Ok(Loose::Nothing)
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Loose, E> {
                Ok(Loose::Other(value.into()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Loose, E> {
                Ok(Loose::Other(value.into()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Loose, E> {
                Ok(Loose::Other(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Loose, E> {
                Ok(Loose::Other(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Loose, A::Error> {
                Value::deserialize(SeqAccessDeserializer::new(items)).map(Loose::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Loose, A::Error> {
                Value::deserialize(MapAccessDeserializer::new(map)).map(Loose::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_type_is_read() {
        for (text, want) in [
            ("null", Loose::Nothing),
            (r#""a\nb""#, Loose::Text("a\nb".into())),
            ("3", Loose::Other(3.into())),
            ("[1,{}]", Loose::Other(serde_json::json!([1, {}]))),
            (r#"{"a":"b"}"#, Loose::Other(serde_json::json!({"a": "b"}))),
        ] {
            assert_eq!(serde_json::from_str::<Loose>(text).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn counts_are_whole_and_not_negative() {
        for (text, want) in [("3", Some(3)), ("3.0", Some(3)), ("-1", None), ("true", None), ("\"3\"", None)] {
            assert_eq!(serde_json::from_str::<Loose>(text).unwrap().count(), want, "{text}");
        }
    }
}
