//! The documents of the inventory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::EnumIter;

use crate::artifact::Digest;
use crate::run::AccountId;

/// Every document that names the old account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InventoryDocument {
    /// Always `blackstart.inventory/1`.
    pub schema: String,
    /// Number of documents that were read, whether or not they name the old account.
    pub documents_read: u64,
    /// The documents that do, ordered by slot.
    pub documents: Vec<ReferenceDocument>,
    /// What could not be read. Cutover refuses while there is any.
    pub failures: Vec<ReadFailure>,
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

/// The kinds of documents that a reader reads and a writer writes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, EnumIter,
)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// IAM role trust policy.
    RoleTrust,
    /// S3 bucket policy.
    BucketPolicy,
    /// SQS queue policy.
    QueuePolicy,
    /// KMS key policy.
    KeyPolicy,
}

/// A document that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFailure {
    /// The sibling.
    pub account: AccountId,
    /// What was being read.
    pub what: String,
    /// Why it failed.
    pub reason: String,
}
