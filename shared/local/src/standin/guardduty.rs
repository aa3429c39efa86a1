//! GuardDuty: one detector per account, with the findings that the scenario put there.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::backup::{answering, disturbance, input};
use super::control::Operation;
use super::wire::{ServiceError, page};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/detector", get(list_detectors))
        .route("/detector/{detector}/findings", post(list_findings))
        .route("/detector/{detector}/findings/get", post(get_findings))
}

/// The detector of an account: 32 hexadecimal digits, as GuardDuty's are.
fn detector_of(account: &str) -> String {
    format!("{account:0>32}")
}

fn own_detector(detector: &str, account: &str) -> Result<(), ServiceError> {
    if detector == detector_of(account) {
        Ok(())
    } else {
        Err(ServiceError::invalid(
            "The request is rejected because the input detectorId is not owned by the current account.",
        ))
    }
}

async fn list_detectors(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    answering(shared, request, |shared, account, _| async move {
        let has_one = shared.control.state().findings.contains_key(&account);
        let detectors: Vec<String> = has_one.then(|| detector_of(&account)).into_iter().collect();
        Ok(Json(json!({"detectorIds": detectors})))
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListFindings {
    max_results: Option<usize>,
    next_token: Option<String>,
}

async fn list_findings(
    State(shared): State<Arc<Shared>>,
    Path(detector): Path<String>,
    request: Request,
) -> Response {
    answering(shared, request, |shared, account, incoming| async move {
        disturbance(shared.control.fault(Operation::ListFindings))?;
        own_detector(&detector, &account)?;
        let asked: ListFindings = input(&incoming)?;
        let ids: Vec<Value> = shared
            .control
            .state()
            .findings
            .get(&account)
            .into_iter()
            .flatten()
            .filter_map(|finding| finding.get("id").cloned())
            .collect();
        let (ids, next) = page(
            ids,
            asked.next_token.as_deref().filter(|token| !token.is_empty()),
            asked.max_results.unwrap_or(50).min(50),
        )?;
        // The last page carries an empty token, not an absent one.
        Ok(Json(
            json!({"findingIds": ids, "nextToken": next.unwrap_or_default()}),
        ))
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetFindings {
    finding_ids: Vec<String>,
}

async fn get_findings(
    State(shared): State<Arc<Shared>>,
    Path(detector): Path<String>,
    request: Request,
) -> Response {
    answering(shared, request, |shared, account, incoming| async move {
        own_detector(&detector, &account)?;
        let asked: GetFindings = input(&incoming)?;
        if asked.finding_ids.len() > 50 {
            return Err(ServiceError::invalid("at most 50 finding ids"));
        }
        let found: Vec<Value> = shared
            .control
            .state()
            .findings
            .get(&account)
            .into_iter()
            .flatten()
            .filter(|finding| {
                let id = finding.get("id").and_then(Value::as_str);
                id.is_some_and(|id| asked.finding_ids.iter().any(|wanted| wanted == id))
            })
            .cloned()
            .collect();
        Ok(Json(json!({"findings": found})))
    })
    .await
}
