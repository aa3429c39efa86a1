//! Template, state machines, functions and runbook name the same things.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::asl::{self, Machine};
use crate::{repository, safety, template};

/// Logical id of a machine in the template.
fn logical_id(machine: &Machine) -> String {
    let (first, rest) = machine.name.split_at(1);
    format!("{}{rest}StateMachine", first.to_uppercase())
}

/// `IntakeFunction.Alias` to `intake`.
fn function_of(reference: &Value) -> Option<String> {
    let id = reference["Ref"].as_str()?.strip_suffix(".Alias")?;
    Some(id.strip_suffix("Function")?.to_lowercase())
}

fn machine_properties(template: &Value, machine: &Machine) -> Value {
    let machines = template::resources(template, "AWS::Serverless::StateMachine");
    machines[&logical_id(machine)].clone()
}

/// Package of a function of the template: the folder that its code comes from.
fn package(function: &Value) -> String {
    let uri = function["CodeUri"].as_str().unwrap();
    uri.trim_end_matches('/').rsplit('/').next().unwrap().to_owned()
}

#[test]
fn the_template_fills_every_placeholder_and_no_other() {
    let template = template::recovery_account();
    for machine in asl::all() {
        let properties = machine_properties(&template, &machine);
        assert_eq!(
            properties["DefinitionUri"],
            format!("infra/statemachine/{}.asl.json", machine.name)
        );
        let given: BTreeSet<String> = properties["DefinitionSubstitutions"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        assert_eq!(given, machine.placeholders(), "{}", machine.name);
    }
}

#[test]
fn functions_are_called_by_alias_and_under_their_own_name() {
    let template = template::recovery_account();
    for machine in asl::all() {
        let properties = machine_properties(&template, &machine);
        for (name, value) in properties["DefinitionSubstitutions"].as_object().unwrap() {
            if name.ends_with("Function") {
                assert_eq!(value["Ref"], format!("{name}.Alias"), "{}", machine.name);
            }
        }
    }
}

#[test]
fn a_machine_may_call_the_functions_of_its_states_and_no_other() {
    let template = template::recovery_account();
    let roles = template::resources(&template, "AWS::IAM::Role");
    for machine in asl::all() {
        let role = &roles[&format!("{}Role", logical_id(&machine))];
        let allowed: BTreeSet<String> = template::role_statements(&template, role)
            .iter()
            .filter(|statement| template::actions(statement) == ["lambda:InvokeFunction"])
            .flat_map(|statement| template::many(&statement["Resource"]))
            .map(|resource| function_of(&resource).unwrap())
            .collect();
        let called: BTreeSet<String> = machine
            .states
            .iter()
            .filter_map(|state| state.call().map(|call| call.function))
            .collect();
        assert_eq!(allowed, called, "{}", machine.name);
    }
}

#[test]
fn every_package_is_deployed_and_every_deployed_function_has_a_package() {
    let template = template::recovery_account();
    let deployed: BTreeSet<String> = template::resources(&template, "AWS::Serverless::Function")
        .values()
        .map(package)
        .collect();
    let packages: BTreeSet<String> = repository::names("functions").into_iter().collect();
    assert_eq!(deployed, packages);
}

/// Every NAME of `ask("NAME")` in the package's `config.rs`, or in the settings that the stages have in common.
fn variables(package: &str, ask: &str) -> BTreeSet<String> {
    let main = repository::text(&format!("functions/{package}/src/main.rs"));
    let read = if main.contains("StageSettings::parse") {
        repository::text("shared/aws/src/env.rs")
            .split("impl StageSettings")
            .nth(1)
            .and_then(|rest| rest.split("\n}\n").next())
            .unwrap()
            .to_owned()
    } else {
        repository::text(&format!("functions/{package}/src/config.rs"))
    };
    read.split(&format!("{ask}(\""))
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn a_function_is_given_the_variables_that_it_reads() {
    let template = template::recovery_account();
    let for_all = template["Globals"]["Function"]["Environment"]["Variables"].clone();
    let for_all: BTreeSet<String> = for_all.as_object().unwrap().keys().cloned().collect();
    for function in template::resources(&template, "AWS::Serverless::Function").values() {
        let package = package(function);
        let own = function["Environment"]["Variables"]
            .as_object()
            .into_iter()
            .flatten();
        let own: BTreeSet<String> = own.map(|(name, _)| name.clone()).collect();
        let required = variables(&package, "required");
        let optional = variables(&package, "optional");
        let missing: Vec<_> = required
            .iter()
            .filter(|name| !own.contains(*name) && !for_all.contains(*name))
            .collect();
        let unread: Vec<_> = own
            .iter()
            .filter(|name| !required.contains(*name) && !optional.contains(*name))
            .collect();
        assert!(
            missing.is_empty() && unread.is_empty(),
            "{package}: the template lacks {missing:?}, and nobody reads {unread:?}"
        );
    }
}

/// A state that gives up before its function does leaves a function that is still writing, beside whatever the machine
/// does next. For operations that only look, giving up early is harmless.
#[test]
fn a_state_with_an_effect_waits_at_least_as_long_as_its_function_runs() {
    let template = template::recovery_account();
    let limits: BTreeMap<String, u64> = template::resources(&template, "AWS::Serverless::Function")
        .values()
        .filter(|function| function["Environment"]["Variables"]["SURFACE"] != "gateway")
        .map(|function| (package(function), function["Timeout"].as_u64().unwrap()))
        .collect();
    for machine in asl::all() {
        for (index, state) in machine.states.iter().enumerate() {
            let (Some(call), Some(timeout)) = (state.call(), state.definition["TimeoutSeconds"].as_u64())
            else {
                continue;
            };
            let limit = limits[&call.function];
            assert!(
                timeout >= limit || !safety::is_effect(&machine, index),
                "{} waits {timeout} s for a function that may run {limit} s",
                machine.label(index)
            );
        }
    }
}

#[test]
fn the_logs_of_the_machines_hold_no_execution_data() {
    let template = template::recovery_account();
    for machine in asl::all() {
        let properties = machine_properties(&template, &machine);
        assert_eq!(
            properties["Logging"]["IncludeExecutionData"], false,
            "{}",
            machine.name
        );
    }
}

#[test]
fn metric_filters_name_states_that_exist() {
    let template = template::recovery_account();
    let machines = asl::all();
    let names: BTreeSet<&str> = machines
        .iter()
        .flat_map(|machine| machine.states.iter().map(|state| state.name.as_str()))
        .collect();
    for (id, filter) in template::resources(&template, "AWS::Logs::MetricFilter") {
        let pattern = filter["FilterPattern"].as_str().unwrap();
        let name = pattern
            .split("$.details.name = \"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert!(names.contains(name), "{id}: there is no state `{name}`");
    }
}

/// Whether people of another organisation are waited for here, by asking again and again.
fn asks_a_team(state: &asl::State) -> bool {
    state
        .call()
        .is_some_and(|call| call.operation() == Some("poll_team"))
}

#[test]
fn the_runbook_has_a_heading_for_every_state_that_waits_for_a_person() {
    let machines = asl::all();
    let waiting: BTreeSet<&str> = machines
        .iter()
        .flat_map(|machine| machine.states.iter())
        .filter(|state| state.waits_for_person() || asks_a_team(state))
        .map(|state| state.name.as_str())
        .collect();
    let runbook = repository::text("infra/docs/runbook.md");
    let headings: BTreeSet<&str> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## State: "))
        .collect();
    assert_eq!(headings, waiting);
}
