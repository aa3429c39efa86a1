use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

pub(super) fn record(name: &str, record_type: &str, values: &[&str]) -> RecordSet {
    RecordSet {
        name: name.to_owned(),
        record_type: record_type.to_owned(),
        set_identifier: None,
        failover: None,
        weight: None,
        ttl: Some(300),
        values: values.iter().map(|v| (*v).to_owned()).collect(),
        alias: None,
        health_check: None,
    }
}

pub(super) fn traffic(name: &str, record_type: &str) -> TrafficName {
    TrafficName {
        name: name.to_owned(),
        record_type: record_type.to_owned(),
        new: vec!["198.51.100.7".to_owned()],
        holding: vec!["203.0.113.9".to_owned()],
        ttl: 60,
    }
}

pub(super) fn zone() -> Vec<RecordSet> {
    vec![
        record("example.com.", "NS", &["ns1.example.net."]),
        record("example.com.", "SOA", &["ns1.example.net. x 1 2 3 4 5"]),
        record("shop.example.com.", "A", &["192.0.2.2", "192.0.2.1"]),
        record("mail.example.com.", "A", &["192.0.2.3"]),
    ]
}

pub(super) fn listed(live: &[RecordSet]) -> ZoneRecords {
    ZoneRecords {
        records: live.to_vec(),
        other_routing: BTreeSet::new(),
    }
}

fn plan_for(names: &[TrafficName], live: &[RecordSet]) -> Result<TrafficChange, TrafficRefused> {
    plan(&TrafficFacts {
        zone: "Z1",
        names,
        live: &listed(live),
        max_changed_percent: 50,
        max_deleted_percent: 30,
    })
}

/// Route 53 in miniature: a batch is applied whole or not at all.
pub(super) fn apply(live: &mut Vec<RecordSet>, change: &TrafficChange) -> bool {
    let mut next = live.clone();
    for line in change.batch() {
        match line {
            RecordChange::Delete(set) => {
                let Some(at) = next.iter().position(|s| s.normal() == set.normal()) else {
                    return false;
                };
                next.remove(at);
            }
            RecordChange::Create(set) => {
                let taken = next.iter().any(|s| {
                    s.name == set.name
                        && s.record_type == set.record_type
                        && s.set_identifier == set.set_identifier
                });
                if taken {
                    return false;
                }
                next.push(set.clone());
            }
        }
    }
    *live = next;
    true
}

pub(super) fn sorted(live: &[RecordSet]) -> BTreeSet<RecordSet> {
    live.iter().map(RecordSet::normal).collect()
}

#[test]
fn a_name_becomes_a_failover_pair_and_nothing_else_is_touched() {
    let change = plan_for(&[traffic("Shop.example.com", "a")], &zone()).unwrap();
    insta::assert_snapshot!(change.diff().join("\n"), @r"
    - shop.example.com. A 300s 192.0.2.2 192.0.2.1
    + shop.example.com. A 60s SECONDARY 203.0.113.9
    + shop.example.com. A 60s PRIMARY 198.51.100.7 (checked)
    ");
    let bound = change.with_check("abc");
    assert!(
        bound
            .after
            .iter()
            .any(|set| set.health_check.as_deref() == Some("abc"))
    );
}

#[test]
fn surprises_are_refused_with_every_reason() {
    let mut live = zone();
    live.push(record("shop.example.com.", "AAAA", &["2001:db8::1"]));
    let mut name = traffic("shop.example.com.", "A");
    name.holding = vec!["192.0.2.1".to_owned()];
    let reasons = plan_for(&[name, traffic("example.com.", "NS")], &live)
        .unwrap_err()
        .0
        .join("\n");
    for part in ["would keep pointing", "today's target", "only A, AAAA and CNAME"] {
        assert!(reasons.contains(part), "{part} not in {reasons}");
    }
}

#[test]
fn routing_that_could_not_be_given_back_is_refused() {
    let names = [traffic("shop.example.com.", "A")];
    let mut live = listed(&zone());
    live.other_routing.insert("shop.example.com.".to_owned());
    let facts = TrafficFacts {
        zone: "Z1",
        names: &names,
        live: &live,
        max_changed_percent: 50,
        max_deleted_percent: 30,
    };
    assert!(plan(&facts).unwrap_err().to_string().contains("by hand first"));
}

#[test]
fn traffic_moves_only_on_reports_of_enough_checkers_and_an_own_look() {
    let report = |healthy| CheckerReport {
        region: "r".to_owned(),
        healthy,
    };
    let all = [report(true), report(true), report(true)];
    assert_eq!(health(&all, true), Health::Serves);
    for (reports, own) in [
        (&[][..], true),
        (&all[..2], true),
        (&all[..], false),
        (
            &[report(true), report(false), report(false), report(true)][..],
            true,
        ),
    ] {
        assert!(
            matches!(health(reports, own), Health::NotYet { .. }),
            "{reports:?} {own}"
        );
    }
}

#[test]
fn more_than_the_allowed_share_is_refused() {
    let names = [
        traffic("shop.example.com.", "A"),
        traffic("mail.example.com.", "A"),
    ];
    assert!(plan_for(&names, &zone()).is_ok(), "half is not more than half");
    let refused = plan_for(&names, &zone().split_off(2)).unwrap_err().to_string();
    assert!(refused.contains("2 of 2 records would change"), "{refused}");
}

#[test]
fn more_than_the_allowed_share_of_deletions_is_refused() {
    let mut live = zone();
    live.push(record("shop.example.com.", "AAAA", &["2001:db8::1"]));
    // A CNAME stands alone: the addresses beside it go.
    let mut name = traffic("shop.example.com.", "CNAME");
    name.new = vec!["new.example.net.".to_owned()];
    name.holding = vec!["holding.example.net.".to_owned()];
    let refused = plan_for(&[name.clone()], &live).unwrap_err().to_string();
    assert!(refused.contains("2 of 5 records would be deleted"), "{refused}");
    live.extend((0..5).map(|i| record(&format!("h{i}.example.com."), "A", &["192.0.2.9"])));
    assert!(plan_for(&[name], &live).is_ok());
}

#[test]
fn a_second_run_finds_the_pair_of_the_first_and_replaces_it() {
    let names = [traffic("shop.example.com.", "A")];
    let mut live = zone();
    let first = plan_for(&names, &live).unwrap().with_check("one");
    assert!(apply(&mut live, &first));
    let second = plan_for(&names, &live).unwrap().with_check("two");
    assert_eq!(second.classify(&live), Image::Before);
    assert!(apply(&mut live, &second));
    assert_eq!(second.classify(&live), Image::After);
}

#[test]
fn somebody_elses_change_is_a_third_state_and_stops_the_batch() {
    let mut live = zone();
    let change = plan_for(&[traffic("shop.example.com.", "A")], &live).unwrap();
    live[2].values = vec!["192.0.2.66".to_owned()];
    assert!(matches!(change.classify(&live), Image::Third { .. }));
    let untouched = live.clone();
    assert!(!apply(&mut live, &change));
    assert_eq!(live, untouched);
}

fn good_check() -> CheckPlan {
    CheckPlan {
        https: false,
        search: Some("nonce".to_owned()),
        disabled: false,
        alarm_without_data_counts: false,
        waits_for_reports: true,
        own_tls_probe: false,
    }
}

/// What is found when the check is not as it should be.
fn found_with(bend: impl FnOnce(&mut CheckPlan)) -> Vec<FailOpen> {
    let change = plan_for(&[traffic("shop.example.com.", "A")], &zone()).unwrap();
    let mut check = good_check();
    bend(&mut check);
    fail_open(&change, &check)
}

/// What is found when the records are not as they should be.
fn found_among(bend: impl Fn(&mut RecordSet)) -> Vec<FailOpen> {
    let mut change = plan_for(&[traffic("shop.example.com.", "A")], &zone()).unwrap();
    change.after.iter_mut().for_each(bend);
    fail_open(&change, &good_check())
}

#[test]
fn the_planned_pair_never_fails_open() {
    assert_eq!(found_with(|_| {}), []);
}

#[test]
fn a_new_check_counts_as_healthy() {
    assert_eq!(
        found_with(|check| check.waits_for_reports = false),
        [FailOpen::NewCheck]
    );
}

#[test]
fn a_disabled_check_counts_as_healthy() {
    assert_eq!(
        found_with(|check| check.disabled = true),
        [FailOpen::DisabledCheck]
    );
}

#[test]
fn a_check_of_an_alarm_without_data_counts_as_healthy() {
    let found = found_with(|check| check.alarm_without_data_counts = true);
    assert_eq!(found, [FailOpen::AlarmWithoutData]);
}

#[test]
fn a_record_without_a_check_counts_as_healthy() {
    let found = found_among(|set| set.health_check = None);
    assert!(
        matches!(found.as_slice(), [FailOpen::NoCheck(set)] if set.contains("PRIMARY")),
        "{found:?}"
    );
    // An alias is as healthy as its target, where that is asked.
    let found = found_among(|set| {
        set.health_check = None;
        set.alias = (set.failover.as_deref() == Some("PRIMARY")).then(|| Alias {
            zone: "Z2".to_owned(),
            name: "lb.example.net.".to_owned(),
            evaluate_target_health: true,
        });
    });
    assert_eq!(found, []);
}

#[test]
fn where_everything_is_unhealthy_everything_is_served() {
    let found = found_among(|set| set.health_check = Some("check".to_owned()));
    assert!(
        found.len() == 2 && found.iter().all(|way| matches!(way, FailOpen::NoLastResort(_))),
        "{found:?}"
    );
}

#[test]
fn a_record_of_weight_zero_comes_back() {
    let found = found_among(|set| {
        if set.failover.as_deref() == Some("PRIMARY") {
            set.weight = Some(0);
        }
    });
    assert!(matches!(found.as_slice(), [FailOpen::WeightZero(_)]), "{found:?}");
}

#[test]
fn an_https_check_accepts_any_certificate_unless_something_else_looks_at_it() {
    assert_eq!(found_with(|check| check.https = true), [FailOpen::AnyCertificate]);
    let probed = found_with(|check| {
        check.https = true;
        check.own_tls_probe = true;
    });
    assert_eq!(probed, []);
}

#[test]
fn a_check_that_looks_for_nothing_accepts_any_answer() {
    for search in [None, Some(String::new())] {
        assert_eq!(found_with(|check| check.search = search), [FailOpen::AnyAnswer]);
    }
}

#[test]
fn the_gate_is_seen_closed_before_it_is_trusted() {
    let report = |healthy| CheckerReport {
        region: "r".to_owned(),
        healthy,
    };
    let of = |healthy: usize, all: usize| {
        let reports: Vec<CheckerReport> = (0..all).map(|i| report(i < healthy)).collect();
        seen_unhealthy(&reports)
    };
    assert_eq!(of(0, 8), Ok(()));
    assert_eq!(of(1, 8), Ok(()), "12 % of the checkers");
    for (healthy, all) in [(0, 0), (0, 2), (2, 8), (8, 8)] {
        assert!(of(healthy, all).is_err(), "{healthy} of {all}");
    }
}

fn live_zone() -> impl Strategy<Value = Vec<RecordSet>> {
    let one = (
        0u8..5,
        prop::sample::select(vec!["A", "AAAA"]),
        1u8..200,
        1usize..4,
        any::<bool>(),
    );
    prop::collection::btree_map(0u8..12, one, 1..10).prop_map(|sets| {
        let mut live = zone();
        for (i, (name, record_type, value, count, weighted)) in sets {
            let values: Vec<String> = (0..count).map(|k| format!("10.0.{k}.{value}")).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let mut set = record(&format!("n{name}.example.com."), record_type, &values);
            if weighted {
                set.weight = Some(value);
                set.set_identifier = Some(format!("w{i}"));
            }
            let taken = live.iter().any(|s| {
                s.name == set.name
                    && s.record_type == set.record_type
                    && s.set_identifier == set.set_identifier
            });
            if !taken {
                live.push(set);
            }
        }
        live
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_applied_and_then_undone_was_never_there(live in live_zone(), chosen in 0u8..5) {
        let name = format!("n{chosen}.example.com.");
        let mut second = traffic(&name, "AAAA");
        second.new = vec!["2001:db8::7".to_owned()];
        second.holding = vec!["2001:db8::9".to_owned()];
        let names = [traffic(&name, "A"), second];
        let change = plan(&TrafficFacts { zone: "Z1", names: &names, live: &listed(&live), max_changed_percent: 100, max_deleted_percent: 100 })
            .unwrap()
            .with_check("id");
        let mut now = live.clone();
        prop_assert_eq!(change.classify(&now), Image::Before);
        prop_assert!(apply(&mut now, &change));
        prop_assert_eq!(change.classify(&now), Image::After);
        let untouched = |zone: &[RecordSet]| -> BTreeSet<RecordSet> {
            sorted(zone).into_iter().filter(|set| set.name != name).collect()
        };
        prop_assert_eq!(untouched(&now), untouched(&live));
        prop_assert!(!apply(&mut now, &change), "a batch works once");
        prop_assert!(apply(&mut now, &change.inverse()));
        prop_assert_eq!(change.classify(&now), Image::Before);
        prop_assert_eq!(sorted(&now), sorted(&live));
    }
}
