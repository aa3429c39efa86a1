//! Access Analyzer: the analyzers and findings that a scenario set up, and no objection to any policy.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::Shared;
use super::backup::input;
use super::caller::{Incoming, arn};
use super::wire::{Answer, ServiceError};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/analyzer", get(list_analyzers))
        .route("/finding", post(list_findings))
        .route("/policy/validation", post(validate_policy))
}

/// The emulator does not know this service, and so has no opinion on who may ask.
async fn answering(
    shared: Arc<Shared>,
    request: Request,
    answer: impl FnOnce(&Shared, String, &Incoming) -> Answer,
) -> Response {
    let incoming = match Incoming::read(request).await {
        Ok(incoming) => incoming,
        Err(error) => return error.into_response(),
    };
    match shared.callers.identify(&incoming).await {
        Ok(account) => answer(&shared, account, &incoming).into_response(),
        Err(refusal) => refusal,
    }
}

fn analyzer(account: &str) -> String {
    arn("access-analyzer", account, "analyzer/external-access")
}

async fn list_analyzers(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    answering(shared, request, |shared, account, _| {
        let state = shared.control.state();
        let analyzers: Vec<Value> = state
            .analyzers
            .get(&account)
            .map(|_| json!({"arn": analyzer(&account), "name": "external-access", "type": "ACCOUNT", "status": "ACTIVE"}))
            .into_iter()
            .collect();
        Ok(Json(json!({ "analyzers": analyzers })))
    })
    .await
}

async fn list_findings(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    answering(shared, request, |shared, account, incoming| {
        let asked: Value = input(incoming)?;
        let state = shared.control.state();
        match state.analyzers.get(&account) {
            Some(findings) if asked.get("analyzerArn") == Some(&analyzer(&account).into()) => {
                Ok(Json(json!({ "findings": findings })))
            }
            _ => Err(ServiceError::not_found("the analyzer does not exist")),
        }
    })
    .await
}

async fn validate_policy(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    answering(shared, request, |_, _, incoming| {
        let asked: Value = input(incoming)?;
        let document = asked
            .get("policyDocument")
            .and_then(Value::as_str)
            .ok_or_else(|| ServiceError::missing("policyDocument"))?;
        let findings = match serde_json::from_str::<Value>(document) {
            Ok(Value::Object(_)) => json!([]),
            Ok(_) | Err(_) => json!([{
                "findingType": "ERROR",
                "issueCode": "JSON_SYNTAX_ERROR",
                "findingDetails": "Fix the JSON syntax error",
                "learnMoreLink": "https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html",
                "locations": [],
            }]),
        };
        Ok(Json(json!({ "findings": findings })))
    })
    .await
}
