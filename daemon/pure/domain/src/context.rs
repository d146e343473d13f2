//! How much context to ask of a server that gives each model a part of what it could hold.

use crate::catalogue::ModelInfo;
use crate::route::Wish;

/// What Ollama gives a model unless it is told otherwise, in tokens.
const DEFAULT_TOKENS: u64 = 4_096;
/// Room for an answer whose length nobody names.
const OUTPUT_TOKENS: u64 = 1_024;
/// Estimates of prompts may be short by this much: (5, 4) is a quarter.
const MARGIN: (u64, u64) = (5, 4);

/// The context to ask for, in tokens, or `None` where the one that is there will do: another one loads the model anew.
///
/// Powers of two, so that a conversation that grows does not load it at each turn; never more than the model can hold.
#[must_use]
pub fn to_ask(wish: &Wish, info: Option<&ModelInfo>) -> Option<u64> {
    let output = wish.output_tokens_max.unwrap_or(OUTPUT_TOKENS);
    let needed = wish.prompt_tokens.saturating_mul(MARGIN.0) / MARGIN.1;
    let needed = needed.saturating_add(output);
    let there = info.and_then(|info| info.loaded_context_tokens).unwrap_or(DEFAULT_TOKENS);
    if needed <= there {
        return None;
    }
    let most = info.and_then(|info| info.context_tokens).unwrap_or(u64::MAX);
    let wanted = needed.checked_next_power_of_two().unwrap_or(most).min(most);
    (wanted > there).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_as_is_needed_and_no_more() {
        for (prompt, output, loaded, most, want) in [
            (100, None, None, Some(131_072), None),
            (2_400, Some(1_000), None, Some(131_072), None),
            (2_600, None, None, Some(131_072), Some(8_192)),
            (20_000, Some(100), None, Some(131_072), Some(32_768)),
            // It is loaded with enough already.
            (20_000, Some(100), Some(65_536), Some(131_072), None),
            (60_000, Some(100), Some(65_536), Some(131_072), Some(131_072)),
            // More than it can hold is not asked for.
            (60_000, Some(100), Some(8_192), Some(40_960), Some(40_960)),
            (60_000, Some(100), Some(40_960), Some(40_960), None),
            (u64::MAX, Some(u64::MAX), None, None, Some(u64::MAX)),
        ] {
            let wish = Wish { prompt_tokens: prompt, output_tokens_max: output, ..Wish::default() };
            let info = ModelInfo { loaded_context_tokens: loaded, context_tokens: most, ..ModelInfo::default() };
            assert_eq!(to_ask(&wish, Some(&info)), want, "{prompt} {output:?} {loaded:?} {most:?}");
        }
    }
}
