//! Which credentials a call made, and which trails it switched on or off.

use serde_json::Value;

use super::cloudtrail::Record;
use super::facts::{Issued, Logging, ObjectFacts, Recorded, Seen, who};
use super::selectors::{Selected, text};
use super::sign_in;

/// Actions of STS whose answer holds a new credential.
pub(super) const MAKES_SESSION: &[&str] = &[
    "AssumeRole",
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
    "AssumeRoot",
    "GetFederationToken",
    "GetSessionToken",
];

/// The other actions that [`lineage`] looks at, and sign-ins.
pub(super) const OTHER_LINEAGE: &[&str] = &[
    "CreateAccessKey",
    "StopLogging",
    "StartLogging",
    "DeleteTrail",
    "PutEventSelectors",
    sign_in::SIGN_IN,
];

/// Notes what a call changed about trails. The credential that it made, if it made one.
pub(super) fn lineage(
    record: &Record<'_>,
    seen: impl Fn() -> Seen,
    facts: &mut ObjectFacts,
) -> Option<Issued> {
    let value = |raw: Option<&serde_json::value::RawValue>| {
        raw.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok())
            .unwrap_or(Value::Null)
    };
    let path = match (record.service(), record.name()) {
        ("sts", action) if MAKES_SESSION.contains(&action) => "/credentials/accessKeyId",
        ("iam", "CreateAccessKey") => "/accessKey/accessKeyId",
        ("cloudtrail", change @ ("StopLogging" | "StartLogging" | "DeleteTrail")) => {
            let request = value(record.request_parameters);
            facts.logging.push(Logging {
                seen: seen(),
                trail: request
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or("unnamed")
                    .to_owned(),
                on: change == "StartLogging",
                what: Recorded::Everything,
            });
            return None;
        }
        ("cloudtrail", "PutEventSelectors") => {
            selected(&value(record.request_parameters), seen, facts);
            return None;
        }
        _ => return None,
    };
    let answer = value(record.response_elements);
    let credential = answer.pointer(path)?.as_str()?;
    Some(Issued {
        seen: seen(),
        by: who(record),
        credential: credential.to_owned(),
        shared: record
            .shared_event_id
            .as_ref()
            .map_or_else(String::new, |id| id.as_str().to_owned()),
    })
}

/// What a trail records from now on, by the selectors that it is given.
fn selected(request: &Value, seen: impl Fn() -> Seen, facts: &mut ObjectFacts) {
    let Some(selected) = Selected::by(request) else {
        return;
    };
    for (what, on) in [
        (Recorded::ManagementEvents, selected.has_management()),
        (Recorded::DataEvents, selected.has_data()),
    ] {
        facts.logging.push(Logging {
            seen: seen(),
            trail: text(request, "trailName").unwrap_or_else(|| "unnamed".to_owned()),
            on,
            what,
        });
    }
}
