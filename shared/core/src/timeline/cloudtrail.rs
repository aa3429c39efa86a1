//! CloudTrail records, borrowed from the object's text.
//!
//! Fields by the CloudTrail record reference, event version 1.11. Everything in a record is hostile text.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::value::RawValue;

/// Text that borrows from the object unless it contains escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// One CloudTrail record.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record<'a> {
    /// Unique id; the same event delivered twice has it twice.
    #[serde(borrow, rename = "eventID")]
    pub event_id: Option<Text<'a>>,
    /// When the request was completed.
    #[serde(borrow)]
    pub event_time: Option<Text<'a>>,
    /// The service, for example `s3.amazonaws.com`.
    #[serde(borrow)]
    pub event_source: Option<Text<'a>>,
    /// The action.
    #[serde(borrow)]
    pub event_name: Option<Text<'a>>,
    /// Region of the call.
    #[serde(borrow)]
    pub aws_region: Option<Text<'a>>,
    /// Address of the caller, or the name of a service that called on someone's behalf.
    #[serde(borrow, rename = "sourceIPAddress")]
    pub source_address: Option<Text<'a>>,
    /// What the caller says it is.
    #[serde(borrow)]
    pub user_agent: Option<Text<'a>>,
    /// Present when the call was refused or failed.
    #[serde(borrow)]
    pub error_code: Option<Text<'a>>,
    /// The account that received the event.
    #[serde(borrow)]
    pub recipient_account_id: Option<Text<'a>>,
    /// The same for the copies that two accounts get of one action.
    #[serde(borrow, rename = "sharedEventID")]
    pub shared_event_id: Option<Text<'a>>,
    /// Who called.
    #[serde(borrow)]
    pub user_identity: Option<Identity<'a>>,
    /// The request, unparsed.
    #[serde(borrow)]
    pub request_parameters: Option<&'a RawValue>,
    /// The answer, unparsed.
    #[serde(borrow)]
    pub response_elements: Option<&'a RawValue>,
    /// What fits nowhere else, unparsed.
    #[serde(borrow)]
    pub additional_event_data: Option<&'a RawValue>,
}

/// `userIdentity` of a record.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Identity<'a> {
    /// `IAMUser`, `AssumedRole`, `Root`, `AWSService` and so on.
    #[serde(borrow, rename = "type")]
    pub kind: Option<Text<'a>>,
    /// Unique id, with the session's name for a role.
    #[serde(borrow)]
    pub principal_id: Option<Text<'a>>,
    /// ARN of the principal.
    #[serde(borrow)]
    pub arn: Option<Text<'a>>,
    /// Access key of the request.
    #[serde(borrow)]
    pub access_key_id: Option<Text<'a>>,
    /// Name of an IAM user.
    #[serde(borrow)]
    pub user_name: Option<Text<'a>>,
    /// The service that called.
    #[serde(borrow)]
    pub invoked_by: Option<Text<'a>>,
    /// How a temporary credential came to be, unparsed.
    #[serde(borrow)]
    pub session_context: Option<&'a RawValue>,
}

fn text<'t>(field: Option<&'t Text<'_>>) -> &'t str {
    field.map_or("", Text::as_str)
}

impl Record<'_> {
    /// Event id, empty when the record has none.
    #[must_use]
    pub fn id(&self) -> &str {
        text(self.event_id.as_ref())
    }

    /// Action name, empty when the record has none.
    #[must_use]
    pub fn name(&self) -> &str {
        text(self.event_name.as_ref())
    }

    /// The service without `.amazonaws.com`, for example `s3`.
    #[must_use]
    pub fn service(&self) -> &str {
        let source = text(self.event_source.as_ref());
        source.strip_suffix(".amazonaws.com").unwrap_or(source)
    }

    /// Address of the caller, or the name of a calling service.
    #[must_use]
    pub fn address(&self) -> &str {
        text(self.source_address.as_ref())
    }

    /// Region of the call.
    #[must_use]
    pub fn region(&self) -> &str {
        text(self.aws_region.as_ref())
    }

    /// What the caller says it is.
    #[must_use]
    pub fn agent(&self) -> &str {
        text(self.user_agent.as_ref())
    }

    /// The account that received the event.
    #[must_use]
    pub fn account(&self) -> &str {
        text(self.recipient_account_id.as_ref())
    }

    /// Error code of a call that did not succeed.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error_code
            .as_ref()
            .map(Text::as_str)
            .filter(|c| !c.is_empty())
    }

    /// ARN of the caller, or its unique id where there is no ARN.
    #[must_use]
    pub fn principal(&self) -> &str {
        let Some(identity) = &self.user_identity else {
            return "";
        };
        match text(identity.arn.as_ref()) {
            "" => text(identity.principal_id.as_ref()),
            arn => arn,
        }
    }

    /// Access key of the call, empty when the record names none (a console sign-in, a service).
    #[must_use]
    pub fn credential(&self) -> &str {
        self.user_identity
            .as_ref()
            .map_or("", |i| text(i.access_key_id.as_ref()))
    }

    /// Name of the IAM user that called, if one did.
    #[must_use]
    pub fn user_name(&self) -> &str {
        self.user_identity
            .as_ref()
            .map_or("", |i| text(i.user_name.as_ref()))
    }

    /// Whether an IAM user or the root user called.
    #[must_use]
    pub fn is_user(&self) -> bool {
        let identity = self.user_identity.as_ref();
        identity.is_some_and(|i| matches!(text(i.kind.as_ref()), "IAMUser" | "Root"))
    }

    /// When the session of a temporary credential began, as the record says.
    #[must_use]
    pub fn session_began(&self) -> Option<Timestamp> {
        let context = self.user_identity.as_ref()?.session_context?;
        let context: serde_json::Value = serde_json::from_str(context.get()).ok()?;
        parse_time(context.pointer("/attributes/creationDate")?.as_str()?)
    }

    /// Whether an AWS service called on its own account, or AWS Backup on somebody's schedule.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.user_identity.as_ref().is_some_and(|i| {
            matches!(text(i.kind.as_ref()), "AWSService")
                || text(i.invoked_by.as_ref()) == "backup.amazonaws.com"
        })
    }

    /// When the event happened.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        parse_time(text(self.event_time.as_ref()))
    }
}

/// Reads `2023-07-10T11:54:33Z`, any RFC 3339 form, and a time without offset, which AWS means as UTC.
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let local: jiff::civil::DateTime = text.parse().ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(local).ok()
    })
}

/// The records of one object and what in it could not be read.
#[derive(Debug, Default)]
pub struct Records<'a> {
    /// Index within the object, and the record.
    pub records: Vec<(u64, Record<'a>)>,
    /// What could not be read, one sentence each.
    pub problems: Vec<String>,
}

#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<&'a RawValue>,
}

/// Reads `{"Records":[…]}` as AWS delivers it, an array of records, or one record per line.
///
/// A record that cannot be read does not hide the others, and is a problem of its own.
#[must_use]
pub fn parse(content: &[u8]) -> Records<'_> {
    let first = content.iter().find(|b| !b.is_ascii_whitespace());
    match first {
        None => Records {
            records: Vec::new(),
            problems: vec!["the object is empty".to_owned()],
        },
        Some(b'[') => match serde_json::from_slice::<Vec<&RawValue>>(content) {
            Ok(parts) => one_by_one(&parts),
            Err(error) => unreadable(&error),
        },
        Some(_) => match serde_json::from_slice::<Whole<'_>>(content) {
            Ok(whole) => Records {
                records: (0..).zip(whole.records).collect(),
                problems: Vec::new(),
            },
            Err(error) => match serde_json::from_slice::<Parts<'_>>(content) {
                Ok(parts) => one_by_one(&parts.records),
                Err(_) => lines(content).unwrap_or_else(|| unreadable(&error)),
            },
        },
    }
}

fn unreadable<'a>(error: &serde_json::Error) -> Records<'a> {
    Records {
        records: Vec::new(),
        problems: vec![format!("not CloudTrail records: {error}")],
    }
}

fn one_by_one<'a>(parts: &[&'a RawValue]) -> Records<'a> {
    let mut read = Records::default();
    for (index, part) in (0..).zip(parts) {
        match serde_json::from_str(part.get()) {
            Ok(record) => read.records.push((index, record)),
            Err(error) => read
                .problems
                .push(format!("record {index} cannot be read: {error}")),
        }
    }
    read
}

/// One record per line; nothing when not even the first line is a record.
fn lines(content: &[u8]) -> Option<Records<'_>> {
    let mut read = Records::default();
    let filled = content
        .split(|b| *b == b'\n')
        .filter(|line| line.iter().any(|b| !b.is_ascii_whitespace()));
    for (index, line) in (0..).zip(filled) {
        match serde_json::from_slice::<Record<'_>>(line) {
            Ok(record) if record.event_name.is_some() => read.records.push((index, record)),
            _ if read.records.is_empty() => return None,
            Ok(_) => read
                .problems
                .push(format!("line {index} is no CloudTrail record")),
            Err(error) => read
                .problems
                .push(format!("line {index} cannot be read: {error}")),
        }
    }
    (!read.records.is_empty()).then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_layouts() {
        let record = r#"{"eventID":"1","eventName":"A","eventTime":"2023-07-10T11:54:33Z"}"#;
        for text in [
            format!(r#"{{"Records":[{record},{record}]}}"#),
            format!("[{record},{record}]"),
            format!("{record}\n{record}\n"),
        ] {
            let read = parse(text.as_bytes());
            assert_eq!(read.records.len(), 2, "{text}");
            assert!(read.problems.is_empty(), "{:?}", read.problems);
            assert_eq!(read.records[1].0, 1);
        }
    }

    #[test]
    fn one_unreadable_record_hides_no_other() {
        let text =
            r#"{"Records":[{"eventName":"A"},{"eventName":7},{"eventName":"\ud800"},{"eventName":"B"}]}"#;
        let read = parse(text.as_bytes());
        assert_eq!(read.records.len(), 2);
        assert_eq!(read.records[1].1.name(), "B");
        assert_eq!(read.records[1].0, 3);
        assert_eq!(read.problems.len(), 2);
    }

    #[test]
    fn what_is_not_cloudtrail_is_said() {
        for text in [
            "",
            "  ",
            "x",
            "{",
            "[",
            "{}",
            "null",
            "7",
            "{\"Records\":7}",
            "{\"Records\":[",
            "[[[[",
        ] {
            let read = parse(text.as_bytes());
            assert!(read.records.is_empty(), "{text}");
            assert_eq!(read.problems.len(), 1, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse(deep.as_bytes()).problems.len(), 1);
    }

    #[test]
    fn times_with_and_without_offset() {
        let expected: Timestamp = "2025-01-21T17:49:47Z".parse().unwrap();
        for text in [
            "2025-01-21T17:49:47Z",
            "2025-01-21 17:49:47.000000000",
            "2025-01-21T18:49:47+01:00",
        ] {
            assert_eq!(parse_time(text), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "99999-01-01T00:00:00Z", "2025-13-01T00:00:00Z"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
