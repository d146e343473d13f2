//! The exchange as a whole: golden pairs for every pair of surfaces, any cut of any stream, and what is refused.
//!
//! The fixtures and what is expected of them lie in `tests/golden`, one pair per case: `NAME.json` and `NAME.snap`.

#[cfg(test)]
mod asks;
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod passing;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod replies;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod streams;
