//! Stage 5 of a plan: how traffic moves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::AccountId;

/// Stage 5 of a plan: how traffic moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CutoverPlan {
    /// Whether the old account has been cut off by means outside Blackstart (a deny-all SCP, say).
    /// Only then are references first expanded and later contracted; otherwise they are swapped at once,
    /// because keeping both accounts trusted keeps the intruder trusted.
    #[serde(default)]
    pub old_account_contained: bool,
    /// What Blackstart itself cuts the old account off with, before anything else changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contain: Option<ContainPlan>,
    /// Hosted zone, in the recovery account.
    pub zone: String,
    /// Names whose traffic moves.
    pub names: Vec<TrafficName>,
    /// What proves that the new environment serves.
    pub health: HealthPlan,
    /// Refuse when more than this share of the zone's records would change.
    #[serde(default = "default_max_changed_percent")]
    pub max_changed_percent: u8,
    /// Refuse when more than this share of the zone's records would be deleted without a record of the same name and
    /// type in their place.
    #[serde(default = "default_max_deleted_percent")]
    pub max_deleted_percent: u8,
}

fn default_max_deleted_percent() -> u8 {
    30
}

impl CutoverPlan {
    /// Whether the old account is cut off before references change, by whatever means: only then may both accounts be
    /// trusted for a while.
    #[must_use]
    pub fn contains_the_old_account(&self) -> bool {
        self.old_account_contained || self.contain.is_some()
    }
}

/// Policies of AWS Organizations that cut the old account off. They exist already; Blackstart attaches them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainPlan {
    /// The management account, or a delegated administrator for policies.
    pub account: AccountId,
    /// The role in it that `infra/accounts/management.yaml` creates.
    #[serde(default = "default_containment_role")]
    pub role: String,
    /// What is attached where, in this order. At least one to the old account.
    pub policies: Vec<PolicyAttachment>,
}

fn default_containment_role() -> String {
    "BlackstartContainment".to_owned()
}

/// A policy and its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyAttachment {
    /// Policy id, for example `p-0123456789`: a service control policy that denies everything, or a resource control
    /// policy that denies everything to the old account.
    pub policy: String,
    /// Account id, organisational unit (`ou-…`) or root (`r-…`).
    pub target: String,
}

fn default_max_changed_percent() -> u8 {
    50
}

/// A DNS name and its new targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficName {
    /// Fully qualified name with final dot.
    pub name: String,
    /// Record type, `A`, `AAAA` or `CNAME`.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Values in the new environment.
    pub new: Vec<String>,
    /// Values of the static holding page, served while the new environment is not healthy. Never the old account.
    pub holding: Vec<String>,
    /// Time to live in seconds.
    #[serde(default = "default_ttl")]
    pub ttl: u32,
}

fn default_ttl() -> u32 {
    60
}

/// What proves that the new environment serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthPlan {
    /// Address that the Route 53 checkers ask.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Path of the health document.
    pub path: String,
    /// Where the run's nonce is published, in the rebuild account, for the new environment to serve.
    pub nonce: NoncePlace,
}

/// An object in the rebuild account from which the new environment serves the run's nonce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoncePlace {
    /// Bucket name.
    pub bucket: String,
    /// Object key.
    pub key: String,
}
