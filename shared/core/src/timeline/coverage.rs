//! What was really seen: accounts, regions and hours, and everything that could not be seen.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::facts::{Logging, ObjectFacts, Recorded, printable};
use super::forms::Form;
use super::{Coverage, Gap, SeenHours, Unseen, delivery};

/// Periods that one entry lists; with more, the shortest holes are closed and the count of hours tells.
const PERIODS_KEPT: usize = 24;

/// Hours that a log must have filled before an empty one means anything.
const HOURS_OF_A_BUSY_LOG: usize = 48;

/// Share of hours, in percent, that a busy log fills.
const PERCENT_OF_A_BUSY_LOG: usize = 95;

/// Longest time after an event until CloudTrail delivers it (user guide: about 5 minutes on average, late ones more).
const DELIVERED_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// Longest period that the records of one object fill hour by hour; a packed archive may span more.
const LONGEST_OBJECT_HOURS: i64 = 24 * 31;

/// Gaps and unseen periods that a document lists; an intruder may damage any number of objects.
const LISTED: usize = 2000;

/// What the objects say of the coverage, one after the other, in memory that does not grow with them.
#[derive(Debug, Default)]
pub(super) struct Seeing {
    objects: u64,
    records: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    said: Fewest<Gap>,
    unseen: Fewest<Unseen>,
    logging: BTreeSet<Logging>,
    places: BTreeMap<Place, (u64, BTreeSet<i64>)>,
    holds_calls: bool,
    holds_data_events: bool,
}

/// The least of all that was added, as many as are listed.
#[derive(Debug, Clone)]
struct Fewest<T> {
    kept: BTreeSet<T>,
    is_all: bool,
}

impl<T> Default for Fewest<T> {
    fn default() -> Self {
        Self {
            kept: BTreeSet::new(),
            is_all: true,
        }
    }
}

impl<T: Ord> Extend<T> for Fewest<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.kept.insert(item);
            if self.kept.len() > LISTED {
                self.kept.pop_last();
                self.is_all = false;
            }
        }
    }
}

impl Seeing {
    /// Records of log objects.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Takes note of an object. Objects of equal bytes are one, and come once.
    pub(super) fn see(&mut self, object: &ObjectFacts) {
        self.objects += 1;
        if object.sources.form != Form::Digest {
            self.records += object.records;
        }
        self.first = [self.first, object.first].into_iter().flatten().min();
        self.last = self.last.max(object.last);
        let is_api_activity = object.sources.form.is_api_activity();
        self.holds_calls |= is_api_activity && object.records > 0;
        self.holds_data_events |= object.sources.data_events;
        self.say(object);
        hours_of(object, &mut self.places);
    }

    /// Takes note of what an object could not tell, and of trails that were switched.
    fn say(&mut self, object: &ObjectFacts) {
        let gap = |reason: &str| Gap {
            what: object.object.clone(),
            reason: reason.to_owned(),
        };
        self.said
            .extend(object.problems.iter().map(|problem| gap(problem)));
        if !object.problems.is_empty() && object.sources.form.is_api_activity() {
            self.unseen.extend(unread(object));
        }
        if object.sources.form == Form::LookupEvents {
            self.said.extend([gap(
                "fallback: LookupEvents holds management events of the last 90 days only",
            )]);
        }
        if object.sources.more_sightings {
            self.said.extend([gap(
                "holds more network addresses than are kept: traffic of actors in it is shown, but does not widen the floor",
            )]);
        }
        self.unseen.extend(object.sources.unseen.iter().cloned());
        self.logging.extend(object.logging.iter().cloned());
    }

    /// The coverage. `late` is what was said beside the logs; `gaps` and `unseen` are known beyond all of it.
    pub(super) fn coverage(&self, late: &[ObjectFacts], gaps: &[Gap], unseen: &[Unseen]) -> Coverage {
        let mut all = Self {
            said: self.said.clone(),
            unseen: self.unseen.clone(),
            logging: self.logging.clone(),
            ..Self::default()
        };
        for object in late {
            all.say(object);
        }
        all.said.extend(gaps.iter().cloned());
        all.unseen.extend(unseen.iter().cloned());
        all.unseen
            .extend(trails_that_were_off(&all.logging, self.holds_data_events));
        let (seen, empty) = hours(&self.places);
        all.unseen.extend(empty);
        if self.holds_calls && !self.holds_data_events {
            all.said.extend([Gap {
                what: "data events".to_owned(),
                reason:
                    "none were seen: reading, writing and deleting of S3 objects is not recorded in these logs"
                        .to_owned(),
            }]);
        }
        all.said.extend(all.unseen.kept.iter().map(Unseen::gap));
        let mut gaps: Vec<_> = all.said.kept.into_iter().collect();
        if !(all.said.is_all && all.unseen.is_all) {
            gaps.push(Gap {
                what: "gaps".to_owned(),
                reason: format!("there are more than the {LISTED} that are listed"),
            });
        }
        Coverage {
            objects: self.objects,
            records: self.records,
            first: self.first,
            last: self.last,
            gaps,
            seen,
            unseen: all.unseen.kept.into_iter().collect(),
        }
    }
}

/// Coverage of all objects.
pub(super) fn of(
    objects: &[&ObjectFacts],
    late: &[ObjectFacts],
    gaps: &[Gap],
    unseen: &[Unseen],
) -> Coverage {
    let mut seeing = Seeing::default();
    for object in objects {
        seeing.see(object);
    }
    seeing.coverage(late, gaps, unseen)
}

impl Unseen {
    fn gap(&self) -> Gap {
        let to = self.to.map_or_else(|| "on".to_owned(), |to| format!("to {to}"));
        Gap {
            what: self.what.clone(),
            reason: format!("{}, from {} {to}", self.why, self.from),
        }
    }
}

/// The time whose events an object with problems may have held, by its name.
fn unread(object: &ObjectFacts) -> Option<Unseen> {
    let delivered = delivery::parse(&object.object)?;
    Some(Unseen {
        from: delivered.from.checked_sub(DELIVERED_WITHIN).ok()?,
        to: Some(delivered.to),
        what: object.object.clone(),
        why: "was not read, or not wholly".to_owned(),
    })
}

/// Times in which a trail did not record. Selectors without data events mean something only where data events were
/// recorded before: `holds_data_events`, or earlier selectors of the trail.
fn trails_that_were_off(changes: &BTreeSet<Logging>, holds_data_events: bool) -> Vec<Unseen> {
    let unseen = |trail: &str, what: Recorded, from: Timestamp, to: Option<Timestamp>| Unseen {
        from,
        to,
        what: format!("trail `{}`", printable(trail)),
        why: match what {
            Recorded::Everything => "did not record",
            Recorded::ManagementEvents => "did not record all management events",
            Recorded::DataEvents => "did not record all data events",
        }
        .to_owned(),
    };
    let mut off = BTreeMap::<(&str, Recorded), Timestamp>::new();
    let mut was_on = BTreeSet::<&str>::new();
    let mut found = Vec::new();
    for change in changes {
        let key @ (trail, what) = (change.trail.as_str(), change.what);
        if change.on {
            if what == Recorded::DataEvents {
                was_on.insert(trail);
            }
            if let Some(since) = off.remove(&key) {
                found.push(unseen(trail, what, since, Some(change.seen.at)));
            }
        } else if what != Recorded::DataEvents || holds_data_events || was_on.contains(trail) {
            off.entry(key).or_insert(change.seen.at);
        }
    }
    found.extend(
        off.into_iter()
            .map(|((trail, what), since)| unseen(trail, what, since, None)),
    );
    found
}

/// An account's region in one kind of log.
type Place = (Form, String, String);

/// Adds the hours of one object to those of its place.
fn hours_of(object: &ObjectFacts, places: &mut BTreeMap<Place, (u64, BTreeSet<i64>)>) {
    let form = object.sources.form;
    if matches!(form, Form::Unsupported | Form::Digest) {
        return;
    }
    let delivered = delivery::parse(&object.object);
    let place = delivered.as_ref().map_or_else(
        || (form, String::new(), String::new()),
        |d| (form, d.account.to_owned(), d.region.to_owned()),
    );
    let (count, hours) = places.entry(place).or_default();
    *count += 1;
    let period = match (object.first, object.last) {
        (Some(first), Some(last)) => Some((first, last)),
        _ => delivered.map(|d| (d.from, d.from)),
    };
    if let Some((first, last)) = period {
        let (first, last) = (hour(first), hour(last));
        if last - first <= LONGEST_OBJECT_HOURS {
            hours.extend(first..=last);
        } else {
            hours.extend([first, last]);
        }
    }
}

/// The hours seen of every place, and the empty ones in the midst of busy ones.
fn hours(places: &BTreeMap<Place, (u64, BTreeSet<i64>)>) -> (Vec<SeenHours>, Vec<Unseen>) {
    let mut seen = Vec::new();
    let mut empty = Vec::new();
    for ((form, account, region), (objects, hours)) in places {
        if *form == Form::CloudTrail && !account.is_empty() {
            empty.extend(holes(hours).into_iter().map(|(from, to)| Unseen {
                from,
                to: Some(to),
                what: format!("account {account}, {region}"),
                why: "no log object in these hours, although the log is busy before and after".to_owned(),
            }));
        }
        seen.push(SeenHours {
            source: form.name().to_owned(),
            account: account.clone(),
            region: region.clone(),
            objects: *objects,
            hours: hours.len() as u64,
            periods: periods(hours),
        });
    }
    (seen, empty)
}

fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}

fn begin(hour: i64) -> Option<Timestamp> {
    Timestamp::from_second(hour.checked_mul(3600)?).ok()
}

/// Runs of consecutive hours, as first hour and the hour after the last.
fn runs(hours: &BTreeSet<i64>) -> Vec<(i64, i64)> {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for hour in hours {
        match runs.last_mut() {
            Some((_, end)) if *end == *hour => *end += 1,
            _ => runs.push((*hour, hour + 1)),
        }
    }
    runs
}

/// The hours as few periods.
fn periods(hours: &BTreeSet<i64>) -> Vec<[Timestamp; 2]> {
    let mut runs = runs(hours);
    if runs.len() > PERIODS_KEPT {
        let mut holes: Vec<i64> = runs
            .windows(2)
            .filter_map(|pair| Some(pair.last()?.0 - pair.first()?.1))
            .collect();
        holes.sort_unstable_by(|a, b| b.cmp(a));
        // Holes longer than this stay open: fewer than the limit.
        let shortest = holes.get(PERIODS_KEPT - 1).copied().unwrap_or(0);
        let mut closed: Vec<(i64, i64)> = Vec::new();
        for (from, to) in runs {
            match closed.last_mut() {
                Some((_, end)) if from - *end <= shortest => *end = to,
                _ => closed.push((from, to)),
            }
        }
        runs = closed;
    }
    runs.into_iter()
        .filter_map(|(from, to)| Some([begin(from)?, begin(to)?]))
        .collect()
}

/// Empty hours of a log that fills nearly every hour. In a quiet one they mean nothing: CloudTrail delivers no
/// object for an hour without events.
fn holes(hours: &BTreeSet<i64>) -> Vec<(Timestamp, Timestamp)> {
    let (Some(first), Some(last)) = (hours.first(), hours.last()) else {
        return Vec::new();
    };
    let span = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
    let busy = hours.len() >= HOURS_OF_A_BUSY_LOG
        && hours.len().saturating_mul(100) >= span.saturating_mul(PERCENT_OF_A_BUSY_LOG);
    if !busy {
        return Vec::new();
    }
    runs(hours)
        .windows(2)
        .filter_map(|pair| Some((begin(pair.first()?.1)?, begin(pair.last()?.0)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hour: i64) -> Timestamp {
        begin(490_000 + hour).unwrap()
    }

    #[test]
    fn an_empty_hour_counts_in_a_busy_log_only() {
        let set = |hours: &mut dyn Iterator<Item = i64>| hours.map(|h| 490_000 + h).collect::<BTreeSet<_>>();
        let busy = set(&mut (0..100).filter(|h| !(40..42).contains(h)));
        assert_eq!(holes(&busy), [(at(40), at(42))]);
        assert!(holes(&set(&mut (0..100).step_by(2))).is_empty());
        assert!(holes(&set(&mut (0..40).filter(|h| *h != 5))).is_empty());
        assert!(holes(&BTreeSet::new()).is_empty());
    }

    #[test]
    fn selectors_without_data_events_are_a_gap_where_there_were_data_events() {
        let put = |request: &serde_json::Value, minute: u8| {
            serde_json::json!({"eventID": minute.to_string(), "eventName": "PutEventSelectors",
                "eventSource": "cloudtrail.amazonaws.com", "eventTime": format!("2026-01-01T00:{minute:02}:00Z"),
                "userIdentity": {"arn": "a", "accessKeyId": "k"}, "requestParameters": request})
        };
        let basic = |management: bool, resources: usize| {
            let resources =
                vec![serde_json::json!({"type": "AWS::S3::Object", "values": ["arn:aws:s3"]}); resources];
            serde_json::json!({"trailName": "t", "eventSelectors": [{"readWriteType": "All",
                "includeManagementEvents": management, "dataResources": resources}]})
        };
        let advanced = |category: &str| {
            serde_json::json!({"trailName": "t", "advancedEventSelectors": [{"name": "n",
                "fieldSelectors": [{"field": "eventCategory", "equals": [category]}]}]})
        };
        let unseen = |requests: &[serde_json::Value]| -> Vec<(String, bool)> {
            let records: Vec<_> = (1..)
                .zip(requests)
                .map(|(minute, request)| put(request, minute))
                .collect();
            let text = serde_json::json!({ "Records": records }).to_string();
            let now = "2030-01-01T00:00:00Z".parse().unwrap();
            let reader =
                crate::timeline::facts::Reader::new(crate::timeline::indicator::Table::default(), now);
            let swept = crate::timeline::sweep::Sweep::new(&reader).read(
                "o",
                text.as_bytes(),
                crate::timeline::facts::Kind::CloudTrail,
            );
            let coverage = of(&[&swept.facts], &[], &[], &[]);
            coverage
                .unseen
                .into_iter()
                .map(|unseen| (unseen.why, unseen.to.is_some()))
                .collect()
        };
        let data = "did not record all data events".to_owned();
        let management = "did not record all management events".to_owned();
        assert_eq!(unseen(&[basic(true, 0)]), [], "it may never have recorded any");
        assert_eq!(unseen(&[basic(true, 1), basic(true, 0)]), [(data.clone(), false)]);
        assert_eq!(
            unseen(&[basic(true, 1), advanced("Management"), advanced("Data")]),
            [(data.clone(), true), (management.clone(), false)]
        );
        assert_eq!(
            unseen(&[basic(false, 1), basic(true, 1)]),
            [(management.clone(), true)]
        );
        let mut reads_alone = advanced("Management");
        reads_alone["advancedEventSelectors"][0]["fieldSelectors"]
            .as_array_mut()
            .unwrap()
            .push(serde_json::json!({"field": "readOnly", "equals": ["true"]}));
        assert_eq!(unseen(&[reads_alone]), [(management, false)]);
        let mut other_bucket = basic(true, 1);
        other_bucket["eventSelectors"][0]["dataResources"][0]["values"] =
            serde_json::json!(["arn:aws:s3:::other/"]);
        assert_eq!(unseen(&[basic(true, 1), other_bucket]), [(data, false)]);
    }

    #[test]
    fn periods_are_few_and_cover_every_hour() {
        let scattered: BTreeSet<i64> = (0..200).map(|i| 490_000 + i * 3 + i / 50 * 100).collect();
        let periods = periods(&scattered);
        assert!(periods.len() <= PERIODS_KEPT, "{}", periods.len());
        assert_eq!(periods.len(), 4);
        for hour in scattered {
            let at = begin(hour).unwrap();
            assert!(periods.iter().any(|[from, to]| (*from..*to).contains(&at)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn periods_hold_every_hour_and_are_in_order(hours in proptest::collection::btree_set(400_000..400_400_i64, 0..120)) {
            let periods = periods(&hours);
            prop_assert!(periods.len() <= PERIODS_KEPT);
            for pair in periods.windows(2) {
                prop_assert!(pair[0][1] < pair[1][0]);
            }
            for hour in hours {
                let at = begin(hour).unwrap();
                prop_assert!(periods.iter().any(|[from, to]| (*from..*to).contains(&at)));
            }
        }
    }
}
