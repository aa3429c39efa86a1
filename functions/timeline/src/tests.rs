mod again;
mod command;
mod fake;

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use blackstart_core::plan::Plan;
use blackstart_core::run::Trigger;
use blackstart_core::task::timeline::Batch;
use blackstart_core::timeline::facts::Who;
use blackstart_core::timeline::{BoundaryDocument, CurrentBoundary};

use super::*;

use self::fake::{Fake, World, ask, collect_and_scan, document, fake, logs, merge, plan, reference};

const TRUTH: &str = "2023-07-10T11:54:33Z";

#[tokio::test]
async fn real_logs_give_the_true_boundary_and_a_timeline() {
    let fake = fake(logs());
    let batches = collect_and_scan(&fake, None).await;
    let Merged::Boundary { boundary, .. } = merge(&fake, batches).await else {
        panic!("no boundary");
    };
    assert_eq!(boundary, TRUTH.parse().unwrap());
    let world = fake.0.borrow();
    assert_eq!(world.boundary.as_ref().unwrap().document.boundary, boundary);
    let timeline = String::from_utf8(world.artifacts["timeline/timeline.jsonl"].clone()).unwrap();
    let first: serde_json::Value = serde_json::from_str(timeline.lines().next().unwrap()).unwrap();
    assert_eq!(first["datetime"], TRUTH);
    assert!(timeline.lines().count() > 2000);
    assert!(!timeline.contains("user/benjamin\",\"credential"));
}

#[tokio::test]
async fn what_cannot_be_read_is_a_gap_and_never_silence() {
    let mut world = logs();
    let refused = PortError::Refused {
        what: "reading".to_owned(),
        why: "AccessDenied".to_owned(),
    };
    for (name, content) in [
        ("AWSLogs/a.json", Err(refused)),
        ("AWSLogs/b.json.gz", Ok(vec![0x1f, 0x8b, 8, 0])),
        ("AWSLogs/c.json", Ok(b"not json".to_vec())),
        ("AWSLogs/d.zip", Ok(Vec::new())),
    ] {
        world
            .buckets
            .insert(("logs".to_owned(), name.to_owned()), content);
    }
    let fake = fake(world);
    let batches = collect_and_scan(&fake, None).await;
    let Merged::Boundary { covered, .. } = merge(&fake, batches).await else {
        panic!("no boundary");
    };
    assert!(!covered);
    let gaps: Vec<_> = document(&fake)
        .coverage
        .gaps
        .into_iter()
        .map(|g| g.what)
        .collect();
    for name in ["a.json", "b.json.gz", "c.json", "d.zip"] {
        assert!(
            gaps.contains(&format!("s3://logs/AWSLogs/{name}")),
            "{name}: {gaps:?}"
        );
    }
}

#[tokio::test]
async fn a_batch_without_result_is_a_gap() {
    let fake = fake(logs());
    let batches = collect_and_scan(&fake, Some(0)).await;
    assert!(matches!(merge(&fake, batches).await, Merged::NoIndicator { .. }));
    assert!(document(&fake).coverage.gaps.iter().any(|g| g.what == "batch 0"));
}

#[tokio::test]
async fn a_throttled_read_is_retried_by_the_state_machine_not_counted_as_a_gap() {
    let mut world = logs();
    let throttled = PortError::Transient {
        what: "reading".to_owned(),
        why: "SlowDown".to_owned(),
    };
    world
        .buckets
        .insert(("logs".to_owned(), "AWSLogs/a.json".to_owned()), Err(throttled));
    let fake = fake(world);
    let plan = reference("plan", b"");
    ask(&fake, Operation::Collect { plan: plan.clone() })
        .await
        .unwrap();
    let manifest = fake.0.borrow().artifacts["timeline/manifest.json"].clone();
    let batch = serde_json::from_slice::<Vec<Batch>>(&manifest).unwrap().remove(0);
    let error = ask(&fake, Operation::Scan { plan, batch }).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::Transient);
}

#[tokio::test]
async fn the_boundary_in_the_ledger_never_moves_later() {
    let earlier = CurrentBoundary {
        boundary: "2023-07-01T00:00:00Z".parse().unwrap(),
        document: reference("earlier", b"x"),
    };
    let later = CurrentBoundary {
        boundary: "2023-08-01T00:00:00Z".parse().unwrap(),
        document: reference("later", b"y"),
    };
    for (rival, expected) in [(&earlier, "2023-07-01T00:00:00Z"), (&later, TRUTH)] {
        let fake = fake(logs());
        fake.0.borrow_mut().rival = Some(rival.clone());
        let batches = collect_and_scan(&fake, None).await;
        let Merged::Boundary {
            boundary, document, ..
        } = merge(&fake, batches).await
        else {
            panic!("no boundary");
        };
        assert_eq!(boundary, expected.parse().unwrap());
        let world = fake.0.borrow();
        let held = &world.boundary.as_ref().unwrap().document;
        assert_eq!((held.boundary, &held.document), (boundary, &document));
    }
}

#[tokio::test]
async fn a_finding_that_came_late_moves_the_boundary_earlier() {
    let fake = fake(logs());
    let finding = |kind: &str, at: &str| Trigger::Finding {
        id: at.to_owned(),
        account: "111111111111".to_owned().try_into().unwrap(),
        finding_type: kind.to_owned(),
        severity: 8.0,
        first_seen: Some(at.parse().unwrap()),
        actors: Vec::new(),
    };
    fake.0.borrow_mut().triggers = vec![
        finding("Discovery:S3/AnomalousBehavior", "2023-07-08T00:00:00Z"),
        finding("Impact:S3/AnomalousBehavior.Delete", "2023-07-09T00:00:00Z"),
    ];
    let batches = collect_and_scan(&fake, None).await;
    let Merged::Boundary { boundary, .. } = merge(&fake, batches).await else {
        panic!("no boundary");
    };
    assert_eq!(boundary, "2023-07-09T00:00:00Z".parse().unwrap());
}

async fn revise(fake: &Fake) -> Merged {
    let plan = reference("plan", b"");
    let answer = ask(fake, Operation::Revise { plan }).await.unwrap();
    let Output::Merged(merged) = answer else {
        panic!("{answer:?}")
    };
    merged
}

fn set_by_hand(at: &str) -> Trigger {
    Trigger::Manual {
        requested_by: "ada".to_owned(),
        boundary: Some(at.parse().unwrap()),
    }
}

#[tokio::test]
async fn the_actor_of_a_late_finding_is_looked_for_in_what_was_scanned() {
    let fake = fake(logs());
    let batches = collect_and_scan(&fake, None).await;
    merge(&fake, batches).await;
    // The finding sees one late call of an account administrator's address; the logs know it from earlier.
    let actor = Who {
        address: "10.107.112.14".to_owned(),
        ..Who::default()
    };
    fake.0.borrow_mut().triggers = vec![Trigger::Finding {
        id: "late".to_owned(),
        account: "218007301253".to_owned().try_into().unwrap(),
        finding_type: "Exfiltration:S3/AnomalousBehavior".to_owned(),
        severity: 8.0,
        first_seen: Some("2023-07-10T12:20:00Z".parse().unwrap()),
        actors: vec![actor],
    }];
    // No object may be read again for it but those with rows of the actors.
    let Merged::Boundary {
        boundary, document, ..
    } = revise(&fake).await
    else {
        panic!("no boundary");
    };
    let first_of_address: Timestamp = "2023-07-10T11:42:35Z".parse().unwrap();
    assert_eq!(boundary, first_of_address);
    {
        let world = fake.0.borrow();
        let held = &world.boundary.as_ref().unwrap().document;
        assert_eq!((held.boundary, &held.document), (boundary, &document));
        let told: BoundaryDocument =
            serde_json::from_slice(&world.artifacts["timeline/boundary.json"]).unwrap();
        assert!(
            told.actors
                .iter()
                .any(|actor| actor.addresses.contains("10.107.112.14"))
        );
    }
    // Asked again, nothing changes.
    let Merged::Boundary { boundary: again, .. } = revise(&fake).await else {
        panic!("no boundary");
    };
    assert_eq!(again, boundary);
}

#[tokio::test]
async fn before_the_first_merge_there_is_nothing_to_revise_and_nothing_is_lost() {
    let fake = fake(logs());
    fake.0.borrow_mut().triggers = vec![set_by_hand("2023-07-01T00:00:00Z")];
    assert_eq!(revise(&fake).await, Merged::NothingToRevise {});
    let batches = collect_and_scan(&fake, None).await;
    assert_eq!(revise(&fake).await, Merged::NothingToRevise {});
    let Merged::Boundary { boundary, .. } = merge(&fake, batches).await else {
        panic!("no boundary");
    };
    assert_eq!(boundary, "2023-07-01T00:00:00Z".parse().unwrap());
}

#[tokio::test]
async fn evidence_that_comes_while_merging_is_merged_too() {
    let fake = fake(logs());
    let batches = collect_and_scan(&fake, None).await;
    fake.0.borrow_mut().comes_while_merging = Some(set_by_hand("2023-07-02T00:00:00Z"));
    let Merged::Boundary { boundary, .. } = merge(&fake, batches).await else {
        panic!("no boundary");
    };
    assert_eq!(boundary, "2023-07-02T00:00:00Z".parse().unwrap());
}

#[tokio::test]
async fn where_nothing_accuses_anybody_a_person_sets_the_boundary() {
    let mut world = World::default();
    let quiet = br#"{"Records":[{"eventID":"1","eventName":"GetObject","eventSource":"s3.amazonaws.com","eventTime":"2023-07-10T11:00:00Z"}]}"#;
    let key = ("logs".to_owned(), "AWSLogs/quiet.json".to_owned());
    world.buckets.insert(key, Ok(quiet.to_vec()));
    let fake = fake(world);
    let batches = collect_and_scan(&fake, None).await;
    assert!(matches!(merge(&fake, batches).await, Merged::NoIndicator { .. }));
    fake.0.borrow_mut().triggers = vec![set_by_hand("2023-07-10T10:00:00Z")];
    let Merged::Boundary {
        boundary, covered, ..
    } = revise(&fake).await
    else {
        panic!("no boundary");
    };
    assert_eq!(boundary, "2023-07-10T10:00:00Z".parse().unwrap());
    assert!(!covered, "before the first record nothing is known");
}

/// A trail with digest files, as `tests/data/cloudtrail-digests` holds it, and a plan with its key.
fn audited() -> (World, Plan) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/cloudtrail-digests");
    let mut world = World::default();
    let mut open = vec![folder.join("AWSLogs")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            let key = path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
            world
                .buckets
                .insert(("audit-logs".to_owned(), key), Ok(std::fs::read(path).unwrap()));
        }
    }
    let keys: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("public-keys.json")).unwrap()).unwrap();
    let key = &keys["PublicKeyList"][0];
    let mut changed = serde_json::to_value(plan()).unwrap();
    changed["timeline"]["sources"] = serde_json::json!([{"kind": "cloudtrail", "bucket": "audit-logs", "prefix": "AWSLogs/",
        "digest_keys": [{"fingerprint": key["Fingerprint"], "value": key["Value"]}]}]);
    (world, serde_json::from_value(changed).unwrap())
}

#[tokio::test]
async fn digest_files_of_a_plan_with_keys_are_checked() {
    let (world, plan) = audited();
    let fake = Fake(Rc::new(RefCell::new(world)), plan.clone());
    let batches = collect_and_scan(&fake, None).await;
    assert!(matches!(merge(&fake, batches).await, Merged::Boundary { .. }));
    let whole = document(&fake).coverage;
    assert!(
        !whole
            .gaps
            .iter()
            .any(|g| g.reason.contains("changed") || g.reason.contains("missing"))
    );
    assert!(whole.gaps.iter().any(|g| g.reason.contains("newest digest file")));

    let (mut world, plan) = audited();
    let deleted = world
        .buckets
        .keys()
        .find(|(_, key)| key.contains("T1035Z"))
        .unwrap()
        .clone();
    world.buckets.remove(&deleted);
    let fake = Fake(Rc::new(RefCell::new(world)), plan);
    let batches = collect_and_scan(&fake, None).await;
    let Merged::Boundary { covered, .. } = merge(&fake, batches).await else {
        panic!("no boundary");
    };
    assert!(!covered);
    let missing = document(&fake).coverage.unseen;
    assert!(
        missing
            .iter()
            .any(|u| u.what.ends_with(&deleted.1) && u.why.contains("missing")),
        "{missing:?}"
    );
}
