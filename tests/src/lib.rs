//! Stand-in until the harness arrives.
