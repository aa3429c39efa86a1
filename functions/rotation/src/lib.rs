//! Stage 4, last part: credentials are made new, not carried over.
#![warn(missing_docs)]

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::evidence::EvidenceError;
use blackstart_aws::gate::GateRefused;
use blackstart_aws::port::PortError;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::evidence::{Event, Kind, PACKAGE};
use blackstart_core::plan::Secret;
use blackstart_core::rotation::{
    RotatedCredential, RotationDocument, RotationRefused, SCHEMA, Step, approved_secrets, next_step,
    version_of,
};
use blackstart_core::run::RunId;
use blackstart_core::task::Task;
use blackstart_core::task::rotation::{Operation, Rotated};
use jiff::Timestamp;

pub mod config;
pub mod port;

use port::{RebuildAccount, Run, Secrets};

/// Steps per secret after which it is given up: one write, and a label for each of the 20 that a secret can have.
const MAX_STEPS: u32 = 22;

/// What the stage needs from outside.
#[derive(Debug)]
pub struct Deps<R, A> {
    /// The run's documents and its gate.
    pub run: R,
    /// The rebuild account.
    pub account: A,
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
    /// Somebody rotated the secret after this run did.
    #[error("secret `{name}` has `{by}` as its current version, made after this run's: find out who made it")]
    Overtaken {
        /// Secret name.
        name: String,
        /// Version id.
        by: String,
    },
    /// The secret does not come to rest.
    #[error("secret `{0}` is changed by somebody else at the same time")]
    Restless(String),
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
            Self::Overtaken { .. } | Self::Restless(_) => ErrorName::PreconditionChanged,
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
) -> Result<Rotated, RotateError> {
    let run = task.run.ok_or(RotateError::NoRun)?;
    match task.input {
        Operation::Rotate {
            plan,
            package,
            digest,
        } => rotate_all(&run, &plan, &package, &digest, deps, now).await,
    }
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
    let secrets = approved_secrets(run, plan_artifact, &plan, &package)?;
    let account = deps.account.open(&plan, run).await?;
    let mut rotated = Vec::new();
    for secret in secrets {
        let version = rotate(run, secret, &account).await?;
        tracing::info!(secret = %secret.name, %version, "secret rotated");
        let event = Event::new(Kind::CredentialRotated, now)
            .subject(PACKAGE, digest)
            .fact("secret", secret.name.as_str())
            .fact("version", version.as_str());
        deps.run.record(run, event).await?;
        rotated.push(RotatedCredential {
            name: secret.name.clone(),
            version,
        });
    }
    let count = u32::try_from(rotated.len()).unwrap_or(u32::MAX);
    let document = RotationDocument {
        schema: SCHEMA.to_owned(),
        rotated,
    };
    Ok(Rotated {
        document: deps.run.keep(run, &document).await?,
        rotated: count,
    })
}

/// Observes, decides and does one step until the run's version is the only labelled one; returns its id.
async fn rotate(run: &RunId, secret: &Secret, account: &impl Secrets) -> Result<String, RotateError> {
    let version = version_of(run, &secret.name);
    for _ in 0..MAX_STEPS {
        match next_step(&version, &account.versions(&secret.name).await?) {
            Step::Done => return Ok(version),
            Step::Write => {
                let value = account.random(secret.length).await?;
                // An existing version is found by the next look.
                account.put(&secret.name, &version, &value).await?;
            }
            Step::Retire {
                version: older,
                label,
            } => account.take_label(&secret.name, &older, &label).await?,
            Step::Overtaken { by } => {
                return Err(RotateError::Overtaken {
                    name: secret.name.clone(),
                    by,
                });
            }
        }
    }
    Err(RotateError::Restless(secret.name.clone()))
}

#[cfg(test)]
mod tests;
