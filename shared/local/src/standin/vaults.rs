//! AWS Backup: the vaults of an account and their access policies.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::backup::{answering, input};
use super::caller::arn;
use super::wire::ServiceError;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/backup-vaults", get(list_vaults))
        .route("/backup-vaults/", get(list_vaults))
        .route(
            "/backup-vaults/{vault}/access-policy",
            get(read_policy).put(write_policy),
        )
}

async fn list_vaults(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    answering(shared, request, |shared, account, _| async move {
        let state = shared.control.state();
        let vaults: Vec<Value> = state
            .vaults
            .keys()
            .filter(|(owner, _)| *owner == account)
            .map(|(_, name)| {
                let vault_arn = arn("backup", &account, &format!("backup-vault:{name}"));
                json!({"BackupVaultName": name, "BackupVaultArn": vault_arn})
            })
            .collect();
        Ok(Json(json!({ "BackupVaultList": vaults })))
    })
    .await
}

async fn read_policy(
    State(shared): State<Arc<Shared>>,
    Path(vault): Path<String>,
    request: Request,
) -> Response {
    answering(shared, request, |shared, account, _| async move {
        let state = shared.control.state();
        let vault_arn = arn("backup", &account, &format!("backup-vault:{vault}"));
        match state.vault_policies.get(&(account, vault.clone())) {
            Some(policy) => Ok(Json(json!({
                "BackupVaultName": vault, "BackupVaultArn": vault_arn, "Policy": policy,
            }))),
            // AWS Backup has no empty answer: no policy and no vault are the same error.
            None => Err(ServiceError::not_found(format!("`{vault}` has no access policy"))),
        }
    })
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NewPolicy {
    policy: String,
}

async fn write_policy(
    State(shared): State<Arc<Shared>>,
    Path(vault): Path<String>,
    request: Request,
) -> Response {
    answering(shared, request, |shared, account, incoming| async move {
        let NewPolicy { policy } = input(&incoming)?;
        let mut state = shared.control.state();
        let place = (account, vault);
        if !state.vaults.contains_key(&place) {
            return Err(ServiceError::not_found(format!(
                "backup vault `{}` does not exist",
                place.1
            )));
        }
        state.vault_policies.insert(place, policy);
        Ok(Json(json!({})))
    })
    .await
}
