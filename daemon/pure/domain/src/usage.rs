//! Tokens a request used, by kind.

/// Tokens of one request as the upstream counted them. `None` means that the upstream did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens, cached ones included.
    pub input: Option<u64>,
    /// Generated tokens, reasoning ones included.
    pub output: Option<u64>,
    /// Prompt tokens that were read from the upstream's prompt cache.
    pub cached_read: Option<u64>,
    /// Prompt tokens that were written into the upstream's prompt cache.
    pub cache_write: Option<u64>,
    /// Generated tokens that were spent on reasoning.
    pub reasoning: Option<u64>,
    /// What was not used, because the answer was kept from before; the other counts are then zero.
    pub saved: Option<Saved>,
}

/// The tokens of an answer when it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Saved {
    /// Prompt tokens.
    pub input: u64,
    /// Generated tokens.
    pub output: u64,
}

impl Usage {
    /// Takes over every count that `later` knows; keeps the others. Streams tell usage in pieces.
    pub const fn update(&mut self, later: &Self) {
        macro_rules! take {
            ($($field:ident),*) => { $( if later.$field.is_some() { self.$field = later.$field; } )* };
        }
        take!(input, output, cached_read, cache_write, reasoning, saved);
    }

    /// The usage of whoever gets a kept answer for which this was used.
    #[must_use]
    pub fn as_saved(&self) -> Self {
        let saved = Saved { input: self.input.unwrap_or(0), output: self.output.unwrap_or(0) };
        Self { input: Some(0), output: Some(0), saved: Some(saved), ..Self::default() }
    }

    /// Input plus output, with unknown counts as zero.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.unwrap_or(0).saturating_add(self.output.unwrap_or(0))
    }
}
