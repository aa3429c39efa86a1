//! Stage 2: the newest recovery set that is proven clean.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::approval::TaskToken;
use crate::artifact::ArtifactRef;

/// What `validation` can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "one value per invocation")]
pub enum Operation {
    /// Lists recovery points and groups them into recovery sets, newest first.
    Candidates {
        /// The run's plan.
        plan: ArtifactRef,
    },
    /// Reads the current boundary and the verdicts, and says what to validate next.
    Next {
        /// The run's plan.
        plan: ArtifactRef,
        /// The recovery sets.
        sets: ArtifactRef,
    },
    /// Starts malware scans and trial restores of one set.
    Start {
        /// The run's plan.
        plan: ArtifactRef,
        /// The recovery sets.
        sets: ArtifactRef,
        /// The set.
        set: String,
    },
    /// Asks whether they have ended.
    Poll {
        /// The run's plan.
        plan: ArtifactRef,
        /// The set.
        set: String,
    },
    /// Waits for the next look, or for an event about one of the set's jobs; Step Functions waits for the token.
    Wait {
        /// The run's plan.
        plan: ArtifactRef,
        /// The set.
        set: String,
        /// How often an event has ended a wait for this set.
        woken: u32,
        /// The task token. Stored encrypted, and nowhere else.
        token: TaskToken,
    },
    /// Scans what was restored, checks the invariants, and records the verdict.
    Judge {
        /// The run's plan.
        plan: ArtifactRef,
        /// The recovery sets.
        sets: ArtifactRef,
        /// The set.
        set: String,
        /// Why the trial could not be made or judged; the verdict is then *unknown*, for this reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<super::Failure>,
    },
    /// Removes every trial restore of the set. Runs also after a failure.
    CleanUp {
        /// The run's plan.
        plan: ArtifactRef,
        /// The set.
        set: String,
    },
    /// Decides, from the final boundary and the verdicts, which set is put before the approvers.
    Select {
        /// The run's plan.
        plan: ArtifactRef,
        /// What the branches of Prepare returned.
        branches: Branches,
    },
}

/// The answer to [`Operation::Candidates`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidates {
    /// The recovery sets: [`crate::validation::CandidateDocument`].
    pub sets: ArtifactRef,
    /// How many.
    pub count: u32,
}

/// The answer to [`Operation::Next`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum NextRound {
    /// Validate these sets at once.
    Validate {
        /// Set ids, newest first.
        sets: Vec<String>,
    },
    /// The newest eligible clean set is known, under the boundary of this moment.
    Found {
        /// The set.
        set: String,
    },
    /// No set is left that could be clean.
    Exhausted {},
    /// The plan's ceiling of cost allows no further trial.
    OverCeiling {
        /// Why, for people.
        reason: String,
    },
}

/// The answer to [`Operation::Start`], [`Operation::Poll`] and [`Operation::Wait`]; of the last Step Functions ignores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The set.
    pub set: String,
    /// Whether all scans and restores have ended.
    pub progress: super::Progress,
    /// How long to wait before the next look, in seconds: the timeout of the state that waits.
    pub wait_seconds: u32,
}

/// The answer to [`Operation::Judge`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// The set.
    pub set: String,
    /// `clean`, `tainted` or `unknown`.
    pub verdict: String,
}

/// The answer to [`Operation::CleanUp`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CleanedUp {
    /// The set.
    pub set: String,
    /// Resources removed.
    pub removed: u32,
}

/// What the four branches of Prepare returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Branches {
    /// Stage 1.
    pub timeline: BranchResult<super::timeline::Merged>,
    /// Stage 2, speculative.
    pub validation: BranchResult<Walked>,
    /// Stage 4, rebuild.
    pub rebuild: BranchResult<super::rebuild::Rebuilt>,
    /// Stage 5, inventory.
    pub references: BranchResult<super::references::Inventoried>,
}

/// How a branch of the Parallel ended. A failing branch must not cancel its siblings, so a failure is data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case", deny_unknown_fields)]
pub enum BranchResult<T> {
    /// The branch's own result.
    Ok {
        /// What it returned.
        result: T,
    },
    /// The branch failed.
    Failed {
        /// Error name.
        error: String,
        /// What happened.
        cause: String,
    },
}

/// The output of `validation.asl.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Walked {
    /// The recovery sets.
    pub sets: ArtifactRef,
    /// The newest eligible clean set, if one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// The answer to [`Operation::Select`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one value per invocation")]
pub enum Selected {
    /// This set goes before the approvers.
    Selected {
        /// The set.
        set: String,
        /// The recovery sets.
        sets: ArtifactRef,
        /// The boundary under which it was chosen.
        boundary: Timestamp,
        /// Why this one, and why none of the newer ones: [`crate::validation::SelectionDocument`].
        selection: ArtifactRef,
    },
    /// The final boundary makes sets eligible that have no verdict yet: walk again.
    NeedsValidation {},
    /// Every eligible set is tainted or unknown.
    NoCleanPoint {
        /// Why, for people.
        reason: String,
    },
    /// A branch failed, or there is no boundary: nothing can be proposed.
    NotPossible {
        /// Why, for people.
        reason: String,
    },
}
