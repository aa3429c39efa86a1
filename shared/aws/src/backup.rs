//! AWS Backup: recovery points, restore jobs and malware scan jobs.

use std::collections::BTreeMap;

use aws_sdk_backup::types::{
    MalwareScanner, RecoveryPointByBackupVault, RecoveryPointStatus, RestoreJobStatus,
    RestoreValidationStatus, ScanMode, ScanResultStatus, ScanState as SdkScanState,
};
use blackstart_core::plan::{ResourceType, Vault};
use blackstart_core::restore::composite::{Told, whole};
use blackstart_core::validation::candidates::{PointStatus, RecoveryPoint};
use blackstart_core::validation::verdict::{RestoreState, ScanResult, ScanState};
use jiff::Timestamp;

use crate::port::{Effect, PortError, classify};

mod access_points;

/// AWS Backup as one account sees it.
#[derive(Debug, Clone)]
pub struct Backup {
    client: aws_sdk_backup::Client,
}

/// A restore to start.
#[derive(Debug, Clone)]
pub struct StartRestore<'a> {
    /// Recovery point ARN.
    pub point: &'a str,
    /// What it holds.
    pub resource_type: ResourceType,
    /// Role that AWS Backup uses to create the resource, in the account of the caller.
    pub role_arn: &'a str,
    /// Restore metadata, for example the new name.
    pub metadata: BTreeMap<String, String>,
    /// A repeat with the same token starts nothing and returns the same job.
    pub token: &'a str,
}

/// A restore job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreJob {
    /// Its state.
    pub state: RestoreState,
    /// What AWS Backup says about it. A completed job with a message was completed with issues.
    pub message: Option<String>,
    /// ARN of what was created; known only once the job is complete.
    pub created: Option<String>,
}

/// A malware scan to start.
#[derive(Debug, Clone)]
pub struct StartScan<'a> {
    /// Name of the vault that holds the point.
    pub vault: &'a str,
    /// Recovery point ARN.
    pub point: &'a str,
    /// Role that AWS Backup uses.
    pub role_arn: &'a str,
    /// Role that the scanner uses.
    pub scanner_role_arn: &'a str,
    /// A repeat with the same token starts nothing and returns the same job.
    pub token: &'a str,
}

/// A malware scan job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanJob {
    /// Its state.
    pub state: ScanState,
    /// What it found; may be absent although the job is complete.
    pub result: Option<ScanResult>,
    /// What AWS Backup says about it.
    pub message: Option<String>,
}

impl Backup {
    /// AWS Backup with this configuration's account and region.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: aws_sdk_backup::Client::new(config),
        }
    }

    /// All recovery points of a resource in a vault, of every status.
    ///
    /// # Errors
    /// [`PortError`]; a vault that does not exist is [`PortError::NotFound`].
    pub async fn recovery_points(
        &self,
        vault: &Vault,
        resource_arn: &str,
    ) -> Result<Vec<RecoveryPoint>, PortError> {
        let mut points = Vec::new();
        let mut pages = self
            .client
            .list_recovery_points_by_backup_vault()
            .backup_vault_name(&vault.name)
            .set_backup_vault_account_id(vault.account.as_ref().map(ToString::to_string))
            .by_resource_arn(resource_arn)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                classify(
                    format!(
                        "listing recovery points of `{resource_arn}` in vault `{}`",
                        vault.name
                    ),
                    Effect::Read,
                    &error,
                )
            })?;
            points.extend(
                page.recovery_points
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(read_point),
            );
        }
        Ok(points)
    }

    /// What a recovery point remembers of the resource that it was taken of: names, networks, keys, roles.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn restore_metadata(
        &self,
        vault: &Vault,
        point: &str,
    ) -> Result<BTreeMap<String, String>, PortError> {
        let answer = self
            .client
            .get_recovery_point_restore_metadata()
            .backup_vault_name(&vault.name)
            .set_backup_vault_account_id(vault.account.as_ref().map(ToString::to_string))
            .recovery_point_arn(point)
            .send()
            .await
            .map_err(|error| {
                classify(
                    format!("reading the restore metadata of `{point}`"),
                    Effect::Read,
                    &error,
                )
            })?;
        Ok(answer.restore_metadata.unwrap_or_default().into_iter().collect())
    }

    /// Starts a restore and returns the job's id. A repeat with the same token returns the same job.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn start_restore(&self, start: StartRestore<'_>) -> Result<String, PortError> {
        let what = format!("starting the restore of `{}`", start.point);
        let resource_type: &str = start.resource_type.into();
        let answer = self
            .client
            .start_restore_job()
            .recovery_point_arn(start.point)
            .resource_type(resource_type)
            .iam_role_arn(start.role_arn)
            .set_metadata(Some(start.metadata.into_iter().collect()))
            .idempotency_token(start.token)
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
        answer.restore_job_id.ok_or_else(|| without_id(what))
    }

    /// Asks for a restore job; one with child jobs is what all of them together are.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn restore_job(&self, id: &str) -> Result<RestoreJob, PortError> {
        let answer = self
            .client
            .describe_restore_job()
            .restore_job_id(id)
            .send()
            .await
            .map_err(|error| classify(format!("asking for restore job `{id}`"), Effect::Read, &error))?;
        let own = Told {
            id: id.to_owned(),
            state: restore_state(answer.status),
            message: answer.status_message,
            created: answer.created_resource_arn,
        };
        let told = if answer.is_parent {
            whole(own, self.child_jobs(id).await?)
        } else {
            own
        };
        Ok(RestoreJob {
            state: told.state,
            message: told.message,
            created: told.created,
        })
    }

    /// The child jobs of a restore job.
    async fn child_jobs(&self, id: &str) -> Result<Vec<Told>, PortError> {
        let mut children = Vec::new();
        let mut pages = self
            .client
            .list_restore_jobs()
            .by_parent_job_id(id)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                classify(
                    format!("listing the child jobs of restore job `{id}`"),
                    Effect::Read,
                    &error,
                )
            })?;
            children.extend(
                page.restore_jobs
                    .unwrap_or_default()
                    .into_iter()
                    .map(|child| Told {
                        id: child.restore_job_id.unwrap_or_default(),
                        state: restore_state(child.status),
                        message: child.status_message,
                        created: child.created_resource_arn,
                    }),
            );
        }
        Ok(children)
    }

    /// Starts a full malware scan of a recovery point and returns the job's id.
    ///
    /// Full, because the walk goes backwards: an incremental scan needs an older base that was scanned.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn start_scan(&self, start: StartScan<'_>) -> Result<String, PortError> {
        let what = format!("starting the malware scan of `{}`", start.point);
        let answer = self
            .client
            .start_scan_job()
            .backup_vault_name(start.vault)
            .recovery_point_arn(start.point)
            .iam_role_arn(start.role_arn)
            .scanner_role_arn(start.scanner_role_arn)
            .malware_scanner(MalwareScanner::Guardduty)
            .scan_mode(ScanMode::FullScan)
            .idempotency_token(start.token)
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
        Ok(answer.scan_job_id)
    }

    /// Asks for a malware scan job.
    ///
    /// # Errors
    /// [`PortError`].
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what AWS adds later is kept by name and means unknown"
    )]
    pub async fn scan_job(&self, id: &str) -> Result<ScanJob, PortError> {
        let answer = self
            .client
            .describe_scan_job()
            .scan_job_id(id)
            .send()
            .await
            .map_err(|error| classify(format!("asking for scan job `{id}`"), Effect::Read, &error))?;
        let state = match answer.state {
            SdkScanState::Created | SdkScanState::Running => ScanState::Running,
            SdkScanState::Completed => ScanState::Completed,
            SdkScanState::CompletedWithIssues => ScanState::CompletedWithIssues,
            SdkScanState::Failed => ScanState::Failed,
            SdkScanState::Canceled => ScanState::Canceled,
            other => ScanState::Other(other.as_str().to_owned()),
        };
        let result = answer.scan_result.map(|result| match result.scan_result_status {
            ScanResultStatus::NoThreatsFound => ScanResult::NoThreats,
            ScanResultStatus::ThreatsFound => ScanResult::Threats,
            other => ScanResult::Other(other.as_str().to_owned()),
        });
        Ok(ScanJob {
            state,
            result,
            message: answer.status_message,
        })
    }

    /// Tells AWS Backup whether a restore job's result was valid. It cannot be changed afterwards.
    ///
    /// # Errors
    /// [`PortError`]; a job that has a result already refuses another.
    pub async fn put_validation_result(&self, id: &str, valid: bool, message: &str) -> Result<(), PortError> {
        let status = if valid {
            RestoreValidationStatus::Successful
        } else {
            RestoreValidationStatus::Failed
        };
        self.client
            .put_restore_validation_result()
            .restore_job_id(id)
            .validation_status(status)
            .validation_status_message(message)
            .send()
            .await
            .map_err(|error| {
                classify(
                    format!("setting the validation result of restore job `{id}`"),
                    Effect::IdempotentWrite,
                    &error,
                )
            })?;
        Ok(())
    }
}

fn restore_state(status: Option<RestoreJobStatus>) -> RestoreState {
    match status {
        Some(RestoreJobStatus::Pending | RestoreJobStatus::Running) => RestoreState::Running,
        Some(RestoreJobStatus::Completed) => RestoreState::Completed,
        Some(RestoreJobStatus::Aborted) => RestoreState::Aborted,
        Some(RestoreJobStatus::Failed) => RestoreState::Failed,
        other => RestoreState::Other(other.map(|status| status.as_str().to_owned()).unwrap_or_default()),
    }
}

fn without_id(what: String) -> PortError {
    PortError::OutcomeUnknown {
        what,
        why: "the answer holds no job id".to_owned(),
    }
}

fn read_point(point: RecoveryPointByBackupVault) -> Option<RecoveryPoint> {
    let status = match point.status {
        Some(RecoveryPointStatus::Completed) => PointStatus::Completed,
        Some(RecoveryPointStatus::Available) => PointStatus::Available,
        Some(RecoveryPointStatus::Creating) => PointStatus::Creating,
        Some(RecoveryPointStatus::Partial) => PointStatus::Partial,
        Some(RecoveryPointStatus::Stopped) => PointStatus::Stopped,
        Some(RecoveryPointStatus::Expired) => PointStatus::Expired,
        Some(RecoveryPointStatus::Deleting) => PointStatus::Deleting,
        other => PointStatus::Other(other.map(|status| status.as_str().to_owned()).unwrap_or_default()),
    };
    Some(RecoveryPoint {
        arn: point.recovery_point_arn?,
        resource_arn: point.resource_arn,
        resource_type: point.resource_type,
        status,
        initiated: point.initiation_date.and_then(instant),
        created: point.creation_date.and_then(instant),
        completed: point.completion_date.and_then(instant),
        delete_at: point
            .calculated_lifecycle
            .and_then(|lifecycle| lifecycle.delete_at)
            .and_then(instant),
        bytes: point
            .backup_size_in_bytes
            .and_then(|bytes| u64::try_from(bytes).ok()),
        is_parent: point.is_parent,
    })
}

/// Outside the years that can be written, nothing is known.
fn instant(at: aws_smithy_types::DateTime) -> Option<Timestamp> {
    let nanoseconds = i32::try_from(at.subsec_nanos()).ok()?;
    Timestamp::new(at.secs(), nanoseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_keeps_its_instants_to_the_fraction() {
        let point = RecoveryPointByBackupVault::builder()
            .recovery_point_arn("arn")
            .status(RecoveryPointStatus::from("NEW_STATUS"))
            .completion_date(aws_smithy_types::DateTime::from_secs_f64(1_700_000_000.25))
            .build();
        let point = read_point(point).unwrap();
        assert_eq!(point.status, PointStatus::Other("NEW_STATUS".to_owned()));
        assert_eq!(point.completed, Some("2023-11-14T22:13:20.25Z".parse().unwrap()));
        assert_eq!(point.created, None);
    }

    #[test]
    fn a_point_without_an_arn_is_no_point() {
        assert_eq!(read_point(RecoveryPointByBackupVault::builder().build()), None);
    }
}
