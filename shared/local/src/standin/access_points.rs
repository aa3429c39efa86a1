//! AWS Backup: access points (API reference, `CreateBackupAccessPoint` and its family). The S3 access point behind each is made
//! for real in the emulator, over a bucket that holds what the recovery point does.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_cloudformation::types::StackStatus;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, put};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Shared;
use super::backup::{answering, created, disturbance, input, visible_point};
use super::caller::arn;
use super::control::{AccessPoint, Content, Fault, Operation, RecoveryPoint};
use super::restore::restore_bucket;
use super::wire::{ServiceError, epoch};
use crate::accounts::root_of;
use crate::step::told;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/backup-access-point/create", put(create_access_point))
        .route("/backup-access-point/{arn}", get(describe_access_point))
        .route("/backup-access-point/delete/{arn}", delete(delete_access_point))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    name: String,
    recovery_point_arn: String,
    access_point_metadata: Option<BTreeMap<String, String>>,
}

/// The documented pattern of a name.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (3..=50).contains(&name.len())
        && name.bytes().all(|byte| plain(byte) || byte == b'-')
        && name.bytes().next().is_some_and(plain)
        && name.bytes().last().is_some_and(plain)
        && !name.ends_with("-s3alias")
}

async fn create_access_point(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let answer = answering(shared, request, |shared, account, incoming| async move {
        let asked: Create = input(&incoming)?;
        let fault = shared.control.fault(Operation::CreateBackupAccessPoint);
        disturbance(fault)?;
        if !is_name(&asked.name) {
            return Err(ServiceError::invalid("Name does not match the pattern"));
        }
        if asked
            .access_point_metadata
            .is_some_and(|metadata| !metadata.is_empty())
        {
            return Err(ServiceError::invalid("A snapshot takes no AccessPointInTime"));
        }
        let arn = arn("backup", &account, &format!("accesspoint/{}", asked.name));
        let point = {
            let state = shared.control.state();
            if state.access_points.contains_key(&arn) {
                return Err(ServiceError::exists("The access point already exists").with_arn(&arn));
            }
            visible_point(&state, &account, &asked.recovery_point_arn)?
        };
        let Content::Objects(objects) = &point.point.content else {
            return Err(ServiceError::request(
                "Access points are supported for S3 recovery points only",
            ));
        };
        let fails = fault == Some(Fault::JobFails);
        if !fails {
            make(&shared, &account, &asked.name, objects)
                .await
                .map_err(ServiceError::unavailable)?;
        }
        let mut state = shared.control.state();
        state.note(&account, "access point", &point.point.arn);
        state.access_points.insert(
            arn.clone(),
            AccessPoint {
                account,
                name: asked.name,
                point: point.point,
                vault_account: point.vault_account,
                created: Timestamp::now(),
                looks: 0,
                fails,
            },
        );
        if fault == Some(Fault::AnsweredAfterTheFact) {
            return Err(ServiceError::unavailable("the service is unavailable"));
        }
        Ok(Json(json!({"AccessPointArn": arn, "Status": "CREATING"})))
    })
    .await;
    created(answer)
}

/// Name of the bucket behind an access point. On AWS it is the service's own, and nobody else sees it.
fn bucket(name: &str) -> String {
    format!("{name}-content")
}

/// Fills a bucket and begins to make the S3 access point over it.
async fn make(
    shared: &Shared,
    account: &str,
    name: &str,
    objects: &BTreeMap<String, Vec<u8>>,
) -> Result<(), String> {
    let config = root_of(&shared.emulator, account);
    let bucket = bucket(name);
    restore_bucket(&aws_sdk_s3::Client::new(&config), &bucket, true, objects).await?;
    let template = json!({
        "Resources": {"Point": {
            "Type": "AWS::S3::AccessPoint",
            "Properties": {"Name": name, "Bucket": bucket},
        }},
        "Outputs": {"Alias": {"Value": {"Fn::GetAtt": ["Point", "Alias"]}}},
    });
    aws_sdk_cloudformation::Client::new(&config)
        .create_stack()
        .stack_name(name)
        .template_body(template.to_string())
        .send()
        .await
        .map_err(|error| format!("cannot make an access point over `{bucket}`: {}", told(&error)))?;
    Ok(())
}

/// The alias of the S3 access point, once it is there.
async fn alias(shared: &Shared, account: &str, name: &str) -> Option<String> {
    let client = aws_sdk_cloudformation::Client::new(&root_of(&shared.emulator, account));
    let described = client.describe_stacks().stack_name(name).send().await.ok()?;
    let stack = described.stacks?.into_iter().next()?;
    if stack.stack_status != Some(StackStatus::CreateComplete) {
        return None;
    }
    stack.outputs?.into_iter().next()?.output_value
}

fn find(shared: &Shared, account: &str, arn: &str) -> Result<AccessPoint, ServiceError> {
    let state = shared.control.state();
    let found = state
        .access_points
        .get(arn)
        .filter(|point| point.account == account);
    found
        .cloned()
        .ok_or_else(|| ServiceError::not_found(format!("Access point `{arn}` does not exist")))
}

/// The first look sees CREATING; a later one AVAILABLE, with ARN and alias of the S3 access point.
async fn describe_access_point(
    State(shared): State<Arc<Shared>>,
    Path(arn): Path<String>,
    request: Request,
) -> Response {
    answering(shared, request, |shared, account, _| async move {
        let point = find(&shared, &account, &arn)?;
        if let Some(point) = shared.control.state().access_points.get_mut(&arn) {
            point.looks = point.looks.saturating_add(1);
        }
        let alias = if point.fails || point.looks == 0 {
            None
        } else {
            alias(&shared, &account, &point.name).await
        };
        let (status, message) = match &alias {
            _ if point.fails && point.looks > 0 => ("FAILED", Some("the access point could not be made")),
            Some(_) => ("AVAILABLE", None),
            None => ("CREATING", None),
        };
        Ok(Json(described(&arn, &point, status, message, alias)))
    })
    .await
}

fn described(
    arn_of_backup: &str,
    access: &AccessPoint,
    status: &str,
    message: Option<&str>,
    alias: Option<String>,
) -> Value {
    let point: &RecoveryPoint = &access.point;
    let mut metadata = Map::new();
    if let Some(alias) = alias {
        let of_s3 = arn("s3", &access.account, &format!("accesspoint/{}", access.name));
        metadata.insert("S3AccessPointArn".to_owned(), json!(of_s3));
        metadata.insert("S3AccessPointAlias".to_owned(), json!(alias));
    }
    let mut described = json!({
        "AccessPointArn": arn_of_backup,
        "AccessPointMetadata": metadata,
        "BackupVaultArn": arn("backup", &access.vault_account, &format!("backup-vault:{}", point.vault)),
        "BackupVaultName": point.vault,
        "CreationTime": epoch(access.created),
        "Name": access.name,
        "RecoveryPointArn": point.arn,
        "ResourceArn": point.resource,
        "ResourceType": "S3",
        "Status": status,
    });
    if let (Some(message), Some(fields)) = (message, described.as_object_mut()) {
        fields.insert("StatusMessage".to_owned(), json!(message));
    }
    described
}

async fn delete_access_point(
    State(shared): State<Arc<Shared>>,
    Path(arn): Path<String>,
    request: Request,
) -> Response {
    let mut answer = answering(shared, request, |shared, account, _| async move {
        let point = find(&shared, &account, &arn)?;
        if !point.fails {
            unmake(&shared, &account, &point)
                .await
                .map_err(ServiceError::unavailable)?;
        }
        shared.control.state().access_points.remove(&arn);
        Ok(Json(json!({})))
    })
    .await;
    if answer.status() == StatusCode::OK {
        *answer.status_mut() = StatusCode::NO_CONTENT;
        *answer.body_mut() = Body::empty();
    }
    answer
}

async fn unmake(shared: &Shared, account: &str, access: &AccessPoint) -> Result<(), String> {
    let config = root_of(&shared.emulator, account);
    let failed = |what: &str, error: String| format!("cannot remove {what} of `{}`: {error}", access.name);
    aws_sdk_cloudformation::Client::new(&config)
        .delete_stack()
        .stack_name(&access.name)
        .send()
        .await
        .map_err(|error| failed("the access point", told(&error)))?;
    let s3 = aws_sdk_s3::Client::new(&config);
    let bucket = bucket(&access.name);
    if let Content::Objects(objects) = &access.point.content {
        for key in objects.keys() {
            s3.delete_object()
                .bucket(&bucket)
                .key(key)
                .send()
                .await
                .map_err(|error| failed("an object", told(&error)))?;
        }
    }
    s3.delete_bucket()
        .bucket(&bucket)
        .send()
        .await
        .map_err(|error| failed("the bucket", told(&error)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_documented_pattern() {
        let trial = blackstart_core::validation::trial::TARGET_PREFIX.to_owned() + &"a".repeat(24);
        assert!(is_name(&trial));
        for wrong in ["ab", "-abc", "abc-", "Abc", "a_b", "abc-s3alias", &"a".repeat(51)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
