//! What a run is: its identity, its mode, what started it.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::artifact::{ArtifactRef, Digest};
use crate::timeline::facts::Who;

/// The way back from a checked text to the text.
macro_rules! as_text {
    ($($of:ident),+) => {$(
        impl $of {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$of> for String {
            fn from(checked: $of) -> Self {
                checked.0
            }
        }

        impl fmt::Display for $of {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

as_text!(AccountId, WorkloadName, RunId);

/// A 12-digit AWS account id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[0-9]{12}$"))]
pub struct AccountId(String);

/// The text is not an account id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an AWS account id: 12 digits are needed")]
pub struct InvalidAccountId(String);

impl TryFrom<String> for AccountId {
    type Error = InvalidAccountId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text))
        } else {
            Err(InvalidAccountId(text))
        }
    }
}

/// The name of a workload: 1 to 40 of `a-z`, `0-9` and `-`, beginning with a letter.
///
/// It becomes part of S3 keys, execution names and IAM session names, so the alphabet is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[a-z][a-z0-9-]{0,39}$"))]
pub struct WorkloadName(String);

/// The text is not a workload name.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a workload name: 1 to 40 of a-z, 0-9 and `-`, beginning with a letter")]
pub struct InvalidWorkloadName(String);

impl TryFrom<String> for WorkloadName {
    type Error = InvalidWorkloadName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let alphabet = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if begins && alphabet && text.len() <= 40 {
            Ok(Self(text))
        } else {
            Err(InvalidWorkloadName(text))
        }
    }
}

/// The identity of one recovery of one workload.
///
/// Derived from the execution that opens it, so that a repeated `Open run` opens the same run again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[a-z][a-z0-9-]{0,39}-[0-9a-f]{12}$"))]
pub struct RunId(String);

impl RunId {
    /// The run that this execution opens for this workload.
    #[must_use]
    pub fn of_execution(workload: &WorkloadName, execution: &str) -> Self {
        Self(format!("{workload}-{}", Digest::of(execution.as_bytes()).short()))
    }

    /// The name of the workload that it recovers.
    #[must_use]
    pub fn workload(&self) -> &str {
        self.0.rsplit_once('-').map_or("", |(workload, _)| workload)
    }
}

/// The text is not a run id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a run id: a workload name, `-` and 12 hexadecimal digits")]
pub struct InvalidRunId(String);

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let well_formed = text.rsplit_once('-').is_some_and(|(workload, suffix)| {
            suffix.len() == 12
                && suffix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                && WorkloadName::try_from(workload.to_owned()).is_ok()
        });
        if well_formed {
            Ok(Self(text))
        } else {
            Err(InvalidRunId(text))
        }
    }
}

/// Whether a run is the real thing.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Mode {
    /// Something happened; the outcome becomes production.
    Incident,
    /// A rehearsal; what it creates is removed afterwards.
    Drill,
}

/// How a run ended.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Conclusion {
    /// Traffic is served by the new account and the old one is shut out.
    Recovered,
    /// An approver refused the decision package. Nothing past the gate happened.
    Refused,
    /// Nobody decided in time. Nothing past the gate happened.
    Expired,
    /// No recovery set was proven clean. Nothing past the gate happened.
    NoCleanPoint,
    /// A stage before the gate failed. Nothing past the gate happened.
    Failed,
    /// A drill: everything up to the cutover was done, the cutover itself was planned and prechecked.
    Rehearsed,
    /// Cutover was undone; the references and records are as they were.
    Reverted,
    /// An operator gave up, with a rationale; the journal says what is open.
    Abandoned,
}

/// What asked for a recovery. A trigger is a hint: it may start a run, it never decides one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Trigger {
    /// A GuardDuty finding, as delivered by EventBridge.
    Finding {
        /// The finding's id; deliveries that repeat it are the same trigger.
        id: String,
        /// The account the finding is about.
        account: AccountId,
        /// Finding type, for example `Impact:S3/AnomalousBehavior.Delete`.
        finding_type: String,
        /// Severity, 1.0 to 10.0.
        severity: f64,
        /// `service.eventFirstSeen`: when the finding's activity began.
        first_seen: Option<Timestamp>,
        /// Whose activity it is, as far as the finding says: the pivot looks for them in the logs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        actors: Vec<Who>,
    },
    /// A person, from the console or the command line.
    Manual {
        /// The caller, where the input names one; otherwise the execution's own id.
        requested_by: String,
        /// The event boundary as this person sees it. It counts like evidence: it can make the boundary earlier,
        /// never later.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boundary: Option<Timestamp>,
    },
}

impl Trigger {
    /// Whether it says something about the event itself, beyond asking for a recovery.
    #[must_use]
    pub fn is_evidence(&self) -> bool {
        match self {
            Self::Finding { first_seen, .. } => first_seen.is_some(),
            Self::Manual { boundary, .. } => boundary.is_some(),
        }
    }
}

/// The run's own record in the ledger, under [`crate::ledger::Key::run`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// The run.
    pub run: RunId,
    /// The workload.
    pub workload: WorkloadName,
    /// Incident or drill.
    pub mode: Mode,
    /// The plan, frozen for this run.
    pub plan: ArtifactRef,
    /// What opened the run. Its requester may not approve it.
    pub trigger: Trigger,
    /// ARN of the execution that recovers the workload.
    pub execution: String,
    /// When the execution began.
    pub started: Timestamp,
    /// How it ended; absent while it lives.
    pub conclusion: Option<Conclusion>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_is_stable_and_parses_back() {
        let workload = WorkloadName::try_from("orders".to_owned()).unwrap();
        let id = RunId::of_execution(
            &workload,
            "arn:aws:states:us-east-1:111111111111:execution:recovery:x",
        );
        assert_eq!(
            id,
            RunId::of_execution(
                &workload,
                "arn:aws:states:us-east-1:111111111111:execution:recovery:x"
            )
        );
        assert_ne!(
            id,
            RunId::of_execution(
                &workload,
                "arn:aws:states:us-east-1:111111111111:execution:recovery:y"
            )
        );
        assert_eq!(RunId::try_from(id.as_str().to_owned()).unwrap(), id);
    }

    #[test]
    fn names_and_ids_refuse_what_could_leave_their_alphabet() {
        for bad in [
            "",
            "Orders",
            "1orders",
            "orders/../x",
            "o\u{202e}",
            &"a".repeat(41),
            "orders\n",
        ] {
            assert!(WorkloadName::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        for bad in [
            "",
            "12345678901",
            "1234567890123",
            "12345678901x",
            "１２３４５６７８９０１２",
        ] {
            assert!(AccountId::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
