//! Stage 4, last part: credentials are made new, not carried over.
#![warn(missing_docs)]

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::evidence::EvidenceError;
use blackstart_aws::gate::GateRefused;
use blackstart_aws::ledger::LedgerError;
use blackstart_aws::port::PortError;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::evidence::{Event, Kind, PACKAGE};
use blackstart_core::items::{self, ItemsRecord};
use blackstart_core::restore::removal::{RemovalRefused, copies_removable};
use blackstart_core::rotation::{
    NotAnObject, RotatedCredential, RotationDocument, RotationRefused, SCHEMA, approved_credentials,
};
use blackstart_core::run::RunId;
use blackstart_core::task::rotation::{Operation, Removed, Rotated};
use blackstart_core::task::{Progress, Task};
use jiff::Timestamp;
use serde::Serialize;

mod one;
pub mod port;

use one::Turn;
use port::{RebuildAccount, Run};

/// What the stage needs from outside.
#[derive(Debug)]
pub struct Deps<R, A> {
    /// The run's documents and its gate.
    pub run: R,
    /// The rebuild account.
    pub account: A,
}

/// The answer to any operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// To `rotate`.
    Rotated(Rotated),
    /// To `clean_up`.
    Removed(Removed),
}

/// Why the stage cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The task names no run.
    #[error("the task names no run: `run` is needed")]
    NoRun,
    /// The gate does not let this package through.
    #[error(transparent)]
    Gate(#[from] GateRefused),
    /// What would be rotated is not what was approved.
    #[error(transparent)]
    Refused(#[from] RotationRefused),
    /// Somebody rotated the credential after this run did.
    #[error("`{name}` has `{by}` as its current version, made after this run's: find out who made it")]
    Overtaken {
        /// Name of the credential.
        name: String,
        /// Version.
        by: String,
    },
    /// The credential does not come to rest.
    #[error("`{0}` is changed by somebody else at the same time")]
    Restless(String),
    /// A secret is not what the plan says.
    #[error(transparent)]
    NotAnObject(#[from] NotAnObject),
    /// What this run made is gone.
    #[error(
        "the access key that secret `{secret}` holds since this run is gone or out of use at user `{user}`: find out who did that"
    )]
    KeyLost {
        /// User name.
        user: String,
        /// Secret name.
        secret: String,
    },
    /// What is to be new is not.
    #[error("`{name}` is not new: {why}")]
    NotNew {
        /// Name of the credential.
        name: String,
        /// Why.
        why: String,
    },
    /// What this run made is not to be removed.
    #[error(transparent)]
    NotRemoved(#[from] RemovalRefused),
    /// What became of the items could not be noted.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A document could not be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The evidence could not be recorded.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The rebuild account did not answer as hoped.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl StageError for RotateError {
    fn name(&self) -> ErrorName {
        match self {
            Self::NoRun => ErrorName::InvalidInput,
            Self::Gate(error) => error.name(),
            Self::Refused(_) => ErrorName::PolicyRefused,
            Self::Overtaken { .. }
            | Self::Restless(_)
            | Self::NotAnObject(_)
            | Self::KeyLost { .. }
            | Self::NotNew { .. } => ErrorName::PreconditionChanged,
            Self::NotRemoved(error) => error.name(),
            Self::Ledger(error) => error.name(),
            Self::Artifact(error) => error.name(),
            Self::Evidence(error) => error.name(),
            Self::Port(error) => error.name(),
        }
    }
}

/// Handles one task.
///
/// # Errors
/// [`RotateError`].
pub async fn handle<R: Run, A: RebuildAccount>(
    task: Task<Operation>,
    deps: &Deps<R, A>,
    now: Timestamp,
) -> Result<Output, RotateError> {
    let run = task.run.ok_or(RotateError::NoRun)?;
    match task.input {
        Operation::Rotate {
            plan,
            package,
            digest,
        } => rotate_all(&run, &plan, &package, &digest, deps, now)
            .await
            .map(Output::Rotated),
        Operation::CleanUp { plan } => clean_up(&run, &plan, deps).await.map(Output::Removed),
    }
}

async fn clean_up<R: Run, A: RebuildAccount>(
    run: &RunId,
    plan: &ArtifactRef,
    deps: &Deps<R, A>,
) -> Result<Removed, RotateError> {
    copies_removable(run, deps.run.record_of(run).await?.as_ref())?;
    let plan = deps.run.plan(plan).await?;
    let account = deps.account.open(&plan, run).await?;
    let mut removed = Vec::new();
    for credential in &plan.rotation.credentials {
        removed.extend(one::remove(run, credential, &account).await?);
    }
    Ok(Removed { removed })
}

async fn rotate_all<R: Run, A: RebuildAccount>(
    run: &RunId,
    plan_artifact: &ArtifactRef,
    package: &ArtifactRef,
    digest: &Digest,
    deps: &Deps<R, A>,
    now: Timestamp,
) -> Result<Rotated, RotateError> {
    let package = deps.run.approved(run, package, digest, now).await?;
    let plan = deps.run.plan(plan_artifact).await?;
    let rotation = approved_credentials(run, plan_artifact, &plan, &package)?;
    let account = deps.account.open(&plan, run).await?;
    let mut rotated = Vec::new();
    for secret in &rotation.secrets {
        let done = one::secret(run, secret, &account).await?;
        record(run, digest, "secret", &done, deps, now).await?;
        rotated.push(done);
    }
    let mut progress = Progress::Done;
    for credential in &rotation.credentials {
        match one::credential(run, &plan, &package, credential, &account).await? {
            Turn::Done(replaced) => {
                for done in replaced {
                    record(run, digest, "credential", &done, deps, now).await?;
                    rotated.push(done);
                }
            }
            Turn::Waits => progress = Progress::Running,
        }
    }
    let count = u32::try_from(rotated.len()).unwrap_or(u32::MAX);
    if progress == Progress::Running {
        return Ok(Rotated {
            progress,
            document: None,
            rotated: count,
        });
    }
    let document = RotationDocument {
        schema: SCHEMA.to_owned(),
        rotated,
    };
    let kept = deps.run.keep(run, &document).await?;
    let rebuilt = deps.run.rebuilt(&package.rebuild).await?;
    let restored = deps.run.restored(run).await?;
    let items = ItemsRecord {
        package: digest.clone(),
        rows: items::settle(&rebuilt, &package, restored.as_ref(), Some(&document)),
    };
    deps.run.settle(run, &items).await?;
    Ok(Rotated {
        progress,
        document: Some(kept),
        rotated: count,
    })
}

async fn record<R: Run, A>(
    run: &RunId,
    digest: &Digest,
    what: &'static str,
    done: &RotatedCredential,
    deps: &Deps<R, A>,
    now: Timestamp,
) -> Result<(), RotateError> {
    tracing::info!(credential = %done.name, version = %done.version, "credential rotated");
    let event = Event::new(Kind::CredentialRotated, now)
        .subject(PACKAGE, digest)
        .fact(what, done.name.as_str())
        .fact("version", done.version.as_str());
    Ok(deps.run.record(run, event).await?)
}

#[cfg(test)]
mod tests;
