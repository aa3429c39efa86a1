//! Where people look, vote, and answer for the operator: a Lambda function URL with IAM authentication.
//!
//! Who calls is what IAM says in `requestContext.authorizer.iam.userArn`, and nothing else: no header, no field of
//! the body. A function URL fills that field only after it verified the signature. Whoever may call
//! `lambda:InvokeFunction` on this function directly could write it himself, so nobody but the function URL is given
//! that permission.

use blackstart_aws::callbacks::Callbacks;
use blackstart_aws::evidence;
use blackstart_aws::ledger::LedgerError;
use blackstart_aws::records::Records;
use blackstart_aws::tokens::Cipher;
use blackstart_core::approval::roster::Roster;
use blackstart_core::error_name::{ErrorName, StageError, error_chain};
use blackstart_core::evidence::{Event, Kind};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{InvalidPlan, Plan};
use blackstart_core::run::RunRecord;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::settle::SettleError;
use crate::{Artifacts, Deps};

mod operator;
mod request;
mod summary;
mod turned_away;
mod vote;

use request::{Action, Request};
pub use turned_away::TurnedAway;

/// Why a request has no answer: the caller is turned away, or something behind the gateway failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The request is at fault.
    #[error(transparent)]
    TurnedAway(#[from] TurnedAway),
    /// Something behind the gateway is.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// A document could not be read.
    #[error(transparent)]
    Artifact(#[from] blackstart_aws::artifacts::ArtifactError),
    /// The run's plan does not pass its checks.
    #[error(transparent)]
    Plan(#[from] InvalidPlan),
    /// A stored document is not what its place promises.
    #[error("a stored document is malformed")]
    Malformed(#[source] serde_json::Error),
}

impl From<LedgerError> for NoAnswer {
    fn from(error: LedgerError) -> Self {
        Self::Settle(error.into())
    }
}

impl From<evidence::EvidenceError> for NoAnswer {
    fn from(error: evidence::EvidenceError) -> Self {
        Self::Settle(error.into())
    }
}

/// A caller whom the roster knows, and the run that the call is about.
pub(crate) struct Caller {
    pub(crate) run: RunRecord,
    pub(crate) plan: Plan,
    pub(crate) identity: String,
    pub(crate) person: String,
}

/// Answers one event of the function URL (payload format 2.0). Never fails: what goes wrong is an HTTP status and
/// one sentence.
pub async fn serve<R, A, K, C, N>(event: Value, deps: &Deps<R, A, K, C, N>, now: Timestamp) -> Value
where
    R: Records,
    A: Artifacts,
    K: Cipher,
    C: Callbacks,
    N: Send + Sync,
{
    // Boxed here and below: the futures of the SDK are too large and too deep to be nested in one another.
    match Box::pin(answer(event, deps, now)).await {
        Ok(body) => response(200, &body),
        Err(NoAnswer::TurnedAway(reason)) => {
            tracing::warn!(reason = reason.name(), status = reason.status(), "turned away");
            response(
                reason.status(),
                &json!({"message": reason.to_string(), "reason": reason.name()}),
            )
        }
        Err(error) => {
            let name = match &error {
                NoAnswer::Settle(error) => error.name(),
                NoAnswer::Artifact(error) => error.name(),
                NoAnswer::TurnedAway(_) | NoAnswer::Plan(_) | NoAnswer::Malformed(_) => ErrorName::Defect,
            };
            let name = name.as_str();
            tracing::error!(error = %error_chain(&error), name, "request failed");
            let message = "the request could not be completed; repeating it is safe";
            response(503, &json!({"message": message, "reason": name}))
        }
    }
}

fn response(status: u16, body: &Value) -> Value {
    json!({
        "statusCode": status,
        "headers": {
            "content-type": "application/json",
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        },
        "body": body.to_string(),
        "isBase64Encoded": false,
    })
}

async fn answer<R, A, K, C, N>(
    event: Value,
    deps: &Deps<R, A, K, C, N>,
    now: Timestamp,
) -> Result<Value, NoAnswer>
where
    R: Records,
    A: Artifacts,
    K: Cipher,
    C: Callbacks,
    N: Send + Sync,
{
    let request = match Request::of(event) {
        Ok(request) => request,
        Err((reason, id)) => {
            stray_attempt(&deps.records, &id, None, &reason, now).await?;
            return Err(reason.into());
        }
    };
    let Some(record) = deps.records.get::<RunRecord>(&Key::run(&request.run)).await? else {
        let reason = TurnedAway::UnknownRun;
        stray_attempt(&deps.records, &request.id, Some(&request.identity), &reason, now).await?;
        return Err(reason.into());
    };
    let run = record.document.run.clone();
    let answered = Box::pin(admitted(&request, record.document, deps, now)).await;
    // A look at the package changes nothing, not even the evidence.
    if let (Err(NoAnswer::TurnedAway(reason)), false) = (&answered, matches!(request.action, Action::Look)) {
        let event = Event::new(Kind::AttemptTurnedAway, now)
            .fact("identity", request.identity.as_str())
            .fact("request", request.id.as_str())
            .fact("reason", reason.name());
        evidence::record(&deps.records, &run, event).await?;
    }
    answered
}

async fn admitted<R, A, K, C, N>(
    request: &Request,
    run: RunRecord,
    deps: &Deps<R, A, K, C, N>,
    now: Timestamp,
) -> Result<Value, NoAnswer>
where
    R: Records,
    A: Artifacts,
    K: Cipher,
    C: Callbacks,
    N: Send + Sync,
{
    let plan = Plan::parse(&deps.artifacts.get(&run.plan).await?)?;
    let person = Roster::of(&plan).person(&request.identity).map(str::to_owned);
    let person = person.ok_or(TurnedAway::NotOnRoster)?;
    let caller = Caller {
        run,
        plan,
        identity: request.identity.clone(),
        person,
    };
    match &request.action {
        Action::Look => Box::pin(summary::look(&caller, deps, now)).await,
        Action::Vote(body) => Box::pin(vote::vote(&caller, &request::parse(body)?, deps, now)).await,
        Action::Operator(body) => {
            Box::pin(operator::choose(&caller, &request::parse(body)?, deps, now)).await
        }
    }
}

/// Attempts that belong to no run are kept beside the runs.
async fn stray_attempt<R: Records>(
    records: &R,
    request: &str,
    identity: Option<&str>,
    reason: &TurnedAway,
    now: Timestamp,
) -> Result<(), NoAnswer> {
    let key = Key {
        pk: "ATTEMPTS".to_owned(),
        sk: format!("{now}#{request}"),
    };
    let attempt = json!({"at": now, "identity": identity, "request": request, "reason": reason.name()});
    records.put_new(&key, &attempt).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
