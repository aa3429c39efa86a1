//! The contract between the state machine and the functions: what every task is given and what it returns.
//!
//! State carries ids, digests and [`crate::artifact::ArtifactRef`]s, never documents. Expected outcomes are data with a
//! tag that a `Choice` reads. The operation enums are compared with `infra/statemachine` by a contract test.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::RunId;

pub mod approval;
pub mod cutover;
pub mod intake;
pub mod rebuild;
pub mod references;
pub mod report;
pub mod restore;
pub mod rotation;
pub mod timeline;
pub mod validation;

/// The payload of every task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task<Operation> {
    /// Where in the state machine the task is.
    pub context: StateContext,
    /// The run; absent only before the run is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// What to do, tagged by `operation`.
    pub input: Operation,
}

/// Facts of the state that invokes a function, taken from the Step Functions context object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateContext {
    /// `$$.Execution.Id`: ARN of the execution.
    pub execution: String,
    /// `$$.Execution.StartTime`.
    pub started: Timestamp,
    /// `$$.State.Name`.
    pub state: String,
    /// `$$.State.EnteredTime`.
    pub entered: Timestamp,
    /// `$$.State.RetryCount`.
    #[serde(default)]
    pub retry_count: u32,
    /// `$$.Execution.RedriveCount`.
    #[serde(default)]
    pub redrive_count: u32,
}

/// Whether work that was started elsewhere has ended. *Still running* is data, never an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Ask again later.
    Running,
    /// Ended; the result says how.
    Done,
}

/// An error as a `Catch` sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Error name.
    pub error: String,
    /// What happened.
    #[serde(default)]
    pub cause: String,
}
