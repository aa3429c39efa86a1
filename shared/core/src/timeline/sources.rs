//! What the sources beside CloudTrail contribute: findings, flow logs, logs of the workload, digest files.
//!
//! Findings and the plan's strong indicators make somebody look for an actor. Everything else is context: traffic and
//! lines of an actor's address stand in the timeline and may widen the floor; they never accuse anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digests::{self, DigestFile};
use super::facts::{Hit, ObjectFacts, Reader, Seen, Who, printable, printable_up_to};
use super::flow::{self, Action, Line};
use super::forms::{Form, Recognised};
use super::rows::Row;
use super::{Evidence, Unseen, findings, workload};
use crate::artifact::Digest;
use crate::plan::WorkloadFormat;

/// Addresses that are kept per object; objects with more are read again in the second pass.
const ADDRESSES_KEPT: usize = 1024;

/// Hits that are kept per indicator, caller and hour, as for CloudTrail.
const HITS_KEPT: usize = 32;

/// Problems that are kept per object while it is read; the rest is counted.
const PROBLEMS_KEPT: usize = 8;

/// Rows of one object that show traffic or lines of an actor's address; the rest is counted.
const CONTEXT_ROWS_KEPT: usize = 1000;

/// What an object says beyond the records of CloudTrail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceFacts {
    /// What it was read as.
    pub form: Form,
    /// Whether it holds data events (CloudTrail, `managementEvent` false).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub data_events: bool,
    /// Digest of the inflated content, where digest files are checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
    /// The digest file that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<DigestFile>,
    /// Network addresses in it, and when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sightings: Vec<Sighting>,
    /// Whether it holds more addresses than are kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more_sightings: bool,
    /// Periods for which it says itself that something was not recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<Unseen>,
}

/// A network address in the flow logs or the workload's log of one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sighting {
    /// The address.
    pub address: String,
    /// The first record in which it got through: not rejected by a security group or network ACL.
    pub first: Option<Seen>,
    /// Time of the last record.
    pub last: Timestamp,
    /// Bytes that went to it and got through.
    pub bytes_to: u64,
    /// Bytes that came from it and got through.
    pub bytes_from: u64,
    /// Records.
    pub records: u64,
}

/// Sentences about what could not be read: the first few, and how many more there were.
#[derive(Default)]
struct Problems {
    kept: Vec<String>,
    more: u64,
}

impl Problems {
    fn push(&mut self, problem: impl FnOnce() -> String) {
        if self.kept.len() < PROBLEMS_KEPT {
            self.kept.push(problem());
        } else {
            self.more += 1;
        }
    }

    fn into_sentences(mut self) -> Vec<String> {
        if self.more > 0 {
            self.kept.push(format!("and {} more problems", self.more));
        }
        self.kept
    }
}

/// Addresses as they are met.
#[derive(Default)]
struct Sightings {
    known: BTreeMap<String, Sighting>,
    more: bool,
}

impl Sightings {
    fn see(&mut self, address: &str, seen: &Seen, last: Timestamp, through: bool, to: u64, from: u64) {
        if address.is_empty() {
            return;
        }
        if !self.known.contains_key(address) {
            if self.known.len() >= ADDRESSES_KEPT {
                self.more = true;
                return;
            }
            self.known.insert(
                address.to_owned(),
                Sighting {
                    address: address.to_owned(),
                    first: None,
                    last,
                    bytes_to: 0,
                    bytes_from: 0,
                    records: 0,
                },
            );
        }
        let Some(sighting) = self.known.get_mut(address) else {
            return;
        };
        sighting.last = sighting.last.max(last);
        sighting.records += 1;
        if !through {
            return;
        }
        if sighting.first.as_ref().is_none_or(|first| seen < first) {
            sighting.first = Some(seen.clone());
        }
        sighting.bytes_to = sighting.bytes_to.saturating_add(to);
        sighting.bytes_from = sighting.bytes_from.saturating_add(from);
    }

    fn into_facts(self, facts: &mut SourceFacts) {
        facts.sightings = self.known.into_values().collect();
        facts.more_sightings = self.more;
    }
}

/// Whether the text holds a record of a data event. Records since event version 1.05 say `managementEvent`; the
/// compact layout of delivered objects is looked for first.
#[must_use]
pub fn holds_data_events(content: &[u8]) -> bool {
    [&b"\"managementEvent\":false"[..], b"\"managementEvent\": false"]
        .iter()
        .any(|text| memchr::memmem::find(content, text).is_some())
}

/// Reads everything that is not CloudTrail's records into the facts of its object.
pub(super) fn read(recognised: &Recognised<'_, '_>, reader: &Reader, facts: &mut ObjectFacts) {
    match recognised {
        Recognised::CloudTrail(_) | Recognised::LookupEvents(_) => {}
        Recognised::Digest(content) => match digests::parse(content) {
            Ok(digest) => {
                (facts.first, facts.last) = (Some(digest.start), Some(digest.end));
                facts.records = 1;
                facts.sources.digest = Some(digest);
            }
            Err(problem) => facts.problems.push(problem),
        },
        Recognised::Findings(content) => read_findings(content, reader, facts),
        Recognised::FlowLogs(content, fields) => read_flows(content, fields, reader, facts),
        Recognised::Workload(content, format) => read_workload(content, format, reader, facts),
        Recognised::Unsupported(why) => facts.problems.push((*why).to_owned()),
    }
}

fn note(facts: &mut ObjectFacts, first: Timestamp, last: Timestamp) {
    facts.first = Some(facts.first.map_or(first, |known| known.min(first)));
    facts.last = Some(facts.last.map_or(last, |known| known.max(last)));
}

fn read_findings(content: &[u8], reader: &Reader, facts: &mut ObjectFacts) {
    let read = findings::parse(content);
    facts.problems = read.problems;
    for (index, finding) in read.findings {
        facts.records += 1;
        for moment in finding.moments {
            let at = match reader.plausible(moment.at) {
                Ok(at) => at,
                Err(why) => {
                    facts
                        .problems
                        .push(format!("finding {index} (`{}`) {why}", printable(&moment.id)));
                    continue;
                }
            };
            facts.hits.push(Hit {
                seen: Seen {
                    at,
                    event_id: moment.id,
                    record: index,
                },
                indicator: finding.indicator.clone(),
                who: moment.who,
                what: moment.what,
                mark: None,
            });
        }
    }
    facts.hits.sort();
}

fn read_flows(content: &[u8], fields: &str, reader: &Reader, facts: &mut ObjectFacts) {
    let mut problems = Problems::default();
    let mut sightings = Sightings::default();
    let mut lost: Option<(Timestamp, Timestamp, u64)> = None;
    flow::read(content, fields, |number, line| {
        let (start, end) = match &line {
            Ok(Line::Flow(flow)) => (flow.start, flow.end),
            Ok(Line::Nothing { start, end } | Line::Skipped { start, end, .. }) => (*start, *end),
            Err(problem) => {
                problems.push(|| format!("line {number} {problem}"));
                return;
            }
        };
        if let Err(why) = reader.plausible(Some(start)) {
            problems.push(|| format!("line {number} {why}"));
            return;
        }
        facts.records += 1;
        note(facts, start, start);
        match line {
            Ok(Line::Flow(flow)) => {
                let through = flow.action != Action::Rejected;
                let seen = Seen {
                    at: start,
                    event_id: String::new(),
                    record: number,
                };
                sightings.see(flow.source, &seen, end, through, 0, flow.bytes);
                sightings.see(flow.target, &seen, end, through, flow.bytes, 0);
            }
            Ok(Line::Skipped { .. }) => {
                lost = Some(lost.map_or((start, end, 1), |(from, to, windows)| {
                    (from.min(start), to.max(end), windows + 1)
                }));
            }
            Ok(Line::Nothing { .. }) | Err(_) => {}
        }
    });
    if facts.records == 0 && problems.kept.is_empty() {
        problems.push(|| "the object holds no flow log record".to_owned());
    }
    facts.problems = problems.into_sentences();
    sightings.into_facts(&mut facts.sources);
    if let Some((from, to, windows)) = lost {
        facts.sources.unseen.push(Unseen {
            from,
            to: Some(to),
            what: facts.object.clone(),
            why: format!("{windows} capture windows of the flow log lost records (SKIPDATA)"),
        });
    }
}

fn read_workload(content: &[u8], format: &WorkloadFormat, reader: &Reader, facts: &mut ObjectFacts) {
    let mut problems = Problems::default();
    let mut sightings = Sightings::default();
    let mut hits = BTreeMap::<(String, Who, i64), BTreeSet<Hit>>::new();
    workload::read(content, format, |number, entry| {
        let entry = match entry {
            Ok(entry) => entry,
            Err(problem) => {
                problems.push(|| format!("event {number} {problem}"));
                return;
            }
        };
        let at = match reader.plausible(entry.at) {
            Ok(at) => at,
            Err(why) => {
                problems.push(|| format!("event {number} {why}"));
                return;
            }
        };
        facts.records += 1;
        note(facts, at, at);
        let seen = Seen {
            at,
            event_id: entry.id.clone(),
            record: number,
        };
        sightings.see(&entry.who.address, &seen, at, true, 0, 0);
        for indicator in &entry.indicators {
            let name = workload::indicator_name(format, indicator);
            let hour = at.as_second().div_euclid(3600);
            let kept = hits.entry((name.clone(), entry.who.clone(), hour)).or_default();
            kept.insert(Hit {
                seen: seen.clone(),
                indicator: name,
                who: entry.who.clone(),
                what: what_happened(&format!("{} ({})", indicator.reason, format.name), &entry),
                mark: None,
            });
            if kept.len() > HITS_KEPT {
                kept.pop_last();
            }
        }
    });
    facts.problems = problems.into_sentences();
    facts.hits = hits.into_values().flatten().collect();
    facts.hits.sort();
    sightings.into_facts(&mut facts.sources);
}

fn what_happened(title: &str, entry: &workload::Entry<'_>) -> String {
    let detail = if entry.action.is_empty() {
        &entry.message
    } else {
        &entry.action
    };
    if detail.is_empty() {
        title.to_owned()
    } else {
        format!("{title}: {detail}")
    }
}

/// Whose rows are wanted.
pub(super) struct Wanted<'w> {
    /// Whether an actor acts this way.
    pub(super) is_actor: &'w dyn Fn(&Who) -> bool,
    /// Whether the record with this index is wanted, whoever acted.
    pub(super) is_named: &'w dyn Fn(u64) -> bool,
    /// The actors' network addresses.
    pub(super) addresses: &'w BTreeSet<String>,
}

/// Makes evidence of a record's index and id.
type EvidenceOf<'e> = &'e dyn Fn(u64, &str) -> Evidence;

/// The rows of everything that is not CloudTrail's records.
pub(super) fn rows(
    recognised: &Recognised<'_, '_>,
    wanted: &Wanted<'_>,
    evidence: EvidenceOf<'_>,
) -> Vec<Row> {
    match recognised {
        Recognised::Findings(content) => finding_rows(content, evidence),
        Recognised::FlowLogs(content, fields) => flow_rows(content, fields, wanted, evidence),
        Recognised::Workload(content, format) => workload_rows(content, format, wanted, evidence),
        Recognised::CloudTrail(_)
        | Recognised::LookupEvents(_)
        | Recognised::Digest(_)
        | Recognised::Unsupported(_) => Vec::new(),
    }
}

fn finding_rows(content: &[u8], evidence: EvidenceOf<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, finding) in findings::parse(content).findings {
        for moment in finding.moments {
            let Some(datetime) = moment.at else { continue };
            rows.push(Row {
                datetime,
                evidence: evidence(index, &moment.id),
                id: moment.id,
                message: printable_up_to(&moment.what, 500),
                timestamp_desc: "activity first seen by the detector".to_owned(),
                source: finding.source.to_owned(),
                event: finding.kind.clone(),
                error: String::new(),
                account: finding.account.clone(),
                region: finding.region.clone(),
                principal: moment.who.principal,
                credential: moment.who.credential,
                address: moment.who.address,
                user_agent: String::new(),
                actor: false,
                indicators: vec![finding.indicator.clone()],
            });
        }
    }
    rows
}

fn flow_rows(content: &[u8], fields: &str, wanted: &Wanted<'_>, evidence: EvidenceOf<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut left_out = 0;
    flow::read(content, fields, |number, line| {
        let Ok(Line::Flow(flow)) = line else { return };
        let Some(address) = [flow.source, flow.target]
            .into_iter()
            .find(|address| wanted.addresses.contains(*address))
        else {
            return;
        };
        if rows.len() >= CONTEXT_ROWS_KEPT {
            left_out += 1;
            return;
        }
        // Flow records have no id: the flow and its window are one.
        let id = format!(
            "{}:{}>{}:{}/{}/{}@{}",
            flow.source,
            flow.source_port,
            flow.target,
            flow.target_port,
            flow.protocol,
            flow.interface,
            flow.start
        );
        let rejected = flow.action == Action::Rejected;
        rows.push(Row {
            datetime: flow.start,
            message: printable_up_to(&flow.describe(), 500),
            timestamp_desc: "first packet of the capture window".to_owned(),
            source: "vpc_flow_logs".to_owned(),
            event: "flow".to_owned(),
            error: if rejected {
                "REJECT".to_owned()
            } else {
                String::new()
            },
            account: printable(flow.account),
            region: printable(flow.region),
            principal: String::new(),
            credential: String::new(),
            address: address.to_owned(),
            user_agent: String::new(),
            actor: false,
            indicators: vec![TRAFFIC.to_owned()],
            evidence: evidence(number, &id),
            id: printable_up_to(&id, 300),
        });
    });
    say_what_is_left_out(&mut rows, left_out);
    rows
}

/// Says in the last row how many more there were.
fn say_what_is_left_out(rows: &mut [Row], left_out: u64) {
    if left_out > 0
        && let Some(last) = rows.last_mut()
    {
        let _ = write!(
            last.message,
            "; {left_out} more such records of this object are left out"
        );
    }
}

fn workload_rows(
    content: &[u8],
    format: &WorkloadFormat,
    wanted: &Wanted<'_>,
    evidence: EvidenceOf<'_>,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let (mut context, mut left_out) = (0, 0);
    workload::read(content, format, |number, entry| {
        let Ok(entry) = entry else { return };
        let Some(datetime) = entry.at else { return };
        let strong = entry.indicators.iter().any(|indicator| indicator.strong);
        let actor = (wanted.is_actor)(&entry.who);
        if !(strong && actor || (wanted.is_named)(number)) {
            if !(actor || wanted.addresses.contains(entry.who.address.as_str())) {
                return;
            }
            if context >= CONTEXT_ROWS_KEPT {
                left_out += 1;
                return;
            }
            context += 1;
        }
        let mut indicators: Vec<_> = entry
            .indicators
            .iter()
            .map(|indicator| workload::indicator_name(format, indicator))
            .collect();
        if indicators.is_empty() {
            indicators.push(LINE.to_owned());
        }
        let title = entry
            .indicators
            .first()
            .map_or(format.name.as_str(), |indicator| indicator.reason.as_str());
        rows.push(Row {
            datetime,
            message: printable_up_to(&what_happened(title, &entry), 500),
            timestamp_desc: "time of the log line".to_owned(),
            source: format!("workload:{}", format.name),
            event: entry.action.clone(),
            error: String::new(),
            account: entry.account.clone(),
            region: String::new(),
            actor,
            principal: entry.who.principal,
            credential: entry.who.credential,
            address: entry.who.address,
            user_agent: String::new(),
            indicators,
            evidence: evidence(number, &entry.id),
            id: entry.id,
        });
    });
    say_what_is_left_out(&mut rows, left_out);
    rows
}

/// Indicator name of traffic with an actor's address: context.
pub const TRAFFIC: &str = "weak:flow.traffic-with-actor";

/// Indicator name of a lot of data that went to an actor's address: context.
pub const EGRESS: &str = "weak:flow.large-egress-to-actor";

/// Indicator name of a line of the workload's log from an actor's address: context.
pub const LINE: &str = "weak:workload.line-of-actor";
