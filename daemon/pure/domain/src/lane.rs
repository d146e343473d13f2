//! How urgent a request is, from the queue down to the packet.

/// A class of urgency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Somebody looks at the screen.
    Interactive,
    /// Nobody said anything.
    #[default]
    Normal,
    /// Work that may take until tomorrow.
    Bulk,
}

impl Lane {
    /// All lanes under their names, most urgent first.
    pub const NAMES: [(&'static str, Self); 3] =
        [("interactive", Self::Interactive), ("normal", Self::Normal), ("bulk", Self::Bulk)];

    /// The name in headers, config and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }

    /// How many times longer than an urgent request one of this lane waits at least before it passes it: a house that has
    /// more to do than it can keeps the waits of its lanes in about this ratio, as a queue with delay-dependent priorities
    /// does (Kleinrock 1964), and starves nobody.
    #[must_use]
    pub const fn patience(self) -> u32 {
        match self {
            Self::Interactive => 1,
            Self::Normal => 5,
            Self::Bulk => 25,
        }
    }

    /// The lane of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, lane)| *lane)
    }

    /// The lane of an RFC 9218 urgency (`Priority: u=0` to `u=7`); 3 is that header's own default.
    #[must_use]
    pub const fn of_urgency(urgency: u8) -> Self {
        match urgency {
            0..=2 => Self::Interactive,
            3..=4 => Self::Normal,
            _ => Self::Bulk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_urgencies() {
        for (name, lane) in Lane::NAMES {
            assert_eq!((lane.name(), Lane::of_name(&name.to_uppercase())), (name, Some(lane)));
        }
        assert_eq!(Lane::of_name("urgent"), None);
        assert_eq!([0, 3, 5, 255].map(Lane::of_urgency), [Lane::Interactive, Lane::Normal, Lane::Bulk, Lane::Bulk]);
    }
}
