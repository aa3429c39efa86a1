//! Stage 5 of a plan: how traffic moves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stage 5 of a plan: how traffic moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CutoverPlan {
    /// Whether the old account has been cut off by means outside Blackstart (a deny-all SCP, say).
    /// Only then are references first expanded and later contracted; otherwise they are swapped at once,
    /// because keeping both accounts trusted keeps the intruder trusted.
    #[serde(default)]
    pub old_account_contained: bool,
    /// Hosted zone, in the recovery account.
    pub zone: String,
    /// Names whose traffic moves.
    pub names: Vec<TrafficName>,
    /// What proves that the new environment serves.
    pub health: HealthPlan,
    /// Refuse when more than this share of the zone's records would change.
    #[serde(default = "default_max_changed_percent")]
    pub max_changed_percent: u8,
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
