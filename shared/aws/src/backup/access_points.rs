//! AWS Backup: access points, through which a bucket's recovery point is read without being restored.

use aws_sdk_backup::operation::create_backup_access_point::CreateBackupAccessPointError;
use aws_sdk_backup::types::AccessPointStatus;
use blackstart_core::validation::access_point::AccessPointState;

use super::Backup;
use crate::port::{Effect, PortError, classify};

/// What `DescribeBackupAccessPoint` calls the name by which S3 reads.
const ALIAS: &str = "S3AccessPointAlias";

impl Backup {
    /// Makes an access point of this name and returns its ARN; of one that is there already, its ARN. Names are unique in
    /// the account and region, so a repeat makes nothing twice.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn create_access_point(&self, name: &str, point: &str) -> Result<String, PortError> {
        let answer = self
            .client
            .create_backup_access_point()
            .name(name)
            .recovery_point_arn(point)
            .send()
            .await;
        let error = match answer {
            Ok(answer) => return Ok(answer.access_point_arn),
            Err(error) => error,
        };
        if let Some(CreateBackupAccessPointError::AlreadyExistsException(there)) = error.as_service_error()
            && let Some(arn) = &there.arn
        {
            return Ok(arn.clone());
        }
        let what = format!("making an access point for `{point}`");
        Err(classify(what, Effect::IdempotentWrite, &error))
    }

    /// Asks for an access point.
    ///
    /// # Errors
    /// [`PortError`].
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what AWS adds later is kept by name and means that it cannot be used"
    )]
    pub async fn access_point(&self, arn: &str) -> Result<AccessPointState, PortError> {
        let answer = self
            .client
            .describe_backup_access_point()
            .access_point_arn(arn)
            .send()
            .await
            .map_err(|error| classify(format!("asking for access point `{arn}`"), Effect::Read, &error))?;
        let told = answer.status_message.unwrap_or_default();
        let mut metadata = answer.access_point_metadata.unwrap_or_default();
        Ok(match answer.status {
            AccessPointStatus::Creating => AccessPointState::Creating,
            AccessPointStatus::Available => match metadata.remove(ALIAS) {
                Some(alias) => AccessPointState::Available { alias },
                None => AccessPointState::Unusable("it is available, but has no alias for S3".to_owned()),
            },
            other => {
                AccessPointState::Unusable(format!("it is {} {told}", other.as_str()).trim_end().to_owned())
            }
        })
    }

    /// Removes an access point. `false`: there was none. Until it is gone, AWS Backup keeps the recovery point from its
    /// lifecycle and from deletion.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn remove_access_point(&self, arn: &str) -> Result<bool, PortError> {
        let removed = self
            .client
            .delete_backup_access_point()
            .access_point_arn(arn)
            .send()
            .await;
        let what = format!("removing access point `{arn}`");
        match removed.map_err(|error| classify(what, Effect::IdempotentWrite, &error)) {
            Ok(_) => Ok(true),
            Err(PortError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
