//! What Airlane decides: configuration, catalogue, route and refusal, as pure functions of their arguments.
//!
//! Nothing in this crate reads a clock, a file, a socket or the environment.

pub mod abandoned;
pub mod access;
pub mod allowance;
pub mod budget;
pub mod cache;
pub mod calendar;
pub mod catalogue;
pub mod config;
pub mod context;
pub mod date;
pub mod dispatch;
pub mod gpu;
pub mod health;
pub mod key;
pub mod lane;
pub mod late;
pub mod ledger;
pub mod limit;
pub mod machine;
pub mod moment;
pub mod money;
pub mod node;
pub mod pace;
pub mod places;
pub mod policy;
pub mod price;
pub mod reading;
pub mod refusal;
pub mod rfc3339;
pub mod route;
pub mod secret;
pub mod semantic;
pub mod sessions;
pub mod sleep;
pub mod strategy;
pub mod surface;
pub mod telemetry;
pub mod tenant;
pub mod upstream;
pub mod usage;
pub mod virtual_model;
