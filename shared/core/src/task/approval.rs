//! Stage 3: the gate.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cutover::Approved;
use super::validation::Branches;
use crate::artifact::{ArtifactRef, Digest};
use crate::run::{Mode, WorkloadName};

/// What `approval` can be asked to do by the state machine. Votes come through the gateway, not from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "one value per invocation")]
pub enum Operation {
    /// Builds the decision package.
    Prepare {
        /// The run's plan.
        plan: ArtifactRef,
        /// The workload.
        workload: WorkloadName,
        /// Incident or drill.
        mode: Mode,
        /// The selection: set, boundary, reasons.
        selection: ArtifactRef,
        /// What the branches of Prepare returned.
        branches: Branches,
    },
    /// Builds the package of the second gate: the approved one with the finished cutover plan in it.
    PrepareSecond {
        /// What was approved first.
        approved: Approved,
        /// The finished cutover plan.
        cutover: ArtifactRef,
    },
    /// Puts the package before the approvers; Step Functions waits for the token.
    Ask {
        /// The run's plan.
        plan: ArtifactRef,
        /// The decision package.
        package: ArtifactRef,
        /// Its digest.
        digest: Digest,
        /// The task token. Stored encrypted, and nowhere else.
        token: TaskToken,
    },
    /// Asks the approval team of AWS Backup to open the vault, where the approved package names one. A repeat asks
    /// nothing twice.
    AskTeam {
        /// The run's plan.
        plan: ArtifactRef,
        /// The approved decision package.
        package: ArtifactRef,
        /// The approved digest.
        digest: Digest,
    },
    /// Asks what the team has decided.
    PollTeam {
        /// The run's plan.
        plan: ArtifactRef,
        /// The approved decision package.
        package: ArtifactRef,
        /// The approved digest.
        digest: Digest,
    },
    /// Nobody decided in time.
    Expire {
        /// The digest of the package.
        digest: Digest,
    },
}

/// The answer to [`Operation::Prepare`] and [`Operation::PrepareSecond`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prepared {
    /// The decision package: [`crate::approval::DecisionPackage`], canonical JSON.
    pub package: ArtifactRef,
    /// Its digest: what is approved.
    pub digest: Digest,
    /// How long to wait for a decision, in seconds: the timeout of the state that waits.
    pub wait_seconds: u32,
    /// Whether an approval team of AWS Backup must open the vault once the package is approved.
    #[serde(default)]
    pub outer_gate: bool,
}

/// The answer to [`Operation::AskTeam`] and [`Operation::PollTeam`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "team", rename_all = "snake_case", deny_unknown_fields)]
pub enum TeamDecision {
    /// Nothing yet.
    Waiting {
        /// When to ask again, in seconds.
        wait_seconds: u32,
    },
    /// Approved and executed, and the vault is there.
    Open {},
    /// The team said no.
    Refused {
        /// For people.
        reason: String,
    },
    /// The team did not decide in time.
    Expired {
        /// For people.
        reason: String,
    },
    /// Late evidence moved the boundary: the package is void and a new one is needed.
    Void {},
    /// It ended in another way, and the vault stays shut.
    Failed {
        /// For people.
        reason: String,
    },
}

/// The answer to [`Operation::Expire`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expired {
    /// When the gate closed.
    pub at: Timestamp,
}

/// What the gate answers to Step Functions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// The quorum approved exactly this digest.
    Approved {
        /// What was approved.
        digest: Digest,
        /// When the quorum was complete.
        at: Timestamp,
    },
    /// Somebody refused. Final.
    Refused {
        /// What was refused.
        digest: Digest,
        /// When.
        at: Timestamp,
    },
    /// The boundary moved: the package is void and a new one is needed.
    Void {
        /// What became void.
        digest: Digest,
        /// When.
        at: Timestamp,
    },
}

/// A Step Functions task token: a bearer secret of up to 2,048 characters.
///
/// It has no `Display`, its `Debug` is redacted, and it must reach no log, artifact, URL or message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TaskToken(String);

impl TaskToken {
    /// Takes a token that Step Functions issued.
    #[must_use]
    pub fn new(token: String) -> Self {
        Self(token)
    }

    /// The secret itself, for encryption or for answering Step Functions.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for TaskToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TaskToken(redacted)")
    }
}
