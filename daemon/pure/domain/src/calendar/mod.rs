//! Calendar hours, days, weeks and months in a time zone: what a budget's period is.
//!
//! The zone's rules come as the bytes of a zone file or as a POSIX rule; reading the file is for others.

mod civil;
mod period;
mod zone;

pub use period::{Cycle, NotAKey, Period, PeriodKey};
pub use zone::{UnknownZone, Zone};
