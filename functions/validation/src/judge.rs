//! The verdict on a set whose trial has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::content::Content;
use blackstart_aws::port::PortError;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Layer, Plan, Resource, ResourceType};
use blackstart_core::run::RunId;
use blackstart_core::task::Failure;
use blackstart_core::task::validation::Judged;
use blackstart_core::validation::check_function;
use blackstart_core::validation::compare::Comparison;
use blackstart_core::validation::configuration::{self, Declared};
use blackstart_core::validation::content::{Signatures, shown};
use blackstart_core::validation::reuse::{PointVerdict, basis};
use blackstart_core::validation::trial::{TrialRecord, TrialResource};
use blackstart_core::validation::verdict::{applies, may_replace, of_layer, of_set};
use blackstart_core::validation::{
    CandidateDocument, ContentManifest, LayerVerdict, RecoverySet, SetVerdict, Verdict,
};
use jiff::Timestamp;

use crate::deps::{Deps, EnterAccount, RunRecords, TrialAccount};
use crate::error::ValidationError;
use crate::rules;
use crate::trial::{Open, find_set, made, recorded};

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
            let candidates: CandidateDocument = deps.records.document(sets).await?;
            let chosen = find_set(&candidates, set)?;
            let room = Room {
                records: &deps.records,
                account: &account,
                rules: rules::load(&deps.records, run, &plan).await?,
                run,
                plan: &plan,
                candidates: &candidates,
            };
            let said = room.look(chosen, &trial.record, now).await?;
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

/// What the look at a restored set needs.
struct Room<'a, R, A> {
    records: &'a R,
    account: &'a A,
    rules: Arc<dyn Signatures>,
    run: &'a RunId,
    plan: &'a Plan,
    candidates: &'a CandidateDocument,
}

impl<R: RunRecords, A: TrialAccount> Room<'_, R, A> {
    async fn look(
        &self,
        set: &RecoverySet,
        record: &TrialRecord,
        now: Timestamp,
    ) -> Result<SetVerdict, ValidationError> {
        let required = &self.plan.validation.layers;
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
            if let Some(restore) = trial.restore_said() {
                say(Layer::TrialRestore, id, restore);
            }
            let Some(resource) = restored(self.plan, id, trial) else {
                continue;
            };
            match self.read(resource, set, trial).await? {
                Ok((manifest, content)) => {
                    manifests.insert(id.clone(), manifest);
                    if applies(Layer::ContentScan, resource.resource_type) {
                        say(Layer::ContentScan, id, content.scan);
                    }
                    say(Layer::Invariants, id, content.invariants);
                }
                Err(unreadable) => say(Layer::ContentScan, id, unreadable),
            }
            let configured = applies(Layer::Configuration, resource.resource_type);
            if configured && required.contains(&Layer::Configuration) {
                say(
                    Layer::Configuration,
                    id,
                    self.configuration(resource, trial).await?,
                );
            }
        }
        keep_point_verdicts(self.records, self.run, self.plan, record, &said, &manifests, now).await?;
        let mut looked: Vec<Layer> = required.iter().copied().collect();
        looked.extend(said.keys().filter(|layer| !required.contains(layer)));
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
            verdict: of_set(required, &layers),
            layers,
            manifests,
            at: now,
        })
    }

    /// Reads what was restored, compares it, and asks the plan's functions. The inner error: it cannot be read.
    async fn read(
        &self,
        resource: &Resource,
        set: &RecoverySet,
        trial: &TrialResource,
    ) -> Result<Result<(ArtifactRef, Content), LayerVerdict>, ValidationError> {
        let invariants = &self.plan.validation.invariants;
        let read = self
            .account
            .read(resource, trial.place(), invariants, &self.rules)
            .await;
        let mut content = match read {
            Ok(content) => content,
            Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
                return Ok(Err(LayerVerdict::new(Verdict::Unknown, error.to_string())));
            }
            Err(error @ (PortError::Transient { .. } | PortError::OutcomeUnknown { .. })) => {
                return Err(error.into());
            }
        };
        self.ask(resource, trial, &mut content).await?;
        let path = format!("validation/{}/{}.manifest.json", set.id, resource.id);
        let manifest = self.records.store(self.run, &path, &content.manifest).await?;
        if applies(Layer::ContentScan, resource.resource_type)
            && let Some(said) = self.compare(resource, set, &content.manifest).await?
        {
            content.scan = content.scan.and(said);
        }
        Ok(Ok((manifest, content)))
    }

    /// Compares with the newest older point that an earlier run found clean; nothing if there is none. Figures of a function
    /// are not compared so: sums and counts differ between any two backups, and only the function knows by how much.
    async fn compare(
        &self,
        resource: &Resource,
        set: &RecoverySet,
        found: &ContentManifest,
    ) -> Result<Option<LayerVerdict>, ValidationError> {
        let point = set.points.get(&resource.id);
        let Some(known) = point.and_then(|point| self.candidates.older_clean(&resource.id, point)) else {
            return Ok(None);
        };
        let source = format!("the point of {}, clean in run {}", known.point.latest, known.run);
        match self.records.document::<ContentManifest>(&known.manifest).await {
            Ok(older) => {
                let limit = self.plan.validation.max_changed_percent;
                Ok(Some(Comparison::of(&older, found).judge(limit, &source)))
            }
            Err(error) if error.name() == ErrorName::Transient => Err(error.into()),
            Err(error @ (ArtifactError::Port(_) | ArtifactError::Altered { .. })) => {
                // It is a further look, not one that the plan requires: said, and no doubt by itself.
                let reason = format!("not compared with {source}: {error}");
                Ok(Some(LayerVerdict::new(Verdict::Clean, reason)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Compares the configuration with the template that was frozen with the run.
    async fn configuration(
        &self,
        resource: &Resource,
        trial: &TrialResource,
    ) -> Result<LayerVerdict, ValidationError> {
        let unknown = |why| Ok(LayerVerdict::new(Verdict::Unknown, why));
        let validation = &self.plan.validation;
        let Some(known) = validation.known_good(&resource.id) else {
            return unknown("the plan names no template of it".to_owned());
        };
        let template = self.records.frozen(self.run, &known.frozen_path()).await?;
        let declared = match Declared::read(known, resource, template.as_deref()) {
            Ok(declared) => declared,
            Err(why) => return unknown(why),
        };
        let observed = self
            .account
            .configuration(
                &validation.vault,
                &trial.point,
                resource.resource_type,
                trial.place(),
            )
            .await?;
        Ok(configuration::judge(
            self.plan, known, resource, &declared, &observed,
        ))
    }

    /// Asks every function that the plan names for this resource. Its figures are the content of what cannot be read
    /// from outside.
    async fn ask(
        &self,
        resource: &Resource,
        trial: &TrialResource,
        content: &mut Content,
    ) -> Result<(), ValidationError> {
        let arn = made(self.plan, trial);
        let asked =
            check_function::questions(self.plan, self.run, resource, (trial.place(), &arn), &trial.point);
        for (function, question, seconds) in asked {
            let called = self.account.ask(&function, &question, seconds).await?;
            content.hear(resource, &function, &called);
        }
        Ok(())
    }
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
