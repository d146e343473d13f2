//! Errors of reading bytes, and of carrying a request into another dialect.

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {expected}")]
pub struct Malformed {
    /// Where: a member's path like `messages[2].content`, or `line 3 column 7`.
    pub at: String,
    /// What was expected or what is wrong, as a clause that follows the place.
    pub expected: String,
}

impl Malformed {
    /// Names the place and what was expected there.
    pub fn new(at: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { at: at.into(), expected: expected.into() }
    }
}

/// A member of the request that would change the answer and has no counterpart in the upstream's dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} cannot be carried: {reason}")]
pub struct Uncarried {
    /// The member's path under the client's name.
    pub field: String,
    /// Why, as a clause: "Ollama has no counterpart".
    pub reason: String,
}

impl Uncarried {
    /// Names the member and the reason.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}
