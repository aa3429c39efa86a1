//! Starting the approved restores: nothing of a run is started before everything is known to be as it was approved.

use blackstart_aws::evidence::record_once;
use blackstart_aws::ledger::Versioned;
use blackstart_aws::records::Records;
use blackstart_core::approval::{DecisionPackage, outer};
use blackstart_core::artifact::Digest;
use blackstart_core::evidence::{Event, Kind, PACKAGE};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Plan, Vault};
use blackstart_core::rebuild::RebuildDocument;
use blackstart_core::rebuild::drift::{Detection, DriftFacts, examine};
use blackstart_core::restore::job::{JobState, RestoreRecord};
use blackstart_core::restore::removal::CopyState;
use blackstart_core::restore::request::{
    RestoreRefused, RestoreRequest, changed_since_approved, requests, token,
};
use blackstart_core::run::RunId;
use jiff::Timestamp;

use crate::port::{Adopter, RebuildAccount, Restorer, Run};
use crate::{Approved, Deps, RestoreError, note, state_of};

pub(crate) async fn start<R: Run, L: Records, A: RebuildAccount>(
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
    let rebuilt = deps.run.rebuilt(&package.rebuild).await?;
    let mut requests = requests(run, approved.plan, &plan, &package, &rebuilt)?;
    if begun.is_none() {
        let stacks = deps.account.open_for_adoption(&plan, run).await?;
        compare_stacks(&rebuilt, &package, &stacks).await?;
    }
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

/// Compares every resource of the rebuilt stacks with its template once more: between the comparison that the approvers
/// saw and this one lie hours.
async fn compare_stacks(
    rebuilt: &RebuildDocument,
    package: &DecisionPackage,
    account: &impl Adopter,
) -> Result<(), RestoreError> {
    let mut objections = Vec::new();
    for stack in &rebuilt.stacks {
        // By its id: a stack that was made anew under the name is another one.
        let resources = account.stack_resources(&stack.id).await?;
        let mut drifts = Vec::with_capacity(resources.len());
        for resource in &resources {
            let mut drift = account.drift(&stack.id, &resource.logical_id).await?;
            drift.resource_type.clone_from(&resource.resource_type);
            drifts.push(drift);
        }
        let facts = DriftFacts {
            detection: Detection::Complete,
            resources: drifts,
        };
        objections.extend(examine(&stack.name, &resources, &facts));
    }
    let changed = changed_since_approved(&objections, &package.check_waivers);
    if changed.is_empty() {
        Ok(())
    } else {
        Err(RestoreError::Changed(changed))
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
        let left = match job.known(None) {
            _ if !empty => CopyState::Present { run: None },
            Some(arn) => account.copy(resource, arn).await?,
            // AWS would have chosen the id, and the job says that it made nothing.
            None => CopyState::Absent,
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
