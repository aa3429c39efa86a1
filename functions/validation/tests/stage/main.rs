//! The whole of stage 2 against a fake account, with a fault at every call.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test says by panicking what is wrong"
)]

mod access_points;
mod bad_input;
mod ceiling;
mod clean_up;
mod configuration;
mod fake;
mod layers;
mod machine;
mod mapping;
mod waiting;

use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::ledger::Key;
use blackstart_core::task::Failure;
use blackstart_core::task::validation::{NextRound, Operation, Selected, Walked};
use blackstart_core::validation::Verdict;
use validation::Answer;

use self::fake::Fault;
use self::machine::{
    DATA, artifact, ask, ask_at, at, branches, point, prepared, run, select, selection, set_boundary,
    verdict, walk, world,
};

#[tokio::test(flavor = "current_thread")]
async fn the_oldest_set_is_chosen_and_every_newer_one_has_its_reason() {
    let world = world();
    set_boundary(&world, at(10 * 1440));
    let walked = walk(&world, &mut 0).await;
    let selected = select(&world, prepared(walked.clone())).await;
    let document = selection(&world, &selected);
    assert_eq!(Some(&document.set.id), walked.found.as_ref());
    let told: Vec<(Option<Verdict>, String)> = document
        .considered
        .iter()
        .map(|set| (set.verdict, set.reasons.join(" | ")))
        .collect();
    for (i, reason) in [
        "reads like a ransom note",
        "encrypted: text by its name",
        "found threats",
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(told[i].0, Some(Verdict::Tainted));
        assert!(told[i].1.contains(reason), "{told:#?}");
    }
    assert_eq!(told[3].0, Some(Verdict::Clean));
    let state = world.0.lock().unwrap();
    assert!(state.existing.is_empty(), "left behind: {:?}", state.existing);
    assert_eq!(state.ever_created, 8);
    assert_eq!(state.results.values().filter(|valid| **valid).count(), 2);
    assert_eq!(document.verdict.manifests.len(), 2);
}

#[tokio::test(flavor = "current_thread")]
async fn a_later_run_reuses_what_is_known_about_a_point() {
    let world = world();
    set_boundary(&world, at(10 * 1440));
    let first = walk(&world, &mut 0).await;
    {
        // Another run begins with empty records of its own.
        let mut state = world.0.lock().unwrap();
        let partition = Key::run_partition(&run());
        state.items.retain(|key, _| key.pk != partition);
    }
    set_boundary(&world, at(10 * 1440));
    let second = walk(&world, &mut 100).await;
    assert_eq!(first.found, second.found);
    let document = selection(&world, &select(&world, prepared(second)).await);
    assert_eq!(document.verdict.manifests.len(), 2);
    assert!(
        document.considered[3]
            .reasons
            .iter()
            .any(|reason| reason.contains("as run orders-"))
    );
    assert_eq!(document.considered[0].verdict, Some(Verdict::Tainted));
    assert_eq!(
        world.0.lock().unwrap().ever_created,
        8,
        "nothing was restored again"
    );
}

/// Whatever call fails, before or after its effect: the same choice, and nothing left behind.
#[tokio::test(flavor = "current_thread")]
async fn a_fault_at_any_call_changes_nothing() {
    let fewer = || {
        let world = world();
        let (newest, oldest) = ("/4", "/1");
        let mut state = world.0.lock().unwrap();
        state
            .points
            .retain(|point| point.arn.ends_with(newest) || point.arn.ends_with(oldest));
        drop(state);
        world
    };
    let undisturbed = fewer();
    set_boundary(&undisturbed, at(10 * 1440));
    let expected = walk(&undisturbed, &mut 0).await;
    let calls = undisturbed.0.lock().unwrap().calls;
    assert!(calls > 60, "{calls}");
    for call in 1..=calls {
        for when in [Fault::Before, Fault::After] {
            let world = fewer();
            set_boundary(&world, at(10 * 1440));
            world.0.lock().unwrap().fault = Some((call, when));
            let walked = walk(&world, &mut 0).await;
            assert_eq!(walked, expected, "call {call}, {when:?}");
            let state = world.0.lock().unwrap();
            assert!(
                state.existing.is_empty(),
                "call {call}, {when:?}: {:?}",
                state.existing
            );
            assert_eq!(state.ever_created, 4, "call {call}, {when:?}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_earlier_boundary_reuses_verdicts_and_changes_the_choice() {
    let world = world();
    {
        let mut state = world.0.lock().unwrap();
        let clean = state.contents[&point(DATA, 1).arn].clone();
        state.contents.insert(point(DATA, 4).arn, clean);
    }
    let mut minute = 0;
    let walked = walk(&world, &mut minute).await;
    set_boundary(&world, at(10 * 1440));
    let first = selection(&world, &select(&world, prepared(walked.clone())).await);
    assert_eq!(first.set.newest, at(4 * 1440 + 5));
    assert!(
        first.considered[3].verdict.is_none(),
        "the oldest was not looked at"
    );

    set_boundary(&world, at(4 * 1440));
    assert_eq!(
        select(&world, prepared(walked)).await,
        Selected::NeedsValidation {}
    );
    let again = walk(&world, &mut minute).await;
    let second = selection(&world, &select(&world, prepared(again)).await);
    assert_eq!(second.set.newest, at(1440 + 5));
    assert_eq!(second.considered[0].verdict, Some(Verdict::Clean));
    assert!(!second.considered[0].eligible);
    let state = world.0.lock().unwrap();
    assert_eq!(state.ever_created, 8, "no set was restored twice");
    assert!(state.existing.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_restore_with_issues_is_never_clean() {
    let world = world();
    {
        let mut state = world.0.lock().unwrap();
        let message = "2 objects were skipped".to_owned();
        state.restore_messages.insert(point(DATA, 1).arn, message);
    }
    set_boundary(&world, at(10 * 1440));
    let walked = walk(&world, &mut 0).await;
    assert_eq!(walked.found, None);
    let Selected::NoCleanPoint { reason } = select(&world, prepared(walked)).await else {
        panic!("something was selected");
    };
    assert!(reason.contains("3 tainted, 1 unknown"), "{reason}");
    assert!(world.0.lock().unwrap().existing.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_set_that_never_comes_to_a_verdict_ends_as_unknown() {
    let world = world();
    let Answer::Candidates(found) = ask(
        &world,
        Operation::Candidates {
            plan: artifact("plan"),
        },
        0,
    )
    .await
    else {
        panic!("no candidates");
    };
    for minute in 1..=9 {
        let next = Operation::Next {
            plan: artifact("plan"),
            sets: found.sets.clone(),
        };
        let answer = ask(&world, next.clone(), minute).await;
        assert_eq!(
            answer,
            ask(&world, next, minute).await,
            "a repeat is the same round"
        );
        if let Answer::Next(NextRound::Exhausted {}) = answer {
            assert_eq!(minute, 7, "two rounds of two sets, three offers each");
            return;
        }
    }
    panic!("the walk does not end");
}

#[tokio::test(flavor = "current_thread")]
async fn clean_up_waits_for_a_running_restore_and_refuses_a_foreign_name() {
    let world = world();
    let Answer::Candidates(found) = ask(
        &world,
        Operation::Candidates {
            plan: artifact("plan"),
        },
        0,
    )
    .await
    else {
        panic!("no candidates");
    };
    let Answer::Next(NextRound::Validate { sets }) = ask(
        &world,
        Operation::Next {
            plan: artifact("plan"),
            sets: found.sets.clone(),
        },
        1,
    )
    .await
    else {
        panic!("nothing to validate");
    };
    let set = sets[0].clone();
    let clean_up = Operation::CleanUp {
        plan: artifact("plan"),
        set: set.clone(),
    };
    let Answer::CleanedUp(nothing) = ask(&world, clean_up.clone(), 1).await else {
        panic!("no answer");
    };
    assert_eq!(nothing.removed, 0, "nothing was started");
    let start = Operation::Start {
        plan: artifact("plan"),
        sets: found.sets,
        set: set.clone(),
    };
    ask(&world, start, 1).await;
    let error = ask_at(&world, clean_up.clone(), 1).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::Transient);
    {
        let mut state = world.0.lock().unwrap();
        let (_, text) = state.items.get_mut(&Key::trial(&run(), &set)).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(text).unwrap();
        record["resources"]["data"]["target"] = "production".into();
        *text = record.to_string();
    }
    let mut last = ask_at(&world, clean_up.clone(), 1).await;
    for _ in 0..3 {
        last = ask_at(&world, clean_up.clone(), 1).await;
    }
    assert_eq!(last.unwrap_err().name(), ErrorName::Defect);
}

#[tokio::test(flavor = "current_thread")]
async fn without_a_boundary_or_a_branch_nothing_is_proposed_and_all_reasons_are_told() {
    let world = world();
    let walked = Walked {
        sets: artifact("sets"),
        found: None,
    };
    let Selected::NotPossible { reason } = select(&world, branches(walked)).await else {
        panic!("something was selected");
    };
    for part in [
        "event boundary",
        "Rebuild infrastructure failed",
        "Find references failed",
    ] {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(verdict(&world, "any"), None);
}

#[tokio::test(flavor = "current_thread")]
async fn a_failed_trial_is_unknown_for_its_reason() {
    let world = world();
    let judge = Operation::Judge {
        plan: artifact("plan"),
        sets: artifact("sets"),
        set: "abc".to_owned(),
        failure: Some(Failure {
            error: "Recovery.PolicyRefused".to_owned(),
            cause: "assuming role `x` was refused".to_owned(),
        }),
    };
    let Answer::Judged(judged) = ask(&world, judge, 1).await else {
        panic!("no answer");
    };
    assert_eq!(judged.verdict, "unknown");
    let said = serde_json::to_string(&verdict(&world, "abc").unwrap()).unwrap();
    assert!(said.contains("Recovery.PolicyRefused"), "{said}");
}
