//! Stage 1 as a function: collect the log objects, scan them in batches, merge what they say.
#![warn(missing_docs)]

mod again;
mod collect;
mod fetch;
mod merge;
mod ports;
mod results;
mod rules;
mod scan;
mod second;

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::ledger::LedgerError;
use blackstart_aws::port::PortError;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::plan::Plan;
use blackstart_core::task::Task;
use blackstart_core::task::timeline::{Collected, Merged, Operation, ReadAgain, Scanned, Traced};
use blackstart_core::timeline::facts::Reader;
use blackstart_core::timeline::indicator::Table;
use jiff::Timestamp;
use serde::Serialize;

pub use crate::ports::{Aws, Deps, Logs};

/// The answer to any operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// To [`Operation::Collect`].
    Collected(Collected),
    /// To [`Operation::Scan`].
    Scanned(Scanned),
    /// To [`Operation::Trace`].
    Traced(Traced),
    /// To [`Operation::Again`].
    ReadAgain(ReadAgain),
    /// To [`Operation::Merge`].
    Merged(Merged),
}

/// What can go wrong in stage 1. Logs that cannot be read are no error but a coverage gap.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The task names no run.
    #[error("the task names no run; the timeline belongs to one")]
    NoRun,
    /// A batch refers to a log source that the plan does not have.
    #[error("the plan has no log source {source_index}; it has {sources}")]
    UnknownSource {
        /// Index in the batch.
        source_index: u32,
        /// Number of sources.
        sources: usize,
    },
    /// An item of the second manifest speaks of what the scan did not leave.
    #[error("batch {batch} cannot be read again: {why}")]
    NotScanned {
        /// Number of the batch.
        batch: u32,
        /// What is missing.
        why: String,
    },
    /// More batches than one Distributed Map may have children.
    #[error(
        "{batches} batches are more than a run can scan ({limit}); narrow the prefixes of the plan's log sources"
    )]
    TooManyBatches {
        /// How many there would be.
        batches: usize,
        /// The quota.
        limit: usize,
    },
    /// A document has no JSON form.
    #[error("a document of the timeline cannot be written")]
    NotJson(#[from] serde_json::Error),
    /// The function's own disk failed or is full; elsewhere there may be room.
    #[error("what the batches found cannot be kept on the function's disk")]
    Disk(#[from] std::io::Error),
    /// Others kept changing the boundary.
    #[error("the boundary changed again and again while it was being set")]
    Contended,
    /// AWS did not answer as hoped.
    #[error(transparent)]
    Port(#[from] PortError),
    /// An artifact cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl StageError for Failed {
    fn name(&self) -> ErrorName {
        match self {
            Self::NoRun
            | Self::UnknownSource { .. }
            | Self::NotScanned { .. }
            | Self::TooManyBatches { .. } => ErrorName::InvalidInput,
            Self::NotJson(_) => ErrorName::Defect,
            Self::Disk(_) | Self::Contended => ErrorName::Transient,
            Self::Port(error) => error.name(),
            Self::Artifact(error) => error.name(),
            Self::Ledger(error) => error.name(),
        }
    }
}

/// Does what the task asks.
///
/// # Errors
/// [`Failed`].
pub async fn handle<D: Deps>(task: Task<Operation>, deps: &D, now: Timestamp) -> Result<Output, Failed> {
    let run = task.run.ok_or(Failed::NoRun)?;
    match task.input {
        Operation::Collect { plan } => {
            let plan = deps.plan(&plan).await?;
            collect::collect(deps, &run, &plan).await.map(Output::Collected)
        }
        Operation::Scan { plan, batch } => {
            let plan = deps.plan(&plan).await?;
            scan::scan(deps, &run, &plan, &batch, now)
                .await
                .map(Output::Scanned)
        }
        Operation::Trace { plan, batches } => {
            let plan = deps.plan(&plan).await?;
            again::trace(deps, &run, &plan, batches, now)
                .await
                .map(Output::Traced)
        }
        Operation::Again { plan, batch } => {
            let plan = deps.plan(&plan).await?;
            again::again(deps, &run, &plan, &batch, now)
                .await
                .map(Output::ReadAgain)
        }
        Operation::Merge { plan, batches } => {
            let plan = deps.plan(&plan).await?;
            merge::merge(deps, &run, &plan, batches, now)
                .await
                .map(Output::Merged)
        }
        Operation::Revise { plan } => {
            let plan = deps.plan(&plan).await?;
            merge::revise(deps, &run, &plan, now).await.map(Output::Merged)
        }
    }
}

/// How this plan's objects are read.
fn reader(plan: &Plan, table: Table, now: Timestamp) -> Reader {
    Reader {
        hash_content: plan.timeline.checks_digests(),
        ..Reader::new(table, now)
    }
}

/// `s3://bucket/key`, as evidence names an object.
fn object_name(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

#[cfg(test)]
mod tests;
