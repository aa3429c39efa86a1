//! Findings of AWS's detectors, whichever service hands them over and in whatever form.
//!
//! Forms: API answers (`Findings`, keys with capitals), EventBridge events (`detail`, `detail.findings`), export
//! lines, arrays, single findings. The time of a finding is that of its activity, never of its update.

use jiff::Timestamp;
use serde_json::Value;

use super::cloudtrail::parse_time;
use super::facts::Who;
use super::{guardduty, securityhub, workload};

/// Begins the indicator name of what is context only: it never makes anybody look for an actor.
pub const WEAK: &str = "weak:";

/// What the timeline needs of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `guardduty` or `securityhub`.
    pub source: &'static str,
    /// Finding id. A GuardDuty finding keeps it when Security Hub hands it over.
    pub id: String,
    /// Finding type, for example `Impact:S3/AnomalousBehavior.Delete`.
    pub kind: String,
    /// Indicator name, which tells whether the finding stands alone.
    pub indicator: String,
    /// Account that it is about.
    pub account: String,
    /// Region.
    pub region: String,
    /// What happened and when: the finding itself, and each signal of an attack sequence.
    pub moments: Vec<Moment>,
}

/// One thing that a finding says has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The finding's id, with the signal's for a signal.
    pub id: String,
    /// When the activity began.
    pub at: Option<Timestamp>,
    /// Title, for people.
    pub what: String,
    /// Whose activity it is, as far as the finding says.
    pub who: Who,
}

/// The findings of one object, and what could not be read.
#[derive(Debug, Default)]
pub struct Findings {
    /// Index within the object, and the finding. Samples and compliance checks are left out.
    pub findings: Vec<(u64, Finding)>,
    /// What could not be read, one sentence each.
    pub problems: Vec<String>,
}

/// What one document is.
pub(super) enum Read {
    /// A finding.
    Finding(Box<Finding>),
    /// Known not to report any activity: a sample, a compliance check, a deleted finding.
    Nothing,
    /// No finding.
    Unknown,
}

/// Whether an indicator that is no built-in one is enough to look for the actor behind it; `None` for the others.
#[must_use]
pub fn stands_alone(indicator: &str) -> Option<bool> {
    if indicator.starts_with(WEAK) {
        return Some(false);
    }
    if let Some(kind) = indicator.strip_prefix(guardduty::PREFIX) {
        return Some(guardduty::is_strong(kind));
    }
    (indicator.starts_with(securityhub::PREFIX) || indicator.starts_with(workload::PREFIX)).then_some(true)
}

/// Reads the findings of one object.
#[must_use]
pub fn parse(content: &[u8]) -> Findings {
    let mut read = Findings::default();
    let mut values = Vec::new();
    for value in documents(content) {
        match value {
            Ok(value) => collect(value, &mut values),
            Err(problem) => read.problems.push(problem),
        }
    }
    for (index, value) in (0..).zip(&values) {
        let finding = if value.get("SchemaVersion").is_some() || value.get("ProductArn").is_some() {
            securityhub::of_asff(value)
        } else if value.get("class_uid").is_some() {
            securityhub::of_ocsf(value)
        } else {
            guardduty::of(value)
        };
        match finding {
            Read::Finding(finding) => read.findings.push((index, *finding)),
            Read::Nothing => {}
            Read::Unknown => read.problems.push(format!(
                "document {index} is no finding of GuardDuty or Security Hub"
            )),
        }
    }
    read
}

/// The JSON documents of an object. Where the whole is not JSON, each line is read by itself, so that one that cannot
/// be read hides no other.
fn documents(content: &[u8]) -> Vec<Result<Value, String>> {
    let whole: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(content)
        .into_iter::<Value>()
        .collect();
    match whole {
        Ok(values) => values.into_iter().map(Ok).collect(),
        Err(_) => content
            .split(|b| *b == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.trim_ascii().is_empty())
            .map(|(number, line)| {
                serde_json::from_slice(line).map_err(|error| format!("line {number} is not JSON: {error}"))
            })
            .collect(),
    }
}

fn collect(value: Value, into: &mut Vec<Value>) {
    match value {
        Value::Array(items) => into.extend(items),
        Value::Object(mut object) => {
            for key in ["findings", "Findings"] {
                if let Some(Value::Array(items)) = object.get_mut(key).map(Value::take) {
                    into.extend(items);
                    return;
                }
            }
            match object.get_mut("detail").map(Value::take) {
                Some(detail @ Value::Object(_)) => collect(detail, into),
                Some(detail) => into.push(detail),
                None => into.push(Value::Object(object)),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => into.push(value),
    }
}

/// The value at a dotted path; the first letter of each key may be of either case, as EventBridge and the
/// API disagree about it. A number is an index into an array.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| {
        if let Value::Array(items) = value {
            return items.get(key.parse::<usize>().ok()?);
        }
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

/// The text at a path, empty when there is none.
pub(super) fn text(value: &Value, path: &str) -> String {
    at(value, path)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The elements of the array at a path.
pub(super) fn items<'v>(value: &'v Value, path: &str) -> impl Iterator<Item = &'v Value> {
    at(value, path).and_then(Value::as_array).into_iter().flatten()
}

/// The time at a path: RFC 3339, or seconds or milliseconds since 1970.
pub(super) fn time(value: &Value, path: &str) -> Option<Timestamp> {
    match at(value, path)? {
        Value::String(text) => parse_time(text),
        // The API writes seconds, EventBridge and OCSF milliseconds.
        Value::Number(number) => {
            let number = number.as_f64()?;
            let seconds = if number > 1e11 { number / 1000.0 } else { number };
            let nanoseconds = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
            Timestamp::from_duration(nanoseconds).ok()
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_finding_is_said() {
        for text in ["x", "{\"findings\":[{}]}", "[7]", "{\"detail\":null}"] {
            assert_eq!(parse(text.as_bytes()).problems.len(), 1, "{text}");
        }
        assert!(parse(b"{\"findings\":[]}").problems.is_empty());
    }

    #[test]
    fn one_unreadable_line_hides_no_other() {
        let finding = r#"{"id":"f","type":"Impact:S3/MaliciousIPCaller","service":{"eventFirstSeen":"2026-01-01T00:00:00Z"}}"#;
        let read = parse(format!("{finding}\nnot json\n{finding}\n").as_bytes());
        assert_eq!((read.findings.len(), read.problems.len()), (2, 1));
    }

    #[test]
    fn what_stands_alone_is_told_from_context() {
        for (indicator, expected) in [
            ("guardduty:Impact:S3/MaliciousIPCaller", Some(true)),
            ("guardduty:Discovery:S3/MaliciousIPCaller", Some(false)),
            ("securityhub:Macie/x", Some(true)),
            ("weak:securityhub:Macie/x", Some(false)),
            ("workload:shop/x", Some(true)),
            ("weak:workload:shop/x", Some(false)),
            ("cloudtrail.stop-logging", None),
        ] {
            assert_eq!(stands_alone(indicator), expected, "{indicator}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
