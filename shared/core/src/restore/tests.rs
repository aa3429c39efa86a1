use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::job::{JobState, RestoreRecord};
use super::request::{RestoreRequest, requests, token};
use super::verify::{Found, verify};
use crate::approval::DecisionPackage;
use crate::artifact::{Digest, canonical_digest};
use crate::plan::Plan;
use crate::rebuild::{CheckStatus, IsolationCheck, RebuildDocument};
use crate::run::RunId;
use crate::validation::verdict::RestoreState;
use crate::validation::{ContentManifest, LayerVerdict, Verdict};

struct World {
    plan: Plan,
    package: DecisionPackage,
    rebuilt: RebuildDocument,
}

fn world() -> World {
    World {
        plan: Plan::parse(include_bytes!("../../../../tests/data/plan/orders.json")).unwrap(),
        package: serde_json::from_slice(include_bytes!("../../../../tests/data/plan/orders-package.json"))
            .unwrap(),
        rebuilt: RebuildDocument {
            schema: crate::rebuild::SCHEMA.to_owned(),
            stacks: Vec::new(),
            isolation: vec![check(CheckStatus::Pass)],
            items: Vec::new(),
        },
    }
}

fn check(status: CheckStatus) -> IsolationCheck {
    IsolationCheck {
        check: "network".to_owned(),
        status,
        evidence: "2 resources".to_owned(),
        objections: Vec::new(),
    }
}

fn planned(change: impl FnOnce(&mut World)) -> Result<Vec<RestoreRequest>, Vec<String>> {
    let mut world = world();
    let (run, artifact) = (world.package.run.clone(), world.package.plan.clone());
    change(&mut world);
    requests(&run, &artifact, &world.plan, &world.package, &world.rebuilt)
        .map_err(|refused| refused.0.into_iter().map(|problem| problem.at).collect())
}

#[test]
fn the_approved_restores_are_requested_in_plan_order() {
    let requests = planned(|_| {}).unwrap();
    let [data, table] = requests.as_slice() else {
        panic!("two restores");
    };
    assert_eq!(data.arn, "arn:aws:s3:::orders-data-restored");
    assert_eq!(data.metadata["DestinationBucketName"], "orders-data-restored");
    assert_eq!(data.metadata["NewBucket"], "true");
    assert_eq!(
        table.arn,
        "arn:aws:dynamodb:eu-central-1:333333333333:table/orders-restored"
    );
    assert_eq!(table.metadata["targetTableName"], "orders-restored");
    assert_ne!(data.token, table.token);
}

#[test]
fn anything_else_than_what_was_approved_is_refused() {
    type Change = fn(&mut World);
    let cases: [(Change, &str); 14] = [
        (
            |w| w.package.restores[0].recovery_point.push('x'),
            "restores.orders-data",
        ),
        (
            |w| w.package.restores[0].restore_to = "elsewhere".to_owned(),
            "restores.orders-data",
        ),
        (|w| w.package.restores.swap(0, 1), "restores.orders-data"),
        (|w| drop(w.package.restores.pop()), "restores.orders-table"),
        (
            |w| w.package.restores.push(w.package.restores[0].clone()),
            "restores.orders-data",
        ),
        (
            |w| drop(w.package.set.points.remove("orders-table")),
            "restores.orders-table",
        ),
        (
            |w| {
                w.package
                    .set
                    .points
                    .get_mut("orders-table")
                    .unwrap()
                    .arn
                    .push('x')
            },
            "restores.orders-table",
        ),
        (
            |w| w.package.set.points.get_mut("orders-data").unwrap().latest = w.package.boundary,
            "restores.orders-data",
        ),
        (|w| w.package.set.newest = w.package.boundary, "set.newest"),
        (
            |w| w.plan.resources[0].restore_to = "elsewhere".to_owned(),
            "restores.orders-data",
        ),
        (|w| w.package.plan.sha256 = Digest::of(b"another plan"), "plan"),
        (
            |w| w.package.run = RunId::try_from("orders-000000000000".to_owned()).unwrap(),
            "run",
        ),
        (
            |w| w.rebuilt.isolation.push(check(CheckStatus::Unknown)),
            "isolation.network",
        ),
        (|w| w.rebuilt.isolation.clear(), "isolation"),
    ];
    for (change, at) in cases {
        let problems = planned(change).unwrap_err();
        assert!(
            problems.iter().any(|problem| problem == at),
            "{at} is not in {problems:?}"
        );
    }
}

#[test]
fn a_restore_for_good_is_never_taken_for_a_trial() {
    let run = world().package.run;
    let trial = crate::validation::trial::token(&run, "set", "point", "trial", 1);
    assert_ne!(token(&run, "data", "point", 0), trial);
    assert_ne!(token(&run, "data", "point", 0), token(&run, "data", "point-2", 0));
    assert_ne!(token(&run, "data", "point", 0), token(&run, "data", "point", 1));
    let other = RunId::try_from("orders-000000000000".to_owned()).unwrap();
    assert_ne!(token(&run, "data", "point", 0), token(&other, "data", "point", 0));
}

#[test]
fn the_record_of_another_package_or_restore_is_another_intent() {
    let restores = planned(|_| {}).unwrap();
    let package = Digest::of(b"package");
    let mut record = RestoreRecord::intend(&package, &restores);
    record.jobs.get_mut("orders-data").unwrap().id = Some("job".to_owned());
    assert!(record.is_same_intent(&RestoreRecord::intend(&package, &restores)));
    assert!(!record.is_same_intent(&RestoreRecord::intend(&Digest::of(b"other"), &restores)));
    assert!(!record.is_same_intent(&RestoreRecord::intend(&package, &restores[..1])));
}

#[test]
fn a_job_counts_only_as_what_it_says_and_made() {
    let job = |state: RestoreState, created: Option<&str>| {
        JobState::of(
            &state,
            Some("2 objects were skipped"),
            created,
            "arn:aws:s3:::new",
        )
    };
    for state in [RestoreState::Running, RestoreState::Other("CREATED".to_owned())] {
        assert_eq!(job(state, None), JobState::Running);
    }
    assert!(matches!(
        job(RestoreState::Completed, Some("arn:aws:s3:::new")),
        JobState::Completed { remark: Some(_), .. }
    ));
    for (state, created) in [
        (RestoreState::Completed, Some("arn:aws:s3:::other")),
        (RestoreState::Failed, None),
        (RestoreState::Aborted, None),
        (RestoreState::Other(String::new()), None),
    ] {
        assert!(
            matches!(job(state.clone(), created), JobState::Failed { .. }),
            "{state:?}"
        );
    }
}

fn manifest(entries: &BTreeMap<String, u64>) -> ContentManifest {
    let entries: serde_json::Map<_, _> = entries
        .iter()
        .map(|(key, bytes)| {
            let digest = Digest::of(&bytes.to_be_bytes());
            (key.clone(), json!({ "sha256": digest, "bytes": bytes }))
        })
        .collect();
    serde_json::from_value(json!({ "resource": "orders-data", "entries": entries })).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn content_passes_only_if_it_is_the_validated_content(
        wanted in proptest::collection::btree_map("[a-c\u{202e}]{0,2}", 0_u64..3, 0..5),
        got in proptest::collection::btree_map("[a-c\u{202e}]{0,2}", 0_u64..3, 0..5),
    ) {
        let mut request = planned(|_| {}).unwrap().remove(0);
        request.manifest = canonical_digest(&manifest(&wanted)).unwrap();
        let found = |entries| Found { content: manifest(entries), invariants: LayerVerdict::new(Verdict::Clean, String::new()) };
        prop_assert!(verify(&request, &request.arn, &found(&wanted), None).is_ok());
        let answer = verify(&request, &request.arn, &found(&got), Some(&manifest(&wanted)));
        prop_assert_eq!(answer.is_ok(), wanted == got);
        if let Err(problems) = answer {
            let plain = problems[0].what.chars().all(|c| c != '\u{202e}');
            prop_assert!(plain);
        }
    }
}

#[test]
fn an_invariant_that_is_not_proven_stops_even_equal_content() {
    let mut request = planned(|_| {}).unwrap().remove(0);
    let content = manifest(&BTreeMap::from([("a".to_owned(), 1)]));
    request.manifest = canonical_digest(&content).unwrap();
    for verdict in [Verdict::Tainted, Verdict::Unknown] {
        let said = LayerVerdict::new(verdict, "2 of 3 items".to_owned());
        let found = Found {
            content: content.clone(),
            invariants: said,
        };
        assert!(verify(&request, &request.arn, &found, None).is_err());
    }
}
