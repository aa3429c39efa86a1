//! AWS Backup and multi-party approval: restore access vaults, and the sessions of the teams that open them.
//!
//! Every look at a session is a step of it, so a run sees each state whatever the clock says.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::backup::{answering, input};
use super::caller::{Incoming, arn};
use super::control::{AccessVault, State as Known, TeamAnswer};
use super::wire::{Answer, ServiceError, epoch};

/// Longest `RequesterComment`, in characters.
const LONGEST_COMMENT: usize = 200;
/// How long a session waits for its approvers.
const SESSION_HOURS: i64 = 24;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/restore-access-backup-vaults", put(create_access_vault))
        .route("/backup-vaults/{vault}", get(describe_vault))
        .route("/sessions/{session}", get(get_session))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NewAccess {
    source_backup_vault_arn: String,
    backup_vault_name: Option<String>,
    creator_request_id: Option<String>,
    requester_comment: Option<String>,
}

async fn create_access_vault(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    answering(shared, request, |shared, account, incoming| async move {
        let asked: NewAccess = input(&incoming)?;
        let comment = asked.requester_comment.unwrap_or_default();
        if comment.chars().count() > LONGEST_COMMENT {
            return Err(ServiceError::invalid(
                "RequesterComment must be at most 200 characters",
            ));
        }
        let mut state = shared.control.state();
        let source = source(&asked.source_backup_vault_arn)?;
        let Some((team, answer)) = state.vaults.get(&source).and_then(|vault| vault.team.clone()) else {
            return Err(ServiceError::request(
                "the source vault does not exist or has no approval team",
            ));
        };
        let name = asked
            .backup_vault_name
            .ok_or_else(|| ServiceError::missing("BackupVaultName"))?;
        let place = (account.clone(), name.clone());
        if let Some(known) = state.access_vaults.get(&place) {
            return if known.request == asked.creator_request_id {
                Ok(Json(created(&account, &name, known)))
            } else {
                Err(ServiceError::exists(format!(
                    "Backup vault `{name}` exists already"
                )))
            };
        }
        let owner = team.split(':').nth(4).unwrap_or_default();
        let (_, team_name) = team.rsplit_once('/').unwrap_or_default();
        let id = format!("{:08x}", state.access_vaults.len() + 1);
        let vault = AccessVault {
            account: account.clone(),
            source,
            source_arn: asked.source_backup_vault_arn,
            request: asked.creator_request_id,
            session: format!("arn:aws:mpa:us-east-1:{owner}:session/{team_name}/{id}"),
            comment,
            team,
            answer,
            created: Timestamp::now(),
            looks: 0,
        };
        let answer = created(&account, &name, &vault);
        state.access_vaults.insert(place, vault);
        Ok(Json(answer))
    })
    .await
}

/// Account and name of a vault by its ARN.
fn source(arn: &str) -> Result<(String, String), ServiceError> {
    match arn.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", _, "backup", _, account, "backup-vault", name] => {
            Ok(((*account).to_owned(), (*name).to_owned()))
        }
        _ => Err(ServiceError::invalid(
            "SourceBackupVaultArn is not the ARN of a vault",
        )),
    }
}

fn created(account: &str, name: &str, vault: &AccessVault) -> Value {
    json!({
        "RestoreAccessBackupVaultArn": arn("backup", account, &format!("backup-vault:{name}")),
        "RestoreAccessBackupVaultName": name,
        "VaultState": vault.state(),
        "CreationDate": epoch(vault.created),
    })
}

async fn describe_vault(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    answering(shared, request, |shared, account, _| async move {
        let state = shared.control.state();
        let vault_arn = arn("backup", &account, &format!("backup-vault:{name}"));
        if let Some(vault) = state.access_vaults.get(&(account.clone(), name.clone())) {
            let mut described = json!({
                "BackupVaultName": name,
                "BackupVaultArn": vault_arn,
                "VaultType": "RESTORE_ACCESS_BACKUP_VAULT",
                "VaultState": vault.state(),
                "SourceBackupVaultArn": vault.source_arn,
                "CreationDate": epoch(vault.created),
            });
            // The session is made after the vault's entry, not with it.
            if let (true, Some(fields)) = (vault.looks > 0, described.as_object_mut()) {
                fields.insert("MpaApprovalTeamArn".to_owned(), json!(vault.team));
                fields.insert("MpaSessionArn".to_owned(), json!(vault.session));
            }
            drop(state);
            shared.control.state().looked(&(account, name));
            return Ok(Json(described));
        }
        if state.vaults.contains_key(&(account, name.clone())) {
            return Ok(Json(json!({
                "BackupVaultName": name, "BackupVaultArn": vault_arn, "VaultType": "BACKUP_VAULT",
                "VaultState": "AVAILABLE",
            })));
        }
        Err(ServiceError::not_found(format!(
            "Backup vault `{name}` does not exist"
        )))
    })
    .await
}

/// The emulator knows no MPA, and so has no opinion on who may ask.
async fn get_session(
    State(shared): State<Arc<Shared>>,
    Path(session): Path<String>,
    request: Request,
) -> Response {
    let incoming = match Incoming::read(request).await {
        Ok(incoming) => incoming,
        Err(error) => return error.into_response(),
    };
    match shared.callers.identify(&incoming).await {
        Ok(account) => session_of(&mut shared.control.state(), &account, &session).into_response(),
        Err(refusal) => refusal,
    }
}

fn session_of(state: &mut Known, account: &str, session: &str) -> Answer {
    let place = state
        .access_vaults
        .iter()
        .find(|(_, vault)| vault.session == session && vault.account == account)
        .map(|(place, _)| place.clone());
    let place = place.ok_or_else(|| ServiceError::not_found("the session does not exist"))?;
    state.looked(&place);
    let vault = state
        .access_vaults
        .get(&place)
        .ok_or_else(|| ServiceError::not_found("the session does not exist"))?;
    let (status, code, execution) = vault.session_state();
    let ends = vault
        .created
        .checked_add(SignedDuration::from_hours(SESSION_HOURS))
        .unwrap_or(vault.created);
    let response = match (vault.answer, status) {
        (_, "CREATING" | "PENDING") | (TeamAnswer::Silence | TeamAnswer::Changes, _) => "NO_RESPONSE",
        (TeamAnswer::Rejects, _) => "REJECTED",
        (TeamAnswer::Approves | TeamAnswer::ExecutionFails | TeamAnswer::VaultFails, _) => "APPROVED",
    };
    let responses: Vec<Value> = ["a", "b", "c"]
        .iter()
        .enumerate()
        .map(|(i, id)| {
            // Two of three decide; who did not answer has no time of answering.
            let response = if i < 2 { response } else { "NO_RESPONSE" };
            json!({"ApproverId": format!("approver-{id}"), "IdentityId": format!("person-{id}"), "Response": response})
        })
        .collect();
    let mut described = json!({
        "SessionArn": vault.session,
        "ApprovalTeamArn": vault.team,
        "ApprovalTeamName": vault.team.rsplit_once('/').map(|(_, name)| name),
        "ProtectedResourceArn": vault.source_arn,
        "ActionName": "backup:CreateRestoreAccessBackupVault",
        "ActionCompletionStrategy": "AUTO_COMPLETION_UPON_APPROVAL",
        "RequesterAccountId": vault.account,
        "RequesterComment": vault.comment,
        "NumberOfApprovers": 3,
        "InitiationTime": vault.created.to_string(),
        "ExpirationTime": ends.to_string(),
        "Status": status,
        "ApproverResponses": responses,
    });
    if let Some(fields) = described.as_object_mut() {
        if let Some(code) = code {
            fields.insert("StatusCode".to_owned(), json!(code));
        }
        if let Some(execution) = execution {
            fields.insert("ExecutionStatus".to_owned(), json!(execution));
        }
        if !matches!(status, "CREATING" | "PENDING") {
            fields.insert("CompletionTime".to_owned(), json!(Timestamp::now().to_string()));
        }
    }
    Ok(Json(described))
}
