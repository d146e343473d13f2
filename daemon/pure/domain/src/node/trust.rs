//! Who may pair and whose reports count: tries of a code, and the order of reports.

use std::time::Duration;

/// Wrong tries after which a code is void.
const TRIES_MAX: u8 = 3;
/// How long a code is good for.
const GOOD_FOR: Duration = Duration::from_secs(15 * 60);

/// A pairing code on the node. It is good for few tries and for a while; only the owner can have another made, so that
/// nobody can go on guessing.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    text: String,
    tries_left: u8,
    until: Duration,
}

/// Why a try is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no code that is still good.
    NoCode,
}

impl Code {
    /// A code made at `now`, a time since the start.
    #[must_use]
    pub const fn new(text: String, now: Duration) -> Self {
        Self { text, tries_left: TRIES_MAX, until: now.saturating_add(GOOD_FOR) }
    }

    /// Takes one try.
    ///
    /// # Errors
    /// The code is used up or too old.
    pub fn attempt(&mut self, now: Duration) -> Result<&str, Refused> {
        if !self.is_good(now) {
            return Err(Refused::NoCode);
        }
        self.tries_left -= 1;
        Ok(&self.text)
    }

    /// Whether it can be used.
    #[must_use]
    pub fn is_good(&self, now: Duration) -> bool {
        self.tries_left > 0 && now < self.until
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
    fn a_code_is_good_for_three_tries_and_a_quarter_of_an_hour() {
        let at = Duration::from_secs;
        let mut code = Code::new("1234".to_owned(), at(10));
        for _ in 0..3 {
            assert_eq!(code.attempt(at(11)), Ok("1234"));
        }
        assert_eq!(code.attempt(at(11)), Err(Refused::NoCode));
        let mut code = Code::new("1234".to_owned(), at(10));
        assert!(code.attempt(at(10 + 15 * 60 - 1)).is_ok());
        assert!(code.attempt(at(10 + 15 * 60)).is_err());
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
