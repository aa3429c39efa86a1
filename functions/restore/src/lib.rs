//! Stage 4, second half: data from the approved recovery set.
#![warn(missing_docs)]

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::evidence::EvidenceError;
use blackstart_aws::gate::GateRefused;
use blackstart_aws::ledger::{LedgerError, Versioned};
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::ledger::Key;
use blackstart_core::restore::job::{JobState, RestoreJob, RestoreRecord};
use blackstart_core::restore::removal::RemovalRefused;
use blackstart_core::restore::request::RestoreRefused;
use blackstart_core::restore::verify::NotAsValidated;
use blackstart_core::run::RunId;
use blackstart_core::task::restore::{Operation, Removed, RestoreProgress, Restored};
use blackstart_core::task::{Progress, Task};
use jiff::Timestamp;
use serde::Serialize;

mod adopt;
mod compare;
mod poll;
pub mod port;
mod removal;
mod start;

use port::{RebuildAccount, Run};

/// What the stage needs from outside.
#[derive(Debug)]
pub struct Deps<R, L, A> {
    /// The run's documents and its gate.
    pub run: R,
    /// The ledger.
    pub records: L,
    /// The rebuild account.
    pub account: A,
}

/// The answer to any operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// To `start` and `poll`.
    Progress(RestoreProgress),
    /// To `verify`.
    Restored(Restored),
    /// To `clean_up`.
    Removed(Removed),
}

/// Why the stage cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The task names no run.
    #[error("the task names no run: `run` is needed")]
    NoRun,
    /// The gate does not let this package through.
    #[error(transparent)]
    Gate(#[from] GateRefused),
    /// What would be restored is not what was approved, or may not be restored.
    #[error(transparent)]
    Refused(#[from] RestoreRefused),
    /// The rebuilt stacks were changed after the decision package was made.
    #[error("the rebuilt stacks are not what was approved any more: {}", .0.join("; "))]
    Changed(Vec<String>),
    /// The run has begun to restore something else.
    #[error("run `{0}` has already begun other restores than these: its ledger says which")]
    OtherRestore(RunId),
    /// Nothing was started.
    #[error("run `{0}` has restores that were never started: run `start` first")]
    NotStarted(RunId),
    /// Restore jobs ended without the resource.
    #[error("{}", .0.join("; "))]
    Failed(Vec<String>),
    /// Restore jobs are still at work.
    #[error("run `{0}` still has restores at work")]
    Unfinished(RunId),
    /// The restored data is not the validated data.
    #[error(transparent)]
    NotAsValidated(#[from] NotAsValidated),
    /// Nothing was compared yet.
    #[error("run `{0}` has restored data that was not compared: run `verify` first")]
    NotVerified(RunId),
    /// Restored resources are not what the plan makes of them.
    #[error("what was restored is not adopted: {}", .0.join("; "))]
    NotAdopted(Vec<String>),
    /// What this run restored is not to be removed.
    #[error(transparent)]
    NotRemoved(#[from] RemovalRefused),
    /// A document could not be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The evidence could not be recorded.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The rebuild account did not answer as hoped.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl StageError for RestoreError {
    fn name(&self) -> ErrorName {
        match self {
            Self::NoRun => ErrorName::InvalidInput,
            Self::Gate(error) => error.name(),
            Self::Refused(_) | Self::NotAsValidated(_) => ErrorName::PolicyRefused,
            Self::Changed(_)
            | Self::OtherRestore(_)
            | Self::NotStarted(_)
            | Self::Failed(_)
            | Self::Unfinished(_)
            | Self::NotVerified(_)
            | Self::NotAdopted(_) => ErrorName::PreconditionChanged,
            Self::NotRemoved(error) => error.name(),
            Self::Artifact(error) => error.name(),
            Self::Ledger(error) => error.name(),
            Self::Evidence(error) => error.name(),
            Self::Port(error) => error.name(),
        }
    }
}

/// Handles one task.
///
/// # Errors
/// [`RestoreError`].
pub async fn handle<R: Run, L: Records, A: RebuildAccount>(
    task: Task<Operation>,
    deps: &Deps<R, L, A>,
    now: Timestamp,
) -> Result<Output, RestoreError> {
    let run = task.run.ok_or(RestoreError::NoRun)?;
    match task.input {
        Operation::Start {
            plan,
            package,
            digest,
            attempt,
        } => {
            let approved = Approved {
                plan: &plan,
                package: &package,
                digest: &digest,
            };
            start::start(&run, &approved, attempt, deps, now).await?;
            Ok(Output::Progress(RestoreProgress {
                progress: Progress::Running,
            }))
        }
        Operation::Poll { plan } => {
            let plan = deps.run.plan(&plan).await?;
            let progress = poll::poll(&run, &plan, deps, now).await?;
            Ok(Output::Progress(RestoreProgress { progress }))
        }
        Operation::Verify {
            plan,
            package,
            digest,
        } => {
            let approved = Approved {
                plan: &plan,
                package: &package,
                digest: &digest,
            };
            let document = compare::verify_all(&run, &approved, deps, now).await?;
            Ok(Output::Restored(Restored { document }))
        }
        Operation::Adopt {
            plan,
            package,
            digest,
        } => {
            let approved = Approved {
                plan: &plan,
                package: &package,
                digest: &digest,
            };
            let progress = adopt::adopt(&run, &approved, deps, now).await?;
            Ok(Output::Progress(RestoreProgress { progress }))
        }
        Operation::CleanUp { plan } => {
            let plan = deps.run.plan(&plan).await?;
            removal::clean_up(&run, &plan, deps).await.map(Output::Removed)
        }
    }
}

/// What people approved, by place and digest.
struct Approved<'a> {
    plan: &'a ArtifactRef,
    package: &'a ArtifactRef,
    digest: &'a Digest,
}

/// Writes down what is known of a job. If another executor changed the record meanwhile, it is looked at again: what
/// is written down is the same for both.
async fn note<R, L: Records, A>(
    run: &RunId,
    record: Versioned<RestoreRecord>,
    resource: &str,
    deps: &Deps<R, L, A>,
    change: impl FnOnce(&mut RestoreJob),
) -> Result<Versioned<RestoreRecord>, RestoreError> {
    let mut next = record;
    if let Some(job) = next.document.jobs.get_mut(resource) {
        change(job);
    }
    write(run, next, &format!("the restore of `{resource}`"), deps).await
}

/// Writes the record down.
async fn write<R, L: Records, A>(
    run: &RunId,
    mut record: Versioned<RestoreRecord>,
    what: &str,
    deps: &Deps<R, L, A>,
) -> Result<Versioned<RestoreRecord>, RestoreError> {
    if deps
        .records
        .replace(&Key::restore(run), record.version, &record.document)
        .await?
    {
        record.version = record.version.saturating_add(1);
        return Ok(record);
    }
    Err(RestoreError::Port(PortError::Transient {
        what: format!("noting {what}"),
        why: "another executor wrote at the same time".to_owned(),
    }))
}

/// What a job has come to that should have made `arn`.
fn state_of(observed: &blackstart_aws::backup::RestoreJob, arn: &str) -> JobState {
    let (message, created) = (observed.message.as_deref(), observed.created.as_deref());
    JobState::of(&observed.state, message, created, arn)
}

#[cfg(test)]
mod tests;
