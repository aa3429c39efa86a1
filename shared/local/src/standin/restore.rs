//! AWS Backup: restore jobs. What is restored is made for real in the emulator, in the caller's account.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PutRequest, ScalarAttributeType,
    WriteRequest,
};
use aws_sdk_s3::types::PublicAccessBlockConfiguration;
use axum::Json;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, put};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::backup::{answering, disturbance, input, lower_keys, own_role, visible_point};
use super::caller::arn;
use super::control::{Content, Fault, Operation, RestoreJob, Table};
use super::events::let_restore_end;
use super::wire::{ServiceError, epoch};
use crate::accounts::root_of;
use crate::step::told;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/restore-jobs", put(start_restore_job))
        .route("/restore-jobs/{job}", get(describe_restore_job))
        .route("/restore-jobs/{job}/metadata", get(get_restore_job_metadata))
        .route("/restore-jobs/{job}/validations", put(put_validation_result))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartRestore {
    recovery_point_arn: String,
    metadata: BTreeMap<String, String>,
    iam_role_arn: Option<String>,
    idempotency_token: Option<String>,
    resource_type: Option<String>,
}

async fn start_restore_job(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    answering(shared, request, |shared, account, incoming| async move {
        let asked: StartRestore = input(&incoming)?;
        let fault = shared.control.fault(Operation::StartRestoreJob);
        disturbance(fault)?;
        let role = asked
            .iam_role_arn
            .ok_or_else(|| ServiceError::missing("IamRoleArn"))?;
        own_role(&shared, &role, &account).await?;
        let mut state = shared.control.state();
        let token = asked.idempotency_token.map(|token| (account.clone(), token));
        // A repeated token is a silent success, whatever else the request says.
        if let Some(job) = token.as_ref().and_then(|token| state.restore_tokens.get(token)) {
            return Ok(Json(json!({"RestoreJobId": job})));
        }
        let point = visible_point(&state, &account, &asked.recovery_point_arn)?;
        let kind = point.point.content.resource_type();
        if asked.resource_type.as_deref().is_some_and(|asked| asked != kind) {
            return Err(ServiceError::invalid(format!("ResourceType must be {kind}")));
        }
        if !matches!(
            point.point.status.as_str(),
            "COMPLETED" | "AVAILABLE" | "STOPPED" | "PARTIAL"
        ) {
            return Err(ServiceError::request(format!(
                "Recovery point is {} and cannot be restored",
                point.point.status
            )));
        }
        let id = state.new_job_id();
        state.note(&account, "restore", &point.point.arn);
        let job = RestoreJob {
            id: id.clone(),
            account: account.clone(),
            vault_account: point.vault_account,
            point: point.point,
            role,
            metadata: lower_keys(asked.metadata),
            created: Timestamp::now(),
            completed: None,
            status: "PENDING",
            message: None,
            result: None,
            fails: fault == Some(Fault::JobFails),
            validation: None,
        };
        state
            .restores
            .insert(id.clone(), Arc::new(tokio::sync::Mutex::new(job)));
        if let Some(token) = token {
            state.restore_tokens.insert(token, id.clone());
        }
        drop(state);
        let_restore_end(shared, id.clone(), account);
        if fault == Some(Fault::AnsweredAfterTheFact) {
            return Err(ServiceError::unavailable("the service is unavailable"));
        }
        Ok(Json(json!({"RestoreJobId": id})))
    })
    .await
}

fn job(shared: &Shared, id: &str) -> Result<Arc<tokio::sync::Mutex<RestoreJob>>, ServiceError> {
    shared
        .control
        .state()
        .restores
        .get(id)
        .cloned()
        .ok_or_else(|| ServiceError::not_found(format!("Restore job `{id}` does not exist")))
}

/// Does the restoring, and notes how it ended.
async fn finish(shared: &Shared, job: &mut RestoreJob) {
    let ended = if job.fails {
        Err("the restore failed for an internal reason".to_owned())
    } else {
        restore(shared, job).await
    };
    job.completed = Some(Timestamp::now());
    match ended {
        Ok(created) => {
            job.status = "COMPLETED";
            job.result = Some(created);
        }
        Err(message) => {
            job.status = "FAILED";
            job.message = Some(message);
        }
    }
}

/// The job's time is over. Its last status, if it is there.
pub(super) async fn end(shared: &Shared, id: &str) -> Option<&'static str> {
    let job = job(shared, id).ok()?;
    let mut job = job.lock().await;
    if matches!(job.status, "PENDING" | "RUNNING") {
        finish(shared, &mut job).await;
    }
    Some(job.status)
}

/// A poll sees PENDING, then RUNNING, then the end, if the job's time is not over before.
async fn describe_restore_job(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    answering(shared, request, |shared, account, _| async move {
        disturbance(shared.control.fault(Operation::DescribeRestoreJob))?;
        let job = job(&shared, &id)?;
        let mut job = job.lock().await;
        if job.account != account {
            return Err(ServiceError::not_found(format!(
                "Restore job `{id}` does not exist"
            )));
        }
        let answer = described(&job);
        match job.status {
            "PENDING" => job.status = "RUNNING",
            "RUNNING" => finish(&shared, &mut job).await,
            _ => {}
        }
        Ok(Json(answer))
    })
    .await
}

fn described(job: &RestoreJob) -> Value {
    let mut described = json!({
        "RestoreJobId": job.id,
        "AccountId": job.account,
        "RecoveryPointArn": job.point.arn,
        "SourceResourceArn": job.point.resource,
        "BackupVaultArn": arn("backup", &job.vault_account, &format!("backup-vault:{}", job.point.vault)),
        "CreationDate": epoch(job.created),
        "Status": job.status,
        // It stays at zero for resources whose progress is not known, even at the end.
        "PercentDone": "0.00%",
        "BackupSizeInBytes": job.point.content.bytes(),
        "IamRoleArn": job.role,
        "ResourceType": job.point.content.resource_type(),
        "RecoveryPointCreationDate": epoch(job.point.created),
        "IsParent": false,
    });
    if let Some(fields) = described.as_object_mut() {
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        if let Some(completed) = job.completed {
            put("CompletionDate", epoch(completed));
        }
        if let Some(message) = &job.message {
            put("StatusMessage", json!(message));
        }
        if let Some(created) = &job.result {
            put("CreatedResourceArn", json!(created));
        }
        if let Some((status, message)) = &job.validation {
            put("ValidationStatus", json!(status));
            if let Some(message) = message {
                put("ValidationStatusMessage", json!(message));
            }
        }
    }
    described
}

async fn get_restore_job_metadata(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    answering(shared, request, |shared, account, _| async move {
        let job = job(&shared, &id)?;
        let job = job.lock().await;
        if job.account != account {
            return Err(ServiceError::not_found(format!(
                "Restore job `{id}` does not exist"
            )));
        }
        Ok(Json(json!({"RestoreJobId": job.id, "Metadata": job.metadata})))
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutValidation {
    validation_status: String,
    validation_status_message: Option<String>,
}

async fn put_validation_result(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let mut answer = answering(shared, request, |shared, account, incoming| async move {
        let asked: PutValidation = input(&incoming)?;
        if !matches!(
            asked.validation_status.as_str(),
            "VALIDATING" | "SUCCESSFUL" | "FAILED" | "TIMED_OUT"
        ) {
            return Err(ServiceError::invalid(
                "ValidationStatus is not one of the allowed values",
            ));
        }
        let job = job(&shared, &id)?;
        let mut job = job.lock().await;
        if job.account != account {
            return Err(ServiceError::not_found(format!(
                "Restore job `{id}` does not exist"
            )));
        }
        if job.status != "COMPLETED" {
            return Err(ServiceError::request("the restore job has not completed"));
        }
        if let Some((status, _)) = &job.validation
            && status != "VALIDATING"
        {
            return Err(ServiceError::request(format!(
                "the validation status is {status} and cannot be changed"
            )));
        }
        job.validation = Some((asked.validation_status, asked.validation_status_message));
        Ok(Json(json!({})))
    })
    .await;
    if answer.status() == StatusCode::OK {
        *answer.status_mut() = StatusCode::NO_CONTENT;
        *answer.body_mut() = axum::body::Body::empty();
    }
    answer
}

/// Restores, and returns the ARN of what was made, or the message with which the job fails.
async fn restore(shared: &Shared, job: &RestoreJob) -> Result<String, String> {
    for key in ["kmskey", "kmsmasterkeyarn"] {
        if let Some(key) = job.metadata.get(key)
            && !key.contains(&format!(":{}:", job.account))
        {
            return Err(format!("Access denied to the KMS key `{key}`"));
        }
    }
    let config = root_of(&shared.emulator, &job.account);
    let needed = |key: &str| {
        job.metadata
            .get(&key.to_lowercase())
            .ok_or_else(|| format!("Metadata lacks `{key}`"))
    };
    match &job.point.content {
        Content::Objects(objects) => {
            let bucket = needed("DestinationBucketName")?;
            let new = job.metadata.get("newbucket").is_some_and(|new| new == "true");
            restore_bucket(&aws_sdk_s3::Client::new(&config), bucket, new, objects).await?;
            Ok(format!("arn:aws:s3:::{bucket}"))
        }
        Content::Table(table) => {
            let name = needed("targetTableName")?;
            restore_table(&aws_sdk_dynamodb::Client::new(&config), name, table).await?;
            Ok(arn("dynamodb", &job.account, &format!("table/{name}")))
        }
    }
}

pub(super) async fn restore_bucket(
    s3: &aws_sdk_s3::Client,
    bucket: &str,
    new: bool,
    objects: &BTreeMap<String, Vec<u8>>,
) -> Result<(), String> {
    let exists = s3.head_bucket().bucket(bucket).send().await.is_ok();
    match (new, exists) {
        (true, true) => return Err(format!("Bucket `{bucket}` already exists")),
        (false, false) => return Err(format!("Bucket `{bucket}` does not exist")),
        (true, false) => {
            s3.create_bucket()
                .bucket(bucket)
                .send()
                .await
                .map_err(|error| format!("cannot create bucket `{bucket}`: {}", told(&error)))?;
            // S3 does this to every new bucket; the emulator does not.
            let block = PublicAccessBlockConfiguration::builder()
                .block_public_acls(true)
                .block_public_policy(true)
                .ignore_public_acls(true)
                .restrict_public_buckets(true)
                .build();
            s3.put_public_access_block()
                .bucket(bucket)
                .public_access_block_configuration(block)
                .send()
                .await
                .map_err(|error| format!("cannot block public access of `{bucket}`: {}", told(&error)))?;
        }
        (false, true) => {}
    }
    for (key, bytes) in objects {
        // An object that is there already is skipped, never overwritten.
        if !new && s3.head_object().bucket(bucket).key(key).send().await.is_ok() {
            continue;
        }
        s3.put_object()
            .bucket(bucket)
            .key(key)
            .body(bytes.clone().into())
            .send()
            .await
            .map_err(|error| format!("cannot restore object `{key}`: {}", told(&error)))?;
    }
    Ok(())
}

async fn restore_table(dynamodb: &aws_sdk_dynamodb::Client, name: &str, table: &Table) -> Result<(), String> {
    let wrong = |error: aws_sdk_dynamodb::error::BuildError| error.to_string();
    dynamodb
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name(&table.partition_key)
                .attribute_type(ScalarAttributeType::S)
                .build()
                .map_err(wrong)?,
        )
        .key_schema(
            KeySchemaElement::builder()
                .attribute_name(&table.partition_key)
                .key_type(KeyType::Hash)
                .build()
                .map_err(wrong)?,
        )
        .send()
        .await
        .map_err(|error| format!("cannot create table `{name}`: {}", told(&error)))?;
    for items in table.items.chunks(25) {
        let mut requests = Vec::with_capacity(items.len());
        for item in items {
            let put = PutRequest::builder()
                .set_item(Some(item.clone().into_iter().collect()))
                .build()
                .map_err(wrong)?;
            requests.push(WriteRequest::builder().put_request(put).build());
        }
        dynamodb
            .batch_write_item()
            .request_items(name, requests)
            .send()
            .await
            .map_err(|error| format!("cannot restore items of `{name}`: {}", told(&error)))?;
    }
    Ok(())
}
