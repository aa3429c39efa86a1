//! The outer gate: AWS Backup's multi-party approval of access to the vault, by people and in an organisation that
//! Blackstart does not know.
//!
//! What AWS says is read closed-world: only an approval that was executed, by the team of the plan, for our digest,
//! with a vault that is there, opens. States and codes are those of `GetSession` (MPA API reference) and
//! `DescribeBackupVault` (AWS Backup API reference).

mod record;

pub use record::{Access, OuterRecord, OuterState, SCHEMA, TeamSession};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Digest;
use crate::plan::Plan;
use crate::run::{Mode, RunId};

/// Longest `RequesterComment` of `CreateRestoreAccessBackupVault`, in characters.
pub const LONGEST_COMMENT: usize = 200;
/// Shortest pause between two looks at a session, in seconds.
const SHORTEST_PAUSE: i64 = 5;
/// Longest one. A day of such looks is 6,500 of the 25,000 events that an execution may have.
const LONGEST_PAUSE: i64 = 120;

/// Which team guards which vault, as the package says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OuterGate {
    /// ARN of the approval team.
    pub team: String,
    /// ARN of the vault with the recovery points.
    pub vault: String,
}

/// The outer gate of a run under this plan. Drills have none unless the plan says so.
#[must_use]
pub fn guard(plan: &Plan, mode: Mode) -> Option<OuterGate> {
    let gate = plan.approval.outer_gate.as_ref()?;
    if mode == Mode::Drill && !gate.in_drills {
        return None;
    }
    let vault = &plan.validation.vault;
    Some(OuterGate {
        team: gate.team.clone(),
        vault: format!(
            "arn:{}:backup:{}:{}:backup-vault:{}",
            plan.partition,
            plan.region,
            vault.account.as_ref().unwrap_or(&plan.accounts.validation),
            vault.name
        ),
    })
}

/// What is sent with the request for access, and is shown to those who approve it.
#[must_use]
pub fn comment(run: &RunId, digest: &Digest) -> String {
    format!("Blackstart run {run}, decision package sha256 {digest}")
}

/// Name of the restore access vault for this package, and id of the request for it.
///
/// A repeat asks for the same one. It has 43 of the 50 characters that either may have.
#[must_use]
pub fn vault_name(run: &RunId, digest: &Digest) -> String {
    let of = Digest::of(format!("{run}\n{digest}\nvault").as_bytes());
    let short: String = of.as_str().chars().take(32).collect();
    format!("blackstart-{short}")
}

/// How long to wait before the next look, in seconds: a tenth of what was waited so far, within bounds.
///
/// Who decides within minutes is noticed within seconds.
#[must_use]
pub fn pause(asked: Timestamp, now: Timestamp) -> u32 {
    let waited = now.duration_since(asked).as_secs();
    let pause = (waited / 10).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    u32::try_from(pause).unwrap_or(u32::MAX)
}

/// What is compared with what a session says.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The package.
    pub digest: &'a Digest,
    /// The team of the package, and its vault.
    pub gate: &'a OuterGate,
}

/// An approval session as AWS describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session<'a> {
    /// `Status`.
    pub status: &'a str,
    /// `StatusCode`.
    pub code: Option<&'a str>,
    /// `ExecutionStatus`: what became of the operation that was approved.
    pub execution: Option<&'a str>,
    /// `RequesterComment`.
    pub comment: Option<&'a str>,
    /// `ApprovalTeamArn`.
    pub team: Option<&'a str>,
    /// `VaultState` of the restore access vault, once there is one.
    pub vault: Option<&'a str>,
}

/// What follows from a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet: ask again.
    Waiting,
    /// Approved and executed, and the vault is there.
    Open,
    /// The team said no.
    Refused,
    /// The team did not decide in time.
    Expired,
    /// The team was changed while it decided; AWS ends such sessions.
    ConfigurationChanged,
    /// The request was taken back.
    Cancelled,
    /// It was approved, and AWS could not carry it out; or AWS says something that is none of the above.
    Failed(String),
    /// The session is not about this package.
    OtherPackage,
    /// The session is that of another team than the plan's.
    OtherTeam,
}

/// What a session means for this package.
#[must_use]
pub fn outcome(session: &Session<'_>, expected: &Expected<'_>) -> Outcome {
    if session.comment != Some(comment(expected.run, expected.digest).as_str()) {
        return Outcome::OtherPackage;
    }
    if session.team != Some(expected.gate.team.as_str()) {
        return Outcome::OtherTeam;
    }
    match (session.status, session.code) {
        (_, Some("REJECTED")) => Outcome::Refused,
        (_, Some("EXPIRED")) => Outcome::Expired,
        (_, Some("CONFIGURATION_CHANGED")) => Outcome::ConfigurationChanged,
        ("CANCELLED", _) => Outcome::Cancelled,
        ("CREATING" | "PENDING", _) => Outcome::Waiting,
        ("APPROVED", _) => match (session.execution, session.vault) {
            (Some("EXECUTED"), Some("AVAILABLE")) => Outcome::Open,
            (Some("FAILED"), _) => Outcome::Failed("the approved operation failed".to_owned()),
            (_, Some("FAILED")) => Outcome::Failed("the vault could not be made".to_owned()),
            (None | Some("PENDING" | "EXECUTED"), None | Some("CREATING" | "AVAILABLE")) => Outcome::Waiting,
            (execution, vault) => Outcome::Failed(format!(
                "approved, but execution is `{}` and the vault `{}`",
                execution.unwrap_or("unknown").escape_debug(),
                vault.unwrap_or("unknown").escape_debug()
            )),
        },
        (status, code) => Outcome::Failed(format!(
            "the session is `{}` with code `{}`",
            status.escape_debug(),
            code.unwrap_or("none").escape_debug()
        )),
    }
}

/// The last instant at which an opening counts: the plan's patience, and never longer than effects may begin.
#[must_use]
pub fn decide_by(wait_minutes: u32, execute_by: Timestamp, now: Timestamp) -> Timestamp {
    now.checked_add(SignedDuration::from_mins(i64::from(wait_minutes)))
        .map_or(execute_by, |patience| patience.min(execute_by))
}

#[cfg(test)]
mod tests;
