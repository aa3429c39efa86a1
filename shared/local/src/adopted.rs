//! Whether the restored bucket and table are the workload's: their settings, and the stack that has them. Looked at from
//! outside, as another principal.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::StackDriftStatus;
use aws_sdk_dynamodb::types::{PointInTimeRecoveryStatus, StreamViewType, TimeToLiveStatus};
use aws_sdk_s3::types::BucketVersioningStatus;

use crate::LocalAws;
use crate::accounts::{REBUILD, REGION};
use crate::organisation::plan::{
    APP_STACK, BUCKET_PARAMETER, NOT_RESTORED_YET, RESTORED_BUCKET, RESTORED_TABLE, TABLE_LOGICAL_ID,
};
use crate::outside::Check;
use crate::step::{Doing, StepFailed};

/// The role of the application, and the policy in it that names the bucket.
const READER: (&str, &str) = ("orders-app", "data");

/// Looks at everything that the plan's fix-ups and seams make of what was restored.
///
/// # Errors
/// [`StepFailed`] when something cannot be looked at.
pub async fn checks(local: &LocalAws) -> Result<Vec<Check>, StepFailed> {
    let (referred, owned) = stack(local).await?;
    Ok(vec![referred, owned, bucket(local).await?, table(local).await?])
}

/// Whether the stack refers to the bucket, and owns the table.
async fn stack(local: &LocalAws) -> Result<(Check, Check), StepFailed> {
    let config = local.root_of(REBUILD);
    let stacks = aws_sdk_cloudformation::Client::new(&config);
    let found = stacks
        .describe_stacks()
        .stack_name(APP_STACK)
        .send()
        .await
        .doing("describing the application's stack")?;
    let found = found.stacks().first();
    let given = found
        .into_iter()
        .flat_map(|stack| stack.parameters())
        .find(|parameter| parameter.parameter_key() == Some(BUCKET_PARAMETER))
        .and_then(|parameter| parameter.parameter_value())
        .unwrap_or_default();
    let policy = aws_sdk_iam::Client::new(&config)
        .get_role_policy()
        .role_name(READER.0)
        .policy_name(READER.1)
        .send()
        .await
        .doing("reading the application's policy")?
        .policy_document;
    let names = policy.contains(RESTORED_BUCKET) && !policy.contains(NOT_RESTORED_YET);
    let referred = Check {
        what: "the application's stack refers to the restored bucket, and its role may read that one"
            .to_owned(),
        holds: given == RESTORED_BUCKET && names,
        seen: format!("the parameter is {given}, the policy {policy}"),
    };

    let table = stacks
        .describe_stack_resource()
        .stack_name(APP_STACK)
        .logical_resource_id(TABLE_LOGICAL_ID)
        .send()
        .await;
    let id = table
        .as_ref()
        .ok()
        .and_then(|found| found.stack_resource_detail())
        .and_then(|resource| resource.physical_resource_id())
        .unwrap_or_default()
        .to_owned();
    let drift = drift(&stacks).await?;
    let owned = Check {
        what: "the application's stack owns the restored table, and all of it is as its template says"
            .to_owned(),
        holds: id == RESTORED_TABLE && drift == Some(StackDriftStatus::InSync),
        seen: format!("it has {id} as {TABLE_LOGICAL_ID}; its drift is {drift:?}"),
    };
    Ok((referred, owned))
}

async fn drift(stacks: &aws_sdk_cloudformation::Client) -> Result<Option<StackDriftStatus>, StepFailed> {
    let step = "comparing the application's stack with its template";
    let detection = stacks
        .detect_stack_drift()
        .stack_name(APP_STACK)
        .send()
        .await
        .doing(step)?;
    // The local AWS has compared everything when it answers.
    let found = stacks
        .describe_stack_drift_detection_status()
        .set_stack_drift_detection_id(detection.stack_drift_detection_id)
        .send()
        .await
        .doing(step)?;
    Ok(found.stack_drift_status)
}

/// Whether the bucket has what its backup does not bring back.
async fn bucket(local: &LocalAws) -> Result<Check, StepFailed> {
    let step = "reading the settings of the restored bucket";
    let s3 = aws_sdk_s3::Client::new(&local.root_of(REBUILD));
    let versioning = s3
        .get_bucket_versioning()
        .bucket(RESTORED_BUCKET)
        .send()
        .await
        .doing(step)?
        .status;
    let notifications = s3
        .get_bucket_notification_configuration()
        .bucket(RESTORED_BUCKET)
        .send()
        .await
        .doing(step)?
        .event_bridge_configuration;
    let rules = s3
        .get_bucket_lifecycle_configuration()
        .bucket(RESTORED_BUCKET)
        .send()
        .await
        .doing(step)?
        .rules
        .unwrap_or_default();
    let tags: BTreeMap<String, String> = s3
        .get_bucket_tagging()
        .bucket(RESTORED_BUCKET)
        .send()
        .await
        .doing(step)?
        .tag_set
        .into_iter()
        .map(|tag| (tag.key, tag.value))
        .collect();
    let rule = rules
        .iter()
        .any(|rule| rule.id() == Some("exports") && rule.noncurrent_version_expiration().is_some());
    Ok(Check {
        what: "the restored bucket has its versions, lifecycle, notifications and tags again".to_owned(),
        holds: versioning == Some(BucketVersioningStatus::Enabled)
            && notifications.is_some()
            && rule
            && tags.get("team").is_some_and(|team| team == "orders"),
        seen: format!("{versioning:?}, {notifications:?}, {rules:?}, {tags:?}"),
    })
}

/// Whether the table has what its restore loses.
async fn table(local: &LocalAws) -> Result<Check, StepFailed> {
    let step = "reading the settings of the restored table";
    let dynamodb = aws_sdk_dynamodb::Client::new(&local.root_of(REBUILD));
    let described = dynamodb
        .describe_table()
        .table_name(RESTORED_TABLE)
        .send()
        .await
        .doing(step)?
        .table;
    let stream = described
        .as_ref()
        .and_then(|table| table.stream_specification())
        .and_then(|stream| stream.stream_view_type())
        .cloned();
    let protected = described.and_then(|table| table.deletion_protection_enabled);
    let expiry = dynamodb
        .describe_time_to_live()
        .table_name(RESTORED_TABLE)
        .send()
        .await
        .doing(step)?
        .time_to_live_description;
    let expires = expiry.as_ref().is_some_and(|expiry| {
        expiry.attribute_name() == Some("expires_at")
            && expiry.time_to_live_status() == Some(&TimeToLiveStatus::Enabled)
    });
    let backups = dynamodb
        .describe_continuous_backups()
        .table_name(RESTORED_TABLE)
        .send()
        .await
        .doing(step)?
        .continuous_backups_description
        .and_then(|backups| backups.point_in_time_recovery_description)
        .and_then(|recovery| recovery.point_in_time_recovery_status);
    let tags: BTreeMap<String, String> = dynamodb
        .list_tags_of_resource()
        .resource_arn(format!(
            "arn:aws:dynamodb:{REGION}:{REBUILD}:table/{RESTORED_TABLE}"
        ))
        .send()
        .await
        .doing(step)?
        .tags
        .unwrap_or_default()
        .into_iter()
        .map(|tag| (tag.key, tag.value))
        .collect();
    Ok(Check {
        what: "the restored table has its stream, expiry, point-in-time recovery, protection and tags again"
            .to_owned(),
        holds: stream == Some(StreamViewType::NewAndOldImages)
            && expires
            && backups == Some(PointInTimeRecoveryStatus::Enabled)
            && protected == Some(true)
            && tags.get("team").is_some_and(|team| team == "orders"),
        seen: format!("{stream:?}, {expiry:?}, {backups:?}, protected {protected:?}, {tags:?}"),
    })
}
