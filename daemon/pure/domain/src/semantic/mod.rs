//! Questions that are the same although their words differ: what may be compared, and when two are the same.
//!
//! A [`Question`] is the last text of a request and everything else of it, which must be equal byte for byte. Of the kept
//! questions of which that holds, the nearest by its vector is looked at; [`gate()`] compares the two texts word by
//! word, because vectors do not see numbers, names and negations (ADR 0014); and the entry's own [`Bar`] says whether the
//! likeness is enough.

mod bar;
mod class;
mod gate;
mod language;
mod numbers;
mod partition;
mod phrases;
mod question;
mod scan;
mod settings;
mod signature;
mod synonyms;
mod vector;

pub use bar::{Bar, Decision, Goal};
pub use class::Class;
pub use gate::{Difference, Verdict, gate};
pub use language::Language;
pub use partition::{ASKED_MAX, Asked, Found, Match, Partition};
pub use question::{NotAQuestion, Question, TEXT_BYTES_MAX, check};
pub use settings::{Embeddings, Settings};
pub use signature::Signature;
pub use vector::{DIMENSIONS_MAX, Near, Shelf, Vector, single};
