use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn record(name: &str, record_type: &str, values: &[&str]) -> RecordSet {
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

fn traffic(name: &str, record_type: &str) -> TrafficName {
    TrafficName {
        name: name.to_owned(),
        record_type: record_type.to_owned(),
        new: vec!["198.51.100.7".to_owned()],
        holding: vec!["203.0.113.9".to_owned()],
        ttl: 60,
    }
}

fn zone() -> Vec<RecordSet> {
    vec![
        record("example.com.", "NS", &["ns1.example.net."]),
        record("example.com.", "SOA", &["ns1.example.net. x 1 2 3 4 5"]),
        record("shop.example.com.", "A", &["192.0.2.2", "192.0.2.1"]),
        record("mail.example.com.", "A", &["192.0.2.3"]),
    ]
}

fn listed(live: &[RecordSet]) -> ZoneRecords {
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
    })
}

/// Route 53 in miniature: a batch is applied whole or not at all.
fn apply(live: &mut Vec<RecordSet>, change: &TrafficChange) -> bool {
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

fn sorted(live: &[RecordSet]) -> BTreeSet<RecordSet> {
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

#[test]
fn every_way_to_fail_open_is_found_and_the_planned_pair_has_none() {
    let change = plan_for(&[traffic("shop.example.com.", "A")], &zone()).unwrap();
    let good = CheckPlan {
        https: false,
        search: Some("nonce".to_owned()),
        disabled: false,
        waits_for_reports: true,
        own_tls_probe: false,
    };
    assert_eq!(fail_open(&change, &good), []);

    let check = |change: fn(&mut CheckPlan)| {
        let mut check = good.clone();
        change(&mut check);
        check
    };
    let bad = [
        (check(|c| c.waits_for_reports = false), FailOpen::NewCheck),
        (check(|c| c.disabled = true), FailOpen::DisabledCheck),
        (check(|c| c.https = true), FailOpen::AnyCertificate),
        (check(|c| c.search = None), FailOpen::AnyAnswer),
    ];
    for (check, expected) in bad {
        assert_eq!(fail_open(&change, &check), [expected]);
    }

    let mut broken = change.with_check("x");
    for set in &mut broken.after {
        set.health_check = None;
        set.failover = None;
        set.weight = Some(0);
    }
    let found = fail_open(&broken, &good);
    for (what, present) in [
        (
            "weight",
            found.iter().any(|f| matches!(f, FailOpen::WeightZero(_))),
        ),
        ("check", found.iter().any(|f| matches!(f, FailOpen::NoCheck(_)))),
        (
            "resort",
            found.iter().any(|f| matches!(f, FailOpen::NoLastResort(_))),
        ),
    ] {
        assert!(present, "{what}: {found:?}");
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
        let change = plan(&TrafficFacts { zone: "Z1", names: &names, live: &listed(&live), max_changed_percent: 100 })
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
