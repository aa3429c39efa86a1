//! Stage 5, second half: references and traffic.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::approval::TaskToken;
use super::{Failure, Progress};
use crate::artifact::{ArtifactRef, Digest};
use crate::cutover::rate::Spent;
use crate::run::AccountId;

/// The approved package, as every operation of a cutover is given it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// The run's plan.
    pub plan: ArtifactRef,
    /// The decision package.
    pub package: ArtifactRef,
    /// The approved digest.
    pub digest: Digest,
}

/// What `cutover` can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Computes every step with its *before* and *after*, proves each rewrite, and writes the cutover plan.
    Plan {
        /// What was approved.
        approved: Approved,
    },
    /// Compares every live value with its *before*. Touches nothing.
    Precheck {
        /// What was approved.
        approved: Approved,
        /// The cutover plan.
        cutover: ArtifactRef,
    },
    /// Attaches the policies that cut the old account off.
    Contain {
        /// What was approved.
        approved: Approved,
        /// The cutover plan.
        cutover: ArtifactRef,
    },
    /// Applies the steps of one phase in one account, as many as time allows.
    Apply {
        /// What was approved.
        approved: Approved,
        /// The cutover plan.
        cutover: ArtifactRef,
        /// Which phase.
        phase: Phase,
        /// Which account.
        account: AccountId,
    },
    /// Publishes the run's nonce and creates the health check.
    PrepareTraffic {
        /// What was approved.
        approved: Approved,
        /// The cutover plan.
        cutover: ArtifactRef,
    },
    /// Asks the health checkers, and asks the new environment itself.
    Probe {
        /// What was approved.
        approved: Approved,
        /// The cutover plan.
        cutover: ArtifactRef,
    },
    /// Changes the records to the next share, in one atomic batch.
    ShiftTraffic {
        /// What was approved.
        approved: Approved,
        /// The cutover plan.
        cutover: ArtifactRef,
    },
    /// Asks whether the change has reached all authoritative servers.
    AwaitSync {
        /// What was approved.
        approved: Approved,
        /// The cutover plan.
        cutover: ArtifactRef,
    },
    /// Reads everything back and compares it with the cutover plan; after contract also that the old account is
    /// shut out.
    Verify {
        /// What was approved.
        approved: Approved,
        /// The cutover plan.
        cutover: ArtifactRef,
        /// After which phase.
        phase: Phase,
    },
    /// Replays the journal after a failure, persists the direction, and says what to do.
    Next {
        /// What was approved.
        approved: Approved,
        /// The cutover plan, if it came that far.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cutover: Option<ArtifactRef>,
        /// The error that led here.
        failure: Failure,
    },
    /// Undoes this step, and those that the journal names after it, as many as time allows.
    Revert {
        /// What was approved.
        approved: Approved,
        /// The cutover plan.
        cutover: ArtifactRef,
        /// Step id.
        step: String,
    },
    /// Puts the journal before an operator; Step Functions waits for the token.
    AskOperator {
        /// What was approved.
        approved: Approved,
        /// The cutover plan, if it came that far.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cutover: Option<ArtifactRef>,
        /// The error that led here.
        failure: Failure,
        /// The task token. Stored encrypted, and nowhere else.
        token: TaskToken,
    },
}

impl Operation {
    /// What was approved.
    #[must_use]
    pub fn approved(&self) -> &Approved {
        match self {
            Self::Plan { approved }
            | Self::Precheck { approved, .. }
            | Self::Contain { approved, .. }
            | Self::Apply { approved, .. }
            | Self::PrepareTraffic { approved, .. }
            | Self::Probe { approved, .. }
            | Self::ShiftTraffic { approved, .. }
            | Self::AwaitSync { approved, .. }
            | Self::Verify { approved, .. }
            | Self::Next { approved, .. }
            | Self::Revert { approved, .. }
            | Self::AskOperator { approved, .. } => approved,
        }
    }
}

/// The phases in which references change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Let the new account in: beside the old one where that is contained, in its place where it is not.
    Expand,
    /// Shut the old account out of what was expanded; empty where everything was swapped at once.
    Contract,
}

/// The answer to [`Operation::Plan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// The cutover plan: [`crate::cutover::CutoverDocument`].
    pub cutover: ArtifactRef,
    /// The accounts with steps, in order.
    pub accounts: Vec<AccountId>,
    /// Number of steps.
    pub steps: u32,
    /// Whether people approve the plan before its first effect.
    pub second_gate: bool,
}

/// The answer to [`Operation::Precheck`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prechecked {
    /// Steps whose live value is the recorded *before*.
    pub ready: u32,
    /// Steps whose live value is already the wanted *after*.
    pub already_done: u32,
}

/// The answer to [`Operation::Contain`] and [`Operation::Apply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// Whether the phase is complete in this account.
    pub progress: Progress,
    /// Steps applied so far in this account and phase.
    pub applied: u32,
    /// Where the time of this task went.
    #[serde(default)]
    pub spent: Spent,
}

/// The answer to [`Operation::PrepareTraffic`], [`Operation::Probe`], [`Operation::ShiftTraffic`] and
/// [`Operation::AwaitSync`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficProgress {
    /// `running`: ask again later.
    pub progress: Progress,
    /// What was observed, for people.
    pub observed: String,
    /// Seconds for which somebody may still be told what was true before.
    #[serde(default)]
    pub wait_seconds: u32,
    /// Steps of traffic that come after this one.
    #[serde(default)]
    pub remaining: u32,
}

/// The answer to [`Operation::Verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// Steps whose live value equals the plan's *after*.
    pub verified: u32,
}

/// The answer to [`Operation::Next`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "next", rename_all = "snake_case")]
pub enum Next {
    /// Everything that was done is settled and can go on forward.
    Resume {},
    /// Undo this step, then ask again.
    Revert {
        /// Step id.
        step: String,
    },
    /// Everything is as it was before the cutover.
    GivenBack {},
    /// A person gave up; the journal says so and stays open.
    Abandoned {},
    /// An undo failed or a document is in a third state: a person must look.
    CallOperator {
        /// Why, for people.
        reason: String,
    },
}

/// The answer to [`Operation::Revert`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reverted {
    /// Step id.
    pub step: String,
    /// Steps undone, this one included.
    #[serde(default)]
    pub undone: u32,
}

/// The name of what an operator was asked: one attempt to wait. A later attempt asks another question, because what is
/// open may have changed, and an answer to the earlier one is not an answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Question(String);

impl Question {
    /// The question that this attempt to wait asks.
    #[must_use]
    pub fn of_attempt(attempt: &str) -> Self {
        Self(Digest::of(attempt.as_bytes()).short().to_owned())
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an operator answers to Step Functions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(tag = "choice", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OperatorChoice {
    /// The cause is removed: go on.
    Resume {
        /// Who decided.
        person: String,
        /// Why.
        rationale: String,
    },
    /// Undo what was done.
    Revert {
        /// Who decided.
        person: String,
        /// Why.
        rationale: String,
    },
    /// Leave things as they are; the journal stays open and the report says so.
    Abandon {
        /// Who decided.
        person: String,
        /// Why.
        rationale: String,
    },
}

impl OperatorChoice {
    /// Its name, as the request and the evidence have it.
    #[must_use]
    pub fn chosen(&self) -> &'static str {
        self.into()
    }

    /// Who decided.
    #[must_use]
    pub fn person(&self) -> &str {
        let (Self::Resume { person, .. } | Self::Revert { person, .. } | Self::Abandon { person, .. }) = self;
        person
    }

    /// Why.
    #[must_use]
    pub fn rationale(&self) -> &str {
        let (Self::Resume { rationale, .. }
        | Self::Revert { rationale, .. }
        | Self::Abandon { rationale, .. }) = self;
        rationale
    }
}
