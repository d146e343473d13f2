//! What kinds of words two questions must have in common, and the words that are of a kind.

/// What a piece of a text is, as far as its answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// How many, which one: `3`, `three`, `3rd`, `1,000`.
    Number,
    /// Of what a number is: `km`, `percent`, `hours`.
    Unit,
    /// Months, days of the week, written dates.
    Date,
    /// `€`, `dollars`.
    Currency,
    /// `not`, `never`, `without`.
    Negation,
    /// What stands between quotation marks.
    Quote,
    /// Names: words with a capital that does not begin a sentence.
    Name,
    /// `before`, `more`, `from`, `increase`: words whose exchange turns an answer round.
    Direction,
    /// `who`, `when`, `how many`; or that it is answered by yes or no.
    Asks,
    /// `was`, `will`.
    Tense,
    /// Signs: `+`, `#`, `=`.
    Sign,
    /// `can`, `should`.
    Modal,
    /// Everything else.
    Word,
}

impl Class {
    /// Its name in explanations and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Unit => "unit",
            Self::Date => "date",
            Self::Currency => "currency",
            Self::Negation => "negation",
            Self::Quote => "quote",
            Self::Name => "name",
            Self::Direction => "direction",
            Self::Asks => "question",
            Self::Tense => "tense",
            Self::Sign => "sign",
            Self::Modal => "modal",
            Self::Word => "word",
        }
    }

    /// Two texts that differ in such a piece never have the same answer, as far as a cache may believe. Other pieces may
    /// be two words for one thing; that is for a model to judge.
    #[must_use]
    pub const fn is_decisive(self) -> bool {
        !matches!(self, Self::Modal | Self::Word)
    }
}

/// Words that are another word with a capital.
pub(super) const TWO_LIVES: [&str; 69] = [
    "china", "turkey", "polish", "apple", "windows", "may", "march", "august", "word", "teams", "access", "office",
    "ruby", "rust", "go", "shell", "orange", "target", "gap", "chase", "ford", "jaguar", "mercury", "jordan", "chad",
    "georgia", "victoria", "nice", "reading", "bath", "cork", "mobile", "cologne", "bill", "mark", "rose", "jack",
    "will", "grace", "hope", "faith", "dick", "pat", "sue", "rob", "frank", "drew", "earl", "duke", "amber", "basil",
    "crystal", "dawn", "daisy", "ivy", "joy", "lily", "max", "penny", "ray", "rich", "sandy", "violet", "bush",
    "stone", "wood", "signal", "meet", "pages",
];

/// The class of a word, as far as it can be told without its neighbours.
pub(super) fn of_word(word: &str) -> Option<Class> {
    const LISTS: [(Class, &[&str]); 6] = [
        (Class::Negation, &NEGATIONS),
        (Class::Date, &DATES),
        (Class::Currency, &CURRENCIES),
        (Class::Direction, &DIRECTIONS),
        (Class::Asks, &ASKING),
        (Class::Tense, &TENSES),
    ];
    let found = LISTS.iter().find(|(_, words)| words.contains(&word)).map(|(class, _)| *class);
    found.or_else(|| MODALS.contains(&word).then_some(Class::Modal))
}

/// Words that say no, in English, German, French, Spanish, Italian, Dutch and Portuguese.
const NEGATIONS: [&str; 43] = [
    "not",
    "no",
    "never",
    "none",
    "nothing",
    "nobody",
    "nowhere",
    "neither",
    "nor",
    "without",
    "cannot",
    "hardly",
    "except",
    "non",
    "unless",
    "instead",
    "false",
    "incorrect",
    "wrong",
    "nicht",
    "kein",
    "keine",
    "keinen",
    "keiner",
    "nie",
    "niemals",
    "ohne",
    "ne",
    "pas",
    "jamais",
    "sans",
    "aucun",
    "aucune",
    "nunca",
    "sin",
    "ningún",
    "senza",
    "mai",
    "niet",
    "geen",
    "nooit",
    "não",
    "sem",
];

const DATES: [&str; 18] = [
    "january",
    "february",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "christmas",
];

const CURRENCIES: [&str; 20] = [
    "$", "€", "£", "¥", "₹", "₽", "₿", "¢", "dollar", "euro", "cent", "yen", "rupee", "franc", "usd", "eur", "gbp",
    "jpy", "chf", "bitcoin",
];

/// Pairs of opposites, comparisons, and the small words that say which way.
const DIRECTIONS: [&str; 123] = [
    "before",
    "after",
    "more",
    "less",
    "fewer",
    "from",
    "than",
    "over",
    "under",
    "above",
    "below",
    "up",
    "down",
    "out",
    "off",
    "left",
    "right",
    "first",
    "last",
    "next",
    "previous",
    "increase",
    "decrease",
    "raise",
    "lower",
    "reduce",
    "gain",
    "lose",
    "loss",
    "enable",
    "disable",
    "start",
    "stop",
    "open",
    "close",
    "begin",
    "end",
    "add",
    "remove",
    "install",
    "uninstall",
    "buy",
    "sell",
    "lend",
    "borrow",
    "send",
    "receive",
    "import",
    "export",
    "upload",
    "download",
    "connect",
    "disconnect",
    "lock",
    "unlock",
    "push",
    "pull",
    "encrypt",
    "decrypt",
    "freeze",
    "thaw",
    "hot",
    "cold",
    "warm",
    "cool",
    "high",
    "low",
    "higher",
    "max",
    "min",
    "maximum",
    "minimum",
    "most",
    "least",
    "best",
    "worst",
    "better",
    "worse",
    "larger",
    "smaller",
    "bigger",
    "largest",
    "smallest",
    "biggest",
    "longest",
    "shortest",
    "longer",
    "shorter",
    "faster",
    "slower",
    "fastest",
    "slowest",
    "older",
    "younger",
    "oldest",
    "youngest",
    "cheaper",
    "cheapest",
    "north",
    "south",
    "east",
    "west",
    "newer",
    "newest",
    "good",
    "bad",
    "safe",
    "dangerous",
    "legal",
    "illegal",
    "always",
    "sometimes",
    "all",
    "some",
    "only",
    "both",
    "either",
    "between",
    "pro",
    "con",
    "advantage",
    "disadvantage",
    "since",
];

const ASKING: [&str; 13] = [
    "who",
    "whose",
    "when",
    "where",
    "why",
    "which",
    "what",
    "how",
    super::phrases::HOW_TO,
    super::phrases::YES_OR_NO,
    super::phrases::DEFINE,
    "many",
    "much",
];

const TENSES: [&str; 6] = ["was", "were", "did", "had", "will", "shall"];

const MODALS: [&str; 7] = ["can", "could", "should", "would", "may", "might", "must"];
