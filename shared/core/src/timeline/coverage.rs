//! What was really seen: accounts, regions and hours, and everything that could not be seen.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::facts::{Logging, ObjectFacts, printable};
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

/// Coverage of all objects. `late` is what was said beside the logs; `gaps` and `unseen` are known beyond all of it.
pub(super) fn of(
    objects: &[&ObjectFacts],
    late: &[ObjectFacts],
    gaps: &[Gap],
    unseen: &[Unseen],
) -> Coverage {
    let mut all: BTreeSet<Unseen> = unseen.iter().cloned().collect();
    let mut said: BTreeSet<Gap> = gaps.iter().cloned().collect();
    let mut logging = BTreeSet::new();
    for object in objects.iter().copied().chain(late) {
        said.extend(object.problems.iter().map(|problem| Gap {
            what: object.object.clone(),
            reason: problem.clone(),
        }));
        if !object.problems.is_empty() && object.sources.form.is_api_activity() {
            all.extend(unread(object));
        }
        if object.sources.form == Form::LookupEvents {
            said.insert(Gap {
                what: object.object.clone(),
                reason: "fallback: LookupEvents holds management events of the last 90 days only".to_owned(),
            });
        }
        if object.sources.more_sightings {
            said.insert(Gap {
                what: object.object.clone(),
                reason: "holds more network addresses than are kept: traffic of actors in it is shown, but does not widen the floor".to_owned(),
            });
        }
        all.extend(object.sources.unseen.iter().cloned());
        logging.extend(object.logging.iter());
    }
    all.extend(trails_that_were_off(&logging));
    let (seen, empty) = hours(objects);
    all.extend(empty);
    let records = |o: &&&ObjectFacts| o.sources.form.is_api_activity() && o.records > 0;
    if objects.iter().any(|o| records(&o)) && !objects.iter().any(|o| o.sources.data_events) {
        said.insert(Gap {
            what: "data events".to_owned(),
            reason:
                "none were seen: reading, writing and deleting of S3 objects is not recorded in these logs"
                    .to_owned(),
        });
    }
    said.extend(all.iter().map(Unseen::gap));
    Coverage {
        objects: objects.len() as u64,
        records: objects
            .iter()
            .filter(|o| o.sources.form != Form::Digest)
            .map(|o| o.records)
            .sum(),
        first: objects.iter().filter_map(|o| o.first).min(),
        last: objects.iter().filter_map(|o| o.last).max(),
        gaps: said.into_iter().collect(),
        seen,
        unseen: all.into_iter().collect(),
    }
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

/// Times in which a trail did not record.
fn trails_that_were_off(changes: &BTreeSet<&Logging>) -> Vec<Unseen> {
    let unseen = |trail: &str, from: Timestamp, to: Option<Timestamp>| Unseen {
        from,
        to,
        what: format!("trail `{}`", printable(trail)),
        why: "did not record".to_owned(),
    };
    let mut off = BTreeMap::<&str, Timestamp>::new();
    let mut found = Vec::new();
    for change in changes {
        let trail = change.trail.as_str();
        if !change.on {
            off.entry(trail).or_insert(change.seen.at);
        } else if let Some(since) = off.remove(trail) {
            found.push(unseen(trail, since, Some(change.seen.at)));
        }
    }
    found.extend(off.into_iter().map(|(trail, since)| unseen(trail, since, None)));
    found
}

/// An account's region in one kind of log.
type Place = (Form, String, String);

/// The hours seen of every place, and the empty ones in the midst of busy ones.
fn hours(objects: &[&ObjectFacts]) -> (Vec<SeenHours>, Vec<Unseen>) {
    let mut places = BTreeMap::<Place, (u64, BTreeSet<i64>)>::new();
    for object in objects {
        let form = object.sources.form;
        if matches!(form, Form::Unsupported | Form::Digest) {
            continue;
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
    let mut seen = Vec::new();
    let mut empty = Vec::new();
    for ((form, account, region), (objects, hours)) in places {
        if form == Form::CloudTrail && !account.is_empty() {
            empty.extend(holes(&hours).into_iter().map(|(from, to)| Unseen {
                from,
                to: Some(to),
                what: format!("account {account}, {region}"),
                why: "no log object in these hours, although the log is busy before and after".to_owned(),
            }));
        }
        seen.push(SeenHours {
            source: form.name().to_owned(),
            account,
            region,
            objects,
            hours: hours.len() as u64,
            periods: periods(&hours),
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
