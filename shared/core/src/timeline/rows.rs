//! The timeline itself: one row per act of an actor and per strong indicator.
//!
//! Rows carry `message`, `datetime` and `timestamp_desc`, so that Timesketch imports the JSON lines as they are.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Evidence;
use super::actor::{Act, Actor};
use super::again::Sought;
use super::boundary::ACT;
use super::cloudtrail::{self, Record};
use super::facts::{Kind, Reader, Seen, Who, acts, call, printable_up_to, who};
use super::forms::recognise;
use super::object::{INFLATED_LIMIT, inflate};
use super::rules;
use super::sign_in;
use super::sketch::{Caller, Numbered};
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

/// Selects the rows of single objects: what the actors did, the strong indicators of others that the boundary
/// document names, and all findings.
#[derive(Debug)]
pub struct Selection<'s> {
    reader: &'s Reader,
    members: HashSet<Caller, Numbered>,
    /// The same, whatever was called with: a finding does not say it.
    anyhow: HashSet<Caller, Numbered>,
    /// When the tools of the owners of stolen credentials were first used, as CloudTrail writes it.
    owners: HashMap<Caller, String, Numbered>,
    addresses: BTreeSet<String>,
    /// Object and index of further records: of suspects, and strong ones that name nobody.
    records: BTreeSet<(&'s str, u64)>,
}

fn place(act: &Act) -> (&str, u64) {
    (&act.evidence.object, act.evidence.record)
}

fn records_of_nobody<'a>(strong: impl Iterator<Item = &'a Act>) -> BTreeSet<(&'a str, u64)> {
    strong
        .filter(|act| act.who == Who::default())
        .map(place)
        .collect()
}

/// What the second pass over an object brings.
#[derive(Debug, Default)]
pub struct Again {
    /// The first act of each way in which an actor acts in the object.
    pub(super) acts: Vec<Act>,
    /// Rows of the timeline.
    pub rows: Vec<Row>,
}

impl<'s> Selection<'s> {
    /// The acts of these actors.
    #[must_use]
    pub fn of(reader: &'s Reader, actors: &'s [Actor]) -> Self {
        let addresses = actors.iter().flat_map(Actor::addresses);
        Self {
            addresses: addresses.map(str::to_owned).collect(),
            records: records_of_nobody(actors.iter().flat_map(|actor| &actor.strong)),
            ..Self::of_members(reader, actors.iter().flat_map(|a| &a.members).map(Caller::of))
        }
    }

    fn of_members(reader: &'s Reader, members: impl Iterator<Item = Caller>) -> Self {
        let members: HashSet<_, _> = members.filter(|who| *who != Caller::default()).collect();
        Self {
            reader,
            anyhow: members.iter().map(|who| who.with_any_agent()).collect(),
            members,
            owners: HashMap::default(),
            addresses: BTreeSet::new(),
            records: BTreeSet::new(),
        }
    }

    /// What the second pass looks for.
    #[must_use]
    pub fn sought(reader: &'s Reader, sought: &'s Sought) -> Self {
        let owners = sought.owners.iter().filter_map(|(tool, at)| {
            let at = Timestamp::from_nanosecond(i128::from(*at)).ok()?;
            Some((*tool, at.to_string()))
        });
        let records = sought.records.iter();
        Self {
            owners: owners.collect(),
            records: records
                .map(|(object, record)| (object.as_str(), *record))
                .collect(),
            ..Self::of_members(reader, sought.members.iter().copied())
        }
    }

    /// The same, and what flow logs and the workload's logs show of these addresses.
    #[must_use]
    pub fn with_addresses(mut self, addresses: &BTreeSet<String>) -> Self {
        self.addresses.clone_from(addresses);
        self
    }

    /// Whether a record of this object may have a row, or be the first that an owner's tool left, as far as caller,
    /// time and place say.
    #[inline]
    pub(super) fn may_want(&self, who: Caller, time: &[u8], object: &str, record: u64) -> bool {
        self.members.contains(&who) || self.names(object, record) || {
            let first = self.owners.get(&who.tool());
            first.is_some_and(|first| first.as_bytes() == time)
        }
    }

    #[inline]
    fn names(&self, object: &str, record: u64) -> bool {
        !self.records.is_empty() && self.records.contains(&(object, record))
    }

    /// The rows of one stored object. What cannot be read is a coverage gap already.
    #[must_use]
    pub fn rows(&self, object: &str, stored: &[u8], kind: Kind<'_>) -> Vec<Row> {
        match inflate(stored, INFLATED_LIMIT) {
            Ok(content) => self.read(object, &Digest::of(stored), content, kind).rows,
            Err(_) => Vec::new(),
        }
    }

    /// What the text of an object says about the actors.
    pub(super) fn read(
        &self,
        object: &str,
        sha256: &Digest,
        content: Cow<'_, [u8]>,
        kind: Kind<'_>,
    ) -> Again {
        let evidence = |record: u64, event_id: &str| Evidence {
            object: object.to_owned(),
            sha256: sha256.clone(),
            record,
            event_id: event_id.to_owned(),
        };
        let recognised = recognise(kind, content);
        if recognised.form().is_api_activity() {
            let content = recognised.content();
            let mut marked = self
                .reader
                .table
                .rules()
                .map(|rules| rules::marked(rules, content))
                .unwrap_or_default();
            let mut chosen = Chosen::default();
            for (index, record) in &cloudtrail::parse(content).records {
                let others = marked.remove(index).unwrap_or_default();
                self.choose(&evidence(*index, record.id()), record, others, &mut chosen);
            }
            return chosen.finish();
        }
        let wanted = sources::Wanted {
            is_actor: &|who| self.anyhow.contains(&Caller::of(who).with_any_agent()),
            is_named: &|record| self.names(object, record),
            addresses: &self.addresses,
        };
        Again {
            acts: Vec::new(),
            rows: sources::rows(&recognised, &wanted, &evidence),
        }
    }

    /// Takes a record if it is to have a row. `others` is what other engines' rules say of it.
    pub(super) fn choose(
        &self,
        evidence: &Evidence,
        record: &Record<'_>,
        others: Vec<rules::Marked>,
        chosen: &mut Chosen,
    ) {
        let Some(datetime) = record.time() else { return };
        let who = who(record);
        let caller = Caller::of(&who);
        let actor = self.members.contains(&caller);
        let is_believed = || acts(record) && self.reader.plausible(Some(datetime)).is_ok();
        if !actor && self.owners.contains_key(&caller.tool()) && is_believed() {
            chosen.note(record, datetime, &who, evidence);
        }
        if !(actor || self.names(&evidence.object, evidence.record)) {
            return;
        }
        if actor && is_believed() {
            chosen.note(record, datetime, &who, evidence);
            let seen = Seen {
                at: datetime,
                event_id: record.id().to_owned(),
                record: evidence.record,
            };
            let sessions = sign_in::part(record, &seen).acting;
            for who in sessions
                .iter()
                .filter(|who| self.members.contains(&Caller::of(who)))
            {
                chosen.note(record, datetime, who, evidence);
            }
        }
        let matching = self.reader.table.matching(record).into_iter();
        let own = matching.map(|rule| (rule.id.to_string(), rule.title.to_string()));
        let others = others.into_iter().map(|marked| (marked.id, marked.title));
        let indicators: Vec<_> = own.chain(others).collect();
        let error = record.error().unwrap_or_default();
        let mut message = format!("{} by {} from {}", call(record), who.principal, who.address);
        if !error.is_empty() {
            let _ = write!(message, ": {error}");
        }
        if let Some((_, title)) = indicators.first() {
            message = format!("{title}: {message}");
        }
        chosen.rows.push(Row {
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
            indicators: indicators.into_iter().map(|(id, _)| id).collect(),
            evidence: evidence.clone(),
        });
    }
}

/// Records of one object that are to have a row.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    first: BTreeMap<Who, Act>,
    rows: Vec<Row>,
}

impl Chosen {
    fn note(&mut self, record: &Record<'_>, at: Timestamp, who: &Who, evidence: &Evidence) {
        let order = (at, record.id(), evidence.record);
        let is_first = self
            .first
            .get(who)
            .is_none_or(|known| order < (known.seen.at, known.seen.event_id.as_str(), known.seen.record));
        if is_first {
            let act = Act {
                seen: Seen {
                    at,
                    event_id: record.id().to_owned(),
                    record: evidence.record,
                },
                evidence: evidence.clone(),
                what: call(record),
                who: who.clone(),
                indicator: ACT.to_owned(),
                mark: None,
            };
            self.first.insert(who.clone(), act);
        }
    }

    pub(super) fn finish(self) -> Again {
        Again {
            acts: self.first.into_values().collect(),
            rows: self.rows,
        }
    }
}

/// Sorts rows into the one order of the timeline, and drops what was delivered twice. A record that two trails date
/// differently stands at both times.
#[must_use]
pub fn ordered(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    let mut seen = BTreeSet::new();
    rows.retain(|row| row.id.is_empty() || seen.insert((row.datetime, row.source.clone(), row.id.clone())));
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

/// The first line of the table.
pub(super) const CSV_HEAD: &str = "datetime,timestamp_desc,message,event,error,account,region,principal,credential,address,user_agent,actor,indicators,id,object,record\r\n";

/// A table for spreadsheets. Cells that a spreadsheet would take for a formula begin with an apostrophe.
#[must_use]
pub fn csv(rows: &[Row]) -> String {
    let mut text = CSV_HEAD.to_owned();
    text.extend(rows.iter().map(csv_line));
    text
}

/// One line of the table.
pub(super) fn csv_line(row: &Row) -> String {
    let (datetime, record) = (row.datetime.to_string(), row.evidence.record.to_string());
    let (actor, indicators) = (row.actor.to_string(), row.indicators.join(" "));
    let cells = [
        &datetime,
        &row.timestamp_desc,
        &row.message,
        &row.event,
        &row.error,
        &row.account,
        &row.region,
        &row.principal,
        &row.credential,
        &row.address,
        &row.user_agent,
        &actor,
        &indicators,
        &row.id,
        &row.evidence.object,
        &record,
    ];
    let cells: Vec<_> = cells.into_iter().map(|cell| guarded(cell)).collect();
    format!("{}\r\n", cells.join(","))
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
pub(super) mod tests {
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

    pub(in crate::timeline) fn row(id: &str, time: i64, text: &str, record: u64) -> Row {
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
        let facts = reader.read("o", text.as_bytes(), Kind::CloudTrail);
        let actors = crate::timeline::boundary::establish(&[facts], &[], &[]).actors;
        let rows = ordered(Selection::of(&reader, &actors).rows("o", text.as_bytes(), Kind::CloudTrail));
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
