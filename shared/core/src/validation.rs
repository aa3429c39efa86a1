//! Stage 2: recovery sets, the walk over them, and their verdicts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use strum::IntoStaticStr;

use crate::artifact::{ArtifactRef, Digest};
use crate::plan::{Layer, ResourceType};
use crate::run::RunId;
use crate::timeline::CurrentBoundary;

pub mod access_point;
pub mod candidates;
pub mod check_function;
pub mod compare;
pub mod configuration;
pub mod content;
pub mod cost;
pub mod invariants;
pub mod log_review;
pub mod reuse;
pub mod select;
pub mod trial;
pub mod verdict;
pub mod wait;
pub mod walk;

#[cfg(test)]
mod testing;

/// The schema of [`CandidateDocument`].
pub const CANDIDATES_SCHEMA: &str = "blackstart.candidates/1";
/// The schema of [`SelectionDocument`].
pub const SELECTION_SCHEMA: &str = "blackstart.selection/1";

/// The recovery sets of a run, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidateDocument {
    /// Always `blackstart.candidates/1`.
    pub schema: String,
    /// The sets, newest first, ties broken by id.
    pub sets: Vec<RecoverySet>,
    /// Recovery points that cannot be restored, with the reason.
    pub dropped: Vec<Dropped>,
    /// Plan resource id to points that earlier runs found clean, newest first. They stand still during a run, so that
    /// the order of its trials changes no verdict.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub known_clean: BTreeMap<String, Vec<KnownClean>>,
}

/// A recovery point that an earlier run found clean, to compare others with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownClean {
    /// The point.
    pub point: Candidate,
    /// Its content by digest: [`ContentManifest`].
    pub manifest: ArtifactRef,
    /// The run that found it clean.
    pub run: RunId,
}

impl CandidateDocument {
    /// The newest point of a resource that is older than this one and was found clean by an earlier run.
    #[must_use]
    pub fn older_clean(&self, resource: &str, point: &Candidate) -> Option<&KnownClean> {
        self.known_clean
            .get(resource)?
            .iter()
            .find(|known| known.point.latest < point.latest)
    }

    /// Every candidate of a resource, newest first, each once.
    #[must_use]
    pub fn points_of(&self, resource: &str) -> Vec<&Candidate> {
        let mut points: Vec<&Candidate> = self
            .sets
            .iter()
            .filter_map(|set| set.points.get(resource))
            .collect();
        points.sort_by(|a, b| (b.latest, &b.arn).cmp(&(a.latest, &a.arn)));
        points.dedup_by(|a, b| a.arn == b.arn);
        points
    }
}

/// One candidate per resource of the workload, consistent within the plan's allowed skew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoverySet {
    /// Digest of the points' ARNs, 12 hexadecimal digits.
    pub id: String,
    /// The latest timestamp of any point: the instant that must precede the boundary.
    pub newest: Timestamp,
    /// The earliest point's latest timestamp: how old the data can be.
    pub oldest: Timestamp,
    /// Plan resource id to candidate.
    pub points: BTreeMap<String, Candidate>,
}

/// A recovery point that could be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Recovery point ARN.
    pub arn: String,
    /// What it holds.
    pub resource_type: ResourceType,
    /// The earliest of its initiation, creation and completion times: when its backup window began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Timestamp>,
    /// The latest of them: when it ended.
    pub latest: Timestamp,
    /// Size in bytes, if AWS Backup knows it.
    pub bytes: Option<u64>,
}

/// A recovery point that is no candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// Recovery point ARN.
    pub arn: String,
    /// Why.
    pub reason: String,
}

/// What validation says. Unknown is never clean.
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
pub enum Verdict {
    /// Every required layer said clean.
    Clean,
    /// Not proven: skipped, unsupported, failed, timed out, completed with issues.
    Unknown,
    /// A layer found something.
    Tainted,
}

/// The verdict on one set, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetVerdict {
    /// The set.
    pub set: String,
    /// The worst of the layers; a required layer without an answer counts as unknown.
    pub verdict: Verdict,
    /// What each layer said.
    pub layers: BTreeMap<Layer, LayerVerdict>,
    /// Plan resource id to the manifest of the restored content: [`ContentManifest`].
    pub manifests: BTreeMap<String, ArtifactRef>,
    /// When it was judged.
    pub at: Timestamp,
}

/// What one layer said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerVerdict {
    /// The layer's verdict.
    pub verdict: Verdict,
    /// Why, for people. File names in it are hostile text.
    pub reasons: Vec<String>,
}

/// Every object or item of a restored resource, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentManifest {
    /// Plan resource id.
    pub resource: String,
    /// Object key, or canonical JSON of an item's key, to its content.
    pub entries: BTreeMap<String, ContentEntry>,
}

/// One object or item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentEntry {
    /// Digest of the object's bytes, or of the item's canonical JSON.
    pub sha256: Digest,
    /// Length in bytes.
    pub bytes: u64,
    /// Shannon entropy in hundredths of a bit per byte; only objects have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centibits: Option<u16>,
}

/// Why this set, and why none of the newer ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectionDocument {
    /// Always `blackstart.selection/1`.
    pub schema: String,
    /// The set that goes before the approvers.
    pub set: RecoverySet,
    /// Its verdict.
    pub verdict: SetVerdict,
    /// The boundary under which it was chosen.
    pub boundary: CurrentBoundary,
    /// Every set, newest first, and what became of it.
    pub considered: Vec<Considered>,
    /// What the trials are estimated to have cost, where the plan has prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<cost::CostEstimate>,
}

/// What became of one set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Considered {
    /// The set.
    pub set: String,
    /// Its newest point.
    pub newest: Timestamp,
    /// Whether it precedes the boundary by the plan's margin.
    pub eligible: bool,
    /// The verdict, if it was judged.
    pub verdict: Option<Verdict>,
    /// Why, for people.
    pub reasons: Vec<String>,
}
