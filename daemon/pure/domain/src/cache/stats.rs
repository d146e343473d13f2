//! What the owner is told of the cache.

use serde::{Deserialize, Serialize};

/// One kind of storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Entries in it.
    pub entries: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// What they may take, in bytes.
    pub bytes_max: u64,
}

/// What one tenant takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The tenant.
    pub tenant: String,
    /// What its answers take, in bytes.
    pub bytes: u64,
}

/// The cache now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// How the database is, as a sentence; empty when all is well.
    pub trouble: String,
    /// In memory.
    pub memory: Place,
    /// In the database.
    pub database: Place,
    /// What each tenant takes in the database, the largest first; the hundred largest at most.
    pub tenants: Vec<Share>,
    /// Entries written since the start.
    pub written: u64,
    /// Entries that were not written, because the disk was full, slow or ill.
    pub unwritten: u64,
    /// Entries that made room for others.
    pub evicted: u64,
    /// Kept answers to questions in other words.
    #[serde(default)]
    pub questions: Questioned,
}

/// Questions that were looked for among kept ones by their meaning, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Questioned {
    /// Questions that were looked for.
    pub looked: u64,
    /// Look-ups, and things to be learned, that were given up because too much was to be done.
    pub late: u64,
    /// Of the questions, those that got a kept answer: the hits.
    pub given: u64,
    /// Kept answers that a judge found to be as good as new ones.
    pub judged_same: u64,
    /// Kept answers that a judge found to be others.
    pub judged_other: u64,
    /// Answers that no judge could compare: none was idle, or it said nothing clear.
    pub unjudged: u64,
    /// Hits that were asked anew and judged, to measure.
    pub audited: u64,
    /// Of these, the ones of which the kept answer would have been wrong.
    pub audited_wrong: u64,
    /// Hits that were asked anew, and of which nobody could tell.
    #[serde(default)]
    pub audited_unclear: u64,
    /// Hits of which whoever asked said that they were wrong.
    pub said_wrong: u64,
    /// Questions in memory.
    pub in_memory: u64,
    /// How the table of vectors is, as a sentence; empty when all is well.
    pub trouble: String,
}

impl Questioned {
    /// The share of questions that got a kept answer; nothing before there was one.
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        (self.looked > 0).then(|| self.given as f64 / self.looked as f64)
    }

    /// The measured share of hits that are wrong; nothing before one was measured.
    #[must_use]
    pub fn wrong_rate(&self) -> Option<f64> {
        (self.audited > 0).then(|| self.audited_wrong as f64 / self.audited as f64)
    }

    /// The largest share of wrong hits that is still plausible (95 %): the upper end of Wilson's score interval. What nobody could
    /// tell counts as wrong: equal answers need no judge, so that what is unclear is not like the rest.
    #[must_use]
    pub fn wrong_rate_below(&self) -> Option<f64> {
        const Z: f64 = 1.645;
        self.wrong_rate()?;
        let count = (self.audited + self.audited_unclear) as f64;
        let share = (self.audited_wrong + self.audited_unclear) as f64 / count;
        let spread = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
        Some((share + Z * Z / (2.0 * count) + spread) / (1.0 + Z * Z / count))
    }
}

/// One entry, as its owner sees it: everything but the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// [`super::Key::name`].
    pub name: String,
    /// Who may get it.
    pub scope: String,
    /// The name that the client asked for.
    pub model: String,
    /// Whose request was sent.
    pub tenant: String,
    /// How the conversation begins.
    pub head: String,
    /// Seconds since the answer was complete.
    pub age_s: u64,
    /// What the answer takes unpacked, in bytes.
    pub bytes: u64,
}

/// What a purge threw away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Entries, those in memory and in the database counted once.
    pub entries: u64,
    /// What they took, in bytes.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_told_with_what_is_plausible() {
        let none = Questioned::default();
        assert_eq!((none.hit_rate(), none.wrong_rate(), none.wrong_rate_below()), (None, None, None));
        // Wilson's interval for 0 and 2 of 400, by hand: z²/(n + z²), and (p + z²/2n + z√…)/(1 + z²/n).
        for (audited_wrong, wrong, below) in [(0, 0.0, 0.006_719), (2, 0.005, 0.014_997)] {
            let some = Questioned { looked: 1_000, given: 250, audited: 400, audited_wrong, ..Questioned::default() };
            assert_eq!((some.hit_rate(), some.wrong_rate()), (Some(0.25), Some(wrong)));
            let found = some.wrong_rate_below().unwrap();
            assert!((found - below).abs() < 1e-5, "{found}");
            let unclear =
                Questioned { audited: 400 - audited_wrong, audited_unclear: audited_wrong, audited_wrong: 0, ..some };
            assert!((unclear.wrong_rate_below().unwrap() - below).abs() < 1e-5, "what is unclear may be wrong");
        }
    }
}
