//! From the event of a function URL or an HTTP API to what a caller wants.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blackstart_aws::sign_in::RETURN_PATH;
use blackstart_core::run::RunId;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::TurnedAway;
use super::session::{SESSION, SIGN_IN, cookie};

/// Largest body, in bytes: room for the longest rationale in four-byte characters, escaped.
const LARGEST_BODY: usize = 64 * 1024;

/// The parts of an event that are looked at. AWS adds fields at will, so unknown ones are no error here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UrlEvent {
    version: String,
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    cookies: Vec<String>,
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

/// What vouches for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Voucher {
    /// IAM, for this ARN. A function URL fills it in only after it verified the signature.
    Iam(String),
    /// An issuer's token, from the cookie of the page.
    Session(String),
    /// An issuer's token, from the header `Authorization`.
    Bearer(String),
    /// Nothing yet.
    Nothing,
}

/// A request, as far as it can be read without knowing who sent it.
#[derive(Debug)]
pub(crate) struct Request {
    /// The gateway's id of the request.
    pub(crate) id: String,
    /// What vouches for the caller.
    pub(crate) voucher: Voucher,
    /// Whether the answer is for a browser.
    pub(crate) page: bool,
    /// Whether it can change anything: it is no `GET`.
    pub(crate) acts: bool,
    /// What is wanted, or why it cannot be had.
    pub(crate) wanted: Result<Wanted, TurnedAway>,
}

/// What a caller wants.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// Something about a run.
    OfRun(RunId, Action),
    /// To sign in, and to go to this path afterwards.
    SignIn(String),
    /// To be signed in: back from the issuer.
    Return(Return),
    /// To sign out.
    SignOut(Body),
}

/// What came back from the issuer, with what this browser kept of the beginning.
#[derive(Debug)]
pub(crate) struct Return {
    pub(crate) state: String,
    pub(crate) code: Option<String>,
    pub(crate) begun: Option<String>,
}

/// What can be done with a run.
#[derive(Debug)]
pub(crate) enum Action {
    /// Show the package. Changes nothing.
    Look,
    /// Vote, with this body.
    Vote(Body),
    /// Show what an operator is asked. Changes nothing.
    Question,
    /// Answer for the operator, with this body.
    Operator(Body),
}

/// A body, not read yet: first it must be known who sent it.
#[derive(Debug)]
pub(crate) struct Body {
    text: String,
    base64: bool,
    form: bool,
    other_site: bool,
}

impl Request {
    /// Reads an event. Where the page has TLS, only cookies of this very host count.
    pub(crate) fn of(event: Value, tls: bool) -> Result<Self, TurnedAway> {
        let event: UrlEvent = serde_json::from_value(event).map_err(|_| TurnedAway::NotARequest)?;
        if event.version != "2.0" {
            return Err(TurnedAway::NotARequest);
        }
        let header = |name: &str| {
            let found = event
                .headers
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map_or("", |(_, value)| value.as_str())
        };
        let iam = event
            .request_context
            .authorizer
            .and_then(|authorizer| authorizer.iam);
        let arn = iam.and_then(|iam| iam.user_arn).filter(|arn| !arn.is_empty());
        let voucher = match (
            arn,
            header("authorization").strip_prefix("Bearer "),
            cookie(&event.cookies, SESSION, tls),
        ) {
            (Some(arn), _, _) => Voucher::Iam(arn),
            (None, Some(token), _) => Voucher::Bearer(token.trim().to_owned()),
            (None, None, Some(token)) => Voucher::Session(token),
            (None, None, None) => Voucher::Nothing,
        };
        let method = event.request_context.http.method;
        let body = Body {
            form: header("content-type").starts_with("application/x-www-form-urlencoded"),
            // Browsers say where a form was sent from; other clients say nothing.
            other_site: !matches!(header("sec-fetch-site"), "" | "same-origin"),
            text: event.body.unwrap_or_default(),
            base64: event.is_base64_encoded,
        };
        let browser = matches!(voucher, Voucher::Session(_) | Voucher::Nothing);
        let page = browser && header("accept").contains("text/html");
        let begun = cookie(&event.cookies, SIGN_IN, tls);
        Ok(Self {
            id: event.request_context.request_id,
            acts: !matches!(method.as_str(), "GET" | "HEAD"),
            wanted: wanted(&method, &event.raw_path, &event.raw_query_string, body, begun),
            voucher,
            page,
        })
    }
}

fn wanted(
    method: &str,
    path: &str,
    query: &str,
    body: Body,
    begun: Option<String>,
) -> Result<Wanted, TurnedAway> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (run, action) = match (parts.as_slice(), method) {
        (["runs", run], "GET" | "HEAD") => (run, Action::Look),
        (["runs", run, "votes"], "POST") => (run, Action::Vote(body)),
        (["runs", run, "operator"], "GET" | "HEAD") => (run, Action::Question),
        (["runs", run, "operator"], "POST") => (run, Action::Operator(body)),
        (["sign-in"], "GET") => return Ok(Wanted::SignIn(parameter(query, "to").unwrap_or_default())),
        ([_], "GET") if path == RETURN_PATH => {
            return Ok(Wanted::Return(Return {
                state: parameter(query, "state").unwrap_or_default(),
                code: parameter(query, "code"),
                begun,
            }));
        }
        (["sign-out"], "POST") => return Ok(Wanted::SignOut(body)),
        (["runs", _] | ["sign-in" | "signed-in"], _) => return Err(TurnedAway::WrongMethod("GET")),
        (["runs", _, "votes"] | ["sign-out"], _) => return Err(TurnedAway::WrongMethod("POST")),
        (["runs", _, "operator"], _) => return Err(TurnedAway::WrongMethod("GET or POST")),
        _ => return Err(TurnedAway::NoSuchPath),
    };
    let run = RunId::try_from((*run).to_owned()).map_err(|_| TurnedAway::UnknownRun)?;
    Ok(Wanted::OfRun(run, action))
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    unescaped(value)
}

fn unescaped(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}

impl Body {
    fn bytes(&self) -> Result<Vec<u8>, TurnedAway> {
        let found = self.text.len();
        if found > LARGEST_BODY {
            return Err(TurnedAway::TooLarge {
                found,
                limit: LARGEST_BODY,
            });
        }
        if !self.base64 {
            return Ok(self.text.clone().into_bytes());
        }
        STANDARD
            .decode(&self.text)
            .map_err(|error| malformed(".", &format!("it is not base64: {error}")))
    }

    /// Reads the JSON that a program sends.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, TurnedAway> {
        if self.form {
            return Err(TurnedAway::OtherContent("JSON from who does not use the page"));
        }
        let bytes = self.bytes()?;
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| malformed(&error.path().to_string(), &error.inner().to_string()))?;
        reader.end().map_err(|error| malformed(".", &error.to_string()))?;
        Ok(value)
    }

    /// Reads the form that the page sends: exactly these fields, once each.
    pub(crate) fn form<const N: usize>(&self, names: [&str; N]) -> Result<[String; N], TurnedAway> {
        // A cookie comes along with whatever the browser is made to send; only a form can show that it is ours.
        if !self.form {
            return Err(TurnedAway::OtherContent(
                "the form of the page from who signed in there",
            ));
        }
        if self.other_site {
            return Err(TurnedAway::OtherSite);
        }
        let text = String::from_utf8(self.bytes()?).map_err(|error| malformed(".", &error.to_string()))?;
        let mut fields = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = unescaped(name).zip(unescaped(value));
            let (name, value) = decoded.ok_or_else(|| malformed(".", "it is not UTF-8"))?;
            if !names.contains(&name.as_str()) {
                return Err(malformed(&name, "there is no such field"));
            }
            if fields.insert(name.clone(), value).is_some() {
                return Err(malformed(&name, "it is there twice"));
            }
        }
        let mut missing = Vec::new();
        let values = names.map(|name| {
            fields.remove(name).unwrap_or_else(|| {
                missing.push(name);
                String::new()
            })
        });
        if missing.is_empty() {
            Ok(values)
        } else {
            Err(malformed(&missing.join(", "), "it is missing"))
        }
    }
}

pub(crate) fn malformed(at: &str, why: &str) -> TurnedAway {
    TurnedAway::Malformed {
        at: at.escape_debug().to_string(),
        why: why.to_owned(),
    }
}
