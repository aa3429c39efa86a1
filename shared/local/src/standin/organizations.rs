//! AWS Organizations, as far as policies and where they are attached go.

use std::sync::Arc;

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::backup::{disturbance, input};
use super::caller::Incoming;
use super::control::Operation;
use super::wire::ServiceError;

/// Prefix of the target header.
pub(super) const PREFIX: &str = "AWSOrganizationsV20161128.";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    policy_id: String,
    #[serde(default)]
    target_id: String,
}

/// The emulator knows no Organizations, so it cannot be asked whether the caller may; who asks is known all the same.
pub(super) async fn answer(shared: Arc<Shared>, name: &str, request: Request) -> Response {
    let incoming = match Incoming::read(request).await {
        Ok(incoming) => incoming,
        Err(error) => return error.into_response(),
    };
    if let Err(refusal) = shared.callers.identify(&incoming).await {
        return refusal;
    }
    match perform(&shared, name, &incoming) {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => error.into_response(),
    }
}

fn perform(shared: &Shared, name: &str, incoming: &Incoming) -> Result<Value, ServiceError> {
    let about: About = input(incoming)?;
    disturbance(shared.control.fault(Operation::Organizations))?;
    let mut state = shared.control.state();
    let policy = state.policies.get_mut(&about.policy_id).ok_or_else(|| {
        ServiceError::not_found(format!(
            "You specified a policy that doesn't exist: {}",
            about.policy_id
        ))
    })?;
    match name {
        "DescribePolicy" => Ok(json!({"Policy": {
            "Content": policy.content,
            "PolicySummary": {"Id": about.policy_id, "Name": about.policy_id, "Type": policy.kind, "AwsManaged": false},
        }})),
        "ListTargetsForPolicy" => {
            let targets: Vec<Value> = policy
                .targets
                .iter()
                .map(|target| json!({"TargetId": target, "Name": target, "Type": "ACCOUNT"}))
                .collect();
            Ok(json!({ "Targets": targets }))
        }
        "AttachPolicy" if policy.targets.insert(about.target_id.clone()) => Ok(Value::Null),
        "AttachPolicy" => Err(ServiceError::invalid(
            "DuplicatePolicyAttachmentException: the policy is already attached to the specified target",
        )),
        "DetachPolicy" if policy.targets.remove(&about.target_id) => Ok(Value::Null),
        "DetachPolicy" => Err(ServiceError::invalid(
            "PolicyNotAttachedException: the policy isn't attached to the specified target",
        )),
        other => Err(ServiceError::invalid(format!("the stand-in knows no `{other}`"))),
    }
}
