//! The timeline itself: one row per act of an actor and per strong indicator.
//!
//! Rows carry `message`, `datetime` and `timestamp_desc`, so that Timesketch imports the JSON lines as they are.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Evidence;
use super::actor::Actor;
use super::cloudtrail;
use super::facts::{Kind, Reader, Who, call, printable_up_to, who};
use super::forms::{Recognised, recognise};
use super::indicator::Class;
use super::object::{INFLATED_LIMIT, inflate};
use super::rules;
use super::sources;
use crate::artifact::Digest;

/// One entry of the timeline. Every text in it may come from an intruder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// When it happened.
    pub datetime: Timestamp,
    /// The record's own id; stable across runs.
    pub id: String,
    /// What happened, for people.
    pub message: String,
    /// What kind of time `datetime` is.
    pub timestamp_desc: String,
    /// `cloudtrail`, `guardduty`, `securityhub`, `vpc_flow_logs`, or `workload:` and its name.
    pub source: String,
    /// `service:Action`, or the finding type.
    pub event: String,
    /// Error code of a call that did not succeed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// ARN or unique id of the caller.
    pub principal: String,
    /// Access key id.
    pub credential: String,
    /// Address of the caller.
    pub address: String,
    /// What the caller says it is.
    pub user_agent: String,
    /// Whether an actor that set the boundary did it.
    pub actor: bool,
    /// Ids of the indicators that mark it.
    pub indicators: Vec<String>,
    /// Where the record is.
    pub evidence: Evidence,
}

/// Selects the rows of single objects.
#[derive(Debug)]
pub struct Selection<'s> {
    reader: &'s Reader,
    members: BTreeSet<&'s Who>,
    addresses: BTreeSet<&'s str>,
}

impl<'s> Selection<'s> {
    /// The acts of these actors, and every strong indicator.
    #[must_use]
    pub fn of(reader: &'s Reader, actors: &'s [Actor]) -> Self {
        Self {
            reader,
            members: actors.iter().flat_map(|a| &a.members).collect(),
            addresses: actors.iter().flat_map(Actor::addresses).collect(),
        }
    }

    /// The rows of one stored object. What cannot be read is a coverage gap already.
    #[must_use]
    pub fn rows(&self, object: &str, stored: &[u8], kind: Kind<'_>) -> Vec<Row> {
        let Ok(content) = inflate(stored, INFLATED_LIMIT) else {
            return Vec::new();
        };
        let sha256 = Digest::of(stored);
        let evidence = |record: u64, event_id: &str| Evidence {
            object: object.to_owned(),
            sha256: sha256.clone(),
            record,
            event_id: event_id.to_owned(),
        };
        let recognised = recognise(kind, content);
        match &recognised {
            Recognised::CloudTrail(_) | Recognised::LookupEvents(_) => {
                self.cloudtrail(recognised.content(), &evidence)
            }
            Recognised::Digest(_)
            | Recognised::Findings(_)
            | Recognised::FlowLogs(..)
            | Recognised::Workload(..)
            | Recognised::Unsupported(_) => {
                let wanted = sources::Wanted {
                    members: &self.members,
                    addresses: &self.addresses,
                };
                sources::rows(&recognised, &wanted, &evidence)
            }
        }
    }

    fn cloudtrail(&self, content: &[u8], evidence: &dyn Fn(u64, &str) -> Evidence) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut marked = self
            .reader
            .table
            .rules()
            .map(|rules| rules::marked(rules, content))
            .unwrap_or_default();
        for (index, record) in &cloudtrail::parse(content).records {
            let Some(datetime) = record.time() else { continue };
            let who = who(record);
            let actor = self.members.contains(&who);
            let matching = self.reader.table.matching(record).into_iter();
            let own = matching.map(|rule| (rule.id.to_string(), rule.title.to_string(), rule.class));
            let others = marked.remove(index).into_iter().flatten();
            let others = others.map(|marked| (marked.id, marked.title, marked.mark.class));
            let indicators: Vec<_> = own.chain(others).collect();
            let strong = indicators.iter().any(|(_, _, class)| *class != Class::Weak);
            if !(actor || strong) {
                continue;
            }
            let error = record.error().unwrap_or_default();
            let mut message = format!("{} by {} from {}", call(record), who.principal, who.address);
            if !error.is_empty() {
                let _ = write!(message, ": {error}");
            }
            if let Some((_, title, _)) = indicators.first() {
                message = format!("{title}: {message}");
            }
            rows.push(Row {
                datetime,
                id: record.id().to_owned(),
                message: printable_up_to(&message, 500),
                timestamp_desc: "CloudTrail event time".to_owned(),
                source: "cloudtrail".to_owned(),
                event: call(record),
                error: error.to_owned(),
                account: record.account().to_owned(),
                region: record.region().to_owned(),
                principal: who.principal,
                credential: who.credential,
                address: who.address,
                user_agent: printable_up_to(record.agent(), 300),
                actor,
                indicators: indicators.into_iter().map(|(id, _, _)| id).collect(),
                evidence: evidence(*index, record.id()),
            });
        }
        rows
    }
}

/// Sorts rows into the one order of the timeline, and drops what was delivered twice.
#[must_use]
pub fn ordered(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    let mut seen = BTreeSet::new();
    rows.retain(|row| row.id.is_empty() || seen.insert((row.source.clone(), row.id.clone())));
    rows
}

/// One JSON document per line.
///
/// # Errors
/// Never for rows made here; the serializer's error otherwise.
pub fn json_lines(rows: &[Row]) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// A table for spreadsheets. Cells that a spreadsheet would take for a formula begin with an apostrophe.
#[must_use]
pub fn csv(rows: &[Row]) -> String {
    let mut text = String::from(
        "datetime,timestamp_desc,message,event,error,account,region,principal,credential,address,user_agent,actor,indicators,id,object,record\r\n",
    );
    for row in rows {
        let cells = [
            row.datetime.to_string(),
            row.timestamp_desc.clone(),
            row.message.clone(),
            row.event.clone(),
            row.error.clone(),
            row.account.clone(),
            row.region.clone(),
            row.principal.clone(),
            row.credential.clone(),
            row.address.clone(),
            row.user_agent.clone(),
            row.actor.to_string(),
            row.indicators.join(" "),
            row.id.clone(),
            row.evidence.object.clone(),
            row.evidence.record.to_string(),
        ];
        let cells: Vec<_> = cells.iter().map(|cell| guarded(cell)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

fn guarded(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_spreadsheet_never_sees_a_formula() {
        for (cell, expected) in [
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("@x", "'@x"),
            ("-1,2", "\"'-1,2\""),
            ("a\"b", "\"a\"\"b\""),
            ("plain", "plain"),
        ] {
            assert_eq!(guarded(cell), expected);
        }
    }

    /// Reads one cell back as a spreadsheet does.
    fn unquoted(cell: &str) -> String {
        match cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => cell.to_owned(),
        }
    }

    fn row(id: &str, time: i64, text: &str, record: u64) -> Row {
        Row {
            datetime: Timestamp::from_second(1_700_000_000 + time).unwrap(),
            id: id.to_owned(),
            message: text.to_owned(),
            timestamp_desc: String::new(),
            source: "cloudtrail".to_owned(),
            event: String::new(),
            error: String::new(),
            account: String::new(),
            region: String::new(),
            principal: text.to_owned(),
            credential: String::new(),
            address: String::new(),
            user_agent: text.to_owned(),
            actor: false,
            indicators: Vec::new(),
            evidence: Evidence {
                object: "o".to_owned(),
                sha256: Digest::of(b""),
                record,
                event_id: id.to_owned(),
            },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_cell_is_a_formula_and_every_cell_keeps_its_text(cell in "[=+@\\-\t\r\n,\"'a ]{0,8}") {
            let guarded = guarded(&cell);
            let seen = unquoted(&guarded);
            prop_assert!(!seen.starts_with(['=', '+', '-', '@', '\t', '\r']), "{guarded:?}");
            prop_assert!(seen == cell || seen == format!("'{cell}"), "{guarded:?}");
            let inside = guarded.strip_prefix('"').is_some();
            prop_assert!(inside || !guarded.contains([',', '"', '\n', '\r']), "{guarded:?}");
        }

        #[test]
        fn rows_have_one_order_and_one_row_per_id_however_they_come(
            rows in proptest::collection::vec((0..6_u8, 0..4_i64, "[a=]{0,2}", 0..4_u64), 0..24),
            seed in any::<u64>(),
        ) {
            // A record is the same wherever it was delivered; only its place differs.
            let rows: Vec<_> = rows
                .iter()
                .map(|(id, time, text, record)| match id {
                    0 => row("", *time, text, *record),
                    id => row(&format!("e{id}"), i64::from(*id % 3), "x", *record),
                })
                .collect();
            let expected = ordered(rows.clone());
            let mut turned: Vec<_> = rows.iter().chain(&rows).cloned().collect();
            let length = turned.len().max(1);
            turned.rotate_left(usize::try_from(seed % length as u64).unwrap());
            turned.reverse();
            let again = ordered(turned);
            let named = |rows: &[Row]| rows.iter().filter(|row| !row.id.is_empty()).cloned().collect::<Vec<_>>();
            prop_assert_eq!(named(&again), named(&expected));
            prop_assert!(again.is_sorted());
            let ids: BTreeSet<_> = expected.iter().map(|row| &row.id).filter(|id| !id.is_empty()).collect();
            prop_assert_eq!(ids.len(), named(&expected).len());
            let lines = json_lines(&expected).unwrap();
            let read: Vec<Row> = lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect();
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn what_was_delivered_twice_stands_once_and_in_order() {
        let reader = Reader::new(
            crate::timeline::indicator::Table::default(),
            "2030-01-01T00:00:00Z".parse().unwrap(),
        );
        let record = |id: &str, at: &str| {
            serde_json::json!({"eventID": id, "eventTime": at, "eventName": "StopLogging",
                "eventSource": "cloudtrail.amazonaws.com", "userIdentity": {"arn": "a"}})
        };
        let text = serde_json::json!({"Records": [record("2", "2026-01-02T00:00:00Z"),
            record("1", "2026-01-01T00:00:00Z"), record("2", "2026-01-02T00:00:00Z")]})
        .to_string();
        let rows = ordered(Selection::of(&reader, &[]).rows("o", text.as_bytes(), Kind::CloudTrail));
        let ids: Vec<_> = rows.iter().map(|r| r.id.as_str()).collect();
        assert_eq!(ids, ["1", "2"]);
        let line: serde_json::Value =
            serde_json::from_slice(json_lines(&rows).unwrap().split(|b| *b == b'\n').next().unwrap())
                .unwrap();
        for field in ["message", "datetime", "timestamp_desc"] {
            assert!(line[field].is_string(), "{field}");
        }
    }
}
