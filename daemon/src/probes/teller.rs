//! Which question a server is asked next: the best one that it answers, less often while it is silent.

use std::time::Duration;

use domain::reading::Engine;
use tokio::time::Instant;

use crate::upstreams::{Question, Untold};

/// What a server told no longer holds after this time without an answer.
const HOLDS_FOR: Duration = Duration::from_secs(5);
/// First pause after a question without an answer; doubled up to [`PAUSE_MAX`]. A server that is deep in a prompt
/// answers when it is through, and should not find a heap of questions then.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// What a server has been asked, and what it knew.
#[derive(Debug, Clone, Copy)]
pub(super) struct Teller {
    /// Spreads the pauses, so that servers that were silent together are not asked together.
    seed: u32,
    engine: Option<Engine>,
    /// The number of its engine's questions that it does not know.
    unknown: usize,
    /// It has been asked what it is.
    asked_engine: bool,
    failures: u32,
    not_before: Option<Instant>,
    told: Option<Instant>,
}

impl Teller {
    pub(super) const fn new(seed: u32) -> Self {
        Self { seed, engine: None, unknown: 0, asked_engine: false, failures: 0, not_before: None, told: None }
    }

    /// The next question, if there is one now. `listed` is the engine by its list of models, once there is a list.
    pub(super) fn question(&mut self, listed: Option<Option<Engine>>, now: Instant) -> Option<Question> {
        let listed = listed?;
        if listed.is_some() && listed != self.engine {
            *self = Self { engine: listed, asked_engine: true, ..Self::new(self.seed) };
        }
        self.asks().filter(|_| self.not_before.is_none_or(|moment| now >= moment))
    }

    /// Whether it should be asked soon: it tells of the requests that it works on, or there is a question left that it may
    /// answer.
    pub(super) fn is_eager(&self) -> bool {
        self.asks().is_some_and(|question| question.is_about_requests() || self.told.is_none())
    }

    fn asks(&self) -> Option<Question> {
        match self.engine {
            Some(engine) => Question::of(engine).get(self.unknown).copied(),
            None => (!self.asked_engine).then_some(Question::Engine),
        }
    }

    /// Takes the answer, if there was a question; gives whether what was told before no longer holds.
    pub(super) fn note(&mut self, told: Option<Result<Engine, Untold>>, now: Instant) -> bool {
        match told {
            Some(Ok(engine)) => {
                self.engine = Some(engine);
                self.asked_engine = true;
                let rest = self.asks().map_or(Duration::ZERO, Question::rest);
                (self.failures, self.not_before, self.told) = (0, Some(now + rest), Some(now));
            }
            Some(Err(Untold::Never)) => {
                if self.engine.is_some() {
                    self.unknown += 1;
                }
                self.asked_engine = true;
                self.told = None;
                return true;
            }
            Some(Err(Untold::NotNow(_))) => {
                let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(4)).min(PAUSE_MAX);
                self.failures = self.failures.saturating_add(1);
                let spread = self.seed.wrapping_add(self.failures).wrapping_mul(2_654_435_761) >> 24;
                self.not_before = Some(now + pause - pause * spread / 1_024);
            }
            None => {}
        }
        let is_stale = self.told.is_some_and(|told| self.failures > 0 && now - told >= HOLDS_FOR);
        if is_stale {
            self.told = None;
        }
        is_stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstreams::{CallError, Fault};

    fn silent() -> Untold {
        let fault = Fault::Timeout { waiting_for: "word of itself", waited: Duration::ZERO };
        Untold::NotNow(Box::new(CallError { upstream: "u".to_owned(), fault }))
    }

    #[test]
    fn the_best_question_that_is_known_is_asked() {
        let (mut teller, now) = (Teller::new(1), Instant::now());
        let llama = Some(Some(Engine::LlamaCpp));
        assert_eq!(teller.question(None, now), None, "nothing is known of it");
        assert_eq!(teller.question(llama, now), Some(Question::Slots));
        assert!(teller.is_eager());
        teller.note(Some(Err(Untold::Never)), now);
        assert_eq!(teller.question(llama, now), Some(Question::Router));
        teller.note(Some(Err(Untold::Never)), now);
        assert_eq!(teller.question(llama, now), Some(Question::Metrics(Engine::LlamaCpp)));
        teller.note(Some(Err(Untold::Never)), now);
        assert_eq!((teller.question(llama, now), teller.is_eager()), (None, false));
        assert_eq!(teller.question(Some(Some(Engine::Ollama)), now), Some(Question::Ollama), "another server");
        assert!(teller.is_eager(), "it has told nothing so far");
        teller.note(Some(Ok(Engine::Ollama)), now);
        assert!(!teller.is_eager(), "models come and go slowly");
    }

    #[test]
    fn who_does_not_say_what_it_is_is_asked_once() {
        let (mut teller, now) = (Teller::new(1), Instant::now());
        assert_eq!(teller.question(Some(None), now), Some(Question::Engine));
        teller.note(Some(Err(Untold::Never)), now);
        assert_eq!(teller.question(Some(None), now), None);
        let mut teller = Teller::new(1);
        teller.note(Some(Ok(Engine::Vllm)), now);
        assert_eq!(teller.question(Some(None), now), Some(Question::Metrics(Engine::Vllm)));
    }

    #[test]
    fn llama_cpp_is_left_in_peace_for_more_than_a_second() {
        let now = Instant::now();
        for (engine, rests) in [(Engine::LlamaCpp, true), (Engine::Vllm, false)] {
            let mut teller = Teller::new(1);
            let _ = teller.question(Some(Some(engine)), now);
            teller.note(Some(Ok(engine)), now);
            let soon = now + Duration::from_millis(1_500);
            assert_eq!(teller.question(Some(Some(engine)), soon).is_none(), rests, "{engine:?}");
            assert!(teller.question(Some(Some(engine)), now + Duration::from_secs(3)).is_some());
        }
    }

    #[test]
    fn silence_is_borne_for_a_while_and_asked_about_less_often() {
        let (mut teller, start) = (Teller::new(1), Instant::now());
        let vllm = Some(Some(Engine::Vllm));
        let _ = teller.question(vllm, start);
        assert!(!teller.note(Some(Ok(Engine::Vllm)), start));
        let (mut now, mut pauses, mut forgotten) = (start, Vec::new(), None);
        for _ in 0..6 {
            if teller.note(Some(Err(silent())), now) {
                forgotten = forgotten.or(Some(now - start));
            }
            let began = now;
            while teller.question(vllm, now).is_none() {
                now += Duration::from_millis(50);
            }
            pauses.push(now - began);
        }
        assert!(pauses[0] >= Duration::from_millis(700) && pauses[5] <= PAUSE_MAX && pauses[5] > pauses[0] * 4);
        assert!(forgotten.is_some_and(|after| after >= HOLDS_FOR), "{forgotten:?}");
        assert!(!teller.note(Some(Ok(Engine::Vllm)), now));
        assert!(teller.question(vllm, now).is_some());
        // While nothing is asked, what was told holds.
        assert!(!teller.note(None, now + HOLDS_FOR * 3));
    }
}
