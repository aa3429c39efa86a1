//! Stage 3: the decision package, the votes, and the gate.
//!
//! [`package`] builds what is approved, [`roster`] says who a caller is, [`vote`] what a vote must be,
//! [`quorum`] what the votes amount to, [`gate`] is the gate as the ledger keeps it, [`page`] shows it, [`sign_in`]
//! reads the claims of those who look, [`second`] asks again once the cutover is planned, [`outer`]
//! reads what AWS's own approval of vault access came to, and [`enforce`] is the check of every executor past it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{ArtifactRef, Digest};
use crate::plan::{
    CheckWaiver, Credential, IdentifierPair, ResourceType, Secret, Shift, TrafficName, Waiver,
};
use crate::rebuild::{BuiltStack, IsolationCheck};
use crate::references::Slot;
use crate::run::{Mode, RunId, WorkloadName};
use crate::timeline::BoundaryDocument;
use crate::validation::{RecoverySet, SetVerdict};

pub mod enforce;
pub mod gate;
pub mod outer;
pub mod package;
pub mod page;
pub mod quorum;
pub mod roster;
pub mod second;
pub mod sign_in;
pub mod vote;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod model;

/// The document that the approvers approve. Its digest is taken over its canonical JSON (RFC 8785), and every
/// executor past the gate recomputes it from what it is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionPackage {
    /// Always `blackstart.decision/1`.
    pub schema: String,
    /// The run.
    pub run: RunId,
    /// The workload.
    pub workload: WorkloadName,
    /// Incident or drill.
    pub mode: Mode,
    /// The plan, frozen for this run.
    pub plan: ArtifactRef,
    /// The event boundary.
    pub boundary: Timestamp,
    /// The document that says why.
    pub boundary_document: ArtifactRef,
    /// What that document says: the records that set the boundary, the suspects that did not, whether the logs reach
    /// back far enough, and what could not be seen.
    pub boundary_evidence: BoundaryDocument,
    /// The recovery set that is restored.
    pub set: RecoverySet,
    /// What each layer of validation said of it.
    pub verdict: SetVerdict,
    /// Why this one.
    pub selection: ArtifactRef,
    /// Stacks, template digests and isolation checks.
    pub rebuild: ArtifactRef,
    /// The stacks that were rebuilt, each with the digest of its template.
    pub stacks: Vec<BuiltStack>,
    /// The proofs that they are isolated.
    pub isolation: Vec<IsolationCheck>,
    /// What may pass although those do not prove it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub check_waivers: Vec<CheckWaiver>,
    /// The restores, in plan order.
    pub restores: Vec<PlannedRestore>,
    /// The secrets that get new values.
    pub secrets: Vec<Secret>,
    /// The credentials of other kinds that are replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<Credential>,
    /// The full inventory of references.
    pub inventory: ArtifactRef,
    /// Every document that cutover may change, ordered by slot.
    pub references: Vec<PlannedReference>,
    /// The rule by which: old identifiers and what they become.
    pub identifiers: Vec<IdentifierPair>,
    /// Whether references are first expanded (the old account is contained, by the plan or by other means) or swapped at once.
    pub expand: bool,
    /// References that are knowingly left alone.
    pub waivers: Vec<Waiver>,
    /// Hosted zone in which records change.
    pub zone: String,
    /// The names whose traffic moves.
    pub names: Vec<TrafficName>,
    /// How their traffic moves.
    #[serde(default, skip_serializing_if = "Shift::is_at_once")]
    pub shift: Shift,
    /// The approval team of AWS Backup that must open the vault before anything is restored, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer_gate: Option<outer::OuterGate>,
    /// The finished cutover plan, where this package is that of a second gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<FinishedPlan>,
    /// Votes count until then.
    pub decide_by: Timestamp,
    /// Effects may begin until then.
    pub execute_by: Timestamp,
}

/// What a second gate adds to the package that was approved before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishedPlan {
    /// The package that was approved before, and under which the plan was computed.
    pub follows: Digest,
    /// The cutover plan: every step with its *before* and *after*.
    pub cutover: ArtifactRef,
}

/// One restore of the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedRestore {
    /// Plan resource id.
    pub resource: String,
    /// What it is.
    pub resource_type: ResourceType,
    /// Recovery point ARN.
    pub recovery_point: String,
    /// Name of the new resource.
    pub restore_to: String,
    /// What `StartRestoreJob` is told, as far as the plan gives it. Of the recovery point's own metadata only that is added
    /// which names nothing of the old account, or what the plan maps.
    pub metadata: BTreeMap<String, String>,
    /// Digest of the manifest of the content that was validated.
    pub manifest: Digest,
}

/// One document that cutover may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedReference {
    /// Where it is.
    pub slot: Slot,
    /// Digest of its canonical form as inventoried.
    pub before: Digest,
}
