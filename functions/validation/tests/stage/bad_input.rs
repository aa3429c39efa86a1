//! What should not be in a vault or in a plan: a clear reason each, nothing clean by accident, nothing left behind.

use blackstart_core::plan::Plan;
use blackstart_core::task::Failure;
use blackstart_core::task::validation::{NextRound, Operation, Selected};
use blackstart_core::validation::{CandidateDocument, Verdict};
use validation::Answer;

use super::fake::World;
use super::machine::{
    DATA, TABLE, artifact, ask, at, point, prepared, reasons, run, select, selection, set_boundary, verdict,
    walk, world,
};

/// Only the newest and the oldest backup, both with nothing but ordinary text.
fn two_clean_sets() -> World {
    let world = world();
    {
        let mut state = world.0.lock().unwrap();
        state
            .points
            .retain(|point| point.arn.ends_with("/4") || point.arn.ends_with("/1"));
        let clean = state.contents[&point(DATA, 1).arn].clone();
        state.contents.insert(point(DATA, 4).arn, clean);
    }
    set_boundary(&world, at(10 * 1440));
    world
}

/// Adds an object to the newest backup of the bucket.
fn with_object(world: &World, key: &str, bytes: &[u8]) {
    let mut state = world.0.lock().unwrap();
    let objects = state.contents.get_mut(&point(DATA, 4).arn).unwrap();
    objects.push((key.to_owned(), bytes.to_vec()));
}

fn nothing_is_left(world: &World) {
    let state = world.0.lock().unwrap();
    assert!(state.existing.is_empty(), "left behind: {:?}", state.existing);
}

/// The newest set is not clean for this reason, and the walk comes to the older one.
async fn is_passed_over(world: &World, expected: Verdict, reason: &str) {
    let walked = walk(world, &mut 0).await;
    let document = selection(world, &select(world, prepared(walked)).await);
    assert_eq!(document.set.newest, at(1440 + 5));
    assert_eq!(document.considered[0].verdict, Some(expected));
    let told = reasons(&document, 0);
    assert!(told.contains(reason), "{told}");
    nothing_is_left(world);
}

#[tokio::test(flavor = "current_thread")]
async fn an_empty_vault_proposes_nothing_and_says_so() {
    let world = world();
    world.0.lock().unwrap().points.clear();
    set_boundary(&world, at(10 * 1440));
    let walked = walk(&world, &mut 0).await;
    assert_eq!(walked.found, None);
    let Selected::NoCleanPoint { reason } = select(&world, prepared(walked)).await else {
        panic!("something was selected");
    };
    assert_eq!(
        reason,
        "the vault holds no complete recovery set; 0 recovery point(s) were dropped"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_resource_type_that_nobody_knows_is_an_error_of_the_plan_beside_all_others() {
    let world = world();
    let text = {
        let state = world.0.lock().unwrap();
        String::from_utf8(state.artifacts["plan"].clone()).unwrap()
    };
    let wrong = text
        .replace("\"type\":\"DynamoDB\"", "\"type\":\"Abacus\"")
        .replace("\"quorum\":1", "\"quorum\":\"one\"");
    let told = Plan::parse(wrong.as_bytes()).unwrap_err().to_string();
    for part in ["resources[1].type", "unknown variant `Abacus`", "approval.quorum"] {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_point_of_another_type_than_the_plan_says_is_dropped_with_its_reason() {
    let world = two_clean_sets();
    for point in &mut world.0.lock().unwrap().points {
        if point.arn == self::point(TABLE, 4).arn {
            point.resource_type = Some("Abacus".to_owned());
        }
    }
    let walked = walk(&world, &mut 0).await;
    let document: CandidateDocument = world.stored("validation/candidates.json", &run());
    let gone = document
        .dropped
        .iter()
        .find(|dropped| dropped.arn == point(TABLE, 4).arn);
    assert!(gone.unwrap().reason.contains("Abacus"), "{gone:?}");
    assert!(walked.found.is_some(), "the older set is untouched");
    nothing_is_left(&world);
}

#[tokio::test(flavor = "current_thread")]
async fn a_point_that_vanishes_before_its_trial_is_unknown() {
    let world = two_clean_sets();
    world.0.lock().unwrap().vanished.push(point(DATA, 4).arn);
    is_passed_over(&world, Verdict::Unknown, "there is none").await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_point_that_vanishes_while_it_is_restored_is_unknown() {
    let world = two_clean_sets();
    let plan = artifact("plan");
    let Answer::Candidates(found) = ask(&world, Operation::Candidates { plan: plan.clone() }, 0).await else {
        panic!("no candidates");
    };
    let next = Operation::Next {
        plan: plan.clone(),
        sets: found.sets.clone(),
    };
    let Answer::Next(NextRound::Validate { sets }) = ask(&world, next, 1).await else {
        panic!("nothing to validate");
    };
    let start = Operation::Start {
        plan,
        sets: found.sets,
        set: sets[0].clone(),
    };
    ask(&world, start, 1).await;
    world.0.lock().unwrap().vanished.push(point(DATA, 4).arn);
    is_passed_over(&world, Verdict::Unknown, "there is none").await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_object_that_cannot_be_read_is_unknown_and_named() {
    let world = two_clean_sets();
    with_object(&world, "locked.csv", b"id;total\n");
    world.0.lock().unwrap().unreadable.push("locked.csv".to_owned());
    is_passed_over(&world, Verdict::Unknown, "locked.csv").await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_object_without_bytes_is_data_like_any_other() {
    let world = two_clean_sets();
    for key in ["empty.txt", "empty.bin", "folder/"] {
        with_object(&world, key, b"");
    }
    let walked = walk(&world, &mut 0).await;
    let said = verdict(&world, &walked.found.unwrap()).unwrap();
    assert_eq!(said.verdict, Verdict::Clean);
    let document = selection(
        &world,
        &select(&world, prepared(walk(&world, &mut 50).await)).await,
    );
    assert_eq!(
        document.set.newest,
        at(4 * 1440 + 5),
        "the newest, with its empty objects"
    );
    nothing_is_left(&world);
}

/// Fifty gigabytes may take longer to read than a function lives. The machine then judges the trial as failed.
#[tokio::test(flavor = "current_thread")]
async fn what_is_too_large_to_be_read_in_time_is_unknown_and_removed() {
    let world = two_clean_sets();
    let plan = artifact("plan");
    let Answer::Candidates(found) = ask(&world, Operation::Candidates { plan: plan.clone() }, 0).await else {
        panic!("no candidates");
    };
    let next = Operation::Next {
        plan: plan.clone(),
        sets: found.sets.clone(),
    };
    let Answer::Next(NextRound::Validate { sets }) = ask(&world, next, 1).await else {
        panic!("nothing to validate");
    };
    let set = sets[0].clone();
    let start = Operation::Start {
        plan: plan.clone(),
        sets: found.sets.clone(),
        set: set.clone(),
    };
    ask(&world, start, 1).await;
    world.let_jobs_end();
    let poll = Operation::Poll {
        plan: plan.clone(),
        set: set.clone(),
    };
    ask(&world, poll, 2).await;
    let judge = Operation::Judge {
        plan: plan.clone(),
        sets: found.sets,
        set: set.clone(),
        failure: Some(Failure {
            error: "States.Timeout".to_owned(),
            cause: String::new(),
        }),
    };
    let Answer::Judged(judged) = ask(&world, judge, 2).await else {
        panic!("no answer");
    };
    assert_eq!(judged.verdict, "unknown");
    let told = serde_json::to_string(&verdict(&world, &set).unwrap()).unwrap();
    assert!(told.contains("the trial failed with States.Timeout"), "{told}");
    assert!(!world.0.lock().unwrap().existing.is_empty());
    ask(&world, Operation::CleanUp { plan, set }, 3).await;
    nothing_is_left(&world);
}

#[tokio::test(flavor = "current_thread")]
async fn an_archive_that_is_a_bomb_is_unknown_and_never_unpacked() {
    let world = two_clean_sets();
    // Three gigabytes by its own word, in forty bytes.
    let bomb = [
        b"\x1f\x8b\x08".as_slice(),
        &[0x55; 40],
        &(3_u32 << 30).to_le_bytes(),
    ]
    .concat();
    with_object(&world, "orders.gz", &bomb);
    is_passed_over(&world, Verdict::Unknown, "says it unpacks to 3221225472 or more").await;
}
