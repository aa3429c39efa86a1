//! The state machines of `infra/statemachine`, flattened.

use std::collections::{BTreeMap, BTreeSet};

use blackstart_core::history::WAITS_FOR_JOBS;
use serde_json::Value;

use crate::repository;

/// The state machines, by the name of their file.
pub(crate) const MACHINES: [&str; 3] = ["recovery", "validation", "cutover"];

/// A state machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    /// Every state, those inside a Parallel or a Map included.
    pub(crate) states: Vec<State>,
    /// Every list of states, with the name of its first.
    pub(crate) scopes: Vec<Scope>,
}

/// A list of states: the machine itself, a branch of a Parallel, the processor of a Map.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) start: String,
    /// Index of the state that holds this scope; none for the machine itself.
    pub(crate) holder: Option<usize>,
}

/// One state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) scope: usize,
    pub(crate) definition: Value,
}

/// A transition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Transition {
    pub(crate) target: String,
    /// The error names of the `Catch`; empty for every other transition.
    pub(crate) errors: Vec<String>,
    /// Condition of a `Choice` rule, if this is one.
    pub(crate) condition: Option<String>,
}

pub(crate) fn all() -> Vec<Machine> {
    MACHINES.into_iter().map(Machine::load).collect()
}

impl Machine {
    pub(crate) fn load(name: &'static str) -> Self {
        let relative = format!("infra/statemachine/{name}.asl.json");
        let definition = repository::json(&relative);
        let mut machine = Self {
            name,
            text: repository::text(&relative),
            states: Vec::new(),
            scopes: Vec::new(),
        };
        machine.read_scope(&definition, None);
        machine
    }

    fn read_scope(&mut self, definition: &Value, holder: Option<usize>) {
        let scope = self.scopes.len();
        self.scopes.push(Scope {
            start: definition["StartAt"].as_str().unwrap().to_owned(),
            holder,
        });
        for (name, state) in definition["States"].as_object().unwrap() {
            let index = self.states.len();
            self.states.push(State {
                name: name.clone(),
                scope,
                definition: state.clone(),
            });
            let branches = state["Branches"].as_array().into_iter().flatten();
            for nested in branches
                .chain(state.get("ItemProcessor"))
                .chain(state.get("Iterator"))
            {
                self.read_scope(nested, Some(index));
            }
        }
    }

    /// The state of that name in that scope.
    pub(crate) fn find(&self, scope: usize, name: &str) -> Option<usize> {
        self.states
            .iter()
            .position(|state| state.scope == scope && state.name == name)
    }

    /// Where a state can lead, inside and outside: next states of its own scope and the first states of what it holds.
    pub(crate) fn successors(&self, index: usize) -> Vec<usize> {
        let state = &self.states[index];
        let inner = self
            .scopes
            .iter()
            .enumerate()
            .filter(|(_, scope)| scope.holder == Some(index))
            .filter_map(|(number, scope)| self.find(number, &scope.start));
        let next = state
            .transitions()
            .into_iter()
            .filter_map(|transition| self.find(state.scope, &transition.target));
        inner.chain(next).collect()
    }

    /// Every state that can be reached from these, themselves included. The end of a nested scope leads to what follows
    /// its holder, which is a successor of the holder and therefore found too.
    /// States for which `ends_at` holds are found, and not gone beyond.
    pub(crate) fn reachable(
        &self,
        from: impl IntoIterator<Item = usize>,
        ends_at: impl Fn(usize) -> bool,
    ) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<usize> = from.into_iter().collect();
        while let Some(index) = open.pop() {
            if seen.insert(index) && !ends_at(index) {
                open.extend(self.successors(index));
            }
        }
        seen
    }

    /// The placeholders `${Name}` of the definition.
    pub(crate) fn placeholders(&self) -> BTreeSet<String> {
        self.text
            .split("${")
            .skip(1)
            .map(|rest| rest.split('}').next().unwrap().to_owned())
            .collect()
    }

    /// `machine: state`, for messages.
    pub(crate) fn label(&self, index: usize) -> String {
        format!("{}: {}", self.name, self.states[index].name)
    }
}

impl State {
    pub(crate) fn kind(&self) -> &str {
        self.definition["Type"].as_str().unwrap()
    }

    pub(crate) fn transitions(&self) -> Vec<Transition> {
        let plain = |target: &Value| {
            target.as_str().map(|target| Transition {
                target: target.to_owned(),
                errors: Vec::new(),
                condition: None,
            })
        };
        let mut found: Vec<Transition> = Vec::new();
        for choice in self.definition["Choices"].as_array().into_iter().flatten() {
            found.extend(plain(&choice["Next"]).map(|transition| Transition {
                condition: choice["Condition"].as_str().map(str::to_owned),
                ..transition
            }));
        }
        found.extend(plain(&self.definition["Next"]));
        found.extend(plain(&self.definition["Default"]));
        for catcher in self.definition["Catch"].as_array().into_iter().flatten() {
            found.extend(plain(&catcher["Next"]).map(|transition| Transition {
                errors: strings(&catcher["ErrorEquals"]),
                ..transition
            }));
        }
        found
    }

    /// Every error name that a `Catch` of this state takes.
    pub(crate) fn caught(&self) -> BTreeSet<String> {
        self.error_names("Catch")
    }

    /// Every error name that a `Retry` of this state takes.
    pub(crate) fn retried(&self) -> BTreeSet<String> {
        self.error_names("Retry")
    }

    fn error_names(&self, field: &str) -> BTreeSet<String> {
        self.definition[field]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|entry| strings(&entry["ErrorEquals"]))
            .collect()
    }

    /// Whether Step Functions waits here for a task token.
    pub(crate) fn waits_for_token(&self) -> bool {
        self.definition["Resource"]
            .as_str()
            .is_some_and(|resource| resource.ends_with(".waitForTaskToken"))
    }

    /// Whether a person is to answer what is waited for. Otherwise it is an event.
    pub(crate) fn waits_for_person(&self) -> bool {
        self.waits_for_token() && self.name != WAITS_FOR_JOBS
    }

    /// The function that this state calls, and the payload that it sends.
    pub(crate) fn call(&self) -> Option<Call<'_>> {
        let resource = self.definition["Resource"].as_str()?;
        let (target, payload) = if resource.starts_with("arn:aws:states:::lambda:invoke") {
            let arguments = &self.definition["Arguments"];
            (arguments["FunctionName"].as_str()?, &arguments["Payload"])
        } else {
            (resource, &self.definition["Arguments"])
        };
        let function = target
            .strip_prefix("${")?
            .strip_suffix("Function}")?
            .to_lowercase();
        Some(Call { function, payload })
    }
}

/// The call of a function.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// Folder of the function.
    pub(crate) function: String,
    pub(crate) payload: &'a Value,
}

impl Call<'_> {
    /// The operation that is asked for.
    pub(crate) fn operation(&self) -> Option<&str> {
        self.payload["input"]["operation"].as_str()
    }
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The operations that the machines ask for: function to operation to the states that ask.
pub(crate) fn operations(machines: &[Machine]) -> BTreeMap<(String, String), Vec<String>> {
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for machine in machines {
        for (index, state) in machine.states.iter().enumerate() {
            if let Some(call) = state.call() {
                let operation = call.operation().unwrap_or("").to_owned();
                found
                    .entry((call.function, operation))
                    .or_default()
                    .push(machine.label(index));
            }
        }
    }
    found
}
