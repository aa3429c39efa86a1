//! Stage 4, first half: infrastructure from code.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Progress;
use crate::artifact::ArtifactRef;

/// What `rebuild` can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Compares the templates with their digests and checks what they contain. Creates nothing.
    Check {
        /// The run's plan.
        plan: ArtifactRef,
    },
    /// Starts the stacks of the lowest wave that is not complete; a repeat starts nothing twice.
    Advance {
        /// The run's plan.
        plan: ArtifactRef,
    },
    /// Has every stack compared with its template; a repeat compares once more and changes nothing.
    DetectDrift {
        /// The run's plan.
        plan: ArtifactRef,
        /// Drift detections that were asked for, by stack name.
        #[serde(default)]
        detections: BTreeMap<String, String>,
    },
    /// Proves that the rebuilt environment is isolated and what the templates say, and records what was built.
    Preflight {
        /// The run's plan.
        plan: ArtifactRef,
        /// The drift detections that ended, by stack name. A stack without one is unknown.
        #[serde(default)]
        detections: BTreeMap<String, String>,
    },
    /// Deletes the stacks of a drill, or of a run that ended before it restored anything.
    CleanUp {
        /// The run's plan.
        plan: ArtifactRef,
    },
}

/// The answer to [`Operation::Check`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// Number of templates that passed.
    pub templates: u32,
}

/// The answer to [`Operation::Advance`] and [`Operation::CleanUp`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Advanced {
    /// Whether all stacks have ended.
    pub progress: Progress,
    /// The stacks whose creation or deletion was requested just now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requested: Vec<String>,
    /// The stacks of an earlier run whose deletion was requested just now, because they stand in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleared: Vec<String>,
}

/// The answer to [`Operation::DetectDrift`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// Whether all comparisons have ended.
    pub progress: Progress,
    /// The drift detections that were asked for, by stack name.
    pub detections: BTreeMap<String, String>,
}

/// The answer to [`Operation::Preflight`], and the result of the branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rebuilt {
    /// Stacks, their template digests and outputs, and the isolation checks: [`crate::rebuild::RebuildDocument`].
    pub document: ArtifactRef,
    /// Whether every isolation check passed. Restore refuses otherwise.
    pub isolated: bool,
}
