//! What a text asks, in a form that is the same for other words that ask the same.

use std::borrow::Cow;

use super::class::{self, Class};
use super::language::Language;
use super::phrases::{RULES_AFTER, RULES_BEFORE, RULES_SAME, Rules, YES_OR_NO};
use super::scan::{Piece, scan};
use super::{numbers, synonyms};

/// A text in its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The language whose lists were used.
    pub(super) language: Language,
    /// What is asked, in order.
    pub(super) marks: Vec<Mark>,
    /// Times and possibilities, in order: they move about in a sentence without a change of what is asked.
    pub(super) carried: Vec<Mark>,
}

/// One word of the form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) key: String,
    pub(super) class: Class,
    pub(super) opens: bool,
}

/// Words that may go wherever they stand.
const FILLERS: [&str; 15] = [
    "please",
    "pls",
    "plz",
    "kindly",
    "actually",
    "basically",
    "btw",
    "simply",
    "bitte",
    "svp",
    "a",
    "an",
    "um",
    "uh",
    "hmm",
];

/// Which of these begins a sentence, it is answered by yes or no.
const ASKING_VERBS: [&str; 20] = [
    "is", "are", "am", "was", "were", "do", "does", "did", "can", "could", "should", "would", "will", "shall", "has",
    "have", "had", "may", "might", "must",
];

/// Verbs and articles that only carry the grammar.
const CARRIERS: [&str; 10] = ["is", "are", "am", "do", "does", "the", "been", "being", "a", "an"];

/// What tells of the past or of what is to come, and the word that stands for it.
const TENSES: [(&str, &str); 5] =
    [("was", class::PAST), ("were", class::PAST), ("did", class::PAST), ("had", class::PAST), ("will", class::FUTURE)];

impl Signature {
    /// Of a text. The time grows with its length and no faster.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let pieces: Vec<Piece> = scan(text).into_iter().flat_map(expand).collect();
        let language = Language::of(pieces.iter().map(|piece| &*piece.text));
        let pieces = if language == Language::English { english(pieces) } else { pieces };
        let mut signature = Self { language, marks: Vec::new(), carried: Vec::new() };
        for piece in numbers::normalise(pieces) {
            signature.take(piece);
        }
        signature.define();
        signature.sum();
        signature.pair();
        signature
    }

    /// The language whose lists were used.
    #[must_use]
    pub const fn language(&self) -> Language {
        self.language
    }

    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    fn take(&mut self, piece: Piece) {
        let Piece { text, class, is_capital, opens } = piece;
        let is_english = self.language == Language::English;
        let is_plain = class == Class::Word;
        if is_plain && is_english {
            if let Some((_, tense)) = TENSES.iter().find(|(word, _)| *word == text) {
                return self.carried.push(Mark { key: (*tense).to_owned(), class: Class::Tense, opens: false });
            }
            if class::of_word(&text) == Some(Class::Modal) {
                return self.carried.push(Mark { key: text, class: Class::Modal, opens: false });
            }
            if CARRIERS.contains(&&*text) {
                return;
            }
        }
        let key: Cow<'_, str> = match class {
            Class::Word if is_english => {
                let word = synonyms::canonical(&text);
                let one = if is_capital { word.to_owned() } else { synonyms::singular(word) };
                synonyms::canonical(&one).to_owned().into()
            }
            // What is quoted is marked, so that it is not taken for a word.
            Class::Quote if text.contains(' ') => format!("\"{text}\"").into(),
            _ => text.into(),
        };
        let class = match class {
            Class::Word => class::of_word(&key).unwrap_or(if is_capital { Class::Name } else { Class::Word }),
            known => known,
        };
        self.marks.push(Mark { key: key.into_owned(), class, opens });
    }

    /// `What does it mean` asks for a definition.
    fn define(&mut self) {
        let is =
            |mark: Option<&Mark>, key: &str| mark.is_some_and(|mark| mark.key == key && mark.class != Class::Quote);
        if self.marks.len() > 2 && is(self.marks.first(), "what") && is(self.marks.last(), "mean") {
            self.marks.pop();
            if let Some(first) = self.marks.first_mut() {
                (first.key, first.class) = (super::phrases::DEFINE.to_owned(), Class::Asks);
            }
        }
    }

    /// `How much is`, `what is` and `calculate` before a number ask the same.
    fn sum(&mut self) {
        let key = |at: usize| self.marks.get(at).map(|mark| &*mark.key);
        let words = match (key(0), key(1)) {
            (Some("how"), Some("much")) => 2,
            (Some("calculate" | "compute"), _) => 1,
            _ => return,
        };
        if self.marks.get(words).is_some_and(|mark| mark.class == Class::Number) {
            let what = Mark { key: "what".to_owned(), class: Class::Asks, opens: true };
            self.marks.splice(..words, [what]);
        }
    }

    /// Of `the difference between A and B`, A and B come in the order of the alphabet.
    fn pair(&mut self) {
        let place = |from: usize, key: &str, marks: &[Mark]| {
            marks.iter().skip(from).position(|mark| mark.key == key).map(|at| at + from)
        };
        let Some(start) = place(0, "difference", &self.marks).and_then(|at| place(at, "between", &self.marks)) else {
            return;
        };
        let Some(and) = place(start, "and", &self.marks) else { return };
        let opens_later = |mark: &Mark| mark.opens || mark.key == "and";
        let length = self.marks.iter().skip(and + 1).position(opens_later).unwrap_or(self.marks.len() - and - 1);
        let first: Vec<Mark> = self.marks.drain(start + 1..=and + length).collect();
        let cut = and - start - 1;
        let (one, other) = (first.get(..cut).unwrap_or_default(), first.get(cut + 1..).unwrap_or_default());
        let (one, other) = if other < one { (other, one) } else { (one, other) };
        let with = Mark { key: "and".to_owned(), class: Class::Word, opens: false };
        let sorted: Vec<Mark> = one.iter().chain([&with]).chain(other).cloned().collect();
        self.marks.splice(start + 1..start + 1, sorted);
    }
}

/// Writes out short forms, and parts a genitive from its name.
fn expand(piece: Piece) -> Vec<Piece> {
    if piece.class != Class::Word {
        return vec![piece];
    }
    if let Some(long) = synonyms::expanded(&piece.text) {
        let words = long.split(' ').enumerate();
        let one = |(at, word): (usize, &str)| Piece { opens: piece.opens && at == 0, ..Piece::new(word, Class::Word) };
        return words.map(one).collect();
    }
    match piece.text.strip_suffix("'s") {
        Some(name) => vec![Piece { text: name.to_owned(), ..piece.clone() }, Piece::new("'s", Class::Word)],
        None => vec![piece],
    }
}

/// What holds for English: politeness goes, other words for the same become the same.
fn english(pieces: Vec<Piece>) -> Vec<Piece> {
    let is_filler = |piece: &Piece| piece.class == Class::Word && FILLERS.contains(&&*piece.text);
    let mut kept: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut opens = false;
    for mut piece in pieces {
        opens |= piece.opens;
        // An article is a part of some phrases, and goes later.
        if is_filler(&piece) && !matches!(&*piece.text, "a" | "an") {
            continue;
        }
        piece.opens = std::mem::take(&mut opens);
        kept.push(piece);
    }
    let asked = rewrite(&kept, &RULES_BEFORE, true);
    let asked = rewrite(&asked, &RULES_AFTER, false);
    rewrite(&yes_or_no(asked), &RULES_SAME, false)
}

/// Applies the rules from left to right. With `again`, what follows on something that went is looked at as a beginning.
fn rewrite(pieces: &[Piece], rules: &Rules, again: bool) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::with_capacity(pieces.len());
    let (mut at, mut opens) = (0, false);
    while let Some(piece) = pieces.get(at) {
        opens |= piece.opens;
        let found = if piece.class == Class::Quote { None } else { rules.at(pieces, at, opens) };
        let Some((length, words, asks)) = found else {
            out.push(Piece { opens: std::mem::take(&mut opens), ..piece.clone() });
            at += 1;
            continue;
        };
        at += length;
        for word in words {
            out.push(Piece { opens: std::mem::take(&mut opens), ..Piece::new(word, Class::Word) });
        }
        // `tell me if it is` asks what `is it` asks.
        if asks && pieces.get(at).is_some_and(|next| next.is("if") || next.is("whether")) {
            out.push(Piece { opens: std::mem::take(&mut opens), ..Piece::new(YES_OR_NO, Class::Asks) });
            at += 1;
        }
        opens &= again;
    }
    out
}

/// Marks sentences that begin with a verb.
fn yes_or_no(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out = Vec::with_capacity(pieces.len() + 1);
    for mut piece in pieces {
        if piece.opens && piece.class == Class::Word && ASKING_VERBS.contains(&&*piece.text) {
            out.push(Piece { opens: std::mem::take(&mut piece.opens), ..Piece::new(YES_OR_NO, Class::Asks) });
        }
        out.push(piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> String {
        let signature = Signature::of(text);
        let keys = |marks: &[Mark]| marks.iter().map(|mark| mark.key.clone()).collect::<Vec<_>>().join(" ");
        format!("{} | {}", keys(&signature.marks), keys(&signature.carried))
    }

    #[test]
    fn other_words_for_the_same() {
        for (text, want) in [
            ("Hi! Could you please tell me how I can boil an egg?", "<how-to> boil egg | "),
            ("How do I boil eggs", "<how-to> boil egg | "),
            ("what's the best way to boil an egg? Thanks!", "<how-to> boil egg | "),
            ("What is the capital of France?", "what capital of france | "),
            ("I'd like to know what the capital of France is.", "what capital of france | "),
            ("Is milk safe?", "<yes-or-no> milk safe | "),
            ("Can you tell me whether milk is safe", "<yes-or-no> milk safe | "),
            ("Was it red? Will it be?", "<yes-or-no> it red <yes-or-no> it be | <past> <future>"),
            ("Can I freeze milk?", "<yes-or-no> i freeze milk | can"),
            ("Don't you like 'the best way'?", "<yes-or-no> not you like the best way | "),
            ("What does 'carpe diem' mean?", "<define> carpe diem | "),
            ("How much is 20% of 50", "what 20 percent of 50 | "),
            ("difference between tea and coffee in France", "difference between coffee in france and tea | "),
            ("what is the difference between tea and coffee", "what difference between coffee and tea | "),
            ("Could you translate it", "translate it | "),
            ("Wie koche ich die Eier?", "wie koche ich die eier | "),
        ] {
            assert_eq!(form(text), want, "{text}");
        }
    }

    #[test]
    fn hostile_texts_take_no_longer() {
        for text in ["please tell me ", "how do ", "difference between and ", "what is the best ", "'s ", "and ", "hi "]
        {
            let signature = Signature::of(&text.repeat(3_000));
            assert!(signature.marks.len() <= 30_000);
        }
    }
}
