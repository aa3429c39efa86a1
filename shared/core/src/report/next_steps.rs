//! What a person should do next: the first thing a report says. The headings are those of `infra/docs/runbook.md`.

use std::collections::{BTreeMap, BTreeSet};

use strum::IntoEnumIterator as _;

use super::{Facts, Standing, State};
use crate::approval::PlannedRestore;
use crate::approval::gate::GateState;
use crate::error_name::ErrorName;
use crate::journal::{Entry, Event};
use crate::rebuild::CheckStatus;
use crate::restore::RestoreDocument;
use crate::run::{Conclusion, RunRecord};

/// What to do, in order. `{run}` and `{workload}` in a step stand for those of the run.
pub(super) fn next_steps(run: &RunRecord, state: &State) -> Vec<String> {
    let steps: &[&str] = match (state.standing, state.conclusion) {
        (Standing::Concluded, Some(conclusion)) => after(conclusion),
        (Standing::Stuck, _) => &[
            "The run waits for an operator and never gives up by itself: follow the runbook under `State: Await operator`.",
            "Read the reason above and the open items below; compare the live documents with before and after.",
            "Remove the cause, then answer the question that the notice names: \
             `blackstart cutover resume {run} --question … --rationale …` goes on, `revert` undoes, `abandon` leaves \
             everything as it is. `blackstart cutover status {run}` reads the journal.",
        ],
        (Standing::AwaitsApproval, _) => &[
            "The run waits for the approvers: follow the runbook under `State: Await approval`.",
            "Read the boundary, the verdicts and the coverage gaps below, then vote on exactly this digest: \
             `blackstart approve {run} --digest … --rationale …`.",
        ],
        (Standing::BrokenOff, _) => &[
            "The execution was aborted, timed out or failed by itself: follow the runbook under `When an execution ended by \
             itself`.",
            "If a cutover was under way, it is half done: the open items below say what. Start the cutover machine again \
             with the same input and a new name; it replays the journal.",
            "Otherwise remove the cause and redrive the execution within 14 days, or start the workload again by hand: \
             `{\"workload\": \"{workload}\"}`.",
        ],
        (Standing::Running | Standing::Concluded, _) => {
            &["The run is under way: `blackstart watch {run}` follows it."]
        }
    };
    let needs_a_cause = state.standing == Standing::Stuck
        || matches!(state.conclusion, Some(Conclusion::Failed | Conclusion::Reverted));
    let cause = needs_a_cause.then(|| meaning(&state.reason)).flatten();
    let (first, rest) = steps.split_at(steps.len().min(1));
    first
        .iter()
        .copied()
        .chain(cause)
        .chain(rest.iter().copied())
        .map(|step| {
            step.replace("{run}", run.run.as_str())
                .replace("{workload}", run.workload.as_str())
        })
        .collect()
}

/// What an error name asks of a person, by `infra/docs/errors.md`. The reason begins with the name.
fn meaning(reason: &str) -> Option<&'static str> {
    let name = reason.split(|c: char| c == ':' || c.is_whitespace()).next()?;
    let known = ErrorName::iter().find(|known| known.as_str() == name);
    Some(match known {
        Some(ErrorName::InvalidInput) => {
            "A payload, the plan or a document does not match its schema: the reason names the place; mend it there."
        }
        Some(ErrorName::Transient) => {
            "A service was throttled or not reachable, and six retries did not help: look at its health and quotas."
        }
        Some(ErrorName::PreconditionChanged) => {
            "Something is neither as it was nor as it should become: find out who changed or took it away."
        }
        Some(ErrorName::PolicyRefused) => {
            "A permission, the plan or the approval does not allow it: find out which, and who has to allow it."
        }
        Some(ErrorName::OutcomeUnknown) => {
            "A request may have taken effect: look at the live value before anything else; never repeat it by hand."
        }
        Some(ErrorName::Defect) => {
            "An invariant of the program is broken: keep the logs of that moment, and repair the function before anything \
             runs again."
        }
        None if name.starts_with("Lambda.")
            || name.starts_with("Runtime.")
            || name.starts_with("States.") =>
        {
            "A function died or did not answer in time: its log of that moment says why. What it wrote is compared before \
             anything is repeated."
        }
        None => return None,
    })
}

/// What a run that ended before its gate leaves behind.
const STACKS: &str = "Nothing was restored and no reference changed. Remove the rebuilt stacks from the rebuild account before \
                      the next start: a run takes over nothing of another.";

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
            "If the reason above names something that was not removed, remove it from the rebuild account (runbook: `What a \
             drill leaves behind`).",
        ],
        Conclusion::Refused => &[
            "Talk with who refused; the rationale is above.",
            STACKS,
            "Change the plan or the evidence, and start the workload again by hand: `{\"workload\": \"{workload}\"}`.",
        ],
        Conclusion::Expired => &[
            "Find out why the approvers could not be reached (runbook: `State: Await approval`).",
            STACKS,
            "Start the workload again by hand: `{\"workload\": \"{workload}\"}`. Verdicts that were reached are kept.",
        ],
        Conclusion::NoCleanPoint => &[
            "Read why each recovery set was refused, below.",
            "Look for older recovery points, or raise `validation.max_sets`, and start again by hand.",
        ],
        Conclusion::Failed => &[
            "Read the reason above; nothing past the gate has happened (runbook: `When an execution ended by itself`).",
            STACKS,
            "Mend it and start again by hand: `{\"workload\": \"{workload}\"}`.",
        ],
        Conclusion::Reverted => &[
            "References and records are as they were before the cutover; the restored data is in the rebuild account.",
            "Read the reason above and mend it. Remove stacks and restored data from the rebuild account before you start again: a \
             run takes over nothing of another.",
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
        let approved = facts
            .gate
            .as_ref()
            .is_some_and(|gate| matches!(gate.state, GateState::Approved { .. }));
        if approved {
            items.extend(not_restored(&package.restores, facts.restore.as_ref()));
        }
    }
    if facts.rotation.is_some() {
        items.extend(
            facts
                .items
                .iter()
                .filter(|row| !row.settled)
                .map(|row| format!("{}: {}", row.item.item, row.evidence)),
        );
    }
    items.extend(half_done(&facts.journal));
    items
}

/// What was approved to be restored and is not.
fn not_restored(planned: &[PlannedRestore], done: Option<&RestoreDocument>) -> Vec<String> {
    let done: BTreeSet<&str> = done
        .iter()
        .flat_map(|document| &document.resources)
        .map(|resource| resource.resource.as_str())
        .collect();
    planned
        .iter()
        .filter(|planned| !done.contains(planned.resource.as_str()))
        .map(|planned| format!("approved, and not restored: {}", planned.resource))
        .collect()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::artifact::Digest;
    use crate::plan::ResourceType;
    use crate::restore::RestoredResource;

    fn planned(resource: &str) -> PlannedRestore {
        PlannedRestore {
            resource: resource.to_owned(),
            resource_type: ResourceType::S3,
            recovery_point: String::new(),
            restore_to: String::new(),
            metadata: BTreeMap::new(),
            manifest: Digest::of(b""),
        }
    }

    #[test]
    fn what_was_approved_and_is_not_there_is_open_also_before_anything_is_restored() {
        let both = [planned("data"), planned("table")];
        assert_eq!(not_restored(&both, None).len(), 2);
        let data = RestoredResource {
            resource: "data".to_owned(),
            resource_type: ResourceType::S3,
            recovery_point: String::new(),
            arn: String::new(),
            entries: 0,
            manifest: Digest::of(b""),
        };
        let document = RestoreDocument {
            schema: String::new(),
            resources: vec![data],
        };
        assert_eq!(
            not_restored(&both, Some(&document)),
            ["approved, and not restored: table"]
        );
    }

    #[test]
    fn every_error_name_says_what_it_asks_of_a_person() {
        let known: BTreeSet<_> = ErrorName::iter()
            .filter_map(|name| meaning(&format!("{}: x", name.as_str())))
            .collect();
        assert_eq!(known.len(), ErrorName::iter().count());
        assert!(meaning("States.Timeout: x").is_some());
        // What merely speaks of an error, and text from outside, is not taken for one.
        assert_eq!(meaning("nobody decided in time: Recovery.Defect"), None);
        assert_eq!(meaning(""), None);
    }
}
