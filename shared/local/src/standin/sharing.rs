//! Resource shares (RAM) and catalog policies (Glue): nobody shares anything here, and says so as AWS does.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;

use super::Shared;
use super::caller::Incoming;
use super::wire::ServiceError;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/listprincipals", post(list_principals))
        .route("/", post(by_target))
}

/// The emulator knows no RAM, so it cannot be asked whether the caller may; who asks is known all the same.
async fn list_principals(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let incoming = match Incoming::read(request).await {
        Ok(incoming) => incoming,
        Err(error) => return error.into_response(),
    };
    match shared.callers.identify(&incoming).await {
        Ok(_) => Json(json!({"principals": []})).into_response(),
        Err(refusal) => refusal,
    }
}

async fn by_target(State(shared): State<Arc<Shared>>, headers: HeaderMap, request: Request) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .unwrap_or_default();
    if let Some(name) = target.strip_prefix(super::organizations::PREFIX) {
        let name = name.to_owned();
        return super::organizations::answer(shared, &name, request).await;
    }
    if target != "AWSGlue.GetResourcePolicies" {
        return ServiceError::invalid(format!("the stand-in knows no `{target}`")).into_response();
    }
    super::backup::answering(shared, request, |_, _, _| async {
        Ok(Json(json!({"GetResourcePoliciesResponseList": []})))
    })
    .await
}
