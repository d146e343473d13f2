//! A table of vectors, one for each token: the smallest thing that can compare texts by their meaning, without a model server.
//!
//! The vector of a text is the mean of its tokens' vectors. Two files make it, in the forms of Hugging Face's libraries: the
//! vectors as safetensors, the tokens as the JSON of a tokenizer. Both may come from anywhere, so nothing in them is
//! believed before it was checked.

mod safetensors;
mod tokenizer;

use bytes::Bytes;
use domain::semantic::Vector;

use safetensors::Weights;
use tokenizer::Tokenizer;

/// A table, read.
#[derive(Debug)]
pub struct Table {
    weights: Weights,
    tokenizer: Tokenizer,
}

/// Why files make no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTable {
    /// The file with the vectors.
    #[error("the file of vectors (safetensors) cannot be used: {0}")]
    Weights(String),
    /// The file with the tokens.
    #[error("the file of the tokenizer (JSON) cannot be used: {0}")]
    Tokenizer(String),
}

/// Longest text of which a vector is made, in bytes.
pub const TEXT_BYTES_MAX: usize = 65_536;

impl Table {
    /// Reads the two files. The vectors stay where they are; the tokens take about 2 MB for 32,000 of them.
    ///
    /// # Errors
    /// One of them is damaged, or of another kind than this knows.
    pub fn read(weights: Bytes, tokenizer: &[u8]) -> Result<Self, BadTable> {
        let weights = Weights::read(weights).map_err(BadTable::Weights)?;
        let tokenizer = Tokenizer::read(tokenizer, weights.rows()).map_err(BadTable::Tokenizer)?;
        Ok(Self { weights, tokenizer })
    }

    /// How many numbers a vector has.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.weights.columns()
    }

    /// The tokens of a text, by their numbers.
    #[must_use]
    pub fn tokens(&self, text: &str) -> Vec<u32> {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        self.tokenizer.tokens(text)
    }

    /// The vector of a text; of a text over [`TEXT_BYTES_MAX`], that of its beginning. `None` if it has no direction, as that of
    /// an empty text.
    #[must_use]
    pub fn vector(&self, text: &str) -> Option<Vector> {
        let mut sum = vec![0.0_f32; self.dimensions()];
        for token in self.tokens(text) {
            self.weights.add(token, &mut sum);
        }
        // The sum has the direction of the mean, and only that counts.
        Vector::of(&sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three tokens beside those of the tokenizer's tests.
    fn table() -> Table {
        let rows: Vec<[f32; 2]> = (0_u8..9).map(|row| [f32::from(row), 1.0]).collect();
        let bytes: Vec<u8> = rows.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
        let weights = safetensors::tests::file(r#"{"e":{"dtype":"F32","shape":[9,2],"data_offsets":[0,72]}}"#, &bytes);
        Table::read(weights, tokenizer::tests::SMALL.as_bytes()).unwrap()
    }

    #[test]
    fn a_text_is_the_mean_of_its_tokens() {
        let table = table();
        assert_eq!(table.tokens("ab"), [7]);
        assert_eq!(table.vector("ab"), Vector::of(&[7.0, 1.0]));
        assert_eq!(table.vector("ab a"), Vector::of(&[7.0 + 8.0, 2.0]));
        assert_eq!((table.vector(""), table.dimensions()), (None, 2));
    }

    #[test]
    fn long_texts_are_cut() {
        let table = table();
        assert_eq!(table.tokens(&"é".repeat(40_000)).len(), table.tokens(&"é".repeat(32_768)).len());
    }
}
