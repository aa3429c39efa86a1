//! Settings of restored resources that a restore loses: read, put back, read again.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{
    PointInTimeRecoverySpecification, PointInTimeRecoveryStatus, StreamSpecification, StreamViewType,
    TableStatus, TimeToLiveSpecification,
};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketVersioningStatus, EventBridgeConfiguration, ExpirationStatus,
    LifecycleExpiration, LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration,
    NotificationConfiguration, VersioningConfiguration,
};
use blackstart_core::plan::{ExpiryRule, FixUp, ResourceType};
use blackstart_core::restore::fix_up::{BucketSettings, Settings, TableSettings, patch};
use serde_json::Value;

use super::{ContentReader, cloud_resource, unknown_to_cloud_control};
use crate::port::{Effect, PortError, classify};

impl ContentReader {
    /// The settings of a bucket or table that a fix-up can put back.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn settings(
        &self,
        resource_type: ResourceType,
        name: &str,
        arn: &str,
    ) -> Result<Settings, PortError> {
        match resource_type {
            ResourceType::S3 => self.bucket_settings(name).await.map(Settings::Bucket),
            ResourceType::DynamoDb => self.table_settings(name, arn).await.map(Settings::Table),
            ResourceType::Rds
            | ResourceType::Aurora
            | ResourceType::Ebs
            | ResourceType::Ec2
            | ResourceType::Efs
            | ResourceType::Fsx => self.properties(resource_type, arn).await,
        }
    }

    /// The properties of a resource as in a template, through Cloud Control API.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn properties(&self, resource_type: ResourceType, arn: &str) -> Result<Settings, PortError> {
        let what = || format!("reading the properties of `{arn}`");
        let resource = cloud_resource(resource_type, arn).ok_or_else(|| unknown_to_cloud_control(what()))?;
        let found = self.others.get(&resource).await?;
        found
            .map(Settings::Properties)
            .ok_or_else(|| PortError::NotFound {
                what: what(),
                why: "it is not there".to_owned(),
            })
    }

    async fn table_settings(&self, table: &str, arn: &str) -> Result<TableSettings, PortError> {
        let failed = |what: &str| format!("reading the {what} of table `{table}`");
        let described = self
            .dynamodb
            .describe_table()
            .table_name(table)
            .send()
            .await
            .map_err(|error| classify(failed("settings"), Effect::Read, &error))?;
        let described = described.table.ok_or_else(|| PortError::NotFound {
            what: failed("settings"),
            why: "the answer holds no table".to_owned(),
        })?;
        let time_to_live = self
            .dynamodb
            .describe_time_to_live()
            .table_name(table)
            .send()
            .await
            .map_err(|error| classify(failed("expiry"), Effect::Read, &error))?
            .time_to_live_description;
        let backups = self
            .dynamodb
            .describe_continuous_backups()
            .table_name(table)
            .send()
            .await
            .map_err(|error| classify(failed("continuous backups"), Effect::Read, &error))?
            .continuous_backups_description;
        Ok(TableSettings {
            is_active: described.table_status == Some(TableStatus::Active),
            time_to_live: time_to_live.and_then(|found| {
                Some((
                    found.attribute_name?,
                    found.time_to_live_status?.as_str().to_owned(),
                ))
            }),
            stream: described
                .stream_specification
                .filter(|stream| stream.stream_enabled)
                .and_then(|stream| stream.stream_view_type)
                .map(|view| view.as_str().to_owned()),
            point_in_time: backups
                .and_then(|backups| backups.point_in_time_recovery_description)
                .and_then(|found| found.point_in_time_recovery_status)
                == Some(PointInTimeRecoveryStatus::Enabled),
            deletion_protection: described.deletion_protection_enabled.unwrap_or_default(),
            tags: self.table_tags(table, arn).await?.unwrap_or_default(),
        })
    }

    async fn bucket_settings(&self, bucket: &str) -> Result<BucketSettings, PortError> {
        let failed = |what: &str| format!("reading the {what} of bucket `{bucket}`");
        let versioning = self
            .s3
            .get_bucket_versioning()
            .bucket(bucket)
            .send()
            .await
            .map_err(|error| classify(failed("versioning"), Effect::Read, &error))?
            .status;
        let notifications = self
            .s3
            .get_bucket_notification_configuration()
            .bucket(bucket)
            .send()
            .await
            .map_err(|error| classify(failed("notifications"), Effect::Read, &error))?;
        let lifecycle = self
            .s3
            .get_bucket_lifecycle_configuration()
            .bucket(bucket)
            .send()
            .await;
        let lifecycle = match lifecycle {
            Ok(found) => found
                .rules
                .unwrap_or_default()
                .iter()
                .filter(|rule| *rule.status() == ExpirationStatus::Enabled)
                .map(expiry_rule)
                .collect(),
            // S3's word for a bucket without rules.
            Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => BTreeSet::new(),
            Err(error) => return Err(classify(failed("lifecycle"), Effect::Read, &error)),
        };
        Ok(BucketSettings {
            versioning: versioning == Some(BucketVersioningStatus::Enabled),
            lifecycle,
            event_notifications: notifications.event_bridge_configuration.is_some(),
            tags: self.bucket_tags(bucket).await?,
        })
    }

    /// Asks for one fix-up; what became of it is for the next look to say. A repeat asks for the same.
    ///
    /// # Errors
    /// [`PortError`]; a resource that is busy with an earlier change is transient.
    pub async fn put_back(
        &self,
        resource_type: ResourceType,
        name: &str,
        arn: &str,
        fix_up: &FixUp,
    ) -> Result<(), PortError> {
        match fix_up {
            FixUp::TimeToLive { attribute } => self.set_time_to_live(name, attribute).await,
            FixUp::Stream { view } => self.set_stream(name, view).await,
            FixUp::PointInTimeRecovery {} => self.set_point_in_time_recovery(name).await,
            FixUp::DeletionProtection {} => self.protect_table(name).await,
            FixUp::Tags { tags } => self.add_tags(resource_type, name, arn, tags).await,
            FixUp::Versioning {} => self.set_versioning(name).await,
            FixUp::Lifecycle { rules } => self.set_lifecycle(name, rules).await,
            FixUp::EventNotifications {} => self.set_event_notifications(name).await,
            FixUp::Properties { properties } => {
                let what = || format!("changing `{arn}`");
                let resource =
                    cloud_resource(resource_type, arn).ok_or_else(|| unknown_to_cloud_control(what()))?;
                let there = self.others.get(&resource).await?.unwrap_or(Value::Null);
                self.others.patch(&resource, &patch(properties, &there)).await
            }
            // Neither is a setting: a hook is asked by name, and what is done without is left alone.
            FixUp::Hook { .. } | FixUp::Without { .. } => Ok(()),
        }
    }

    async fn set_time_to_live(&self, table: &str, attribute: &str) -> Result<(), PortError> {
        let what = format!("switching on expiry in table `{table}`");
        let wanted = TimeToLiveSpecification::builder()
            .enabled(true)
            .attribute_name(attribute)
            .build()
            .map_err(|error| unfit(&what, &error))?;
        self.dynamodb
            .update_time_to_live()
            .table_name(table)
            .time_to_live_specification(wanted)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| classify(what, Effect::IdempotentWrite, &error))
    }

    async fn set_stream(&self, table: &str, view: &str) -> Result<(), PortError> {
        let what = format!("giving table `{table}` its stream");
        let wanted = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::from(view))
            .build()
            .map_err(|error| unfit(&what, &error))?;
        self.dynamodb
            .update_table()
            .table_name(table)
            .stream_specification(wanted)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| busy(classify(what, Effect::IdempotentWrite, &error)))
    }

    async fn protect_table(&self, table: &str) -> Result<(), PortError> {
        self.dynamodb
            .update_table()
            .table_name(table)
            .deletion_protection_enabled(true)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| {
                busy(classify(
                    format!("protecting table `{table}`"),
                    Effect::IdempotentWrite,
                    &error,
                ))
            })
    }

    /// Deletes a table. Protection against deletion, which the plan's fix-ups may have put back, is lifted first: who asks
    /// knows that it is the run's own copy.
    pub(super) async fn remove_table(&self, table: &str) -> Result<(), PortError> {
        let what = || format!("deleting table `{table}`");
        let described = self
            .dynamodb
            .describe_table()
            .table_name(table)
            .send()
            .await
            .map_err(|error| classify(what(), Effect::Read, &error))?
            .table;
        if described.and_then(|table| table.deletion_protection_enabled) == Some(true) {
            self.dynamodb
                .update_table()
                .table_name(table)
                .deletion_protection_enabled(false)
                .send()
                .await
                .map_err(|error| busy(classify(what(), Effect::IdempotentWrite, &error)))?;
        }
        self.dynamodb
            .delete_table()
            .table_name(table)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| busy(classify(what(), Effect::IdempotentWrite, &error)))
    }

    async fn set_point_in_time_recovery(&self, table: &str) -> Result<(), PortError> {
        let what = format!("switching on point-in-time recovery of table `{table}`");
        let wanted = PointInTimeRecoverySpecification::builder()
            .point_in_time_recovery_enabled(true)
            .build()
            .map_err(|error| unfit(&what, &error))?;
        self.dynamodb
            .update_continuous_backups()
            .table_name(table)
            .point_in_time_recovery_specification(wanted)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| busy(classify(what, Effect::IdempotentWrite, &error)))
    }

    async fn set_versioning(&self, bucket: &str) -> Result<(), PortError> {
        let wanted = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        self.s3
            .put_bucket_versioning()
            .bucket(bucket)
            .versioning_configuration(wanted)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| {
                classify(
                    format!("switching on versions in bucket `{bucket}`"),
                    Effect::IdempotentWrite,
                    &error,
                )
            })
    }

    async fn set_event_notifications(&self, bucket: &str) -> Result<(), PortError> {
        // The call replaces the whole configuration.
        let there = self
            .s3
            .get_bucket_notification_configuration()
            .bucket(bucket)
            .send()
            .await
            .map_err(|error| {
                classify(
                    format!("reading the notifications of bucket `{bucket}`"),
                    Effect::Read,
                    &error,
                )
            })?;
        let wanted = NotificationConfiguration::builder()
            .set_topic_configurations(there.topic_configurations)
            .set_queue_configurations(there.queue_configurations)
            .set_lambda_function_configurations(there.lambda_function_configurations)
            .event_bridge_configuration(EventBridgeConfiguration::builder().build())
            .build();
        self.s3
            .put_bucket_notification_configuration()
            .bucket(bucket)
            .notification_configuration(wanted)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| {
                classify(
                    format!("switching on notifications of bucket `{bucket}`"),
                    Effect::IdempotentWrite,
                    &error,
                )
            })
    }

    async fn set_lifecycle(&self, bucket: &str, rules: &[ExpiryRule]) -> Result<(), PortError> {
        let what = format!("setting the lifecycle of bucket `{bucket}`");
        let rules: Result<Vec<LifecycleRule>, _> = rules
            .iter()
            .map(|rule| {
                LifecycleRule::builder()
                    .id(&rule.id)
                    .status(ExpirationStatus::Enabled)
                    .filter(LifecycleRuleFilter::builder().prefix(&rule.prefix).build())
                    .set_expiration(
                        rule.days
                            .map(|days| LifecycleExpiration::builder().days(days.into()).build()),
                    )
                    .set_noncurrent_version_expiration(rule.noncurrent_days.map(|days| {
                        NoncurrentVersionExpiration::builder()
                            .noncurrent_days(days.into())
                            .build()
                    }))
                    .build()
            })
            .collect();
        let wanted = rules
            .and_then(|rules| {
                BucketLifecycleConfiguration::builder()
                    .set_rules(Some(rules))
                    .build()
            })
            .map_err(|error| unfit(&what, &error))?;
        self.s3
            .put_bucket_lifecycle_configuration()
            .bucket(bucket)
            .lifecycle_configuration(wanted)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| classify(what, Effect::IdempotentWrite, &error))
    }
}

/// A rule of a bucket as a plan writes it. One that does something else as well, or to other objects than those below a
/// prefix, becomes a rule by which nothing expires: no plan has such a one, so that it equals none.
fn expiry_rule(rule: &LifecycleRule) -> ExpiryRule {
    let days = |days: Option<i32>| days.and_then(|days| u16::try_from(days).ok());
    let (expiration, older) = (rule.expiration(), rule.noncurrent_version_expiration());
    let prefix = rule.filter().and_then(plain_prefix);
    let only_expires = rule.transitions().is_empty()
        && rule.noncurrent_version_transitions().is_empty()
        && rule.abort_incomplete_multipart_upload().is_none()
        && expiration.is_none_or(|expiration| {
            expiration.date().is_none() && expiration.expired_object_delete_marker() != Some(true)
        })
        && older.is_none_or(|older| older.newer_noncurrent_versions().is_none());
    let as_written = only_expires && prefix.is_some();
    ExpiryRule {
        id: rule.id().unwrap_or_default().to_owned(),
        prefix: prefix.unwrap_or_default().to_owned(),
        days: days(expiration.and_then(|expiration| expiration.days())).filter(|_| as_written),
        noncurrent_days: days(older.and_then(|older| older.noncurrent_days())).filter(|_| as_written),
    }
}

/// The prefix of a filter that is nothing but one; an empty filter is the whole bucket.
fn plain_prefix(filter: &LifecycleRuleFilter) -> Option<&str> {
    let more = filter.tag().is_some()
        || filter.and().is_some()
        || filter.object_size_greater_than().is_some()
        || filter.object_size_less_than().is_some();
    (!more).then(|| filter.prefix().unwrap_or_default())
}

fn unfit(what: &str, error: &dyn std::error::Error) -> PortError {
    PortError::Refused {
        what: what.to_owned(),
        why: error.to_string(),
    }
}

/// A table takes one change at a time, and is not to be had while its first continuous backup is made.
fn busy(error: PortError) -> PortError {
    let (PortError::Refused { what, why } | PortError::NotFound { what, why }) = &error else {
        return error;
    };
    if ["ResourceInUseException", "ContinuousBackupsUnavailableException"]
        .iter()
        .any(|code| why.contains(code))
    {
        return PortError::Transient {
            what: what.clone(),
            why: why.clone(),
        };
    }
    error
}

impl ContentReader {
    /// Adds tags beside those that are there.
    pub(super) async fn add_tags(
        &self,
        resource_type: ResourceType,
        name: &str,
        arn: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), PortError> {
        let what = format!("tagging `{arn}`");
        if resource_type == ResourceType::S3 {
            // The call replaces the whole set.
            let mut all = self.bucket_tags(name).await?;
            all.extend(tags.clone());
            let mut set = aws_sdk_s3::types::Tagging::builder();
            for (key, value) in all {
                let tag = aws_sdk_s3::types::Tag::builder().key(key).value(value).build();
                set = set.tag_set(tag.map_err(|error| unfit(&what, &error))?);
            }
            let set = set.build().map_err(|error| unfit(&what, &error))?;
            return self
                .s3
                .put_bucket_tagging()
                .bucket(name)
                .tagging(set)
                .send()
                .await
                .map(|_| ())
                .map_err(|error| classify(what, Effect::IdempotentWrite, &error));
        }
        let mut set = Vec::new();
        for (key, value) in tags {
            let tag = aws_sdk_dynamodb::types::Tag::builder()
                .key(key)
                .value(value)
                .build();
            set.push(tag.map_err(|error| unfit(&what, &error))?);
        }
        self.dynamodb
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(set))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| classify(what, Effect::IdempotentWrite, &error))
    }
}
