//! The gate, seen from behind: what an executor must load and check before its first effect.

use blackstart_core::approval::DecisionPackage;
use blackstart_core::approval::enforce::{
    Refused, check_approved, check_boundary, check_executable, check_outer,
};
use blackstart_core::approval::gate::GateRecord;
use blackstart_core::approval::outer::OuterRecord;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::ledger::Key;
use blackstart_core::run::RunId;
use blackstart_core::timeline::CurrentBoundary;
use jiff::Timestamp;

use crate::artifacts::{ArtifactError, ArtifactStore};
use crate::ledger::{Ledger, LedgerError};

/// Why an executor gets no package.
#[derive(Debug, thiserror::Error)]
pub enum GateRefused {
    /// The package is not approved, is another one, or lapsed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The package was never put before the approvers.
    #[error("no gate was ever opened for package {0} of run `{1}`")]
    NeverAsked(Digest, RunId),
    /// The run has no event boundary.
    #[error("run `{0}` has no event boundary")]
    NoBoundary(RunId),
    /// The package belongs to another run.
    #[error("package {0} is that of another run than `{1}`")]
    OtherRun(Digest, RunId),
    /// The package cannot be loaded.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl StageError for GateRefused {
    fn name(&self) -> ErrorName {
        match self {
            Self::Refused(error) => error.name(),
            Self::NeverAsked(..) | Self::NoBoundary(_) | Self::OtherRun(..) => ErrorName::PolicyRefused,
            Self::Artifact(error) => error.name(),
            Self::Ledger(error) => error.name(),
        }
    }
}

/// The package, if exactly this one was approved and its effects may begin at `now`.
///
/// # Errors
/// [`GateRefused`], which stops the executor.
pub async fn approved_package(
    artifacts: &ArtifactStore,
    ledger: &Ledger,
    run: &RunId,
    package: &ArtifactRef,
    digest: &Digest,
    now: Timestamp,
) -> Result<DecisionPackage, GateRefused> {
    let (bytes, gate) = load(artifacts, ledger, run, package, digest).await?;
    let package = of_run(check_executable(&bytes, digest, &gate, now)?, run, digest)?;
    opened_vault(ledger, package, digest).await
}

/// The package, if exactly this one was approved, whatever the time: for what continues or undoes effects that
/// began in time.
///
/// # Errors
/// [`GateRefused`], which stops the executor.
pub async fn package_in_execution(
    artifacts: &ArtifactStore,
    ledger: &Ledger,
    run: &RunId,
    package: &ArtifactRef,
    digest: &Digest,
) -> Result<DecisionPackage, GateRefused> {
    let (bytes, gate) = load(artifacts, ledger, run, package, digest).await?;
    let package = of_run(check_approved(&bytes, digest, &gate)?, run, digest)?;
    opened_vault(ledger, package, digest).await
}

/// Whether the event boundary is still the package's. Asked before the first effect past the gate.
///
/// # Errors
/// [`GateRefused`], under `Recovery.PreconditionChanged` when the boundary moved.
pub async fn unmoved_boundary(ledger: &Ledger, package: &DecisionPackage) -> Result<(), GateRefused> {
    let current = ledger
        .get::<CurrentBoundary>(&Key::boundary(&package.run))
        .await?;
    let current = current.ok_or_else(|| GateRefused::NoBoundary(package.run.clone()))?;
    Ok(check_boundary(package, &current.document)?)
}

async fn load(
    artifacts: &ArtifactStore,
    ledger: &Ledger,
    run: &RunId,
    package: &ArtifactRef,
    digest: &Digest,
) -> Result<(Vec<u8>, GateRecord), GateRefused> {
    let gate = ledger.get::<GateRecord>(&Key::gate(run, digest)).await?;
    let gate = gate.ok_or_else(|| GateRefused::NeverAsked(digest.clone(), run.clone()))?;
    Ok((artifacts.get(package).await?, gate.document))
}

/// The package, if the approval team that it names opened the vault for it.
async fn opened_vault(
    ledger: &Ledger,
    package: DecisionPackage,
    digest: &Digest,
) -> Result<DecisionPackage, GateRefused> {
    if package.outer_gate.is_some() {
        let key = Key::outer_gate(&package.run, digest);
        let record = ledger.get::<OuterRecord>(&key).await?;
        check_outer(&package, digest, record.as_ref().map(|record| &record.document))?;
    }
    Ok(package)
}

fn of_run(package: DecisionPackage, run: &RunId, digest: &Digest) -> Result<DecisionPackage, GateRefused> {
    if package.run == *run {
        Ok(package)
    } else {
        Err(GateRefused::OtherRun(digest.clone(), run.clone()))
    }
}
