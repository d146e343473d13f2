//! A side look at whole answers that are passed on as they came.

use domain::usage::Usage;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::usage::RawUsage;
use crate::json;
use crate::malformed::Malformed;

#[derive(Deserialize)]
struct Answer {
    choices: Option<Vec<IgnoredAny>>,
    usage: Option<RawUsage>,
    error: Option<IgnoredAny>,
}

/// Tokens that a whole answer of chat or completions tells; `None` if the body reports a failure instead.
///
/// # Errors
/// The body is no such answer.
pub fn usage(body: &[u8]) -> Result<Option<Usage>, Malformed> {
    let answer: Answer = json::read(body)?;
    if answer.error.is_some() {
        return Ok(None);
    }
    if answer.choices.is_none() {
        return Err(Malformed::new("choices", "this member is required"));
    }
    Ok(Some(answer.usage.map(|usage| usage.facts()).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_failures_and_nonsense() {
        let answer = br#"{"choices":[{"x":1}],"usage":{"prompt_tokens":3,"completion_tokens":4},"error":null}"#;
        let told = Usage { input: Some(3), output: Some(4), ..Usage::default() };
        assert_eq!(usage(answer), Ok(Some(told)));
        assert_eq!(usage(br#"{"choices":[]}"#), Ok(Some(Usage::default())));
        assert_eq!(usage(br#"{"error":{"message":"no"}}"#), Ok(None));
        assert_eq!(usage(b"{}").unwrap_err().at, "choices");
        assert!(usage(b"<html>").is_err());
    }
}
