//! The request to the approval team, as the ledger keeps it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Expected, Outcome, OuterGate, Session, outcome, pause, vault_name};
use crate::artifact::Digest;
use crate::run::RunId;
use crate::task::approval::TeamDecision;

/// The schema of a record.
pub const SCHEMA: &str = "blackstart.outer-gate/1";

/// One request to the approval team. Written before the request is sent, decided once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OuterRecord {
    /// Always `blackstart.outer-gate/1`.
    pub schema: String,
    /// The run.
    pub run: RunId,
    /// The approved package.
    pub package: Digest,
    /// Which team guards which vault.
    pub gate: OuterGate,
    /// Name of the restore access vault that is asked for, in the rebuild account.
    pub vault: String,
    /// When the team was asked.
    pub asked: Timestamp,
    /// The last instant at which an opening counts.
    pub decide_by: Timestamp,
    /// ARN of the team's session, once it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// How many members of the team had said yes by then.
    #[serde(default)]
    pub approvals: usize,
    /// What became of it. Never changes again once decided.
    pub state: OuterState,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
#[strum(serialize_all = "snake_case")]
pub enum OuterState {
    /// The team was asked.
    Asked {},
    /// Approved and executed, and the vault is there.
    Open {
        /// When that was seen.
        at: Timestamp,
    },
    /// The team said no.
    Refused {
        /// When that was seen.
        at: Timestamp,
    },
    /// The team did not decide in time: in its own, or in the plan's.
    Expired {
        /// When that was seen.
        at: Timestamp,
    },
    /// The boundary moved after the package was made.
    Void {
        /// When that was seen.
        at: Timestamp,
    },
    /// It ended in another way.
    Failed {
        /// When that was seen.
        at: Timestamp,
        /// How, for people.
        reason: String,
    },
}

/// What AWS says about a request for access.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// `VaultState` of the restore access vault; `None` while there is none.
    pub vault: Option<String>,
    /// `SourceBackupVaultArn`: to what it gives access.
    pub source: Option<String>,
    /// The session of the team, once there is one.
    pub session: Option<TeamSession>,
}

/// The session of a team, as `GetSession` describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeamSession {
    /// Its ARN.
    pub arn: String,
    /// `Status`.
    pub status: String,
    /// `StatusCode`.
    pub code: Option<String>,
    /// `ExecutionStatus`.
    pub execution: Option<String>,
    /// `RequesterComment`.
    pub comment: Option<String>,
    /// `ApprovalTeamArn`.
    pub team: Option<String>,
    /// `CompletionTime`.
    pub completed: Option<Timestamp>,
    /// How many approvers said yes.
    pub approvals: usize,
}

impl OuterRecord {
    /// A request that is about to be sent.
    #[must_use]
    pub fn ask(run: &RunId, package: &Digest, gate: OuterGate, decide_by: Timestamp, now: Timestamp) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            run: run.clone(),
            package: package.clone(),
            gate,
            vault: vault_name(run, package),
            asked: now,
            decide_by,
            session: None,
            approvals: 0,
            state: OuterState::Asked {},
        }
    }

    /// What became of the request, by what AWS says and whether the boundary moved meanwhile. What was decided stays.
    #[must_use]
    pub fn state_after(&self, access: &Access, moved: bool, now: Timestamp) -> OuterState {
        if self.state != (OuterState::Asked {}) {
            return self.state.clone();
        }
        if moved {
            return OuterState::Void { at: now };
        }
        let failed = |reason: String| OuterState::Failed { at: now, reason };
        let late = |at: Timestamp| at > self.decide_by;
        let Some(session) = &access.session else {
            if access.vault.as_deref() == Some("FAILED") {
                return failed("the vault could not be made, and the team was never asked".to_owned());
            }
            return if late(now) {
                OuterState::Expired { at: now }
            } else {
                OuterState::Asked {}
            };
        };
        if access
            .source
            .as_ref()
            .is_some_and(|source| *source != self.gate.vault)
        {
            return failed("the session is about another vault than the package".to_owned());
        }
        let expected = Expected {
            run: &self.run,
            digest: &self.package,
            gate: &self.gate,
        };
        match outcome(&session.as_session(access.vault.as_deref()), &expected) {
            Outcome::Waiting if late(now) => OuterState::Expired { at: now },
            Outcome::Waiting => OuterState::Asked {},
            // What was approved in time may be seen late.
            Outcome::Open if late(session.completed.unwrap_or(now)) => OuterState::Expired { at: now },
            Outcome::Open => OuterState::Open { at: now },
            Outcome::Refused => OuterState::Refused { at: now },
            Outcome::Expired => OuterState::Expired { at: now },
            Outcome::ConfigurationChanged => {
                failed("the approval team was changed while it decided, which ends its session".to_owned())
            }
            Outcome::Cancelled => failed("the request to the approval team was taken back".to_owned()),
            Outcome::Failed(reason) => failed(format!("the approval team was asked in vain: {reason}")),
            Outcome::OtherPackage => failed("the session is not about this package".to_owned()),
            Outcome::OtherTeam => failed("the session is that of another team than the plan's".to_owned()),
        }
    }

    /// What the state machine is told.
    #[must_use]
    pub fn decision(&self, now: Timestamp) -> TeamDecision {
        match &self.state {
            OuterState::Asked {} => TeamDecision::Waiting {
                wait_seconds: pause(self.asked, now),
            },
            OuterState::Open { .. } => TeamDecision::Open {},
            OuterState::Refused { .. } => TeamDecision::Refused {
                reason: "the approval team refused to open the vault".to_owned(),
            },
            OuterState::Expired { .. } => TeamDecision::Expired {
                reason: "the approval team did not decide in time".to_owned(),
            },
            OuterState::Void { .. } => TeamDecision::Void {},
            OuterState::Failed { reason, .. } => TeamDecision::Failed {
                reason: reason.clone(),
            },
        }
    }
}

impl TeamSession {
    fn as_session<'a>(&'a self, vault: Option<&'a str>) -> Session<'a> {
        Session {
            status: &self.status,
            code: self.code.as_deref(),
            execution: self.execution.as_deref(),
            comment: self.comment.as_deref(),
            team: self.team.as_deref(),
            vault,
        }
    }
}
