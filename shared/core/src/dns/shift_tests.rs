use proptest::prelude::*;

use super::*;
use crate::dns::tests::{apply, listed, record, sorted, traffic, zone};
use crate::dns::{CHECK_OF_THE_RUN, CheckPlan, FailOpen, TrafficFacts, fail_open, plan};

fn moved(live: &[RecordSet]) -> TrafficChange {
    plan(&TrafficFacts {
        zone: "Z1",
        names: &[traffic("shop.example.com.", "A")],
        live: &listed(live),
        max_changed_percent: 50,
        max_deleted_percent: 30,
    })
    .unwrap()
}

fn course(shares: &[u8]) -> Course {
    let change = moved(&zone());
    Course::new(&change, &stages(&change, shares).unwrap())
}

fn sound() -> CheckPlan {
    CheckPlan {
        https: false,
        search: Some("nonce".to_owned()),
        disabled: false,
        alarm_without_data_counts: false,
        waits_for_reports: true,
        own_tls_probe: false,
    }
}

#[test]
fn shares_are_served_one_after_the_other_and_the_last_step_is_the_failover_pair() {
    let steps = course(&[1, 25, 100]).with_check("abc").steps();
    let diffs: Vec<String> = steps
        .iter()
        .map(|step| format!("{}:\n{}", step.id, step.change.diff().join("\n")))
        .collect();
    insta::assert_snapshot!(diffs.join("\n"), @r"
    shift-traffic-1:
    - shop.example.com. A 300s 192.0.2.2 192.0.2.1
    + shop.example.com. A 60s weight 99 203.0.113.9
    + shop.example.com. A 60s weight 1 198.51.100.7 (checked)
    shift-traffic-25:
    - shop.example.com. A 60s weight 99 203.0.113.9
    - shop.example.com. A 60s weight 1 198.51.100.7 (checked)
    + shop.example.com. A 60s weight 75 203.0.113.9
    + shop.example.com. A 60s weight 25 198.51.100.7 (checked)
    shift-traffic:
    - shop.example.com. A 60s weight 75 203.0.113.9
    - shop.example.com. A 60s weight 25 198.51.100.7 (checked)
    + shop.example.com. A 60s SECONDARY 203.0.113.9
    + shop.example.com. A 60s PRIMARY 198.51.100.7 (checked)
    ");
}

#[test]
fn no_step_of_the_way_fails_open() {
    for step in course(&[1, 5, 25, 100]).steps() {
        assert_eq!(fail_open(&step.change, &sound()), [], "{}", step.id);
    }
}

#[test]
fn weights_that_fail_open_are_found() {
    let bent = |bend: fn(&mut RecordSet)| {
        let mut change = course(&[5, 100]).between(0, 1);
        change.after.iter_mut().for_each(bend);
        fail_open(&change, &sound())
    };
    let none = bent(|set| set.weight = Some(0));
    assert!(
        none.contains(&FailOpen::AllWeightsZero("shop.example.com.".to_owned())),
        "{none:?}"
    );
    let page = bent(|set| {
        if set.health_check.is_none() {
            set.weight = Some(0);
        }
    });
    assert!(
        page.iter().any(|found| matches!(found, FailOpen::WeightZero(_)))
            && page
                .iter()
                .any(|found| matches!(found, FailOpen::NoLastResort(_))),
        "{page:?}"
    );
    let unchecked = bent(|set| set.health_check = None);
    assert!(
        matches!(unchecked.as_slice(), [FailOpen::NoCheck(set)] if set.contains("198.51.100.7")),
        "{unchecked:?}"
    );
}

#[test]
fn records_of_somebody_else_are_told_from_every_image_and_compared_with_the_nearest() {
    let course = course(&[5, 100]).with_check("abc");
    let mut live = course.between(0, 1).after;
    live.push(record("shop.example.com.", "AAAA", &["2001:db8::66"]));
    let differences = course.place(&live).unwrap_err();
    assert_eq!(differences, ["+ shop.example.com. AAAA 300s 2001:db8::66"]);
}

#[test]
fn a_share_whose_batch_is_too_large_is_refused_before_anything_is_done() {
    let mut change = moved(&zone());
    for set in &mut change.after {
        set.values = (0..300)
            .map(|i| format!("10.0.{}.{}", i / 200, i % 200))
            .collect();
    }
    assert!(stages(&change, &[100]).is_ok());
    assert!(stages(&change, &[5, 100]).is_err());
}

/// Rising shares with 100 at the end.
fn shares() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::btree_set(1_u8..100, 0..6).prop_map(|shares| shares.into_iter().chain([100]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_step_works_from_its_place_alone_and_every_way_back_leads_to_the_beginning(
        shares in shares(), back in any::<prop::sample::Index>(),
    ) {
        let course = course(&shares).with_check("abc");
        prop_assert_eq!(course.length(), shares.len());
        let mut live = zone();
        for (at, step) in course.steps().iter().enumerate() {
            prop_assert_eq!(course.place(&live), Ok(at));
            prop_assert_eq!(step.share, shares[at]);
            // Whoever is further, or not so far, gets nothing from this batch.
            for other in (0..=course.length()).filter(|other| *other != at) {
                let mut elsewhere = zone();
                prop_assert!(apply(&mut elsewhere, &course.between(0, other)));
                prop_assert!(!apply(&mut elsewhere, &step.change), "step {} at image {}", step.id, other);
            }
            prop_assert!(apply(&mut live, &step.change));
            let names_new = |set: &&RecordSet| set.name == "shop.example.com." && set.health_check.is_some();
            prop_assert!(live.iter().filter(names_new).all(|set| set.health_check.as_deref() == Some("abc")));
            prop_assert!(live.iter().all(|set| !set.values.contains(&"192.0.2.1".to_owned())), "the old account serves");
        }
        prop_assert_eq!(course.place(&live), Ok(course.length()));
        // Back over an image of any choice.
        let via = back.index(course.length());
        prop_assert!(apply(&mut live, &course.between(course.length(), via)));
        prop_assert_eq!(course.place(&live), Ok(via));
        if via > 0 {
            prop_assert!(apply(&mut live, &course.between(via, 0)));
        }
        prop_assert_eq!(sorted(&live), sorted(&zone()));
    }

    #[test]
    fn weights_of_a_pair_add_up_and_the_check_is_that_of_the_run(shares in shares()) {
        let change = moved(&zone());
        for stage in stages(&change, &shares).unwrap() {
            let weights: u32 = stage.records.iter().filter_map(|set| set.weight).map(u32::from).sum();
            prop_assert_eq!(weights, 100);
            let checked: Vec<&RecordSet> = stage.records.iter().filter(|set| set.health_check.is_some()).collect();
            prop_assert_eq!(checked.len(), 1);
            prop_assert_eq!(checked[0].weight, Some(stage.share));
            prop_assert_eq!(checked[0].health_check.as_deref(), Some(CHECK_OF_THE_RUN));
        }
    }
}
