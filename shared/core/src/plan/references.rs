//! Stage 5 of a plan: the references that other accounts hold.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stage 5 of a plan: the references that other accounts hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferencesPlan {
    /// Old identifiers and what they become. The account pair old → rebuild is always part of the map.
    #[serde(default)]
    pub identifiers: Vec<IdentifierPair>,
    /// References that are knowingly left alone.
    #[serde(default)]
    pub waivers: Vec<Waiver>,
    /// The regions in which the siblings are read; the plan's own region where this is empty.
    #[serde(default)]
    pub regions: BTreeSet<String>,
    /// Where AWS Config delivers snapshots of the siblings. They show what no reader reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_snapshots: Option<SnapshotPlace>,
    /// Whether the siblings' Access Analyzers (type `ACCOUNT`) are asked as well. A region without one is then a gap.
    #[serde(default)]
    pub access_analyzer: bool,
    /// Whether Access Analyzer looks at every planned rewrite as well. It costs per call.
    #[serde(default)]
    pub policy_checks: bool,
}

/// The delivery channel of AWS Config. The role that reads logs reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotPlace {
    /// Bucket in the log archive account.
    pub bucket: String,
    /// Key prefix in front of `AWSLogs/`, with its final slash.
    #[serde(default)]
    pub prefix: String,
}

/// One identifier of the old environment and its successor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentifierPair {
    /// What kind of identifier it is.
    pub kind: IdentifierKind,
    /// As it stands in references today.
    pub old: String,
    /// What it becomes.
    pub new: String,
}

/// Kinds of identifiers that change when an account is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierKind {
    /// A 12-digit account id.
    Account,
    /// An S3 bucket name.
    Bucket,
    /// A KMS key id.
    KmsKey,
    /// An IAM unique id, `AROA…` or `AIDA…`.
    UniqueId,
    /// An S3 canonical user id.
    CanonicalUser,
    /// A VPC endpoint id.
    VpcEndpoint,
    /// An OIDC issuer, host and path.
    Issuer,
    /// A DNS host name.
    Host,
    /// Any other id that is given when a resource is made: of a VPC, a `CloudFront` distribution, a Cognito pool, an
    /// API, or the name of a secret with its suffix.
    ResourceId,
}

/// A named decision to leave a reference, or a gap in the inventory, as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// What the inventory calls it: the ARN of the resource, `ARN#part` for one part or kind of document of it, or
    /// `ACCOUNT/REGION/SERVICE` for a service that could not be read.
    pub document: String,
    /// Why it may stay. Shown to the approvers.
    pub reason: String,
    /// Who decided that. Shown to the approvers.
    pub by: String,
}
