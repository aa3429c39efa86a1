//! The second pass as a map of its own.

use blackstart_core::task::timeline::BatchAgain;

use super::fake::{Fake, ask, collect_and_scan, document, fake, logs, merge, read_again, reference};
use super::set_by_hand;
use crate::*;

/// Boundary document and timeline.
fn answer(fake: &Fake) -> [Vec<u8>; 2] {
    let artifacts = &fake.0.borrow().artifacts;
    ["timeline/boundary.json", "timeline/timeline.jsonl"].map(|path| artifacts[path].clone())
}

fn fetched(fake: &Fake) -> usize {
    std::mem::take(&mut fake.0.borrow_mut().fetched)
}

#[tokio::test]
async fn what_the_children_read_again_is_not_read_once_more_and_gives_the_same_answer() {
    let alone = fake(logs());
    let batches = collect_and_scan(&alone, None).await;
    fetched(&alone);
    merge(&alone, batches).await;
    let in_merge = fetched(&alone);
    assert!(in_merge > 0);

    let split = fake(logs());
    let batches = collect_and_scan(&split, None).await;
    fetched(&split);
    let read = read_again(&split, batches, &[]).await;
    let objects: u64 = read.iter().map(|batch| batch.objects).sum();
    assert_eq!(usize::try_from(objects).unwrap(), in_merge);
    assert_eq!(fetched(&split), in_merge);
    merge(&split, batches).await;
    assert_eq!(fetched(&split), 0);
    assert!(answer(&split) == answer(&alone));

    // A child that failed leaves its objects to whoever merges.
    let failed = fake(logs());
    let batches = collect_and_scan(&failed, None).await;
    let left_out: Vec<_> = read.iter().map(|batch| batch.batch).collect();
    read_again(&failed, batches, &left_out).await;
    fetched(&failed);
    merge(&failed, batches).await;
    assert_eq!(fetched(&failed), in_merge);
    assert!(answer(&failed) == answer(&alone));
}

#[tokio::test]
async fn what_was_read_for_other_actors_or_is_damaged_is_read_again() {
    let fake = fake(logs());
    let batches = collect_and_scan(&fake, None).await;
    let read = read_again(&fake, batches, &[]).await;
    merge(&fake, batches).await;
    let expected = answer(&fake);
    let path = format!("timeline/scan/{:05}.rows", read[0].batch);
    let whole = fake.0.borrow().artifacts[&path].clone();
    let line = whole.iter().position(|b| *b == b'\n').unwrap();
    let text = String::from_utf8_lossy(&whole[..line]).into_owned();
    let other = blackstart_core::artifact::Digest::of(b"other");
    let begin = text.find("\"sought\":\"").unwrap() + 10;
    let mut for_others = whole.clone();
    for_others[begin..begin + other.as_str().len()].copy_from_slice(other.as_str().as_bytes());
    for damaged in [for_others, whole[..whole.len() - 1].to_vec(), Vec::new()] {
        fake.0.borrow_mut().artifacts.insert(path.clone(), damaged);
        fetched(&fake);
        merge(&fake, batches).await;
        assert!(fetched(&fake) > 0);
        assert!(answer(&fake) == expected);
    }
}

#[tokio::test]
async fn evidence_that_comes_between_the_passes_is_merged_too() {
    let fake = fake(logs());
    let batches = collect_and_scan(&fake, None).await;
    read_again(&fake, batches, &[]).await;
    fake.0
        .borrow_mut()
        .triggers
        .push(set_by_hand("2023-07-02T00:00:00Z"));
    let Merged::Boundary { boundary, .. } = merge(&fake, batches).await else {
        panic!("no boundary");
    };
    assert_eq!(boundary, "2023-07-02T00:00:00Z".parse().unwrap());
}

#[tokio::test]
async fn an_object_that_changed_before_a_child_reads_it_again_is_a_gap() {
    let fake = fake(logs());
    let batches = collect_and_scan(&fake, None).await;
    let evidence = {
        merge(&fake, batches).await;
        document(&fake).boundary.unwrap().reasons[0]
            .evidence
            .object
            .clone()
    };
    let key = evidence.strip_prefix("s3://logs/").unwrap().to_owned();
    let object = ("logs".to_owned(), key);
    let changed = br#"{"Records":[]}"#.to_vec();
    fake.0.borrow_mut().buckets.insert(object, Ok(changed));
    let read = read_again(&fake, batches, &[]).await;
    assert_eq!(read.iter().map(|batch| batch.lost).sum::<u64>(), 1);
    let Merged::Boundary { covered, .. } = merge(&fake, batches).await else {
        panic!("no boundary");
    };
    assert!(!covered);
    let unseen = document(&fake).coverage.unseen;
    assert!(unseen.iter().any(|unseen| unseen.what == evidence), "{unseen:?}");
}

#[tokio::test]
async fn an_item_that_no_scan_left_is_refused() {
    let fake = fake(logs());
    let batches = collect_and_scan(&fake, None).await;
    let again = |batch, objects| Operation::Again {
        plan: reference("plan", b""),
        batch: BatchAgain { batch, objects },
    };
    let mut refused = vec![ask(&fake, again(0, vec![0])).await];
    read_again(&fake, batches, &[]).await;
    for item in [
        again(batches, vec![0]),
        again(0, vec![100_000]),
        again(0, vec![0, 0]),
    ] {
        refused.push(ask(&fake, item).await);
    }
    for error in refused.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.name(), ErrorName::InvalidInput, "{error}");
    }
}
