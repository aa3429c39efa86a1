//! The page of the gate on this machine: an issuer where the roster signs in, and an HTTP API in front of the deployed
//! function.

use std::sync::Arc;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::Environment;
use blackstart_core::plan::Plan;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::LocalAws;
use crate::accounts::RECOVERY;
use crate::deploy::Deployed;
use crate::front::{Front, Handler};
use crate::issuer::{CLIENT, Issuer};
use crate::organisation::plan::PLAN_KEY;
use crate::step::{Doing, StepFailed};

/// The page, served. It ends when this value is dropped.
#[derive(Debug)]
pub struct Page {
    issuer: Issuer,
    front: Front,
}

impl Page {
    /// Serves the page of the deployed gate, and lets the people of the plan's roster sign in under their names.
    ///
    /// # Errors
    /// [`StepFailed`] naming the step.
    pub async fn open(local: &LocalAws, deployed: &Deployed, plan: &Plan) -> Result<Self, StepFailed> {
        let people: Vec<&str> = plan
            .approval
            .approvers
            .iter()
            .map(|approver| approver.person.as_str())
            .collect();
        let issuer = Issuer::start(&people, Timestamp::now)
            .await
            .doing("starting the issuer")?;
        let (listener, origin) = Front::listen()
            .await
            .doing("finding a port for the page of the gate")?;
        let lambda = aws_sdk_lambda::Client::new(&local.root_of(RECOVERY));
        // The alias is a version, and a version cannot be told where to sign in; the function behind it can.
        let alias = deployed.output("GateFunction")?;
        let function = alias
            .rsplit_once(':')
            .map_or(alias, |(function, _)| function)
            .to_owned();
        let settings = [
            ("OIDC_ISSUER", issuer.identifier()),
            ("OIDC_CLIENT_ID", CLIENT.to_owned()),
            ("PAGE_ORIGIN", origin),
        ];
        tell(&lambda, &function, settings).await?;
        name_people(local, deployed, plan, &issuer.identifier()).await?;

        let handler: Handler = Arc::new(move |event| {
            let (lambda, function) = (lambda.clone(), function.clone());
            Box::pin(async move { answer(&lambda, &function, &event).await })
        });
        let front = Front::start(listener, handler).doing("starting the page of the gate")?;
        Ok(Self { issuer, front })
    }

    /// Under which it is reached.
    #[must_use]
    pub fn origin(&self) -> String {
        self.front.origin()
    }

    /// Where people sign in.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }
}

/// Adds to the environment of a function.
async fn tell(
    lambda: &aws_sdk_lambda::Client,
    function: &str,
    settings: [(&str, String); 3],
) -> Result<(), StepFailed> {
    let step = "telling the gate where people sign in";
    let known = lambda
        .get_function_configuration()
        .function_name(function)
        .send()
        .await
        .doing(step)?;
    let mut variables = known
        .environment
        .and_then(|environment| environment.variables)
        .unwrap_or_default();
    variables.extend(settings.map(|(name, value)| (name.to_owned(), value)));
    lambda
        .update_function_configuration()
        .function_name(function)
        .environment(Environment::builder().set_variables(Some(variables)).build())
        .send()
        .await
        .doing(step)?;
    Ok(())
}

/// Writes the plan anew, with everybody of the roster also being who the issuer says.
async fn name_people(
    local: &LocalAws,
    deployed: &Deployed,
    plan: &Plan,
    issuer: &str,
) -> Result<(), StepFailed> {
    let mut plan = plan.clone();
    for approver in &mut plan.approval.approvers {
        approver
            .identities
            .insert(format!("{issuer}#{}", approver.person));
    }
    let text = serde_json::to_vec(&plan).doing("writing the plan")?;
    aws_sdk_s3::Client::new(&local.root_of(RECOVERY))
        .put_object()
        .bucket(deployed.output("PlanBucket")?)
        .key(PLAN_KEY)
        .body(text.into())
        .send()
        .await
        .doing("uploading the plan")?;
    Ok(())
}

async fn answer(lambda: &aws_sdk_lambda::Client, function: &str, event: &Value) -> Value {
    let answered = lambda
        .invoke()
        .function_name(function)
        .payload(Blob::new(event.to_string()))
        .send()
        .await;
    let payload = answered
        .ok()
        .and_then(|answer| answer.payload)
        .map(Blob::into_inner);
    payload
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_else(|| json!({"statusCode": 502, "body": "the gate does not answer"}))
}
