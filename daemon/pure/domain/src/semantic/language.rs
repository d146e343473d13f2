//! Which language a text is in, told by its commonest words: enough to choose the lists that hold for it.

/// A language of which this house has lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// English: the only one in which other words for the same are known.
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
    /// Italian.
    Italian,
    /// Dutch.
    Dutch,
    /// Portuguese.
    Portuguese,
    /// Another one, or too short to tell.
    Other,
}

impl Language {
    /// Its code (ISO 639-1), `und` for others.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Italian => "it",
            Self::Dutch => "nl",
            Self::Portuguese => "pt",
            Self::Other => "und",
        }
    }

    /// The language of which the text has most common words; where two have as many, English or none.
    /// English as well where there are none of any, and no letters that English does not have.
    pub(super) fn of<'w>(words: impl Iterator<Item = &'w str>) -> Self {
        let mut is_ascii = true;
        let mut counts = [0_u32; COMMON.len()];
        for word in words {
            is_ascii &= word.is_ascii();
            for (count, (_, common)) in counts.iter_mut().zip(COMMON) {
                *count += u32::from(common.contains(&word));
            }
        }
        if is_ascii && counts == [0; COMMON.len()] {
            return Self::English;
        }
        let most = counts.iter().copied().max().unwrap_or_default();
        let mut best = counts.iter().zip(COMMON).filter(|(count, _)| **count == most && most > 0);
        match (best.next(), best.next()) {
            // It is the first of the list.
            (Some((_, (Self::English, _))), _) => Self::English,
            (Some((_, (language, _))), None) => language,
            _ => Self::Other,
        }
    }
}

/// Words that are common in one of them and rare in the others.
const COMMON: [(Language, &[&str]); 7] = [
    (
        Language::English,
        &[
            "the", "is", "are", "what", "how", "do", "does", "did", "to", "of", "and", "can", "i", "you", "my", "with",
            "for", "why", "when", "where", "who", "which", "should", "from", "this", "that", "it", "be", "on", "has",
            "have", "not", "tell", "me", "an", "by", "or", "if", "was", "were", "will", "would", "could", "your",
            "there", "than",
        ],
    ),
    (
        Language::German,
        &[
            "der", "die", "das", "und", "ist", "sind", "wie", "was", "wer", "wo", "wann", "warum", "ich", "kann",
            "ein", "eine", "einen", "mit", "für", "von", "zu", "auf", "nicht", "mein", "meine", "dem", "den", "im",
            "man", "welche", "viele",
        ],
    ),
    (
        Language::French,
        &[
            "le", "la", "les", "est", "et", "un", "une", "des", "du", "je", "comment", "quel", "quelle", "pourquoi",
            "quand", "où", "qui", "que", "est-ce", "pour", "avec", "dans", "sur", "mon", "ma", "puis", "peut", "c'est",
            "quels",
        ],
    ),
    (
        Language::Spanish,
        &[
            "el", "la", "los", "las", "es", "y", "un", "una", "cómo", "como", "qué", "cuál", "cuándo", "dónde",
            "quién", "por", "para", "con", "del", "mi", "puedo", "se", "cuántos", "en", "que", "hay", "está",
        ],
    ),
    (
        Language::Italian,
        &[
            "il", "lo", "la", "gli", "è", "un", "una", "come", "che", "quale", "quando", "dove", "chi", "perché",
            "per", "con", "del", "della", "di", "mio", "posso", "si", "quanti", "nel",
        ],
    ),
    (
        Language::Dutch,
        &[
            "de", "het", "een", "en", "is", "zijn", "hoe", "wat", "wie", "waar", "wanneer", "waarom", "ik", "kan",
            "met", "voor", "van", "niet", "mijn", "op", "welke", "je",
        ],
    ),
    (
        Language::Portuguese,
        &[
            "o", "os", "as", "é", "um", "uma", "como", "que", "qual", "quando", "onde", "quem", "por", "para", "com",
            "da", "meu", "minha", "posso", "se", "não", "em", "quantos",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told() {
        for (text, want) in [
            ("what is the capital of france", Language::English),
            ("how do i boil an egg", Language::English),
            ("wie koche ich ein ei", Language::German),
            ("was ist die hauptstadt von frankreich", Language::German),
            ("quelle est la capitale de la france", Language::French),
            ("cuál es la capital de francia", Language::Spanish),
            ("qual è la capitale della francia", Language::Italian),
            ("wat is de hoofdstad van frankrijk", Language::Dutch),
            ("qual é a capital da frança", Language::Portuguese),
            ("capital france", Language::English),
            ("フランスの首都はどこですか", Language::Other),
            ("café françois", Language::Other),
        ] {
            assert_eq!(Language::of(text.split(' ')), want, "{text}");
        }
    }
}
