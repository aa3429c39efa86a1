//! What a journal records.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{ArtifactRef, Digest};
use crate::cutover::rate::Spent;
use crate::task::Failure;
use crate::task::cutover::OperatorChoice;

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Place in the journal, from 1, without gaps.
    pub sequence: u64,
    /// When it was recorded. For people; nothing is decided by it.
    pub at: Timestamp,
    /// Who recorded it: the execution, or the operator.
    pub by: String,
    /// Where the executor's time went since it last recorded something. For people, like the instant.
    #[serde(default, skip_serializing_if = "Spent::is_none")]
    pub spent: Spent,
    /// What is recorded.
    pub event: Event,
}

/// What a journal records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A cutover plan was made and nothing of it done. Always the first event.
    Opened {
        /// The approved package from which the plan was made.
        package: Digest,
        /// The cutover plan.
        cutover: ArtifactRef,
    },
    /// A write is about to be made. Recorded before every write, also before one that is repeated.
    Intent {
        /// Step id.
        step: String,
        /// Digest of the value that was read.
        before: Digest,
        /// Digest of the value that will be written.
        after: Digest,
    },
    /// The wanted value was read back.
    Applied {
        /// Step id.
        step: String,
    },
    /// The service refused the write: it certainly had no effect.
    Refused {
        /// Step id.
        step: String,
        /// What the service said, for people.
        reason: String,
    },
    /// The write may have had an effect.
    OutcomeUnknown {
        /// Step id.
        step: String,
        /// What happened, for people.
        reason: String,
    },
    /// The live value is neither *before* nor *after*. It was left alone.
    Conflict {
        /// Step id.
        step: String,
        /// Digest of the live value.
        observed: Digest,
    },
    /// The step does in the world what it is meant to do.
    Verified {
        /// Step id.
        step: String,
    },
    /// The old account was seen to be shut out of the document.
    Contracted {
        /// Step id.
        step: String,
    },
    /// Something failed and the state machine asked what to do. `id` makes a repeated question one failure.
    Failed {
        /// When the asking state was entered: the same for every attempt to ask.
        id: String,
        /// The error that led here.
        failure: Failure,
    },
    /// From here on this is the direction. Recorded once; only an operator can turn it.
    Direction {
        /// Forward or back.
        direction: Direction,
    },
    /// An undo is about to be written.
    RevertIntent {
        /// Step id.
        step: String,
    },
    /// The value from before the step was read back, or had never changed.
    Reverted {
        /// Step id.
        step: String,
    },
    /// An undo did not work.
    RevertFailed {
        /// Step id.
        step: String,
        /// What happened, for people.
        reason: String,
    },
    /// A person decided.
    Operator {
        /// When the asking state was entered: the same for every attempt to record the answer.
        id: String,
        /// What was decided, by whom and why.
        choice: OperatorChoice,
    },
}

/// Which way an interrupted cutover is completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The old account was already shut out somewhere: everything is completed.
    Forward,
    /// Nothing is irrevocable yet: everything is given back.
    Back,
}

impl Event {
    /// The step that it is about.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::Intent { step, .. }
            | Self::Applied { step }
            | Self::Refused { step, .. }
            | Self::OutcomeUnknown { step, .. }
            | Self::Conflict { step, .. }
            | Self::Verified { step }
            | Self::Contracted { step }
            | Self::RevertIntent { step }
            | Self::Reverted { step }
            | Self::RevertFailed { step, .. } => Some(step),
            Self::Opened { .. } | Self::Failed { .. } | Self::Direction { .. } | Self::Operator { .. } => {
                None
            }
        }
    }

    /// The step and what a person is told about it, where the event says more than its name.
    #[must_use]
    pub fn reason(&self) -> Option<(&str, String)> {
        match self {
            Self::Refused { step, reason }
            | Self::OutcomeUnknown { step, reason }
            | Self::RevertFailed { step, reason } => Some((step, reason.clone())),
            Self::Conflict { step, observed } => Some((step, format!("found {}", observed.short()))),
            Self::Opened { .. }
            | Self::Intent { .. }
            | Self::Applied { .. }
            | Self::Verified { .. }
            | Self::Contracted { .. }
            | Self::Failed { .. }
            | Self::Direction { .. }
            | Self::RevertIntent { .. }
            | Self::Reverted { .. }
            | Self::Operator { .. } => None,
        }
    }

    /// The tag under which the event is written.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Intent { .. } => "intent",
            Self::Applied { .. } => "applied",
            Self::Refused { .. } => "refused",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::Conflict { .. } => "conflict",
            Self::Verified { .. } => "verified",
            Self::Contracted { .. } => "contracted",
            Self::Failed { .. } => "failed",
            Self::Direction { .. } => "direction",
            Self::RevertIntent { .. } => "revert_intent",
            Self::Reverted { .. } => "reverted",
            Self::RevertFailed { .. } => "revert_failed",
            Self::Operator { .. } => "operator",
        }
    }
}
