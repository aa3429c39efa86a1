//! The state machines as graphs: nothing dangles, nothing is unreachable, and the README shows what is deployed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::asl::{self, Machine};
use crate::repository;

#[test]
fn every_transition_leads_to_a_state_of_its_own_scope() {
    for machine in asl::all() {
        for (index, state) in machine.states.iter().enumerate() {
            for transition in state.transitions() {
                assert!(
                    machine.find(state.scope, &transition.target).is_some(),
                    "{} leads to `{}`, which is not there",
                    machine.label(index),
                    transition.target
                );
            }
        }
        for (number, scope) in machine.scopes.iter().enumerate() {
            assert!(
                machine.find(number, &scope.start).is_some(),
                "{}: StartAt `{}`",
                machine.name,
                scope.start
            );
        }
    }
}

#[test]
fn every_state_is_reachable() {
    for machine in asl::all() {
        let start = machine.find(0, &machine.scopes[0].start).unwrap();
        let reached = machine.reachable([start], |_| false);
        let lost: Vec<String> = (0..machine.states.len())
            .filter(|index| !reached.contains(index))
            .map(|index| machine.label(index))
            .collect();
        assert!(lost.is_empty(), "unreachable: {lost:?}");
    }
}

#[test]
fn every_state_ends_or_leads_on() {
    for machine in asl::all() {
        for (index, state) in machine.states.iter().enumerate() {
            let ends = state.definition["End"] == true || matches!(state.kind(), "Succeed" | "Fail");
            let leads = state.definition.get("Next").is_some() || state.kind() == "Choice";
            assert!(
                ends != leads,
                "{} must either end or lead on",
                machine.label(index)
            );
        }
    }
}

#[test]
fn every_choice_has_a_default() {
    for machine in asl::all() {
        for (index, state) in machine.states.iter().enumerate() {
            assert!(
                state.kind() != "Choice" || state.definition.get("Default").is_some(),
                "{} has no Default: an answer nobody thought of would fail the execution",
                machine.label(index)
            );
        }
    }
}

/// Names are shown to people in the console and are the headings of the runbook.
#[test]
fn state_names_are_unique_within_a_machine() {
    for machine in asl::all() {
        let mut names: Vec<&str> = machine.states.iter().map(|state| state.name.as_str()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{}", machine.name);
    }
}

/// The graph between these markers in the README is generated.
const BEGIN: &str = "<!-- state graph: begin -->";
const END: &str = "<!-- state graph: end -->";

#[test]
fn the_readme_shows_the_state_machines() {
    let readme = repository::text("README.md");
    let (before, rest) = readme
        .split_once(BEGIN)
        .expect("README.md has no marker for the state graph");
    let (_, after) = rest
        .split_once(END)
        .expect("README.md has no end marker for the state graph");
    let wanted = format!(
        "{before}{BEGIN}\n{}{END}{after}",
        mermaid(&Machine::load("recovery"))
    );
    let stale = repository::stale("README.md", &wanted);
    assert!(stale.is_none(), "{stale:?}");
}

/// A machine as a Mermaid state diagram.
///
/// Shown are the states that do something and the ends; a `Choice`, `Wait` or `Pass` becomes an arrow. Ways that only an
/// error takes are left out: with them nobody sees the workflow any more.
fn mermaid(machine: &Machine) -> String {
    let mut out = String::from("```mermaid\nstateDiagram-v2\n");
    draw(machine, 0, 1, &mut out);
    out.push_str("```\n");
    out
}

fn is_shown(machine: &Machine, index: usize) -> bool {
    matches!(
        machine.states[index].kind(),
        "Task" | "Parallel" | "Map" | "Succeed" | "Fail"
    )
}

/// Where a state leads without an error; what is not shown is passed through. `None` is the end.
fn arrows(machine: &Machine, index: usize, passed: &mut BTreeSet<usize>, found: &mut Vec<Option<usize>>) {
    let state = &machine.states[index];
    let onward = state
        .transitions()
        .into_iter()
        .filter(|transition| transition.errors.is_empty());
    let targets: Vec<usize> = onward
        .filter_map(|transition| machine.find(state.scope, &transition.target))
        .collect();
    if targets.is_empty() && !found.contains(&None) {
        found.push(None);
    }
    for target in targets {
        if is_shown(machine, target) {
            if !found.contains(&Some(target)) {
                found.push(Some(target));
            }
        } else if passed.insert(target) {
            arrows(machine, target, passed, found);
        }
    }
}

fn draw(machine: &Machine, scope: usize, depth: usize, out: &mut String) {
    let indent = "    ".repeat(depth);
    let start = machine.find(scope, &machine.scopes[scope].start).unwrap();
    let mut shown = vec![start];
    let mut lines = vec![format!("{indent}[*] --> s{start}")];
    let mut next = 0;
    while let Some(index) = shown.get(next).copied() {
        next += 1;
        let mut found = Vec::new();
        arrows(machine, index, &mut BTreeSet::new(), &mut found);
        for target in found {
            let target = target.map_or_else(
                || "[*]".to_owned(),
                |target| {
                    if !shown.contains(&target) {
                        shown.push(target);
                    }
                    format!("s{target}")
                },
            );
            lines.push(format!("{indent}s{index} --> {target}"));
        }
    }
    for index in shown {
        let held: Vec<usize> = (0..machine.scopes.len())
            .filter(|number| machine.scopes[*number].holder == Some(index))
            .collect();
        let name = &machine.states[index].name;
        if held.is_empty() {
            writeln!(out, "{indent}s{index} : {name}").unwrap();
            continue;
        }
        writeln!(out, "{indent}state \"{name}\" as s{index} {{").unwrap();
        for (position, number) in held.iter().enumerate() {
            if position > 0 {
                writeln!(out, "{indent}    --").unwrap();
            }
            draw(machine, *number, depth + 1, out);
        }
        writeln!(out, "{indent}}}").unwrap();
    }
    for line in lines {
        writeln!(out, "{line}").unwrap();
    }
}
