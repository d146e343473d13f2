//! What a client is told of how its answer came about: the `Cache-Status` header of RFC 9211.

use std::fmt;
use std::time::Duration;

/// How a request met the kept answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Answered by a kept answer, which may be served for so long from now.
    Hit {
        /// Time left.
        ttl: Duration,
        /// How it was found.
        how: How,
    },
    /// Nothing was kept; an upstream answers.
    Miss {
        /// The answer is kept now. A stream's header comes too early to say so.
        stored: bool,
    },
    /// Another request asks the same at this moment, and its answer is shared.
    Collapsed,
    /// Something was kept, perhaps, but this client did not want it.
    Refused {
        /// The answer is kept now.
        stored: bool,
    },
    /// Nothing is kept of such requests.
    Bypass {
        /// Why not.
        detail: &'static str,
    },
}

/// How a kept answer was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It was the same request.
    Exact,
    /// It was a question that asks the same in other words.
    Semantic {
        /// The cosine of the two questions' vectors, in hundredths, rounded down.
        likeness: u8,
    },
}

impl fmt::Display for How {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => formatter.write_str("exact"),
            Self::Semantic { likeness } => write!(formatter, "semantic;sim={}.{:02}", likeness / 100, likeness % 100),
        }
    }
}

impl Status {
    /// A word for metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hit { .. } => "hit",
            Self::Miss { .. } => "miss",
            Self::Collapsed => "collapsed",
            Self::Refused { .. } => "refused",
            Self::Bypass { .. } => "bypass",
        }
    }

    /// The same, once it is known that the answer is kept.
    #[must_use]
    pub const fn kept(self) -> Self {
        match self {
            Self::Miss { .. } => Self::Miss { stored: true },
            Self::Refused { .. } => Self::Refused { stored: true },
            Self::Hit { .. } | Self::Collapsed | Self::Bypass { .. } => self,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stored = |stored: &bool| if *stored { "; stored" } else { "" };
        match self {
            Self::Hit { ttl, how } => {
                write!(formatter, "airlane; hit; ttl={}; detail=\"{how}\"", ttl.as_secs())
            }
            Self::Miss { stored: is_stored } => write!(formatter, "airlane; fwd=miss{}", stored(is_stored)),
            Self::Collapsed => formatter.write_str("airlane; fwd=miss; collapsed"),
            Self::Refused { stored: is_stored } => write!(formatter, "airlane; fwd=request{}", stored(is_stored)),
            Self::Bypass { detail } => write!(formatter, "airlane; fwd=bypass; detail=\"{detail}\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_the_rfc_wants_it() {
        for (status, want) in [
            (
                Status::Hit { ttl: Duration::from_millis(59_900), how: How::Exact },
                r#"airlane; hit; ttl=59; detail="exact""#,
            ),
            (
                Status::Hit { ttl: Duration::ZERO, how: How::Semantic { likeness: 97 } },
                r#"airlane; hit; ttl=0; detail="semantic;sim=0.97""#,
            ),
            (Status::Miss { stored: false }, "airlane; fwd=miss"),
            (Status::Miss { stored: false }.kept(), "airlane; fwd=miss; stored"),
            (Status::Collapsed.kept(), "airlane; fwd=miss; collapsed"),
            (Status::Refused { stored: false }.kept(), "airlane; fwd=request; stored"),
            (Status::Bypass { detail: "off" }.kept(), r#"airlane; fwd=bypass; detail="off""#),
        ] {
            assert_eq!(status.to_string(), want);
        }
    }
}
