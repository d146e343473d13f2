//! Phrases that say the same in other words, and phrases that say nothing: what people put around a question.
//!
//! A rule is `pattern => words`. In a pattern, `a|b` is one of these, a `?` at the end of a word means that it may be
//! missing, `^` at the beginning means that only the beginning of a clause is meant, `$` the end of the text; `&` at the end
//! means that a word of [`ASKS`] follows, `!` one of [`WISHES`], `%` one of [`FINDS`], `~` none of [`SELF`]; which is not a part of it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::class::Class;
use super::scan::Piece;

/// What stands for `how do I`, `how to`, `what is the best way to`.
pub(super) const HOW_TO: &str = "<how-to>";
/// What stands for a verb at the beginning, or `whether`: it is answered by yes or no.
pub(super) const YES_OR_NO: &str = "<yes-or-no>";
/// What stands for `what is the meaning of`, `define`.
pub(super) const DEFINE: &str = "<define>";

/// Words with which a question within a sentence begins.
const ASKS: [&str; 11] = ["what", "who", "whom", "whose", "when", "where", "why", "which", "how", "if", "whether"];

/// Verbs of which nobody asks whether somebody can: `can you translate…` is a wish.
const WISHES: [&str; 25] = [
    "translate",
    "write",
    "give",
    "list",
    "summarize",
    "summarise",
    "explain",
    "describe",
    "recommend",
    "suggest",
    "show",
    "tell",
    "calculate",
    "compute",
    "convert",
    "define",
    "rewrite",
    "rephrase",
    "outline",
    "proofread",
    "shorten",
    "paraphrase",
    "draft",
    "simplify",
    "clarify",
];

/// Verbs with which `how do you` is not said of people in general.
const SELF: [&str; 26] = [
    "feel",
    "think",
    "work",
    "know",
    "live",
    "look",
    "sleep",
    "like",
    "do",
    "respond",
    "mean",
    "differ",
    "see",
    "want",
    "learn",
    "react",
    "answer",
    "remember",
    "understand",
    "compare",
    "function",
    "operate",
    "rate",
    "score",
    "stay",
    "call",
];

/// Verbs with which nobody in particular is meant in `where can I`.
const FINDS: [&str; 12] =
    ["find", "get", "buy", "download", "see", "watch", "apply", "register", "park", "eat", "order", "learn"];

/// What comes before a question and says nothing. Tried again after each that was found: `Hi, can you tell me…`.
const BEFORE: [&str; 34] = [
    "^please|kindly|pls|plz =>",
    "^hi|hello|hey|greetings there|all|everyone|everybody? =>",
    "^good morning|afternoon|evening|day =>",
    "^dear assistant|ai|chatbot|friend =>",
    "^ok|okay|so|well|um|uh|hmm|yo =>",
    "^excuse me =>",
    "^sorry but? to? bother? you? =>",
    "^can|could|would|will you|u maybe|possibly? tell|explain|show|teach|describe|clarify to? me|us? & =>",
    "^can|could|may|might i|we ask|know & =>",
    "^can|could|would|will you|u help me|us? to? understand|see|know|learn|find|figure out? & =>",
    "^would you mind telling|explaining|showing to? me|us? & =>",
    "^i|we want|need|wish|like to know|understand|learn|ask|find|see|figure out? & =>",
    "^i|we would love|like to know|understand|learn|ask|find|see|figure out? & =>",
    "^i|we am|are interested in knowing|learning|understanding & =>",
    "^i|we am|are trying to know|understand|learn|find|see|figure out? & =>",
    "^i|we am|are|was|were just? wondering|curious|unsure|confused about? & =>",
    "^i|we would appreciate it? if you could|can|would tell|explain me? & =>",
    "^i|we wonder & =>",
    "^i|we do not know|understand|remember|get & =>",
    "^do|does|would you|anyone|anybody|someone happen? to? know|remember & =>",
    "^any idea|clue|thoughts on|about? & =>",
    "^tell|show|teach|remind me|us & =>",
    "^explain|describe|clarify to? me|us? & =>",
    "^let me|us know & =>",
    "^help me|us to? understand|see|learn & =>",
    "^just? wondering|curious & =>",
    "^a? quick|short|simple question =>",
    "^i|we have|got a quick|short|simple? question about|for? you? =>",
    "^my|the question is & =>",
    "^can|could|would|will you|u maybe|possibly? ! =>",
    "^i|we want|need you to ! =>",
    "^i|we would like|love? you to ! =>",
    "^question & =>",
    "^i need your? help =>",
];

/// What comes after a question and says nothing.
const AFTER: [&str; 7] = [
    "many|so? thanks a? lot|bunch|million? for? your|the? help? in? advance?$ =>",
    "thank you|u so|very? much? for? your|the? help? in? advance?$ =>",
    "thx|ty|cheers|tia$ =>",
    "any|all help|ideas|tips|advice is|are|would be? appreciated|welcome$ =>",
    "if you can|could|may|please$ =>",
    "do you know$ =>",
    "can|could you tell me$ =>",
];

/// Other words for the same: the first rule that fits, from left to right.
const SAME: [&str; 82] = [
    "what should|must|can|do i|you|we do in order to => <how-to>",
    "how do|can|could|should i|we|one => <how-to>",
    "how do|can you ~ => <how-to>",
    "how does one|someone => <how-to>",
    "how am|are|is i|we|one supposed to => <how-to>",
    "how i|we|one can|could|should => <how-to>",
    "how to => <how-to>",
    "how come => why",
    "what is|are the|a best|right|correct|proper|good? way|ways|method|procedure for? me? to => <how-to>",
    "^the best|right|correct|proper|good? way to => <how-to>",
    "is there a|any good|proper|right? way to => <how-to>",
    "is there a|any good|proper|right? way i|you|we can => <how-to>",
    "what do i|you|we need|have to do in? order? to => <how-to>",
    "what steps do|should|must i|you|we need|have? to? take|follow in? order? to => <how-to>",
    "what are|is the steps|process|procedure to => <how-to>",
    "^the? steps|instructions to => <how-to>",
    "where can|could|do|should i|you|we|one % => where",
    "where i|you|we|one can|could|should % => where",
    "where to % => where",
    "when should i|we|one => when to",
    "when i|we|one should => when to",
    "what do|should i|we do => what to do",
    "what i|we should do => what to do",
    "what do|should i|we|one need => what need",
    "why is it that => why",
    "for what|which reason|reasons => why",
    "what is|are the reason|reasons that|why|for => why",
    "at? what time => when",
    "whom => who",
    "what is the distance => how far",
    "how far is it => how far",
    "what is the height of => how tall",
    "what is the age of => how old",
    "what is the population of => how many people live in",
    "in? what|which year => when",
    "which => what",
    "what is|are the meaning|definition of => <define>",
    "what is|are meant by => <define>",
    "give|tell me|us the|a meaning|definition of => <define>",
    "^define => <define>",
    "^the? meaning|definition of => <define>",
    "in order to => to",
    "so as to => to",
    "a lot of => many",
    "lots|plenty of => many",
    "a large|big|great number of => many",
    "is it possible for? me|us? to => can i",
    "is it ok|okay|alright|fine|acceptable for? me|us? to => okay to",
    "have|has to => need to",
    "am|is|are required to => need to",
    "get|getting rid of => remove",
    "switch|turn on => enable",
    "switch|turn|shut off => disable",
    "find out => find",
    "back up => backup",
    "the? second world war => ww2",
    "the? world war ii|two => ww2",
    "the? first world war => ww1",
    "the? world war i|one => ww1",
    "are|is there in => is in",
    "set up => setup",
    "log|sign in|on => login",
    "log|sign out|off => logout",
    "e mail => email",
    "e mails => email",
    "wi fi => wifi",
    "web site|sites => website",
    "web page|pages => webpage",
    "hard drive|disk => harddisk",
    "cell|mobile phone => smartphone",
    "smart phone => smartphone",
    "united states of america => usa",
    "the? united states => usa",
    "united kingdom => uk",
    "great britain => uk",
    "per cent => percent",
    "as well as => and",
    "in addition to => and",
    "due|owing to => because of",
    "for example|instance => eg",
    "each and every => every",
    "t v => tv",
];

/// What must follow on a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    Anything,
    One(&'static [&'static str]),
    Other(&'static [&'static str]),
}

/// The signs for it at the end of a pattern.
const FOLLOWS: [(char, Follows); 4] = [
    ('&', Follows::One(&ASKS)),
    ('!', Follows::One(&WISHES)),
    ('%', Follows::One(&FINDS)),
    ('~', Follows::Other(&SELF)),
];

impl Follows {
    fn fits(self, next: Option<&Piece>) -> bool {
        match self {
            Self::Anything => true,
            Self::One(words) => next.is_some_and(|next| words.contains(&&*next.text)),
            Self::Other(words) => next.is_some_and(|next| !words.contains(&&*next.text)),
        }
    }
}

/// A rule, read.
struct Rule {
    /// The word or one of the words, and whether it may be missing.
    words: Vec<(Vec<&'static str>, bool)>,
    at_opening: bool,
    at_end: bool,
    follows: Follows,
    becomes: Vec<&'static str>,
}

/// Rules by the words with which they may begin.
pub(super) struct Rules(BTreeMap<&'static str, Vec<Rule>>);

pub(super) static RULES_BEFORE: LazyLock<Rules> = LazyLock::new(|| Rules::read(&BEFORE));
pub(super) static RULES_AFTER: LazyLock<Rules> = LazyLock::new(|| Rules::read(&AFTER));
pub(super) static RULES_SAME: LazyLock<Rules> = LazyLock::new(|| Rules::read(&SAME));

impl Rules {
    fn read(rules: &[&'static str]) -> Self {
        let mut by_first: BTreeMap<&'static str, Vec<Rule>> = BTreeMap::new();
        for text in rules {
            for first in Rule::read(text).firsts() {
                by_first.entry(first).or_default().push(Rule::read(text));
            }
        }
        Self(by_first)
    }

    /// The first rule that fits at a place: how many pieces it takes, what they become, and whether a question follows.
    pub(super) fn at(&self, pieces: &[Piece], at: usize, opens: bool) -> Option<(usize, &[&'static str], bool)> {
        let rules = self.0.get(&*pieces.get(at)?.text)?;
        rules.iter().find_map(|rule| {
            let length = rule.length(pieces.get(at..)?, opens)?;
            Some((length, &*rule.becomes, rule.follows == Follows::One(&ASKS)))
        })
    }
}

impl Rule {
    fn read(text: &'static str) -> Self {
        let (pattern, becomes) = text.split_once("=>").unwrap_or((text, ""));
        let (pattern, becomes) = (pattern.trim(), becomes.split_whitespace().collect());
        let (pattern, at_opening) = pattern.strip_prefix('^').map_or((pattern, false), |rest| (rest, true));
        let (pattern, at_end) = pattern.strip_suffix('$').map_or((pattern, false), |rest| (rest, true));
        let follow = |(mark, words)| pattern.strip_suffix(mark).map(|rest| (rest, words));
        let (pattern, follows) = FOLLOWS.into_iter().find_map(follow).unwrap_or((pattern, Follows::Anything));
        let word = |word: &'static str| {
            let (word, may_miss) = word.strip_suffix('?').map_or((word, false), |rest| (rest, true));
            (word.split('|').collect(), may_miss)
        };
        Self { words: pattern.split_whitespace().map(word).collect(), at_opening, at_end, follows, becomes }
    }

    /// Words with which it may begin.
    fn firsts(&self) -> Vec<&'static str> {
        let needed = self.words.iter().position(|(_, may_miss)| !may_miss).unwrap_or_default();
        self.words.iter().take(needed + 1).flat_map(|(words, _)| words.iter().copied()).collect()
    }

    /// How many pieces it takes, if it fits. A word that may be missing is taken where it stands.
    fn length(&self, pieces: &[Piece], opens: bool) -> Option<usize> {
        if self.at_opening && !opens {
            return None;
        }
        let mut length = 0;
        for (words, may_miss) in &self.words {
            let is_here = pieces.get(length).is_some_and(|piece| {
                words.contains(&&*piece.text) && piece.class != Class::Quote && (length == 0 || !piece.opens)
            });
            if is_here {
                length += 1;
            } else if !may_miss {
                return None;
            }
        }
        let next = pieces.get(length);
        (length > 0 && self.follows.fits(next) && !(self.at_end && next.is_some())).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::scan;
    use super::*;

    fn length(rule: &'static str, text: &str) -> Option<usize> {
        Rule::read(rule).length(&scan(text), true)
    }

    #[test]
    fn rules_fit() {
        for (rule, text, want) in [
            ("^hi|hey there? =>", "Hey there, what is it", Some(2)),
            ("^hi|hey there? =>", "hey what", Some(1)),
            ("^tell me & =>", "tell me how", Some(2)),
            ("^tell me & =>", "tell me stories", None),
            ("^can you ! =>", "can you translate this", Some(2)),
            ("^can you ! =>", "can you eat this", None),
            ("thanks a? lot?$ =>", "thanks a lot", Some(3)),
            ("thanks a? lot?$ =>", "thanks to Bob", None),
            ("how to => x", "how, to", None),
            ("how to => x", "how 'to'", None),
        ] {
            assert_eq!(length(rule, text), want, "{rule} {text}");
        }
        let pieces = scan("the best way to sleep");
        assert_eq!(RULES_SAME.at(&pieces, 0, true).map(|(length, words, _)| (length, words)), Some((4, &[HOW_TO][..])));
        assert!(RULES_SAME.at(&pieces, 0, false).is_none());
    }

    #[test]
    fn every_rule_can_fit() {
        for text in BEFORE.iter().chain(&AFTER).chain(&SAME) {
            let rule = Rule::read(text);
            let words: Vec<&str> = rule.words.iter().filter_map(|(words, _)| words.first().copied()).collect();
            let rest = match rule.follows {
                Follows::Anything => "",
                Follows::One(words) => words[0],
                Follows::Other(_) => "boil",
            };
            let pieces = scan(&format!("{} {rest}", words.join(" ")));
            assert_eq!(rule.length(&pieces, true), Some(words.len()), "{text}");
            assert!(text.contains("=>") && !rule.words.is_empty(), "{text}");
        }
    }
}
