//! Stage 4: data from the approved recovery set.
//!
//! [`request`] recomputes what may be restored and says how, [`mapping`] makes what a recovery point remembers into what
//! the new account needs, [`job`] reads what became of a restore job, [`composite`] of one with child jobs, [`verify`]
//! compares what was restored with what was validated, and [`removal`] says what of a rehearsal is removed again.

pub mod composite;
pub mod fix_up;
pub mod job;
pub mod losses;
pub mod mapping;
pub mod removal;
pub mod request;
pub mod resource;
pub mod seam;
pub mod verify;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Digest;
use crate::plan::ResourceType;

/// The schema of a [`RestoreDocument`].
pub const SCHEMA: &str = "blackstart.restore/1";

/// What was restored where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreDocument {
    /// Always `blackstart.restore/1`.
    pub schema: String,
    /// The restored resources, in plan order.
    pub resources: Vec<RestoredResource>,
}

/// One restored resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoredResource {
    /// Plan resource id.
    pub resource: String,
    /// What it is.
    pub resource_type: ResourceType,
    /// The recovery point it came from.
    pub recovery_point: String,
    /// ARN of the new resource.
    pub arn: String,
    /// Objects or items.
    pub entries: u64,
    /// Digest of the content manifest, equal to the validated one.
    pub manifest: Digest,
}

#[cfg(test)]
mod tests;
