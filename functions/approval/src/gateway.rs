//! Where people look, vote, and answer for the operator: a Lambda function URL with IAM authentication for programs,
//! and an HTTP API for browsers.
//!
//! Who calls is what IAM says in `requestContext.authorizer.iam.userArn`, or what the issuer signed in a token; no
//! other header and no field of the body. A function URL fills the ARN only after it verified the signature, and an
//! HTTP API without an authorizer never does. Whoever may call `lambda:InvokeFunction` on this function directly could
//! write it himself, so nobody but these two is given that permission.

use blackstart_aws::evidence;
use blackstart_aws::ledger::LedgerError;
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::approval::page::{self, Page};
use blackstart_core::approval::roster::Roster;
use blackstart_core::error_name::{ErrorName, StageError, error_chain};
use blackstart_core::evidence::{Event, Kind};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{InvalidPlan, Plan};
use blackstart_core::run::RunRecord;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::settle::SettleError;
use crate::{Artifacts as _, Deps, Ports};

mod operator;
mod request;
mod response;
mod session;
mod summary;
mod turned_away;
mod vote;

use request::{Action, Request, Voucher, Wanted};
use response::Response;
pub use turned_away::TurnedAway;

/// Why a request has no answer: the caller is turned away, or something behind the gateway failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The request is at fault.
    #[error(transparent)]
    TurnedAway(#[from] TurnedAway),
    /// The request is at fault, and a page says so without losing what was typed.
    #[error("{0}")]
    Shown(TurnedAway, Box<Page>),
    /// The issuer did not answer as hoped.
    #[error(transparent)]
    Issuer(PortError),
    /// The issuer's token does not fit into a cookie.
    #[error(
        "the issuer's token has {0} bytes, too many for a cookie: have it issue fewer claims to this client"
    )]
    LargeToken(usize),
    /// There is no randomness.
    #[error("the system gives no random bytes")]
    Random(#[source] getrandom::Error),
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

/// Answers one event of the function URL or the HTTP API (payload format 2.0). Never fails: what goes wrong is an HTTP
/// status and one sentence.
pub async fn serve<P: Ports>(event: Value, deps: &Deps<P>, now: Timestamp) -> Value {
    let tls = deps
        .issuer
        .as_ref()
        .is_none_or(|issuer| issuer.settings().is_secure());
    let request = match Request::of(event, tls) {
        Ok(request) => request,
        Err(reason) => {
            return match stray_attempt(&deps.records, "none", None, &reason, now).await {
                Ok(()) => refusal(&reason, None),
                Err(error) => failure(&error, None),
            };
        }
    };
    // Boxed here and below: the futures of the SDK are too large and too deep to be nested in one another.
    match Box::pin(answer(&request, deps, now)).await {
        Ok(response) => response.deliver(200),
        Err(NoAnswer::TurnedAway(reason)) => refusal(&reason, Some(&request)),
        Err(NoAnswer::Shown(reason, page)) => Response::Page(*page, Vec::new()).deliver(reason.status()),
        Err(error) => failure(&error, Some(&request)),
    }
}

fn refusal(reason: &TurnedAway, request: Option<&Request>) -> Value {
    tracing::warn!(reason = reason.name(), status = reason.status(), "turned away");
    let Some(request) = request.filter(|request| request.page) else {
        let body = json!({"message": reason.to_string(), "reason": reason.name()});
        return Response::Json(body).deliver(reason.status());
    };
    let run = match &request.wanted {
        Ok(Wanted::OfRun(run, _)) => format!("/runs/{run}"),
        Ok(Wanted::SignIn(_) | Wanted::Return(_) | Wanted::SignOut(_)) | Err(_) => "/".to_owned(),
    };
    let address = format!("/sign-in?to={run}");
    let signs_in = matches!(
        reason,
        TurnedAway::NotSignedIn | TurnedAway::Token(_) | TurnedAway::NoSignIn
    );
    let way_on = match signs_in {
        true => Some((address.as_str(), "Sign in")),
        false if request.acts && run != "/" => Some((run.as_str(), "Back to the decision")),
        false => None,
    };
    let page = page::message("Blackstart", &sentence(&reason.to_string()), way_on);
    Response::Page(page, Vec::new()).deliver(reason.status())
}

fn failure(error: &NoAnswer, request: Option<&Request>) -> Value {
    let name = match error {
        NoAnswer::Settle(error) => error.name(),
        NoAnswer::Artifact(error) => error.name(),
        NoAnswer::Issuer(error) => error.name(),
        NoAnswer::TurnedAway(_)
        | NoAnswer::Shown(..)
        | NoAnswer::LargeToken(_)
        | NoAnswer::Random(_)
        | NoAnswer::Plan(_)
        | NoAnswer::Malformed(_) => ErrorName::Defect,
    };
    let name = name.as_str();
    tracing::error!(error = %error_chain(error), name, "request failed");
    let message = if matches!(error, NoAnswer::LargeToken(_)) {
        error.to_string()
    } else {
        "the request could not be completed; repeating it is safe".to_owned()
    };
    if request.is_some_and(|request| request.page) {
        let page = page::message("Blackstart", &sentence(&message), None);
        return Response::Page(page, Vec::new()).deliver(503);
    }
    Response::Json(json!({"message": message, "reason": name})).deliver(503)
}

/// A message as a sentence of a page.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

async fn answer<P: Ports>(request: &Request, deps: &Deps<P>, now: Timestamp) -> Result<Response, NoAnswer> {
    let issuer = deps.issuer.as_ref();
    let (run, action) = match &request.wanted {
        Ok(Wanted::OfRun(run, action)) => (run, action),
        Ok(Wanted::SignIn(to)) => return session::sign_in(issuer, to, now).await,
        Ok(Wanted::Return(back)) => return session::signed_in(issuer, back, now).await,
        Ok(Wanted::SignOut(body)) => return session::sign_out(issuer, &request.voucher, body),
        Err(reason) => {
            let caller = session::caller(&request.voucher, issuer, request.page, now).await;
            let reason = match caller {
                Ok(_) => reason.clone(),
                Err(NoAnswer::TurnedAway(unknown)) if !request.page => unknown,
                Err(_) => reason.clone(),
            };
            return stray(request, None, reason, deps, now).await;
        }
    };
    let identity = match session::caller(&request.voucher, issuer, request.page, now).await {
        Ok(identity) => identity,
        Err(NoAnswer::TurnedAway(reason)) => return stray(request, None, reason, deps, now).await,
        Err(error) => return Err(error),
    };
    let Some(record) = deps.records.get::<RunRecord>(&Key::run(run)).await? else {
        return stray(request, Some(&identity), TurnedAway::UnknownRun, deps, now).await;
    };
    let run = record.document.run.clone();
    let answered = Box::pin(admitted(request, action, &identity, record.document, deps, now)).await;
    // Whoever is not on the roster is no part of the run, and cannot make its chain longer.
    if let (Err(NoAnswer::TurnedAway(TurnedAway::NotOnRoster)), true) = (&answered, request.acts) {
        return stray(request, Some(&identity), TurnedAway::NotOnRoster, deps, now).await;
    }
    // A look at the package changes nothing, not even the evidence.
    if let (Err(NoAnswer::TurnedAway(reason) | NoAnswer::Shown(reason, _)), true) = (&answered, request.acts)
    {
        let event = Event::new(Kind::AttemptTurnedAway, now)
            .fact("identity", identity.as_str())
            .fact("request", request.id.as_str())
            .fact("reason", reason.name());
        evidence::record(&deps.records, &run, event).await?;
    }
    answered
}

async fn admitted<P: Ports>(
    request: &Request,
    action: &Action,
    identity: &str,
    run: RunRecord,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<Response, NoAnswer> {
    let plan = Plan::parse(&deps.artifacts.get(&run.plan).await?)?;
    let person = Roster::of(&plan).person(identity).map(str::to_owned);
    let person = person.ok_or(TurnedAway::NotOnRoster)?;
    let caller = Caller {
        run,
        plan,
        identity: identity.to_owned(),
        person,
    };
    match (action, &request.voucher) {
        (Action::Look, Voucher::Session(token)) if request.page => {
            let proposal = Box::pin(summary::proposal(&caller, deps)).await?;
            let page = proposal.page(&caller, token, None, "", now);
            Ok(Response::Page(page, Vec::new()))
        }
        (Action::Look, _) => {
            let proposal = Box::pin(summary::proposal(&caller, deps)).await?;
            Ok(Response::Json(proposal.json(&caller, now)))
        }
        (Action::Vote(body), Voucher::Session(token)) => {
            Box::pin(vote::by_form(&caller, body, token, request.page, deps, now)).await
        }
        (Action::Vote(body), _) => {
            let ballot = body.json()?;
            Box::pin(vote::vote(&caller, &ballot, deps, now))
                .await
                .map(Response::Json)
        }
        (Action::Question | Action::Operator(_), Voucher::Session(_)) => {
            Err(TurnedAway::OtherContent("signed requests only: use `blackstart cutover`").into())
        }
        (Action::Question, _) => Box::pin(operator::asked(&caller, deps)).await.map(Response::Json),
        (Action::Operator(body), _) => {
            let answer = body.json()?;
            Box::pin(operator::choose(&caller, &answer, deps, now))
                .await
                .map(Response::Json)
        }
    }
}

/// Turns away what belongs to no run. Whoever only opens a page leaves no trace; every other attempt is kept.
async fn stray<P: Ports>(
    request: &Request,
    identity: Option<&str>,
    reason: TurnedAway,
    deps: &Deps<P>,
    now: Timestamp,
) -> Result<Response, NoAnswer> {
    if request.acts || !request.page {
        let identity = match &request.voucher {
            Voucher::Iam(arn) => Some(arn.as_str()),
            Voucher::Session(_) | Voucher::Bearer(_) | Voucher::Nothing => identity,
        };
        stray_attempt(&deps.records, &request.id, identity, &reason, now).await?;
    }
    Err(reason.into())
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
