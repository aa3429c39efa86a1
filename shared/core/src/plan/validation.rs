//! Stage 2 of a plan: which recovery points are considered, and what proves them clean.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoStaticStr;

use super::{CostPlan, KnownGood, Problem, RuleFile};
use crate::artifact::Digest;
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
    /// Files of YARA rules, applied beside the starter set to every object and item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yara_rules: Vec<RuleFile>,
    /// A set is not clean if more than this share of the objects or items of an older clean point has another content
    /// or is gone, in percent. 100 where everything changes all the time.
    #[serde(default = "default_max_changed_percent")]
    pub max_changed_percent: u8,
    /// How a recovery point is looked into.
    #[serde(default, skip_serializing_if = "TrialBy::is_restore")]
    pub trial: TrialBy,
    /// The approved template of each resource; the layer `configuration` compares with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configuration: Vec<KnownGood>,
    /// What trials may cost in money; without it only `max_sets` limits them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostPlan>,
}

impl ValidationPlan {
    /// Where a file of YARA rules is kept for one run, beside the frozen plan.
    #[must_use]
    pub fn frozen_rules(file: &RuleFile) -> String {
        format!("rules/{}.yar", file.sha256)
    }

    /// What the schema alone cannot refuse of the rules and the invariants. `ids` are the plan's resources.
    pub(super) fn problems(&self, ids: &BTreeSet<&str>) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut problem = |at: String, what: &str| {
            found.push(Problem {
                at,
                what: what.to_owned(),
            });
        };
        let mut keys = BTreeSet::new();
        for (i, file) in self.yara_rules.iter().enumerate() {
            if file.key.is_empty() || !keys.insert(file.key.as_str()) {
                problem(
                    format!("validation.yara_rules[{i}].key"),
                    "is empty, or is listed twice",
                );
            }
        }
        if self.max_changed_percent > 100 {
            problem(
                "validation.max_changed_percent".to_owned(),
                "must be between 0 and 100",
            );
        }
        for (i, invariant) in self.invariants.iter().enumerate() {
            let at = |field: &str| format!("validation.invariants[{i}].{field}");
            if !ids.contains(invariant.resource()) {
                problem(at("resource"), "names no resource of this plan");
            }
            match invariant {
                Invariant::MinimumObjects { .. }
                | Invariant::MinimumItems { .. }
                | Invariant::RequiredAttributes { .. } => {}
                Invariant::KnownObject { key, .. } => {
                    if key.is_empty() {
                        problem(at("key"), "is empty: name the object");
                    }
                }
                Invariant::KnownItem { key, .. } => {
                    if key.is_empty() {
                        problem(at("key"), "is empty: give the item's key as DynamoDB's JSON");
                    }
                }
                Invariant::Function {
                    function,
                    timeout_seconds,
                    ..
                } => {
                    let name = function.strip_prefix(CHECK_PREFIX).unwrap_or_default();
                    let named = (1..=40).contains(&name.len())
                        && name
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
                    if !named {
                        problem(
                            at("function"),
                            "must be `blackstart-check-` followed by up to 40 letters, digits, `-` and `_`: no other function may be called",
                        );
                    }
                    if !(1..=MOST_SECONDS).contains(timeout_seconds) {
                        problem(at("timeout_seconds"), "must be between 1 and 600");
                    }
                }
            }
        }
        found
    }
}

/// With what the name of a function begins that a plan may ask for a verdict.
pub const CHECK_PREFIX: &str = "blackstart-check-";

/// Longest time that such a function may take: `Judge set` has 900 seconds for everything.
const MOST_SECONDS: u16 = 600;

fn default_max_changed_percent() -> u8 {
    50
}

fn default_timeout_seconds() -> u16 {
    300
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

/// How a recovery point is looked into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrialBy {
    /// It is restored, looked at, and thrown away. Proves that it can be restored.
    #[default]
    Restore,
    /// A bucket's point is read through an access point of AWS Backup, which is quicker and copies nothing; what is no
    /// bucket, or has no usable access point, is restored.
    AccessPoint,
}

impl TrialBy {
    /// Whether it is the default, which is left out of documents.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_restore(&self) -> bool {
        *self == Self::Restore
    }
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
    /// How the resource was configured, beside the approved template.
    Configuration,
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
    /// A bucket holds this object with exactly this content: a canary that nobody has a reason to touch.
    KnownObject {
        /// Plan id of the resource.
        resource: String,
        /// Object key.
        key: String,
        /// Digest of its bytes.
        sha256: Digest,
    },
    /// A table holds this item, with at least these attributes: a sample, or a canary.
    KnownItem {
        /// Plan id of the resource.
        resource: String,
        /// The item's key as DynamoDB's JSON, for example `{"id": {"S": "1"}}`.
        key: BTreeMap<String, Value>,
        /// Attributes that it must have, as DynamoDB's JSON.
        #[serde(default)]
        attributes: BTreeMap<String, Value>,
    },
    /// A function of the validation account looks at the restored resource and gives a verdict:
    /// [`crate::validation::check_function`].
    Function {
        /// Plan id of the resource.
        resource: String,
        /// Function name, `blackstart-check-…`.
        function: String,
        /// How long it may take, in seconds.
        #[serde(default = "default_timeout_seconds")]
        timeout_seconds: u16,
    },
}

impl Invariant {
    /// Plan id of the resource that it is about.
    #[must_use]
    pub fn resource(&self) -> &str {
        match self {
            Self::MinimumObjects { resource, .. }
            | Self::MinimumItems { resource, .. }
            | Self::RequiredAttributes { resource, .. }
            | Self::KnownObject { resource, .. }
            | Self::KnownItem { resource, .. }
            | Self::Function { resource, .. } => resource,
        }
    }
}
