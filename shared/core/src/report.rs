//! The report: what happened, what was decided and changed, how long it took.
//!
//! Everything in it that came from logs, names, policies or people is hostile text; the page escapes it and allows
//! neither scripts nor anything from outside.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::approval::DecisionPackage;
use crate::approval::gate::{GateRecord, GateState};
use crate::approval::vote::{Choice, Vote};
use crate::artifact::Digest;
use crate::chart::AttackTimeline;
use crate::chart::attack::{CandidateMark, Seen, candidates};
use crate::critical_path::{self, CriticalPath, Observed, RecordedStep, Recording};
use crate::cutover::rate::Spent;
use crate::cutover::{self, CutoverDocument};
use crate::dns::TrafficChange;
use crate::evidence::{self, Link};
use crate::history::{self, ExecutionHistory};
use crate::items::Row;
use crate::journal::Entry;
use crate::plan::Targets;
use crate::rebuild::RebuildDocument;
use crate::restore::RestoreDocument;
use crate::rotation::RotationDocument;
use crate::run::{Conclusion, RunRecord};
use crate::timeline::BoundaryDocument;
use crate::validation::{CandidateDocument, SelectionDocument, SetVerdict};

mod diff;
mod documents;
mod gantt;
mod html;
mod markdown;
mod next_steps;
pub mod trend;

pub use documents::{Document, NamedDocument};
pub use html::page;
pub use markdown::summary;

use trend::RunDurations;

/// The schema of a [`Report`].
pub const SCHEMA: &str = "blackstart.report/2";

/// How far a run is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Standing {
    /// It has its conclusion.
    Concluded,
    /// It works.
    Running,
    /// A decision package is before the approvers.
    AwaitsApproval,
    /// It waits for an operator.
    Stuck,
    /// Its execution failed, timed out or was aborted before it could conclude.
    BrokenOff,
}

impl Standing {
    /// How a run stands whose record has no conclusion, by the histories of its executions.
    #[must_use]
    pub fn of(histories: &[ExecutionHistory], execution: &str) -> Self {
        let main = histories.iter().find(|history| history.execution == execution);
        if main.is_some_and(|history| history.status != "RUNNING") {
            return Self::BrokenOff;
        }
        let waits = |state: &str| {
            history::observe(histories, &[])
                .iter()
                .any(|visit| visit.exited.is_none() && visit.state == state)
        };
        if waits(critical_path::OPERATOR) {
            Self::Stuck
        } else if waits("Await approval") {
            Self::AwaitsApproval
        } else {
            Self::Running
        }
    }
}

/// Everything that is known about a run when its report is written. What the run did not reach is absent.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Steps of all executions of the run.
    pub steps: Vec<RecordedStep>,
    /// Histories of the recovery's execution and of those it started, as far as they could be read.
    pub histories: Vec<ExecutionHistory>,
    /// Durations of earlier runs of the workload, oldest first.
    pub earlier: Vec<RunDurations>,
    /// Stage 1.
    pub boundary: Option<BoundaryDocument>,
    /// Stage 1: what the whole timeline shows; empty where it cannot be read.
    pub seen: Seen,
    /// Stage 2: the sets that there were.
    pub candidates: Option<CandidateDocument>,
    /// Stage 2: the verdicts that were reached.
    pub verdicts: Vec<SetVerdict>,
    /// Stage 2: which set, and why.
    pub selection: Option<SelectionDocument>,
    /// Stage 3.
    pub package: Option<DecisionPackage>,
    /// Stage 3.
    pub gate: Option<GateRecord>,
    /// Stage 3.
    pub votes: Vec<Vote>,
    /// Stage 3: the packages that were put before people earlier, oldest first.
    pub earlier_decisions: Vec<Decision>,
    /// What operators answered while the run was stuck, in order.
    pub operators: Vec<OperatorAnswer>,
    /// Stage 4.
    pub rebuild: Option<RebuildDocument>,
    /// Stage 4.
    pub restore: Option<RestoreDocument>,
    /// Stage 4.
    pub rotation: Option<RotationDocument>,
    /// Stage 4: every item of the workload, and what became of it.
    pub items: Vec<Row>,
    /// Stage 5.
    pub cutover: Option<CutoverDocument>,
    /// Stage 5.
    pub journal: Vec<Entry>,
    /// The last link of the evidence chain.
    pub evidence: Option<EvidenceHead>,
    /// The documents that the report is about.
    pub documents: Vec<NamedDocument>,
}

/// What became of one decision package, and what was said about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Its gate.
    pub gate: GateRecord,
    /// The votes on it.
    pub votes: Vec<Vote>,
}

/// The end of the evidence chain when the report was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceHead {
    /// Number of links.
    pub links: u64,
    /// Hash of the last one.
    pub head: Digest,
}

/// What an operator answered to a run that was stuck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorAnswer {
    /// When.
    pub at: Timestamp,
    /// The person of the roster.
    pub person: String,
    /// `resume`, `revert` or `abandon`.
    pub choice: String,
    /// Why, in that person's words.
    pub rationale: String,
}

impl OperatorAnswer {
    /// The answers that a chain of evidence holds, in its order.
    #[must_use]
    pub fn all_of(links: &[Link]) -> Vec<Self> {
        let fact = |event: &evidence::Event, name: &str| event.facts.get(name).cloned().unwrap_or_default();
        links
            .iter()
            .map(|link| &link.event)
            .filter(|event| event.kind == evidence::Kind::OperatorAnswered)
            .map(|event| Self {
                at: event.at,
                person: fact(event, "person"),
                choice: fact(event, "choice"),
                rationale: fact(event, "rationale"),
            })
            .collect()
    }
}

/// `report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Always `blackstart.report/2`.
    pub schema: String,
    /// The run's own record.
    pub run: RunRecord,
    /// How far the run was when this was written.
    pub standing: Standing,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<Conclusion>,
    /// Why; empty when it recovered.
    pub reason: String,
    /// What a person should do next, in order.
    pub next_steps: Vec<String>,
    /// What is not settled.
    pub open_items: Vec<String>,
    /// How long it took.
    pub critical_path: CriticalPath,
    /// Durations of earlier runs, oldest first.
    pub earlier: Vec<RunDurations>,
    /// Whether the plan's targets were met.
    pub targets: TargetsMet,
    /// Stage 1.
    pub boundary: Option<BoundaryDocument>,
    /// Stages 1 and 2 on one axis.
    pub attack: AttackTimeline,
    /// Stage 2.
    pub verdicts: Vec<SetVerdict>,
    /// Stage 2.
    pub selection: Option<SelectionDocument>,
    /// Stage 3.
    pub gate: Option<GateRecord>,
    /// Stage 3.
    pub votes: Vec<Vote>,
    /// Stage 3: the packages that were put before people earlier, oldest first: those that late evidence made void, and
    /// the one under which the cutover of a second gate was planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_decisions: Vec<Decision>,
    /// What operators answered while the run was stuck, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<OperatorAnswer>,
    /// Stage 4.
    pub rebuild: Option<RebuildDocument>,
    /// Stage 4.
    pub restore: Option<RestoreDocument>,
    /// Stage 4, names and versions only.
    pub rotation: Option<RotationDocument>,
    /// Stage 4: every item of the workload, rebuilt, restored or rotated; empty before that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Row>,
    /// Stage 5: what changed where.
    pub references: Vec<ReferenceChange>,
    /// Stage 5: records before and after.
    pub traffic: Option<TrafficChange>,
    /// Stage 5: the shares by which traffic moves, in percent; empty where it moves at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic_shares: Vec<u8>,
    /// Stage 5: what it spent waiting for rate limits, for propagation, and in itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutover_spent: Option<Spent>,
    /// Stage 5: the journal.
    pub journal: Vec<Entry>,
    /// The end of the evidence chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceHead>,
    /// The documents of the run, by digest.
    pub documents: Vec<NamedDocument>,
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

/// How a run stands, as far as the caller knows.
#[derive(Debug, Clone)]
pub struct State {
    /// How far it is.
    pub standing: Standing,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// Why.
    pub reason: String,
    /// When the report is written.
    pub now: Timestamp,
}

impl State {
    /// A run that has ended.
    #[must_use]
    pub fn concluded(conclusion: Conclusion, reason: String, now: Timestamp) -> Self {
        Self {
            standing: Standing::Concluded,
            conclusion: Some(conclusion),
            reason,
            now,
        }
    }
}

/// What the durations of the report are measured from.
#[must_use]
pub fn recording(run: &RunRecord, facts: &Facts, now: Timestamp) -> Recording {
    Recording {
        schema: critical_path::RECORDING_SCHEMA.to_owned(),
        started: run.started,
        decided: facts.gate.as_ref().and_then(decided_at),
        until: now,
        steps: facts.steps.clone(),
        histories: facts.histories.clone(),
    }
}

/// Puts the report together.
#[must_use]
pub fn build(run: RunRecord, targets: Targets, state: State, facts: Facts) -> Report {
    let critical_path = critical_path::measure(&Observed {
        started: run.started,
        steps: &facts.steps,
        histories: &facts.histories,
        decided: facts.gate.as_ref().and_then(decided_at),
        until: state.now,
    });
    let recovery_point_minutes = facts.selection.as_ref().map(|selection| {
        selection
            .boundary
            .boundary
            .duration_since(selection.set.oldest)
            .as_secs_f64()
            / 60.0
    });
    let open_items = next_steps::open_items(&facts);
    let next_steps = next_steps::next_steps(&run, &state);
    let attack = attack(&facts);
    let cutover_spent = facts
        .cutover
        .as_ref()
        .map(|cutover| cutover::spent(cutover, &facts.journal))
        .filter(|spent| !spent.is_none());
    let traffic_shares = facts.cutover.as_ref().map_or_else(Vec::new, shares);
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
        schema: SCHEMA.to_owned(),
        standing: state.standing,
        conclusion: state.conclusion,
        reason: reason(state.reason, &facts.votes),
        next_steps,
        open_items,
        targets: TargetsMet {
            targets,
            recovery_time_minutes: critical_path.measured / 60.0,
            recovery_point_minutes,
        },
        earlier: trend::earlier(facts.earlier, &run),
        run,
        critical_path,
        boundary: facts.boundary,
        attack,
        verdicts: facts.verdicts,
        selection: facts.selection,
        gate: facts.gate,
        votes: facts.votes,
        earlier_decisions: facts.earlier_decisions,
        operators: facts.operators,
        rebuild: facts.rebuild,
        restore: facts.restore,
        rotation: facts.rotation,
        items: facts.items,
        references,
        traffic,
        traffic_shares,
        cutover_spent,
        journal: facts.journal,
        evidence: facts.evidence,
        documents: facts.documents,
    }
}

/// The shares by which traffic moves; none where it moves at once.
fn shares(cutover: &CutoverDocument) -> Vec<u8> {
    if cutover.traffic_stages.is_empty() {
        return Vec::new();
    }
    cutover
        .course()
        .steps()
        .into_iter()
        .map(|step| step.share)
        .collect()
}

/// Why a run ended as it did; where an approver said why, in that person's words.
fn reason(mut reason: String, votes: &[Vote]) -> String {
    for vote in votes.iter().filter(|vote| vote.decision == Choice::Refuse) {
        reason.push_str(&format!("; {} said: {}", vote.person, vote.rationale));
    }
    reason
}

fn attack(facts: &Facts) -> AttackTimeline {
    let mut attack = AttackTimeline::of(facts.boundary.as_ref(), facts.selection.as_ref());
    if !facts.seen.is_empty() {
        attack.indicators.clone_from(&facts.seen);
    }
    // Without a selection nothing was proposed, but there may be sets and verdicts.
    if let (Some(known), None) = (&facts.candidates, &facts.selection) {
        let boundary = attack.boundary.map(|marks| marks.best);
        attack.candidates = known
            .sets
            .iter()
            .map(|set| CandidateMark {
                set: set.id.clone(),
                at: set.newest,
                verdict: facts
                    .verdicts
                    .iter()
                    .find(|verdict| verdict.set == set.id)
                    .map(|verdict| verdict.verdict),
                eligible: boundary.is_none_or(|boundary| set.newest < boundary),
                chosen: false,
            })
            .collect();
    } else if let Some(selection) = &facts.selection {
        attack.candidates = candidates(&selection.considered, Some(&selection.set.id));
    }
    attack
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

#[cfg(test)]
mod questions;
#[cfg(test)]
mod tests;
