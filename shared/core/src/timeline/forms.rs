//! What kind of text an object holds: as its source says, or by its content.
//!
//! Recognition looks at the structure of the first document, never for words somewhere in the text: what a record
//! quotes from a request is an intruder's to choose.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::flow;
use crate::plan::WorkloadFormat;

/// What kind of text the objects of a source hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'p> {
    /// CloudTrail records, and the digest files beside them.
    CloudTrail,
    /// GuardDuty findings.
    GuardDuty,
    /// Security Hub findings.
    SecurityHub,
    /// VPC Flow Logs; the field order for objects without header line, empty for the default.
    FlowLogs(&'p str),
    /// Logs of the workload.
    Workload(&'p WorkloadFormat),
    /// Whatever the content shows; what is nothing else is the workload's log, if its format is known.
    Any(Option<&'p WorkloadFormat>),
}

/// What an object was read as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// CloudTrail records as a trail delivers them.
    #[default]
    CloudTrail,
    /// CloudTrail records as `LookupEvents` returns them.
    LookupEvents,
    /// A CloudTrail digest file.
    Digest,
    /// Findings of GuardDuty or Security Hub.
    Findings,
    /// VPC Flow Logs.
    FlowLogs,
    /// Logs of the workload.
    Workload,
    /// Nothing that can be read here.
    Unsupported,
}

impl Form {
    /// Name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CloudTrail => "CloudTrail",
            Self::LookupEvents => "CloudTrail LookupEvents",
            Self::Digest => "CloudTrail digest",
            Self::Findings => "findings",
            Self::FlowLogs => "VPC Flow Logs",
            Self::Workload => "workload log",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether its records are calls of the AWS API.
    #[must_use]
    pub fn is_api_activity(self) -> bool {
        matches!(self, Self::CloudTrail | Self::LookupEvents)
    }
}

/// An object's content with everything that is needed to read it.
#[derive(Debug)]
pub enum Recognised<'c, 'p> {
    /// CloudTrail records.
    CloudTrail(Cow<'c, [u8]>),
    /// CloudTrail records out of the answer of `LookupEvents`.
    LookupEvents(Vec<u8>),
    /// A digest file.
    Digest(Cow<'c, [u8]>),
    /// Findings.
    Findings(Cow<'c, [u8]>),
    /// Flow logs and the given field order.
    FlowLogs(Cow<'c, [u8]>, &'p str),
    /// Logs of the workload and their format.
    Workload(Cow<'c, [u8]>, &'p WorkloadFormat),
    /// A sentence that says what it is, and that it is not read.
    Unsupported(&'static str),
}

impl Recognised<'_, '_> {
    /// What the object is read as.
    #[must_use]
    pub fn form(&self) -> Form {
        match self {
            Self::CloudTrail(_) => Form::CloudTrail,
            Self::LookupEvents(_) => Form::LookupEvents,
            Self::Digest(_) => Form::Digest,
            Self::Findings(_) => Form::Findings,
            Self::FlowLogs(..) => Form::FlowLogs,
            Self::Workload(..) => Form::Workload,
            Self::Unsupported(_) => Form::Unsupported,
        }
    }

    /// The text to read; nothing for what is not read.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        match self {
            Self::CloudTrail(content)
            | Self::Digest(content)
            | Self::Findings(content)
            | Self::FlowLogs(content, _)
            | Self::Workload(content, _) => content,
            Self::LookupEvents(content) => content,
            Self::Unsupported(_) => &[],
        }
    }
}

/// Magic number at both ends of a Parquet file (Apache Parquet, "File format").
const PARQUET: &[u8] = b"PAR1";

/// What the content of an object is, given what its source is said to hold.
#[must_use]
pub fn recognise<'c, 'p>(kind: Kind<'p>, content: Cow<'c, [u8]>) -> Recognised<'c, 'p> {
    if content.starts_with(PARQUET) {
        return Recognised::Unsupported(
            "unsupported: Parquet; deliver this log as text, or convert it before it is read",
        );
    }
    let shape = match kind {
        Kind::CloudTrail if begins_with_records(&content) => Shape::CloudTrail,
        Kind::CloudTrail => {
            let found = shape(&content);
            if matches!(found, Shape::Digest | Shape::LookupEvents) {
                found
            } else {
                Shape::CloudTrail
            }
        }
        Kind::GuardDuty | Kind::SecurityHub => Shape::Findings,
        Kind::FlowLogs(fields) => return Recognised::FlowLogs(content, fields),
        Kind::Workload(format) => return Recognised::Workload(content, format),
        Kind::Any(_) => shape(&content),
    };
    match shape {
        Shape::CloudTrail => Recognised::CloudTrail(content),
        Shape::LookupEvents => match looked_up(&content) {
            Some(records) => Recognised::LookupEvents(records),
            None => Recognised::CloudTrail(content),
        },
        Shape::Digest => Recognised::Digest(content),
        Shape::Findings => Recognised::Findings(content),
        Shape::FlowLogs => Recognised::FlowLogs(content, ""),
        Shape::Delivery | Shape::Other => {
            if let Kind::Any(Some(format)) = kind {
                Recognised::Workload(content, format)
            } else if shape == Shape::Delivery {
                Recognised::Unsupported(
                    "is data of a CloudWatch Logs subscription; give the format of the workload's log to read it",
                )
            } else {
                Recognised::CloudTrail(content)
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    CloudTrail,
    LookupEvents,
    Digest,
    Findings,
    FlowLogs,
    Delivery,
    Other,
}

/// The usual beginning of a delivered object, which needs no further look.
fn begins_with_records(content: &[u8]) -> bool {
    content
        .trim_ascii_start()
        .strip_prefix(b"{")
        .is_some_and(|rest| rest.trim_ascii_start().starts_with(b"\"Records\""))
}

type Keys<'c> = BTreeMap<Cow<'c, str>, &'c RawValue>;

/// What the first document is.
fn shape(content: &[u8]) -> Shape {
    if begins_with_records(content) {
        return Shape::CloudTrail;
    }
    let content = content.trim_ascii_start();
    let document = match content.first() {
        Some(b'[') => content.get(1..).unwrap_or_default(),
        Some(b'{') => content,
        _ => {
            let line = content.split(|b| *b == b'\n').next().unwrap_or_default();
            return match std::str::from_utf8(line) {
                Ok(line) if flow::looks_like(line) => Shape::FlowLogs,
                _ => Shape::Other,
            };
        }
    };
    first_object(document).map_or(Shape::Other, |keys| shape_of(&keys, 0))
}

fn first_object(document: &[u8]) -> Option<Keys<'_>> {
    serde_json::Deserializer::from_slice(document)
        .into_iter::<Keys<'_>>()
        .next()?
        .ok()
}

/// What a document with these keys is. Envelopes are looked into, but not without end.
fn shape_of(keys: &Keys<'_>, depth: u8) -> Shape {
    const DEEPEST: u8 = 4;
    if depth > DEEPEST {
        return Shape::Other;
    }
    let has = |name: &str| keys.contains_key(name);
    let inside = |name: &str| -> Option<Shape> {
        let text = keys.get(name)?.get().trim_start();
        let document = text.strip_prefix('[').unwrap_or(text);
        Some(match first_object(document.as_bytes()) {
            Some(inner) => shape_of(&inner, depth + 1),
            None => Shape::Other,
        })
    };
    if has("Records") {
        return Shape::CloudTrail;
    }
    if has("Events") && inside("Events") == Some(Shape::LookupEvents) {
        return Shape::LookupEvents;
    }
    if has("CloudTrailEvent") {
        return Shape::LookupEvents;
    }
    if has("digestEndTime") && has("digestS3Object") {
        return Shape::Digest;
    }
    if has("messageType") && has("logEvents") {
        return Shape::Delivery;
    }
    if has("eventName") || has("eventSource") {
        return Shape::CloudTrail;
    }
    if has("findings") || has("Findings") {
        return Shape::Findings;
    }
    if has("detail-type") && inside("detail").is_some_and(|shape| shape == Shape::Findings) {
        return Shape::Findings;
    }
    let finding = (has("SchemaVersion") && has("ProductArn"))
        || (has("class_uid") && (has("finding_info") || has("metadata")))
        || (has("service") && has("type") && has("id"))
        || (has("Service") && has("Type") && has("Id"));
    if finding { Shape::Findings } else { Shape::Other }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, rename = "Events")]
    events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "CloudTrailEvent")]
    record: Cow<'a, str>,
}

/// The records of answers of `LookupEvents` (CloudTrail API reference: each event carries its record as text), one
/// answer after the other as the AWS CLI prints pages, or one event per line.
fn looked_up(content: &[u8]) -> Option<Vec<u8>> {
    let mut text = b"{\"Records\":[".to_vec();
    let mut add = |event: &Event<'_>| {
        if text.last() != Some(&b'[') {
            text.push(b',');
        }
        // Text that is no JSON document would hide its neighbours; as a JSON string it is one unreadable record.
        if serde_json::from_str::<&RawValue>(&event.record).is_ok() {
            text.extend(event.record.bytes());
        } else {
            text.extend(b"\"unreadable\"");
        }
    };
    let answers: Result<Vec<Answer<'_>>, _> = serde_json::Deserializer::from_slice(content)
        .into_iter()
        .collect();
    match answers {
        Ok(answers) => answers
            .iter()
            .flat_map(|answer| &answer.events)
            .for_each(&mut add),
        Err(_) => {
            let events: Result<Vec<Event<'_>>, _> = serde_json::Deserializer::from_slice(content)
                .into_iter()
                .collect();
            events.ok()?.iter().for_each(&mut add);
        }
    }
    text.extend(b"]}");
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn form(content: &str) -> Form {
        recognise(Kind::Any(None), Cow::Borrowed(content.as_bytes())).form()
    }

    fn data(name: &str) -> String {
        std::fs::read_to_string(format!("{}/../../tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn every_form_is_recognised_by_its_content() {
        let record = json!({"eventID": "1", "eventName": "A", "eventSource": "s3.amazonaws.com"});
        for (content, expected) in [
            (json!({"Records": [record]}).to_string(), Form::CloudTrail),
            (json!([record]).to_string(), Form::CloudTrail),
            (format!("{record}\n{record}\n"), Form::CloudTrail),
            (
                json!({"Events": [{"EventId": "1", "CloudTrailEvent": record.to_string()}]}).to_string(),
                Form::LookupEvents,
            ),
            (
                json!({"digestEndTime": "", "digestS3Object": "", "logFiles": []}).to_string(),
                Form::Digest,
            ),
            (data("eventbridge/iam-duty-event.json"), Form::Findings),
            (
                data("eventbridge/event-securityhub-iamkey-finding-action.json"),
                Form::Findings,
            ),
            (json!({"Findings": []}).to_string(), Form::Findings),
            ("version account-id srcaddr start\n".to_owned(), Form::FlowLogs),
            ("PAR1....".to_owned(), Form::Unsupported),
            (
                json!({"messageType": "DATA_MESSAGE", "logEvents": []}).to_string(),
                Form::Unsupported,
            ),
            ("what".to_owned(), Form::CloudTrail),
        ] {
            assert_eq!(form(&content), expected, "{content}");
        }
    }

    #[test]
    fn what_a_record_quotes_changes_nothing() {
        let hostile = json!({"requestParameters": {"digestEndTime": "", "digestS3Object": "", "findings": [], "SchemaVersion": "", "ProductArn": ""},
            "eventName": "A", "eventSource": "s3.amazonaws.com"});
        for content in [
            json!({"Records": [hostile]}).to_string(),
            json!([hostile]).to_string(),
            hostile.to_string(),
        ] {
            assert_eq!(form(&content), Form::CloudTrail);
        }
    }

    #[test]
    fn answers_of_lookup_events_become_records() {
        let event =
            |id: &str| json!({"CloudTrailEvent": json!({"eventID": id, "eventName": "A\"B"}).to_string()});
        let pages = format!(
            "{}\n{}",
            json!({"Events": [event("1"), event("2")]}),
            json!({"Events": [{"CloudTrailEvent": "{oops"}]})
        );
        let records = looked_up(pages.as_bytes()).unwrap();
        let read = crate::timeline::cloudtrail::parse(&records);
        assert_eq!(read.records.len(), 2);
        assert_eq!(read.records[1].1.id(), "2");
        assert_eq!(read.records[0].1.name(), "A\"B");
        assert_eq!(read.problems.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), brace in any::<bool>()) {
            let mut content = if brace { b"[{\"Events\":".to_vec() } else { Vec::new() };
            content.extend(bytes);
            let _ = recognise(Kind::Any(None), Cow::Owned(content));
        }
    }
}
