//! The report: what happened, what was decided and changed, how long it took.
//!
//! Everything in it that came from logs, names, policies or people is hostile text; the page escapes it and allows
//! neither scripts nor anything from outside.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::gate::{GateRecord, GateState};
use crate::approval::vote::Vote;
use crate::critical_path::{self, CriticalPath, RecordedStep};
use crate::cutover::CutoverDocument;
use crate::dns::TrafficChange;
use crate::journal::Entry;
use crate::plan::Targets;
use crate::rebuild::RebuildDocument;
use crate::restore::RestoreDocument;
use crate::rotation::RotationDocument;
use crate::run::{Conclusion, RunRecord};
use crate::timeline::BoundaryDocument;
use crate::validation::SelectionDocument;

mod gantt;
mod html;
mod markdown;

pub use html::page;
pub use markdown::summary;

/// Everything that is known about a run when its report is written. What the run did not reach is absent.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Steps of all executions of the run.
    pub steps: Vec<RecordedStep>,
    /// Stage 1.
    pub boundary: Option<BoundaryDocument>,
    /// Stage 2.
    pub selection: Option<SelectionDocument>,
    /// Stage 3.
    pub gate: Option<GateRecord>,
    /// Stage 3.
    pub votes: Vec<Vote>,
    /// Stage 4.
    pub rebuild: Option<RebuildDocument>,
    /// Stage 4.
    pub restore: Option<RestoreDocument>,
    /// Stage 4.
    pub rotation: Option<RotationDocument>,
    /// Stage 5.
    pub cutover: Option<CutoverDocument>,
    /// Stage 5.
    pub journal: Vec<Entry>,
}

/// `report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Always `blackstart.report/1`.
    pub schema: String,
    /// The run's own record.
    pub run: RunRecord,
    /// How it ended.
    pub conclusion: Conclusion,
    /// Why; empty when it recovered.
    pub reason: String,
    /// What a person should do next, in order.
    pub next_steps: Vec<String>,
    /// How long it took.
    pub critical_path: CriticalPath,
    /// Whether the plan's targets were met.
    pub targets: TargetsMet,
    /// Stage 1.
    pub boundary: Option<BoundaryDocument>,
    /// Stage 2.
    pub selection: Option<SelectionDocument>,
    /// Stage 3.
    pub gate: Option<GateRecord>,
    /// Stage 3.
    pub votes: Vec<Vote>,
    /// Stage 4.
    pub rebuild: Option<RebuildDocument>,
    /// Stage 4.
    pub restore: Option<RestoreDocument>,
    /// Stage 4, names and versions only.
    pub rotation: Option<RotationDocument>,
    /// Stage 5: what changed where.
    pub references: Vec<ReferenceChange>,
    /// Stage 5: records before and after.
    pub traffic: Option<TrafficChange>,
    /// Stage 5: the journal.
    pub journal: Vec<Entry>,
}

/// One changed document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceChange {
    /// Step id.
    pub step: String,
    /// ARN of the resource that holds the document.
    pub arn: String,
    /// The sibling.
    pub account: String,
    /// The document before.
    pub before: String,
    /// The document after.
    pub after: String,
    /// What the prover showed.
    pub proof: String,
}

/// The plan's targets and what was reached. Durations in minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetsMet {
    /// The plan's targets.
    pub targets: Targets,
    /// How long the recovery took.
    pub recovery_time_minutes: f64,
    /// Data newer than the chosen set and older than the boundary is lost: boundary − oldest point of the set.
    pub recovery_point_minutes: Option<f64>,
}

/// Puts the report together.
#[must_use]
pub fn build(
    run: RunRecord,
    targets: Targets,
    conclusion: Conclusion,
    reason: String,
    facts: Facts,
) -> Report {
    let decided = facts.gate.as_ref().and_then(decided_at);
    let critical_path = critical_path::measure(run.started, &facts.steps, decided);
    let recovery_point_minutes = facts.selection.as_ref().map(|selection| {
        selection
            .boundary
            .boundary
            .duration_since(selection.set.oldest)
            .as_secs_f64()
            / 60.0
    });
    let (references, traffic) = facts.cutover.map_or_else(Default::default, |cutover| {
        let references = cutover
            .steps
            .into_iter()
            .map(|step| ReferenceChange {
                arn: step.slot.arn,
                account: step.account.to_string(),
                step: step.id,
                before: step.before,
                after: step.after,
                proof: step.proof,
            })
            .collect();
        (references, Some(cutover.traffic))
    });
    Report {
        schema: "blackstart.report/1".to_owned(),
        next_steps: next_steps(conclusion),
        targets: TargetsMet {
            targets,
            recovery_time_minutes: critical_path.measured / 60.0,
            recovery_point_minutes,
        },
        run,
        conclusion,
        reason,
        critical_path,
        boundary: facts.boundary,
        selection: facts.selection,
        gate: facts.gate,
        votes: facts.votes,
        rebuild: facts.rebuild,
        restore: facts.restore,
        rotation: facts.rotation,
        references,
        traffic,
        journal: facts.journal,
    }
}

/// When people decided, if they did.
#[must_use]
pub fn decided_at(gate: &GateRecord) -> Option<Timestamp> {
    match &gate.state {
        GateState::Open {} => None,
        GateState::Approved { at, .. }
        | GateState::Refused { at, .. }
        | GateState::Void { at, .. }
        | GateState::Expired { at } => Some(*at),
    }
}

fn next_steps(conclusion: Conclusion) -> Vec<String> {
    let steps: &[&str] = match conclusion {
        Conclusion::Recovered => &[
            "Watch the new environment; the records before the change are in this report.",
            "Re-create what a restore leaves out: streams, expiry, alarms, subscriptions.",
            "Keep the old account isolated for the investigation; nothing refers to it any more.",
        ],
        Conclusion::Rehearsed => &[
            "Compare the durations with earlier drills.",
            "Remove the rebuilt stacks and the restored data from the rebuild account.",
        ],
        Conclusion::Refused => &[
            "Read the rationale of the refusal below.",
            "Change the plan or the evidence, and start the workload again by hand.",
        ],
        Conclusion::Expired => &[
            "Find out why the approvers could not be reached.",
            "Start the workload again by hand; verdicts that were reached are kept.",
        ],
        Conclusion::NoCleanPoint => &[
            "Read why each recovery set was refused, below.",
            "Look for older recovery points, or raise `validation.max_sets`, and start again by hand.",
        ],
        Conclusion::Failed => &[
            "Read the reason above; nothing past the gate has happened.",
            "Mend it and start again by hand.",
        ],
        Conclusion::Reverted => &[
            "References and records are as they were before the cutover; the restored data is in the rebuild account.",
            "Read the reason above, mend it, and start again by hand.",
        ],
        Conclusion::Abandoned => &[
            "Settle every open line of the journal below by hand.",
            "Only then start again.",
        ],
    };
    steps.iter().map(|step| (*step).to_owned()).collect()
}

#[cfg(test)]
mod tests;
