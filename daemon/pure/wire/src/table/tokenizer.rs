//! A text cut into tokens by byte-pair encoding (Sennrich et al. 2016), as Llama's first tokenizers do: pairs of neighbours
//! are merged, the pair first that stands first in the list; what is no token becomes its bytes.
//!
//! Of the file, only what is needed is kept: which letters are tokens, and which pairs become which token.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use foldhash::fast::FixedState;
use serde::Deserialize;
use serde_json::{Value, json};

/// The tokens, read.
#[derive(Debug)]
pub(super) struct Tokenizer {
    letters: HashMap<char, u32, FixedState>,
    bytes: Vec<u32>,
    /// What two tokens become, and how soon.
    merges: HashMap<(u32, u32), Merge, FixedState>,
}

#[derive(Debug, Clone, Copy)]
struct Merge {
    rank: usize,
    token: u32,
}

/// Longest file: that of 256,000 tokens takes 32 MiB.
const FILE_BYTES_MAX: usize = 64 << 20;

/// What stands for a blank, and before the text.
const BLANK: char = '▁';

#[derive(Deserialize)]
struct File {
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    vocab: BTreeMap<String, u32>,
    merges: Vec<Pair>,
}

/// The two forms that versions of the file have for a pair.
#[derive(Deserialize)]
#[serde(untagged)]
enum Pair {
    Line(String),
    Two(String, String),
}

impl Pair {
    fn parts(&self) -> Option<(&str, &str)> {
        match self {
            Self::Line(line) => line.split_once(' '),
            Self::Two(left, right) => Some((left, right)),
        }
    }
}

impl Tokenizer {
    /// Reads the file; every token must have one of `rows` vectors.
    pub(super) fn read(file: &[u8], rows: usize) -> Result<Self, String> {
        if file.len() > FILE_BYTES_MAX {
            return Err(format!("it is longer than {FILE_BYTES_MAX} bytes"));
        }
        let File { normalizer, pre_tokenizer, model } =
            serde_json::from_slice(file).map_err(|error| format!("it is not as expected: {error}"))?;
        let kind = model.kind.as_deref().unwrap_or("unnamed");
        let is_plain = model.byte_fallback
            && !model.ignore_merges
            && model.continuing_subword_prefix.is_none()
            && model.end_of_word_suffix.is_none();
        let prepended = json!({"type": "Prepend", "prepend": "▁"});
        let replaced = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let normal = json!({"type": "Sequence", "normalizers": [prepended, replaced]});
        if kind != "BPE" || !is_plain || pre_tokenizer.is_some() || normalizer != Some(normal) {
            return Err(format!("a tokenizer of type {kind} in this form cannot be read: take one like Llama 2's"));
        }
        if let Some((token, id)) = model.vocab.iter().find(|(_, id)| usize::try_from(**id).is_ok_and(|id| id >= rows)) {
            return Err(format!(
                "token {token:?} has number {id}, but there are {rows} vectors: do the two files go together?"
            ));
        }
        Self::of(&model)
    }

    fn of(model: &Model) -> Result<Self, String> {
        let id = |token: &str| model.vocab.get(token).copied().ok_or_else(|| format!("token {token:?} is missing"));
        let letters = model.vocab.iter().filter_map(|(token, id)| {
            let mut letters = token.chars();
            letters.next().filter(|_| letters.next().is_none()).map(|letter| (letter, *id))
        });
        let mut merges = HashMap::with_capacity_and_hasher(model.merges.len(), FixedState::with_seed(0));
        let mut joined = String::new();
        for (rank, pair) in model.merges.iter().enumerate() {
            let (left, right) = pair.parts().ok_or_else(|| format!("merge {rank} is no pair"))?;
            joined.clear();
            joined.push_str(left);
            joined.push_str(right);
            merges.entry((id(left)?, id(right)?)).or_insert(Merge { rank, token: id(&joined)? });
        }
        let bytes = (0..=u8::MAX).map(|byte| id(&format!("<0x{byte:02X}>"))).collect::<Result<_, _>>()?;
        let mut known = HashMap::with_hasher(FixedState::with_seed(0));
        known.extend(letters);
        Ok(Self { letters: known, bytes, merges })
    }

    /// The tokens of a text, by their numbers.
    pub(super) fn tokens(&self, text: &str) -> Vec<u32> {
        if text.is_empty() {
            return Vec::new();
        }
        let mut tokens = Vec::with_capacity(text.len() + 1);
        for letter in std::iter::once(BLANK).chain(text.chars()) {
            let letter = if letter == ' ' { BLANK } else { letter };
            match self.letters.get(&letter) {
                Some(token) => tokens.push(*token),
                None => {
                    let mut buffer = [0; 4];
                    let bytes = letter.encode_utf8(&mut buffer).bytes();
                    tokens.extend(bytes.filter_map(|byte| self.bytes.get(usize::from(byte))));
                }
            }
        }
        self.merge(&tokens)
    }

    /// Merges neighbours. Each token that is merged away leaves a hole; a heap holds the pairs that there may be, so that the
    /// time grows with the length times its logarithm.
    fn merge(&self, tokens: &[u32]) -> Vec<u32> {
        let mut chain = Chain::of(tokens);
        let mut heap = BinaryHeap::new();
        let offer = |heap: &mut BinaryHeap<_>, chain: &Chain, left: usize| {
            let Some((pair, right)) = chain.pair(left) else { return };
            if let Some(merge) = self.merges.get(&pair) {
                heap.push(Reverse((merge.rank, left, right, merge.token)));
            }
        };
        for left in 0..tokens.len() {
            offer(&mut heap, &chain, left);
        }
        while let Some(Reverse((rank, left, right, token))) = heap.pop() {
            // What was merged meanwhile is another pair.
            let is_there = chain.pair(left).is_some_and(|(pair, at)| {
                at == right && self.merges.get(&pair).is_some_and(|merge| merge.rank == rank)
            });
            if is_there {
                let before = chain.join(left, right, token);
                offer(&mut heap, &chain, left);
                if let Some(before) = before {
                    offer(&mut heap, &chain, before);
                }
            }
        }
        chain.links.iter().filter_map(|link| link.token).collect()
    }
}

/// Tokens that know their neighbours.
struct Chain {
    links: Vec<Link>,
}

#[derive(Clone, Copy)]
struct Link {
    /// Nothing, after it was merged away.
    token: Option<u32>,
    before: Option<usize>,
    after: Option<usize>,
}

impl Chain {
    fn of(tokens: &[u32]) -> Self {
        let link = |(at, token): (usize, &u32)| Link {
            token: Some(*token),
            before: at.checked_sub(1),
            after: Some(at + 1).filter(|after| *after < tokens.len()),
        };
        Self { links: tokens.iter().enumerate().map(link).collect() }
    }

    /// A token and the next one, and where that is.
    fn pair(&self, left: usize) -> Option<((u32, u32), usize)> {
        let link = self.links.get(left)?;
        let right = link.after?;
        Some(((link.token?, self.links.get(right)?.token?), right))
    }

    /// Puts a token in the place of two; tells what stands before it.
    fn join(&mut self, left: usize, right: usize, token: u32) -> Option<usize> {
        let after = self.links.get(right).and_then(|link| link.after);
        if let Some(link) = self.links.get_mut(right) {
            *link = Link { token: None, before: None, after: None };
        }
        if let Some(link) = after.and_then(|after| self.links.get_mut(after)) {
            link.before = Some(left);
        }
        let link = self.links.get_mut(left)?;
        (link.token, link.after) = (Some(token), after);
        link.before
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What `SMALL` holds before its tokens.
    const HEAD: &str = r#""normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},
        {"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer":null"#;

    /// Tokens of two letters; all bytes are token 0.
    pub(in crate::table) static SMALL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let bytes: String = (0..=u8::MAX).map(|byte| format!("\"<0x{byte:02X}>\":0,")).collect();
        let vocab = format!(r#"{{{bytes}"▁":3,"a":4,"b":5,"ab":6,"▁ab":7,"▁a":8}}"#);
        file("BPE", &vocab, r#"["a b",["▁","ab"],"▁ a"]"#)
    });

    fn file(kind: &str, vocab: &str, merges: &str) -> String {
        format!(r#"{{{HEAD},"model":{{"type":"{kind}","byte_fallback":true,"vocab":{vocab},"merges":{merges}}}}}"#)
    }

    #[test]
    fn pairs_are_merged_in_their_order() {
        let tokenizer = Tokenizer::read(SMALL.as_bytes(), 9).unwrap();
        for (text, want) in [
            ("", &[][..]),
            ("ab", &[7]),
            ("a", &[8]),
            ("aab", &[8, 6]),
            ("ab ab", &[7, 7]),
            ("abab", &[7, 6]),
            ("é", &[3, 0, 0]),
            (" ", &[3, 3]),
        ] {
            assert_eq!(tokenizer.tokens(text), want, "{text}");
        }
        assert_eq!(tokenizer.tokens(&"ab".repeat(100_000)).len(), 100_000);
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        for (text, want) in [
            ("", "it is not as expected"),
            ("{}", "it is not as expected"),
            (&file("WordPiece", "{}", "[]"), "a tokenizer of type WordPiece"),
            (&file("BPE", "{}", "[]").replace("null", "{}"), "a tokenizer of type BPE"),
            (&file("BPE", "{}", "[]").replace("Prepend", "Append"), "a tokenizer of type BPE"),
            (&file("BPE", r#"{"a":9}"#, "[]"), "token \"a\" has number 9, but there are 9 vectors"),
            (&file("BPE", r#"{"a":1}"#, r#"["a a"]"#), "token \"aa\" is missing"),
            (&file("BPE", r#"{"a":1}"#, r#"["aa"]"#), "merge 0 is no pair"),
            (&file("BPE", r#"{"a":1}"#, "[]"), "token \"<0x00>\" is missing"),
            (&file("BPE", r#"{"a":-1}"#, "[]"), "it is not as expected"),
        ] {
            let error = Tokenizer::read(text.as_bytes(), 9).expect_err(text);
            assert!(error.starts_with(want), "{text}: {error}");
        }
    }
}
