//! The journal against a small world, and rule by rule.

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use self::world::{Value, digest, opened, resume, run, scenario, steps};
use super::*;

mod world;

proptest! {
    #![proptest_config(Config { cases: 256, ..Config::default() })]

    #[test]
    fn a_cutover_ends_all_done_or_all_given_back(scenario in scenario()) {
        run(&scenario, StepState::needs_undo)?;
    }
}

#[test]
fn leaving_out_steps_of_unknown_outcome_from_the_undo_is_noticed() {
    fn only_what_is_known(state: StepState) -> bool {
        state.needs_undo() && state != StepState::Intended
    }
    let mut runner = TestRunner::new(Config {
        cases: 4_096,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    });
    let outcome = runner.run(&scenario(), |scenario| run(&scenario, only_what_is_known));
    assert!(
        outcome.is_err(),
        "the property holds without the rule: it tests nothing"
    );
}

fn replay(events: &[Event]) -> Result<Journal, IllegalEvent> {
    let mut journal = Journal::new(&steps(4));
    for event in events {
        journal.record(event)?;
    }
    Ok(journal)
}

fn intent(step: &str) -> Event {
    Event::Intent {
        step: step.to_owned(),
        before: digest(Value::Before),
        after: digest(Value::After),
    }
}

fn applied(step: &str) -> Event {
    Event::Applied {
        step: step.to_owned(),
    }
}

fn verified(step: &str) -> Event {
    Event::Verified {
        step: step.to_owned(),
    }
}

fn failed(id: &str, error: &str) -> Event {
    Event::Failed {
        id: id.to_owned(),
        failure: Failure {
            error: error.to_owned(),
            cause: String::new(),
        },
    }
}

const BACK: Event = Event::Direction {
    direction: Direction::Back,
};

#[test]
fn undo_goes_backwards_by_first_intent_and_includes_what_is_unknown() {
    let mut journal = replay(&[
        opened(),
        intent("s1"),
        applied("s1"),
        intent("s0"),
        failed("1", "Recovery.PolicyRefused"),
    ])
    .unwrap();
    assert_eq!(journal.next(), Command::Decide(Direction::Back));
    journal.record(&BACK).unwrap();
    for step in ["s0", "s1"] {
        assert_eq!(journal.next(), Command::Revert(step.to_owned()));
        let step = step.to_owned();
        journal
            .record(&Event::RevertIntent { step: step.clone() })
            .unwrap();
        journal.record(&Event::Reverted { step }).unwrap();
    }
    assert_eq!(journal.next(), Command::GivenBack);
}

#[test]
fn a_verified_contract_turns_every_failure_into_forward() {
    let mut journal = replay(&[
        opened(),
        intent("s3"),
        applied("s3"),
        verified("s3"),
        failed("1", "Recovery.PolicyRefused"),
    ])
    .unwrap();
    assert_eq!(
        journal.record(&BACK),
        Err(IllegalEvent::WrongDirection(Direction::Back))
    );
    assert_eq!(journal.next(), Command::Decide(Direction::Forward));
    journal
        .record(&Event::Direction {
            direction: Direction::Forward,
        })
        .unwrap();
    assert_eq!(
        journal.record(&BACK),
        Err(IllegalEvent::DirectionDecided(Direction::Forward))
    );
    assert_eq!(journal.next(), Command::Resume);
}

#[test]
fn unclear_outcomes_are_resumed_within_a_budget_and_then_given_back() {
    let mut journal = replay(&[opened(), intent("s0")]).unwrap();
    for i in 0..RESUME_BUDGET {
        journal
            .record(&failed(&i.to_string(), "Runtime.ExitError"))
            .unwrap();
        assert_eq!(journal.next(), Command::Resume, "attempt {i}");
    }
    journal.record(&failed("last", "Runtime.ExitError")).unwrap();
    assert_eq!(journal.next(), Command::Decide(Direction::Back));

    journal.record(&applied("s0")).unwrap();
    assert_eq!(journal.next(), Command::Resume, "progress gives a new budget");
}

#[test]
fn an_executor_that_was_overtaken_cannot_record_an_intent() {
    let journal = replay(&[
        opened(),
        intent("s0"),
        failed("1", "Recovery.Defect"),
        BACK,
        intent("s1"),
    ]);
    assert!(
        matches!(journal, Err(IllegalEvent::OutOfOrder { .. })),
        "{journal:?}"
    );
}

#[test]
fn what_was_found_as_wanted_is_not_undone() {
    let mut journal = replay(&[opened(), applied("s0"), failed("1", "Recovery.Defect")]).unwrap();
    journal.record(&BACK).unwrap();
    assert_eq!(journal.next(), Command::GivenBack);
}

#[test]
fn an_undo_that_fails_calls_the_operator_and_goes_on_when_told() {
    let mut journal = replay(&[
        opened(),
        intent("s0"),
        failed("1", "Recovery.Defect"),
        BACK,
        Event::RevertIntent {
            step: "s0".to_owned(),
        },
        Event::RevertFailed {
            step: "s0".to_owned(),
            reason: "access denied".to_owned(),
        },
    ])
    .unwrap();
    assert!(matches!(journal.next(), Command::CallOperator { .. }));
    journal.record(&resume("2")).unwrap();
    assert_eq!(journal.next(), Command::Revert("s0".to_owned()));
}

#[test]
fn a_gap_or_a_doubled_entry_is_refused() {
    let entry = |sequence| Entry {
        sequence,
        at: Timestamp::UNIX_EPOCH,
        by: "x".to_owned(),
        spent: crate::cutover::rate::Spent::default(),
        event: opened(),
    };
    assert!(Journal::replay(&steps(4), &[entry(1)]).is_ok());
    assert_eq!(
        Journal::replay(&steps(4), &[entry(1), entry(1)]),
        Err(IllegalEvent::Gap {
            expected: 2,
            found: 1
        })
    );
    assert_eq!(
        Journal::replay(&steps(4), &[entry(2)]),
        Err(IllegalEvent::Gap {
            expected: 1,
            found: 2
        })
    );
}

#[test]
fn entries_recorded_by_the_first_version_still_replay() {
    let recorded = include_str!("recorded.jsonl");
    let entries: Vec<Entry> = recorded
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let journal = Journal::replay(&steps(4), &entries).unwrap();
    assert_eq!(journal.next(), Command::Revert("s0".to_owned()));
}
