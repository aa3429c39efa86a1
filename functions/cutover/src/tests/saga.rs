//! What must hold of every step of a saga, tested over every step, every effect and every call of the ledger.

use blackstart_core::journal::{Command, Direction};

use crate::CutoverError;
use crate::tests::scenario::{Ending, Fault, Scenario, third_party};

/// How often the definition retries a task that certainly had no effect.
const RETRIES: u32 = 6;

/// What a fault may be followed by: all done, or all given back.
async fn assert_all_or_nothing(scenario: &Scenario, ending: &Ending, what: &str) {
    match ending {
        Ending::Recovered => scenario.assert_recovered().await,
        Ending::GivenBack => scenario.assert_clean_slate().await,
        Ending::Operator(_) | Ending::Abandoned | Ending::GoesRound => panic!("{what}: {ending:?}"),
    }
}

/// Effects of a cutover in which nothing fails.
async fn effects(expand: bool) -> usize {
    let clean = Scenario::new(expand);
    assert_eq!(clean.drive("exec-1").await, Ending::Recovered);
    clean.effects()
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_at_any_node_unwinds_to_a_clean_slate_and_unwinding_again_does_nothing() {
    for expand in [false, true] {
        for at in 0..effects(expand).await {
            let scenario = Scenario::new(expand);
            // Every operation of the way there and back is delivered twice.
            scenario.repeat_every_operation();
            scenario.fault_at(at, Fault::Refused);
            assert_eq!(scenario.drive("exec-1").await, Ending::GivenBack, "node {at}");
            scenario.assert_clean_slate().await;

            let (effects, writes) = (scenario.effects(), scenario.writes());
            scenario.revert_every_step_again().await;
            assert_eq!(
                (scenario.effects(), scenario.writes()),
                (effects, writes),
                "node {at}"
            );
            assert_eq!(scenario.journal().await.next(), Command::GivenBack);
            scenario.assert_clean_slate().await;
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_crash_or_a_lost_reply_at_any_effect_of_the_unwinding_changes_nothing_about_its_end() {
    for expand in [false, true] {
        let last = effects(expand).await - 1;
        let whole = Scenario::new(expand);
        whole.fault_at(last, Fault::Refused);
        assert_eq!(whole.drive("exec-1").await, Ending::GivenBack);
        let end = whole.effects();
        assert!(end > last + 4, "the unwinding has effects of its own");
        for at in last + 1..end {
            for fault in [
                Fault::CrashBeforeEffect,
                Fault::CrashAfterEffect,
                Fault::ReplyLostBeforeEffect,
                Fault::ReplyLostAfterEffect,
                Fault::Throttled,
            ] {
                let scenario = Scenario::new(expand);
                scenario.fault_at(last, Fault::Refused);
                scenario.fault_at(at, fault);
                let ending = scenario.drive("exec-1").await;
                assert_eq!(ending, Ending::GivenBack, "{fault:?} at effect {at}");
                scenario.assert_clean_slate().await;
            }
        }
    }
}

async fn crashes_at_ledger_calls(every: usize) {
    let clean = Scenario::new(true);
    assert_eq!(clean.drive("exec-1").await, Ending::Recovered);
    let calls = clean.ledger_calls();
    assert!(calls > 150, "{calls}");
    for (which, call) in (0..calls).step_by(every).enumerate() {
        let scenario = Scenario::new(true);
        scenario.die_at_ledger_call(call, which % 2 == 0);
        let ending = scenario.drive("exec-1").await;
        // Whoever dies before the journal was opened has begun nothing.
        let begun = scenario.records().count("JOURNAL#") > 0;
        let wanted = if begun {
            Ending::Recovered
        } else {
            Ending::GivenBack
        };
        assert_eq!(ending, wanted, "call {call}");
        assert_all_or_nothing(&scenario, &ending, "a crash at a call of the ledger").await;
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_crash_at_a_call_of_the_ledger_changes_nothing_about_the_end() {
    // A prime, so that every kind of call is met in time.
    crashes_at_ledger_calls(11).await;
}

#[tokio::test(flavor = "current_thread")]
#[ignore = "takes a minute: run it with `cargo test -p cutover -- --ignored`"]
async fn a_crash_at_any_call_of_the_ledger_changes_nothing_about_the_end() {
    crashes_at_ledger_calls(1).await;
}

#[tokio::test(flavor = "current_thread")]
async fn another_execution_finishes_what_one_left_behind_at_any_effect() {
    for expand in [false, true] {
        for at in 0..effects(expand).await {
            for fault in [Fault::CrashBeforeEffect, Fault::CrashAfterEffect] {
                let scenario = Scenario::new(expand);
                scenario.fault_at(at, fault);
                assert!(!scenario.drive_until_it_dies("exec-1").await);
                // The lease of the dead one runs out.
                scenario.let_minutes_pass(6);
                let ending = scenario.drive("exec-2").await;
                assert_eq!(ending, Ending::Recovered, "{fault:?} at {at}");
                scenario.assert_recovered().await;
            }
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn two_executions_that_interleave_in_any_way_end_as_one() {
    for seed in 0..24 {
        let scenario = Scenario::new(seed % 2 == 0);
        scenario.interleave(seed);
        let (one, other) = tokio::join!(scenario.drive("exec-1"), scenario.drive("exec-2"));
        for ending in [&one, &other] {
            assert!(!matches!(ending, Ending::Operator(_)), "seed {seed}: {ending:?}");
        }
        match scenario.journal().await.direction() {
            Some(Direction::Back) => scenario.assert_clean_slate().await,
            Some(Direction::Forward) | None => scenario.assert_recovered().await,
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_storm_of_throttling_is_waited_out_or_given_up_without_a_loss() {
    for expand in [false, true] {
        for from in (0..effects(expand).await).step_by(4) {
            let short = Scenario::new(expand);
            short.retry(RETRIES);
            short.faults_from(from, 5, Fault::Throttled);
            assert_eq!(short.drive("exec-1").await, Ending::Recovered, "from {from}");
            short.assert_recovered().await;

            // Nothing gets through any more, not even an undo: a person is called, and nothing is lost.
            let endless = Scenario::new(expand);
            endless.retry(RETRIES);
            endless.faults_from(from, 10_000, Fault::Throttled);
            let ending = endless.drive("exec-1").await;
            endless.no_more_faults();
            let ending = if matches!(ending, Ending::Operator(_)) {
                endless.operator("Operator.Resume").await
            } else {
                ending
            };
            assert_eq!(ending, Ending::GivenBack, "from {from}");
            endless.assert_clean_slate().await;
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_document_that_somebody_else_changes_at_any_moment_is_left_as_it_is() {
    for expand in [false, true] {
        for after in 0..effects(expand).await {
            for which in 0..Scenario::DOCUMENTS {
                let scenario = Scenario::new(expand);
                let slot = scenario.slots().remove(which);
                scenario.edit_after(after, &slot);
                let ending = scenario.drive("exec-1").await;
                let what = format!("document {which} after effect {after}: {ending:?}");
                assert_eq!(scenario.live(&slot), third_party(), "{what}");
                assert_ne!(ending, Ending::Recovered, "{what}");
                // A person finds out who it was and undoes it.
                scenario.edit(&slot, scenario.before(&slot));
                if matches!(ending, Ending::Operator(_)) {
                    let ending = scenario.operator("Operator.Resume").await;
                    assert_all_or_nothing(&scenario, &ending, &what).await;
                } else {
                    scenario.assert_clean_slate().await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn records_that_somebody_else_changes_at_any_moment_are_left_as_they_are() {
    for expand in [false, true] {
        for after in 0..effects(expand).await {
            let scenario = Scenario::new(expand);
            scenario.retarget_after(after);
            let ending = scenario.drive("exec-1").await;
            assert_ne!(ending, Ending::Recovered, "after effect {after}");
            assert!(scenario.is_retargeted(), "after effect {after}: {ending:?}");
            scenario.restore_records();
            if matches!(ending, Ending::Operator(_)) {
                let ending = scenario.operator("Operator.Resume").await;
                let what = format!("after effect {after}");
                assert_all_or_nothing(&scenario, &ending, &what).await;
            } else {
                scenario.assert_clean_slate().await;
            }
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_undo_that_fails_at_any_step_calls_the_operator_and_is_finished_when_told() {
    for expand in [false, true] {
        let last = effects(expand).await - 1;
        let whole = Scenario::new(expand);
        whole.fault_at(last, Fault::Refused);
        whole.drive("exec-1").await;
        for at in last + 1..whole.effects() {
            let scenario = Scenario::new(expand);
            scenario.fault_at(last, Fault::Refused);
            scenario.fault_at(at, Fault::Refused);
            let ending = scenario.drive("exec-1").await;
            let Ending::Operator(reason) = ending else {
                panic!("undo {at}: {ending:?}");
            };
            assert!(reason.contains("undo"), "{reason}");
            assert_eq!(
                scenario.operator("Operator.Resume").await,
                Ending::GivenBack,
                "undo {at}"
            );
            scenario.assert_clean_slate().await;
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_finished_cutover_is_turned_back_by_a_person_through_any_crash() {
    let whole = Scenario::new(true);
    assert_eq!(whole.drive("exec-1").await, Ending::Recovered);
    let forward = whole.effects();
    assert_eq!(whole.operator("Operator.Revert").await, Ending::GivenBack);
    for at in forward..whole.effects() {
        let scenario = Scenario::new(true);
        assert_eq!(scenario.drive("exec-1").await, Ending::Recovered);
        scenario.fault_at(at, Fault::CrashAfterEffect);
        assert_eq!(
            scenario.operator("Operator.Revert").await,
            Ending::GivenBack,
            "effect {at}"
        );
        scenario.assert_clean_slate().await;
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_error_that_never_goes_away_is_given_back_by_whoever_asks_next() {
    let scenario = Scenario::new(true);
    scenario.plan_and_prepare().await;
    let lost = CutoverError::Foreign("the recovery account was closed".to_owned());
    assert_eq!(scenario.unwind(&lost).await, Ending::GivenBack);
    // A redrive of the execution asks again.
    assert_eq!(scenario.unwind(&lost).await, Ending::GivenBack);
    scenario.assert_clean_slate().await;
}
