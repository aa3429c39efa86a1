//! The trial of one set: start, poll, judge, clean up. Every operation can be repeated.

use std::collections::{BTreeMap, BTreeSet};

use blackstart_aws::backup::{StartRestore, StartScan};
use blackstart_aws::port::PortError;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Layer, Plan, Resource, ResourceType};
use blackstart_core::run::RunId;
use blackstart_core::task::validation::{CleanedUp, Judged, Trial};
use blackstart_core::task::{Failure, Progress};
use blackstart_core::validation::content::shown;
use blackstart_core::validation::reuse::{PointVerdict, basis};
use blackstart_core::validation::trial::{
    self as naming, BACKUP_ROLE, SCANNER_ROLE, TrialRecord, TrialResource,
};
use blackstart_core::validation::verdict::{applies, may_replace, of_layer, of_restore, of_scan, of_set};
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
        return Ok(answer(set, true));
    }
    let plan = deps.records.plan(plan).await?;
    let chosen = find_set(&deps.records, sets, set).await?;
    let mut trial = Open::load(&deps.records, run, set)
        .await?
        .unwrap_or_else(|| Open::new(run, set));
    trial.record.prepare(run, &chosen, &plan.validation.layers, now);
    // The names come before what bears them, so that clean-up knows them after a crash.
    trial.save(&deps.records).await?;
    reuse_verdicts(&deps.records, &plan, &mut trial.record, now).await?;
    let account = deps.enter.enter(&plan, run).await?;
    let started = start_jobs(&account, &plan, run, &mut trial.record).await;
    trial.save(&deps.records).await?;
    started?;
    Ok(answer(set, trial.record.is_done()))
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
    for resource in record
        .resources
        .values_mut()
        .filter(|resource| resource.reused.is_none())
    {
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
        let restore = &mut resource.restore;
        if restore.id.is_none() && restore.said.is_none() {
            let started = account
                .start_restore(StartRestore {
                    point: &resource.point,
                    resource_type: resource.resource_type,
                    role_arn: &role_arn,
                    metadata: naming::restore_metadata(resource.resource_type, &resource.target),
                    token: &token("trial"),
                })
                .await;
            (restore.id, restore.said) = begun(started)?;
        }
    }
    Ok(())
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
        return Ok(answer(set, true));
    }
    let plan = deps.records.plan(plan).await?;
    let account = deps.enter.enter(&plan, run).await?;
    let before = trial.record.clone();
    ask_jobs(&account, &mut trial.record).await?;
    trial.record.time_out(now);
    if trial.record != before {
        trial.save(&deps.records).await?;
    }
    Ok(answer(set, trial.record.is_done()))
}

async fn ask_jobs<A: TrialAccount>(account: &A, record: &mut TrialRecord) -> Result<(), ValidationError> {
    for resource in record.resources.values_mut() {
        if let Some(id) = resource
            .restore
            .id
            .as_deref()
            .filter(|_| resource.restore.said.is_none())
        {
            let job = account.restore_job(id).await;
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

pub(crate) async fn judge<R: RunRecords, E: EnterAccount>(
    deps: &Deps<R, E>,
    run: &RunId,
    plan: &ArtifactRef,
    sets: &ArtifactRef,
    set: &str,
    now: Timestamp,
) -> Result<Judged, ValidationError> {
    let plan = deps.records.plan(plan).await?;
    let Some(trial) = Open::load(&deps.records, run, set).await? else {
        return Err(ValidationError::NoTrial { set: set.to_owned() });
    };
    let account = deps.enter.enter(&plan, run).await?;
    let said = match recorded(&deps.records, run, set).await? {
        Some(said) => said,
        None => {
            let chosen = find_set(&deps.records, sets, set).await?;
            let said = look(deps, &account, run, &plan, &chosen, &trial.record, now).await?;
            record_verdict(&deps.records, run, said).await?
        }
    };
    tell_backup(&account, &trial.record, &said).await?;
    Ok(judged(&said))
}

/// A trial that could not be made is unknown; what a scan found before it failed still counts.
///
/// Nothing but the ledger is asked: whatever failed would fail again.
pub(crate) async fn judge_failed<R: RunRecords>(
    records: &R,
    run: &RunId,
    set: &str,
    failure: &Failure,
    now: Timestamp,
) -> Result<Judged, ValidationError> {
    let cause = format!(
        "the trial failed with {}: {}",
        shown(&failure.error),
        shown(&failure.cause)
    );
    let mut layers = BTreeMap::from([(Layer::TrialRestore, LayerVerdict::new(Verdict::Unknown, cause))]);
    if let Some(trial) = Open::load(records, run, set).await? {
        let scans = trial
            .record
            .resources
            .values()
            .filter_map(|resource| resource.scan.as_ref()?.said.clone());
        if let Some(scans) = scans.reduce(LayerVerdict::and) {
            layers.insert(Layer::MalwareScan, scans);
        }
    }
    let said = SetVerdict {
        set: set.to_owned(),
        verdict: of_set(&BTreeSet::from([Layer::TrialRestore]), &layers),
        layers,
        manifests: BTreeMap::new(),
        at: now,
    };
    Ok(judged(&record_verdict(records, run, said).await?))
}

fn judged(said: &SetVerdict) -> Judged {
    let verdict: &str = said.verdict.into();
    tracing::info!(set = %said.set, verdict, "recovery set judged");
    Judged {
        set: said.set.clone(),
        verdict: verdict.to_owned(),
    }
}

async fn look<R: RunRecords, E: EnterAccount>(
    deps: &Deps<R, E>,
    account: &E::Account,
    run: &RunId,
    plan: &Plan,
    set: &RecoverySet,
    record: &TrialRecord,
    now: Timestamp,
) -> Result<SetVerdict, ValidationError> {
    let types: BTreeMap<String, ResourceType> = set
        .points
        .iter()
        .map(|(id, point)| (id.clone(), point.resource_type))
        .collect();
    let mut said: BTreeMap<Layer, BTreeMap<String, LayerVerdict>> = BTreeMap::new();
    let mut say = |layer: Layer, id: &str, verdict: LayerVerdict| {
        said.entry(layer).or_default().insert(id.to_owned(), verdict);
    };
    let mut manifests = BTreeMap::new();
    for (id, trial) in record.resources.iter().filter(|_| !record.cleaned) {
        if let Some(earlier) = &trial.reused {
            for (layer, said) in &earlier.layers {
                let source = format!("as run {} said at {}", earlier.run, earlier.at);
                say(
                    *layer,
                    id,
                    said.clone().and(LayerVerdict::new(Verdict::Clean, source)),
                );
            }
            manifests.insert(id.clone(), earlier.manifest.clone());
            continue;
        }
        if let Some(scan) = trial.scan.as_ref().and_then(|scan| scan.said.clone()) {
            say(Layer::MalwareScan, id, scan);
        }
        if let Some(restore) = trial.restore.said.clone() {
            say(Layer::TrialRestore, id, restore);
        }
        let Some(resource) = restored(plan, id, trial) else {
            continue;
        };
        match account
            .read(resource, &trial.target, &plan.validation.invariants)
            .await
        {
            Ok(content) => {
                let path = format!("validation/{}/{id}.manifest.json", set.id);
                let manifest = deps.records.store(run, &path, &content.manifest).await?;
                manifests.insert(id.clone(), manifest);
                say(Layer::ContentScan, id, content.scan);
                say(Layer::Invariants, id, content.invariants);
            }
            Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
                say(
                    Layer::ContentScan,
                    id,
                    LayerVerdict::new(Verdict::Unknown, error.to_string()),
                );
            }
            Err(error @ (PortError::Transient { .. } | PortError::OutcomeUnknown { .. })) => {
                return Err(error.into());
            }
        }
    }
    keep_point_verdicts(&deps.records, run, plan, record, &said, &manifests, now).await?;
    let mut looked: Vec<Layer> = plan.validation.layers.iter().copied().collect();
    looked.extend(
        said.keys()
            .filter(|layer| !plan.validation.layers.contains(layer)),
    );
    let nothing = BTreeMap::new();
    let layers = looked
        .into_iter()
        .map(|layer| {
            (
                layer,
                of_layer(layer, &types, said.get(&layer).unwrap_or(&nothing)),
            )
        })
        .collect();
    Ok(SetVerdict {
        set: set.id.clone(),
        verdict: of_set(&plan.validation.layers, &layers),
        layers,
        manifests,
        at: now,
    })
}

/// Keeps what the layers said about each point that was read, for later runs.
async fn keep_point_verdicts<R: RunRecords>(
    records: &R,
    run: &RunId,
    plan: &Plan,
    record: &TrialRecord,
    said: &BTreeMap<Layer, BTreeMap<String, LayerVerdict>>,
    manifests: &BTreeMap<String, ArtifactRef>,
    now: Timestamp,
) -> Result<(), ValidationError> {
    for resource in &plan.resources {
        let (Some(trial), Some(manifest)) = (record.resources.get(&resource.id), manifests.get(&resource.id))
        else {
            continue;
        };
        if trial.reused.is_some() {
            continue;
        }
        let layers: BTreeMap<Layer, LayerVerdict> = said
            .iter()
            .filter_map(|(layer, by_resource)| Some((*layer, by_resource.get(&resource.id)?.clone())))
            .collect();
        let answered = plan
            .validation
            .layers
            .iter()
            .all(|layer| layers.contains_key(layer) || !applies(*layer, resource.resource_type));
        if !answered {
            continue;
        }
        let verdict = PointVerdict {
            point: trial.point.clone(),
            basis: basis(plan, resource)?,
            layers,
            manifest: manifest.clone(),
            at: now,
            run: run.clone(),
        };
        let key = Key::point_verdict(&verdict.point, &verdict.basis);
        if records.set_item(&key, 0, &verdict).await? {
            continue;
        }
        let standing = records.item::<PointVerdict>(&key).await?;
        if let Some(standing) = standing.filter(|standing| verdict.may_replace(&standing.document)) {
            // Whoever else writes it meanwhile has looked at the same bytes.
            records.set_item(&key, standing.version, &verdict).await?;
        }
    }
    Ok(())
}

/// The plan's resource, if its restore came out well.
fn restored<'a>(plan: &'a Plan, id: &str, trial: &TrialResource) -> Option<&'a Resource> {
    let said = trial.restore.said.as_ref()?;
    let resource = plan.resources.iter().find(|resource| resource.id == id)?;
    (said.verdict == Verdict::Clean).then_some(resource)
}

/// Writes the verdict, or returns the one that stands.
async fn record_verdict<R: RunRecords>(
    records: &R,
    run: &RunId,
    said: SetVerdict,
) -> Result<SetVerdict, ValidationError> {
    let key = Key::set_verdict(run, &said.set);
    if records.set_item(&key, 0, &said).await? {
        return Ok(said);
    }
    let contended = |set: &str| ValidationError::Contended {
        what: "the verdict",
        set: set.to_owned(),
    };
    let Some(standing) = records.item::<SetVerdict>(&key).await? else {
        return Err(contended(&said.set));
    };
    if !may_replace(&standing.document, &said) {
        return Ok(standing.document);
    }
    if records.set_item(&key, standing.version, &said).await? {
        Ok(said)
    } else {
        Err(contended(&said.set))
    }
}

/// Sets AWS Backup's own validation result. It comes last, because it can never be changed.
async fn tell_backup<A: TrialAccount>(
    account: &A,
    record: &TrialRecord,
    said: &SetVerdict,
) -> Result<(), ValidationError> {
    let valid = said.verdict == Verdict::Clean;
    let verdict: &str = said.verdict.into();
    let message = format!("recovery set {}: {verdict}", said.set);
    let restored = record.resources.values().filter(|resource| {
        let outcome = resource.restore.said.as_ref().map(|said| said.verdict);
        outcome == Some(Verdict::Clean)
    });
    for id in restored.filter_map(|resource| resource.restore.id.as_deref()) {
        match account.put_validation_result(id, valid, &message).await {
            Ok(()) => {}
            // It was set by an earlier attempt, or the job is gone. Our own verdict is what counts.
            Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
                tracing::warn!(job = id, %error, "AWS Backup did not take the validation result");
            }
            Err(error @ (PortError::Transient { .. } | PortError::OutcomeUnknown { .. })) => {
                return Err(error.into());
            }
        }
    }
    Ok(())
}

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
    // A job that is still at work would make its resource after we removed it.
    ask_jobs(&account, &mut trial.record).await?;
    let (mut removed, mut running) = (0_u32, 0_usize);
    for (id, resource) in &trial.record.resources {
        if resource.reused.is_some() {
            continue;
        }
        if resource.restore.id.is_some() && resource.restore.said.is_none() {
            running = running.saturating_add(1);
            continue;
        }
        if resource.target != naming::target(run, set, id, trial.record.attempt) {
            return Err(ValidationError::ForeignTarget {
                target: resource.target.clone(),
                resource: id.clone(),
            });
        }
        let existed = account.remove(resource.resource_type, &resource.target).await?;
        removed = removed.saturating_add(u32::from(existed));
    }
    if running > 0 {
        return Err(ValidationError::StillRestoring {
            set: set.to_owned(),
            jobs: running,
        });
    }
    trial.record.cleaned = true;
    trial.save(&deps.records).await?;
    done(removed)
}

fn answer(set: &str, done: bool) -> Trial {
    Trial {
        set: set.to_owned(),
        progress: if done { Progress::Done } else { Progress::Running },
    }
}

async fn recorded<R: RunRecords>(
    records: &R,
    run: &RunId,
    set: &str,
) -> Result<Option<SetVerdict>, ValidationError> {
    let item = records.item::<SetVerdict>(&Key::set_verdict(run, set)).await?;
    Ok(item.map(|item| item.document))
}

async fn find_set<R: RunRecords>(
    records: &R,
    sets: &ArtifactRef,
    set: &str,
) -> Result<RecoverySet, ValidationError> {
    let document: CandidateDocument = records.document(sets).await?;
    document
        .sets
        .into_iter()
        .find(|candidate| candidate.id == set)
        .ok_or_else(|| ValidationError::UnknownSet { set: set.to_owned() })
}

/// A trial record with the version that its next write needs.
struct Open {
    key: Key,
    version: u64,
    record: TrialRecord,
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

    async fn load<R: RunRecords>(
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

    async fn save<R: RunRecords>(&mut self, records: &R) -> Result<(), ValidationError> {
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
