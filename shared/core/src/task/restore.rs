//! Stage 4, second half: data from the approved recovery set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Progress;
use crate::artifact::{ArtifactRef, Digest};

/// What `restore` can be asked to do. Every operation past the gate names the package and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Starts the restore jobs of the approved set; a repeat starts nothing twice.
    Start {
        /// The run's plan.
        plan: ArtifactRef,
        /// The approved decision package.
        package: ArtifactRef,
        /// The approved digest.
        digest: Digest,
        /// How often an operator had the run go on. A job that failed is followed by another one only after that.
        #[serde(default)]
        attempt: u32,
    },
    /// Asks whether they have ended.
    Poll {
        /// The run's plan.
        plan: ArtifactRef,
    },
    /// Compares the restored content with the manifest that was validated and checks the invariants.
    Verify {
        /// The run's plan.
        plan: ArtifactRef,
        /// The approved decision package.
        package: ArtifactRef,
        /// The approved digest.
        digest: Digest,
    },
    /// Puts back what a restore loses, and has the stacks take what was restored: one look, and for each resource what can
    /// be done without waiting. A repeat goes on where the last one ended.
    Adopt {
        /// The run's plan.
        plan: ArtifactRef,
        /// The approved decision package.
        package: ArtifactRef,
        /// The approved digest.
        digest: Digest,
    },
    /// Removes what a drill restored: what carries the run's tag, and nothing else. A repeat goes on where the last
    /// one ended.
    CleanUp {
        /// The run's plan.
        plan: ArtifactRef,
    },
}

/// The answer to [`Operation::Start`], [`Operation::Poll`] and [`Operation::Adopt`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreProgress {
    /// Whether all jobs have ended, or everything is adopted.
    pub progress: Progress,
}

/// The answer to [`Operation::Verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restored {
    /// What was restored where, and how it compares: [`crate::restore::RestoreDocument`].
    pub document: ArtifactRef,
}

/// The answer to [`Operation::CleanUp`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// Whether nothing of the run's copies is left.
    pub progress: Progress,
    /// Names of the buckets and tables whose deletion was requested just now.
    pub removed: Vec<String>,
    /// What bears the name of a copy and is not this run's, each with the reason why it stays.
    pub left: Vec<String>,
}
