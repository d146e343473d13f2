//! Token counts. Anthropic's `input_tokens` excludes cached tokens, Airlane's [`Usage::input`] includes them.

use domain::usage::Usage;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::saved::Saved;

/// Counts as an upstream tells them; a count that is no whole number is unknown.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Received {
    #[serde(deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    output_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_read_input_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_creation_input_tokens: Option<u64>,
    output_tokens_details: Option<Details>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
struct Details {
    #[serde(default, deserialize_with = "count")]
    thinking_tokens: Option<u64>,
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_u64())
}

impl Received {
    /// Takes over the counts that `later` knows: a stream's counts are totals so far.
    pub(super) const fn update(&mut self, later: &Self) {
        macro_rules! take {
            ($($field:ident),*) => { $( if later.$field.is_some() { self.$field = later.$field; } )* };
        }
        take!(input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens, output_tokens_details);
    }

    /// The neutral counts. No prompt has no tokens: servers that begin a stream with 0 do not know yet.
    pub(super) fn usage(&self) -> Usage {
        let parts = [self.input_tokens, self.cache_read_input_tokens, self.cache_creation_input_tokens];
        let input = parts.iter().flatten().fold(0_u64, |sum, part| sum.saturating_add(*part));
        Usage {
            input: (input > 0).then_some(input),
            output: self.output_tokens,
            cached_read: self.cache_read_input_tokens,
            cache_write: self.cache_creation_input_tokens,
            reasoning: self.output_tokens_details.and_then(|details| details.thinking_tokens),
            saved: None,
        }
    }
}

/// Counts to write. Clients add up the three inputs, so unknown ones are written as 0.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Written {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    airlane: Option<Saved>,
}

impl From<&Usage> for Written {
    fn from(usage: &Usage) -> Self {
        let (read, written) = (usage.cached_read.unwrap_or(0), usage.cache_write.unwrap_or(0));
        Self {
            input_tokens: usage.input.unwrap_or(0).saturating_sub(read).saturating_sub(written),
            cache_creation_input_tokens: written,
            cache_read_input_tokens: read,
            output_tokens: usage.output.unwrap_or(0),
            output_tokens_details: usage.reasoning.map(|tokens| Details { thinking_tokens: Some(tokens) }),
            airlane: Saved::of(usage),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cached_tokens_are_part_of_the_input() {
        let text = r#"{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":5,
            "output_tokens":7,"output_tokens_details":{"thinking_tokens":3},"service_tier":"standard"}"#;
        let usage = serde_json::from_str::<Received>(text).unwrap().usage();
        let want = Usage {
            input: Some(115),
            output: Some(7),
            cached_read: Some(100),
            cache_write: Some(5),
            reasoning: Some(3),
            saved: None,
        };
        assert_eq!(usage, want);
        insta::assert_snapshot!(serde_json::to_string(&Written::from(&usage)).unwrap(), @r#"{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":7,"output_tokens_details":{"thinking_tokens":3}}"#);
    }

    #[test]
    fn odd_counts_are_unknown() {
        for text in ["{}", r#"{"input_tokens":-1,"output_tokens":1.5}"#, r#"{"input_tokens":0,"output_tokens":null}"#] {
            assert_eq!(serde_json::from_str::<Received>(text).unwrap().usage(), Usage::default(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn counts_survive_the_way_there_and_back(input in 1_u64..1 << 40, read in 0_u64..1 << 40, write in 0_u64..1 << 40, output in any::<u64>()) {
            let usage = Usage {
                input: Some(input + read + write),
                output: Some(output),
                cached_read: Some(read),
                cache_write: Some(write),
                reasoning: None, saved: None };
            let text = serde_json::to_string(&Written::from(&usage)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Received>(&text).unwrap().usage(), usage);
        }
    }
}
