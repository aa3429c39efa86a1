//! The report.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::artifact::ArtifactRef;
use crate::run::Conclusion;

/// What `report` can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Writes `report.json`, `report.html` and `report.md`.
    Write {
        /// The run's plan.
        plan: ArtifactRef,
        /// How the run ended.
        conclusion: Conclusion,
        /// Why, for people; empty when it recovered.
        #[serde(default)]
        reason: String,
    },
    /// Writes the same about a run that has not ended, under `interim/`: stuck, broken off, or under way.
    Interim {
        /// What made it stuck, where the state machine knows it; otherwise the history says how the run stands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
    /// Signs how long the chain of evidence is now and how it ends, at the boundary of a stage.
    Seal {
        /// The stage that ended.
        stage: String,
    },
    /// Signs the whole chain with the digests of the run's artifacts and puts them where they are locked.
    Export {},
}

/// The answer to [`Operation::Seal`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Place of the last link that the checkpoint vouches for.
    pub seq: u64,
    /// The signed checkpoint.
    pub checkpoint: ArtifactRef,
}

/// The answer to [`Operation::Export`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exported {
    /// The bundle: one DSSE envelope per line.
    pub bundle: ArtifactRef,
    /// Number of links in it.
    pub links: u64,
}

/// The answer to [`Operation::Write`] and [`Operation::Interim`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// `report.json`.
    pub report: ArtifactRef,
    /// `report.html`.
    pub page: ArtifactRef,
    /// `report.md`.
    pub summary: ArtifactRef,
}
