//! Hooks: functions of the workload that replace what only the workload knows how to replace.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use blackstart_core::rotation::hook::{HookAnswer, HookRequest};

use crate::port::{Effect, PortError, classify};

/// Functions of one account and region.
#[derive(Debug, Clone)]
pub struct Hooks {
    client: Client,
}

impl Hooks {
    /// Lambda under this configuration.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// Asks a hook to replace a credential and waits for its answer. A hook answers a repeat with the same token as
    /// before, so a lost answer is asked for again.
    ///
    /// # Errors
    /// [`PortError`]; what a failed hook says is not passed on: it could hold the credential.
    pub async fn ask(&self, function: &str, request: &HookRequest) -> Result<HookAnswer, PortError> {
        let what = format!("asking hook `{function}` for `{}`", request.credential);
        let refused = |why: &str| PortError::Refused {
            what: what.clone(),
            why: why.to_owned(),
        };
        let payload = serde_json::to_vec(request).map_err(|_| refused("the request has no JSON form"))?;
        let answer = self
            .client
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::RequestResponse)
            .payload(Blob::new(payload))
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
        if answer.function_error.is_some() {
            return Err(refused("the function failed; its own log says why"));
        }
        let body = answer.payload.map(Blob::into_inner).unwrap_or_default();
        HookAnswer::read(&body).map_err(|error| refused(&error.to_string()))
    }
}
