//! What one log object says: everything the boundary needs of it, and nothing that grows with its bytes.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::agent::{Agent, Period};
use super::cloudtrail::{self, Record};
use super::findings;
use super::forms::{Recognised, recognise};
use super::indicator::{Class, Mark, Table, Watch};
use super::kept::Kept;
use super::lineage::{OTHER_LINEAGE, lineage};
use super::object::{INFLATED_LIMIT, inflate};
use super::rules;
use super::sign_in;
use super::sketch::nanoseconds;
use super::sources::{self, SourceFacts};
use crate::artifact::Digest;

pub use super::forms::Kind;

/// Hits that are kept per indicator, caller and hour, beside the first with each tool: more than any built-in burst
/// threshold.
const HITS_KEPT: usize = 32;

/// Problems that are kept per object; the rest is counted.
const PROBLEMS_KEPT: usize = 8;

/// AWS began in 2006.
const FIRST_SECOND: i64 = 1_136_073_600;

/// Clocks of AWS services are right to the minute.
const CLOCK_ERROR: SignedDuration = SignedDuration::from_hours(1);

/// A way of acting: one principal with one credential from one place.
///
/// The place is part of it because a stolen key has two lives: its owner's and the thief's.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Who {
    /// ARN or unique id; empty when unknown.
    pub principal: String,
    /// Access key id; empty when there is none.
    pub credential: String,
    /// Network address, or the name of the service that called on the principal's behalf.
    pub address: String,
    /// With what, for a principal's calls over the network. It ties nobody to anybody.
    #[serde(default, skip_serializing_if = "Agent::is_unknown")]
    #[schemars(skip)]
    pub agent: Agent,
}

impl Who {
    /// The same, whatever the call was made with.
    #[must_use]
    pub(super) fn with_any_agent(&self) -> Self {
        Self {
            agent: Agent::UNKNOWN,
            ..self.clone()
        }
    }

    /// One tool of the principal at this address, whatever the credential.
    #[must_use]
    pub(super) fn tool(&self) -> Self {
        Self {
            credential: String::new(),
            ..self.clone()
        }
    }

    /// Whether the call came over the network, not from a service on somebody's behalf.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.address.parse::<IpAddr>().is_ok()
    }
}

/// One record within its object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    /// When the event happened.
    pub at: Timestamp,
    /// The record's own id.
    pub event_id: String,
    /// Index within the object.
    pub record: u64,
}

/// A way of acting and its first and last act in one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Who acts.
    pub who: Who,
    /// The first act.
    pub first: Seen,
    /// What the first act was, `service:Action`.
    pub what: String,
    /// Time of the last act.
    pub last: Timestamp,
    /// Time of the last act that any indicator marks, if only as context, or that made a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubtful: Option<Timestamp>,
}

impl Use {
    pub(super) fn period(&self) -> Period {
        Period {
            first: nanoseconds(self.first.at),
            doubtful: self.doubtful.map_or(Period::NEVER, nanoseconds),
        }
    }
}

/// A record that an indicator marks, or a finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hit {
    /// The record.
    pub seen: Seen,
    /// Indicator id, or `guardduty:` and the finding type.
    pub indicator: String,
    /// Who acted, as far as it is known.
    pub who: Who,
    /// `service:Action`, or the finding's title.
    pub what: String,
    /// What the hit means, where that is not what its id says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

/// A credential or a sign-in that one way of acting made for another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Issued {
    /// When, and where that is recorded.
    pub seen: Seen,
    /// Who made it.
    pub by: Who,
    /// Access key id of the new credential.
    pub credential: String,
    /// Shared by the copies of this event in two accounts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shared: String,
}

/// What of an account's activity a trail may record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// Everything that it is told to.
    #[default]
    Everything,
    /// Management events.
    ManagementEvents,
    /// Data events: reading, writing and deleting of objects, and the like.
    DataEvents,
}

impl Recorded {
    fn is_everything(&self) -> bool {
        *self == Self::Everything
    }
}

/// A trail that began or ceased to record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Logging {
    /// When.
    pub seen: Seen,
    /// Trail name or ARN.
    pub trail: String,
    /// Whether it records from then on.
    pub on: bool,
    /// What.
    #[serde(default, skip_serializing_if = "Recorded::is_everything")]
    pub what: Recorded,
}

/// What one log object says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectFacts {
    /// `s3://bucket/key` or a file name.
    pub object: String,
    /// Digest of the bytes as stored.
    pub sha256: Digest,
    /// Records read.
    pub records: u64,
    /// Earliest event.
    pub first: Option<Timestamp>,
    /// Latest event.
    pub last: Option<Timestamp>,
    /// What could not be read, one sentence each.
    pub problems: Vec<String>,
    /// Ways of acting.
    pub uses: Vec<Use>,
    /// Records that an indicator marks, and findings.
    pub hits: Vec<Hit>,
    /// Credentials that were made, each with the first record that shows it.
    pub issued: Vec<Issued>,
    /// Trails that began or ceased to record.
    pub logging: Vec<Logging>,
    /// What it says beyond the records of CloudTrail.
    #[serde(default)]
    pub sources: SourceFacts,
}

impl ObjectFacts {
    /// An object of which nothing is known but its name and bytes.
    #[must_use]
    pub fn none(object: &str, sha256: Digest) -> Self {
        Self {
            object: object.to_owned(),
            sha256,
            records: 0,
            first: None,
            last: None,
            problems: Vec::new(),
            uses: Vec::new(),
            hits: Vec::new(),
            issued: Vec::new(),
            logging: Vec::new(),
            sources: SourceFacts::default(),
        }
    }
}

/// How objects are read: the indicators in force, and the present, beyond which no event can lie.
#[derive(Debug)]
pub struct Reader {
    /// Indicators.
    pub table: Table,
    /// The time of the run.
    pub now: Timestamp,
    /// Whether the inflated content is hashed, to be compared with digest files.
    pub hash_content: bool,
}

impl Reader {
    /// A reader that hashes no content.
    #[must_use]
    pub fn new(table: Table, now: Timestamp) -> Self {
        Self {
            table,
            now,
            hash_content: false,
        }
    }

    /// Reads one stored object. Whatever cannot be read becomes a problem of the object.
    #[must_use]
    pub fn read(&self, object: &str, stored: &[u8], kind: Kind<'_>) -> ObjectFacts {
        let mut facts = ObjectFacts::none(object, Digest::of(stored));
        match inflate(stored, INFLATED_LIMIT) {
            Err(unreadable) => facts.problems.push(unreadable.to_string()),
            Ok(content) => self.read_text(content, kind, &mut facts),
        }
        shorten(&mut facts.problems);
        facts
    }

    /// Reads the text of an object.
    pub(super) fn read_text(&self, content: Cow<'_, [u8]>, kind: Kind<'_>, facts: &mut ObjectFacts) {
        if self.hash_content {
            facts.sources.content = Some(Digest::of(&content));
        }
        let recognised = recognise(kind, content);
        facts.sources.form = recognised.form();
        if let Recognised::CloudTrail(_) | Recognised::LookupEvents(_) = &recognised {
            let content = recognised.content();
            facts.sources.data_events = sources::holds_data_events(content);
            self.read_cloudtrail(content, facts);
        } else {
            sources::read(&recognised, self, facts);
        }
    }

    fn read_cloudtrail(&self, content: &[u8], facts: &mut ObjectFacts) {
        let mut uses = HashMap::<(&str, &str, &str, Agent), Use>::new();
        let mut sessions = BTreeMap::<Who, Use>::new();
        let mut marked = Marked::default();
        let mut others = self
            .table
            .rules()
            .map(|rules| rules::marked(rules, content))
            .unwrap_or_default();
        let read = cloudtrail::parse(content);
        facts.problems = read.problems;
        for (index, record) in &read.records {
            let Some(at) = self.dated(*index, record, facts) else {
                continue;
            };
            let seen = || Seen {
                at,
                event_id: record.id().to_owned(),
                record: *index,
            };
            let others = others.remove(index).unwrap_or_default();
            let is_doubtful = self.mark(&seen(), record, others, &mut marked, facts);
            if acts(record) {
                let acting = (
                    record.principal(),
                    record.credential(),
                    record.address(),
                    agent(record),
                );
                let known = uses
                    .entry(acting)
                    .and_modify(|known| add_use(known, &seen(), record))
                    .or_insert_with(|| first_use(who(record), seen(), record));
                if is_doubtful {
                    known.doubtful = known.doubtful.max(Some(at));
                }
                let part = sign_in::part(record, &seen());
                part.issued.into_iter().for_each(|issued| marked.issue(issued));
                for who in part.acting {
                    match sessions.get_mut(&who) {
                        Some(known) => add_use(known, &seen(), record),
                        None => {
                            sessions.insert(who.clone(), first_use(who, seen(), record));
                        }
                    }
                }
            }
        }
        facts.uses = uses.into_values().chain(sessions.into_values()).collect();
        facts.uses.sort_by(|a, b| a.who.cmp(&b.who));
        marked.finish(facts);
    }

    /// Counts a record, unless its time cannot be believed.
    pub(super) fn dated(
        &self,
        index: u64,
        record: &Record<'_>,
        facts: &mut ObjectFacts,
    ) -> Option<Timestamp> {
        match plausible(record.time(), self.now) {
            Ok(at) => {
                facts.records += 1;
                facts.first = Some(facts.first.map_or(at, |first| first.min(at)));
                facts.last = Some(facts.last.map_or(at, |last| last.max(at)));
                Some(at)
            }
            Err(why) => {
                facts
                    .problems
                    .push(format!("record {index} (`{}`) {why}", printable(record.id())));
                None
            }
        }
    }

    /// Notes what the indicators and other engines' rules say of a record, and the credentials and trails that it
    /// changed. Whether it is doubtful: any of them marks it, if only as context, or it made a credential.
    pub(super) fn mark(
        &self,
        seen: &Seen,
        record: &Record<'_>,
        others: Vec<rules::Marked>,
        marked: &mut Marked,
        facts: &mut ObjectFacts,
    ) -> bool {
        let matching = self.table.matching(record);
        let mut is_doubtful = !matching.is_empty();
        let seeds_alone = marked.seeds_alone;
        let matching = matching
            .into_iter()
            .filter(|rule| !(seeds_alone && rule.class == Class::Weak));
        let own = matching.map(|rule| (rule.id.to_string(), rule.shows(call(record)), rule.mark()));
        let others = others.into_iter().filter(|_| !record.is_service()).map(|marked| {
            let what = format!("{}: {}", printable(&marked.title), call(record));
            (marked.id, what, Some(marked.mark))
        });
        for (indicator, what, mark) in own.chain(others) {
            is_doubtful = true;
            let hour = seen.at.as_second().div_euclid(3600);
            let kept = marked
                .kept
                .entry((indicator.clone(), who(record).with_any_agent(), hour))
                .or_default();
            let who = who(record);
            let agent = who.agent;
            let hit = Hit {
                seen: seen.clone(),
                indicator,
                who,
                what,
                mark,
            };
            kept.add(hit, agent, kept_per_hour(mark)).for_each(drop);
        }
        if record.error().is_none()
            && !record.is_service()
            && let Some(issued) = lineage(record, || seen.clone(), facts)
        {
            is_doubtful = true;
            marked.issue(issued);
        }
        is_doubtful
    }

    /// When [`Reader::mark`] may have something to say about calls of this action beyond the credentials of sessions
    /// and [`Table::context`].
    #[must_use]
    pub(super) fn watch(&self, action: &str) -> Watch<'_> {
        if OTHER_LINEAGE.contains(&action) {
            Watch::Always
        } else {
            self.table.watch(action)
        }
    }

    pub(super) fn plausible(&self, time: Option<Timestamp>) -> Result<Timestamp, &'static str> {
        plausible(time, self.now)
    }
}

fn first_use(who: Who, seen: Seen, record: &Record<'_>) -> Use {
    Use {
        who,
        last: seen.at,
        first: seen,
        what: call(record),
        doubtful: None,
    }
}

fn add_use(known: &mut Use, seen: &Seen, record: &Record<'_>) {
    known.last = known.last.max(seen.at);
    if *seen < known.first {
        known.first = seen.clone();
        known.what = call(record);
    }
}

/// Hits of one object, as many as are kept, and the credentials that were made there, each once: a session's key is
/// shown by every call with it.
#[derive(Debug, Default)]
pub(super) struct Marked {
    kept: BTreeMap<(String, Who, i64), Kept<Hit>>,
    /// By maker, credential, and what the copies of the event share.
    issued: BTreeMap<(Who, String, String), Seen>,
    seeds_alone: bool,
}

impl Marked {
    /// Hits without context.
    pub(super) fn of_seeds() -> Self {
        Self {
            seeds_alone: true,
            ..Self::default()
        }
    }

    /// Takes note of a credential that was made.
    pub(super) fn issue(&mut self, issued: Issued) {
        let Issued {
            seen,
            by,
            credential,
            shared,
        } = issued;
        match self.issued.entry((by, credential, shared)) {
            Entry::Occupied(mut known) if seen < *known.get() => *known.get_mut() = seen,
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert(seen);
            }
        }
    }

    pub(super) fn finish(self, facts: &mut ObjectFacts) {
        let issued = self.issued.into_iter();
        facts.issued = issued
            .map(|((by, credential, shared), seen)| Issued {
                seen,
                by,
                credential,
                shared,
            })
            .collect();
        facts.hits = self.kept.into_values().flat_map(Kept::into_items).collect();
        facts.hits.sort();
        facts.issued.sort();
        facts.logging.sort();
    }
}

/// Whether a hit is more than context: the first pass keeps no other.
pub(super) fn is_seed(hit: &Hit) -> bool {
    Mark::of(&hit.indicator, hit.mark).map(|mark| mark.class) != Some(Class::Weak)
        && findings::stands_alone(&hit.indicator) != Some(false)
}

/// Hits of this meaning that are kept for each caller and hour: more than its burst threshold.
pub(super) fn kept_per_hour(mark: Option<Mark>) -> usize {
    match mark.map(|mark| mark.class) {
        Some(Class::Burst(threshold)) => HITS_KEPT.max(threshold),
        Some(Class::Strong | Class::Weak) | None => HITS_KEPT,
    }
}

/// Whether somebody acted, and not a service on its own account.
pub(super) fn acts(record: &Record<'_>) -> bool {
    let anonymous = record.principal().is_empty() && record.credential().is_empty();
    !(anonymous || record.is_service())
}

/// The time of an event, unless it cannot be.
///
/// # Errors
/// Why not, in words that follow the name of the record.
pub(super) fn plausible(time: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, &'static str> {
    match time {
        None => Err("has no event time"),
        Some(at) if at.as_second() < FIRST_SECOND => Err("claims a time before AWS existed"),
        Some(at) if at.duration_since(now) > CLOCK_ERROR => Err("claims a time in the future"),
        Some(at) => Ok(at),
    }
}

/// Whole seconds that [`plausible`] surely believes.
pub(super) fn believed_seconds(now: Timestamp) -> std::ops::RangeInclusive<i64> {
    FIRST_SECOND..=now.as_second().saturating_add(CLOCK_ERROR.as_secs())
}

/// `service:Action` of a record.
#[must_use]
pub fn call(record: &Record<'_>) -> String {
    format!("{}:{}", record.service(), record.name())
}

/// Who made the record's call.
#[must_use]
pub fn who(record: &Record<'_>) -> Who {
    Who {
        principal: record.principal().to_owned(),
        credential: record.credential().to_owned(),
        address: record.address().to_owned(),
        agent: agent(record),
    }
}

/// With what a principal's call over the network was made.
fn agent(record: &Record<'_>) -> Agent {
    let is_remote = record.address().parse::<IpAddr>().is_ok();
    if is_remote && !record.principal().is_empty() {
        Agent::of(record.agent())
    } else {
        Agent::UNKNOWN
    }
}

/// Log text for a sentence: no control characters, no more than 120 characters.
#[must_use]
pub fn printable(text: &str) -> String {
    printable_up_to(text, 120)
}

/// Log text without control and direction characters, no more than `most` characters.
#[must_use]
pub fn printable_up_to(text: &str, most: usize) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
                '\u{fffd}'
            } else {
                c
            }
        })
        .take(most)
        .collect()
}

pub(super) fn shorten(problems: &mut Vec<String>) {
    if problems.len() > PROBLEMS_KEPT {
        let more = problems.len() - PROBLEMS_KEPT;
        problems.truncate(PROBLEMS_KEPT);
        problems.push(format!("and {more} more problems"));
    }
}
