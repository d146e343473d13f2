//! By what the places that could answer are put in order.

/// How the best of several places is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// The soonest answer, its beginning above all, with money counted as time, and clouds only where they are much
    /// sooner.
    #[default]
    Auto,
    /// The soonest answer, whatever it costs.
    Fastest,
    /// The least money, then the soonest answer.
    Cheapest,
    /// The house's own places first, the soonest answer among them.
    LocalFirst,
    /// Clouds first, the soonest answer among them.
    CloudFirst,
    /// Everybody in turn.
    RoundRobin,
    /// The least work that is still to be done.
    LeastOutstanding,
    /// In turn, by the weights of the alias.
    Weighted,
    /// As written.
    Ordered,
}

impl Strategy {
    /// All strategies under their names in the config.
    pub const NAMES: [(&'static str, Self); 9] = [
        ("auto", Self::Auto),
        ("fastest", Self::Fastest),
        ("cheapest", Self::Cheapest),
        ("local-first", Self::LocalFirst),
        ("cloud-first", Self::CloudFirst),
        ("round-robin", Self::RoundRobin),
        ("least-outstanding", Self::LeastOutstanding),
        ("weighted", Self::Weighted),
        ("ordered", Self::Ordered),
    ];

    /// The name in the config and in explanations.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, strategy)| *strategy == self).map_or("auto", |(name, _)| name)
    }

    /// OpenRouter's `provider.sort`.
    #[must_use]
    pub fn of_sort(word: &str) -> Option<Self> {
        match word {
            "price" => Some(Self::Cheapest),
            "throughput" | "latency" => Some(Self::Fastest),
            _ => None,
        }
    }
}
