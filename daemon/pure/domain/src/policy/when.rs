//! Conditions as expressions of the Common Expression Language (CEL): compiled when the config is read, and bounded.

use std::fmt;

use super::Asks;
use crate::calendar::Zone;

#[cfg(feature = "cel")]
mod evaluate;
#[cfg(feature = "cel")]
mod look;

/// Longest expression, in bytes: a dozen comparisons.
pub const SOURCE_BYTES_MAX: usize = 1_024;

/// `when`: an expression that is true or false for a request.
#[derive(Clone)]
pub struct When {
    source: String,
    /// Whose clocks `time` shows.
    zone: Zone,
    #[cfg(feature = "cel")]
    program: std::sync::Arc<evaluate::Program>,
}

/// What is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column} of the expression: {message}")]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong and what would be right, as a clause.
    pub message: String,
}

impl When {
    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Reads an expression; `zone` is the one whose clocks `time` shows.
    ///
    /// # Errors
    /// It is no expression, names what is not there, or could take long.
    #[cfg(feature = "cel")]
    pub fn compile(source: &str, zone: &Zone) -> Result<Self, Mistake> {
        let program = std::sync::Arc::new(evaluate::Program::compile(source)?);
        let when = Self { source: source.to_owned(), zone: zone.clone(), program };
        // What is no condition at all shows with any request.
        match when.holds(&Asks::default()) {
            Err(why) if why.ends_with(evaluate::NO_CONDITION) => Err(Mistake { line: 1, column: 1, message: why }),
            Ok(_) | Err(_) => Ok(when),
        }
    }

    /// This build knows no expressions.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "cel"))]
    pub fn compile(_: &str, _: &Zone) -> Result<Self, Mistake> {
        let message = "this build leaves expressions out, as that for routers does; take the whole one".to_owned();
        Err(Mistake { line: 1, column: 1, message })
    }

    /// Whether it is true for a request.
    ///
    /// # Errors
    /// Why it cannot be said.
    #[cfg(feature = "cel")]
    pub fn holds(&self, asks: &Asks<'_>) -> Result<bool, String> {
        self.program.holds(asks, &self.zone)
    }

    /// There is none in this build.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "cel"))]
    pub fn holds(&self, _: &Asks<'_>) -> Result<bool, String> {
        Err(format!("this build leaves expressions out (in the zone {})", self.zone.name()))
    }

    /// Whether it asks how the house does.
    #[must_use]
    pub fn asks_pulse(&self) -> bool {
        #[cfg(feature = "cel")]
        return self.program.uses("telemetry");
        #[cfg(not(feature = "cel"))]
        false
    }
}

impl PartialEq for When {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.zone == other.zone
    }
}

impl Eq for When {}

impl fmt::Debug for When {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "When({:?})", self.source)
    }
}
