//! Listing the candidates, and saying what to validate next.

use std::collections::BTreeMap;

use blackstart_core::artifact::ArtifactRef;
use blackstart_core::ledger::Key;
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::task::validation::{Candidates, NextRound};
use blackstart_core::timeline::{BoundaryDocument, CurrentBoundary};
use blackstart_core::validation::log_review;
use blackstart_core::validation::reuse::{PointVerdict, basis};
use blackstart_core::validation::trial::{MAX_OFFERS, TrialRecord};
use blackstart_core::validation::walk::{self, Pace};
use blackstart_core::validation::{
    CandidateDocument, KnownClean, SetVerdict, Verdict, candidates as grouping,
};
use jiff::Timestamp;

use crate::budget::budget;
use crate::deps::{Deps, EnterAccount, RunRecords, TrialAccount};
use crate::error::ValidationError;
use crate::rules;

/// Where the candidates are, within the run.
pub(crate) const CANDIDATES: &str = "validation/candidates.json";

/// For how many points of a resource, newest first, earlier verdicts are looked up to compare with.
const LOOKED_UP: usize = 60;

pub(crate) async fn candidates<R: RunRecords, E: EnterAccount>(
    deps: &Deps<R, E>,
    run: &RunId,
    plan: &ArtifactRef,
    now: Timestamp,
) -> Result<Candidates, ValidationError> {
    let plan = deps.records.plan(plan).await?;
    let account = deps.enter.enter(&plan, run).await?;
    let mut points = Vec::new();
    for resource in &plan.resources {
        points.extend(
            account
                .recovery_points(&plan.validation.vault, &resource.arn)
                .await?,
        );
    }
    // Before the first trial: rules that do not compile are told at once.
    rules::load(&deps.records, run, &plan).await?;
    let mut document = grouping::group(&plan, &points, now);
    document.known_clean = known_clean(&deps.records, run, &plan, &document).await?;
    let sets = deps.records.store(run, CANDIDATES, &document).await?;
    let count = u32::try_from(document.sets.len()).unwrap_or(u32::MAX);
    tracing::info!(
        points = points.len(),
        sets = count,
        dropped = document.dropped.len(),
        "candidates listed"
    );
    Ok(Candidates { sets, count })
}

/// The points that earlier runs found clean, of each resource, newest first.
async fn known_clean<R: RunRecords>(
    records: &R,
    run: &RunId,
    plan: &Plan,
    document: &CandidateDocument,
) -> Result<BTreeMap<String, Vec<KnownClean>>, ValidationError> {
    let mut found: BTreeMap<String, Vec<KnownClean>> = BTreeMap::new();
    for resource in &plan.resources {
        let basis = basis(plan, resource)?;
        for point in document.points_of(&resource.id).into_iter().take(LOOKED_UP) {
            let key = Key::point_verdict(&point.arn, &basis);
            let Some(item) = records.item::<PointVerdict>(&key).await? else {
                continue;
            };
            let said = item.document;
            if said.worst() == Verdict::Clean && said.run != *run {
                found.entry(resource.id.clone()).or_default().push(KnownClean {
                    point: point.clone(),
                    manifest: said.manifest,
                    run: said.run,
                });
            }
        }
    }
    Ok(found)
}

/// What the timeline says about the resources while their points were made.
pub(crate) async fn review<R: RunRecords>(
    records: &R,
    candidates: &CandidateDocument,
    boundary: &CurrentBoundary,
) -> Result<BTreeMap<String, Vec<String>>, ValidationError> {
    let timeline: BoundaryDocument = records.document(&boundary.document).await?;
    Ok(log_review::review(candidates, &timeline))
}

pub(crate) async fn next<R: RunRecords>(
    records: &R,
    run: &RunId,
    plan: &ArtifactRef,
    sets: &ArtifactRef,
    entered: Timestamp,
    now: Timestamp,
) -> Result<NextRound, ValidationError> {
    let plan = records.plan(plan).await?;
    let document: CandidateDocument = records.document(sets).await?;
    let boundary = records.item::<CurrentBoundary>(&Key::boundary(run)).await?;
    let reviewed = match &boundary {
        Some(item) => review(records, &document, &item.document).await?,
        None => BTreeMap::new(),
    };
    let boundary = boundary.map(|item| item.document.boundary);
    let mut verdicts: BTreeMap<String, Verdict> = records
        .verdicts(run)
        .await?
        .into_iter()
        .map(|(id, said)| (id, said.verdict))
        .collect();
    log_review::apply(&mut verdicts, &reviewed);
    let ahead = walk::ahead(&document.sets, &verdicts, boundary, Pace::of(&plan));
    let budget = budget(records, run, &plan, &ahead, now).await?;
    loop {
        let round = walk::next(
            &document.sets,
            &verdicts,
            boundary,
            Pace::of(&plan),
            budget.as_ref(),
        );
        let NextRound::Validate { sets } = &round else {
            return Ok(round);
        };
        let mut given_up = None;
        for set in sets {
            if !offer(records, run, set, entered).await? {
                given_up = Some(set.clone());
                break;
            }
        }
        match given_up {
            None => return Ok(round),
            Some(set) => {
                let verdict = give_up(records, run, &set, now).await?;
                verdicts.insert(set, verdict);
            }
        }
    }
}

/// Takes note that a set is offered. `false`: it was offered often enough, and never came to a verdict.
async fn offer<R: RunRecords>(
    records: &R,
    run: &RunId,
    set: &str,
    entered: Timestamp,
) -> Result<bool, ValidationError> {
    let key = Key::trial(run, set);
    let item = records.item::<TrialRecord>(&key).await?;
    let (mut record, version) =
        item.map_or((TrialRecord::default(), 0), |item| (item.document, item.version));
    if record.is_given_up(entered) {
        return Ok(false);
    }
    record.offer(set, entered);
    if records.set_item(&key, version, &record).await? {
        Ok(true)
    } else {
        Err(ValidationError::Contended {
            what: "the trial",
            set: set.to_owned(),
        })
    }
}

/// Records that a set could not be judged, so that the walk comes to an end. An earlier verdict stands.
async fn give_up<R: RunRecords>(
    records: &R,
    run: &RunId,
    set: &str,
    now: Timestamp,
) -> Result<Verdict, ValidationError> {
    let said = SetVerdict {
        set: set.to_owned(),
        verdict: Verdict::Unknown,
        layers: BTreeMap::new(),
        manifests: BTreeMap::new(),
        at: now,
    };
    tracing::warn!(
        set,
        offers = MAX_OFFERS,
        "the set never came to a verdict: it counts as unknown"
    );
    let key = Key::set_verdict(run, set);
    if records.set_item(&key, 0, &said).await? {
        return Ok(Verdict::Unknown);
    }
    let recorded = records.item::<SetVerdict>(&key).await?;
    Ok(recorded.map_or(Verdict::Unknown, |item| item.document.verdict))
}
