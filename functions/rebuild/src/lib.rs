//! Stage 4, first half: infrastructure from code, in isolation.
#![warn(missing_docs)]

use std::collections::BTreeMap;

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::ledger::LedgerError;
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::items;
use blackstart_core::ledger::Key;
use blackstart_core::plan::Plan;
use blackstart_core::rebuild::templates::{self, RefusedTemplates, Template};
use blackstart_core::restore::removal::RemovalRefused;
use blackstart_core::run::{RunId, RunRecord};
use blackstart_core::task::Task;
use blackstart_core::task::rebuild::{Advanced, Checked, Compared, Operation, Rebuilt};
use serde::Serialize;

pub mod port;
mod proof;
mod stacks;

use port::{Builders, Documents};

/// What the stage needs from outside.
#[derive(Debug)]
pub struct Deps<D, L, B> {
    /// Plan, templates, results.
    pub documents: D,
    /// The ledger.
    pub records: L,
    /// The rebuild account.
    pub builders: B,
}

/// The answer to any operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// To `check`.
    Checked(Checked),
    /// To `advance` and `clean_up`.
    Advanced(Advanced),
    /// To `detect_drift`.
    Compared(Compared),
    /// To `preflight`.
    Rebuilt(Rebuilt),
}

/// Why the stage cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The task names no run.
    #[error("the task names no run: `run` is needed")]
    NoRun,
    /// A document could not be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The rebuild account did not answer as hoped.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The templates may not be built.
    #[error(transparent)]
    Templates(#[from] RefusedTemplates),
    /// The stacks of this run are not to be removed.
    #[error(transparent)]
    NotRemoved(#[from] RemovalRefused),
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Stacks stand in the way.
    #[error("{}", .0.join("; "))]
    Blocked(Vec<String>),
}

impl StageError for RebuildError {
    fn name(&self) -> ErrorName {
        match self {
            Self::NoRun => ErrorName::InvalidInput,
            Self::Artifact(error) => error.name(),
            Self::Port(error) => error.name(),
            Self::Templates(_) => ErrorName::PolicyRefused,
            Self::NotRemoved(error) => error.name(),
            Self::Ledger(error) => error.name(),
            Self::Blocked(_) => ErrorName::PreconditionChanged,
        }
    }
}

/// Handles one task.
///
/// # Errors
/// [`RebuildError`].
pub async fn handle<D: Documents, L: Records, B: Builders>(
    task: Task<Operation>,
    deps: &Deps<D, L, B>,
) -> Result<Output, RebuildError> {
    let run = task.run.ok_or(RebuildError::NoRun)?;
    match task.input {
        Operation::Check { plan } => {
            let plan = deps.documents.plan(&plan).await?;
            let checked = read_templates(&plan, deps).await?;
            let templates = u32::try_from(checked.len()).unwrap_or(u32::MAX);
            Ok(Output::Checked(Checked { templates }))
        }
        Operation::Advance { plan } => {
            let plan = deps.documents.plan(&plan).await?;
            stacks::advance(&run, &plan, deps).await.map(Output::Advanced)
        }
        Operation::DetectDrift { plan, detections } => {
            let plan = deps.documents.plan(&plan).await?;
            proof::detect_drift(&run, &plan, detections, deps)
                .await
                .map(Output::Compared)
        }
        Operation::Preflight { plan, detections } => {
            let plan = deps.documents.plan(&plan).await?;
            proof::preflight(&run, &plan, &detections, deps)
                .await
                .map(Output::Rebuilt)
        }
        Operation::CleanUp { plan } => {
            let plan = deps.documents.plan(&plan).await?;
            stacks::clean_up(&run, &plan, deps).await.map(Output::Advanced)
        }
    }
}

async fn read_templates<D: Documents, L: Records, B: Builders>(
    plan: &Plan,
    deps: &Deps<D, L, B>,
) -> Result<BTreeMap<String, Template>, RebuildError> {
    let mut bytes = BTreeMap::new();
    for stack in &plan.rebuild.stacks {
        bytes.insert(
            stack.name.clone(),
            deps.documents.template(&stack.template).await?,
        );
    }
    let checked = templates::check(plan, &bytes)?;
    items::classify(plan, &checked).map_err(RefusedTemplates)?;
    Ok(checked)
}

/// The run's record. Without it nothing is known of the run, and nothing is done for it.
async fn record_of(run: &RunId, records: &impl Records) -> Result<RunRecord, RebuildError> {
    records
        .get::<RunRecord>(&Key::run(run))
        .await?
        .map(|found| found.document)
        .ok_or_else(|| RemovalRefused::UnknownRun(run.clone()).into())
}

#[cfg(test)]
mod tests;
