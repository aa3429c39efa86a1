//! Stage 4, last part: credentials are made new.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Progress;
use crate::artifact::{ArtifactRef, Digest};

/// What `rotation` can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Gives every credential of the plan a new value.
    Rotate {
        /// The run's plan.
        plan: ArtifactRef,
        /// The approved decision package.
        package: ArtifactRef,
        /// The approved digest.
        digest: Digest,
    },
    /// Removes what a drill made beside its stacks: access keys of its users, parameters that did not exist before.
    CleanUp {
        /// The run's plan.
        plan: ArtifactRef,
    },
}

/// The answer to [`Operation::CleanUp`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// Ids of the access keys and names of the parameters that are gone.
    pub removed: Vec<String>,
}

/// The answer to [`Operation::Rotate`]: names and versions only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotated {
    /// `running` while a service is still at work on a credential: ask again later.
    pub progress: Progress,
    /// What was rotated: [`crate::rotation::RotationDocument`]. Absent until everything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<ArtifactRef>,
    /// How many credentials have a new value so far.
    pub rotated: u32,
}
