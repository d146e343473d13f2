//! How the owner calls a graphics card in the config.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::gpu::Card;

/// A card by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardName {
    /// By its position in the driver's order.
    Index(u32),
    /// By its own name for itself.
    Uuid(String),
}

impl CardName {
    /// Whether this is the name of a card.
    #[must_use]
    pub fn is_of(&self, card: &Card) -> bool {
        match self {
            Self::Index(index) => card.index == *index,
            Self::Uuid(uuid) => card.uuid.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(uuid)),
        }
    }
}

impl fmt::Display for CardName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(formatter, "GPU {index}"),
            Self::Uuid(uuid) => formatter.write_str(uuid),
        }
    }
}

impl<'de> Deserialize<'de> for CardName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyName)
    }
}

struct AnyName;

impl Visitor<'_> for AnyName {
    type Value = CardName;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a card's number, like 0, or its UUID in quotes, as `nvidia-smi -L` lists them")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<CardName, E> {
        let wrong = |_| E::invalid_value(serde::de::Unexpected::Signed(number), &self);
        u32::try_from(number).map(CardName::Index).map_err(wrong)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<CardName, E> {
        let wrong = |_| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self);
        u32::try_from(number).map(CardName::Index).map_err(wrong)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<CardName, E> {
        Ok(text.parse().map_or_else(|_| CardName::Uuid(text.to_owned()), CardName::Index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::Error as ValueError;

    #[test]
    fn numbers_and_uuids_are_names() {
        let of_text = |text: &str| CardName::deserialize(IntoDeserializer::<ValueError>::into_deserializer(text));
        let of_number = |number: i64| CardName::deserialize(IntoDeserializer::<ValueError>::into_deserializer(number));
        assert_eq!(of_text("1"), Ok(CardName::Index(1)));
        assert_eq!(of_text("GPU-a"), Ok(CardName::Uuid("GPU-a".to_owned())));
        assert_eq!(of_number(2), Ok(CardName::Index(2)));
        assert!(of_number(-1).is_err_and(|error| error.to_string().contains("nvidia-smi -L")));
        let card = Card { index: 1, uuid: Some("GPU-A".to_owned()), ..Card::default() };
        for (name, is_it) in [("1", true), ("0", false), ("GPU-a", true), ("GPU-b", false)] {
            assert_eq!(of_text(name).is_ok_and(|name| name.is_of(&card)), is_it, "{name}");
        }
    }
}
