//! Our own member beside the counts of an answer that was kept: clients bill by the counts, which are zero, and may show
//! by this what the answer took when it was made.

use domain::usage::Usage;
use serde::Serialize;
use serde_json::Value;

/// The value of the member [`NAME`].
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Saved {
    input_tokens: u64,
    output_tokens: u64,
}

/// The member's name.
pub(crate) const NAME: &str = "airlane";

impl Saved {
    /// For an answer that was kept.
    pub(crate) fn of(usage: &Usage) -> Option<Self> {
        usage.saved.map(|saved| Self { input_tokens: saved.input, output_tokens: saved.output })
    }
}

/// Adds the member to a JSON object of counts, for an answer that was kept.
pub(crate) fn put(counts: &mut Value, usage: &Usage) {
    if let Some(saved) = Saved::of(usage)
        && let Ok(value) = serde_json::to_value(saved)
    {
        counts[NAME] = value;
    }
}
