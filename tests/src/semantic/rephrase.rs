//! The same question in other words around it: what people add, leave out and write otherwise.

use super::Set;

/// All that can be made of a text, each with its name.
pub(super) fn all(set: Set, text: &str) -> Vec<(&'static str, String)> {
    let mut made = vec![
        ("same: small letters, no marks", text.to_lowercase().replace(['?', ',', '.', '"'], "")),
        ("same: blanks", format!("  {}", text.replace(' ', "  "))),
    ];
    let small = small(text);
    let around: &[(&'static str, &str, &str)] = match set {
        Set::Tuned => &[
            ("same: greeting", "Hi! ", ""),
            ("same: thanks", "", " Thanks!"),
            ("same: please", "", " Please."),
            ("same: both", "Hello, ", " Thank you very much!"),
        ],
        Set::HeldOut => &[
            ("same: greeting", "Good afternoon! ", ""),
            ("same: thanks", "", " Many thanks in advance."),
            ("same: help", "", " Any help is appreciated."),
            ("same: both", "Hey guys, quick question: ", " Cheers"),
        ],
    };
    made.extend(around.iter().map(|(kind, before, after)| {
        (
            *kind,
            format!("{before}{}{after}", if before.ends_with(", ") || before.ends_with(": ") { &small } else { text }),
        )
    }));
    let heads: &[(&str, &str)] = match set {
        Set::Tuned => &[
            ("How do I ", "What is the best way to "),
            ("How do I ", "Could you please tell me how to "),
            ("How can I ", "How do I "),
            ("Is it possible to ", "Can I "),
            ("Can I ", "Can you tell me if I can "),
            ("Why is ", "Why's "),
            ("What is ", "What's "),
            ("What is ", "Tell me, what is "),
            ("Why don't ", "Why do not "),
            ("Why doesn't ", "Why does not "),
        ],
        Set::HeldOut => &[
            ("How do I ", "I would like to know how I can "),
            ("How do I ", "What's the right way to "),
            ("How can I ", "How might I "),
            ("Can I ", "Is it possible to "),
            ("Can I ", "Would you know if I can "),
            ("Do I have to ", "Do I need to "),
            ("Am I required to ", "Am I obliged to "),
            ("What is ", "what's "),
            ("How many ", "I was wondering how many "),
            ("How long ", "Please let me know how long "),
            ("How much ", "Do you happen to know how much "),
        ],
    };
    for (head, other) in heads {
        made.extend(text.strip_prefix(head).map(|rest| ("same: other beginning", format!("{other}{rest}"))));
    }
    made.extend(typo(text).map(|text| ("same: typing error", text)));
    made
}

/// With a small letter at the beginning, as within a sentence.
pub(super) fn small(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().filter(|_| !text.starts_with("I ") && !text.starts_with("I'"));
    first.map_or_else(|| text.to_owned(), |first| first.to_lowercase().chain(letters).collect())
}

/// Two letters changed places in the longest word.
fn typo(text: &str) -> Option<String> {
    let word = text.split(|letter: char| !letter.is_alphanumeric()).max_by_key(|word| word.len())?;
    let middle = word.len() / 2;
    let letters: Vec<char> = word.chars().collect();
    let (one, other) = (*letters.get(middle)?, *letters.get(middle + 1)?);
    if word.len() < 7 || one == other {
        return None;
    }
    let mut wrong = letters.clone();
    wrong.swap(middle, middle + 1);
    Some(text.replacen(word, &wrong.into_iter().collect::<String>(), 1))
}
