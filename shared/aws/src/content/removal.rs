//! Taking a restored copy away again.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use blackstart_core::plan::ResourceType;

use super::{ContentReader, cloud_resource, unknown_to_cloud_control};
use crate::port::{Effect, PortError, classify};

/// Where a listing of versions goes on.
#[derive(Debug, Clone, Default)]
struct VersionMarker {
    key: Option<String>,
    version: Option<String>,
}

impl ContentReader {
    /// Removes a bucket with every version of every object, a table, or what else was restored with this ARN. `false`:
    /// there was none.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn remove(
        &self,
        resource_type: ResourceType,
        name: &str,
        arn: &str,
    ) -> Result<bool, PortError> {
        let removed = match resource_type {
            ResourceType::S3 => self.remove_bucket(name).await,
            ResourceType::DynamoDb => self.remove_table(name).await,
            ResourceType::Rds
            | ResourceType::Aurora
            | ResourceType::Ebs
            | ResourceType::Ec2
            | ResourceType::Efs
            | ResourceType::Fsx => {
                let Some(resource) = cloud_resource(resource_type, arn) else {
                    return Err(unknown_to_cloud_control(format!("deleting `{arn}`")));
                };
                return self.others.delete(&resource).await;
            }
        };
        match removed {
            Ok(()) => Ok(true),
            Err(PortError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn remove_bucket(&self, bucket: &str) -> Result<(), PortError> {
        let mut marker = VersionMarker::default();
        loop {
            let (found, next) = self.versions(bucket, marker).await?;
            if !found.is_empty() {
                self.delete(bucket, found).await?;
            }
            match next {
                Some(next) => marker = next,
                None => break,
            }
        }
        self.s3
            .delete_bucket()
            .bucket(bucket)
            .send()
            .await
            .map_err(|error| {
                classify(
                    format!("deleting bucket `{bucket}`"),
                    Effect::IdempotentWrite,
                    &error,
                )
            })?;
        Ok(())
    }

    async fn versions(
        &self,
        bucket: &str,
        marker: VersionMarker,
    ) -> Result<(Vec<ObjectIdentifier>, Option<VersionMarker>), PortError> {
        let page = self
            .s3
            .list_object_versions()
            .bucket(bucket)
            .set_key_marker(marker.key)
            .set_version_id_marker(marker.version)
            .send()
            .await
            .map_err(|error| {
                classify(
                    format!("listing versions in bucket `{bucket}`"),
                    Effect::Read,
                    &error,
                )
            })?;
        let versions = page
            .versions
            .unwrap_or_default()
            .into_iter()
            .map(|v| (v.key, v.version_id));
        let markers = page
            .delete_markers
            .unwrap_or_default()
            .into_iter()
            .map(|m| (m.key, m.version_id));
        let found = versions
            .chain(markers)
            .filter_map(|(key, version)| {
                ObjectIdentifier::builder()
                    .key(key?)
                    .set_version_id(version)
                    .build()
                    .ok()
            })
            .collect();
        let more = page.is_truncated.unwrap_or(false) && page.next_key_marker.is_some();
        let next = more.then_some(VersionMarker {
            key: page.next_key_marker,
            version: page.next_version_id_marker,
        });
        Ok((found, next))
    }

    async fn delete(&self, bucket: &str, found: Vec<ObjectIdentifier>) -> Result<(), PortError> {
        let what = format!("emptying bucket `{bucket}`");
        let delete = Delete::builder()
            .set_objects(Some(found))
            .quiet(true)
            .build()
            .map_err(|error| PortError::Refused {
                what: what.clone(),
                why: error.to_string(),
            })?;
        let answer = self
            .s3
            .delete_objects()
            .bucket(bucket)
            .delete(delete)
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
        match answer.errors().first() {
            None => Ok(()),
            Some(error) => Err(PortError::Refused {
                what,
                why: format!(
                    "{} on `{}`",
                    error.code().unwrap_or("no code"),
                    error.key().unwrap_or("no key")
                ),
            }),
        }
    }
}
