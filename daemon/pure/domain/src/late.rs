//! When an answer is later than nearly all before it: for how long a place's first tokens, and its whole answers, keep
//! their clients waiting, by the length of the prompt.

use std::time::Duration;

use crate::pace::Measured;

/// Times within which 95 of 100 answers of a place came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Late {
    /// To the first token of a stream.
    first_token: [Quantile; CLASSES],
    /// To the end of an answer in one piece.
    whole: [Quantile; CLASSES],
}

/// Classes of prompts by the tokens that have to be read: their bounds are 256, 2,048 and 16,384.
const CLASSES: usize = 4;
/// Answers of a class after which its estimate is believed.
const KNOWN_ANSWERS: u32 = 10;
/// Nothing is late before this: waiting shorter than a blink is not worth a second copy.
const LATE_MIN: Duration = Duration::from_millis(100);

impl Late {
    /// Learns from an answer. A cold start tells nothing of how long answers take.
    pub fn note(&mut self, measured: &Measured) {
        if measured.was_cold {
            return;
        }
        let took = measured.first_token.unwrap_or(measured.total);
        self.class(measured.prompt_tokens, measured.first_token.is_some()).note(took);
    }

    /// An answer was not waited for to its end, since it is later than the estimate.
    pub fn missed(&mut self, prompt_tokens: u64, is_stream: bool) {
        self.class(prompt_tokens, is_stream).step(true);
    }

    /// After which time an answer to such a prompt is late; `None` until enough answers were seen.
    #[must_use]
    pub fn after(&self, prompt_tokens: u64, is_stream: bool) -> Option<Duration> {
        let classes = if is_stream { &self.first_token } else { &self.whole };
        let known = classes.get(class(prompt_tokens)).filter(|known| known.answers >= KNOWN_ANSWERS)?;
        Some(Duration::from_secs_f64(known.estimate_s).max(LATE_MIN))
    }

    fn class(&mut self, prompt_tokens: u64, is_stream: bool) -> &mut Quantile {
        let classes = if is_stream { &mut self.first_token } else { &mut self.whole };
        let [small, medium, large, huge] = classes;
        match class(prompt_tokens) {
            0 => small,
            1 => medium,
            2 => large,
            _ => huge,
        }
    }
}

const fn class(prompt_tokens: u64) -> usize {
    match prompt_tokens {
        0..256 => 0,
        256..2_048 => 1,
        2_048..16_384 => 2,
        _ => 3,
    }
}

/// The 95th percentile of a stream of times in two numbers: up by 95 steps for one that was later, down by 5 for one that
/// was not, so that it rests where one in twenty is later (stochastic approximation, Robbins and Monro 1951). Steps are
/// shares of the estimate; they begin large and end at a size that follows a place that changes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Quantile {
    estimate_s: f64,
    answers: u32,
}

impl Quantile {
    fn note(&mut self, took: Duration) {
        let took_s = took.as_secs_f64();
        if self.answers == 0 {
            self.estimate_s = took_s.clamp(0.001, 3_600.0);
            self.answers = 1;
        } else {
            self.step(took_s > self.estimate_s);
        }
    }

    fn step(&mut self, is_later: bool) {
        let gain = (4.0 / (f64::from(self.answers) + 3.0)).max(0.1);
        let factor = 1.0 + gain * if is_later { 0.95 } else { -0.05 };
        self.estimate_s = (self.estimate_s * factor).clamp(0.001, 3_600.0);
        self.answers = self.answers.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(prompt_tokens: u64, first_ms: u64) -> Measured {
        let first_token = Some(Duration::from_millis(first_ms));
        Measured { prompt_tokens, first_token, total: Duration::from_secs(60), ..Measured::default() }
    }

    #[test]
    fn nearly_all_come_within_the_estimate() {
        let mut late = Late::default();
        for number in 0..20_000_u64 {
            // Uniform from 0 to 999 ms in a shuffled order: the 95th percentile is 950 ms.
            late.note(&stream(10, number * 7_919 % 1_000));
        }
        let p95 = late.after(10, true).unwrap().as_millis();
        assert!((880..=1_020).contains(&p95), "{p95}");
    }

    #[test]
    fn a_few_answers_are_enough_and_fewer_are_not() {
        let mut late = Late::default();
        for _ in 0..9 {
            late.note(&stream(10, 400));
        }
        assert_eq!(late.after(10, true), None);
        late.note(&stream(10, 400));
        let after = late.after(10, true).unwrap();
        assert!(after >= Duration::from_millis(300) && after < Duration::from_millis(1_200), "{after:?}");
    }

    #[test]
    fn long_prompts_and_whole_answers_have_their_own() {
        let mut late = Late::default();
        for _ in 0..50 {
            late.note(&stream(10, 200));
            late.note(&stream(5_000, 3_000));
            late.note(&Measured { first_token: None, total: Duration::from_secs(20), ..stream(10, 0) });
        }
        let after = |tokens, is_stream| late.after(tokens, is_stream).map(|after| after.as_secs_f64());
        assert!(
            after(10, true).unwrap() < 0.5 && after(5_000, true).unwrap() > 2.0 && after(10, false).unwrap() > 12.0
        );
        assert_eq!(after(300, true), None);
    }

    #[test]
    fn what_was_not_waited_for_counts_as_late_and_cold_starts_do_not_count() {
        let mut late = Late::default();
        (0..20).for_each(|_| late.note(&stream(10, 200)));
        let before = late.after(10, true).unwrap();
        late.note(&Measured { was_cold: true, ..stream(10, 60_000) });
        assert_eq!(late.after(10, true).unwrap(), before);
        late.missed(10, true);
        assert!(late.after(10, true).unwrap() > before);
        assert_eq!(Late::default().after(10, true), None);
    }
}
