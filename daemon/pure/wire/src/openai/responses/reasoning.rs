//! Reasoning that only its maker can check or read, carried through `encrypted_content` and back.

use crate::chat::Part;

/// Before the signature of a reasoning whose text stands beside it.
const SIGNATURE: &str = "signature:";
/// Before reasoning that its maker encrypted.
const REDACTED: &str = "redacted:";

/// What `encrypted_content` says of a signed reasoning.
pub(super) fn of_signature(signature: &str) -> String {
    format!("{SIGNATURE}{signature}")
}

/// What `encrypted_content` says of encrypted reasoning.
pub(super) fn of_redacted(data: &str) -> String {
    format!("{REDACTED}{data}")
}

/// The parts that a reasoning item stands for: its text, its signature, its encrypted form.
pub(super) fn parts(text: String, encrypted: Option<&str>) -> Vec<Part> {
    let thinking = |text, signature| Part::Thinking { text, signature };
    let Some(encrypted) = encrypted.filter(|encrypted| !encrypted.is_empty()) else {
        return if text.is_empty() { Vec::new() } else { vec![thinking(text, None)] };
    };
    if let Some(signature) = encrypted.strip_prefix(SIGNATURE) {
        return vec![thinking(text, Some(signature.to_owned()))];
    }
    let readable = Some(text).filter(|text| !text.is_empty()).map(|text| thinking(text, None));
    // Without our word before it, another maker encrypted it: the model that gets it back would refuse it.
    let sealed = encrypted.strip_prefix(REDACTED).map(|data| Part::RedactedThinking(data.to_owned()));
    readable.into_iter().chain(sealed).collect()
}
