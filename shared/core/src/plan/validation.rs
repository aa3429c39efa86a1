//! Stage 2 of a plan: which recovery points are considered, and what proves them clean.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::run::AccountId;

/// Stage 2 of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidationPlan {
    /// Backup vault with the recovery points.
    pub vault: Vault,
    /// How many recovery sets are validated at once.
    #[serde(default = "default_speculation")]
    pub speculation: u8,
    /// Ceiling on validated sets per run: the limit of cost.
    #[serde(default = "default_max_sets")]
    pub max_sets: u16,
    /// How far apart in time the points of one set may lie, in minutes.
    #[serde(default = "default_max_skew_minutes")]
    pub max_skew_minutes: u32,
    /// Layers that must all say clean. A set is clean only if every one of them did.
    #[serde(default = "default_layers")]
    pub layers: BTreeSet<Layer>,
    /// Facts that must hold for the restored data.
    #[serde(default)]
    pub invariants: Vec<Invariant>,
}

fn default_speculation() -> u8 {
    2
}

fn default_max_sets() -> u16 {
    12
}

fn default_max_skew_minutes() -> u32 {
    90
}

fn default_layers() -> BTreeSet<Layer> {
    BTreeSet::from([
        Layer::MalwareScan,
        Layer::TrialRestore,
        Layer::ContentScan,
        Layer::Invariants,
    ])
}

/// A backup vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// Vault name.
    pub name: String,
    /// The account that owns the vault, when it is shared with the validation account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
}

/// One layer of validation.
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
pub enum Layer {
    /// AWS Backup's own malware scan of the recovery point.
    MalwareScan,
    /// The point can be restored at all, in isolation.
    TrialRestore,
    /// Our look at the restored bytes: encryption, corruption, ransom notes.
    ContentScan,
    /// The plan's own facts about the data.
    Invariants,
}

/// A fact that must hold for the restored data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "check", rename_all = "snake_case", deny_unknown_fields)]
pub enum Invariant {
    /// A bucket holds at least this many objects under a prefix.
    MinimumObjects {
        /// Plan id of the resource.
        resource: String,
        /// Key prefix; empty for the whole bucket.
        #[serde(default)]
        prefix: String,
        /// Least number of objects.
        minimum: u64,
    },
    /// A table holds at least this many items.
    MinimumItems {
        /// Plan id of the resource.
        resource: String,
        /// Least number of items.
        minimum: u64,
    },
    /// Every item of a table has these attributes.
    RequiredAttributes {
        /// Plan id of the resource.
        resource: String,
        /// Attribute names.
        attributes: BTreeSet<String>,
    },
}

impl Invariant {
    /// Plan id of the resource that it is about.
    #[must_use]
    pub fn resource(&self) -> &str {
        match self {
            Self::MinimumObjects { resource, .. }
            | Self::MinimumItems { resource, .. }
            | Self::RequiredAttributes { resource, .. } => resource,
        }
    }
}
