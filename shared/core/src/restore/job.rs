//! The run's restore jobs as the ledger keeps them, and what AWS Backup says about them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::RestoreRequest;
use crate::artifact::{ArtifactRef, Digest};
use crate::validation::verdict::RestoreState;

/// The restore jobs of a run, under [`crate::ledger::Key::restore`].
///
/// It is written before the first job is started: the record of what this run is about to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreRecord {
    /// Digest of the approved decision package.
    pub package: Digest,
    /// Plan resource id to its job.
    pub jobs: BTreeMap<String, RestoreJob>,
    /// The document of what was restored, once everything was compared: from then on the data may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<ArtifactRef>,
}

/// One restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreJob {
    /// Recovery point ARN.
    pub recovery_point: String,
    /// ARN of the new resource; up to its last `/` or `:` where AWS chooses the id.
    pub arn: String,
    /// What the job is told: fixed before the first is started, so that a repeat tells the same.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// How often an operator had it begun anew after a failed job.
    #[serde(default)]
    pub attempt: u32,
    /// The jobs that failed before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// AWS Backup's job id; absent until the job is known to be started.
    pub id: Option<String>,
    /// ARN of what the job made, once it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// Whether the new resource was given the run's tag.
    #[serde(default)]
    pub marked: bool,
    /// Hooks of its fix-ups that were asked, and what each answered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<String, String>,
    /// By what it is known that a stack has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<String>,
}

impl RestoreRecord {
    /// The record of what is about to be started.
    #[must_use]
    pub fn intend(package: &Digest, requests: &[RestoreRequest]) -> Self {
        let jobs = requests
            .iter()
            .map(|request| {
                let job = RestoreJob {
                    recovery_point: request.recovery_point.clone(),
                    arn: request.arn.clone(),
                    metadata: request.metadata.clone(),
                    attempt: 0,
                    failed: Vec::new(),
                    id: None,
                    made: None,
                    marked: false,
                    hooks: BTreeMap::new(),
                    adopted: None,
                };
                (request.resource.clone(), job)
            })
            .collect();
        Self {
            package: package.clone(),
            jobs,
            verified: None,
        }
    }

    /// Whether this is the record of the same restores, whatever has been started of them.
    #[must_use]
    pub fn is_same_intent(&self, other: &Self) -> bool {
        let intents = |record: &Self| {
            record
                .jobs
                .iter()
                .map(|(resource, job)| (resource.clone(), job.recovery_point.clone(), job.arn.clone()))
                .collect::<Vec<_>>()
        };
        self.package == other.package && intents(self) == intents(other)
    }
}

impl RestoreJob {
    /// ARN of the new resource, as far as it is known.
    #[must_use]
    pub fn made(&self) -> &str {
        self.made.as_deref().unwrap_or(&self.arn)
    }

    /// ARN of what there is to look at: what AWS Backup says that it made comes before what was noted so far. `None` while
    /// AWS has not said which id it chose.
    #[must_use]
    pub fn known<'a>(&'a self, state: Option<&'a JobState>) -> Option<&'a str> {
        let arn = match state {
            Some(JobState::Completed { made, .. }) => made,
            Some(JobState::Running | JobState::Failed { .. }) | None => self.made(),
        };
        (!arn.ends_with(['/', ':'])).then_some(arn)
    }

    /// Begins anew after a failed job, once an operator had the run go on `attempt` times.
    pub fn begin_anew(&mut self, attempt: u32) {
        if let Some(failed) = self.id.take_if(|_| self.attempt < attempt) {
            self.failed.push(failed);
            self.attempt = attempt;
        }
    }
}

/// Whether AWS Backup made what it should have: exactly `expected`, or something directly below it where that is only the
/// beginning of an ARN.
fn is_expected(created: &str, expected: &str) -> bool {
    match created.strip_prefix(expected) {
        Some("") => true,
        Some(id) => {
            expected.ends_with(['/', ':'])
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-/".contains(&b))
        }
        None => false,
    }
}

/// What a restore job has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Ask again later.
    Running,
    /// It says that it is completed. Whether the content is right is for the comparison to say.
    Completed {
        /// What AWS Backup adds: it completes jobs that lost objects, and says so only here.
        remark: Option<String>,
        /// ARN of what it made.
        made: String,
    },
    /// It restored nothing, or something else.
    Failed {
        /// Why.
        why: String,
        /// Whether it ended without making anything, so that another job may follow.
        empty: bool,
    },
}

impl JobState {
    /// Reads what AWS Backup says about the job that should have made `arn`.
    #[must_use]
    pub fn of(state: &RestoreState, message: Option<&str>, created: Option<&str>, arn: &str) -> Self {
        let failed = |what: &str, empty: bool| Self::Failed {
            empty: empty && created.is_none(),
            why: format!(
                "it {what}: {}",
                message.map_or_else(
                    || "no reason given".to_owned(),
                    |message| message.escape_debug().to_string()
                )
            ),
        };
        match state {
            RestoreState::Running => Self::Running,
            // The first state of a job, which only some of AWS Backup's interfaces show.
            RestoreState::Other(name) if name == "CREATED" => Self::Running,
            RestoreState::Completed => match created {
                Some(created) if !is_expected(created, arn) => Self::Failed {
                    why: format!("it made `{}`, not `{arn}`", created.escape_debug()),
                    empty: false,
                },
                None if arn.ends_with(['/', ':']) => {
                    failed("is completed and does not say what it made", false)
                }
                Some(_) | None => Self::Completed {
                    remark: message.map(str::to_owned),
                    made: created.unwrap_or(arn).to_owned(),
                },
            },
            RestoreState::Aborted => failed("was aborted", true),
            RestoreState::Failed => failed("failed", true),
            RestoreState::Other(name) => failed(
                &format!("is in the unknown state `{}`", name.escape_debug()),
                false,
            ),
        }
    }
}
