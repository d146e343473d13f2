//! Another question in nearly the same words: one number, name, negation or direction is changed.

use super::Set;

/// Words and their opposites, or what is easily taken for them: first those of the set that rules were written for.
const OPPOSITES: [(&str, &str); 36] = [
    ("before", "after"),
    ("more", "less"),
    ("early", "late"),
    ("open", "close"),
    ("buy", "sell"),
    ("from", "to"),
    ("with", "without"),
    ("create", "delete"),
    ("convert", "compare"),
    ("find", "lose"),
    ("required", "forbidden"),
    ("first", "last"),
    ("good", "bad"),
    ("fast", "slow"),
    ("local", "global"),
    ("mutable", "immutable"),
    ("read", "write"),
    ("send", "receive"),
    ("arguments", "parameters"),
    ("lists", "tuples"),
    ("string", "number"),
    ("file", "folder"),
    ("cancel", "renew"),
    ("refund", "discount"),
    ("home", "rental"),
    ("full", "partial"),
    ("over", "under"),
    ("higher", "lower"),
    ("free", "paid"),
    ("employer", "landlord"),
    ("cover", "exclude"),
    ("insurance", "pension"),
    ("return", "exchange"),
    ("account", "card"),
    ("warranty", "loan"),
    ("car", "house"),
];

/// Names, each with another.
const NAMES: [(&str, &str); 10] = [
    ("Python", "Ruby"),
    ("Windows", "macOS"),
    ("Unix", "DOS"),
    ("CPython", "PyPy"),
    ("Tkinter", "Qt"),
    ("Perl", "Awk"),
    ("US", "UK"),
    ("Medicare", "Medicaid"),
    ("PTO", "FMLA"),
    ("SaaS", "HMO"),
];

/// Beginnings, each with one that asks for something else.
const BEGINNINGS: [(&str, &str); 26] = [
    ("How do I ", "Why do I "),
    ("How do I ", "Who can "),
    ("How can I ", "When can I "),
    ("How does ", "Why does "),
    ("How do you ", "Why do you "),
    ("Why does ", "When does "),
    ("Why is ", "Who is "),
    ("Why are ", "How are "),
    ("What is ", "What was "),
    ("What is ", "Who is "),
    ("What are ", "Where are "),
    ("Is there ", "Was there "),
    ("Can I ", "Why can I "),
    ("Can I ", "Can I not "),
    ("Can I ", "Can my sister "),
    ("Do I ", "Don't I "),
    ("Does ", "Doesn't "),
    ("Does ", "Did "),
    ("Is ", "Isn't "),
    ("Are ", "Are not "),
    ("How long ", "How often "),
    ("How many ", "How few "),
    ("How much ", "How many "),
    ("Will ", "Will not "),
    ("Can my ", "Should my "),
    ("What happens ", "What happened "),
];

/// What is put before the last word.
const QUALITIES: [&str; 4] = ["second", "foreign", "old", "private"];

/// All that can be made of a text, each with its name. `other` is another text of the same set, for its words.
pub(super) fn all(set: Set, text: &str, other: &str) -> Vec<(&'static str, String)> {
    let mut made = Vec::new();
    made.extend(number(text).map(|text| ("another number", text)));
    for (one, two) in OPPOSITES {
        made.extend(swap(text, one, two).map(|text| ("opposite", text)));
        made.extend(swap(text, two, one).map(|text| ("opposite", text)));
    }
    for (one, two) in NAMES {
        made.extend(swap(text, one, two).map(|text| ("another name", text)));
    }
    for (one, two) in BEGINNINGS {
        made.extend(text.strip_prefix(one).map(|rest| ("another question", format!("{two}{rest}"))));
    }
    made.extend(swap(text, "my", "your").map(|text| ("another person", text)));
    made.extend(negated(text).map(|text| ("negation", text)));
    made.extend(last_word(text, other).map(|text| ("another word", text)));
    made.extend(longest_word(text, other).map(|text| ("another word", text)));
    let quality = QUALITIES.get(text.len() % QUALITIES.len()).copied().unwrap_or_default();
    made.extend(before_last(text, quality).map(|text| ("one word more", text)));
    let end = if set == Set::Tuned { "in 1995" } else { "on Sundays" };
    made.push(("one thing more", format!("{} {end}?", text.trim_end_matches('?'))));
    made
}

/// Replaces a whole word.
fn swap(text: &str, one: &str, two: &str) -> Option<String> {
    let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let mut places = text.match_indices(one).map(|(place, _)| place);
    let place = places.find(|place| {
        let (before, rest) = text.split_at(*place);
        !is_letter(before.chars().last()) && !is_letter(rest.chars().nth(one.chars().count()))
    })?;
    let (before, rest) = text.split_at(place);
    Some(format!("{before}{two}{}", &rest[one.len()..]))
}

/// The first number, one larger.
fn number(text: &str) -> Option<String> {
    let start = text.find(|letter: char| letter.is_ascii_digit())?;
    let rest = &text[start..];
    let length = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let value: u64 = rest[..length].parse().ok()?;
    Some(format!("{}{}{}", &text[..start], value + 1, &rest[length..]))
}

/// A negation comes or goes.
fn negated(text: &str) -> Option<String> {
    swap(text, "can't", "can")
        .or_else(|| swap(text, "don't", "do"))
        .or_else(|| swap(text, "doesn't", "does"))
        .or_else(|| swap(text, "isn't", "is"))
        .or_else(|| swap(text, "to", "not to"))
        .or_else(|| swap(text, "is", "is not"))
        .or_else(|| swap(text, "are", "are not"))
        .or_else(|| swap(text, "I", "I never"))
}

fn words(text: &str) -> Vec<&str> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| word.len() > 4).collect()
}

/// A new word is no other form of the one that it comes for, and does not stand in the text already.
fn is_other(text: &str, old: &str, new: &str) -> bool {
    !text.to_lowercase().contains(&new.to_lowercase()) && !new.to_lowercase().contains(&old.to_lowercase())
}

fn last_word(text: &str, other: &str) -> Option<String> {
    let (last, new) = (*words(text).last()?, *words(other).last()?);
    is_other(text, last, new)
        .then(|| text.rfind(last).map(|at| format!("{}{new}{}", &text[..at], &text[at + last.len()..])))?
}

fn longest_word(text: &str, other: &str) -> Option<String> {
    let longest = |text: &'_ str| words(text).into_iter().max_by_key(|word| word.len()).map(str::to_owned);
    let (long, new) = (longest(text)?, longest(other)?);
    is_other(text, &long, &new).then(|| text.replacen(&long, &new, 1))
}

fn before_last(text: &str, word: &str) -> Option<String> {
    let at = text.rfind(' ')?;
    Some(format!("{} {word}{}", &text[..at], &text[at..]))
}
