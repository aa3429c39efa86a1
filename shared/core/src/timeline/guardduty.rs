//! GuardDuty findings in the forms in which they arrive.
//!
//! API answers (`Findings` with upper-case keys), EventBridge envelopes, export lines, arrays, single
//! findings. The time of a finding is that of its activity, never of its creation or update.

use jiff::Timestamp;
use serde_json::Value;

use super::cloudtrail::parse_time;
use super::facts::Who;

/// Begins the indicator name of every finding.
pub const PREFIX: &str = "guardduty:";

/// Finding types that are context only: they report looking around and settings, not an intruder's act.
const CONTEXT: &[&str] = &["Discovery:", "Policy:", "Recon:"];

/// Whether a finding of this type alone is enough to look for the actor behind it.
///
/// By the GuardDuty documentation of finding types and attack sequences.
#[must_use]
pub fn is_strong(finding_type: &str) -> bool {
    !CONTEXT.iter().any(|prefix| finding_type.starts_with(prefix))
}

/// What the timeline needs of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Finding id.
    pub id: String,
    /// Finding type, for example `Impact:S3/AnomalousBehavior.Delete`.
    pub kind: String,
    /// Title, for people.
    pub title: String,
    /// Account that it is about.
    pub account: String,
    /// Region.
    pub region: String,
    /// When its activity began; for an attack sequence the first of its signals.
    pub first_seen: Option<Timestamp>,
    /// Whose activity it is, as far as the finding says.
    pub who: Who,
}

/// The findings of one object, and what could not be read.
#[derive(Debug, Default)]
pub struct Findings {
    /// Index within the object, and the finding. Samples are left out.
    pub findings: Vec<(u64, Finding)>,
    /// What could not be read, one sentence each.
    pub problems: Vec<String>,
}

/// Reads the findings of one object.
#[must_use]
pub fn parse(content: &[u8]) -> Findings {
    let mut read = Findings::default();
    let mut values = Vec::new();
    for (line, value) in serde_json::Deserializer::from_slice(content)
        .into_iter::<Value>()
        .enumerate()
    {
        match value {
            Ok(value) => collect(value, &mut values),
            Err(error) => {
                read.problems
                    .push(format!("document {line} is not JSON: {error}"));
                break;
            }
        }
    }
    for (index, value) in (0..).zip(&values) {
        if at(value, "service.additionalInfo.sample").is_some_and(|v| v == true) {
            continue;
        }
        match finding(value) {
            Some(finding) => read.findings.push((index, finding)),
            None => read
                .problems
                .push(format!("document {index} is no GuardDuty finding")),
        }
    }
    read
}

fn collect(value: Value, into: &mut Vec<Value>) {
    match value {
        Value::Array(items) => into.extend(items),
        Value::Object(mut object) => {
            let list = ["findings", "Findings"]
                .iter()
                .find_map(|key| object.get_mut(*key).map(Value::take));
            match list {
                Some(Value::Array(items)) => into.extend(items),
                _ => match object.get_mut("detail").map(Value::take) {
                    Some(detail) => into.push(detail),
                    None => into.push(Value::Object(object)),
                },
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => into.push(value),
    }
}

/// The value at a dotted path; the first letter of each key may be of either case, as EventBridge and the
/// API disagree about it.
fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| {
        value.get(key).or_else(|| {
            let mut letters = key.chars();
            let upper: String = letters
                .next()
                .into_iter()
                .flat_map(char::to_uppercase)
                .chain(letters)
                .collect();
            value.get(upper)
        })
    })
}

fn text(value: &Value, path: &str) -> String {
    at(value, path)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => parse_time(text),
        // The API writes seconds, some exports milliseconds.
        Value::Number(number) => {
            let number = number.as_f64()?;
            let seconds = if number > 1e11 { number / 1000.0 } else { number };
            let nanoseconds = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
            Timestamp::from_duration(nanoseconds).ok()
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn finding(value: &Value) -> Option<Finding> {
    let (id, kind) = (text(value, "id"), text(value, "type"));
    if id.is_empty() || kind.is_empty() {
        return None;
    }
    let signals = at(value, "service.detection.sequence.signals")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|signal| {
            at(signal, "firstSeenAt")
                .or_else(|| at(signal, "createdAt"))
                .and_then(time)
        })
        .min();
    let own = at(value, "service.eventFirstSeen").and_then(time);
    let action = at(value, "service.action");
    let remote = action
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|action| action.values())
        .find_map(|detail| {
            at(detail, "remoteIpDetails.ipAddressV4")
                .or_else(|| at(detail, "remoteIpDetails.ipAddressV6"))
                .and_then(Value::as_str)
        })
        .or_else(|| at(value, "service.detection.sequence.endpoints.0.ip").and_then(Value::as_str))
        .unwrap_or_default();
    Some(Finding {
        id,
        kind,
        title: text(value, "title"),
        account: text(value, "accountId"),
        region: text(value, "region"),
        first_seen: signals.into_iter().chain(own).min(),
        who: Who {
            principal: String::new(),
            credential: text(value, "resource.accessKeyDetails.accessKeyId"),
            address: remote.to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(sample: bool) -> Value {
        serde_json::json!({
            "id": "f1", "type": "Impact:S3/AnomalousBehavior.Delete", "title": "t", "createdAt": "2026-01-03T00:00:00Z",
            "resource": {"accessKeyDetails": {"accessKeyId": "AKIA1", "userName": "u"}},
            "service": {"eventFirstSeen": "2026-01-02T00:00:00Z", "additionalInfo": {"sample": sample},
                "action": {"actionType": "AWS_API_CALL", "awsApiCallAction": {"remoteIpDetails": {"ipAddressV4": "198.51.100.7"}}}}
        })
    }

    #[test]
    fn the_same_finding_in_every_form() {
        let finding = example(false);
        let api = serde_json::json!({"Findings": [{"Id": "f1", "Type": "Impact:S3/AnomalousBehavior.Delete", "Title": "t",
            "Resource": {"AccessKeyDetails": {"AccessKeyId": "AKIA1"}},
            "Service": {"EventFirstSeen": "2026-01-02T00:00:00Z",
                "Action": {"AwsApiCallAction": {"RemoteIpDetails": {"IpAddressV4": "198.51.100.7"}}}}}]});
        let bridge = serde_json::json!({"detail-type": "GuardDuty Finding", "detail": finding});
        let lines = format!("{finding}\n{finding}\n");
        let expected = parse(finding.to_string().as_bytes()).findings[0].1.clone();
        assert_eq!(expected.who.address, "198.51.100.7");
        assert_eq!(expected.first_seen, parse_time("2026-01-02T00:00:00Z"));
        for form in [
            api.to_string(),
            bridge.to_string(),
            lines,
            serde_json::json!([finding]).to_string(),
        ] {
            let read = parse(form.as_bytes());
            assert!(read.problems.is_empty(), "{:?}", read.problems);
            assert_eq!(read.findings[0].1, expected, "{form}");
        }
    }

    #[test]
    fn a_sample_is_no_evidence() {
        assert!(parse(example(true).to_string().as_bytes()).findings.is_empty());
    }

    #[test]
    fn an_attack_sequence_begins_with_its_first_signal() {
        let mut finding = example(false);
        finding["service"]["detection"] = serde_json::json!({"sequence": {"signals": [
            {"firstSeenAt": 1_767_225_600}, {"firstSeenAt": "2026-01-01T12:00:00Z"}]}});
        let read = parse(finding.to_string().as_bytes());
        assert_eq!(read.findings[0].1.first_seen, parse_time("2026-01-01T00:00:00Z"));
    }

    #[test]
    fn what_is_no_finding_is_said() {
        for text in ["x", "{\"findings\":[{}]}", "[7]", "{\"detail\":null}"] {
            assert_eq!(parse(text.as_bytes()).problems.len(), 1, "{text}");
        }
        assert!(parse(b"{\"findings\":[]}").problems.is_empty());
    }
}
