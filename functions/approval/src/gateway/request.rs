//! From the event of a function URL to what a caller wants.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blackstart_core::run::RunId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::TurnedAway;

/// Largest body, in bytes: room for the longest rationale in four-byte characters, escaped.
const LARGEST_BODY: usize = 64 * 1024;

/// The parts of an event that are looked at. AWS adds fields at will, so unknown ones are no error here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UrlEvent {
    version: String,
    raw_path: String,
    request_context: RequestContext,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    request_id: String,
    http: Http,
    #[serde(default)]
    authorizer: Option<Authorizer>,
}

#[derive(Debug, Deserialize)]
struct Http {
    method: String,
}

#[derive(Debug, Deserialize)]
struct Authorizer {
    #[serde(default)]
    iam: Option<Iam>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Iam {
    #[serde(default)]
    user_arn: Option<String>,
}

/// What a caller wants.
#[derive(Debug)]
pub(crate) struct Request {
    /// The gateway's id of the request.
    pub(crate) id: String,
    /// The ARN that IAM vouches for.
    pub(crate) identity: String,
    /// The run.
    pub(crate) run: RunId,
    /// What to do.
    pub(crate) action: Action,
}

/// What can be done with a run.
#[derive(Debug)]
pub(crate) enum Action {
    /// Show the package. Changes nothing.
    Look,
    /// Vote, with this body.
    Vote(Body),
    /// Answer for the operator, with this body.
    Operator(Body),
}

/// A body, not read yet: first it must be known who sent it.
#[derive(Debug)]
pub(crate) struct Body {
    text: String,
    base64: bool,
}

impl Request {
    /// Reads an event. A refusal carries the id of the request, as far as there is one.
    pub(crate) fn of(event: Value) -> Result<Self, (TurnedAway, String)> {
        let event: UrlEvent =
            serde_json::from_value(event).map_err(|_| (TurnedAway::NotARequest, "none".to_owned()))?;
        let id = event.request_context.request_id.clone();
        Self::read(event).map_err(|reason| (reason, id))
    }

    fn read(event: UrlEvent) -> Result<Self, TurnedAway> {
        if event.version != "2.0" {
            return Err(TurnedAway::NotARequest);
        }
        let RequestContext {
            request_id,
            http,
            authorizer,
        } = event.request_context;
        let identity = authorizer
            .and_then(|authorizer| authorizer.iam)
            .and_then(|iam| iam.user_arn)
            .filter(|arn| !arn.is_empty())
            .ok_or(TurnedAway::NoIdentity)?;
        let body = Body {
            text: event.body.unwrap_or_default(),
            base64: event.is_base64_encoded,
        };
        let parts: Vec<&str> = event.raw_path.split('/').skip(1).collect();
        let (run, action) = match (parts.as_slice(), http.method.as_str()) {
            (["runs", run], "GET" | "HEAD") => (run, Action::Look),
            (["runs", run, "votes"], "POST") => (run, Action::Vote(body)),
            (["runs", run, "operator"], "POST") => (run, Action::Operator(body)),
            (["runs", _], _) => return Err(TurnedAway::WrongMethod("GET")),
            (["runs", _, "votes" | "operator"], _) => return Err(TurnedAway::WrongMethod("POST")),
            _ => return Err(TurnedAway::NoSuchPath),
        };
        let run = RunId::try_from((*run).to_owned()).map_err(|_| TurnedAway::UnknownRun)?;
        Ok(Self {
            id: request_id,
            identity,
            run,
            action,
        })
    }
}

/// Reads a body.
pub(crate) fn parse<T: DeserializeOwned>(body: &Body) -> Result<T, TurnedAway> {
    let found = body.text.len();
    if found > LARGEST_BODY {
        return Err(TurnedAway::TooLarge {
            found,
            limit: LARGEST_BODY,
        });
    }
    let bytes = if body.base64 {
        STANDARD
            .decode(&body.text)
            .map_err(|error| TurnedAway::Malformed {
                at: ".".to_owned(),
                why: format!("it is not base64: {error}"),
            })?
    } else {
        body.text.clone().into_bytes()
    };
    let mut reader = serde_json::Deserializer::from_slice(&bytes);
    let malformed = |at: String, why: String| TurnedAway::Malformed { at, why };
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| malformed(error.path().to_string(), error.inner().to_string()))?;
    reader
        .end()
        .map_err(|error| malformed(".".to_owned(), error.to_string()))?;
    Ok(value)
}
