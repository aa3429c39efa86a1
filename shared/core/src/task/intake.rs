//! Opening and closing a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactRef;
use crate::run::{Conclusion, Mode, RunId, WorkloadName};

/// What `intake` can be asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Reads the trigger, decides whether it opens a run, and opens it.
    Open {
        /// The input of the execution as it came: an EventBridge event, `{"workload": …}`, or anything at all.
        trigger: serde_json::Value,
    },
    /// Records how the run ended and lets the next run of the workload begin.
    Close {
        /// How it ended.
        conclusion: Conclusion,
    },
}

/// The answer to [`Operation::Open`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Opened {
    /// This execution recovers the workload.
    Opened {
        /// The new run.
        run: RunId,
        /// The workload.
        workload: WorkloadName,
        /// Incident or drill.
        mode: Mode,
        /// The plan, frozen for this run.
        plan: ArtifactRef,
    },
    /// A run of the workload is active already; the trigger was recorded with it.
    Attached {
        /// The active run.
        run: RunId,
        /// The active run's plan, if the trigger says something about the event: then the boundary is revised.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<ArtifactRef>,
        /// Why, for people.
        reason: String,
    },
    /// The trigger starts nothing; it was recorded.
    Rejected {
        /// Why and what to do, for people.
        reason: String,
    },
}

/// The answer to [`Operation::Close`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// How the run ended.
    pub conclusion: Conclusion,
}
