//! Restored copies as they are now, and the tag that says whose they are.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::TableStatus;
use blackstart_core::plan::ResourceType;
use blackstart_core::rebuild::request::RUN_TAG;
use blackstart_core::restore::removal::CopyState;
use blackstart_core::restore::resource::{mark, run_of, template_type};
use blackstart_core::run::RunId;

use super::{ContentReader, cloud_resource, unknown_to_cloud_control};
use crate::port::{Effect, PortError, classify};

impl ContentReader {
    /// A bucket or table as it is now, with the run whose tag it carries. `arn` is its own.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn copy(
        &self,
        resource_type: ResourceType,
        name: &str,
        arn: &str,
    ) -> Result<CopyState, PortError> {
        let found = match resource_type {
            ResourceType::S3 => self.bucket_tags(name).await.map(Some),
            ResourceType::DynamoDb => self.table_tags(name, arn).await,
            ResourceType::Rds
            | ResourceType::Aurora
            | ResourceType::Ebs
            | ResourceType::Ec2
            | ResourceType::Efs
            | ResourceType::Fsx => return self.other(resource_type, arn).await,
        };
        match found {
            Ok(Some(mut tags)) => Ok(CopyState::Present {
                run: tags.remove(RUN_TAG),
            }),
            Ok(None) => Ok(CopyState::Deleting),
            Err(PortError::NotFound { .. }) => Ok(CopyState::Absent),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn other(&self, resource_type: ResourceType, arn: &str) -> Result<CopyState, PortError> {
        let Some(resource) = cloud_resource(resource_type, arn) else {
            return Ok(CopyState::Unknown);
        };
        let found = self.others.get(&resource).await?;
        Ok(found.map_or(CopyState::Absent, |properties| CopyState::Present {
            run: run_of(resource_type, &properties).map(str::to_owned),
        }))
    }

    pub(super) async fn mark_other(
        &self,
        resource_type: ResourceType,
        arn: &str,
        run: &RunId,
    ) -> Result<bool, PortError> {
        // Nothing of this type is ever removed here, so that no tag has to tell it from others.
        if template_type(resource_type).is_none() {
            return Ok(true);
        }
        let Some(resource) = cloud_resource(resource_type, arn) else {
            return Err(unknown_to_cloud_control(format!("tagging `{arn}`")));
        };
        let Some(properties) = self.others.get(&resource).await? else {
            return Err(PortError::NotFound {
                what: format!("tagging `{arn}`"),
                why: "it is not there".to_owned(),
            });
        };
        if run_of(resource_type, &properties) == Some(run.as_str()) {
            return Ok(true);
        }
        let patch = mark(resource_type, &properties, run);
        self.others.patch(&resource, &patch).await?;
        Ok(false)
    }

    /// Gives a restored resource the tag of a run, beside the tags that it has. A repeat is harmless. `false`: it was
    /// asked for, and is not there yet.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn mark(
        &self,
        resource_type: ResourceType,
        name: &str,
        arn: &str,
        run: &RunId,
    ) -> Result<bool, PortError> {
        if !resource_type.is_readable() {
            return self.mark_other(resource_type, arn, run).await;
        }
        let what = format!("tagging `{arn}`");
        let unfit = |error: &dyn std::error::Error| PortError::Refused {
            what: what.clone(),
            why: error.to_string(),
        };
        match resource_type {
            ResourceType::S3 => {
                // The call replaces the whole set.
                let mut tags = self.bucket_tags(name).await?;
                tags.insert(RUN_TAG.to_owned(), run.to_string());
                let mut set = aws_sdk_s3::types::Tagging::builder();
                for (key, value) in tags {
                    let tag = aws_sdk_s3::types::Tag::builder().key(key).value(value).build();
                    set = set.tag_set(tag.map_err(|error| unfit(&error))?);
                }
                self.s3
                    .put_bucket_tagging()
                    .bucket(name)
                    .tagging(set.build().map_err(|error| unfit(&error))?)
                    .send()
                    .await
                    .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
            }
            ResourceType::DynamoDb => {
                let tag = aws_sdk_dynamodb::types::Tag::builder()
                    .key(RUN_TAG)
                    .value(run.as_str())
                    .build()
                    .map_err(|error| unfit(&error))?;
                self.dynamodb
                    .tag_resource()
                    .resource_arn(arn)
                    .tags(tag)
                    .send()
                    .await
                    .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
            }
            ResourceType::Rds
            | ResourceType::Aurora
            | ResourceType::Ebs
            | ResourceType::Ec2
            | ResourceType::Efs
            | ResourceType::Fsx => {}
        }
        Ok(true)
    }

    pub(super) async fn bucket_tags(&self, bucket: &str) -> Result<BTreeMap<String, String>, PortError> {
        match self.s3.get_bucket_tagging().bucket(bucket).send().await {
            Ok(answer) => Ok(answer
                .tag_set
                .into_iter()
                .map(|tag| (tag.key, tag.value))
                .collect()),
            // S3's word for a bucket without tags.
            Err(error) if error.code() == Some("NoSuchTagSet") => Ok(BTreeMap::new()),
            Err(error) => Err(classify(
                format!("reading the tags of bucket `{bucket}`"),
                Effect::Read,
                &error,
            )),
        }
    }

    /// `None`: the table is being deleted.
    pub(super) async fn table_tags(
        &self,
        table: &str,
        arn: &str,
    ) -> Result<Option<BTreeMap<String, String>>, PortError> {
        let described = self
            .dynamodb
            .describe_table()
            .table_name(table)
            .send()
            .await
            .map_err(|error| classify(format!("describing table `{table}`"), Effect::Read, &error))?;
        let status = described.table.and_then(|table| table.table_status);
        if status == Some(TableStatus::Deleting) {
            return Ok(None);
        }
        let mut tags = BTreeMap::new();
        let mut next = None;
        loop {
            let page = self
                .dynamodb
                .list_tags_of_resource()
                .resource_arn(arn)
                .set_next_token(next)
                .send()
                .await
                .map_err(|error| {
                    classify(
                        format!("reading the tags of table `{table}`"),
                        Effect::Read,
                        &error,
                    )
                })?;
            tags.extend(
                page.tags
                    .unwrap_or_default()
                    .into_iter()
                    .map(|tag| (tag.key, tag.value)),
            );
            next = page.next_token;
            if next.is_none() {
                return Ok(Some(tags));
            }
        }
    }
}
