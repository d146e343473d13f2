//! Who may pair and whose reports count: wrong proofs of a code, and the order of reports.

use std::net::IpAddr;
use std::time::Duration;

/// Wrong proofs from one address after which a code is void for that address: an owner mistypes, and who guesses has to
/// begin again somewhere else.
const WRONG_HERE_MAX: u8 = 3;
/// Wrong proofs in all after which a code is void for everybody: with eight digits, one chance in four million to guess
/// it, however many addresses somebody takes.
const WRONG_MAX: u8 = 24;
/// How long a code is good for.
const GOOD_FOR: Duration = Duration::from_secs(15 * 60);

/// A pairing code on the node. Only the owner can have another made, so that nobody can go on guessing; and what one
/// address gets wrong takes little from the others, so that nobody can spoil the owner's code from his own device.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    text: String,
    /// By the address that was wrong; at most [`WRONG_MAX`] of them.
    wrong: Vec<(IpAddr, u8)>,
    until: Duration,
}

/// Why a code cannot be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is too old.
    TooOld,
    /// This address was wrong too often.
    TriedHere,
    /// All together were wrong too often.
    TriedOut,
}

impl Code {
    /// A code made at `now`, a time since the start.
    #[must_use]
    pub const fn new(text: String, now: Duration) -> Self {
        Self { text, wrong: Vec::new(), until: now.saturating_add(GOOD_FOR) }
    }

    /// The code, for one more try from `peer`.
    ///
    /// # Errors
    /// It is used up or too old.
    pub fn attempt(&self, peer: IpAddr, now: Duration) -> Result<&str, Refused> {
        if now >= self.until {
            Err(Refused::TooOld)
        } else if self.wrong_in_all() >= WRONG_MAX {
            Err(Refused::TriedOut)
        } else if self.tries_left(peer) == 0 {
            Err(Refused::TriedHere)
        } else {
            Ok(&self.text)
        }
    }

    /// Counts a proof from `peer` that was wrong.
    pub fn note_wrong(&mut self, peer: IpAddr) {
        let peer = peer.to_canonical();
        // With that many the code is void for everybody already.
        let is_full = self.wrong.len() >= usize::from(WRONG_MAX);
        match self.wrong.iter_mut().find(|(known, _)| *known == peer) {
            Some((_, wrong)) => *wrong = wrong.saturating_add(1),
            None if is_full => {}
            None => self.wrong.push((peer, 1)),
        }
    }

    /// How often `peer` may still be wrong.
    #[must_use]
    pub fn tries_left(&self, peer: IpAddr) -> u8 {
        let peer = peer.to_canonical();
        let here = self.wrong.iter().find(|(known, _)| *known == peer).map_or(0, |(_, wrong)| *wrong);
        WRONG_HERE_MAX.saturating_sub(here).min(WRONG_MAX.saturating_sub(self.wrong_in_all()))
    }

    fn wrong_in_all(&self) -> u8 {
        self.wrong.iter().fold(0, |sum, (_, wrong)| sum.saturating_add(*wrong))
    }
}

/// The order of a node's reports at the router. The router names a word that nobody could know before; each report
/// carries it with a number that only grows, under the pair's secret. A report that was seen before, or belongs to another
/// run, is refused, whatever clocks say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    word: Option<String>,
    last: u64,
    next: String,
}

impl Session {
    /// No report has come yet; the first one must carry `next`.
    #[must_use]
    pub const fn new(next: String) -> Self {
        Self { word: None, last: 0, next }
    }

    /// The word with which a new run of the node begins.
    #[must_use]
    pub fn challenge(&self) -> &str {
        &self.next
    }

    /// Whether a report whose secret was proven comes in its turn. `fresh` makes the word for the run after this one.
    pub fn accept(&mut self, word: &str, number: u64, fresh: impl FnOnce() -> String) -> bool {
        if word == self.next {
            self.word = Some(std::mem::replace(&mut self.next, fresh()));
            self.last = number;
            return true;
        }
        let is_next = self.word.as_deref() == Some(word) && number > self.last;
        if is_next {
            self.last = number;
        }
        is_next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_for_a_quarter_of_an_hour() {
        let at = Duration::from_secs;
        let peer = IpAddr::from([192, 168, 1, 1]);
        let code = Code::new("1234".to_owned(), at(10));
        assert_eq!(code.attempt(peer, at(10 + 15 * 60 - 1)), Ok("1234"));
        assert_eq!(code.attempt(peer, at(10 + 15 * 60)), Err(Refused::TooOld));
    }

    #[test]
    fn wrong_proofs_count_for_their_address_and_in_all() {
        let now = Duration::ZERO;
        let peer = |last: u8| IpAddr::from([192, 168, 1, last]);
        let mut code = Code::new("1234".to_owned(), now);
        for left in [2, 1, 0] {
            assert_eq!(code.attempt(peer(1), now), Ok("1234"), "a try by itself costs nothing");
            code.note_wrong(peer(1));
            assert_eq!(code.tries_left(peer(1)), left);
        }
        assert_eq!(code.attempt(peer(1), now), Err(Refused::TriedHere));
        let mapped: IpAddr = "::ffff:192.168.1.1".parse().unwrap();
        assert_eq!(code.attempt(mapped, now), Err(Refused::TriedHere), "the same address in other letters");
        assert_eq!(code.attempt(peer(2), now), Ok("1234"), "somebody else's mistakes are not the owner's");
        for last in 10..31 {
            assert_eq!(code.attempt(peer(2), now), Ok("1234"), "{last}");
            code.note_wrong(peer(last));
        }
        assert_eq!(code.attempt(peer(2), now), Err(Refused::TriedOut));
        for last in 40..=255 {
            code.note_wrong(peer(last));
        }
        assert!(code.wrong.len() <= usize::from(WRONG_MAX), "what strangers make is bounded");
    }

    #[test]
    fn reports_count_once_and_in_their_order() {
        let mut session = Session::new("a".to_owned());
        let mut take = |word: &str, number| {
            let accepted = session.accept(word, number, || format!("{word}+"));
            (accepted, session.challenge().to_owned())
        };
        for (word, number, want, next) in [
            ("x", 1, false, "a"),
            ("", 1, false, "a"),
            ("a", 1, true, "a+"),
            ("a", 1, false, "a+"),
            ("a", 2, true, "a+"),
            ("a", 9, true, "a+"),
            ("a", 3, false, "a+"),
            ("a+", 1, true, "a++"),
            ("a", 10, false, "a++"),
            ("a+", 2, true, "a++"),
        ] {
            assert_eq!(take(word, number), (want, next.to_owned()), "{word} {number}");
        }
    }
}
