//! Which requests are questions of which two may be the same, and what of them must be equal.

use super::language::Language;
use super::scan::{Piece, scan};

/// What of a request is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The last thing that the client says, in Unicode's form NFC: compared by its meaning.
    pub text: String,
    /// Everything else that changes the answer, in one form for all that say the same: earlier messages, system prompt, format,
    /// sampling, and the language. Two questions are compared only where all bytes of it are equal, and so are the names
    /// of the models and the scopes.
    pub rest: Vec<u8>,
}

/// Why a request is no question for the semantic cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotAQuestion {
    /// No chat, or its last message is not the user's text.
    #[error("the request does not end with a text of the user")]
    NoText,
    /// Tools are offered, called or answered.
    #[error("tools change what is answered")]
    Tools,
    /// Pictures, sounds or files.
    #[error("it holds more than text")]
    Attachment,
    /// More than three messages.
    #[error("the conversation is longer than three messages")]
    Conversation,
    /// More than one answer is wanted, or the odds of its tokens.
    #[error("it asks for more than one answer")]
    Several,
    /// A text longer than [`TEXT_BYTES_MAX`].
    #[error("the text is longer than {TEXT_BYTES_MAX} bytes: in long texts a difference is too small to be seen")]
    Long,
    /// Fewer than two words.
    #[error("the text is too short to mean one thing")]
    Short,
    /// Program text, or a formula.
    #[error("it holds code, in which every sign counts")]
    Code,
    /// An address, whose content changes.
    #[error("it names an address, and what is found there changes")]
    Address,
    /// The answer changes with time.
    #[error("the answer depends on the time at which it is asked")]
    Time,
    /// The same answer twice is not what is wanted.
    #[error("another answer is wanted each time")]
    Variety,
}

impl NotAQuestion {
    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoText => "no_text",
            Self::Tools => "tools",
            Self::Attachment => "attachment",
            Self::Conversation => "conversation",
            Self::Several => "several",
            Self::Long => "long",
            Self::Short => "short",
            Self::Code => "code",
            Self::Address => "address",
            Self::Time => "time",
            Self::Variety => "variety",
        }
    }
}

/// Longest text that is compared, in bytes.
pub const TEXT_BYTES_MAX: usize = 2_000;

/// Words that mean another thing at another time, in English, German, French, Spanish, Italian, Dutch and Portuguese.
const TIME_WORDS: [&str; 121] = [
    "today",
    "today's",
    "tonight",
    "tomorrow",
    "tomorrow's",
    "yesterday",
    "yesterday's",
    "now",
    "nowadays",
    "currently",
    "current",
    "latest",
    "recent",
    "recently",
    "lately",
    "newest",
    "newly",
    "upcoming",
    "soon",
    "ago",
    "presently",
    "weather",
    "forecast",
    "news",
    "headlines",
    "live",
    "trending",
    "yet",
    "already",
    "anymore",
    "still",
    "updated",
    "present",
    "modern",
    "stock",
    "stocks",
    "traffic",
    "score",
    "scores",
    "date",
    "clock",
    "tonight's",
    "so-far",
    "deadline",
    "overdue",
    // German
    "heute",
    "heutige",
    "heutigen",
    "jetzt",
    "morgen",
    "gestern",
    "aktuell",
    "aktuelle",
    "aktuellen",
    "aktueller",
    "derzeit",
    "momentan",
    "neueste",
    "neuesten",
    "kürzlich",
    "wetter",
    "nachrichten",
    "gerade",
    "bald",
    "noch",
    "uhrzeit",
    "datum",
    // French
    "aujourd'hui",
    "maintenant",
    "demain",
    "hier",
    "actuel",
    "actuelle",
    "actuellement",
    "récent",
    "récente",
    "récemment",
    "météo",
    "dernier",
    "dernière",
    "derniers",
    "dernières",
    "bientôt",
    "actualités",
    // Spanish
    "hoy",
    "ahora",
    "mañana",
    "ayer",
    "actual",
    "actualmente",
    "reciente",
    "recientemente",
    "último",
    "última",
    "últimas",
    "noticias",
    "pronóstico",
    // Italian
    "oggi",
    "adesso",
    "ora",
    "domani",
    "ieri",
    "attuale",
    "attualmente",
    "recente",
    "recentemente",
    "ultimo",
    "ultima",
    "notizie",
    "meteo",
    // Dutch, Portuguese
    "vandaag",
    "nu",
    "gisteren",
    "huidige",
    "momenteel",
    "nieuws",
    "weer",
    "hoje",
    "agora",
    "amanhã",
    "ontem",
];

/// The same, of two words and more.
const TIME_PHRASES: [&[&str]; 21] = [
    &["this", "week"],
    &["this", "month"],
    &["this", "year"],
    &["this", "morning"],
    &["this", "evening"],
    &["right", "now"],
    &["at", "the", "moment"],
    &["last", "week"],
    &["last", "month"],
    &["last", "year"],
    &["last", "night"],
    &["next", "week"],
    &["next", "month"],
    &["next", "year"],
    &["what", "time", "is"],
    &["what", "day", "is"],
    &["what", "year", "is"],
    &["what", "month", "is"],
    &["so", "far"],
    &["these", "days"],
    &["exchange", "rate"],
];

/// Words that want something else each time.
const VARIETY: [&str; 16] = [
    "random",
    "randomly",
    "another",
    "again",
    "surprise",
    "joke",
    "jokes",
    "different",
    "else",
    "more",
    "continue",
    "zufällig",
    "nochmal",
    "encore",
    "otra",
    "otro",
];

/// Those of the words above that mean so only where a request begins with them.
const VARIETY_FIRST: [&str; 5] = ["more", "different", "else", "again", "continue"];

/// Whether a text may be compared by its meaning.
///
/// # Errors
/// Why not.
pub fn check(text: &str) -> Result<Language, NotAQuestion> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(NotAQuestion::Long);
    }
    if is_code(text) {
        return Err(NotAQuestion::Code);
    }
    if has_address(text) {
        return Err(NotAQuestion::Address);
    }
    let pieces = scan(text);
    let words: Vec<&str> = pieces.iter().map(|piece| &*piece.text).collect();
    let has_time = words.iter().any(|word| TIME_WORDS.contains(word));
    if has_time || TIME_PHRASES.iter().any(|phrase| words.windows(phrase.len()).any(|found| found == *phrase)) {
        return Err(NotAQuestion::Time);
    }
    if wants_variety(&pieces) {
        return Err(NotAQuestion::Variety);
    }
    if words.len() < 2 && text.is_ascii() {
        return Err(NotAQuestion::Short);
    }
    Ok(Language::of(words.into_iter()))
}

fn wants_variety(pieces: &[Piece]) -> bool {
    pieces.iter().enumerate().any(|(at, piece)| {
        let is_word = VARIETY.contains(&&*piece.text);
        is_word && (at == 0 || !VARIETY_FIRST.contains(&&*piece.text))
    })
}

/// Whether it looks like a program, a command or a formula.
fn is_code(text: &str) -> bool {
    const SIGNS: [&str; 24] = [
        "`", "{", "}", "==", "=>", "->", "::", "();", "</", "/>", "#include", "&&", "||", "!=", "+=", " = ", "$(",
        "\\", "~/", "def ", "SELECT ", "sudo ", " --", ";\n",
    ];
    SIGNS.iter().any(|sign| text.contains(sign)) || text.lines().filter(|line| line.starts_with("    ")).count() > 1
}

fn has_address(text: &str) -> bool {
    text.contains("://")
        || text.contains("www.")
        || text
            .split_whitespace()
            .any(|word| word.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_compared() {
        use NotAQuestion::*;
        for (text, want) in [
            ("How do I boil an egg?", None),
            ("What is more healthy, tea or coffee?", None),
            ("Wie koche ich ein Ei?", None),
            ("卵をゆでる方法", None),
            ("What is the weather in Paris?", Some(Time)),
            ("Who is the current president?", Some(Time)),
            ("What time is it?", Some(Time)),
            ("Wie wird das Wetter morgen?", Some(Time)),
            ("Quelle est la météo aujourd’hui ?", Some(Time)),
            ("What happened last week?", Some(Time)),
            ("Tell me a joke", Some(Variety)),
            ("More please", Some(Variety)),
            ("Give me another one", Some(Variety)),
            ("What does `ls -l` do?", Some(Code)),
            ("fix this: if a == b", Some(Code)),
            ("summarize https://example.com", Some(Address)),
            ("who is bob@example.com", Some(Address)),
            ("yes", Some(Short)),
            ("", Some(Short)),
        ] {
            assert_eq!(check(text).err(), want, "{text}");
        }
        assert_eq!(check(&"word ".repeat(500)).err(), Some(Long));
    }

    #[test]
    fn reasons_have_a_sentence_and_a_name() {
        assert_eq!(NotAQuestion::Time.to_string(), "the answer depends on the time at which it is asked");
        assert_eq!(NotAQuestion::Time.name(), "time");
    }
}
