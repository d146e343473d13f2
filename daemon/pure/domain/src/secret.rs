//! Text that must not be seen.

use std::fmt;

/// A key or password. Its `Debug` form never shows it; whoever needs it calls [`Secret::reveal`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text; blanks around it are dropped, because key files end in a line feed.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The text itself, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new(" sk-12345\n");
        assert_eq!(secret.reveal(), "sk-12345");
        assert!(!format!("{secret:?}").contains("123"));
    }
}
