//! Comparing what was restored with what was validated.

use blackstart_aws::ledger::Versioned;
use blackstart_aws::records::Records;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::ledger::Key;
use blackstart_core::restore::job::RestoreRecord;
use blackstart_core::restore::request::{RestoreRequest, requests};
use blackstart_core::restore::verify::{Found, NotAsValidated, verify};
use blackstart_core::restore::{RestoreDocument, SCHEMA};
use blackstart_core::run::RunId;
use blackstart_core::task::Progress;
use blackstart_core::validation::{ContentManifest, SetVerdict, check_function};
use jiff::Timestamp;

use crate::poll::poll;
use crate::port::{RebuildAccount, Restorer as _, Run};
use crate::{Approved, Deps, RestoreError, write};

/// Compares every restored resource, once: the document that the first comparison left stands.
pub(crate) async fn verify_all<R: Run, L: Records, A: RebuildAccount>(
    run: &RunId,
    approved: &Approved<'_>,
    deps: &Deps<R, L, A>,
    now: Timestamp,
) -> Result<ArtifactRef, RestoreError> {
    let package = deps
        .run
        .in_execution(run, approved.package, approved.digest)
        .await?;
    let plan = deps.run.plan(approved.plan).await?;
    let rebuilt = deps.run.rebuilt(&package.rebuild).await?;
    let requests = requests(run, approved.plan, &plan, &package, &rebuilt)?;
    let intent = RestoreRecord::intend(approved.digest, &requests);
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
