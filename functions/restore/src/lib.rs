//! Stage 4, second half: data from the approved recovery set.
#![warn(missing_docs)]

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::evidence::{EvidenceError, record_once};
use blackstart_aws::gate::GateRefused;
use blackstart_aws::ledger::{LedgerError, Versioned};
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::approval::{DecisionPackage, outer};
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::evidence::{Event, Kind, PACKAGE};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Plan, Vault};
use blackstart_core::restore::job::{JobState, RestoreJob, RestoreRecord};
use blackstart_core::restore::removal::{CopyState, RemovalRefused};
use blackstart_core::restore::request::{RestoreRefused, RestoreRequest, requests, token};
use blackstart_core::restore::verify::{Found, NotAsValidated, verify};
use blackstart_core::restore::{RestoreDocument, SCHEMA};
use blackstart_core::run::RunId;
use blackstart_core::task::restore::{Operation, Removed, RestoreProgress, Restored};
use blackstart_core::task::{Progress, Task};
use blackstart_core::validation::{ContentManifest, SetVerdict, check_function};
use jiff::Timestamp;
use serde::Serialize;

mod adopt;
pub mod port;
mod removal;

use port::{RebuildAccount, Restorer, Run};

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
            Self::OtherRestore(_)
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
            start(&run, &approved, attempt, deps, now).await?;
            Ok(Output::Progress(RestoreProgress {
                progress: Progress::Running,
            }))
        }
        Operation::Poll { plan } => {
            let plan = deps.run.plan(&plan).await?;
            let progress = poll(&run, &plan, deps, now).await?;
            Ok(Output::Progress(RestoreProgress { progress }))
        }
        Operation::Verify {
            plan,
            package,
            digest,
        } => {
            let document = verify_all(&run, &plan, &package, &digest, deps, now).await?;
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

/// The approved restores, recomputed from the plan and the package.
async fn approved_requests<R: Run, L, A>(
    run: &RunId,
    plan_artifact: &ArtifactRef,
    plan: &Plan,
    package: &DecisionPackage,
    deps: &Deps<R, L, A>,
) -> Result<Vec<RestoreRequest>, RestoreError> {
    let rebuilt = deps.run.rebuilt(&package.rebuild).await?;
    Ok(requests(run, plan_artifact, plan, package, &rebuilt)?)
}

/// What people approved, by place and digest.
struct Approved<'a> {
    plan: &'a ArtifactRef,
    package: &'a ArtifactRef,
    digest: &'a Digest,
}

async fn start<R: Run, L: Records, A: RebuildAccount>(
    run: &RunId,
    approved: &Approved<'_>,
    attempt: u32,
    deps: &Deps<R, L, A>,
    now: Timestamp,
) -> Result<(), RestoreError> {
    let digest = approved.digest;
    let begun: Option<Versioned<RestoreRecord>> = deps.records.get(&Key::restore(run)).await?;
    let package = match &begun {
        // What began in time is carried through: an approval that lapses half-way leaves nothing half done.
        Some(record) if record.document.package == *digest => {
            deps.run.in_execution(run, approved.package, digest).await?
        }
        Some(_) => return Err(RestoreError::OtherRestore(run.clone())),
        None => deps.run.approved(run, approved.package, digest, now).await?,
    };
    let plan = deps.run.plan(approved.plan).await?;
    let mut requests = approved_requests(run, approved.plan, &plan, &package, deps).await?;
    let account = deps.account.open(&plan, run).await?;
    if begun.is_none() {
        map_all(&vault_of(run, digest, &plan, &package), &mut requests, &account).await?;
    }
    let mut record = intend(run, digest, &requests, deps).await?;
    record = begin_anew(run, attempt, &plan, record, &account, deps).await?;

    for request in &requests {
        let Some(job) = record.document.jobs.get(&request.resource) else {
            continue;
        };
        if job.id.is_some() {
            continue;
        }
        let told = RestoreRequest {
            metadata: job.metadata.clone(),
            token: token(run, &request.resource, &request.recovery_point, job.attempt),
            ..request.clone()
        };
        let id = account.start(&told).await?;
        // Before the id is noted: what is noted is not looked at again.
        let event = Event::new(Kind::RestoreRequested, now)
            .subject(PACKAGE, digest)
            .fact("resource", request.resource.as_str())
            .fact("recovery_point", request.recovery_point.as_str())
            .fact("attempt", job.attempt.to_string())
            .fact("job", id.as_str());
        record_once(&deps.records, run, event).await?;
        tracing::info!(resource = %request.resource, recovery_point = %request.recovery_point, job = %id, "restore started");
        record = note(run, record, &request.resource, deps, |job| job.id = Some(id)).await?;
    }
    Ok(())
}

/// The vault through which the rebuild account sees the recovery points.
fn vault_of(run: &RunId, digest: &Digest, plan: &Plan, package: &DecisionPackage) -> Vault {
    match package.outer_gate {
        Some(_) => Vault {
            name: outer::vault_name(run, digest),
            account: None,
        },
        None => plan.validation.vault.clone(),
    }
}

/// Maps what every recovery point remembers, before anything is started.
async fn map_all(
    vault: &Vault,
    requests: &mut [RestoreRequest],
    account: &impl Restorer,
) -> Result<(), RestoreError> {
    let mut problems = Vec::new();
    for request in requests {
        let original = account.original(vault, &request.recovery_point).await?;
        match request.declared.map(&original) {
            Ok(mapped) => request.metadata = mapped,
            Err(unmapped) => problems.extend(unmapped),
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(RestoreRefused(problems).into())
    }
}

/// After an operator's word, a job that failed without making anything is followed by another. The old one is noted as
/// failed before the new one is started, and the new one has a token of its own: there are never two at work.
async fn begin_anew<R, L: Records, A>(
    run: &RunId,
    attempt: u32,
    plan: &Plan,
    mut record: Versioned<RestoreRecord>,
    account: &impl Restorer,
    deps: &Deps<R, L, A>,
) -> Result<Versioned<RestoreRecord>, RestoreError> {
    let mut in_the_way = Vec::new();
    for resource in &plan.resources {
        let Some(job) = record.document.jobs.get(&resource.id).cloned() else {
            continue;
        };
        let Some(id) = job.id.as_deref().filter(|_| job.attempt < attempt) else {
            continue;
        };
        let JobState::Failed { empty, why } = state_of(&account.job(id).await?, &job.arn) else {
            continue;
        };
        let left = if empty {
            account.copy(resource, &job.arn).await?
        } else {
            CopyState::Present { run: None }
        };
        if left != CopyState::Absent {
            in_the_way.push(format!(
                "job `{id}` of `{}` ended badly ({why}) and left something behind as `{}`: look at it and remove it, then go on",
                resource.id, resource.restore_to
            ));
            continue;
        }
        record = note(run, record, &resource.id, deps, |job| job.begin_anew(attempt)).await?;
    }
    if in_the_way.is_empty() {
        Ok(record)
    } else {
        Err(RestoreError::Failed(in_the_way))
    }
}

/// Writes down what is about to be started, or finds that it was.
async fn intend<R, L: Records, A>(
    run: &RunId,
    digest: &Digest,
    requests: &[RestoreRequest],
    deps: &Deps<R, L, A>,
) -> Result<Versioned<RestoreRecord>, RestoreError> {
    let intent = RestoreRecord::intend(digest, requests);
    if deps.records.put_new(&Key::restore(run), &intent).await? {
        return Ok(Versioned {
            document: intent,
            version: 1,
        });
    }
    match deps.records.get::<RestoreRecord>(&Key::restore(run)).await? {
        Some(found) if found.document.is_same_intent(&intent) => Ok(found),
        Some(_) | None => Err(RestoreError::OtherRestore(run.clone())),
    }
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

async fn poll<R: Run, L: Records, A: RebuildAccount>(
    run: &RunId,
    plan: &Plan,
    deps: &Deps<R, L, A>,
    now: Timestamp,
) -> Result<Progress, RestoreError> {
    let mut record: Versioned<RestoreRecord> = deps
        .records
        .get(&Key::restore(run))
        .await?
        .ok_or_else(|| RestoreError::NotStarted(run.clone()))?;
    let account = deps.account.open(plan, run).await?;
    let mut progress = Progress::Done;
    let mut failed = Vec::new();
    for (resource, job) in record.document.jobs.clone() {
        let id = job
            .id
            .as_deref()
            .ok_or_else(|| RestoreError::NotStarted(run.clone()))?;
        let observed = account.job(id).await?;
        let ended = |outcome: &str| {
            Event::new(Kind::RestoreEnded, now)
                .fact("resource", resource.as_str())
                .fact("job", id)
                .fact("outcome", outcome)
        };
        match state_of(&observed, &job.arn) {
            JobState::Running => progress = Progress::Running,
            JobState::Completed { remark, made } => {
                if job.made.is_none() {
                    let made = made.clone();
                    record = note(run, record, &resource, deps, |job| job.made = Some(made)).await?;
                }
                if !job.marked
                    && let Some(planned) = plan.resources.iter().find(|planned| planned.id == resource)
                {
                    if account.mark(planned, &made, run).await? {
                        record = note(run, record, &resource, deps, |job| job.marked = true).await?;
                    } else {
                        progress = Progress::Running;
                    }
                }
                record_once(&deps.records, run, ended("completed")).await?;
                if let Some(remark) = remark {
                    tracing::warn!(%resource, job = id, %remark, "restore completed with a remark; the content decides");
                }
            }
            JobState::Failed { why, .. } => {
                record_once(&deps.records, run, ended(&why)).await?;
                failed.push(format!(
                    "the restore of `{resource}` (job `{id}`) made nothing: {why}"
                ));
            }
        }
    }
    if failed.is_empty() {
        Ok(progress)
    } else {
        Err(RestoreError::Failed(failed))
    }
}

async fn verify_all<R: Run, L: Records, A: RebuildAccount>(
    run: &RunId,
    plan_artifact: &ArtifactRef,
    package: &ArtifactRef,
    digest: &Digest,
    deps: &Deps<R, L, A>,
    now: Timestamp,
) -> Result<ArtifactRef, RestoreError> {
    let package = deps.run.in_execution(run, package, digest).await?;
    let plan = deps.run.plan(plan_artifact).await?;
    let requests = approved_requests(run, plan_artifact, &plan, &package, deps).await?;
    let intent = RestoreRecord::intend(digest, &requests);
    let record = async || match deps.records.get::<RestoreRecord>(&Key::restore(run)).await? {
        Some(found) if found.document.is_same_intent(&intent) => Ok(found.document),
        Some(_) => Err(RestoreError::OtherRestore(run.clone())),
        None => Err(RestoreError::NotStarted(run.clone())),
    };
    // What was compared once may be in use since.
    if let Some(document) = record().await?.verified {
        return Ok(document);
    }
    if poll(run, &plan, deps, now).await? == Progress::Running {
        return Err(RestoreError::Unfinished(run.clone()));
    }
    let jobs = record().await?.jobs;

    let account = deps.account.open(&plan, run).await?;
    let mut resources = Vec::new();
    let mut problems = Vec::new();
    for (resource, request) in plan.resources.iter().zip(&requests) {
        let made = jobs
            .get(&resource.id)
            .map_or(request.arn.as_str(), |job| job.made());
        let mut content = account
            .content(resource, &request.restore_to, &plan.validation.invariants)
            .await?;
        // The functions that gave a verdict on the trial give one on the copy that stays.
        let restored = (request.restore_to.as_str(), made);
        for (function, question, seconds) in
            check_function::questions(&plan, run, resource, restored, &request.recovery_point)
        {
            let called = account.ask(&function, &question, seconds).await?;
            content.hear(resource, &function, &called);
        }
        let found = Found {
            content: content.manifest,
            invariants: content.invariants,
        };
        let validated = validated_manifest(run, &package, request, deps).await;
        match verify(request, made, &found, validated.as_ref()) {
            Ok(restored) => resources.push(restored),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(NotAsValidated(problems).into());
    }
    let document = RestoreDocument {
        schema: SCHEMA.to_owned(),
        resources,
    };
    let kept = deps.run.keep(run, &document).await?;
    let mut noted: Versioned<RestoreRecord> = deps
        .records
        .get(&Key::restore(run))
        .await?
        .ok_or_else(|| RestoreError::NotStarted(run.clone()))?;
    noted.document.verified = Some(kept.clone());
    write(run, noted, "the comparison", deps).await?;
    Ok(kept)
}

/// The manifest that was validated, to name differences. The comparison itself is by digest and does not need it.
async fn validated_manifest<R: Run, L: Records, A>(
    run: &RunId,
    package: &DecisionPackage,
    request: &RestoreRequest,
    deps: &Deps<R, L, A>,
) -> Option<ContentManifest> {
    let key = Key::set_verdict(run, &package.set.id);
    let verdict: Versioned<SetVerdict> = deps.records.get(&key).await.ok()??;
    let artifact = verdict.document.manifests.get(&request.resource)?;
    deps.run.manifest(artifact).await.ok()
}

#[cfg(test)]
mod tests;
