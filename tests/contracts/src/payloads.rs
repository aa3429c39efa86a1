//! What the states send is what the functions read.

use std::collections::{BTreeMap, BTreeSet};

use blackstart_core::task::{StateContext, Task, report};
use schemars::schema_for;
use serde_json::Value;

use crate::asl::{self, Call};
use crate::operations;

fn calls(machines: &[asl::Machine]) -> Vec<(String, Call<'_>)> {
    machines
        .iter()
        .flat_map(|machine| {
            machine
                .states
                .iter()
                .enumerate()
                .filter_map(|(index, state)| Some((machine.label(index), state.call()?)))
        })
        .collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect()
}

#[test]
fn every_operation_of_a_state_exists_and_gets_its_fields() {
    let known = operations::all();
    let machines = asl::all();
    for (state, call) in calls(&machines) {
        let operation = call
            .operation()
            .unwrap_or_else(|| panic!("{state}: the operation must be written out"));
        let fields = known
            .get(&(call.function.clone(), operation.to_owned()))
            .unwrap_or_else(|| panic!("{state}: `{}` has no operation `{operation}`", call.function));
        let sent = keys(&call.payload["input"]);
        let missing: Vec<_> = fields.required.difference(&sent).collect();
        let unknown: Vec<_> = sent.difference(&fields.known).collect();
        assert!(
            missing.is_empty() && unknown.is_empty(),
            "{state}: {operation} lacks {missing:?} and has unknown {unknown:?}"
        );
    }
}

#[test]
fn every_operation_is_asked_for_by_a_state() {
    let asked = asl::operations(&asl::all());
    let unused: Vec<(String, String)> = operations::all()
        .into_keys()
        .filter(|operation| !asked.contains_key(operation))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn every_payload_is_a_task() {
    let schema = schema_for!(Task<report::Operation>).to_value();
    let task = keys(&schema["properties"]);
    let context = schema_for!(StateContext).to_value();
    let machines = asl::all();
    for (state, call) in calls(&machines) {
        let sent = keys(call.payload);
        assert!(sent.is_subset(&task), "{state}: {sent:?}");
        assert!(
            sent.contains("context") && sent.contains("input"),
            "{state}: {sent:?}"
        );
        assert!(
            sent.contains("run") || (call.function == "intake"),
            "{state}: only the run that is not open yet may be left out"
        );
        // A variable or a context object written out: the latter must hold every required field.
        if call.payload["context"].is_object() {
            let given = keys(&call.payload["context"]);
            for field in context["required"].as_array().unwrap() {
                assert!(
                    given.contains(field.as_str().unwrap()),
                    "{state}: the context lacks {field}"
                );
            }
            assert!(
                given.is_subset(&keys(&context["properties"])),
                "{state}: {given:?}"
            );
        }
    }
}

/// The state of a step in the report and in the logs is the state of the graph.
#[test]
fn the_context_is_taken_from_the_context_object() {
    let wanted = BTreeMap::from([
        ("execution", "$states.context.Execution.Id"),
        ("started", "$states.context.Execution.StartTime"),
        ("state", "$states.context.State.Name"),
        ("entered", "$states.context.State.EnteredTime"),
        ("retry_count", "$states.context.State.RetryCount"),
    ]);
    let machines = asl::all();
    for (state, call) in calls(&machines) {
        for (field, source) in &wanted {
            let given = call.payload["context"][*field].as_str().unwrap_or("");
            assert!(
                given.contains(source),
                "{state}: `{field}` is `{given}` and not `{source}`"
            );
        }
    }
}

#[test]
fn a_task_token_goes_to_its_function_and_nowhere_else() {
    for machine in asl::all() {
        for (index, state) in machine.states.iter().enumerate() {
            let text = state.definition.to_string();
            // What a state holds is looked at where it stands.
            let holds_states =
                state.definition.get("Branches").is_some() || state.definition.get("ItemProcessor").is_some();
            if !text.contains("Task.Token") || holds_states {
                continue;
            }
            let label = machine.label(index);
            assert!(
                state.waits_for_token(),
                "{label} names the token and does not wait for it"
            );
            assert_eq!(
                text.matches("Task.Token").count(),
                1,
                "{label} names the token more than once"
            );
            let call = state
                .call()
                .unwrap_or_else(|| panic!("{label} gives the token to no function"));
            let token = call.payload["input"]["token"].as_str().unwrap_or("");
            assert!(
                token.contains("Task.Token"),
                "{label} gives the token elsewhere than in `input.token`"
            );
        }
    }
}
