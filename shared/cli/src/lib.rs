//! The parts of the `blackstart` command that tests use too.
// The future of a whole drill nests deeper than the default limit.
#![recursion_limit = "256"]

pub mod drill;
pub mod up;
