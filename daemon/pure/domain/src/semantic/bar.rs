//! How like a question must be to one that is kept before its answer is given: learned for each kept answer by itself.
//!
//! The idea is vCache's (Schroeder et al. 2025, arXiv:2502.03771): each entry has a threshold of its own, estimated from what
//! was found right and wrong at it, so that the share of wrong answers keeps below a bound that the owner chose.
//!
//! *The estimate.* That an answer is right at likeness `s` has the probability `p(s, t) = (1 − λ) / (1 + exp(−γ (s − t)))`: a
//! logistic curve around a threshold `t`, below a ceiling that no likeness passes. `t` is unknown; a table holds how
//! probable each of some thresholds is (Bayes' rule, from a normal distribution before anything was seen), and what is used is the mean
//! over them.
//!
//! *The bound.* An answer is given only where that mean leaves at most `δ` for being wrong. vCache gives some answers below
//! that as well, by chance and so rarely that all questions together keep the bound; here it holds for the answers that are
//! given, which is stricter. Below it, the model is asked and a judge compares, which is how an entry learns. Some of the
//! questions above it are asked and judged as well, by chance: they measure the share that would have been wrong.
//!
//! *One wrong answer is enough.* What was found wrong at a likeness is never given again at that or less, whatever the
//! table says.

use super::gate::Verdict;

/// What was seen at one kept answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bar {
    /// The newest last.
    seen: Vec<Seen>,
}

/// One answer that was looked at afterwards.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    likeness: f32,
    is_right: bool,
}

/// What the owner wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// Largest share of wrong answers among those that are given: 0.005 is one in two hundred.
    pub error_max: f32,
    /// Likeness below which nothing is given, which a client may raise.
    pub at_least: f32,
    /// Likeness from which it is worth to ask a model whether two questions are the same.
    pub judge_from: f32,
    /// Share of what could be given that is asked and judged instead.
    pub audited: f32,
    /// Whether a judge may find two questions the same whose words leave it open. Not where several tenants share answers: one of
    /// them could write words for the judge into a question, and so bring its answer to the others.
    pub judges_open: bool,
}

/// Its numbers are checked before they come here: none is "not a number".
impl Eq for Goal {}

impl Default for Goal {
    fn default() -> Self {
        Self { error_max: 0.005, at_least: 0.8, judge_from: 0.75, audited: 0.02, judges_open: true }
    }
}

/// What to do with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Give the kept answer.
    Serve,
    /// Ask the model.
    Ask,
    /// Ask the model, and let another one judge afterwards whether the kept answer would have done.
    AskAndJudge,
}

/// Observations of an entry: the oldest right one goes first.
const SEEN_MAX: usize = 32;
/// Thresholds of which the table holds how probable they are.
const STEPS: usize = 61;
/// The lowest of them, and how far they are apart: up to 1.1, which no likeness reaches.
const LOWEST: f32 = 0.5;
const STEP: f32 = 0.01;
/// How steep the curve is: from 12 % to 88 % within 0.05.
const STEEPNESS: f32 = 80.0;
/// The share of wrong answers that no likeness excludes.
const CEILING_GAP: f32 = 0.002;
/// Where thresholds lie before anything was seen, and how far around: so that with an error of 0.005 an entry of which nothing
/// is known is given from 0.9, one of which a right answer at 0.85 is known from 0.88, one of which a wrong answer at 0.9 is
/// known from 0.96, and with a second wrong one never.
const PRIOR_MEAN: f32 = 0.77;
const PRIOR_DEVIATION: f32 = 0.04;

impl Bar {
    /// What to do, given what the gate says of the two texts, how like their vectors are, and a number that was drawn
    /// evenly from 0 up to 1.
    ///
    /// What the gate leaves open is never served, however like it is: vectors do not see what turns an answer round. It is
    /// served once a judge found the two the same and the question was kept beside the first.
    #[must_use]
    pub fn decide(&self, verdict: &Verdict, likeness: f32, draw: f32, goal: &Goal) -> Decision {
        let may_judge = likeness >= goal.judge_from;
        let asked = if may_judge { Decision::AskAndJudge } else { Decision::Ask };
        match verdict {
            Verdict::Other(_) => Decision::Ask,
            Verdict::Open(_) if goal.judges_open => asked,
            Verdict::Open(_) => Decision::Ask,
            Verdict::Same if likeness < goal.at_least || likeness <= self.wrong_up_to() => asked,
            Verdict::Same if 1.0 - self.trust(likeness) > goal.error_max => asked,
            Verdict::Same if draw < goal.audited => Decision::AskAndJudge,
            Verdict::Same => Decision::Serve,
        }
    }

    /// Learns that the kept answer was right or wrong for a question of such a likeness.
    pub fn learn(&mut self, likeness: f32, is_right: bool) {
        if !likeness.is_finite() {
            return;
        }
        if self.seen.len() >= SEEN_MAX {
            // What was wrong stays.
            let oldest = self.seen.iter().position(|seen| seen.is_right).unwrap_or_default();
            self.seen.remove(oldest);
        }
        self.seen.push(Seen { likeness: likeness.clamp(-1.0, 1.0), is_right });
    }

    /// The probability that the answer is right at such a likeness.
    #[must_use]
    pub fn trust(&self, likeness: f32) -> f32 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for threshold in thresholds() {
            let prior = (-0.5 * ((threshold - PRIOR_MEAN) / PRIOR_DEVIATION).powi(2)).exp();
            let weight = self.seen.iter().fold(prior, |weight, seen| {
                let right = curve(seen.likeness, threshold);
                weight * if seen.is_right { right } else { 1.0 - right }
            });
            sum += weight * curve(likeness, threshold);
            weights += weight;
        }
        if weights > 0.0 { sum / weights } else { 0.0 }
    }

    /// The largest likeness at which it was wrong; below all if it never was.
    fn wrong_up_to(&self) -> f32 {
        let wrong = self.seen.iter().filter(|seen| !seen.is_right).map(|seen| seen.likeness);
        wrong.fold(f32::NEG_INFINITY, f32::max)
    }

    /// How often it was right and wrong, as far as it is remembered.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let right = self.seen.iter().filter(|seen| seen.is_right).count();
        (right, self.seen.len() - right)
    }

    /// For storage: four bytes an observation.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // The lowest bit of a likeness means nothing, and tells whether it was right.
        let word = |seen: &Seen| (seen.likeness.to_bits() & !1) | u32::from(seen.is_right);
        self.seen.iter().flat_map(|seen| word(seen).to_le_bytes()).collect()
    }

    /// From storage. What cannot be read is left out: then less is known of the entry.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut bar = Self::default();
        for word in bytes.as_chunks::<4>().0.iter().take(SEEN_MAX) {
            let bits = u32::from_le_bytes(*word);
            bar.learn(f32::from_bits(bits & !1), bits & 1 == 1);
        }
        bar
    }
}

fn thresholds() -> impl Iterator<Item = f32> {
    (0_u8..).take(STEPS).map(|step| LOWEST + STEP * f32::from(step))
}

/// How probable it is that an answer is right, if the threshold lies there.
fn curve(likeness: f32, threshold: f32) -> f32 {
    (1.0 - CEILING_GAP) / (1.0 + (-STEEPNESS * (likeness - threshold)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOAL: Goal = Goal { error_max: 0.005, at_least: 0.8, judge_from: 0.75, audited: 0.02, judges_open: true };

    fn bar(seen: &[(f32, bool)]) -> Bar {
        let mut bar = Bar::default();
        seen.iter().for_each(|(likeness, is_right)| bar.learn(*likeness, *is_right));
        bar
    }

    #[test]
    fn decisions() {
        use Decision::*;
        let open = || Verdict::Open(Vec::new());
        let high = Goal { at_least: 0.97, ..GOAL };
        let shared = Goal { judges_open: false, ..GOAL };
        for (seen, verdict, likeness, draw, goal, want) in [
            (&[][..], Verdict::Same, 0.99, 0.02, GOAL, Serve),
            (&[], Verdict::Same, 0.79, 0.99, GOAL, AskAndJudge),
            (&[], Verdict::Same, 0.74, 0.99, GOAL, Ask),
            (&[], Verdict::Same, 0.85, 0.999, GOAL, AskAndJudge),
            (&[(0.85, true); 3], Verdict::Same, 0.875, 0.5, GOAL, Serve),
            (&[(0.9, false)], Verdict::Same, 0.95, 0.5, GOAL, AskAndJudge),
            (&[(0.9, false)], Verdict::Same, 0.97, 0.5, GOAL, Serve),
            (&[(0.9, false), (0.95, false)], Verdict::Same, 1.0, 0.5, GOAL, AskAndJudge),
            (&[], Verdict::Same, 0.91, 0.5, GOAL, Serve),
            (&[], Verdict::Same, 0.96, 0.5, high, AskAndJudge),
            (&[], open(), 1.0, 0.999, GOAL, AskAndJudge),
            (&[], open(), 0.5, 0.999, GOAL, Ask),
            (&[], open(), 1.0, 0.999, shared, Ask),
            (&[], Verdict::Same, 0.85, 0.999, shared, AskAndJudge),
            (&[], Verdict::Other(Vec::new()), 1.0, 0.999, GOAL, Ask),
            (&[(0.95, false)], Verdict::Same, 0.95, 0.999, GOAL, AskAndJudge),
            (&[(0.95, false), (0.9, true)], Verdict::Same, 0.9, 0.999, GOAL, AskAndJudge),
            (&[(0.85, true); 20], Verdict::Same, 0.87, 0.5, GOAL, Serve),
        ] {
            let found = bar(seen).decide(&verdict, likeness, draw, &goal);
            assert_eq!(found, want, "{seen:?} {verdict:?} {likeness} {draw} {}", bar(seen).trust(likeness));
        }
    }

    #[test]
    fn what_was_wrong_is_remembered_longest() {
        let mut bar = bar(&[(0.99, false)]);
        (0..1_000).for_each(|_| bar.learn(0.995, true));
        assert_eq!(bar.counts(), (SEEN_MAX - 1, 1));
        assert_ne!(bar.decide(&Verdict::Same, 0.99, 0.999, &GOAL), Decision::Serve);
        (0..1_000).for_each(|_| bar.learn(0.5, false));
        assert_eq!(bar.counts(), (0, SEEN_MAX));
        bar.learn(f32::NAN, true);
        assert_eq!(bar.counts(), (0, SEEN_MAX));
    }

    /// Entries whose thresholds lie where the prior says: with answers given where the rule allows it, the wrong ones keep
    /// below the bound.
    #[test]
    fn the_bound_is_kept() {
        let (mut served, mut wrong, mut number) = (0_u32, 0.0_f64, 7_u64);
        let mut draw = || {
            // Numbers by Knuth's generator: the same each time.
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f32::from(u16::try_from(number >> 48).unwrap()) / 65_536.0
        };
        for _ in 0..2_000 {
            let threshold = PRIOR_MEAN + PRIOR_DEVIATION * ((0..12).map(|_| draw()).sum::<f32>() - 6.0);
            let mut bar = Bar::default();
            for _ in 0..20 {
                let likeness = 0.8 + 0.2 * draw();
                let right = curve(likeness, threshold);
                match bar.decide(&Verdict::Same, likeness, draw(), &GOAL) {
                    Decision::Serve => (served, wrong) = (served + 1, wrong + f64::from(1.0 - right)),
                    Decision::AskAndJudge => bar.learn(likeness, draw() < right),
                    Decision::Ask => {}
                }
            }
        }
        let share = wrong / f64::from(served);
        println!("{served} of 40000 served, {:.3} % of them wrong", share * 100.0);
        assert!(served > 10_000 && share <= 0.005, "{served} {share}");
    }

    proptest! {
        #[test]
        fn a_wrong_answer_raises_the_bar_and_a_right_one_lowers_it(
            seen in prop::collection::vec((0.6_f32..1.0, any::<bool>()), 0..20), at in 0.6_f32..1.0, ask in 0.6_f32..1.0,
        ) {
            let before = bar(&seen);
            let (mut right, mut wrong) = (before.clone(), before.clone());
            right.learn(at, true);
            wrong.learn(at, false);
            let trust = before.trust(ask);
            prop_assert!(wrong.trust(ask) <= trust + 1e-4 && trust <= right.trust(ask) + 1e-4);
            prop_assert!(before.trust(ask) <= before.trust(ask + 0.02) + 1e-4);
            prop_assert!((0.0..=1.0).contains(&trust));
            let read = Bar::read(&before.to_bytes());
            prop_assert_eq!(read.counts(), before.counts());
            prop_assert!((read.trust(ask) - trust).abs() < 1e-3);
        }

        #[test]
        fn any_bytes_are_a_bar(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let bar = Bar::read(&bytes);
            prop_assert!((0.0..=1.0).contains(&bar.trust(0.9)));
        }
    }
}
