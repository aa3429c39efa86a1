//! The gate of one decision package, as the ledger keeps it under [`crate::ledger::Key::gate`].

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::DecisionPackage;
use super::quorum::{Outcome, Rules};
use super::roster::Roster;
use crate::artifact::{ArtifactRef, Digest};
use crate::plan::Plan;
use crate::run::RunId;
use crate::task::approval::Decision;

/// The schema of a gate record.
pub const SCHEMA: &str = "blackstart.gate/1";

/// The gate of one package. It is opened once and decided once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateRecord {
    /// Always `blackstart.gate/1`.
    pub schema: String,
    /// The run.
    pub run: RunId,
    /// The run's plan, which holds the roster and the quorum.
    pub plan: ArtifactRef,
    /// The package that is voted on.
    pub package: ArtifactRef,
    /// Its digest.
    pub digest: Digest,
    /// Who asked for the run, if it was a person of the roster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// When the package was put before the approvers.
    pub opened: Timestamp,
    /// The last instant at which a vote counts.
    pub decide_by: Timestamp,
    /// Open, or how it was decided. Never changes again once decided.
    pub state: GateState,
    /// When Step Functions took the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Timestamp>,
}

/// Whether and how a gate was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
#[strum(serialize_all = "snake_case")]
pub enum GateState {
    /// Votes are taken.
    Open {},
    /// The quorum approved.
    Approved {
        /// When the quorum was complete.
        at: Timestamp,
        /// Who approved, by name in the roster.
        by: Vec<String>,
    },
    /// Somebody refused.
    Refused {
        /// When.
        at: Timestamp,
        /// Who.
        by: String,
    },
    /// Nobody decided in time.
    Expired {
        /// When that was noticed.
        at: Timestamp,
    },
    /// The boundary moved after the package was made.
    Void {
        /// When that was noticed.
        at: Timestamp,
    },
}

impl GateRecord {
    /// A gate that was just opened.
    #[must_use]
    pub fn open(
        package: &DecisionPackage,
        artifact: ArtifactRef,
        digest: Digest,
        requester: Option<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            run: package.run.clone(),
            plan: package.plan.clone(),
            package: artifact,
            digest,
            requester,
            opened: now,
            decide_by: package.decide_by,
            state: GateState::Open {},
            answered: None,
        }
    }

    /// The rules of this gate under its plan.
    #[must_use]
    pub fn rules(&self, plan: &Plan) -> Rules {
        let eligible = Roster::of(plan).eligible(self.requester.as_deref());
        Rules {
            digest: self.digest.clone(),
            eligible: eligible.into_iter().map(str::to_owned).collect(),
            requester: self.requester.clone(),
            quorum: plan.approval.quorum,
            minimum_rationale: plan.approval.minimum_rationale,
            decide_by: self.decide_by,
        }
    }

    /// What Step Functions is told, once the gate is decided. An expired gate answers through its timeout.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        let digest = self.digest.clone();
        match &self.state {
            GateState::Open {} | GateState::Expired { .. } => None,
            GateState::Approved { at, .. } => Some(Decision::Approved { digest, at: *at }),
            GateState::Refused { at, .. } => Some(Decision::Refused { digest, at: *at }),
            GateState::Void { at } => Some(Decision::Void { digest, at: *at }),
        }
    }
}

impl GateState {
    /// The state that an outcome decides; `None` while it is pending.
    #[must_use]
    pub fn decided(outcome: &Outcome, approvers: Vec<String>, now: Timestamp) -> Option<Self> {
        match outcome {
            Outcome::Pending { .. } => None,
            Outcome::Approved { at } => Some(Self::Approved {
                at: *at,
                by: approvers,
            }),
            Outcome::Refused { at, by } => Some(Self::Refused {
                at: *at,
                by: by.clone(),
            }),
            Outcome::Expired => Some(Self::Expired { at: now }),
            Outcome::Void => Some(Self::Void { at: now }),
        }
    }

    /// Whether votes are still taken.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open {})
    }
}
