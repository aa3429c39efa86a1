//! The first pass over an object: hits, coverage, and a sketch of who acted, parsing only what must be parsed.
//!
//! In the layout in which AWS delivers objects, the head of a record says who called what and when, and the rest is
//! looked at only for actions that an indicator or the lineage of credentials asks for. Any other record is parsed,
//! and any other layout is left to the full parser.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use memchr::memmem::Finder;

use super::Evidence;
use super::agent::Agent;
use super::cloudtrail::{Record, parse_time};
use super::facts::{Kind, Marked, ObjectFacts, Reader, Seen, acts, believed_seconds, is_seed, shorten, who};
use super::forms::Form;
use super::indicator::{Rule, Watch, is_context};
use super::lineage::MAKES_SESSION;
use super::object::{INFLATED_LIMIT, Inflater};
use super::outline::{Head, NotOutlined, Outlined, outline};
use super::rows::{Again, Chosen, Selection};
use super::sign_in;
use super::sketch::{Caller, Issuing, Numbered, Places, Sketch, Sketcher, nanoseconds, number};
use super::sources::holds_data_events;
use crate::artifact::Digest;

/// Action names that are remembered. AWS has some 20,000; more come from an intruder.
const NAMES_KEPT: usize = 1 << 16;

/// What the first pass keeps of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// Hits, trails and coverage. Ways of acting and credentials are in the sketch alone.
    pub facts: ObjectFacts,
    /// Who acted.
    pub sketch: Sketch,
}

/// The first pass of one thread: a reader, and memory that objects share.
#[derive(Debug)]
pub struct Sweep<'r> {
    reader: &'r Reader,
    inflater: Inflater,
    heads: Heads<'r>,
    sketcher: Sketcher,
}

/// Reads heads of records.
#[derive(Debug)]
struct Heads<'r> {
    reader: &'r Reader,
    /// By the number of the action.
    watched: HashMap<u64, Action<'r>, Numbered>,
    agents: Agents,
    places: Places,
    again: Finder<'static>,
    escape: Finder<'static>,
    error: Finder<'static>,
    key: Finder<'static>,
    shared: Finder<'static>,
    day: ([u8; 10], i64),
    /// Seconds since 1970 that are believed.
    believed: std::ops::RangeInclusive<i64>,
}

/// What is asked of the records of an action.
#[derive(Debug, Clone, Copy)]
struct Action<'r> {
    /// When they are examined.
    watch: Watch<'r>,
    makes_session: bool,
    /// The indicators by which they are context, examined or not.
    context: &'r [Arc<Rule>],
}

impl<'r> Sweep<'r> {
    /// A first pass with this reader.
    #[must_use]
    pub fn new(reader: &'r Reader) -> Self {
        Self {
            reader,
            inflater: Inflater::default(),
            heads: Heads {
                reader,
                watched: HashMap::default(),
                agents: Agents::default(),
                places: Places::default(),
                again: Finder::new(br#""eventName""#),
                escape: Finder::new(br"\u"),
                error: Finder::new(br#""errorCode""#),
                key: Finder::new(br#""accessKeyId""#),
                shared: Finder::new(br#""sharedEventID""#),
                day: ([0; 10], 0),
                believed: believed_seconds(reader.now),
            },
            sketcher: Sketcher::default(),
        }
    }

    /// Reads one stored object. Whatever cannot be read becomes a problem of the object.
    #[must_use]
    pub fn read(&mut self, object: &str, stored: &[u8], kind: Kind<'_>) -> Swept {
        let may_hold_records = matches!(kind, Kind::CloudTrail | Kind::Any(_));
        // Rules of other engines may look at any record.
        if !may_hold_records || self.reader.table.rules().is_some() {
            return without_uses(self.reader.read(object, stored, kind));
        }
        let mut facts = ObjectFacts::none(object, Digest::of(stored));
        let text = match self.inflater.inflate(stored, INFLATED_LIMIT) {
            Ok(text) => text,
            Err(unreadable) => {
                facts.problems.push(unreadable.to_string());
                return without_uses(facts);
            }
        };
        self.sketcher.clear();
        if self.heads.read(text, &mut facts, &mut self.sketcher).is_err() {
            let mut facts = ObjectFacts::none(object, facts.sha256);
            self.reader.read_text(Cow::Borrowed(text), kind, &mut facts);
            shorten(&mut facts.problems);
            return without_uses(facts);
        }
        if self.reader.hash_content {
            facts.sources.content = Some(Digest::of(text));
        }
        facts.sources.form = Form::CloudTrail;
        facts.sources.data_events = holds_data_events(text);
        let sketch = self.sketcher.finish(&facts);
        facts.issued.clear();
        Swept { facts, sketch }
    }

    /// The second pass over an object: what it says about the actors, parsing their records alone.
    ///
    /// # Errors
    /// [`Changed`] when these are not the bytes that the first pass read.
    pub fn again(
        &mut self,
        first: &ObjectFacts,
        stored: &[u8],
        kind: Kind<'_>,
        selection: &Selection<'_>,
    ) -> Result<Again, Changed> {
        if Digest::of(stored) != first.sha256 {
            return Err(Changed);
        }
        let Ok(text) = self.inflater.inflate(stored, INFLATED_LIMIT) else {
            return Ok(Again::default());
        };
        if first.sources.form == Form::CloudTrail && self.reader.table.rules().is_none() {
            let evidence = Evidence {
                object: first.object.clone(),
                sha256: first.sha256.clone(),
                record: 0,
                event_id: String::new(),
            };
            if let Ok(again) = self.heads.choose(text, &evidence, selection) {
                return Ok(again);
            }
        }
        Ok(selection.read(&first.object, &first.sha256, Cow::Borrowed(text), kind))
    }
}

/// Why the second pass over an object brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the object is not any more what it was when it was read first")]
pub struct Changed;

fn without_uses(mut facts: ObjectFacts) -> Swept {
    let sketch = Sketch::of(&facts);
    facts.hits.retain(is_seed);
    facts.uses = Vec::new();
    facts.issued = Vec::new();
    Swept { facts, sketch }
}

impl<'r> Heads<'r> {
    fn read(
        &mut self,
        text: &[u8],
        facts: &mut ObjectFacts,
        sketcher: &mut Sketcher,
    ) -> Result<(), NotOutlined> {
        let mut marked = Marked::of_seeds();
        let mut unreadable = Vec::new();
        let mut index = 0;
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        outline(text, |outlined| {
            let record = index;
            index += 1;
            let head = self.head(outlined);
            let plain = head.and_then(|head| self.plain(head, outlined));
            if let Some(Plain {
                second,
                caller,
                made,
                is_context,
            }) = plain
            {
                facts.records += 1;
                let is_doubtful = is_context || made.is_some();
                if let Some(made) = made {
                    sketcher.add_made(made);
                }
                first = first.min(second);
                last = last.max(second);
                let at = second.saturating_mul(1_000_000_000);
                if let Some(caller) = caller {
                    if is_doubtful {
                        sketcher.add_doubtful(caller, at);
                    } else {
                        sketcher.add(caller, at);
                    }
                    let session = head.and_then(|head| self.session(head));
                    if let Some(session) = session {
                        sketcher.add_session(
                            Caller {
                                credential: session,
                                ..caller
                            },
                            caller.credential,
                            at,
                        );
                    }
                }
                return;
            }
            let parsed = match serde_json::from_slice::<Record<'_>>(outlined.text) {
                Ok(parsed) => parsed,
                Err(error) => {
                    unreadable.push(format!("record {record} cannot be read: {error}"));
                    return;
                }
            };
            if let Some(at) = self.reader.dated(record, &parsed, facts) {
                let seen = Seen {
                    at,
                    event_id: parsed.id().to_owned(),
                    record,
                };
                let is_doubtful = self.reader.mark(&seen, &parsed, Vec::new(), &mut marked, facts);
                if acts(&parsed) {
                    let caller = Caller::of(&who(&parsed));
                    if is_doubtful {
                        sketcher.add_doubtful(caller, nanoseconds(at));
                    } else {
                        sketcher.add(caller, nanoseconds(at));
                    }
                    let part = sign_in::part(&parsed, &seen);
                    for who in &part.acting {
                        sketcher.add(Caller::of(who), nanoseconds(at));
                    }
                    part.issued.into_iter().for_each(|issued| marked.issue(issued));
                }
            }
        })?;
        for second in [first, last] {
            if let Some(at) = Timestamp::from_second(second).ok().filter(|_| first <= last) {
                facts.first = Some(facts.first.map_or(at, |known| known.min(at)));
                facts.last = Some(facts.last.map_or(at, |known| known.max(at)));
            }
        }
        unreadable.append(&mut facts.problems);
        facts.problems = unreadable;
        shorten(&mut facts.problems);
        marked.finish(facts);
        Ok(())
    }

    /// What a record says that need not be parsed.
    #[inline]
    fn plain(&mut self, head: &Head<'_>, outlined: &Outlined<'_>) -> Option<Plain> {
        let second = self.second(head.time)?;
        if !self.believed.contains(&second) {
            return None;
        }
        let is_service = head.kind == b"AWSService" || head.invoked_by == b"backup.amazonaws.com";
        let Action {
            watch,
            makes_session,
            context,
        } = self.watch(head.name);
        let examined = !is_service
            && match watch {
                Watch::Never => false,
                Watch::WithWords(words) => words.are_in(head.rest, |key| outlined.object(key)),
                Watch::Always => true,
            };
        if examined {
            return None;
        }
        if is_service {
            return Some(Plain {
                second,
                caller: None,
                made: None,
                is_context: false,
            });
        }
        let is_context = !context.is_empty() && is_context(context, head.source);
        if is_context && self.error.find(head.rest).is_some() {
            return None;
        }
        let by = self.caller(head);
        let mut made = None;
        if makes_session && head.source == b"sts" {
            return None;
        }
        if makes_session && head.source == b"sts.amazonaws.com" {
            let (credential, shared) = self.made(head, outlined)?;
            made = Some(Issuing {
                by,
                credential,
                shared,
            });
        }
        let anonymous = head.principal().is_empty() && head.credential.is_empty();
        Some(Plain {
            second,
            caller: (!anonymous).then_some(by),
            made,
            is_context,
        })
    }

    #[inline]
    fn caller(&mut self, head: &Head<'_>) -> Caller {
        head.caller(&mut self.places, || self.agents.of(head.product))
    }

    /// The numbers of the credential that a call made, and of what the copies of its event share; nothing unless both
    /// stand where AWS writes them, and once.
    fn made(&self, head: &Head<'_>, outlined: &Outlined<'_>) -> Option<(u64, u64)> {
        if self.error.find(head.rest).is_some() {
            return None;
        }
        let answer = outlined.object(br#""responseElements":"#)?;
        let credential = answer.strip_prefix(br#"{"credentials":{"accessKeyId":""#)?;
        let (credential, after) = quoted(credential)?;
        if self.key.find(after).is_some() {
            return None;
        }
        let Some(at) = self.shared.find(head.rest) else {
            return Some((number(credential), 0));
        };
        let shared = head.rest.get(at + self.shared.needle().len()..)?;
        let (shared, after) = quoted(shared.strip_prefix(br#":""#)?)?;
        let offset = outlined.text.len() - head.rest.len() + at;
        let is_its_own = outlined.is_outside_objects(offset) && self.shared.find(after).is_none();
        is_its_own.then(|| (number(credential), number(shared)))
    }

    /// The number of the session that a user's temporary key belongs to, as the parser would say it.
    fn session(&self, head: &Head<'_>) -> Option<u64> {
        if !head.is_session() {
            return None;
        }
        let context: serde_json::Value = serde_json::from_slice(head.session).ok()?;
        let began = parse_time(context.pointer("/attributes/creationDate")?.as_str()?)?;
        let principal = std::str::from_utf8(head.principal()).ok()?;
        Some(number(sign_in::session(principal, began).as_bytes()))
    }

    #[inline]
    fn watch(&mut self, name: &[u8]) -> Action<'r> {
        let number = number(name);
        if let Some(known) = self.watched.get(&number) {
            return *known;
        }
        let unknown = Action {
            watch: Watch::Always,
            makes_session: false,
            context: &[],
        };
        let watch = std::str::from_utf8(name).map_or(unknown, |name| Action {
            watch: self.reader.watch(name),
            makes_session: MAKES_SESSION.contains(&name),
            context: self.reader.table.context(name),
        });
        if self.watched.len() < NAMES_KEPT {
            self.watched.insert(number, watch);
        }
        watch
    }

    /// The head of a record that can be judged by its head. A name that is spelled with escapes, or stands twice, is
    /// the parser's to judge.
    #[inline]
    fn head<'o, 'a>(&self, outlined: &'o Outlined<'a>) -> Option<&'o Head<'a>> {
        outlined.head().filter(|head| {
            !(outlined.may_hold_escapes && self.escape.find(head.rest).is_some())
                && self.again.find(head.rest).is_none()
        })
    }

    /// Reads the records that may have a row; nothing if the text is not laid out as AWS delivers it.
    fn choose(
        &mut self,
        text: &[u8],
        evidence: &Evidence,
        selection: &Selection<'_>,
    ) -> Result<Again, NotOutlined> {
        let mut chosen = Chosen::default();
        let mut index = 0;
        outline(text, |outlined| {
            let record = index;
            index += 1;
            if let Some(head) = self.head(outlined) {
                let who = self.caller(head);
                if !selection.may_want(who, head.time, &evidence.object, record) {
                    return;
                }
            }
            if let Ok(parsed) = serde_json::from_slice::<Record<'_>>(outlined.text) {
                let evidence = Evidence {
                    record,
                    event_id: parsed.id().to_owned(),
                    ..evidence.clone()
                };
                selection.choose(&evidence, &parsed, Vec::new(), &mut chosen);
            }
        })?;
        Ok(chosen.finish())
    }

    /// Seconds since 1970 of a time as AWS writes it, `2023-07-10T11:54:33Z`; nothing for any other.
    #[inline]
    fn second(&mut self, time: &[u8]) -> Option<i64> {
        let (date, time) = time.split_first_chunk::<10>()?;
        if self.day.0 != *date {
            self.day = (*date, midnight(date)?);
        }
        let [b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'Z'] = time else {
            return None;
        };
        let (hour, minute, second) = (two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?);
        (hour < 24 && minute < 60 && second < 60)
            .then(|| self.day.1 + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second))
    }
}

/// What a record says that need not be parsed.
struct Plain {
    second: i64,
    /// Nobody for a service on its own account.
    caller: Option<Caller>,
    made: Option<Issuing>,
    /// Whether an indicator marks it as context.
    is_context: bool,
}

/// Text up to the next quote, and what follows it; nothing if there is an escape in it.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr2(b'"', b'\\', text)?;
    let after = text.get(end..)?.strip_prefix(b"\"")?;
    Some((text.get(..end)?, after))
}

/// Kinds of the products that were met.
#[derive(Debug, Default)]
struct Agents(HashMap<u64, Agent, Numbered>);

impl Agents {
    #[inline]
    fn of(&mut self, product: &[u8]) -> Agent {
        let number = number(product);
        if let Some(known) = self.0.get(&number) {
            return *known;
        }
        let agent = Agent::of_product(product);
        if self.0.len() < NAMES_KEPT {
            self.0.insert(number, agent);
        }
        agent
    }
}

#[inline]
fn two(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

fn midnight(date: &[u8; 10]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else {
        return None;
    };
    let year = i16::from(two(y1, y2)?) * 100 + i16::from(two(y3, y4)?);
    let date = Date::new(year, two(m1, m2)?.cast_signed(), two(d1, d2)?.cast_signed()).ok()?;
    let midnight = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
    Some(midnight.as_second())
}
