//! Which set goes before the approvers.

use blackstart_aws::port::PortError;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Plan, Problem};
use blackstart_core::restore::mapping::Declared;
use blackstart_core::run::RunId;
use blackstart_core::task::timeline::Merged;
use blackstart_core::task::validation::{BranchResult, Branches, Selected};
use blackstart_core::timeline::CurrentBoundary;
use blackstart_core::validation::log_review;
use blackstart_core::validation::select::{self, Selection};
use blackstart_core::validation::walk::{Pace, ahead};
use blackstart_core::validation::{CandidateDocument, RecoverySet};
use jiff::Timestamp;

use crate::budget::budget;
use crate::deps::{Deps, EnterAccount, RunRecords, TrialAccount as _};
use crate::error::ValidationError;
use crate::walk;

/// Where the selection is, within the run.
const SELECTION: &str = "validation/selection.json";

pub(crate) async fn select<R: RunRecords, E: EnterAccount>(
    deps: &Deps<R, E>,
    run: &RunId,
    plan: &ArtifactRef,
    branches: &Branches,
    now: Timestamp,
) -> Result<Selected, ValidationError> {
    let records = &deps.records;
    let boundary = records.item::<CurrentBoundary>(&Key::boundary(run)).await?;
    let problems = problems(branches, boundary.is_some());
    let (BranchResult::Ok { result: walked }, Some(boundary), []) =
        (&branches.validation, boundary, problems.as_slice())
    else {
        return Ok(Selected::NotPossible {
            reason: problems.join("; "),
        });
    };
    let plan = records.plan(plan).await?;
    let candidates: CandidateDocument = records.document(&walked.sets).await?;
    let verdicts = records.verdicts(run).await?;
    let boundary = boundary.document;
    let reviewed = walk::review(records, &candidates, &boundary).await?;
    let mut known = verdicts
        .iter()
        .map(|(id, said)| (id.clone(), said.verdict))
        .collect();
    log_review::apply(&mut known, &reviewed);
    let pace = Pace::of(&plan);
    let ahead = ahead(&candidates.sets, &known, Some(boundary.boundary), pace);
    let budget = budget(records, run, &plan, &ahead, now).await?;
    match select::select(
        &candidates,
        &verdicts,
        &boundary,
        &reviewed,
        pace,
        budget.as_ref(),
    ) {
        Selection::Selected(document) => {
            let unmapped = unmapped(deps, run, &plan, &document.set).await?;
            if !unmapped.is_empty() {
                return Ok(Selected::NotPossible {
                    reason: format!(
                        "the set `{}` is clean, and the plan says too little to restore it: {}",
                        document.set.id,
                        unmapped.join("; ")
                    ),
                });
            }
            let selection = records.store(run, SELECTION, &document).await?;
            tracing::info!(set = %document.set.id, boundary = %boundary.boundary, "recovery set selected");
            Ok(Selected::Selected {
                set: document.set.id.clone(),
                sets: walked.sets.clone(),
                boundary: boundary.boundary,
                selection,
            })
        }
        Selection::NeedsValidation => Ok(Selected::NeedsValidation {}),
        Selection::NoCleanPoint { reason } => Ok(Selected::NoCleanPoint { reason }),
    }
}

/// What the points of the chosen set remember of the old account and the plan does not map. The restore would refuse it;
/// here nobody has approved anything yet.
async fn unmapped<R: RunRecords, E: EnterAccount>(
    deps: &Deps<R, E>,
    run: &RunId,
    plan: &Plan,
    set: &RecoverySet,
) -> Result<Vec<String>, ValidationError> {
    let account = deps.enter.enter(plan, run).await?;
    let mut problems: Vec<Problem> = Vec::new();
    for resource in &plan.resources {
        let Some(point) = set.points.get(&resource.id) else {
            continue;
        };
        match account.restore_metadata(&plan.validation.vault, &point.arn).await {
            Ok(original) => {
                let mapped = Declared::before_rebuild(plan, resource).map(&original);
                problems.extend(mapped.err().unwrap_or_default());
            }
            // The restore asks again, and refuses what it cannot map.
            Err(error @ (PortError::Refused { .. } | PortError::NotFound { .. })) => {
                tracing::warn!(resource = %resource.id, %error, "whether the plan maps its recovery point is not known yet");
            }
            Err(error @ (PortError::Transient { .. } | PortError::OutcomeUnknown { .. })) => {
                return Err(error.into());
            }
        }
    }
    Ok(problems.iter().map(ToString::to_string).collect())
}

/// Everything that stands in the way of a proposal.
fn problems(branches: &Branches, boundary_known: bool) -> Vec<String> {
    let mut problems = Vec::new();
    match &branches.timeline {
        BranchResult::Ok {
            result: Merged::NoIndicator { .. },
        } if !boundary_known => {
            problems.push(
                r#"the logs hold no indicator: a person must set the event boundary; start again with "boundary" (the time) beside "workload""#
                    .to_owned(),
            );
        }
        BranchResult::Ok { .. } if !boundary_known => {
            problems.push("there is no event boundary in the ledger".to_owned());
        }
        BranchResult::Ok { .. } => {}
        BranchResult::Failed { error, cause } => problems.push(failed("Establish timeline", error, cause)),
    }
    if let BranchResult::Failed { error, cause } = &branches.validation {
        problems.push(failed("Validate candidates", error, cause));
    }
    if let BranchResult::Failed { error, cause } = &branches.rebuild {
        problems.push(failed("Rebuild infrastructure", error, cause));
    }
    if let BranchResult::Failed { error, cause } = &branches.references {
        problems.push(failed("Find references", error, cause));
    }
    problems
}

fn failed(branch: &str, error: &str, cause: &str) -> String {
    format!("{branch} failed with {error}: {cause}")
}
