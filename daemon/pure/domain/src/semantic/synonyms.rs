//! Words that are another spelling of a word or another word for the same thing, whatever stands around them.
//!
//! Only pairs that cannot be taken for something else are here: what is doubtful is left to the judge. Synonyms of a
//! dictionary are not used, since most of them are the same in one sense of several.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Each line: the word that stands for all, and the others.
const GROUPS: &[&str] = &[
    // Spelled otherwise in Britain and America.
    "color colour",
    "flavor flavour",
    "favorite favourite",
    "neighbor neighbour",
    "behavior behaviour",
    "honor honour",
    "labor labour",
    "humor humour",
    "harbor harbour",
    "rumor rumour",
    "odor odour",
    "center centre",
    "theater theatre",
    "fiber fibre",
    "gray grey",
    "tire tyre",
    "organize organise",
    "organization organisation",
    "realize realise",
    "recognize recognise",
    "apologize apologise",
    "optimize optimise",
    "minimize minimise",
    "maximize maximise",
    "summarize summarise",
    "analyze analyse",
    "customize customise",
    "prioritize prioritise",
    "memorize memorise",
    "sanitize sanitise",
    "sterilize sterilise",
    "defense defence",
    "license licence",
    "catalog catalogue",
    "dialog dialogue",
    "traveling travelling",
    "traveler traveller",
    "canceled cancelled",
    "canceling cancelling",
    "jewelry jewellery",
    "aluminum aluminium",
    "pajamas pyjamas",
    "plow plough",
    "mold mould",
    "mustache moustache",
    "program programme",
    "skeptical sceptical",
    "yogurt yoghurt",
    "donut doughnut",
    "ax axe",
    // Short forms.
    "phone telephone",
    "tv television telly",
    "fridge refrigerator",
    "photo photograph",
    "gym gymnasium",
    "exam examination",
    "bike bicycle",
    "plane airplane aeroplane",
    "math maths mathematics",
    "vet veterinarian",
    "advert advertisement ad",
    "pc pcs",
    "info information",
    "flu influenza",
    "lab laboratory",
    "mic microphone",
    "pic picture",
    "uni university",
    "approx approximately",
    "vs versus",
    "etc etcetera",
    "mother mom mum mommy mummy",
    "father dad daddy",
    "have has",
    "larger bigger",
    "largest biggest",
    "reduce decrease",
    "ww2 wwii",
    "ww1 wwi",
    "grandma grandmother",
    "grandpa grandfather",
    "smartphone cellphone",
    "kilo kilogram",
    // Other words for the same.
    "buy purchase",
    "buying purchasing",
    "fix repair mend",
    "car automobile",
    "couch sofa",
    "trash garbage rubbish",
    "begin start commence",
    "large big",
    "quick fast rapid",
    "quickly rapidly",
    "child kid",
    "children kids",
    "ill sick",
    "movie film",
    "faucet tap",
    "elevator lift",
    "gasoline petrol",
    "eggplant aubergine",
    "zucchini courgette",
    "diaper nappy",
    "truck lorry",
    "required needed",
    "require need",
    "attorney lawyer",
    "physician doctor",
    "infant baby",
    "frequently often",
    "permitted allowed",
    "difficult hard",
    "difference distinction",
    "create make",
    "obtain get",
    "whilst while",
    "amongst among",
    "towards toward",
    "okay ok",
    "delete erase",
    "clever smart",
    "error mistake",
    "gift present",
    "shut close",
    "wealthy rich",
    "finish complete",
    "choose select",
    "help assist assistance",
    "inexpensive cheap",
    "residence home",
    "alter change modify",
    "inform tell",
    "location place",
];

/// Short forms of two words, with and without the apostrophe.
const CONTRACTIONS: &[(&str, &str)] = &[
    ("u", "you"),
    ("ur", "your"),
    ("ppl", "people"),
    ("thru", "through"),
    ("don't dont", "do not"),
    ("doesn't doesnt", "does not"),
    ("didn't didnt", "did not"),
    ("can't cant", "can not"),
    ("cannot", "can not"),
    ("won't wont", "will not"),
    ("isn't isnt", "is not"),
    ("aren't arent", "are not"),
    ("wasn't wasnt", "was not"),
    ("weren't werent", "were not"),
    ("hasn't hasnt", "has not"),
    ("haven't havent", "have not"),
    ("hadn't hadnt", "had not"),
    ("shouldn't shouldnt", "should not"),
    ("wouldn't wouldnt", "would not"),
    ("couldn't couldnt", "could not"),
    ("mustn't mustnt", "must not"),
    ("mightn't", "might not"),
    ("needn't", "need not"),
    ("ain't aint", "is not"),
    ("i'm im", "i am"),
    ("i've ive", "i have"),
    ("i'll", "i will"),
    ("i'd", "i would"),
    ("you're youre", "you are"),
    ("you've youve", "you have"),
    ("you'll", "you will"),
    ("you'd", "you would"),
    ("we're", "we are"),
    ("we've", "we have"),
    ("we'll", "we will"),
    ("we'd", "we would"),
    ("they're theyre", "they are"),
    ("they've theyve", "they have"),
    ("they'll", "they will"),
    ("it's", "it is"),
    ("it'll", "it will"),
    ("he's", "he is"),
    ("she's", "she is"),
    ("that's thats", "that is"),
    ("there's theres", "there is"),
    ("here's", "here is"),
    ("what's whats", "what is"),
    ("what're", "what are"),
    ("who's whos", "who is"),
    ("where's wheres", "where is"),
    ("when's whens", "when is"),
    ("why's", "why is"),
    ("how's hows", "how is"),
    ("how'd", "how did"),
    ("let's lets", "let us"),
    ("gonna", "going to"),
    ("wanna", "want to"),
    ("gotta", "need to"),
    ("y'all", "you"),
    ("what'll", "what will"),
    ("should've", "should have"),
    ("would've", "would have"),
    ("could've", "could have"),
    ("howto", "how to"),
    ("o'clock oclock", "o'clock"),
    ("e.g", "eg"),
    ("i.e", "ie"),
];

static CANONICAL: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
    let pairs = GROUPS.iter().flat_map(|group| {
        let (first, others) = group.split_once(' ').unwrap_or((group, ""));
        others.split(' ').map(move |other| (other, first))
    });
    pairs.collect()
});

static EXPANDED: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
    CONTRACTIONS.iter().flat_map(|(short, long)| short.split(' ').map(move |short| (short, *long))).collect()
});

/// The word that stands for a word and all that say the same.
pub(super) fn canonical(word: &str) -> &str {
    CANONICAL.get(word).copied().unwrap_or(word)
}

/// The words for which a short form stands.
pub(super) fn expanded(word: &str) -> Option<&'static str> {
    EXPANDED.get(word).copied()
}

/// Words whose plural is another thing, or that only look like a plural.
const NO_PLURALS: [&str; 59] = [
    "news",
    "goods",
    "customs",
    "arms",
    "glasses",
    "means",
    "works",
    "savings",
    "times",
    "contents",
    "papers",
    "spirits",
    "manners",
    "odds",
    "pants",
    "premises",
    "species",
    "series",
    "windows",
    "teams",
    "maps",
    "drives",
    "notes",
    "keys",
    "always",
    "perhaps",
    "yes",
    "this",
    "has",
    "was",
    "is",
    "does",
    "plus",
    "minus",
    "lens",
    "gas",
    "its",
    "us",
    "contacts",
    "shorts",
    "damages",
    "woods",
    "waters",
    "forces",
    "greens",
    "blues",
    "briefs",
    "colds",
    "ashes",
    "clothes",
    "peoples",
    "directions",
    "letters",
    "troops",
    "quarters",
    "grounds",
    "stakes",
    "lines",
    "does",
];

/// The word without the ending of a plural or of the third person, the same for both numbers of most words.
pub(super) fn singular(word: &str) -> String {
    let endings_kept = ["ss", "us", "is", "ics", "'s", "ous"];
    let is_plural = word.len() > 3
        && word.ends_with('s')
        && word.is_ascii()
        && !endings_kept.iter().any(|ending| word.ends_with(ending))
        && !NO_PLURALS.contains(&word);
    if !is_plural {
        return word.to_owned();
    }
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y");
    }
    let with_es = ["sses", "xes", "ches", "shes", "zzes"].iter().any(|ending| word.ends_with(ending));
    if with_es || (word.ends_with("oes") && word.len() > 5) {
        return word.strip_suffix("es").unwrap_or(word).to_owned();
    }
    word.strip_suffix('s').unwrap_or(word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_are_one_with_their_word() {
        for (plural, want) in [
            ("eggs", "egg"),
            ("boxes", "box"),
            ("cities", "city"),
            ("houses", "house"),
            ("potatoes", "potato"),
            ("news", "news"),
            ("glass", "glass"),
            ("bus", "bus"),
            ("shoes", "shoe"),
            ("physics", "physics"),
            ("windows", "windows"),
            ("äpfels", "äpfels"),
            ("is", "is"),
            ("paris", "paris"),
            ("matches", "match"),
        ] {
            assert_eq!(singular(plural), want, "{plural}");
        }
    }

    #[test]
    fn no_word_stands_for_two() {
        let mut seen = std::collections::BTreeSet::new();
        for word in GROUPS.iter().flat_map(|group| group.split(' ')) {
            assert!(seen.insert(word), "{word} is in two groups");
        }
        for (short, _) in CONTRACTIONS.iter().flat_map(|(short, long)| short.split(' ').map(move |short| (short, long)))
        {
            assert!(seen.insert(short), "{short} is there twice");
        }
        assert_eq!((canonical("colour"), canonical("egg"), expanded("don't")), ("color", "egg", Some("do not")));
    }
}
