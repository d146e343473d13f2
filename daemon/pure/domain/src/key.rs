//! Keys of Airlane's own: what they look like, and when they are good.
//!
//! A key is `sk-airlane-` + [`ID_CHARS`] letters that name it + `-` + [`SECRET_CHARS`] that prove it. The name is no secret: it finds
//! the key among a hundred thousand, and stands in lists and in the ledger. The proof has 32 letters of an alphabet of 32,
//! which is 160 bits.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How every key begins. What clients send besides (`ollama`, `sk-none`) is no key of ours.
pub const BEGIN: &str = "sk-airlane-";
/// Letters of a key's name.
pub const ID_CHARS: usize = 8;
/// Letters of a key's proof.
pub const SECRET_CHARS: usize = 32;
/// The letters, 32 of them: without `i`, `l`, `o` and `u`, which people read wrong (Crockford's alphabet).
pub const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A key's name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; ID_CHARS]);

impl KeyId {
    /// The name in a text that is one.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let bytes: [u8; ID_CHARS] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(|byte| ALPHABET.contains(byte)).then_some(Self(bytes))
    }

    /// It as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // All letters are of the alphabet.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What a client presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// Nothing, or something that is no key of ours.
    Nothing,
    /// It begins as our keys do, and is none.
    Broken,
    /// A key of this name; whether it is good must be proven.
    Key(KeyId),
}

impl Presented {
    /// What a text is, as it stands in a header without `Bearer`.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let Some(rest) = text.strip_prefix(BEGIN) else { return Self::Nothing };
        let (id, secret) = rest.split_once('-').unwrap_or((rest, ""));
        let is_whole = secret.len() == SECRET_CHARS && secret.bytes().all(|byte| ALPHABET.contains(&byte));
        KeyId::read(id).filter(|_| is_whole).map_or(Self::Broken, Self::Key)
    }
}

/// A new key of these random numbers, of which only the lowest five bits count: its name and its whole text.
#[must_use]
pub fn write(random: &[u8; ID_CHARS + SECRET_CHARS]) -> (KeyId, String) {
    let letters = random.map(|number| ALPHABET[usize::from(number % 32)]);
    let (id, secret) = letters.split_at(ID_CHARS);
    let mut name = [0; ID_CHARS];
    name.copy_from_slice(id);
    let text = |letters: &[u8]| letters.iter().map(|letter| char::from(*letter)).collect::<String>();
    (KeyId(name), format!("{BEGIN}{}-{}", text(id), text(secret)))
}

/// What is known of a key besides its proof. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// Its name: the eight letters after `sk-airlane-`.
    pub id: String,
    /// Who pays.
    pub tenant: String,
    /// What its owner calls it; may be empty.
    #[serde(default)]
    pub label: String,
    /// When it was made.
    pub created_s: u64,
    /// From when on it is not good any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_s: Option<u64>,
}

/// Why a key is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// There is none of this name, or its proof is wrong.
    Unknown,
    /// Its time is over.
    Expired,
    /// Its owner took it back.
    Revoked,
}

impl KeyFacts {
    /// Whether it is good at this time.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, now_s: u64) -> Result<(), Bad> {
        if self.revoked_s.is_some() {
            return Err(Bad::Revoked);
        }
        if self.expires_s.is_some_and(|expires| expires <= now_s) { Err(Bad::Expired) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts(expires_s: Option<u64>, revoked_s: Option<u64>) -> KeyFacts {
        KeyFacts {
            id: "01234567".to_owned(),
            tenant: "anna".to_owned(),
            label: String::new(),
            created_s: 1,
            expires_s,
            revoked_s,
        }
    }

    #[test]
    fn what_is_presented() {
        let secret = "0123456789abcdefghjkmnpqrstvwxyz";
        for (text, want) in [
            (format!("sk-airlane-abcdefgh-{secret}"), Presented::Key(KeyId(*b"abcdefgh"))),
            (format!("sk-airlane-abcdefgi-{secret}"), Presented::Broken),
            (format!("sk-airlane-abcdefg-{secret}"), Presented::Broken),
            (format!("sk-airlane-abcdefgh-{secret}0"), Presented::Broken),
            (format!("sk-airlane-abcdefgh-{}", secret.replace('0', "O")), Presented::Broken),
            ("sk-airlane-".to_owned(), Presented::Broken),
            ("sk-none".to_owned(), Presented::Nothing),
            (String::new(), Presented::Nothing),
        ] {
            assert_eq!(Presented::read(&text), want, "{text}");
        }
    }

    #[test]
    fn a_key_is_good_until_it_is_not() {
        for (facts, want) in [
            (facts(None, None), Ok(())),
            (facts(Some(101), None), Ok(())),
            (facts(Some(100), None), Err(Bad::Expired)),
            (facts(Some(200), Some(50)), Err(Bad::Revoked)),
        ] {
            assert_eq!(facts.check(100), want, "{facts:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(random in any::<[u8; 40]>()) {
            let (id, text) = write(&random);
            prop_assert_eq!(Presented::read(&text), Presented::Key(id));
            prop_assert_eq!(KeyId::read(id.as_str()), Some(id));
            prop_assert_eq!(text.len(), BEGIN.len() + ID_CHARS + 1 + SECRET_CHARS);
        }

        #[test]
        fn any_text_is_read(text in ".{0,200}") {
            let _ = Presented::read(&text);
            let _ = Presented::read(&format!("{BEGIN}{text}"));
        }
    }
}
