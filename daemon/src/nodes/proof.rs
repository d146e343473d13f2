//! Secrets of two Airlanes, and what proves them. The cryptography is `ring`'s and `spake2`'s.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

/// A secret that two Airlanes share.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Key(#[serde(with = "text")] Vec<u8>);

/// Digits of a pairing code.
const CODE_DIGITS: u32 = 8;

impl Key {
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Proves that we know the key, over these parts.
    pub(super) fn sign(&self, parts: &[&str], body: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.hmac(), &message(parts, body)))
    }

    /// Whether somebody who knows the key said this. The comparison takes the same time for every wrong proof.
    pub(super) fn is_proven(&self, parts: &[&str], body: &[u8], proof: &str) -> bool {
        let proof = URL_SAFE_NO_PAD.decode(proof);
        proof.is_ok_and(|proof| hmac::verify(&self.hmac(), &message(parts, body), &proof).is_ok())
    }

    /// Another key for another purpose, from which this one does not follow.
    pub(super) fn derive(&self, purpose: &str) -> Self {
        Self(hmac::sign(&self.hmac(), purpose.as_bytes()).as_ref().to_vec())
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(…)")
    }
}

/// No part holds a line feed, so that no two lists of parts make one message.
fn message(parts: &[&str], body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(body.len() + 128);
    for part in parts {
        message.extend(part.bytes().filter(|byte| *byte != b'\n'));
        message.push(b'\n');
    }
    message.extend_from_slice(body);
    message
}

mod text {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        URL_SAFE_NO_PAD.decode(text).map_err(serde::de::Error::custom)
    }
}

pub(super) fn to_text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn of_text(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A word that nobody can guess.
pub(super) fn random_word() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 18];
    getrandom::fill(&mut bytes)?;
    Ok(to_text(&bytes))
}

/// A pairing code, like `4711-0815`.
pub(super) fn random_code() -> Result<String, getrandom::Error> {
    let space = 10_u64.pow(CODE_DIGITS);
    // 64 random bits over 27 bits of codes: what the remainder prefers is next to nothing.
    let number = getrandom::u64()? % space;
    let digits = format!("{number:08}");
    let (first, second) = digits.split_at(4);
    Ok(format!("{first}-{second}"))
}

/// A code as it is typed: blanks and dashes do not count.
pub(super) fn plain_code(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_key_one_purpose_and_one_body() {
        let key = Key::new(vec![7; 32]);
        let proof = key.sign(&["report", "id"], b"body");
        assert!(key.is_proven(&["report", "id"], b"body", &proof));
        let other = Key::new(vec![8; 32]);
        for (key, parts, body) in [
            (&key, ["report", "ie"], &b"body"[..]),
            (&key, ["reporti", "d"], b"body"),
            (&key, ["report", "id"], b"bodx"),
            (&other, ["report", "id"], b"body"),
            (&key.derive("x"), ["report", "id"], b"body"),
        ] {
            assert!(!key.is_proven(&parts, body, &proof), "{parts:?}");
        }
        for wrong in ["", "x", "!", &proof[1..]] {
            assert!(!key.is_proven(&["report", "id"], b"body", wrong), "{wrong}");
        }
        assert_eq!(format!("{key:?}"), "Key(…)");
    }

    #[test]
    fn codes_are_typed_as_people_type() {
        let code = random_code().unwrap();
        assert_eq!((code.len(), plain_code(&code).len()), (9, 8));
        assert_eq!(plain_code(" 4711 0815\n"), plain_code("4711-0815"));
        assert_ne!(random_word().unwrap(), random_word().unwrap());
    }
}
