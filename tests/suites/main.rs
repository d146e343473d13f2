//! The suites: each starts the real daemon in front of scripted upstreams, or of a real model.

mod access;
mod cancel;
mod catalogue;
mod cli;
mod common;
mod console;
mod drain;
mod embeddings;
mod endpoint;
mod errors;
mod explain;
mod failover;
mod gpu;
mod harness;
mod house;
mod limits;
mod observability;
mod outcome;
mod real_model;
mod reload;
mod sdk;
mod secrets;
mod streams;
mod tls;
mod translation;
