//! Route 53 changes: planned as a diff, applied as one compare-and-set batch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The change of a zone's records: one atomic batch of DELETE(exact before) and CREATE(after), and its inverse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficChange {
    /// Hosted zone id.
    pub zone: String,
    /// The record sets as they are.
    pub before: Vec<RecordSet>,
    /// The record sets as they will be.
    pub after: Vec<RecordSet>,
}

/// A Route 53 resource record set, as far as Blackstart writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordSet {
    /// Fully qualified name with final dot.
    pub name: String,
    /// Record type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Identifier within a routing group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_identifier: Option<String>,
    /// Failover role within a routing group: `PRIMARY` or `SECONDARY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<String>,
    /// Weight within a routing group, 0 to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
    /// Time to live in seconds; absent for an alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// Values.
    pub values: Vec<String>,
    /// Health check id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<String>,
}
