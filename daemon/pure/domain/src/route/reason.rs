//! Why a place stands where it stands, in a few words for a header and in a sentence for people.

use std::fmt;

use super::Leg;

/// `Display` is a short clause in ASCII, fit for a header.
#[derive(Debug, Clone, Copy)]
pub struct Reason<'a>(&'a Leg);

impl Leg {
    /// Why it is chosen.
    #[must_use]
    pub const fn reason(&self) -> Reason<'_> {
        Reason(self)
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (leg, score) = (self.0, &self.0.score);
        if leg.is_last_resort {
            return formatter.write_str("last resort: nobody else could answer");
        }
        if leg.is_hedge {
            return formatter.write_str("hedge: the first place was late, and this one had nothing to do");
        }
        if leg.is_bound {
            return formatter.write_str("bound: the tool call goes on where it began");
        }
        let strategy = leg.strategy.name();
        let seconds = |span: std::time::Duration| span.as_millis() / 100;
        let (first, total) = (seconds(score.first_token()), seconds(score.total()));
        write!(
            formatter,
            "{strategy}: first token in about {}.{} s, all of it in {}.{} s",
            first / 10,
            first % 10,
            total / 10,
            total % 10
        )?;
        if score.warm_tokens > 0 {
            write!(formatter, ", {} tokens warm", score.warm_tokens)?;
        }
        if !score.wake.is_zero() {
            formatter.write_str(", machine to be woken")?;
        }
        if !score.load.is_zero() {
            formatter.write_str(", model to be loaded")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Score, Strategy};
    use super::*;
    use crate::catalogue::Target;
    use crate::surface::Surface;

    #[test]
    fn reasons_are_clauses() {
        let target = Target::new("gpu", "m");
        let score = Score {
            wait: Duration::from_millis(1_250),
            load: Duration::from_secs(10),
            warm_tokens: 7,
            decode: Duration::from_secs(3),
            ..Score::default()
        };
        let mut leg = Leg::new(&target, Surface::OpenaiChat, true, score, Strategy::Fastest);
        assert_eq!(
            leg.reason().to_string(),
            "fastest: first token in about 11.2 s, all of it in 14.2 s, 7 tokens warm, model to be loaded"
        );
        leg.is_bound = true;
        assert!(leg.reason().to_string().starts_with("bound"));
        leg.is_last_resort = true;
        assert!(leg.reason().to_string().starts_with("last resort"));
    }
}
