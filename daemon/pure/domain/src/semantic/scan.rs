//! A text cut into pieces: words, numbers, quoted strings and signs. Nothing is lost but white space and the marks that only
//! part sentences.

use super::class::Class;

/// One piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// In small letters, save what is quoted.
    pub(super) text: String,
    /// What the scanner can tell of it already.
    pub(super) class: Class,
    /// It begins with a capital, and not because a sentence begins with it.
    pub(super) is_capital: bool,
    /// A comma, the end of a sentence or the beginning of the text stands before it.
    pub(super) opens: bool,
    /// A colon or the end of a line stands before it: what follows may be a text that is to be worked on.
    pub(super) is_payload: bool,
}

impl Piece {
    pub(super) fn new(text: &str, class: Class) -> Self {
        Self { text: text.to_owned(), class, is_capital: false, opens: false, is_payload: false }
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text
    }
}

/// Marks that open a quotation, each with the one that closes it.
const QUOTES: [(char, char); 6] = [('"', '"'), ('“', '”'), ('„', '“'), ('«', '»'), ('‘', '’'), ('\'', '\'')];

/// Marks that part sentences and clauses.
const BREAKS: [char; 16] = [',', ';', ':', '.', '!', '?', '(', ')', '…', '¿', '¡', '。', '、', '？', '！', '，'];

/// Marks of quotations.
const MARKS: [char; 9] = ['\'', '’', '‘', '"', '“', '”', '„', '«', '»'];

/// Whether a mark that otherwise only parts or quotes is a sign that counts, by what stands beside it: the dot of `.NET`, the
/// hyphens of `-5`, `A-` and `3-4`, what follows on a number as in `5!` and `6'`, brackets in sums.
fn counts(before: Option<char>, mark: char, after: Option<char>) -> bool {
    let is_word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let is_digit = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_digit());
    let is_sum = |letter: Option<char>| letter.is_some_and(|letter| "+-*/^=<>×÷".contains(letter));
    match mark {
        '.' => is_word(after) && !is_word(before),
        '!' | '\'' | '’' | '"' => is_digit(before),
        '(' | ')' => is_digit(before) || is_digit(after) || is_sum(before) || is_sum(after),
        '-' | '−' | '–' | '—' => is_digit(before) || is_digit(after) || is_word(before) != is_word(after),
        _ => false,
    }
}

/// Cuts a text. Its time grows with the text's length and no faster.
pub(super) fn scan(text: &str) -> Vec<Piece> {
    let letters: Vec<char> = text.chars().collect();
    let shouts = shouts(&letters);
    let mut scan = Scan { letters, shouts, at: 0, pieces: Vec::new(), opens: true, sentence: true, payload: false };
    while let Some(letter) = scan.letter(0) {
        if !scan.quotation(letter) {
            scan.take(letter);
        }
    }
    scan.pieces
}

fn shouts(letters: &[char]) -> bool {
    let alphabetic = letters.iter().filter(|letter| letter.is_alphabetic());
    let (all, large) = alphabetic.fold((0, 0), |(all, large), l| (all + 1, large + usize::from(l.is_uppercase())));
    large * 2 > all
}

struct Scan {
    letters: Vec<char>,
    /// Most letters are capitals, so that they say nothing.
    shouts: bool,
    at: usize,
    pieces: Vec<Piece>,
    /// The next piece opens a clause.
    opens: bool,
    /// The next piece opens a sentence.
    sentence: bool,
    /// A colon or a line's end was seen since the last piece.
    payload: bool,
}

impl Scan {
    fn letter(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.at + ahead).copied()
    }

    fn before(&self) -> Option<char> {
        self.at.checked_sub(1).and_then(|at| self.letters.get(at)).copied()
    }

    fn push(&mut self, text: String, class: Class, is_capital: bool) {
        let is_capital = is_capital && !self.sentence;
        self.pieces.push(Piece { text, class, is_capital, opens: self.opens, is_payload: self.payload });
        (self.opens, self.sentence, self.payload) = (false, false, false);
    }

    /// A quoted string as one piece, if one begins here and ends in the same line.
    fn quotation(&mut self, letter: char) -> bool {
        let Some((_, close)) = QUOTES.iter().find(|(open, _)| *open == letter) else { return false };
        let is_inside = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        // An apostrophe is no quotation mark.
        if is_inside(self.before()) {
            return false;
        }
        let rest = self.letters.get(self.at + 1..).unwrap_or_default();
        let line = rest.iter().take(QUOTE_LETTERS_MAX).position(|letter| *letter == '\n').unwrap_or(QUOTE_LETTERS_MAX);
        let ends = |at: &usize| rest.get(*at) == Some(close) && !is_inside(rest.get(at + 1).copied());
        let Some(length) = (0..line.min(rest.len())).find(ends) else { return false };
        let quoted: String = rest.get(..length).unwrap_or_default().iter().collect();
        self.at += length + 2;
        let quoted = quoted.trim().trim_end_matches(['.', ',', '!', '?']);
        // Words are compared as words, so that it does not matter whether they are quoted; everything else as it is written.
        if quoted.chars().all(|letter| letter.is_alphabetic() || letter == ' ') {
            quoted
                .split(' ')
                .filter(|word| !word.is_empty())
                .for_each(|word| self.push(word.to_lowercase(), Class::Quote, false));
        } else if !quoted.is_empty() {
            self.push(quoted.to_owned(), Class::Quote, false);
        }
        true
    }

    fn take(&mut self, letter: char) {
        if letter.is_alphanumeric() {
            return self.word();
        }
        let is_word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        let (before, after) = (self.before(), self.letter(1));
        self.at += 1;
        match letter {
            '\n' => (self.opens, self.sentence, self.payload) = (true, true, !self.pieces.is_empty()),
            _ if letter.is_whitespace() || letter.is_control() => {}
            _ if counts(before, letter, after) => self.push(letter.to_string(), Class::Sign, false),
            _ if BREAKS.contains(&letter) => {
                self.opens = true;
                self.sentence |= !matches!(letter, ',' | ';' | '(' | ')');
                self.payload |= letter == ':';
            }
            // Of `well-known`, it parts two words.
            '-' | '−' | '–' | '—' if is_word(before) && is_word(after) => {}
            '-' | '−' | '–' | '—' => self.opens = true,
            // What is left over of quotations and of plural's genitives.
            _ if MARKS.contains(&letter) => {}
            _ => self.push(letter.to_string(), Class::Sign, false),
        }
    }

    /// A word or a number, with what belongs to it: `don't`, `node.js`, `1,000`, `5:30`, `2024-05-01`, `1/2`.
    fn word(&mut self) {
        let start = self.at;
        while self.letter(0).is_some_and(char::is_alphanumeric) || self.joins() {
            self.at += 1;
        }
        let word = self.letters.get(start..self.at).unwrap_or_default();
        let is_capital = word.first().is_some_and(|letter| letter.is_uppercase()) && word != ['I'];
        let text: String = word.iter().flat_map(|letter| letter.to_lowercase()).collect();
        let mut text = text.replace('’', "'");
        let parts = text.split('.');
        if text.contains('.')
            && parts.clone().all(|part| part.chars().count() == 1)
            && !text.contains(|l: char| l.is_ascii_digit())
        {
            text = parts.collect();
        }
        // `US` is no pronoun and `IT` no thing.
        let is_acronym = (2..=5).contains(&word.len()) && word.iter().all(|letter| letter.is_uppercase());
        if is_acronym
            && ["us", "it", "am", "who", "may", "can", "will", "no", "or", "so", "in", "is", "as"].contains(&&*text)
            && !self.shouts
        {
            text.insert(0, '^');
        }
        let class = if text.contains(|letter: char| letter.is_ascii_digit()) { Class::Number } else { Class::Word };
        self.push(text, class, is_capital);
    }

    /// Whether the mark here joins what stands before and after it.
    fn joins(&self) -> bool {
        let (Some(before), Some(mark), Some(after)) = (self.before(), self.letter(0), self.letter(1)) else {
            return false;
        };
        let are_digits = before.is_ascii_digit() && after.is_ascii_digit();
        match mark {
            '\'' | '’' => before.is_alphabetic() && after.is_alphabetic(),
            '.' | '_' | '@' => before.is_alphanumeric() && after.is_alphanumeric(),
            ':' | '/' => are_digits,
            ',' => are_digits && self.digits(1) == 3,
            '-' => are_digits && self.is_date(),
            _ => false,
        }
    }

    /// Digits that follow, counted up to ten.
    fn digits(&self, ahead: usize) -> usize {
        (0..10).take_while(|more| self.letter(ahead + more).is_some_and(|letter| letter.is_ascii_digit())).count()
    }

    /// The hyphen here is one of `2024-05-01`.
    fn is_date(&self) -> bool {
        let behind = |back: usize| self.at.checked_sub(back).and_then(|at| self.letters.get(at)).copied();
        let digits_behind =
            (1..10).take_while(|back| behind(*back).is_some_and(|letter| letter.is_ascii_digit())).count();
        let second = || digits_behind == 2 && behind(3) == Some('-') && self.digits(1) == 2;
        let first = || digits_behind == 4 && self.digits(1) == 2 && self.letter(3) == Some('-') && self.digits(4) == 2;
        first() || second()
    }
}

/// What is longer is no quotation but a text in between, and is compared word by word.
const QUOTE_LETTERS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        scan(text).into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn texts_are_cut() {
        for (text, want) in [
            ("Don't boil 1,000 eggs!", "don't|boil|1,000|eggs"),
            ("node.js 3.14, on 2024-05-01 at 5:30", "node.js|3.14|on|2024-05-01|at|5:30"),
            ("Is C++ or C# faster than .NET?", "is|c|+|+|or|c|#|faster|than|.|net"),
            ("the well-known U.S. e-mail – fine", "the|well|known|us|e|mail|fine"),
            ("-5 or 3-4", "-|5|or|3|-|4"),
            ("A- is not A+", "a|-|is|not|a|+"),
            ("5! and 6' (well) 2*(3+4)", "5|!|and|6|'|well|2|*|(|3|+|4|)"),
            ("what is 'Hello World' and “good day.”?", "what|is|hello|world|and|good|day"),
            ("print 'a = 1;'", "print|a = 1;"),
            ("the dogs' and the cats' food", "the|dogs|and|the|cats|food"),
            ("US or us? it or IT", "^us|or|us|it|or|^it"),
            ("an \"open one", "an|open|one"),
            ("10% of €5", "10|%|of|€|5"),
            ("", ""),
        ] {
            assert_eq!(texts(text).join("|"), want, "{text}");
        }
    }

    #[test]
    fn beginnings_are_known() {
        let pieces = scan("In Paris, where is Notre Dame? Tell Bob.");
        let opening: Vec<&str> = pieces.iter().filter(|piece| piece.opens).map(|piece| &*piece.text).collect();
        let capitals: Vec<&str> = pieces.iter().filter(|piece| piece.is_capital).map(|piece| &*piece.text).collect();
        assert_eq!((opening, capitals), (vec!["in", "where", "tell"], vec!["paris", "notre", "dame", "bob"]));
    }

    #[test]
    fn hostile_texts_take_no_longer() {
        for text in ["\"".repeat(20_000), "'a ".repeat(10_000), "1-".repeat(10_000), "«".repeat(10_000)] {
            assert!(scan(&text).len() <= text.len());
        }
        assert_eq!(scan(&"US it ".repeat(5_000)).len(), 10_000);
    }
}
