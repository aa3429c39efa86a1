use proptest::prelude::*;

use super::*;
use crate::validation::testing::{at, plan};

fn point(resource: &str, name: &str, minutes: i64) -> RecoveryPoint {
    RecoveryPoint {
        arn: format!("arn:aws:backup:us-east-1:111111111111:recovery-point:{resource}-{name}"),
        resource_arn: Some(arn_of(resource).to_owned()),
        resource_type: Some(if resource == "data" { "S3" } else { "DynamoDB" }.to_owned()),
        status: PointStatus::Completed,
        initiated: Some(at(minutes - 20)),
        created: Some(at(minutes - 10)),
        completed: Some(at(minutes)),
        delete_at: None,
        bytes: Some(10),
        is_parent: false,
    }
}

fn arn_of(resource: &str) -> &'static str {
    if resource == "data" {
        "arn:aws:s3:::orders-data"
    } else {
        "arn:aws:dynamodb:us-east-1:444444444444:table/orders"
    }
}

#[test]
fn sets_are_cuts_in_time_newest_first() {
    let points = [
        point("data", "a", 0),
        point("table", "a", 30),
        point("data", "b", 1000),
        point("table", "b", 1010),
    ];
    let document = group(&plan(), &points, at(2000));
    let newest: Vec<Timestamp> = document.sets.iter().map(|set| set.newest).collect();
    assert_eq!(newest, [at(1010), at(30)]);
    assert_eq!(document.sets[0].oldest, at(1000));
    assert_eq!(document.sets[0].points["data"].arn, points[2].arn);
    assert!(document.dropped.is_empty(), "{:?}", document.dropped);
}

#[test]
fn a_point_without_a_companion_within_the_skew_is_named() {
    let points = [point("data", "a", 0), point("table", "a", 91)];
    let document = group(&plan(), &points, at(2000));
    assert!(document.sets.is_empty());
    assert_eq!(document.dropped.len(), 2);
    assert!(document.dropped[0].reason.contains("within 90 minutes"));
}

#[test]
fn the_latest_of_the_timestamps_counts() {
    let mut late = point("data", "a", 0);
    late.created = Some(at(50));
    let document = group(&plan(), &[late, point("table", "a", 0)], at(2000));
    assert_eq!(document.sets[0].newest, at(50));
}

#[test]
fn what_cannot_be_restored_is_dropped_with_its_reason() {
    let spoil = |name: &str, change: fn(&mut RecoveryPoint)| {
        let mut point = point("data", name, 0);
        change(&mut point);
        point
    };
    let points = [
        spoil("partial", |p| p.status = PointStatus::Partial),
        spoil("creating", |p| p.status = PointStatus::Creating),
        spoil("expired", |p| p.status = PointStatus::Expired),
        spoil("deleting", |p| p.status = PointStatus::Deleting),
        spoil("stopped", |p| p.status = PointStatus::Stopped),
        spoil("strange", |p| p.status = PointStatus::Other("ODD".to_owned())),
        spoil("type", |p| p.resource_type = Some("EBS".to_owned())),
        spoil("parent", |p| p.is_parent = true),
        spoil("lifecycle", |p| p.delete_at = Some(at(100))),
        spoil("timeless", |p| p.completed = None),
        spoil("continuous", |p| {
            p.arn = "arn:aws:backup:us-east-1:111111111111:recovery-point:continuous:x-1".to_owned();
        }),
    ];
    let document = group(&plan(), &points, at(10));
    assert!(document.sets.is_empty());
    assert_eq!(document.dropped.len(), points.len(), "{:#?}", document.dropped);
    let not_ours = RecoveryPoint {
        resource_arn: Some("arn:aws:s3:::another-workload".to_owned()),
        ..point("data", "other", 0)
    };
    assert_eq!(group(&plan(), &[not_ours], at(10)).dropped, []);
}

/// Why the only point of the bucket is dropped; nothing if it is taken.
fn dropped(change: impl Fn(&mut RecoveryPoint), now: Timestamp) -> Option<String> {
    let mut data = point("data", "a", 0);
    change(&mut data);
    let arn = data.arn.clone();
    let document = group(&plan(), &[data, point("table", "a", 0)], now);
    let found = document.dropped.into_iter().find(|dropped| dropped.arn == arn);
    assert_eq!(document.sets.is_empty(), found.is_some());
    found.map(|dropped| dropped.reason)
}

#[test]
fn a_partial_point_is_dropped_whether_it_has_children_or_not() {
    for is_parent in [false, true] {
        let reason = dropped(
            |point| {
                point.status = PointStatus::Partial;
                point.is_parent = is_parent;
            },
            at(10),
        );
        assert!(reason.unwrap().starts_with("it is partial"));
    }
    let parent = dropped(|point| point.is_parent = true, at(10)).unwrap();
    assert!(parent.contains("only its children can be restored"), "{parent}");
}

#[test]
fn a_point_must_outlive_the_run_by_its_lifecycle() {
    let now = at(10);
    let end = needed_until(&plan(), now);
    let waits = i64::from(plan().approval.decide_within_minutes + plan().approval.execute_within_minutes);
    assert_eq!(end, at(10 + waits + 24 * 60));
    let deleted = |at| dropped(move |point: &mut RecoveryPoint| point.delete_at = Some(at), now);
    for too_early in [at(0), at(11), end] {
        let reason = deleted(too_early).unwrap();
        assert!(reason.contains(&end.to_string()), "{reason}");
    }
    assert_eq!(deleted(end + SignedDuration::from_secs(1)), None);
    assert_eq!(deleted(Timestamp::MAX), None);
}

/// The form that AWS Backup gives to the ARN of a continuous backup.
const CONTINUOUS_ARN: &str =
    "arn:aws:backup:us-east-1:111111111111:recovery-point:continuous:orders-data-0badc0de";

#[test]
fn a_continuous_point_is_no_instant() {
    let arn = |point: &mut RecoveryPoint| point.arn = CONTINUOUS_ARN.to_owned();
    let at_work = |point: &mut RecoveryPoint| {
        arn(point);
        point.status = PointStatus::Available;
    };
    let stopped = |point: &mut RecoveryPoint| point.status = PointStatus::Stopped;
    for change in [&arn as &dyn Fn(&mut RecoveryPoint), &at_work, &stopped] {
        let reason = dropped(change, at(10)).unwrap();
        assert!(reason.starts_with("it is a continuous backup"), "{reason}");
    }
    let periodic = |point: &mut RecoveryPoint| point.arn = CONTINUOUS_ARN.replace("continuous:", "");
    assert_eq!(dropped(periodic, at(10)), None);
}

#[test]
fn a_point_listed_twice_is_one_point() {
    let points = [
        point("data", "a", 0),
        point("data", "a", 0),
        point("table", "a", 0),
    ];
    let document = group(&plan(), &points, at(10));
    assert_eq!(document.sets.len(), 1);
    assert!(document.dropped.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_set_is_complete_consistent_and_maximal(
        data in prop::collection::vec(0_i64..2000, 0..12),
        table in prop::collection::vec(0_i64..2000, 0..12),
        rotation in 0_usize..24,
    ) {
        let mut points: Vec<RecoveryPoint> = data
            .iter()
            .enumerate()
            .map(|(i, minutes)| point("data", &i.to_string(), *minutes))
            .chain(table.iter().enumerate().map(|(i, minutes)| point("table", &i.to_string(), *minutes)))
            .collect();
        let document = group(&plan(), &points, at(3000));
        for set in &document.sets {
            prop_assert_eq!(set.points.len(), 2);
            let latest: Vec<Timestamp> = set.points.values().map(|point| point.latest).collect();
            prop_assert_eq!(set.newest, *latest.iter().max().unwrap());
            prop_assert_eq!(set.oldest, *latest.iter().min().unwrap());
            prop_assert!(set.newest.duration_since(set.oldest) <= SignedDuration::from_mins(90));
            // No point of the resource lies between the chosen one and the cut.
            for (resource, times) in [("data", &data), ("table", &table)] {
                let chosen = set.points[resource].latest;
                prop_assert!(times.iter().all(|m| at(*m) <= chosen || at(*m) > set.newest));
            }
        }
        prop_assert!(document.sets.is_sorted_by(|a, b| a.newest > b.newest));
        // Every point is in a set or named as dropped.
        let mentioned: BTreeSet<&str> = document
            .sets
            .iter()
            .flat_map(|set| set.points.values().map(|point| point.arn.as_str()))
            .chain(document.dropped.iter().map(|dropped| dropped.arn.as_str()))
            .collect();
        prop_assert_eq!(mentioned.len(), points.len());
        // The order of listing changes nothing.
        if !points.is_empty() {
            let middle = rotation % points.len();
            points.rotate_left(middle);
        }
        prop_assert_eq!(group(&plan(), &points, at(3000)), document);
    }
}
