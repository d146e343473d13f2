//! What a text asks, in a form that is the same for other words that ask the same.

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
    core: String,
}

/// One word of the form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) key: String,
    pub(super) class: Class,
    pub(super) opens: bool,
}

/// Words that may go wherever they stand.
const FILLERS: [&str; 13] =
    ["please", "pls", "plz", "kindly", "actually", "basically", "btw", "simply", "bitte", "svp", "um", "uh", "hmm"];

/// Words after which `please` is only polite, even where the words themselves are talked about.
const BEFORE_FILLERS: [&str; 6] = ["can", "could", "would", "will", "you", "u"];

/// Which of these begins a sentence, it is answered by yes or no.
const ASKING_VERBS: [&str; 20] = [
    "is", "are", "am", "was", "were", "do", "does", "did", "can", "could", "should", "would", "will", "shall", "has",
    "have", "had", "may", "might", "must",
];

const ARTICLES: [&str; 3] = ["the", "a", "an"];

/// Forms of so many words are told apart by their articles.
const ARTICLES_COUNT_UP_TO: usize = 2;

/// Verbs that carry the grammar and stand elsewhere in a question within a sentence: `what is it`, `tell me what it is`.
const CARRIERS: [(&str, &str); 12] = [
    ("is", "is"),
    ("are", "is"),
    ("am", "is"),
    ("do", "do"),
    ("does", "do"),
    ("was", "was"),
    ("were", "was"),
    ("did", "did"),
    ("had", "had"),
    ("will", "will"),
    ("shall", "will"),
    ("has", "have"),
];

/// Words that talk about words. Where one of them stands, each word counts as it is written: `another word for big` is not
/// `another word for large`, though else they are one.
const ABOUT_WORDS: [&str; 65] = [
    "say",
    "says",
    "said",
    "saying",
    "spell",
    "spells",
    "spelled",
    "spelt",
    "spelling",
    "word",
    "words",
    "translate",
    "translates",
    "translated",
    "translation",
    "mean",
    "means",
    "meaning",
    "meanings",
    "meant",
    "pronounce",
    "pronounced",
    "pronunciation",
    "synonym",
    "synonyms",
    "antonym",
    "antonyms",
    "rhyme",
    "rhymes",
    "rhyming",
    "phrase",
    "phrases",
    "sentence",
    "sentences",
    "define",
    "definition",
    "plural",
    "singular",
    "letter",
    "letters",
    "abbreviation",
    "acronym",
    "write",
    "rewrite",
    "rephrase",
    "paraphrase",
    "correct",
    "proofread",
    "grammar",
    "grammatical",
    "typo",
    "poem",
    "caption",
    "title",
    "reply",
    "respond",
    "message",
    "quote",
    "lyrics",
    "term",
    "idiom",
    "verb",
    "noun",
    "tense",
    "summarize",
];

/// The same, of two words.
const ABOUT_PAIRS: [(&str, &str); 4] = [("stand", "for"), ("stands", "for"), ("you", "call"), ("is", "called")];

impl Signature {
    /// Of a text. The time grows with its length and no faster.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let pieces = scan(text);
        let language = Language::of(pieces.iter().map(|piece| &*piece.text));
        if language != Language::English {
            return Self::literal(pieces, language);
        }
        if is_about_words(&pieces) {
            return Self::literal(beginning(pieces), language);
        }
        let expanded: Vec<Piece> = pieces.iter().cloned().flat_map(expand).collect();
        let asked = polite(&without(expanded, |kept| FILLERS.contains(&&*kept.text)));
        // What comes after a colon or in another line is to be worked on, and every word of it counts.
        if asked.iter().skip(1).any(|piece| piece.is_payload) {
            return Self::literal(beginning(pieces), language);
        }
        let asked = rewrite(&asked, &RULES_AFTER, |_, opens| opens);
        let core = joined(&asked);
        let asked = rewrite(&yes_or_no(asked), &RULES_SAME, |_, _| true);
        let mut signature = Self { language, marks: Vec::new(), carried: Vec::new(), core };
        let mut articles = Vec::new();
        let mut pieces = numbers::normalise(asked).into_iter().peekable();
        while let Some(piece) = pieces.next() {
            let is_article = piece.class == Class::Word && ARTICLES.contains(&&*piece.text);
            if !is_article {
                signature.take(piece);
            } else if piece.text != "the" && pieces.peek().is_some_and(|next| next.is_capital) {
                // `A Python` is a snake, and Python a language.
                signature.marks.push(Mark { key: piece.text, class: Class::Word, opens: piece.opens });
            } else {
                articles.push(Mark { key: piece.text, class: Class::Word, opens: false });
            }
        }
        // `What is matter` and `what is the matter`: where there is little else, an article counts.
        if signature.marks.len() <= ARTICLES_COUNT_UP_TO {
            signature.carried.append(&mut articles);
        }
        signature.define();
        signature.sum();
        signature.pair();
        signature
    }

    /// Each word as it is written.
    fn literal(pieces: Vec<Piece>, language: Language) -> Self {
        let mark = |Piece { text, class, is_capital, opens, .. }| {
            let class = match class {
                Class::Word => class::of_word(&text).unwrap_or(if is_capital { Class::Name } else { Class::Word }),
                known => known,
            };
            Mark { key: text, class, opens }
        };
        let core = joined(&pieces);
        let marks = pieces.into_iter().map(mark).collect();
        let mut signature = Self { language, marks, carried: Vec::new(), core };
        signature.define();
        signature
    }

    /// The language whose lists were used.
    #[must_use]
    pub const fn language(&self) -> Language {
        self.language
    }

    /// The text of which a vector is made: in small letters, without what is only polite.
    #[must_use]
    pub fn core(&self) -> &str {
        &self.core
    }

    /// How many words are asked: the same number where the same is asked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    fn take(&mut self, piece: Piece) {
        let Piece { text, class, is_capital, opens, .. } = piece;
        if class != Class::Word {
            // What is quoted and more than a word is marked, so that it is not taken for a word.
            let is_text = class == Class::Quote && !text.chars().all(char::is_alphabetic);
            let key = if is_text { format!("\"{text}\"") } else { text };
            return self.marks.push(Mark { key, class, opens });
        }
        if is_capital && class::TWO_LIVES.contains(&&*text) {
            return self.marks.push(Mark { key: format!("^{text}"), class: Class::Name, opens });
        }
        if let Some((_, carrier)) = CARRIERS.iter().find(|(word, _)| *word == text) {
            let class = class::of_word(carrier).unwrap_or(Class::Word);
            return self.carried.push(Mark { key: (*carrier).to_owned(), class, opens: false });
        }
        if class::of_word(&text) == Some(Class::Modal) {
            return self.carried.push(Mark { key: text, class: Class::Modal, opens: false });
        }
        let word = synonyms::canonical(&text);
        let one = if is_capital { word.to_owned() } else { synonyms::singular(word) };
        let key = synonyms::canonical(&one).to_owned();
        let class = class::of_word(&key).unwrap_or(if is_capital { Class::Name } else { Class::Word });
        self.marks.push(Mark { key, class, opens });
    }

    /// `What does it mean` asks for a definition.
    fn define(&mut self) {
        let is = |at: usize, keys: &[&str]| {
            self.marks.get(at).is_some_and(|mark| mark.class != Class::Quote && keys.contains(&&*mark.key))
        };
        let last = self.marks.len().saturating_sub(1);
        if last > 2 && is(0, &["what"]) && is(1, &["does", "do"]) && is(last, &["mean"]) {
            self.marks.pop();
            let define = Mark { key: super::phrases::DEFINE.to_owned(), class: Class::Asks, opens: true };
            self.marks.splice(..2, [define]);
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

fn joined(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        if !text.is_empty() {
            text.push(' ');
        }
        // What stands for `is it` and the like says nothing to a model.
        text.push_str(if piece.is(YES_OR_NO) { "is" } else { &piece.text });
    }
    text
}

fn is_about_words(pieces: &[Piece]) -> bool {
    let is_pair = |pair: &[Piece]| matches!(pair, [one, other] if ABOUT_PAIRS.iter().any(|(first, second)| one.is(first) && other.is(second)));
    pieces.iter().any(|piece| ABOUT_WORDS.contains(&&*piece.text)) || pieces.windows(2).any(is_pair)
}

/// A text about words without what is polite before it; only its first words are written out and compared by their sense.
fn beginning(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut before: Option<String> = None;
    let pieces: Vec<Piece> = pieces
        .into_iter()
        .enumerate()
        .flat_map(|(at, piece)| if at < 2 { expand(piece) } else { vec![piece] })
        .collect();
    let pieces = without(pieces, |piece| {
        let is_polite = before.as_deref().is_none_or(|word| BEFORE_FILLERS.contains(&word));
        let goes = is_polite && FILLERS.contains(&&*piece.text);
        before = Some(piece.text.clone());
        goes
    });
    rewrite(&polite(&pieces), &RULES_SAME, |at, _| at == 0)
}

/// Leaves pieces out; what follows on one that opened a clause opens it.
fn without(pieces: Vec<Piece>, mut goes: impl FnMut(&Piece) -> bool) -> Vec<Piece> {
    let mut kept: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut opens = false;
    for mut piece in pieces {
        opens |= piece.opens;
        if piece.class == Class::Word && goes(&piece) {
            continue;
        }
        piece.opens = std::mem::take(&mut opens);
        kept.push(piece);
    }
    kept
}

/// Takes away what is polite at the beginning, as long as there is some: `Hi, can you tell me…`. Elsewhere it may be what is
/// talked about.
fn polite(pieces: &[Piece]) -> Vec<Piece> {
    let mut rest = pieces;
    let mut whether = false;
    while let Some((length, _, asks)) = RULES_BEFORE.at(rest, 0, true) {
        rest = rest.get(length..).unwrap_or_default();
        // `tell me if it is` asks what `is it` asks.
        whether = asks && rest.first().is_some_and(|next| next.is("if") || next.is("whether"));
    }
    let mut kept = rest.to_vec();
    if let Some(first) = kept.first_mut() {
        first.opens = true;
        if whether {
            (first.text, first.class) = (YES_OR_NO.to_owned(), Class::Asks);
        }
    }
    kept
}

/// Applies rules from left to right, where `may` allows it by the place and by whether a clause begins there.
fn rewrite(pieces: &[Piece], rules: &Rules, may: impl Fn(usize, bool) -> bool) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut at = 0;
    while let Some(piece) = pieces.get(at) {
        let is_quoted = piece.class == Class::Quote;
        let found = if is_quoted || !may(at, piece.opens) { None } else { rules.at(pieces, at, piece.opens) };
        let Some((length, words, _)) = found else {
            out.push(piece.clone());
            at += 1;
            continue;
        };
        at += length;
        let word =
            |(at, word): (usize, &&str)| Piece { opens: piece.opens && at == 0, ..Piece::new(word, Class::Word) };
        out.extend(words.iter().enumerate().map(word));
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
            ("What is the capital of France?", "what capital of france | is"),
            ("I'd like to know what the capital of France is.", "what capital of france | is"),
            ("Is milk safe?", "<yes-or-no> milk safe | is"),
            ("Can you tell me whether milk is safe", "<yes-or-no> milk safe | is"),
            ("Was it red? Will it be?", "<yes-or-no> it red <yes-or-no> it be | was will"),
            ("Can I freeze milk?", "<yes-or-no> i freeze milk | can"),
            ("Don't you like 'the best way'?", "<yes-or-no> not you like the best way | do"),
            ("What does 'carpe diem' mean?", "<define> carpe diem | "),
            ("How much is 20% of 50", "what 20 percent of 50 | is"),
            ("difference between tea and coffee in France", "difference between coffee in france and tea | "),
            ("what is the difference between tea and coffee", "what difference between coffee and tea | is"),
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
            let signature = Signature::of(&text.repeat(500));
            assert!(signature.marks.len() <= 5_000);
        }
    }
}
