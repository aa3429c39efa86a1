//! The decisions of Blackstart, without I/O.
//!
//! Everything in this crate is synchronous and pure: no clock, no environment, no files, no network, no
//! randomness. A Lambda function observes the world, calls one function in here, and enacts what it returns.
#![warn(missing_docs)]

pub mod approval;
pub mod artifact;
pub mod chart;
pub mod critical_path;
pub mod cutover;
pub mod dns;
pub mod error_name;
pub mod evidence;
pub mod history;
pub mod items;
pub mod journal;
pub mod ledger;
pub mod markup;
pub mod plan;
pub mod progress;
pub mod rebuild;
pub mod references;
pub mod report;
pub mod restore;
pub mod rotation;
pub mod run;
pub mod task;
pub mod timeline;
pub mod trigger;
pub mod validation;
pub mod yaml;
