//! Access Analyzer: no analyzer, and no finding on any policy. Enough for a caller that treats it as advice.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::Shared;
use super::backup::{answering, input};
use super::wire::ServiceError;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/analyzer", get(list_analyzers))
        .route("/policy/validation", post(validate_policy))
}

async fn list_analyzers(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    answering(shared, request, |_, _, _| async move {
        Ok(Json(json!({"analyzers": []})))
    })
    .await
}

async fn validate_policy(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    answering(shared, request, |_, _, incoming| async move {
        let asked: Value = input(&incoming)?;
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
        Ok(Json(json!({"findings": findings})))
    })
    .await
}
