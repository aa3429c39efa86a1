//! AWS Backup: recovery points and malware scans.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Shared;
use super::caller::Incoming;
use super::control::{Fault, Operation, Point, ScanJob, ScanOutcome};
use super::events::let_scan_end;
use super::wire::{Answer, ServiceError, epoch, page};
use crate::accounts::root_of;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/backup-vaults/{vault}/recovery-points/",
            get(list_recovery_points),
        )
        .route(
            "/backup-vaults/{vault}/recovery-points",
            get(list_recovery_points),
        )
        .route(
            "/backup-vaults/{vault}/recovery-points/{point}",
            get(describe_recovery_point),
        )
        .route(
            "/backup-vaults/{vault}/recovery-points/{point}/restore-metadata",
            get(restore_metadata),
        )
        .route("/scan/job", put(start_scan_job))
        .route("/scan/jobs/{job}", get(describe_scan_job))
}

/// Query parameters of the operations that name a vault.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VaultQuery {
    backup_vault_account_id: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
    resource_arn: Option<String>,
    resource_type: Option<String>,
    created_before: Option<Timestamp>,
    created_after: Option<Timestamp>,
}

/// Admits the caller and runs the operation on the body.
pub(super) async fn answering<F, Fut>(shared: Arc<Shared>, request: Request, run: F) -> Response
where
    F: FnOnce(Arc<Shared>, String, Incoming) -> Fut,
    Fut: Future<Output = Answer>,
{
    let incoming = match Incoming::read(request).await {
        Ok(incoming) => incoming,
        Err(error) => return error.into_response(),
    };
    match shared.callers.admit(&incoming).await {
        Ok(account) => run(shared, account, incoming).await.into_response(),
        Err(refusal) => refusal,
    }
}

/// The body as the operation's input, with the offending field named.
pub(super) fn input<'a, T: Deserialize<'a>>(incoming: &'a Incoming) -> Result<T, ServiceError> {
    serde_json::from_slice(&incoming.body).map_err(|error| ServiceError::invalid(error.to_string()))
}

pub(super) fn disturbance(fault: Option<Fault>) -> Result<(), ServiceError> {
    match fault {
        Some(Fault::Throttled) => Err(ServiceError::throttled()),
        Some(Fault::Unavailable) => Err(ServiceError::unavailable("the service is unavailable")),
        Some(Fault::AnsweredAfterTheFact | Fault::JobFails) | None => Ok(()),
    }
}

async fn list_recovery_points(
    State(shared): State<Arc<Shared>>,
    Path(vault): Path<String>,
    Query(query): Query<VaultQuery>,
    request: Request,
) -> Response {
    answering(shared, request, |shared, account, _| async move {
        disturbance(shared.control.fault(Operation::ListRecoveryPoints))?;
        let state = shared.control.state();
        let owner = query.backup_vault_account_id.as_deref().unwrap_or(&account);
        if !state.sees(&account, owner, &vault) {
            return Err(ServiceError::not_found(format!(
                "Backup vault `{vault}` does not exist"
            )));
        }
        let mut points: Vec<&Point> = state
            .points
            .values()
            .filter(|point| point.vault_account == owner && point.point.vault == vault)
            .filter(|point| {
                let point = &point.point;
                query
                    .resource_arn
                    .as_ref()
                    .is_none_or(|arn| *arn == point.resource)
                    && query
                        .resource_type
                        .as_ref()
                        .is_none_or(|wanted| wanted == point.content.resource_type())
                    && query.created_before.is_none_or(|before| point.created < before)
                    && query.created_after.is_none_or(|after| point.created > after)
            })
            .collect();
        // Newest first, as the console shows them; the API promises no order.
        points.sort_by(|a, b| (b.point.created, &b.point.arn).cmp(&(a.point.created, &a.point.arn)));
        let (points, next) = page(
            points,
            query.next_token.as_deref(),
            query.max_results.unwrap_or(1000),
        )?;
        let points: Vec<Value> = points.into_iter().map(described).collect();
        Ok(Json(json!({"RecoveryPoints": points, "NextToken": next})))
    })
    .await
}

async fn describe_recovery_point(
    State(shared): State<Arc<Shared>>,
    Path((vault, point)): Path<(String, String)>,
    Query(query): Query<VaultQuery>,
    request: Request,
) -> Response {
    answering(shared, request, |shared, account, _| async move {
        let point = find(&shared, &account, &query, &vault, &point)?;
        Ok(Json(described(&point)))
    })
    .await
}

async fn restore_metadata(
    State(shared): State<Arc<Shared>>,
    Path((vault, point)): Path<(String, String)>,
    Query(query): Query<VaultQuery>,
    request: Request,
) -> Response {
    answering(shared, request, |shared, account, _| async move {
        let point = find(&shared, &account, &query, &vault, &point)?;
        Ok(Json(json!({
            "BackupVaultArn": point.vault_arn(),
            "RecoveryPointArn": point.point.arn,
            "ResourceType": point.point.content.resource_type(),
            "RestoreMetadata": original_metadata(&point),
        })))
    })
    .await
}

/// The key of the old account under which bucket and table were kept.
pub const DATA_KEY: &str = "arn:aws:kms:us-east-1:218007301253:key/0b5c2fb7-1c1e-4a5c-9b1a-0f8b0e6f2c11";

/// The metadata of the resource as it was: its old name and its old key, which a restore elsewhere must replace.
fn original_metadata(point: &Point) -> Value {
    let old_name = point
        .point
        .resource
        .rsplit([':', '/'])
        .next()
        .unwrap_or_default()
        .to_owned();
    match point.point.content.resource_type() {
        "S3" => json!({
            "DestinationBucketName": old_name,
            "NewBucket": "false",
            "Encrypted": "true",
            "EncryptionType": "SSE-KMS",
            "KMSKey": DATA_KEY,
        }),
        _ => json!({
            "originalTableName": old_name,
            "encryptionType": "KMS",
            "kmsMasterKeyArn": DATA_KEY,
        }),
    }
}

fn find(
    shared: &Shared,
    account: &str,
    query: &VaultQuery,
    vault: &str,
    arn: &str,
) -> Result<Point, ServiceError> {
    let state = shared.control.state();
    let asked = (
        query
            .backup_vault_account_id
            .as_deref()
            .unwrap_or(account)
            .to_owned(),
        vault.to_owned(),
    );
    // A restore access vault shows the points of the vault that it opens.
    let (owner, vault) = state
        .access_vaults
        .get(&asked)
        .map_or(asked, |access| access.source.clone());
    if !state.sees(account, &owner, &vault) {
        return Err(ServiceError::not_found(format!(
            "Backup vault `{vault}` does not exist"
        )));
    }
    state
        .points
        .get(arn)
        .filter(|point| point.vault_account == owner && point.point.vault == vault)
        .cloned()
        .ok_or_else(|| ServiceError::not_found(format!("Recovery point `{arn}` does not exist")))
}

fn described(point: &Point) -> Value {
    let at = &point.point;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("RecoveryPointArn", json!(at.arn));
    put("BackupVaultName", json!(at.vault));
    put("BackupVaultArn", json!(point.vault_arn()));
    put("ResourceArn", json!(at.resource));
    put("ResourceType", json!(at.content.resource_type()));
    put("ResourceName", json!(at.resource.rsplit([':', '/']).next()));
    put("Status", json!(at.status));
    put("InitiationDate", epoch(at.initiated));
    put("CreationDate", epoch(at.created));
    if let Some(completed) = at.completed {
        put("CompletionDate", epoch(completed));
    }
    if let Some(deleted_at) = at.deleted_at {
        put("CalculatedLifecycle", json!({"DeleteAt": epoch(deleted_at)}));
    }
    put("BackupSizeInBytes", json!(at.content.bytes()));
    put("IsEncrypted", json!(true));
    put("IsParent", json!(false));
    put("VaultType", json!("BACKUP_VAULT"));
    put(
        "IamRoleArn",
        json!(format!(
            "arn:aws:iam::{}:role/service-role/AWSBackupDefaultServiceRole",
            point.vault_account
        )),
    );
    Value::Object(fields)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartScan {
    backup_vault_name: String,
    iam_role_arn: String,
    scanner_role_arn: String,
    recovery_point_arn: String,
    scan_mode: String,
    malware_scanner: String,
    idempotency_token: Option<String>,
    scan_base_recovery_point_arn: Option<String>,
}

async fn start_scan_job(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let answer = answering(shared, request, |shared, account, incoming| async move {
        let asked: StartScan = input(&incoming)?;
        let fault = shared.control.fault(Operation::StartScanJob);
        disturbance(fault)?;
        if asked.malware_scanner != "GUARDDUTY" {
            return Err(ServiceError::invalid("MalwareScanner must be GUARDDUTY"));
        }
        if !matches!(asked.scan_mode.as_str(), "FULL_SCAN" | "INCREMENTAL_SCAN") {
            return Err(ServiceError::invalid(
                "ScanMode must be FULL_SCAN or INCREMENTAL_SCAN",
            ));
        }
        if asked.scan_mode == "INCREMENTAL_SCAN" && asked.scan_base_recovery_point_arn.is_none() {
            return Err(ServiceError::missing("ScanBaseRecoveryPointArn"));
        }
        for role in [&asked.iam_role_arn, &asked.scanner_role_arn] {
            own_role(&shared, role, &account).await?;
        }
        let mut state = shared.control.state();
        let token = asked.idempotency_token.map(|token| (account.clone(), token));
        if let Some(job) = token.as_ref().and_then(|token| state.scan_tokens.get(token)) {
            let created = state.scans.get(job).map(|job| job.created);
            return Ok(Json(
                json!({"ScanJobId": job, "CreationDate": created.map(epoch)}),
            ));
        }
        let point = visible_point(&state, &account, &asked.recovery_point_arn)?;
        if point.point.vault != asked.backup_vault_name {
            return Err(ServiceError::not_found(
                "the vault does not hold the recovery point",
            ));
        }
        if point.point.content.resource_type() != "S3" {
            return Err(ServiceError::request(
                "Malware scanning supports recovery points of EBS, EC2 and S3 only",
            ));
        }
        let created = Timestamp::now();
        let id = state.new_job_id();
        state.note(&account, "scan", &point.point.arn);
        state.scans.insert(
            id.clone(),
            ScanJob {
                account: account.clone(),
                vault_account: point.vault_account,
                point: point.point,
                role: asked.iam_role_arn,
                scanner_role: asked.scanner_role_arn,
                mode: asked.scan_mode,
                created,
                polls: 0,
                fails: fault == Some(Fault::JobFails),
            },
        );
        if let Some(token) = token {
            state.scan_tokens.insert(token, id.clone());
        }
        drop(state);
        let_scan_end(shared, id.clone(), account);
        if fault == Some(Fault::AnsweredAfterTheFact) {
            return Err(ServiceError::unavailable("the service is unavailable"));
        }
        Ok(Json(json!({"ScanJobId": id, "CreationDate": epoch(created)})))
    })
    .await;
    created(answer)
}

/// The status that the model asks of a successful start.
pub(super) fn created(mut answer: Response) -> Response {
    if answer.status() == StatusCode::OK {
        *answer.status_mut() = StatusCode::CREATED;
    }
    answer
}

async fn describe_scan_job(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    answering(shared, request, |shared, account, _| async move {
        disturbance(shared.control.fault(Operation::DescribeScanJob))?;
        let mut state = shared.control.state();
        let job = state
            .scans
            .get_mut(&id)
            .filter(|job| job.account == account)
            .ok_or_else(|| ServiceError::not_found(format!("Scan job `{id}` does not exist")))?;
        job.polls = job.polls.saturating_add(1);
        Ok(Json(scan_described(&id, job)))
    })
    .await
}

/// State and result at the look of this number: CREATED, then RUNNING, then the end.
pub(super) fn scan_state(job: &ScanJob, look: u32) -> (&'static str, Option<&'static str>) {
    match look {
        0 | 1 => ("CREATED", None),
        2 => ("RUNNING", None),
        _ if job.fails => ("FAILED", None),
        _ => match job.point.scan {
            ScanOutcome::Clean => ("COMPLETED", Some("NO_THREATS_FOUND")),
            ScanOutcome::Threats => ("COMPLETED", Some("THREATS_FOUND")),
            ScanOutcome::CleanWithIssues => ("COMPLETED_WITH_ISSUES", Some("NO_THREATS_FOUND")),
            ScanOutcome::NoResult => ("COMPLETED", None),
            ScanOutcome::Failed => ("FAILED", None),
        },
    }
}

fn scan_described(id: &str, job: &ScanJob) -> Value {
    let (state, result) = scan_state(job, job.polls);
    let mut described = json!({
        "ScanJobId": id,
        "AccountId": job.account,
        "BackupVaultName": job.point.vault,
        "BackupVaultArn": super::caller::arn("backup", &job.vault_account, &format!("backup-vault:{}", job.point.vault)),
        "RecoveryPointArn": job.point.arn,
        "ResourceArn": job.point.resource,
        "ResourceName": job.point.resource.rsplit([':', '/']).next(),
        "ResourceType": job.point.content.resource_type(),
        "IamRoleArn": job.role,
        "ScannerRoleArn": job.scanner_role,
        "MalwareScanner": "GUARDDUTY",
        "ScanMode": job.mode,
        "CreatedBy": {},
        "CreationDate": epoch(job.created),
        "State": state,
    });
    if let Some(fields) = described.as_object_mut() {
        if !matches!(state, "CREATED" | "RUNNING") {
            fields.insert("CompletionDate".to_owned(), epoch(job.created));
        }
        if let Some(result) = result {
            fields.insert("ScanResult".to_owned(), json!({"ScanResultStatus": result}));
        }
        if state == "COMPLETED_WITH_ISSUES" {
            fields.insert(
                "StatusMessage".to_owned(),
                json!("Some files were skipped: UNSUPPORTED_FILE_TYPE"),
            );
        }
    }
    described
}

/// A role that is handed to the service must be the caller's own, and it must exist.
pub(super) async fn own_role(shared: &Shared, role: &str, account: &str) -> Result<(), ServiceError> {
    let Some(path) = role.strip_prefix(&format!("arn:aws:iam::{account}:role/")) else {
        return Err(ServiceError::invalid(format!(
            "Cross-account pass role is not allowed: `{role}` is not a role of {account}"
        )));
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let iam = aws_sdk_iam::Client::new(&root_of(&shared.emulator, account));
    match iam.get_role().role_name(name).send().await {
        Ok(_) => Ok(()),
        Err(_) => Err(ServiceError::invalid(format!(
            "The role `{role}` does not exist or cannot be assumed by AWS Backup"
        ))),
    }
}

/// A recovery point in a vault that this account sees.
pub(super) fn visible_point(
    state: &super::control::State,
    account: &str,
    arn: &str,
) -> Result<Point, ServiceError> {
    state
        .points
        .get(arn)
        .filter(|point| state.sees(account, &point.vault_account, &point.point.vault))
        .cloned()
        .ok_or_else(|| ServiceError::not_found(format!("Recovery point `{arn}` does not exist")))
}

/// Metadata keys are compared without regard to case.
pub(super) fn lower_keys(metadata: BTreeMap<String, String>) -> BTreeMap<String, String> {
    metadata
        .into_iter()
        .map(|(key, value)| (key.to_lowercase(), value))
        .collect()
}
