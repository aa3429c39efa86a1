//! The run's restore jobs as the ledger keeps them, and what AWS Backup says about them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::RestoreRequest;
use crate::artifact::Digest;
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
}

/// One restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreJob {
    /// Recovery point ARN.
    pub recovery_point: String,
    /// ARN of the new resource.
    pub arn: String,
    /// AWS Backup's job id; absent until the job is known to be started.
    pub id: Option<String>,
    /// Whether the new resource was given the run's tag.
    #[serde(default)]
    pub marked: bool,
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
                    id: None,
                    marked: false,
                };
                (request.resource.clone(), job)
            })
            .collect();
        Self {
            package: package.clone(),
            jobs,
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

/// What a restore job has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Ask again later.
    Running,
    /// It says that it is completed. Whether the content is right is for the comparison to say.
    Completed {
        /// What AWS Backup adds: it completes jobs that lost objects, and says so only here.
        remark: Option<String>,
    },
    /// It restored nothing, or something else.
    Failed {
        /// Why.
        why: String,
    },
}

impl JobState {
    /// Reads what AWS Backup says about the job that should have made `arn`.
    #[must_use]
    pub fn of(state: &RestoreState, message: Option<&str>, created: Option<&str>, arn: &str) -> Self {
        let failed = |what: &str| Self::Failed {
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
                Some(created) if created != arn => Self::Failed {
                    why: format!("it made `{}`, not `{arn}`", created.escape_debug()),
                },
                Some(_) | None => Self::Completed {
                    remark: message.map(str::to_owned),
                },
            },
            RestoreState::Aborted => failed("was aborted"),
            RestoreState::Failed => failed("failed"),
            RestoreState::Other(name) => {
                failed(&format!("is in the unknown state `{}`", name.escape_debug()))
            }
        }
    }
}
