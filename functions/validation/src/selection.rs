//! Which set goes before the approvers.

use blackstart_core::artifact::ArtifactRef;
use blackstart_core::ledger::Key;
use blackstart_core::run::RunId;
use blackstart_core::task::timeline::Merged;
use blackstart_core::task::validation::{BranchResult, Branches, Selected};
use blackstart_core::timeline::CurrentBoundary;
use blackstart_core::validation::CandidateDocument;
use blackstart_core::validation::select::{self, Selection};
use blackstart_core::validation::walk::Pace;
use jiff::Timestamp;

use crate::budget::budget;
use crate::deps::RunRecords;
use crate::error::ValidationError;
use crate::walk;

/// Where the selection is, within the run.
const SELECTION: &str = "validation/selection.json";

pub(crate) async fn select<R: RunRecords>(
    records: &R,
    run: &RunId,
    plan: &ArtifactRef,
    branches: &Branches,
    now: Timestamp,
) -> Result<Selected, ValidationError> {
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
    let known = verdicts
        .iter()
        .map(|(id, said)| (id.clone(), said.verdict))
        .collect();
    let budget = budget(records, run, &plan, &candidates, &known, now).await?;
    let pace = Pace::of(&plan);
    match select::select(
        &candidates,
        &verdicts,
        &boundary,
        &reviewed,
        pace,
        budget.as_ref(),
    ) {
        Selection::Selected(document) => {
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
