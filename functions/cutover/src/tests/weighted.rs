//! Traffic that moves share by share, with every fault at every effect.

use blackstart_core::error_name::{ErrorName, StageError as _};
use blackstart_core::journal::{Command, StepState};
use blackstart_core::task::Progress;
use blackstart_core::task::cutover::Phase;

use crate::tests::scenario::{Ending, Fault, Scenario};

/// Effects of a cutover over shares in which nothing fails.
async fn effects(expand: bool) -> usize {
    let clean = Scenario::weighted(expand);
    assert_eq!(clean.drive("exec-1").await, Ending::Recovered);
    clean.assert_recovered().await;
    clean.effects()
}

/// A cutover in which everything is ready for traffic to move, and the nonce is found.
async fn ready() -> Scenario {
    let scenario = Scenario::weighted(false);
    scenario.plan_and_prepare().await;
    scenario.apply_all(Phase::Expand).await.unwrap();
    scenario.verify(Phase::Expand).await.unwrap();
    while scenario.probe().await.unwrap().progress != Progress::Done {}
    scenario
}

#[tokio::test(flavor = "current_thread")]
async fn traffic_moves_share_by_share_and_each_is_held() {
    let scenario = ready().await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let synced = scenario.shift_and_ask().await.unwrap();
        assert_eq!(synced.progress, Progress::Done);
        seen.push((scenario.share(), synced.wait_seconds, synced.remaining));
    }
    // The old answers live for 300 seconds, later ones for 60; the plan holds a share for 900.
    assert_eq!(
        seen,
        [
            (Some(1), 900, 3),
            (Some(5), 900, 2),
            (Some(25), 900, 1),
            (Some(100), 60, 0)
        ]
    );
}

#[tokio::test(flavor = "current_thread")]
async fn no_share_follows_before_all_servers_know_the_one_before() {
    let scenario = ready().await;
    scenario.silence(Some("ns-2.example.net"));
    for _ in 0..3 {
        let asked = scenario.shift_and_ask().await.unwrap();
        assert_eq!(asked.progress, Progress::Running, "{}", asked.observed);
        assert_eq!(scenario.share(), Some(1));
    }
    scenario.silence(None);
    scenario.shift_and_ask().await.unwrap();
    scenario.shift_and_ask().await.unwrap();
    assert_eq!(scenario.share(), Some(5));
}

/// All shares are answered with the same values, so only the change itself says that the servers know this one.
#[tokio::test(flavor = "current_thread")]
async fn a_share_whose_change_is_not_known_is_not_taken_for_the_one_before() {
    let scenario = ready().await;
    let first = scenario.shift_and_ask().await.unwrap();
    assert_eq!(first.progress, Progress::Done);
    scenario.fault_at(scenario.effects(), Fault::ReplyLostAfterEffect);
    scenario.shift_and_ask().await.unwrap_err();
    let asked = scenario.shift_and_ask().await.unwrap();
    assert_eq!((scenario.share(), asked.progress), (Some(5), Progress::Running));
    assert!(asked.observed.contains("was lost"), "{}", asked.observed);
    scenario.let_seconds_pass(299);
    assert_eq!(
        scenario.shift_and_ask().await.unwrap().progress,
        Progress::Running
    );
    scenario.let_seconds_pass(2);
    assert_eq!(scenario.shift_and_ask().await.unwrap().progress, Progress::Done);
    assert_eq!(scenario.share(), Some(5));
}

#[tokio::test(flavor = "current_thread")]
async fn a_share_under_which_the_new_environment_fails_goes_back_to_where_traffic_was() {
    let scenario = ready().await;
    scenario.shift_and_ask().await.unwrap();
    scenario.shift_and_ask().await.unwrap();
    assert_eq!(scenario.share(), Some(5));
    scenario.serve_nonce(false);
    assert_eq!(scenario.probe().await.unwrap().progress, Progress::Running);
    // What the state machine says when that lasts.
    let never = crate::CutoverError::Drifted(vec!["the new environment did not become healthy".to_owned()]);
    assert_eq!(never.name(), ErrorName::PreconditionChanged);
    assert_eq!(scenario.unwind(&never).await, Ending::GivenBack);
    let journal = scenario.journal().await;
    assert_eq!(journal.state("shift-traffic-1"), StepState::Reverted);
    assert_eq!(journal.state("shift-traffic-5"), StepState::Reverted);
    assert_eq!(journal.state("shift-traffic-25"), StepState::Planned);
    scenario.assert_clean_slate().await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_fault_at_any_effect_ends_all_done_or_all_given_back() {
    for at in 0..effects(false).await {
        for fault in [
            Fault::Refused,
            Fault::Throttled,
            Fault::ReplyLostAfterEffect,
            Fault::ReplyLostBeforeEffect,
            Fault::CrashBeforeEffect,
            Fault::CrashAfterEffect,
        ] {
            let scenario = Scenario::weighted(false);
            scenario.fault_at(at, fault);
            let ending = scenario.drive("exec-1").await;
            let what = format!("{fault:?} at {at}");
            if fault == Fault::Refused {
                assert_eq!(ending, Ending::GivenBack, "{what}");
                scenario.assert_clean_slate().await;
            } else {
                assert_eq!(ending, Ending::Recovered, "{what}");
                scenario.assert_recovered().await;
            }
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn every_operation_twice_is_once_and_unwinding_twice_does_nothing() {
    let twice = Scenario::weighted(true);
    twice.repeat_every_operation();
    assert_eq!(twice.drive("exec-1").await, Ending::Recovered);
    twice.assert_recovered().await;
    assert_eq!(twice.operator("Operator.Revert").await, Ending::GivenBack);
    let effects = twice.effects();
    twice.revert_every_step_again().await;
    assert_eq!(twice.effects(), effects);
    assert_eq!(twice.journal().await.next(), Command::GivenBack);
    twice.assert_clean_slate().await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_crash_or_a_refusal_at_any_effect_of_the_way_back_ends_where_traffic_was() {
    let whole = Scenario::weighted(true);
    assert_eq!(whole.drive("exec-1").await, Ending::Recovered);
    let forward = whole.effects();
    assert_eq!(whole.operator("Operator.Revert").await, Ending::GivenBack);
    for at in forward..whole.effects() {
        for fault in [
            Fault::CrashBeforeEffect,
            Fault::CrashAfterEffect,
            Fault::ReplyLostAfterEffect,
            Fault::Refused,
        ] {
            let scenario = Scenario::weighted(true);
            assert_eq!(scenario.drive("exec-1").await, Ending::Recovered);
            scenario.fault_at(at, fault);
            let mut ending = scenario.operator("Operator.Revert").await;
            if fault == Fault::Refused {
                assert!(matches!(ending, Ending::Operator(_)), "effect {at}: {ending:?}");
                ending = scenario.operator("Operator.Resume").await;
            }
            assert_eq!(ending, Ending::GivenBack, "{fault:?} at effect {at}");
            scenario.assert_clean_slate().await;
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn another_execution_finishes_what_one_left_behind_and_two_end_as_one() {
    for at in 0..effects(false).await {
        let scenario = Scenario::weighted(false);
        scenario.fault_at(at, Fault::CrashAfterEffect);
        assert!(!scenario.drive_until_it_dies("exec-1").await);
        scenario.let_minutes_pass(6);
        assert_eq!(scenario.drive("exec-2").await, Ending::Recovered, "at {at}");
        scenario.assert_recovered().await;
    }
    for seed in 0..12 {
        let scenario = Scenario::weighted(seed % 2 == 0);
        scenario.interleave(seed);
        let (one, other) = tokio::join!(scenario.drive("exec-1"), scenario.drive("exec-2"));
        for ending in [&one, &other] {
            assert!(!matches!(ending, Ending::Operator(_)), "seed {seed}: {ending:?}");
        }
        if scenario.journal().await.direction() == Some(blackstart_core::journal::Direction::Back) {
            scenario.assert_clean_slate().await;
        } else {
            scenario.assert_recovered().await;
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn records_that_somebody_else_changes_between_any_two_shares_are_left_as_they_are() {
    for after in 0..effects(true).await {
        let scenario = Scenario::weighted(true);
        scenario.retarget_after(after);
        let ending = scenario.drive("exec-1").await;
        assert_ne!(ending, Ending::Recovered, "after effect {after}");
        assert!(scenario.is_retargeted(), "after effect {after}: {ending:?}");
        scenario.restore_records();
        let ending = if matches!(ending, Ending::Operator(_)) {
            scenario.operator("Operator.Resume").await
        } else {
            ending
        };
        if ending == Ending::Recovered {
            scenario.assert_recovered().await;
        } else {
            assert_eq!(ending, Ending::GivenBack, "after effect {after}");
            scenario.assert_clean_slate().await;
        }
    }
}
