//! Removing what the trial of one set made. It can be repeated, and one resource that stays keeps no other.

use blackstart_aws::port::PortError;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::task::validation::CleanedUp;
use blackstart_core::validation::trial::{self as naming, Remains, TrialRecord, TrialResource};

use crate::deps::{Deps, EnterAccount, RunRecords, TrialAccount};
use crate::error::{Left, ValidationError};
use crate::trial::{Open, made, note_end};

pub(crate) async fn clean_up<R: RunRecords, E: EnterAccount>(
    deps: &Deps<R, E>,
    run: &RunId,
    plan: &ArtifactRef,
    set: &str,
) -> Result<CleanedUp, ValidationError> {
    let done = |removed| {
        Ok(CleanedUp {
            set: set.to_owned(),
            removed,
        })
    };
    let Some(mut trial) = Open::load(&deps.records, run, set).await? else {
        return done(0);
    };
    if trial.record.cleaned || trial.record.resources.is_empty() {
        return done(0);
    }
    let plan = deps.records.plan(plan).await?;
    let account = deps.enter.enter(&plan, run).await?;
    let before = trial.record.clone();
    let mut left = ask_restores(&account, &mut trial.record).await;
    if trial.record != before {
        // What a job made is known from here on, whatever becomes of the rest.
        trial.save(&deps.records).await?;
    }
    let (mut removed, mut running) = (0_u32, 0_usize);
    let attempt = trial.record.attempt;
    for (id, resource) in &trial.record.resources {
        if resource.reused.is_some() {
            continue;
        }
        if resource.is_restoring() {
            running = running.saturating_add(1);
            continue;
        }
        let target = naming::target(run, set, id, attempt);
        match remove(&account, &plan, id, resource, &target).await {
            Ok(gone) => removed = removed.saturating_add(gone),
            Err(error) => left.push(Left::new(id, error)),
        }
    }
    if running > 0 {
        return Err(ValidationError::StillRestoring {
            set: set.to_owned(),
            jobs: running,
        });
    }
    if !left.is_empty() {
        return Err(ValidationError::LeftBehind {
            set: set.to_owned(),
            left,
        });
    }
    trial.record.cleaned = true;
    trial.save(&deps.records).await?;
    done(removed)
}

/// Asks for every restore job that is not known to have ended, also where nobody waits for it any more: it would make its
/// resource after we looked.
async fn ask_restores<A: TrialAccount>(account: &A, record: &mut TrialRecord) -> Vec<Left> {
    let mut left = Vec::new();
    for (id, resource) in &mut record.resources {
        if resource.reused.is_some() || !resource.is_restoring() {
            continue;
        }
        let Some(job) = resource.restore.id.clone() else {
            continue;
        };
        let answer = account.restore_job(&job).await;
        note_end(&mut resource.restore, &answer);
        match answer {
            Ok(_) | Err(PortError::NotFound { .. }) => {}
            Err(error) => left.push(Left::new(id, error.into())),
        }
    }
    left
}

/// Removes the access point and the copy of one resource, and says how many of them there were.
async fn remove<A: TrialAccount>(
    account: &A,
    plan: &Plan,
    id: &str,
    resource: &TrialResource,
    target: &str,
) -> Result<u32, ValidationError> {
    if resource.target != target {
        return Err(ValidationError::ForeignTarget {
            target: resource.target.clone(),
            resource: id.to_owned(),
        });
    }
    let mut removed = 0_u32;
    if let Some(arn) = access_to_remove(account, resource).await? {
        let existed = account.remove_access_point(&arn).await?;
        removed = removed.saturating_add(u32::from(existed));
    }
    let arn = match resource.remains() {
        Remains::Nothing => return Ok(removed),
        Remains::Unsaid => {
            return Err(ValidationError::Unsaid {
                job: resource.restore.id.clone().unwrap_or_default(),
            });
        }
        Remains::Arn(arn) => arn.to_owned(),
        Remains::Named => made(plan, resource),
    };
    let (resource_type, name) = (resource.resource_type, &resource.target);
    if resource_type.is_readable() {
        let existed = account.remove(resource_type, name, &arn).await?;
        return Ok(removed.saturating_add(u32::from(existed)));
    }
    // Cloud Control API takes the request and may fail later: only what is not there any more is removed.
    if !account.is_there(resource_type, name, &arn).await? {
        return Ok(removed);
    }
    account.remove(resource_type, name, &arn).await?;
    Err(ValidationError::StillThere { arn })
}

/// The access point of a trial. If the answer that named it was lost, asking for it again names it.
async fn access_to_remove<A: TrialAccount>(
    account: &A,
    resource: &TrialResource,
) -> Result<Option<String>, ValidationError> {
    let Some(access) = &resource.access else {
        return Ok(None);
    };
    if access.arn.is_some() || access.given_up.is_some() {
        return Ok(access.arn.clone());
    }
    match account
        .create_access_point(&resource.target, &resource.point)
        .await
    {
        Ok(arn) => Ok(Some(arn)),
        Err(PortError::Refused { .. } | PortError::NotFound { .. }) => Ok(None),
        Err(error @ (PortError::Transient { .. } | PortError::OutcomeUnknown { .. })) => Err(error.into()),
    }
}
