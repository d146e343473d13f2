//! How fast a model answers at a place, learned from its answers.

use std::time::Duration;

/// What one answer told.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// Prompt tokens that had to be read: those in the place's prompt cache are not.
    pub prompt_tokens: u64,
    /// Generated tokens.
    pub output_tokens: u64,
    /// From the call to the first visible token; `None` for answers in one piece.
    pub first_token: Option<Duration>,
    /// From the call to the end.
    pub total: Duration,
    /// The model was not in memory when the call began.
    pub was_cold: bool,
}

/// What was around a call that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around {
    /// How long everything took there, in percent of what it takes on a place that is free and cool. Predictions reckon
    /// with company, foreign load and heat anew, so what is learned is the speed without them.
    pub slow_percent: u32,
    /// Other prompts were being read when it began: the first token waited for them, and tells no speed.
    pub in_company: bool,
}

impl Around {
    /// Nothing.
    pub const NOTHING: Self = Self { slow_percent: 100, in_company: false };

    fn slow(self) -> f64 {
        f64::from(self.slow_percent.max(100)) / 100.0
    }
}

/// Smoothed speeds of one model at one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Prompt tokens read a second.
    pub prefill_per_s: f64,
    /// Tokens generated a second for a request that is alone.
    pub decode_per_s: f64,
    /// Length of an answer, in tokens.
    pub output_tokens: f64,
    /// Time to load the model.
    pub load: Duration,
    /// Answers that were measured.
    pub answers: u64,
    /// The speed of reading was measured, and is no guess.
    pub prefill_known: bool,
    /// The speed of generating was measured, and is no guess.
    pub decode_known: bool,
}

/// Weight of one answer in the smoothed speeds.
const WEIGHT: f64 = 0.2;
/// Prompts shorter than this tell the round trip, not the speed of reading.
const PREFILL_TOKENS_MIN: u64 = 64;
/// No hardware reads faster than this, in tokens a second: 104 H800 together read 1.3 million (DeepSeek with SGLang,
/// 2025). Whatever a server counts beyond is not believed.
const PREFILL_PER_S_MAX: f64 = 2e6;
/// No hardware generates faster than this for one request, in tokens a second: a model that is etched into its chip does
/// 17,000 (Taalas' HC1 with Llama 3.1 8B, 2026).
const DECODE_PER_S_MAX: f64 = 50_000.0;
/// Answers shorter than this tell nothing of the speed of generating.
const DECODE_TOKENS_MIN: u64 = 4;

impl Pace {
    /// What a local 8B model on a consumer GPU does, until something is known.
    #[must_use]
    pub const fn local() -> Self {
        Self::guess(1_500.0, 40.0, Duration::from_secs(10))
    }

    /// What a cloud does, until something is known.
    #[must_use]
    pub const fn cloud() -> Self {
        Self::guess(5_000.0, 60.0, Duration::ZERO)
    }

    const fn guess(prefill_per_s: f64, decode_per_s: f64, load: Duration) -> Self {
        Self {
            prefill_per_s,
            decode_per_s,
            output_tokens: 256.0,
            load,
            answers: 0,
            prefill_known: false,
            decode_known: false,
        }
    }

    /// Learns from an answer.
    pub fn note(&mut self, measured: &Measured, around: Around) {
        let slow = around.slow();
        // The first answers of a place weigh more than guesses do.
        let weight = WEIGHT.max(1.0 / (self.answers as f64 + 1.0));
        let blend = |old: &mut f64, new: f64| *old += (new - *old) * weight;
        self.answers = self.answers.saturating_add(1);
        blend(&mut self.output_tokens, believed(measured.output_tokens, measured.total, DECODE_PER_S_MAX));
        let Some(first) = measured.first_token else { return };
        if measured.was_cold {
            self.load =
                Duration::from_secs_f64(self.load.as_secs_f64() * (1.0 - WEIGHT) + first.as_secs_f64() * WEIGHT);
            return;
        }
        if tells_reading(measured.prompt_tokens, first, around) {
            self.prefill_known = true;
            blend(&mut self.prefill_per_s, reading(measured.prompt_tokens, first, around));
        }
        let generating = measured.total.saturating_sub(first);
        if measured.output_tokens >= DECODE_TOKENS_MIN && !generating.is_zero() {
            self.decode_known = true;
            let tokens = believed(measured.output_tokens - 1, generating, DECODE_PER_S_MAX);
            blend(&mut self.decode_per_s, tokens * slow / generating.as_secs_f64());
        }
    }

    /// A first token has come: until an answer is complete, it tells how fast prompts are read.
    pub fn look(&mut self, prompt_tokens: u64, first: Duration, around: Around) {
        if self.answers == 0 && tells_reading(prompt_tokens, first, around) {
            self.prefill_known = true;
            self.prefill_per_s = reading(prompt_tokens, first, around);
        }
    }

    /// Time to read this many prompt tokens.
    #[must_use]
    pub fn prefill(&self, tokens: u64) -> Duration {
        span(tokens as f64, self.prefill_per_s)
    }

    /// Time to generate this many tokens.
    #[must_use]
    pub fn decode(&self, tokens: f64) -> Duration {
        span(tokens, self.decode_per_s)
    }
}

/// Whether a first token tells how fast its prompt was read.
const fn tells_reading(prompt_tokens: u64, first: Duration, around: Around) -> bool {
    prompt_tokens >= PREFILL_TOKENS_MIN && !first.is_zero() && !around.in_company
}

/// Tokens read a second, had nothing been around.
fn reading(prompt_tokens: u64, first: Duration, around: Around) -> f64 {
    believed(prompt_tokens, first, PREFILL_PER_S_MAX) * around.slow() / first.as_secs_f64()
}

/// Tokens as a server counted them, up to what hardware could do in the time.
fn believed(tokens: u64, span: Duration, per_s_max: f64) -> f64 {
    (tokens as f64).min(span.as_secs_f64() * per_s_max)
}

/// A day at most: a speed near zero must not overflow anything.
fn span(tokens: f64, per_s: f64) -> Duration {
    Duration::from_secs_f64((tokens / per_s.max(0.001)).clamp(0.0, 86_400.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(prompt_tokens: u64, output_tokens: u64, first_ms: u64, total_ms: u64) -> Measured {
        Measured {
            prompt_tokens,
            output_tokens,
            first_token: Some(Duration::from_millis(first_ms)),
            total: Duration::from_millis(total_ms),
            was_cold: false,
        }
    }

    #[test]
    fn speeds_are_learned() {
        let mut pace = Pace::local();
        for _ in 0..40 {
            pace.note(&answer(1_000, 101, 500, 2_500), Around::NOTHING);
        }
        assert!((pace.prefill_per_s - 2_000.0).abs() < 10.0, "{pace:?}");
        assert!((pace.decode_per_s - 50.0).abs() < 1.0, "{pace:?}");
        assert!((pace.output_tokens - 101.0).abs() < 1.0, "{pace:?}");
        assert_eq!(pace.prefill(1_000).as_millis() / 10, 50);
        assert!(pace.prefill_known && pace.decode_known);
    }

    #[test]
    fn short_ones_and_whole_ones_tell_no_speed() {
        let mut pace = Pace::local();
        pace.note(&answer(10, 2, 500, 2_500), Around::NOTHING);
        pace.note(&Measured { first_token: None, ..answer(1_000, 100, 0, 10) }, Around::NOTHING);
        let guess = Pace::local();
        assert!(!pace.prefill_known && !pace.decode_known);
        assert_eq!((pace.prefill_per_s, pace.decode_per_s), (guess.prefill_per_s, guess.decode_per_s));
    }

    #[test]
    fn what_is_around_is_taken_out() {
        let mut pace = Pace::local();
        for _ in 0..40 {
            pace.note(&answer(1_000, 101, 1_000, 5_000), Around { slow_percent: 200, in_company: false });
            pace.note(&answer(1_000, 101, 9_000, 11_000), Around { slow_percent: 100, in_company: true });
        }
        assert!((pace.prefill_per_s - 2_000.0).abs() < 10.0, "{pace:?}");
        assert!((pace.decode_per_s - 50.0).abs() < 1.0, "{pace:?}");
    }

    #[test]
    fn a_first_token_tells_the_speed_of_reading_until_an_answer_is_complete() {
        let mut pace = Pace::local();
        let second = Duration::from_secs(1);
        pace.look(1_000, second, Around { in_company: true, ..Around::NOTHING });
        assert!(!pace.prefill_known, "it waited for others");
        pace.look(1_000, second, Around { slow_percent: 300, ..Around::NOTHING });
        assert_eq!((pace.prefill_per_s, pace.prefill_known, pace.answers), (3_000.0, true, 0));
        pace.note(&answer(1_000, 101, 500, 2_500), Around::NOTHING);
        pace.look(1_000, 9 * second, Around::NOTHING);
        assert_eq!(pace.prefill_per_s, 2_000.0);
    }

    #[test]
    fn no_count_is_believed_that_no_hardware_reaches() {
        let mut pace = Pace::local();
        (0..50).for_each(|_| pace.note(&answer(u64::MAX, u64::MAX, 500, 2_500), Around::NOTHING));
        let (reads, writes, length) = (pace.prefill_per_s, pace.decode_per_s, pace.output_tokens);
        assert!(reads <= PREFILL_PER_S_MAX && writes <= DECODE_PER_S_MAX, "{pace:?}");
        assert!(length <= DECODE_PER_S_MAX * 2.5, "{pace:?}");
        let mut fresh = Pace::local();
        fresh.look(u64::MAX, Duration::from_millis(500), Around::NOTHING);
        assert!(fresh.prefill_per_s <= PREFILL_PER_S_MAX, "{fresh:?}");
    }

    #[test]
    fn a_cold_start_tells_the_load_only() {
        let mut pace = Pace::local();
        pace.note(&Measured { was_cold: true, ..answer(1_000, 100, 60_000, 61_000) }, Around::NOTHING);
        assert_eq!(pace.load, Duration::from_secs(20));
        assert_eq!(pace.prefill_per_s, Pace::local().prefill_per_s);
    }

    proptest! {
        #[test]
        fn no_answer_breaks_it(answers in prop::collection::vec((any::<u64>(), any::<u64>(), 0..u64::MAX / 2_000_000, any::<u64>(), any::<bool>()), 0..50)) {
            let mut pace = Pace::cloud();
            for (prompt, output, first, total, was_cold) in answers {
                pace.note(&Measured { was_cold, ..answer(prompt, output, first, total) }, Around::NOTHING);
                prop_assert!(pace.prefill_per_s.is_finite() && pace.prefill_per_s >= 0.0);
                prop_assert!(pace.decode_per_s.is_finite() && pace.decode_per_s >= 0.0);
                prop_assert!(pace.prefill(u64::MAX) <= Duration::from_secs(86_400));
            }
        }
    }
}
