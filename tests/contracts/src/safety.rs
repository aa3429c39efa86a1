//! What must hold of the state machines although every single state is well-formed.

use std::collections::BTreeSet;

use blackstart_core::error_name::ErrorName;
use serde_json::Value;
use strum::IntoEnumIterator as _;

use crate::asl::{self, Machine};
use crate::operations;

/// Operations that change something outside Blackstart's own records.
const EFFECTS: [(&str, &str); 16] = [
    ("approval", "ask_team"),
    ("cutover", "apply"),
    ("cutover", "contain"),
    ("cutover", "prepare_traffic"),
    ("cutover", "probe"),
    ("cutover", "revert"),
    ("cutover", "shift_traffic"),
    ("rebuild", "advance"),
    ("rebuild", "clean_up"),
    ("restore", "adopt"),
    ("restore", "clean_up"),
    ("restore", "start"),
    ("rotation", "clean_up"),
    ("rotation", "rotate"),
    ("validation", "clean_up"),
    ("validation", "start"),
];

/// Operations that only look, compute, or write Blackstart's own records.
const OBSERVATIONS: [(&str, &str); 37] = [
    ("approval", "ask"),
    ("approval", "expire"),
    ("approval", "poll_team"),
    ("approval", "prepare"),
    ("approval", "prepare_second"),
    ("cutover", "ask_operator"),
    ("cutover", "await_sync"),
    ("cutover", "next"),
    ("cutover", "plan"),
    ("cutover", "precheck"),
    ("cutover", "verify"),
    ("intake", "close"),
    ("intake", "open"),
    ("rebuild", "check"),
    ("rebuild", "detect_drift"),
    ("rebuild", "preflight"),
    ("references", "inventory"),
    ("references", "merge"),
    ("references", "siblings"),
    ("report", "export"),
    ("report", "interim"),
    ("report", "seal"),
    ("report", "write"),
    ("restore", "poll"),
    ("restore", "verify"),
    ("timeline", "again"),
    ("timeline", "collect"),
    ("timeline", "merge"),
    ("timeline", "revise"),
    ("timeline", "scan"),
    ("timeline", "trace"),
    ("validation", "candidates"),
    ("validation", "judge"),
    ("validation", "next"),
    ("validation", "poll"),
    ("validation", "select"),
    ("validation", "wait"),
];

/// Whether a state asks for an effect.
pub(crate) fn is_effect(machine: &Machine, index: usize) -> bool {
    machine.states[index].call().is_some_and(|call| {
        let operation = call.operation().unwrap_or("");
        EFFECTS.contains(&(call.function.as_str(), operation))
    })
}

/// Effects behind the gate: the ones that must not be left half done.
fn is_effect_behind_the_gate(machine: &Machine, index: usize) -> bool {
    let state = &machine.states[index];
    let nested_cutover =
        state.definition.to_string().contains("${CutoverStateMachine}") && state.kind() == "Task";
    nested_cutover
        || (is_effect(machine, index)
            && state
                .call()
                .is_some_and(|call| matches!(call.function.as_str(), "restore" | "rotation" | "cutover")))
}

#[test]
fn every_operation_is_an_effect_or_an_observation() {
    let mut sorted: Vec<(String, String)> = EFFECTS
        .iter()
        .chain(&OBSERVATIONS)
        .map(|(function, operation)| ((*function).to_owned(), (*operation).to_owned()))
        .collect();
    sorted.sort();
    let known: Vec<_> = operations::all().into_keys().collect();
    assert_eq!(sorted, known);
}

/// The name under which an execution ends that failed before its gate. It is seen by people, not by a `Catch`.
const END_BEFORE_THE_GATE: &str = "Recovery.Failed";

/// Every `Recovery.…` of a definition, wherever it stands.
fn recovery_names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.starts_with("Recovery.") => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| recovery_names(item, found)),
        Value::Object(entries) => entries.values().for_each(|item| recovery_names(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_machines_use_the_error_names_of_the_code() {
    let known: BTreeSet<String> = ErrorName::iter().map(|name| name.as_str().to_owned()).collect();
    for machine in asl::all() {
        let mut used = BTreeSet::new();
        recovery_names(&serde_json::from_str(&machine.text).unwrap(), &mut used);
        used.remove(END_BEFORE_THE_GATE);
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", machine.name);
    }
}

/// Whether an error of this name, raised in this state, is caught there or by a state that holds it.
fn is_caught(machine: &Machine, index: usize, name: &str) -> bool {
    let mut current = Some(index);
    while let Some(index) = current {
        let caught = machine.states[index].caught();
        if caught.contains(name) || caught.contains("States.ALL") {
            return true;
        }
        current = machine.scopes[machine.states[index].scope].holder;
    }
    false
}

/// The validation machine is nested, and what it does not catch itself is caught where it is started.
#[test]
fn every_error_of_a_function_is_caught() {
    for machine in asl::all().iter().filter(|machine| machine.name != "validation") {
        for (index, state) in machine.states.iter().enumerate() {
            if state.call().is_some() || state.definition.to_string().contains("${ValidationStateMachine}") {
                for name in ErrorName::iter() {
                    assert!(
                        is_caught(machine, index, name.as_str()),
                        "{}: {name:?}",
                        machine.label(index)
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_transient_is_tried_again() {
    for machine in asl::all() {
        for (index, state) in machine.states.iter().enumerate() {
            if state.call().is_some() {
                let retried = state.retried();
                assert!(
                    retried.contains(ErrorName::Transient.as_str()) || state.waits_for_token(),
                    "{}",
                    machine.label(index)
                );
                for name in ErrorName::iter().filter(|name| *name != ErrorName::Transient) {
                    assert!(
                        !retried.contains(name.as_str()),
                        "{} retries {name:?}",
                        machine.label(index)
                    );
                }
            }
        }
    }
}

#[test]
fn no_effect_is_retried_blindly() {
    for machine in asl::all() {
        for index in 0..machine.states.len() {
            let retried = machine.states[index].retried();
            let mut blind = vec!["States.ALL", "States.TaskFailed"];
            // Behind the gate a lost answer is verified, not tried again.
            if is_effect_behind_the_gate(&machine, index) {
                blind.extend(["States.Timeout", "Lambda.Unknown"]);
            }
            let wrong: Vec<_> = blind.iter().filter(|name| retried.contains(**name)).collect();
            assert!(
                !is_effect(&machine, index) || wrong.is_empty(),
                "{} retries {wrong:?}",
                machine.label(index)
            );
        }
    }
}

#[test]
fn every_retry_is_bounded_and_spread() {
    for machine in asl::all() {
        for (index, state) in machine.states.iter().enumerate() {
            for retry in state.definition["Retry"].as_array().into_iter().flatten() {
                let label = machine.label(index);
                let attempts = retry["MaxAttempts"].as_u64();
                assert!(
                    attempts.is_some_and(|attempts| attempts <= 10),
                    "{label}: {retry}"
                );
                assert!(
                    attempts == Some(0) || retry["MaxDelaySeconds"].is_u64(),
                    "{label}: {retry}"
                );
                assert!(
                    attempts == Some(0) || retry["JitterStrategy"] == "FULL",
                    "{label}: {retry}"
                );
            }
        }
    }
}

#[test]
fn every_task_has_a_timeout() {
    for machine in asl::all() {
        for (index, state) in machine.states.iter().enumerate() {
            let timeout = &state.definition["TimeoutSeconds"];
            assert!(
                state.kind() != "Task" || timeout.is_u64() || timeout.is_string(),
                "{} waits without end",
                machine.label(index)
            );
        }
    }
}

#[test]
fn every_wait_for_a_token_expires_into_a_state() {
    let mut waits = 0;
    for machine in asl::all() {
        for (index, state) in machine.states.iter().enumerate() {
            if state.waits_for_token() {
                waits += 1;
                let caught = state.caught();
                for name in ["States.Timeout", "States.HeartbeatTimeout"] {
                    assert!(
                        caught.contains(name),
                        "{} does not catch {name}",
                        machine.label(index)
                    );
                }
            }
        }
    }
    assert!(waits >= 2, "the gate and the operator: found {waits}");
}

/// A machine that is half done may not fail: from the first effect behind the gate until the conclusion is known,
/// whatever goes wrong is caught, and what catches it leads to an undo or to an operator, not to the end.
#[test]
fn nothing_fails_while_half_done() {
    let mut looked_at = 0;
    for machine in asl::all() {
        let effects = (0..machine.states.len()).filter(|index| is_effect_behind_the_gate(&machine, *index));
        let settled = |index: usize| {
            let call = machine.states[index].call();
            call.is_some_and(|call| call.function == "report" && call.operation() == Some("write"))
        };
        for index in machine.reachable(effects, settled) {
            if settled(index) {
                continue;
            }
            looked_at += 1;
            let state = &machine.states[index];
            let label = machine.label(index);
            assert_ne!(
                state.kind(),
                "Fail",
                "{label} ends an execution that is half done"
            );
            let can_fail = matches!(state.kind(), "Task" | "Parallel" | "Map");
            assert!(
                !can_fail || is_caught(&machine, index, "States.ALL"),
                "{label} can fail an execution that is half done"
            );
        }
    }
    assert!(looked_at > 20, "{looked_at}");
}

/// Whoever reads that a wait came to its end learns which one it was.
#[test]
fn the_end_of_every_counted_wait_has_a_cause_of_its_own() {
    for machine in asl::all() {
        let mut ends = BTreeSet::new();
        for (index, state) in machine.states.iter().enumerate() {
            for choice in state.definition["Choices"].as_array().into_iter().flatten() {
                let counted = choice["Condition"]
                    .as_str()
                    .is_some_and(|condition| condition.contains("_polls >="));
                // One bound for the stacks and their comparison, and its cause says so.
                if counted && choice["Next"] != "Rebuild took too long" {
                    let end = choice["Next"].as_str().unwrap().to_owned();
                    assert!(ends.insert(end), "{}: shares its end", machine.label(index));
                }
            }
        }
    }
}
