//! Whole cutovers against a world in memory, with every fault at every call.

mod certificates;
mod saga;
mod scenario;
mod weighted;

use blackstart_core::error_name::{ErrorName, StageError as _};
use blackstart_core::journal::{Command, Direction, StepState};
use blackstart_core::references::Slot;
use blackstart_core::task::Progress;
use blackstart_core::task::cutover::{Next, Phase};

use crate::CutoverError;
use crate::tests::scenario::{Ending, Fault, Scenario, next_scattered, third_party};

fn both() -> [Scenario; 2] {
    [Scenario::new(false), Scenario::new(true)]
}

#[tokio::test(flavor = "current_thread")]
async fn a_cutover_without_faults_ends_with_the_old_account_shut_out() {
    for scenario in both() {
        assert_eq!(scenario.drive("exec-1").await, Ending::Recovered);
        scenario.assert_recovered().await;
    }
}

#[tokio::test(flavor = "current_thread")]
async fn every_operation_twice_is_once() {
    for scenario in both() {
        scenario.repeat_every_operation();
        assert_eq!(scenario.drive("exec-1").await, Ending::Recovered);
        scenario.assert_recovered().await;
        let writes = scenario.writes();
        assert_eq!(scenario.drive("exec-1").await, Ending::Recovered);
        assert_eq!(scenario.writes(), writes, "a second pass writes nothing");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_fault_at_any_effect_ends_all_done_or_all_given_back() {
    for expand in [false, true] {
        let clean = Scenario::new(expand);
        clean.drive("exec-1").await;
        let effects = clean.effects();
        assert!(effects > 6, "{effects}");
        for at in 0..effects {
            for fault in [
                Fault::Refused,
                Fault::Throttled,
                Fault::ReplyLostAfterEffect,
                Fault::ReplyLostBeforeEffect,
                Fault::CrashBeforeEffect,
                Fault::CrashAfterEffect,
            ] {
                let scenario = Scenario::new(expand);
                scenario.fault_at(at, fault);
                let ending = scenario.drive("exec-1").await;
                match ending {
                    Ending::Recovered => scenario.assert_recovered().await,
                    Ending::GivenBack => scenario.assert_clean_slate().await,
                    Ending::Operator(_) | Ending::Abandoned | Ending::GoesRound => {
                        panic!("{fault:?} at {at}: {ending:?}")
                    }
                }
                let refused = fault == Fault::Refused;
                assert_eq!(
                    ending == Ending::GivenBack,
                    refused,
                    "{fault:?} at {at}: {ending:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_ledger_that_fails_at_any_call_changes_nothing_about_the_end() {
    for at in (0..120).step_by(3) {
        let scenario = Scenario::new(true);
        scenario.records().fail((0..=at).map(|call| call == at));
        assert_eq!(scenario.drive("exec-1").await, Ending::Recovered, "call {at}");
        scenario.assert_recovered().await;
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_crash_between_write_and_journal_is_resumed_without_a_second_write() {
    let scenario = Scenario::new(false);
    // The nonce and the health check come first.
    scenario.fault_at(2, Fault::CrashAfterEffect);
    assert_eq!(scenario.drive("exec-1").await, Ending::Recovered);
    assert_eq!(scenario.writes(), Scenario::DOCUMENTS);
    scenario.assert_recovered().await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_somebody_else_changed_is_left_alone_and_the_rest_is_given_back() {
    for at in 0..Scenario::DOCUMENTS {
        let scenario = Scenario::new(false);
        let slot = scenario.plan_and_prepare().await.remove(at);
        scenario.edit(&slot, third_party());
        let error = scenario.apply_all(Phase::Expand).await.unwrap_err();
        assert_eq!(error.name(), ErrorName::PreconditionChanged);
        assert_eq!(scenario.unwind(&error).await, Ending::GivenBack);
        assert_eq!(scenario.live(&slot), third_party());
        scenario.edit(&slot, scenario.before(&slot));
        scenario.assert_clean_slate().await;
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_edit_after_our_write_calls_the_operator_who_puts_it_right() {
    let scenario = Scenario::new(false);
    let slots = scenario.plan_and_prepare().await;
    scenario.apply_all(Phase::Expand).await.unwrap();
    let slot: &Slot = slots.first().unwrap();
    scenario.edit(slot, third_party());
    let error = scenario.verify(Phase::Expand).await.unwrap_err();
    assert!(matches!(error, CutoverError::Drifted(_)));
    let Ending::Operator(reason) = scenario.unwind(&error).await else {
        panic!("nobody was called");
    };
    assert!(reason.contains("somebody else"), "{reason}");
    assert_eq!(scenario.live(slot), third_party());

    scenario.edit(slot, scenario.before(slot));
    assert_eq!(scenario.operator("Operator.Resume").await, Ending::GivenBack);
    scenario.assert_clean_slate().await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_undo_that_fails_calls_the_operator_and_is_tried_again_when_told() {
    let scenario = Scenario::new(false);
    scenario.plan_and_prepare().await;
    scenario.apply_all(Phase::Expand).await.unwrap();
    scenario.fault_next(Fault::Refused);
    let refused = CutoverError::Foreign("the new environment never serves".to_owned());
    assert!(matches!(scenario.unwind(&refused).await, Ending::Operator(_)));
    assert_eq!(scenario.operator("Operator.Resume").await, Ending::GivenBack);
    scenario.assert_clean_slate().await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_operator_can_turn_a_finished_cutover_back() {
    let scenario = Scenario::new(true);
    assert_eq!(scenario.drive("exec-1").await, Ending::Recovered);
    assert_eq!(scenario.operator("Operator.Revert").await, Ending::GivenBack);
    scenario.assert_clean_slate().await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_old_account_is_cut_off_before_anything_else_and_last_of_all_let_in_again() {
    let scenario = Scenario::new(true);
    scenario.contain().await.unwrap();
    assert!(scenario.contained());
    assert_eq!(
        (scenario.effects(), scenario.writes()),
        (1, 0),
        "nothing else has happened"
    );
    scenario.plan_and_prepare().await;
    scenario.apply_all(Phase::Expand).await.unwrap();
    let refused = CutoverError::Foreign("the new environment never serves".to_owned());
    assert_eq!(scenario.unwind(&refused).await, Ending::GivenBack);
    let journal = scenario.journal().await;
    assert!(
        journal
            .states()
            .all(|(_, state)| matches!(state, StepState::Reverted | StepState::Planned))
    );
    scenario.assert_clean_slate().await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_policy_that_was_attached_before_is_not_ours_to_detach() {
    let scenario = Scenario::new(true);
    scenario.quarantine(None, true);
    scenario.contain().await.unwrap();
    assert_eq!(scenario.effects(), 0);
    scenario.plan_and_prepare().await;
    let refused = CutoverError::Foreign("refused".to_owned());
    assert_eq!(scenario.unwind(&refused).await, Ending::GivenBack);
    assert!(scenario.contained());
}

#[tokio::test(flavor = "current_thread")]
async fn a_policy_that_contains_nobody_stops_everything_before_it_begins() {
    let scenario = Scenario::new(true);
    scenario.quarantine(
        Some(r#"{"Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}"#),
        false,
    );
    let error = scenario.contain().await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PolicyRefused, "{error}");
    assert_eq!(scenario.drive("exec-1").await, Ending::GivenBack);
    assert_eq!(scenario.effects(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn giving_up_is_journalled_with_its_reason_and_leaves_everything_as_it_is() {
    let scenario = Scenario::new(false);
    scenario.plan_and_prepare().await;
    scenario.apply_all(Phase::Expand).await.unwrap();
    let writes = scenario.writes();
    assert_eq!(scenario.operator("Operator.Abandon").await, Ending::Abandoned);
    assert_eq!(scenario.writes(), writes);
    assert!(
        scenario.records().dump().contains("the cause is removed"),
        "the rationale is in the journal"
    );
    // Whoever begins again changes nothing before a person has decided how.
    assert!(matches!(scenario.drive("exec-2").await, Ending::Operator(_)));
    assert_eq!(scenario.writes(), writes);
    assert_eq!(scenario.operator("Operator.Revert").await, Ending::GivenBack);
    scenario.assert_clean_slate().await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_after_a_verified_contract_goes_forward() {
    let scenario = Scenario::new(true);
    assert_eq!(scenario.drive("exec-1").await, Ending::Recovered);
    let failure = CutoverError::Foreign("the report failed".to_owned());
    assert_eq!(scenario.next(&failure).await, Next::Resume {});
    let journal = scenario.journal().await;
    assert_eq!(journal.direction(), Some(Direction::Forward));
    assert_eq!(journal.next(), Command::Resume);
}

#[tokio::test(flavor = "current_thread")]
async fn two_executions_at_once_end_as_one() {
    for expand in [false, true] {
        let scenario = Scenario::new(expand);
        let (one, other) = tokio::join!(scenario.drive("exec-1"), scenario.drive("exec-2"));
        let endings = [&one, &other];
        if endings.contains(&&Ending::Recovered) && !endings.contains(&&Ending::GivenBack) {
            scenario.assert_recovered().await;
        } else {
            scenario.assert_clean_slate().await;
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_happens_without_an_approval_of_exactly_this_package() {
    let scenario = Scenario::new(false);
    for spoil in 0..3 {
        let scenario = Scenario::new(false);
        match spoil {
            0 => scenario.unapprove().await,
            1 => scenario.swap_package(),
            _ => scenario.move_boundary().await,
        }
        let error = scenario.plan().await.unwrap_err();
        let expected = [ErrorName::PolicyRefused, ErrorName::PreconditionChanged];
        assert!(expected.contains(&error.name()), "{error}");
        assert_eq!(scenario.writes(), 0);
    }
    scenario.plan_and_prepare().await;
    scenario.unapprove().await;
    assert!(scenario.apply_all(Phase::Expand).await.is_err());
    assert_eq!(scenario.writes(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn an_approval_that_lapses_half_way_leaves_nothing_half_done() {
    let late = Scenario::new(false);
    late.let_days_pass(3);
    assert_eq!(late.plan().await.unwrap_err().name(), ErrorName::PolicyRefused);
    let lapsed = CutoverError::Foreign("lapsed".to_owned());
    assert_eq!(late.next(&lapsed).await, Next::GivenBack {});

    let begun = Scenario::new(false);
    begun.plan_and_prepare().await;
    begun.let_days_pass(3);
    assert_eq!(begun.drive("exec-1").await, Ending::Recovered);
    begun.assert_recovered().await;
}

#[tokio::test(flavor = "current_thread")]
async fn traffic_waits_for_checkers_and_for_our_own_look() {
    let scenario = Scenario::new(false);
    scenario.plan_and_prepare().await;
    let progress = scenario.probe().await.unwrap();
    assert!(
        progress.observed.contains("published now"),
        "the check was seen to fail first: {progress:?}"
    );
    scenario.serve_nonce(false);
    assert_eq!(scenario.probe().await.unwrap().progress, Progress::Running);
    scenario.serve_nonce(true);
    assert_eq!(scenario.probe().await.unwrap().progress, Progress::Done);
}

#[tokio::test(flavor = "current_thread")]
async fn a_check_that_was_never_seen_to_fail_moves_nothing() {
    let scenario = Scenario::new(false);
    scenario.checkers_are_content_with_anything();
    scenario.plan_and_prepare().await;
    for _ in 0..5 {
        let progress = scenario.probe().await.unwrap();
        assert_eq!(progress.progress, Progress::Running);
        assert!(progress.observed.contains("are content although"), "{progress:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn every_authoritative_server_is_asked_and_the_old_answers_are_waited_out() {
    let scenario = Scenario::new(false);
    scenario.plan_and_prepare().await;
    scenario.silence(Some("ns-2.example.net"));
    let progress = scenario.shift_and_ask().await.unwrap();
    assert_eq!(progress.progress, Progress::Running);
    assert!(progress.observed.starts_with("ns-2.example.net"), "{progress:?}");
    scenario.silence(None);
    let progress = scenario.shift_and_ask().await.unwrap();
    assert_eq!(progress.progress, Progress::Done);
    assert_eq!(progress.wait_seconds, 300, "as long as the old record lived");
}

#[tokio::test(flavor = "current_thread")]
async fn the_operator_is_told_what_is_open_and_the_token_is_nowhere() {
    let scenario = Scenario::new(false);
    scenario.plan_and_prepare().await;
    scenario.apply_all(Phase::Expand).await.unwrap();
    scenario.ask_operator("the-secret-token").await.unwrap();
    let told = scenario.told();
    assert!(
        told.contains("5 applied") && told.contains("next: go on forward"),
        "{told}"
    );
    assert!(!told.contains("the-secret-token"));
    assert!(!scenario.records().dump().contains("the-secret-token"));
}

#[tokio::test(flavor = "current_thread")]
async fn a_crowd_of_accounts_writes_one_journal() {
    let scenario = Scenario::new(false);
    scenario.plan_and_prepare().await;
    scenario.apply_all_at_once(Phase::Expand).await;
    let journal = scenario.journal().await;
    let applied = journal
        .states()
        .filter(|(_, state)| *state == StepState::Applied)
        .count();
    assert_eq!(applied, Scenario::DOCUMENTS + 1, "and the health check");
}

fn scattered(seed: u64) -> impl Iterator<Item = usize> {
    let step = |number: &u64| Some(next_scattered(*number));
    std::iter::successors(step(&seed), step).map(|number| usize::try_from(number >> 40).unwrap())
}

async fn killed_by(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let scenario = Scenario::large(seed % 2 == 0);
        let mut numbers = scattered(seed);
        for _ in 0..3 {
            let (at, when) = (numbers.next().unwrap() % 60, numbers.next().unwrap());
            let fault = if when % 2 == 0 {
                Fault::CrashBeforeEffect
            } else {
                Fault::CrashAfterEffect
            };
            scenario.fault_at(at, fault);
        }
        assert_eq!(scenario.drive("exec-1").await, Ending::Recovered, "seed {seed}");
        scenario.assert_recovered().await;
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_seeded_killer_changes_nothing_about_the_end() {
    killed_by(0..4).await;
}

#[tokio::test(flavor = "current_thread")]
#[ignore = "takes half a minute: run it with `cargo test -p cutover -- --ignored`"]
async fn fifty_seeds_of_a_killer_end_in_the_same_state() {
    killed_by(0..50).await;
}
