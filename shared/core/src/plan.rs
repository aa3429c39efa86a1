//! The recovery plan: the versioned document that says how one workload is recovered.
//!
//! Unknown fields are errors everywhere: a misspelt safety setting must not be silently ignored. [`Plan::parse`]
//! reads and checks a plan; [`line_of`] says where in the file a problem is.

mod check;
mod check_waiver;
mod configuration;
mod cost;
mod cutover;
mod fix_up;
mod indicators;
mod lines;
mod mismatch;
mod outer_gate;
mod references;
mod restore;
mod rotation;
mod rules;
mod sources;
mod validation;

pub use check_waiver::{CheckWaiver, WaivableCheck};
pub use configuration::KnownGood;
pub use cost::{Amount, CostPlan, NotAnAmount, Prices};
pub use cutover::{
    Authorities, ContainPlan, CutoverPlan, HealthPlan, NoncePlace, PolicyAttachment, Shift, TlsPlan,
    TrafficName,
};
pub use fix_up::{ExpiryRule, FixUp, Seam};
pub use indicators::{Outcome, OwnIndicator, Predicate, RuleFile, Severity};
pub use lines::line_of;
pub use outer_gate::OuterGatePlan;
pub use references::{IdentifierKind, IdentifierPair, ReferencesPlan, SnapshotPlace, Waiver};
pub use restore::RestorePlan;
pub use rotation::{Credential, DatabaseKind, RotationPlan, Secret};
pub use rules::{Must, TemplateRule};
pub use sources::{Condition, DigestKey, LogSource, TimeFormat, WorkloadFormat, WorkloadIndicator};
pub use validation::{CHECK_PREFIX, Invariant, Layer, TrialBy, ValidationPlan, Vault};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::artifact::Digest;
use crate::run::{AccountId, WorkloadName};
use crate::timeline::indicator::Class;

/// A commented plan to begin with, in YAML. It is sound as it stands, and no value in it is anybody's.
pub const STARTING_POINT: &str = include_str!("plan/starting_point.yaml");

/// The schema that this code reads.
pub const SCHEMA: &str = "blackstart.plan/1";

/// The longest time to decide that a plan may give, in minutes.
pub const GATE_MINUTES: u32 = 24 * 60;

/// How one workload is recovered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Always `blackstart.plan/1`.
    pub schema: String,
    /// The workload that this plan recovers.
    pub workload: WorkloadName,
    /// AWS partition: `aws`, `aws-cn` or `aws-us-gov`. Identifiers of different partitions cannot be mixed.
    #[serde(default = "default_partition")]
    pub partition: String,
    /// The region in which the workload lives and is rebuilt.
    pub region: String,
    /// Every account that takes part.
    pub accounts: Accounts,
    /// Names of the roles that Blackstart assumes in those accounts.
    #[serde(default)]
    pub roles: Roles,
    /// Stage 1: where the logs are, and how the boundary is read from them.
    pub timeline: TimelinePlan,
    /// The resources whose data is restored from backup.
    pub resources: Vec<Resource>,
    /// Stage 2: which recovery points are considered, and what proves them clean.
    pub validation: ValidationPlan,
    /// Stage 3: who approves, and how.
    pub approval: ApprovalPlan,
    /// Stage 4: what is rebuilt from code.
    pub rebuild: RebuildPlan,
    /// Stage 4: what becomes of identifiers that the recovery points remember.
    #[serde(default, skip_serializing_if = "RestorePlan::is_empty")]
    pub restore: RestorePlan,
    /// Stage 4: which credentials are replaced.
    #[serde(default)]
    pub rotation: RotationPlan,
    /// Stage 5: what other accounts say about the old account.
    pub references: ReferencesPlan,
    /// Stage 5: how traffic moves.
    pub cutover: CutoverPlan,
    /// What the business asked for.
    #[serde(default)]
    pub targets: Targets,
}

fn default_partition() -> String {
    "aws".to_owned()
}

/// Every account that takes part in a recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// The compromised production account. Nothing in it is assumed, trusted or executed.
    pub old: AccountId,
    /// Where candidates are restored for validation and thrown away again.
    pub validation: AccountId,
    /// Where the workload is rebuilt; it becomes the new production account.
    pub rebuild: AccountId,
    /// Owner of the log buckets.
    pub log_archive: AccountId,
    /// Every other account that may hold a reference to the old one.
    pub siblings: Vec<AccountId>,
}

/// Names of the roles that `infra/accounts/*.yaml` creates in the other accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Roles {
    /// In the validation account: trial restores and reading what they made.
    pub validation: String,
    /// In the rebuild account: stacks, restores, secrets.
    pub rebuild: String,
    /// In the rebuild account: asking an approval team to open the vault.
    pub vault_requester: String,
    /// In the log archive account: reading log objects.
    pub log_archive: String,
    /// In each sibling: reading the documents that may name the old account.
    pub sibling_reader: String,
    /// In each sibling: writing exactly the approved documents.
    pub sibling_writer: String,
}

impl Default for Roles {
    fn default() -> Self {
        Self {
            validation: "BlackstartValidation".to_owned(),
            rebuild: "BlackstartRebuild".to_owned(),
            vault_requester: "BlackstartVaultRequester".to_owned(),
            log_archive: "BlackstartLogReader".to_owned(),
            sibling_reader: "BlackstartReferenceReader".to_owned(),
            sibling_writer: "BlackstartReferenceWriter".to_owned(),
        }
    }
}

/// Stage 1 of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimelinePlan {
    /// The log stores to read.
    pub sources: Vec<LogSource>,
    /// A candidate must precede the boundary by at least this many minutes.
    #[serde(default = "default_margin_minutes")]
    pub margin_minutes: u32,
    /// Indicators of the built-in set that this plan switches off, by id.
    #[serde(default)]
    pub disabled_indicators: BTreeSet<String>,
    /// How much an indicator of the built-in set means in this workload, by id, where that is not what it usually
    /// means: `"strong"`, `"weak"`, or `{"burst": 50}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub indicator_classes: BTreeMap<String, Class>,
    /// Indicators of this workload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_indicators: Vec<OwnIndicator>,
    /// Sigma rules over CloudTrail records: one YAML document or several in each file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sigma_rules: Vec<RuleFile>,
    /// Sigma rules of this level or above are strong, all others context.
    #[serde(default, skip_serializing_if = "Severity::is_default")]
    pub sigma_strong_from: Severity,
}

impl Default for TimelinePlan {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            margin_minutes: default_margin_minutes(),
            disabled_indicators: BTreeSet::new(),
            indicator_classes: BTreeMap::new(),
            own_indicators: Vec::new(),
            sigma_rules: Vec::new(),
            sigma_strong_from: Severity::default(),
        }
    }
}

impl TimelinePlan {
    /// The public keys of the trails' digest files.
    pub fn digest_keys(&self) -> impl Iterator<Item = &DigestKey> {
        self.sources.iter().flat_map(LogSource::digest_keys)
    }

    /// Whether log files are compared with digest files.
    #[must_use]
    pub fn checks_digests(&self) -> bool {
        self.digest_keys().next().is_some()
    }
}

fn default_margin_minutes() -> u32 {
    60
}

/// A resource whose data comes back from backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Name within the plan, for example `orders-data`.
    pub id: String,
    /// ARN in the old account.
    pub arn: String,
    /// What kind of resource it is.
    #[serde(rename = "type")]
    pub resource_type: ResourceType,
    /// Name of the restored resource (bucket, table, database or cluster) in the rebuild account; it must not exist
    /// before the restore. Volumes, instances and file systems get an id from AWS, and this is how the plan calls them.
    pub restore_to: String,
    /// Restore metadata of AWS Backup that takes the place of what the recovery point says, by key: the network, keys
    /// and roles of the new account. `${STACK.OUTPUT}` in a value is that output of a rebuilt stack.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The same for the trial in the validation account, where no stack is rebuilt. Buckets and tables need none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trial_metadata: BTreeMap<String, String>,
    /// Settings that a restore loses, and what puts each back. `blackstart plan check` names those that are not here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix_ups: Vec<FixUp>,
    /// How a rebuilt stack takes the restored resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seam: Option<Seam>,
}

/// The resource types that can be restored, by the names that AWS Backup gives them.
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
    strum::EnumIter,
)]
pub enum ResourceType {
    /// An S3 bucket.
    S3,
    /// A DynamoDB table.
    #[serde(rename = "DynamoDB")]
    #[strum(serialize = "DynamoDB")]
    DynamoDb,
    /// A database instance.
    #[serde(rename = "RDS")]
    #[strum(serialize = "RDS")]
    Rds,
    /// A database cluster. Its instances come from code: a restore makes none.
    Aurora,
    /// A volume.
    #[serde(rename = "EBS")]
    #[strum(serialize = "EBS")]
    Ebs,
    /// An instance with its volumes.
    #[serde(rename = "EC2")]
    #[strum(serialize = "EC2")]
    Ec2,
    /// A file system of EFS.
    #[serde(rename = "EFS")]
    #[strum(serialize = "EFS")]
    Efs,
    /// A file system or volume of `FSx`.
    #[serde(rename = "FSx")]
    #[strum(serialize = "FSx")]
    Fsx,
}

/// Stage 3 of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalPlan {
    /// The roster, fixed in advance.
    pub approvers: Vec<Approver>,
    /// How many distinct people must approve.
    pub quorum: u8,
    /// Least length of a rationale, in characters.
    #[serde(default = "default_minimum_rationale")]
    pub minimum_rationale: u16,
    /// How long the gate waits for a decision, in minutes.
    #[serde(default = "default_decide_within_minutes")]
    pub decide_within_minutes: u32,
    /// Whether the finished cutover plan is approved, too, before its first effect.
    #[serde(default)]
    pub second_gate: bool,
    /// The approval team of AWS Backup that must open the vault, too, before anything is restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer_gate: Option<OuterGatePlan>,
    /// How long an approval stays good, in minutes.
    #[serde(default = "default_execute_within_minutes")]
    pub execute_within_minutes: u32,
}

fn default_minimum_rationale() -> u16 {
    20
}
fn default_decide_within_minutes() -> u32 {
    24 * 60
}
fn default_execute_within_minutes() -> u32 {
    24 * 60
}

/// A person who may vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// The person; votes are counted per person.
    pub person: String,
    /// What is this person: user ARNs, role ARNs, `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION` for one session
    /// name of a shared role, or `https://ISSUER#SUBJECT` for who signs in to the page of the gate.
    pub identities: BTreeSet<String>,
}

/// Stage 4 of a plan: what is rebuilt from code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RebuildPlan {
    /// The stacks, created in order of `wave`.
    pub stacks: Vec<Stack>,
    /// Resource types that a template may contain. Anything else stops the rebuild.
    pub allowed_resource_types: BTreeSet<String>,
    /// Rules of this plan for what its templates contain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<TemplateRule>,
    /// What becomes of a stack that cannot be created.
    #[serde(default, skip_serializing_if = "OnFailure::is_default")]
    pub on_failure: OnFailure,
    /// What may pass although a check of the rebuilt environment does not prove it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<CheckWaiver>,
}

/// What becomes of a stack that cannot be created. Either way it stops the branch, and its events say why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// What was created is taken back.
    #[default]
    Rollback,
    /// What was created stays, to be looked into.
    Keep,
}

impl OnFailure {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One stack of the rebuilt workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// Stack name in the rebuild account.
    pub name: String,
    /// Stacks of a lower wave are complete before this one is started.
    #[serde(default)]
    pub wave: u16,
    /// Where the template is, from a place the old account cannot write, and its digest.
    pub template: TemplateRef,
    /// Template parameters.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// How resources of the template come back that could hold data or credentials, by logical id. Everything else in
    /// a template comes from code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub items: BTreeMap<String, Classification>,
}

/// How a resource of a template comes back: from code, from backup, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "class", rename_all = "snake_case", deny_unknown_fields)]
pub enum Classification {
    /// From code alone.
    Rebuild {
        /// Why nothing in it must be brought back.
        reason: String,
    },
    /// Its data is restored.
    Restore {
        /// Id of the plan's resource.
        resource: String,
    },
    /// It is replaced by something new.
    Rotate {
        /// Name of the plan's credential.
        credential: String,
    },
}

/// A template by place and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateRef {
    /// The stack's plan bucket: the only one that the rebuild function may read.
    pub bucket: String,
    /// Object key.
    pub key: String,
    /// Version id of the object; the newest version where it is left out. The digest decides either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Digest of the template's bytes; any other content stops the rebuild.
    pub sha256: Digest,
}

/// What the business asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Targets {
    /// Longest acceptable recovery, in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_time_minutes: Option<u32>,
    /// Largest acceptable loss of data, in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_point_minutes: Option<u32>,
}

/// One thing that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// JSON path of the place, for example `accounts.siblings[2]`.
    pub at: String,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// The document is no usable plan. Holds every problem, not the first.
#[derive(Debug, thiserror::Error)]
#[error("the plan has {} problem(s): {}", .0.len(), join(.0))]
pub struct InvalidPlan(pub Vec<Problem>);

fn join(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests;
