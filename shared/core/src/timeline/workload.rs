//! Logs of the workload itself, read as the plan says.
//!
//! Forms: JSON lines; a JSON array; what CloudWatch Logs exports to S3 (`time message` per event, further lines of
//! the same event without time); and what a CloudWatch Logs subscription delivers (`messageType`, `logEvents`, one
//! document after the other), by the CloudWatch Logs user guide.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::cloudtrail::parse_time;
use super::facts::{Who, printable_up_to};
use crate::plan::{Condition, TimeFormat, WorkloadFormat, WorkloadIndicator};

/// Begins the indicator name of every line that a plan's indicator marks.
pub const PREFIX: &str = "workload:";

/// Longest text of one line that is kept for people.
const TEXT_KEPT: usize = 300;

/// One event of a workload's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<'f> {
    /// When it happened.
    pub at: Option<Timestamp>,
    /// The line's own id; empty when it has none.
    pub id: String,
    /// Who acted.
    pub who: Who,
    /// What was done; empty when the plan names no field for it.
    pub action: String,
    /// The text for people, shortened.
    pub message: String,
    /// The account that the log belongs to, where the form says so.
    pub account: String,
    /// The plan's indicators that match.
    pub indicators: Vec<&'f WorkloadIndicator>,
}

/// The name under which an indicator of this log stands in the timeline.
#[must_use]
pub fn indicator_name(format: &WorkloadFormat, indicator: &WorkloadIndicator) -> String {
    let weak = if indicator.strong {
        ""
    } else {
        super::findings::WEAK
    };
    format!("{weak}{PREFIX}{}/{}", format.name, indicator.id)
}

/// One event before the plan's mapping.
struct Raw<'a> {
    time: Option<Timestamp>,
    text: Cow<'a, str>,
    id: &'a str,
    account: &'a str,
}

/// Reads an object event by event. The number of an event counts from 0.
///
/// What cannot be read hides nothing else: it is handed over as a sentence.
pub fn read<'f>(
    content: &[u8],
    format: &'f WorkloadFormat,
    mut each: impl FnMut(u64, Result<Entry<'f>, String>),
) {
    let mut number = 0;
    split(content, &mut |raw| {
        each(number, raw.map(|raw| entry(&raw, format)));
        number += 1;
    });
}

/// A batch of events as a subscription delivers it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivery<'a> {
    #[serde(borrow)]
    message_type: Cow<'a, str>,
    #[serde(borrow, default)]
    owner: Cow<'a, str>,
    #[serde(borrow, default)]
    log_events: Vec<Delivered<'a>>,
}

#[derive(Deserialize)]
struct Delivered<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

type Each<'e> = &'e mut dyn FnMut(Result<Raw<'_>, String>);

/// Cuts an object into events.
fn split(content: &[u8], each: Each<'_>) {
    let trimmed = content.trim_ascii();
    if trimmed.first() == Some(&b'[') {
        match serde_json::from_slice::<Vec<&serde_json::value::RawValue>>(trimmed) {
            Ok(items) => items.iter().for_each(|item| document(item.get(), each)),
            Err(error) => each(Err(format!("is no JSON array: {error}"))),
        }
        return;
    }
    if trimmed.first() == Some(&b'{') {
        // A document over several lines: one after the other until one cannot be read.
        let mut documents =
            serde_json::Deserializer::from_slice(trimmed).into_iter::<&serde_json::value::RawValue>();
        if let Some(Ok(first)) = documents.next()
            && first.get().contains('\n')
        {
            document(first.get(), each);
            for next in documents {
                match next {
                    Ok(next) => document(next.get(), each),
                    Err(error) => {
                        each(Err(format!("is not JSON, and hides what follows: {error}")));
                        return;
                    }
                }
            }
            return;
        }
    }
    lines(content, each);
}

fn lines(content: &[u8], each: Each<'_>) {
    let mut open: Option<(Timestamp, String)> = None;
    let close = |open: &mut Option<(Timestamp, String)>, each: Each<'_>| {
        if let Some((time, text)) = open.take() {
            each(Ok(Raw {
                time: Some(time),
                text: Cow::Owned(text),
                id: "",
                account: "",
            }));
        }
    };
    for line in content.split(|b| *b == b'\n') {
        let line = line.trim_ascii_end();
        if line.trim_ascii().is_empty() {
            continue;
        }
        let Ok(line) = std::str::from_utf8(line) else {
            close(&mut open, each);
            each(Err("is not text".to_owned()));
            continue;
        };
        let timed = line
            .split_once(' ')
            .filter(|(time, _)| time.contains('T'))
            .and_then(|(time, rest)| Some((parse_time(time)?, rest)));
        if let Some((time, rest)) = timed {
            close(&mut open, each);
            open = Some((time, rest.to_owned()));
        } else if let Some((_, text)) = &mut open {
            // A stack trace, or a document over several lines.
            text.push('\n');
            text.push_str(line);
        } else {
            documents(line, each);
        }
    }
    close(&mut open, each);
}

/// One line: a document, or several without anything between them.
fn documents(line: &str, each: Each<'_>) {
    let parts = serde_json::Deserializer::from_str(line).into_iter::<&serde_json::value::RawValue>();
    for part in parts {
        match part {
            Ok(part) if part.get().starts_with('{') => document(part.get(), each),
            Ok(_) => each(Err("is JSON, but no object".to_owned())),
            Err(error) => {
                each(Err(format!("is not JSON: {error}")));
                return;
            }
        }
    }
}

fn document(text: &str, each: Each<'_>) {
    match serde_json::from_str::<Delivery<'_>>(text) {
        Ok(delivery) if delivery.message_type == "DATA_MESSAGE" => {
            for event in &delivery.log_events {
                each(Ok(Raw {
                    time: event
                        .timestamp
                        .and_then(|ms| Timestamp::from_millisecond(ms).ok()),
                    text: Cow::Borrowed(&event.message),
                    id: &event.id,
                    account: &delivery.owner,
                }));
            }
        }
        // A test of whether the destination can be reached.
        Ok(delivery) if delivery.message_type == "CONTROL_MESSAGE" => {}
        _ => each(Ok(Raw {
            time: None,
            text: Cow::Borrowed(text),
            id: "",
            account: "",
        })),
    }
}

fn entry<'f>(raw: &Raw<'_>, format: &'f WorkloadFormat) -> Entry<'f> {
    let fields = serde_json::from_str::<Value>(&raw.text)
        .ok()
        .filter(Value::is_object)
        .unwrap_or(Value::Null);
    let value = |path: &str| -> Option<Cow<'_, str>> {
        match path {
            "@message" => Some(Cow::Borrowed(raw.text.as_ref())),
            "@timestamp" => raw.time.map(|time| Cow::Owned(time.to_string())),
            path => at(&fields, path).and_then(as_text),
        }
    };
    let text = |path: Option<&String>| {
        path.and_then(|path| value(path))
            .map_or_else(String::new, |text| printable_up_to(&text, TEXT_KEPT))
    };
    let time = match format.time.as_str() {
        "@timestamp" => raw.time,
        path => at(&fields, path).and_then(|value| time(value, format.time_format)),
    };
    let id = text(format.id.as_ref());
    Entry {
        at: time,
        id: if id.is_empty() {
            printable_up_to(raw.id, TEXT_KEPT)
        } else {
            id
        },
        who: Who {
            principal: text(format.actor.as_ref()),
            credential: text(format.credential.as_ref()),
            address: text(format.address.as_ref()),
            ..Who::default()
        },
        action: text(format.action.as_ref()),
        message: text(Some(&format.message)),
        account: printable_up_to(raw.account, 20),
        indicators: format
            .indicators
            .iter()
            .filter(|indicator| indicator.when.iter().all(|c| holds(c, &value)))
            .collect(),
    }
}

/// The value at a dotted path; a key that contains dots itself is found too.
fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (head, rest) = (path.get(..dot)?, path.get(dot + 1..)?);
        at(value.get(head)?, rest)
    })
}

fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(Cow::Owned(value.to_string()))
        }
    }
}

fn time(value: &Value, format: TimeFormat) -> Option<Timestamp> {
    let text = as_text(value)?;
    match format {
        TimeFormat::Rfc3339 => parse_time(&text),
        TimeFormat::EpochSeconds => match text.parse() {
            Ok(seconds) => Timestamp::from_second(seconds).ok(),
            Err(_) => {
                let seconds = SignedDuration::try_from_secs_f64(text.parse().ok()?).ok()?;
                Timestamp::from_duration(seconds).ok()
            }
        },
        TimeFormat::EpochMilliseconds => Timestamp::from_millisecond(text.parse().ok()?).ok(),
    }
}

fn holds<'v>(condition: &Condition, value: &impl Fn(&str) -> Option<Cow<'v, str>>) -> bool {
    let Some(text) = value(&condition.field) else {
        return false;
    };
    let lower = text.to_lowercase();
    (condition.equals.is_empty() || condition.equals.contains(text.as_ref()))
        && (condition.contains.is_empty()
            || condition
                .contains
                .iter()
                .any(|part| lower.contains(&part.to_lowercase())))
        && condition
            .at_least
            .is_none_or(|least| text.parse::<f64>().is_ok_and(|n| n >= least as f64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn format() -> WorkloadFormat {
        serde_json::from_value(json!({
            "name": "shop", "time": "ts", "time_format": "epoch_milliseconds", "actor": "user.name",
            "address": "http.client_ip", "action": "op", "message": "msg", "id": "req",
            "indicators": [
                {"id": "export", "reason": "a whole table was exported", "strong": true,
                 "when": [{"field": "op", "equals": ["export"]}, {"field": "rows", "at_least": 1000}]},
                {"id": "denied", "reason": "a login was refused", "when": [{"field": "msg", "contains": ["Denied"]}]}
            ]
        }))
        .unwrap()
    }

    fn entries<'f>(content: &str, format: &'f WorkloadFormat) -> Vec<Result<Entry<'f>, String>> {
        let mut entries = Vec::new();
        read(content.as_bytes(), format, |_, entry| entries.push(entry));
        entries
    }

    fn line() -> String {
        json!({"ts": 1_767_225_600_000_i64, "user": {"name": "eve"}, "http.client_ip": "198.51.100.7",
            "op": "export", "rows": 5000, "msg": "export of orders", "req": "r1"})
        .to_string()
    }

    #[test]
    fn the_same_event_in_every_form() {
        let format = format();
        let expected = entries(&line(), &format).remove(0).unwrap();
        assert_eq!(expected.at, "2026-01-01T00:00:00Z".parse().ok());
        assert_eq!(expected.who.principal, "eve");
        assert_eq!(expected.who.address, "198.51.100.7");
        assert_eq!(expected.indicators.len(), 1);
        assert_eq!(
            indicator_name(&format, expected.indicators[0]),
            "workload:shop/export"
        );
        let delivery = json!({"messageType": "DATA_MESSAGE", "owner": "", "logGroup": "g", "logStream": "s",
            "subscriptionFilters": ["f"], "logEvents": [{"id": "1", "timestamp": 1, "message": line()}]});
        for content in [
            format!("{}\n\n{}\n", line(), line()),
            format!("[{},{}]", line(), line()),
            format!(
                "2026-01-01T00:00:01.000Z {}\n2026-01-01T00:00:01.000Z {}\n",
                line(),
                line()
            ),
            format!("{delivery}{delivery}"),
            format!(
                "{}\n{}\n",
                serde_json::to_string_pretty(&delivery).unwrap(),
                delivery
            ),
        ] {
            let read = entries(&content, &format);
            assert_eq!(read, [Ok(expected.clone()), Ok(expected.clone())], "{content}");
        }
    }

    #[test]
    fn plain_text_of_cloudwatch_keeps_its_time_and_its_further_lines() {
        let mut format = format();
        format.time = "@timestamp".to_owned();
        format.message = "@message".to_owned();
        format.indicators[1].when[0].field = "@message".to_owned();
        let read = entries(
            "2026-01-01T00:00:00.000Z login denied\n  at main\n2026-01-01T00:00:05.000Z ok\n",
            &format,
        );
        assert_eq!(read.len(), 2);
        let first = read[0].as_ref().unwrap();
        assert_eq!(first.at, "2026-01-01T00:00:00Z".parse().ok());
        assert_eq!(first.indicators[0].id, "denied");
        assert_eq!(
            indicator_name(&format, first.indicators[0]),
            "weak:workload:shop/denied"
        );
        assert!(read[1].as_ref().unwrap().indicators.is_empty());
    }

    #[test]
    fn what_does_not_match_has_no_indicator() {
        let format = format();
        for (from, to) in [
            ("5000", "999"),
            ("5000", "\"many\""),
            ("\"export\"", "\"import\""),
        ] {
            let read = entries(&line().replace(from, to), &format);
            assert!(read[0].as_ref().unwrap().indicators.is_empty(), "{to}");
        }
    }

    #[test]
    fn times_in_the_three_formats() {
        let expected: Option<Timestamp> = "2026-01-01T00:00:00.5Z".parse().ok();
        for (value, format) in [
            (json!("2026-01-01T00:00:00.5Z"), TimeFormat::Rfc3339),
            (json!(1_767_225_600.5), TimeFormat::EpochSeconds),
            (json!("1767225600.5"), TimeFormat::EpochSeconds),
            (json!(1_767_225_600_500_i64), TimeFormat::EpochMilliseconds),
        ] {
            assert_eq!(time(&value, format), expected, "{value}");
        }
        for value in [json!("soon"), json!(null), json!(1e300), json!([])] {
            assert_eq!(time(&value, TimeFormat::EpochSeconds), None, "{value}");
        }
    }

    #[test]
    fn one_unreadable_line_hides_no_other() {
        let format = format();
        let read = entries(
            &format!("not json\n7\n{}\n{{\"ts\":\n{}", line(), line()),
            &format,
        );
        assert_eq!(read.iter().filter(|e| e.is_ok()).count(), 2);
        assert_eq!(read.iter().filter(|e| e.is_err()).count(), 3);
        assert!(entries("{\"messageType\":\"CONTROL_MESSAGE\"}", &format).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            read(&bytes, &format(), |_, _| {});
        }

        #[test]
        fn broken_documents_never_panic(cut in 0..400_usize, pretty in any::<bool>()) {
            let delivery = json!({"messageType": "DATA_MESSAGE", "logEvents": [{"timestamp": i64::MAX, "message": line()}]});
            let text = if pretty { serde_json::to_string_pretty(&delivery).unwrap() } else { delivery.to_string() };
            let cut = cut.min(text.len());
            read(&text.as_bytes()[..cut], &format(), |_, _| {});
        }
    }
}
