//! The trial of one set: start and poll. Every operation can be repeated.

use std::collections::BTreeMap;

use blackstart_aws::backup::{RestoreJob, StartRestore, StartScan};
use blackstart_aws::port::PortError;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Amount, Plan};
use blackstart_core::restore::mapping::Declared;
use blackstart_core::restore::request::arn_in;
use blackstart_core::run::RunId;
use blackstart_core::task::Progress;
use blackstart_core::task::validation::Trial;
use blackstart_core::validation::cost::of_point;
use blackstart_core::validation::reuse::{PointVerdict, basis};
use blackstart_core::validation::trial::{
    self as naming, BACKUP_ROLE, SCANNER_ROLE, TrialJob, TrialRecord, TrialResource,
};
use blackstart_core::validation::verdict::{of_restore, of_scan};
use blackstart_core::validation::wait::{SHORTEST, seconds_to_next_look};
use blackstart_core::validation::{CandidateDocument, LayerVerdict, RecoverySet, SetVerdict, Verdict};
use jiff::Timestamp;

use crate::deps::{Deps, EnterAccount, RunRecords, TrialAccount};
use crate::error::ValidationError;

pub(crate) async fn start<R: RunRecords, E: EnterAccount>(
    deps: &Deps<R, E>,
    run: &RunId,
    plan: &ArtifactRef,
    sets: &ArtifactRef,
    set: &str,
    now: Timestamp,
) -> Result<Trial, ValidationError> {
    if recorded(&deps.records, run, set).await?.is_some() {
        return Ok(judged_already(set));
    }
    let plan = deps.records.plan(plan).await?;
    let candidates: CandidateDocument = deps.records.document(sets).await?;
    let chosen = find_set(&candidates, set)?;
    let mut trial = Open::load(&deps.records, run, set)
        .await?
        .unwrap_or_else(|| Open::new(run, set));
    trial.record.prepare(run, chosen, &plan.validation.layers, now);
    for resource in trial.record.resources.values_mut() {
        resource.prefer(plan.validation.trial);
    }
    // The names come before what bears them, so that clean-up knows them after a crash.
    trial.save(&deps.records).await?;
    reuse_verdicts(&deps.records, &plan, &mut trial.record, now).await?;
    note_estimate(&plan, chosen, &mut trial.record)?;
    let account = deps.enter.enter(&plan, run).await?;
    let started = start_jobs(&account, &plan, run, &mut trial.record).await;
    trial.save(&deps.records).await?;
    started?;
    Ok(answer(&trial.record, now))
}

/// Notes what the jobs of this attempt will cost, before they are started. What cannot be estimated cannot be kept below a
/// ceiling, and is not started.
fn note_estimate(plan: &Plan, set: &RecoverySet, record: &mut TrialRecord) -> Result<(), ValidationError> {
    let Some(cost) = &plan.validation.cost else {
        return Ok(());
    };
    let needed = set.points.iter().filter(|(id, _)| {
        let trial = record.resources.get(*id);
        trial.is_some_and(|trial| trial.reused.is_none())
    });
    let estimate: Result<Amount, String> = needed
        .map(|(_, point)| of_point(cost, &plan.validation.layers, point))
        .try_fold(Amount::default(), |sum, one| Ok(sum.plus(one?)));
    let estimate = estimate.map_err(|why| ValidationError::NoEstimate {
        set: set.id.clone(),
        why,
    })?;
    record.estimates.insert(record.attempt, estimate);
    Ok(())
}

/// Takes over what an earlier trial of the same point said, where nothing was started yet.
async fn reuse_verdicts<R: RunRecords>(
    records: &R,
    plan: &Plan,
    record: &mut TrialRecord,
    now: Timestamp,
) -> Result<(), ValidationError> {
    for resource in &plan.resources {
        let Some(trial) = record.resources.get_mut(&resource.id) else {
            continue;
        };
        let key = Key::point_verdict(&trial.point, &basis(plan, resource)?);
        let begun = std::iter::once(&trial.restore)
            .chain(trial.scan.as_ref())
            .any(|job| job.id.is_some() || job.said.is_some());
        if begun || trial.reused.is_some() {
            continue;
        }
        let earlier = records
            .item::<PointVerdict>(&key)
            .await?
            .map(|item| item.document);
        trial.reused = earlier.filter(|said| said.is_reusable(now));
    }
    Ok(())
}

/// Starts what is not started yet. What AWS refuses is unknown; what did not get through is tried again later.
async fn start_jobs<A: TrialAccount>(
    account: &A,
    plan: &Plan,
    run: &RunId,
    record: &mut TrialRecord,
) -> Result<(), ValidationError> {
    let role = |name: &str| {
        format!(
            "arn:{}:iam::{}:role/{name}",
            plan.partition, plan.accounts.validation
        )
    };
    let (role_arn, scanner_role_arn) = (role(BACKUP_ROLE), role(SCANNER_ROLE));
    for (id, resource) in record
        .resources
        .iter_mut()
        .filter(|(_, resource)| resource.reused.is_none())
    {
        make_access_point(account, resource).await?;
        let token = |purpose| naming::token(run, &record.set, &resource.point, purpose, record.attempt);
        if let Some(scan) = &mut resource.scan
            && scan.id.is_none()
            && scan.said.is_none()
        {
            let started = account
                .start_scan(StartScan {
                    vault: &plan.validation.vault.name,
                    point: &resource.point,
                    role_arn: &role_arn,
                    scanner_role_arn: &scanner_role_arn,
                    token: &token("scan"),
                })
                .await;
            (scan.id, scan.said) = begun(started)?;
        }
        if resource.access_point().is_some() {
            continue;
        }
        let restore = &mut resource.restore;
        if restore.id.is_none() && restore.said.is_none() {
            let metadata = match metadata(account, plan, id, &resource.point, &resource.target).await? {
                Ok(metadata) => metadata,
                Err(unmapped) => {
                    restore.said = Some(unmapped);
                    continue;
                }
            };
            let started = account
                .start_restore(StartRestore {
                    point: &resource.point,
                    resource_type: resource.resource_type,
                    role_arn: &role_arn,
                    metadata,
                    token: &token("trial"),
                })
                .await;
            (restore.id, restore.said) = begun(started)?;
        }
    }
    Ok(())
}

/// Makes the access point that the plan prefers. What AWS refuses leads to a restore.
async fn make_access_point<A: TrialAccount>(
    account: &A,
    resource: &mut TrialResource,
) -> Result<(), ValidationError> {
    if resource.access_point().is_none_or(|access| access.arn.is_some()) {
        return Ok(());
    }
    match account
        .create_access_point(&resource.target, &resource.point)
        .await
    {
        Ok(arn) => {
            if let Some(access) = &mut resource.access {
                access.arn = Some(arn);
            }
            Ok(())
        }
        Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
            resource.give_up_access(error.to_string());
            Ok(())
        }
        Err(error @ (PortError::Transient { .. } | PortError::OutcomeUnknown { .. })) => Err(error.into()),
    }
}

/// What the trial of one point is told. The inner error: it names something of the old account that the plan does not map.
///
/// A bucket or table is restored with nothing but its new name; of the others the point itself says how they were built.
async fn metadata<A: TrialAccount>(
    account: &A,
    plan: &Plan,
    id: &str,
    point: &str,
    target: &str,
) -> Result<Result<BTreeMap<String, String>, LayerVerdict>, ValidationError> {
    let unknown = |why: String| Ok(Err(LayerVerdict::new(Verdict::Unknown, why)));
    let Some(resource) = plan.resources.iter().find(|resource| resource.id == id) else {
        return unknown("the plan has no such resource".to_owned());
    };
    let declared = Declared::for_trial(plan, resource, target);
    if resource.resource_type.is_readable() {
        return Ok(Ok(declared.metadata()));
    }
    match account.restore_metadata(&plan.validation.vault, point).await {
        Ok(original) => match declared.map(&original) {
            Ok(metadata) => Ok(Ok(metadata)),
            Err(problems) => {
                let named: Vec<String> = problems.iter().map(ToString::to_string).collect();
                unknown(named.join("; "))
            }
        },
        Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => unknown(error.to_string()),
        Err(error @ (PortError::Transient { .. } | PortError::OutcomeUnknown { .. })) => Err(error.into()),
    }
}

fn begun(
    started: Result<String, PortError>,
) -> Result<(Option<String>, Option<LayerVerdict>), ValidationError> {
    match started {
        Ok(id) => Ok((Some(id), None)),
        Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
            Ok((None, Some(LayerVerdict::new(Verdict::Unknown, error.to_string()))))
        }
        Err(error @ (PortError::Transient { .. } | PortError::OutcomeUnknown { .. })) => Err(error.into()),
    }
}

pub(crate) async fn poll<R: RunRecords, E: EnterAccount>(
    deps: &Deps<R, E>,
    run: &RunId,
    plan: &ArtifactRef,
    set: &str,
    now: Timestamp,
) -> Result<Trial, ValidationError> {
    let Some(mut trial) = Open::load(&deps.records, run, set).await? else {
        return Err(ValidationError::NoTrial { set: set.to_owned() });
    };
    if trial.record.is_done() {
        return Ok(answer(&trial.record, now));
    }
    let plan = deps.records.plan(plan).await?;
    let account = deps.enter.enter(&plan, run).await?;
    let before = trial.record.clone();
    ask_jobs(&account, &mut trial.record).await?;
    // Where an access point came to nothing, the restore begins here.
    let started = start_jobs(&account, &plan, run, &mut trial.record).await;
    trial.record.time_out(now);
    if trial.record != before {
        trial.save(&deps.records).await?;
    }
    started?;
    Ok(answer(&trial.record, now))
}

/// Asks for every job and access point that has not come to its end.
pub(crate) async fn ask_jobs<A: TrialAccount>(
    account: &A,
    record: &mut TrialRecord,
) -> Result<(), ValidationError> {
    for resource in record.resources.values_mut() {
        let waiting = resource.access_point().filter(|access| access.alias.is_none());
        if let Some(arn) = waiting.and_then(|access| access.arn.clone()) {
            match account.access_point(&arn).await {
                Ok(state) => resource.accessed(state),
                Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
                    resource.give_up_access(error.to_string());
                }
                Err(error @ (PortError::Transient { .. } | PortError::OutcomeUnknown { .. })) => {
                    return Err(error.into());
                }
            }
        }
        if let Some(id) = resource
            .restore
            .id
            .as_deref()
            .filter(|_| resource.restore.said.is_none())
        {
            let job = account.restore_job(id).await;
            note_end(&mut resource.restore, &job);
            resource.restore.said = ended(job, |job| of_restore(&job.state, job.message.as_deref()))?;
        }
        let Some(scan) = &mut resource.scan else { continue };
        if let Some(id) = scan.id.as_deref().filter(|_| scan.said.is_none()) {
            let job = account.scan_job(id).await;
            scan.said = ended(job, |job| {
                of_scan(&job.state, job.result.as_ref(), job.message.as_deref())
            })?;
        }
    }
    Ok(())
}

/// Takes note of what a restore job made, and whether it is over.
pub(crate) fn note_end(restore: &mut TrialJob, job: &Result<RestoreJob, PortError>) {
    match job {
        Ok(job) => {
            restore.made.clone_from(&job.created);
            restore.ended = of_restore(&job.state, None).is_some();
        }
        Err(PortError::NotFound { .. }) => restore.ended = true,
        Err(PortError::Refused { .. } | PortError::Transient { .. } | PortError::OutcomeUnknown { .. }) => {}
    }
}

/// What an ended job says. A job that vanished or may not be seen says nothing for sure.
fn ended<J>(
    job: Result<J, PortError>,
    read: impl FnOnce(&J) -> Option<LayerVerdict>,
) -> Result<Option<LayerVerdict>, ValidationError> {
    match job {
        Ok(job) => Ok(read(&job)),
        Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
            Ok(Some(LayerVerdict::new(Verdict::Unknown, error.to_string())))
        }
        Err(error @ (PortError::Transient { .. } | PortError::OutcomeUnknown { .. })) => Err(error.into()),
    }
}

/// ARN of what a trial made, as far as it is known.
pub(crate) fn made(plan: &Plan, trial: &TrialResource) -> String {
    trial.restore.made.clone().unwrap_or_else(|| {
        arn_in(
            plan,
            &plan.accounts.validation,
            trial.resource_type,
            trial.place(),
        )
    })
}

/// How far a trial is, and when it is worth another look.
pub(crate) fn answer(record: &TrialRecord, now: Timestamp) -> Trial {
    Trial {
        set: record.set.clone(),
        progress: if record.is_done() {
            Progress::Done
        } else {
            Progress::Running
        },
        wait_seconds: seconds_to_next_look(record.started, now),
    }
}

/// A set that has its verdict: there is nothing to wait for.
fn judged_already(set: &str) -> Trial {
    Trial {
        set: set.to_owned(),
        progress: Progress::Done,
        wait_seconds: SHORTEST,
    }
}

pub(crate) async fn recorded<R: RunRecords>(
    records: &R,
    run: &RunId,
    set: &str,
) -> Result<Option<SetVerdict>, ValidationError> {
    let item = records.item::<SetVerdict>(&Key::set_verdict(run, set)).await?;
    Ok(item.map(|item| item.document))
}

pub(crate) fn find_set<'a>(
    candidates: &'a CandidateDocument,
    set: &str,
) -> Result<&'a RecoverySet, ValidationError> {
    candidates
        .sets
        .iter()
        .find(|candidate| candidate.id == set)
        .ok_or_else(|| ValidationError::UnknownSet { set: set.to_owned() })
}

/// A trial record with the version that its next write needs.
pub(crate) struct Open {
    key: Key,
    version: u64,
    pub(crate) record: TrialRecord,
}

impl Open {
    fn new(run: &RunId, set: &str) -> Self {
        Self {
            key: Key::trial(run, set),
            version: 0,
            record: TrialRecord {
                set: set.to_owned(),
                ..TrialRecord::default()
            },
        }
    }

    pub(crate) async fn load<R: RunRecords>(
        records: &R,
        run: &RunId,
        set: &str,
    ) -> Result<Option<Self>, ValidationError> {
        let key = Key::trial(run, set);
        let item = records.item::<TrialRecord>(&key).await?;
        Ok(item.map(|item| Self {
            key,
            version: item.version,
            record: item.document,
        }))
    }

    pub(crate) async fn save<R: RunRecords>(&mut self, records: &R) -> Result<(), ValidationError> {
        if records.set_item(&self.key, self.version, &self.record).await? {
            self.version = self.version.saturating_add(1);
            Ok(())
        } else {
            Err(ValidationError::Contended {
                what: "the trial",
                set: self.record.set.clone(),
            })
        }
    }
}
