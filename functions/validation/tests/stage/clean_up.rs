//! What a trial made is removed, whatever became of its neighbours.

use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::task::Progress;
use blackstart_core::task::validation::{NextRound, Operation};
use blackstart_core::validation::Verdict;
use blackstart_core::validation::candidates::RecoveryPoint;
use serde_json::json;

use super::fake::World;
use super::machine::{DATA, artifact, ask, ask_at, change_plan, point, try_set, verdict, world};
use validation::Answer;

pub(super) const FILES: &str = "arn:aws:elasticfilesystem:us-east-1:444444444444:file-system/fs-0a1b2c3d";

/// One set of bucket, table and a resource of `resource_type`, whose id comes before theirs.
pub(super) fn with_files(resource_type: &str) -> World {
    let world = world();
    change_plan(&world, |plan| {
        let mut files = json!({"id": "a-files", "arn": FILES, "type": resource_type, "restore_to": "files"});
        if resource_type == "FSx" {
            // No recovery point remembers its network.
            files["trial_metadata"] = json!({
                "SubnetIds": "[\"subnet-0aaaaaaaaaaaaaaa1\"]",
                "SecurityGroupIds": "[\"sg-0aaaaaaaaaaaaaaa1\"]"
            });
        }
        plan["resources"].as_array_mut().unwrap().push(files);
    });
    {
        let mut state = world.0.lock().unwrap();
        state.points.retain(|point| point.arn.ends_with("/1"));
        state.points.push(files(resource_type, 1));
    }
    world
}

pub(super) fn files(resource_type: &str, day: i64) -> RecoveryPoint {
    RecoveryPoint {
        resource_type: Some(resource_type.to_owned()),
        ..point(FILES, day)
    }
}

/// The only set, and the document that it is in.
async fn only_set(world: &World) -> (blackstart_core::artifact::ArtifactRef, String) {
    let plan = artifact("plan");
    let Answer::Candidates(candidates) = ask(world, Operation::Candidates { plan: plan.clone() }, 0).await
    else {
        panic!("no candidates");
    };
    let next = Operation::Next {
        plan,
        sets: candidates.sets.clone(),
    };
    let Answer::Next(NextRound::Validate { sets }) = ask(world, next, 1).await else {
        panic!("nothing to validate");
    };
    (candidates.sets, sets[0].clone())
}

fn clean_up(set: &str) -> Operation {
    Operation::CleanUp {
        plan: artifact("plan"),
        set: set.to_owned(),
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_was_never_restored_keeps_nothing_else() {
    for resource_type in ["EFS", "FSx"] {
        let world = with_files(resource_type);
        let group = "sg-0123456789abcdef0".to_owned();
        world.0.lock().unwrap().remembered.insert(
            files(resource_type, 1).arn,
            [("securityGroups".to_owned(), group)].into(),
        );
        let (sets, set) = only_set(&world).await;
        try_set(&world, &sets, &set, 1).await;
        assert_eq!(verdict(&world, &set).unwrap().verdict, Verdict::Unknown);
        let state = world.0.lock().unwrap();
        assert_eq!(state.ever_created, 2, "bucket and table");
        assert!(state.existing.is_empty(), "left behind: {:?}", state.existing);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_cannot_be_removed_is_told_after_everything_else_is_gone() {
    let world = with_files("FSx");
    let (sets, set) = only_set(&world).await;
    let start = Operation::Start {
        plan: artifact("plan"),
        sets,
        set: set.clone(),
    };
    ask(&world, start, 1).await;
    let mut error = ask_at(&world, clean_up(&set), 1).await.unwrap_err();
    for _ in 0..4 {
        assert_eq!(error.name(), ErrorName::Transient, "{error}");
        let Err(next) = ask_at(&world, clean_up(&set), 1).await else {
            panic!("a file system of FSx cannot be removed");
        };
        error = next;
        if error.name() != ErrorName::Transient {
            break;
        }
    }
    assert_eq!(error.name(), ErrorName::PolicyRefused);
    assert!(
        error.to_string().contains("a-files: ") && error.to_string().contains("file-system/fs-"),
        "{error}"
    );
    let state = world.0.lock().unwrap();
    let left: Vec<&String> = state.existing.keys().collect();
    assert!(left.len() == 1 && left[0].starts_with("fs-"), "{left:?}");
}

/// Cloud Control API takes a removal, does it later, and may come to nothing.
#[tokio::test(flavor = "current_thread")]
async fn what_was_asked_to_go_is_looked_at_until_it_is_gone() {
    let world = with_files("EFS");
    world.0.lock().unwrap().removals_fail = 1;
    let (sets, set) = only_set(&world).await;
    let start = Operation::Start {
        plan: artifact("plan"),
        sets,
        set: set.clone(),
    };
    ask(&world, start, 1).await;
    let mut looks = 0;
    while let Err(error) = ask_at(&world, clean_up(&set), 1).await {
        assert_eq!(error.name(), ErrorName::Transient, "{error}");
        looks += 1;
        assert!(looks < 20, "{error}");
    }
    let state = world.0.lock().unwrap();
    assert_eq!(state.ever_created, 3);
    assert!(state.existing.is_empty(), "left behind: {:?}", state.existing);
    assert_eq!(state.removals_fail, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_job_that_was_given_up_is_waited_for_before_its_copy_is_looked_for() {
    let world = world();
    {
        let mut state = world.0.lock().unwrap();
        state.points.retain(|point| point.arn.ends_with("/1"));
        state.endless.push(point(DATA, 1).arn);
    }
    let (sets, set) = only_set(&world).await;
    let start = Operation::Start {
        plan: artifact("plan"),
        sets: sets.clone(),
        set: set.clone(),
    };
    ask(&world, start, 1).await;
    let poll = |minute| {
        let poll = Operation::Poll {
            plan: artifact("plan"),
            set: set.clone(),
        };
        let world = &world;
        async move {
            match ask(world, poll, minute).await {
                Answer::Trial(trial) => trial.progress,
                other => panic!("{other:?}"),
            }
        }
    };
    for minute in 2..6 {
        assert_eq!(poll(minute).await, Progress::Running);
    }
    assert_eq!(poll(24 * 60 + 2).await, Progress::Done);
    let judge = Operation::Judge {
        plan: artifact("plan"),
        sets,
        set: set.clone(),
        failure: None,
    };
    ask(&world, judge, 24 * 60 + 2).await;
    assert_eq!(verdict(&world, &set).unwrap().verdict, Verdict::Unknown);

    let waits = ask_at(&world, clean_up(&set), 24 * 60 + 3).await.unwrap_err();
    assert_eq!(waits.name(), ErrorName::Transient, "{waits}");
    world.0.lock().unwrap().endless.clear();
    ask(&world, clean_up(&set), 24 * 60 + 4).await;
    let state = world.0.lock().unwrap();
    assert_eq!(state.ever_created, 2);
    assert!(state.existing.is_empty(), "left behind: {:?}", state.existing);
}
