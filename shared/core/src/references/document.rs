//! The documents of the inventory.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use crate::artifact::Digest;
use crate::run::AccountId;

/// Everything in the siblings that names the old account, and what could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InventoryDocument {
    /// Always `blackstart.inventory/1`.
    pub schema: String,
    /// Number of documents that were read, whether or not they name the old account.
    pub documents_read: u64,
    /// The documents that do and that a writer exists for, ordered by slot.
    pub documents: Vec<ReferenceDocument>,
    /// What names the old account and has no writer, ordered. Cutover refuses while a waiver is missing for any.
    #[serde(default)]
    pub unhandled: Vec<UnhandledItem>,
    /// What could not be read. Cutover refuses while a waiver is missing for any.
    pub failures: Vec<ReadFailure>,
    /// What was looked at, ordered: a service that is missing here was not.
    #[serde(default)]
    pub coverage: Vec<Coverage>,
    /// The sums.
    #[serde(default)]
    pub measure: Counted,
}

impl InventoryDocument {
    /// An inventory of nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            schema: super::INVENTORY_SCHEMA.to_owned(),
            documents_read: 0,
            documents: Vec::new(),
            unhandled: Vec::new(),
            failures: Vec::new(),
            coverage: Vec::new(),
            measure: Counted::default(),
        }
    }
}

/// Sums over an inventory. `handled / tokens` is the measure of how much of it a cutover takes care of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// Documents that were read.
    pub documents: u64,
    /// Tokens that name the old environment.
    pub tokens: u64,
    /// Tokens that a rewriter and a writer own.
    pub handled: u64,
    /// Tokens that none owns, and that a waiver names.
    #[serde(default)]
    pub waived: u64,
    /// Tokens that none owns and no waiver names.
    pub unhandled: u64,
}

/// One document that names the old account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceDocument {
    /// Where it is.
    pub slot: Slot,
    /// The document, byte for byte as the service returned it (after URL-decoding for IAM).
    pub text: String,
    /// Digest of its canonical form: what *before* means.
    pub before: Digest,
    /// Number of tokens that name the old environment.
    pub tokens: u64,
    /// Tokens that a rewriter owns.
    pub handled: u64,
    /// Why the others are not handled, for people.
    pub unhandled: Vec<String>,
}

/// The place of a document: which resource of which account holds it, and in which field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// The sibling.
    pub account: AccountId,
    /// Region; empty for global services.
    pub region: String,
    /// What kind of document it is.
    pub kind: DocumentKind,
    /// ARN of the resource; for SQS the queue ARN, for KMS the key ARN.
    pub arn: String,
}

impl Slot {
    /// Whether a waiver names this document: by the ARN of its resource, which means all documents of the resource,
    /// or as `ARN#kind`.
    #[must_use]
    pub fn is_named_by(&self, waiver: &str) -> bool {
        match waiver.rsplit_once('#') {
            Some((arn, kind)) if arn == self.arn => kind == <&str>::from(self.kind),
            Some(_) | None => waiver == self.arn,
        }
    }
}

/// The kinds of documents that a reader reads and a writer writes.
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
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DocumentKind {
    /// IAM role trust policy.
    RoleTrust,
    /// S3 bucket policy.
    BucketPolicy,
    /// SQS queue policy.
    QueuePolicy,
    /// KMS key policy.
    KeyPolicy,
    /// The grants of a KMS key, as [`super::entries`] writes them.
    KeyGrants,
    /// SNS topic policy.
    TopicPolicy,
    /// The permissions of a Lambda function, alias or version, as [`super::entries`] writes them.
    FunctionPermissions,
    /// Secrets Manager resource policy.
    SecretPolicy,
    /// ECR repository policy.
    RepositoryPolicy,
    /// EventBridge event bus policy.
    BusPolicy,
    /// DynamoDB table policy.
    TablePolicy,
    /// AWS Backup vault access policy.
    VaultPolicy,
}

impl DocumentKind {
    /// Whether the document is a set of entries each of which gives access by itself, and not a policy.
    #[must_use]
    pub const fn is_entries(self) -> bool {
        matches!(self, Self::KeyGrants | Self::FunctionPermissions)
    }
}

/// Something that names the old account and that no writer changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnhandledItem {
    /// Which resource.
    pub resource: Resource,
    /// Which part of it, where a reader tells parts apart: `policy/deploy`, `acl`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// Where in it, and who saw it.
    pub seen: BTreeSet<Sighting>,
    /// Why nobody changes it.
    pub reason: String,
}

impl UnhandledItem {
    /// What a waiver calls it: the resource, and the part after `#`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.part.is_empty() {
            self.resource.name.clone()
        } else {
            format!("{}#{}", self.resource.name, self.part)
        }
    }

    /// Tokens. What Access Analyzer reports is a conclusion from the tokens that others see, so it counts only alone.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        let of = |analyzer: bool| {
            self.seen
                .iter()
                .filter(move |seen| (seen.source == Source::AccessAnalyzer) == analyzer)
                .map(|seen| seen.tokens)
                .sum()
        };
        match of(false) {
            0 => of(true),
            read => read,
        }
    }
}

/// A resource of a sibling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// The sibling.
    pub account: AccountId,
    /// ARN, or the identifier that AWS gives to what has none.
    pub name: String,
    /// Region; empty for global services.
    pub region: String,
    /// Its type as CloudFormation and AWS Config write it: `AWS::EFS::FileSystem`.
    pub kind: String,
}

/// A place that names the old account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sighting {
    /// Path of the value.
    pub at: String,
    /// Who saw it.
    pub source: Source,
    /// Number of tokens there.
    pub tokens: u64,
}

/// Where a sighting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The service itself, just now.
    Reader,
    /// A snapshot of AWS Config.
    ConfigSnapshot,
    /// An active finding of an Access Analyzer of type `ACCOUNT`.
    AccessAnalyzer,
}

/// A service of an account and region that was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// The sibling.
    pub account: AccountId,
    /// Region; empty for global services.
    pub region: String,
    /// Name of the reader or source.
    pub service: String,
    /// Documents and configurations that were there.
    pub documents: u64,
}

/// What could not be read: a gap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFailure {
    /// The sibling.
    pub account: AccountId,
    /// Region; empty for global services.
    #[serde(default)]
    pub region: String,
    /// Name of the reader or source.
    #[serde(default)]
    pub service: String,
    /// What was being read.
    pub what: String,
    /// Why it failed.
    pub reason: String,
}

impl ReadFailure {
    /// What a waiver calls it: `ACCOUNT/REGION/SERVICE`, with `global` where there is no region.
    #[must_use]
    pub fn name(&self) -> String {
        let region = if self.region.is_empty() {
            "global"
        } else {
            &self.region
        };
        format!("{}/{region}/{}", self.account, self.service)
    }
}
