//! What a person should do next: the first thing a report says. The headings are those of `infra/docs/runbook.md`.

use std::collections::BTreeMap;

use super::{Facts, Standing};
use crate::journal::{Entry, Event};
use crate::rebuild::CheckStatus;
use crate::run::Conclusion;

/// What to do, in order.
pub(super) fn next_steps(standing: Standing, conclusion: Option<Conclusion>) -> Vec<String> {
    let steps: &[&str] = match (standing, conclusion) {
        (Standing::Concluded, Some(conclusion)) => after(conclusion),
        (Standing::Stuck, _) => &[
            "The run waits for an operator and gives up never: follow the runbook under `State: Await operator`.",
            "Read the reason above and the open items below; compare the live documents with before and after.",
            "Remove the cause, then answer `resume`, `revert` or `abandon` through the gate, with a rationale.",
        ],
        (Standing::AwaitsApproval, _) => &[
            "The run waits for the approvers: follow the runbook under `State: Await approval`.",
            "Read the boundary, the verdicts and the coverage gaps below, then vote on exactly this digest.",
        ],
        (Standing::BrokenOff, _) => &[
            "The execution was aborted, timed out or failed by itself: follow the runbook under `When an execution ended by \
             itself`.",
            "If a cutover was under way, it is half done: the open items below say what. Start the cutover machine again \
             with the same input and a new name; it replays the journal.",
            "Otherwise remove the cause and redrive the execution within 14 days, or start the workload again by hand.",
        ],
        (Standing::Running | Standing::Concluded, _) => {
            &["The run is under way: `blackstart watch` follows it."]
        }
    };
    steps.iter().map(|step| (*step).to_owned()).collect()
}

fn after(conclusion: Conclusion) -> &'static [&'static str] {
    match conclusion {
        Conclusion::Recovered => &[
            "Watch the new environment; the records before the change are in this report.",
            "Re-create what a restore leaves out: streams, expiry, alarms, subscriptions.",
            "Settle the open items below.",
            "Keep the old account isolated for the investigation; of what was found, only what the plan leaves alone still refers to it.",
        ],
        Conclusion::Rehearsed => &[
            "Compare the durations with earlier drills: what bound the recovery is below.",
            "Settle the open items below before it is for real.",
            "Remove the rebuilt stacks and the restored data from the rebuild account.",
        ],
        Conclusion::Refused => &[
            "Read the rationale of the refusal below.",
            "Change the plan or the evidence, and start the workload again by hand.",
        ],
        Conclusion::Expired => &[
            "Find out why the approvers could not be reached (runbook: `State: Await approval`).",
            "Start the workload again by hand; verdicts that were reached are kept.",
        ],
        Conclusion::NoCleanPoint => &[
            "Read why each recovery set was refused, below.",
            "Look for older recovery points, or raise `validation.max_sets`, and start again by hand.",
        ],
        Conclusion::Failed => &[
            "Read the reason above; nothing past the gate has happened (runbook: `When an execution ended by itself`).",
            "Mend it and start again by hand.",
        ],
        Conclusion::Reverted => &[
            "References and records are as they were before the cutover; the restored data is in the rebuild account.",
            "Read the reason above, mend it, and start again by hand.",
        ],
        Conclusion::Abandoned => &[
            "Settle every open item below by hand: documents are half done.",
            "Only then start again.",
        ],
    }
}

/// What is not settled: everything that a person should look at, of whatever stage.
pub(super) fn open_items(facts: &Facts) -> Vec<String> {
    let mut items = Vec::new();
    if let Some(boundary) = &facts.boundary {
        let gaps = boundary.coverage.gaps.len();
        if gaps > 0 {
            items.push(format!(
                "{gaps} coverage gaps: the boundary may be earlier than it seems"
            ));
        }
        if boundary.boundary.as_ref().is_some_and(|found| found.unbounded) {
            items.push("the actor was already there when the logs begin".to_owned());
        }
        let suspects = boundary.suspects.len();
        if suspects > 0 {
            items.push(format!(
                "strong indicators of others than the actor, which did not set the boundary: {suspects}"
            ));
        }
    }
    for check in facts.rebuild.iter().flat_map(|rebuild| &rebuild.isolation) {
        if check.status != CheckStatus::Pass {
            items.push(format!(
                "isolation is not proven: {}: {}",
                check.check, check.evidence
            ));
        }
    }
    if let Some(package) = &facts.package {
        for waiver in &package.waivers {
            items.push(format!(
                "left alone by the plan: {}: {}",
                waiver.document, waiver.reason
            ));
        }
        if let Some(restore) = &facts.restore {
            for planned in &package.restores {
                if !restore
                    .resources
                    .iter()
                    .any(|done| done.resource == planned.resource)
                {
                    items.push(format!("approved, and not restored: {}", planned.resource));
                }
            }
        }
    }
    items.extend(half_done(&facts.journal));
    items
}

/// Steps of the cutover whose last entry says that a write may or may not have happened, or that somebody else wrote.
fn half_done(journal: &[Entry]) -> Vec<String> {
    let mut last = BTreeMap::<&str, &str>::new();
    for entry in journal {
        let (step, open) = match &entry.event {
            Event::Intent { step, .. } => (step, "a write was intended, its effect is not recorded"),
            Event::OutcomeUnknown { step, .. } => (step, "a write may have had an effect"),
            Event::Conflict { step, .. } => (step, "somebody else changed the document"),
            Event::RevertIntent { step } => (step, "an undo was intended, its effect is not recorded"),
            Event::RevertFailed { step, .. } => (step, "the undo failed"),
            Event::Applied { step }
            | Event::Refused { step, .. }
            | Event::Verified { step }
            | Event::Contracted { step }
            | Event::Reverted { step } => (step, ""),
            Event::Opened { .. }
            | Event::Failed { .. }
            | Event::Direction { .. }
            | Event::Operator { .. } => {
                continue;
            }
        };
        last.insert(step, open);
    }
    last.into_iter()
        .filter(|(_, open)| !open.is_empty())
        .map(|(step, open)| format!("step {step}: {open}"))
        .collect()
}
