//! Execution histories of Step Functions: which state was visited when, and with how many attempts.
//!
//! What `GetExecutionHistory` returns is reduced to [`HistoryEvent`]s; inputs and outputs are not kept, they can hold
//! task tokens. Events of one visit are linked by `previousEventId`, also inside Parallel and Map states.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::critical_path::RecordedStep;

#[cfg(test)]
pub(crate) mod script;

/// The history of one execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecutionHistory {
    /// ARN of the execution.
    pub execution: String,
    /// Status, as `DescribeExecution` names it.
    pub status: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Its events.
    pub events: Vec<HistoryEvent>,
}

impl ExecutionHistory {
    /// What of it had happened by this moment.
    #[must_use]
    pub fn as_of(&self, moment: Timestamp) -> Self {
        let ended = self.ended.filter(|ended| *ended <= moment);
        Self {
            execution: self.execution.clone(),
            status: if ended.is_some() {
                self.status.clone()
            } else {
                "RUNNING".to_owned()
            },
            started: self.started,
            ended,
            events: self
                .events
                .iter()
                .filter(|event| event.at <= moment)
                .cloned()
                .collect(),
        }
    }
}

/// One event, as far as durations need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryEvent {
    /// Event id, from 1.
    pub id: i64,
    /// Id of the event before it in the same visit or branch; 0 where there is none.
    #[serde(default)]
    pub previous: i64,
    /// When.
    pub at: Timestamp,
    /// Type, for example `TaskStateEntered`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name of the state that was entered or left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Resource of a task, for example `arn:aws:states:::lambda:invoke.waitForTaskToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Error name of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a visit to a state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// A function works.
    Work,
    /// A task token waits for a person.
    People,
    /// The time between two looks at work elsewhere: a Wait state, or [`WAITS_FOR_JOBS`].
    Events,
    /// Holds other visits: Parallel, Map, or a nested execution.
    Container,
    /// Pass, Choice, Succeed, Fail.
    Passing,
}

/// One visit to a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// ARN of the execution.
    pub execution: String,
    /// State name.
    pub state: String,
    /// What it is.
    pub activity: Activity,
    /// When the state was entered.
    pub entered: Timestamp,
    /// When it was left; absent while it is open.
    pub exited: Option<Timestamp>,
    /// Attempts, in order.
    pub attempts: Vec<Attempt>,
}

/// One attempt of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it was scheduled.
    pub from: Timestamp,
    /// When it ended; absent while it runs.
    pub to: Option<Timestamp>,
    /// Error name, if it failed.
    pub error: Option<String>,
}

/// The state whose task token waits for an event of AWS Backup, not for a person.
pub const WAITS_FOR_JOBS: &str = "Wait for trial";

/// How far the clock that the state machine gives to a function may be from that of its history.
const SAME_VISIT: SignedDuration = SignedDuration::from_secs(1);

/// Whether an execution has a history: the children of a Distributed Map, which carry its label after a slash, may be
/// Express and have none.
#[must_use]
pub fn has_history(execution: &str) -> bool {
    execution.contains(":execution:") && !execution.contains('/')
}

/// Every visit that histories and recorded steps show, each once, in order.
///
/// Where both know a visit the history counts: it has the retries and the time before and after the function. Steps
/// alone know the children of a Distributed Map, whose Express executions have no history.
#[must_use]
pub fn observe(histories: &[ExecutionHistory], steps: &[RecordedStep]) -> Vec<Visit> {
    let mut all: Vec<Visit> = histories.iter().flat_map(visits).collect();
    let mut known = BTreeMap::<(String, String), Vec<Timestamp>>::new();
    for visit in &all {
        known
            .entry((visit.execution.clone(), visit.state.clone()))
            .or_default()
            .push(visit.entered);
    }
    for visit in of_steps(steps) {
        let same = known.get_mut(&(visit.execution.clone(), visit.state.clone()));
        let nearest = same.and_then(|entered| {
            let place = (0..entered.len()).min_by_key(|place| {
                entered
                    .get(*place)
                    .map(|at| at.duration_since(visit.entered).abs())
            })?;
            let close = entered.get(place)?.duration_since(visit.entered).abs() <= SAME_VISIT;
            close.then(|| entered.swap_remove(place))
        });
        if nearest.is_none() {
            all.push(visit);
        }
    }
    all.sort_by(|a, b| (a.entered, &a.execution, &a.state).cmp(&(b.entered, &b.execution, &b.state)));
    all
}

/// The visits that the functions recorded themselves.
fn of_steps(steps: &[RecordedStep]) -> Vec<Visit> {
    let mut visits = BTreeMap::<(&str, &str, Timestamp), Visit>::new();
    let mut steps: Vec<_> = steps.iter().collect();
    steps.sort();
    for step in steps {
        let visit = visits
            .entry((&step.execution, &step.state, step.entered))
            .or_insert_with(|| Visit {
                execution: step.execution.clone(),
                state: step.state.clone(),
                activity: match step.state.as_str() {
                    "Await approval" | "Await second approval" | "Await operator" => Activity::People,
                    WAITS_FOR_JOBS => Activity::Events,
                    _ => Activity::Work,
                },
                entered: step.entered,
                exited: None,
                attempts: Vec::new(),
            });
        visit.attempts.push(Attempt {
            from: step.began,
            to: Some(step.ended),
            error: (step.outcome != "ok").then(|| step.outcome.clone()),
        });
        visit.exited = visit.exited.max(Some(step.ended));
    }
    visits.into_values().collect()
}

/// The visits of one history.
fn visits(history: &ExecutionHistory) -> Vec<Visit> {
    let mut reader = Reader {
        execution: &history.execution,
        visits: Vec::new(),
        owner: BTreeMap::new(),
        halted: None,
        resumable: Vec::new(),
    };
    let mut events: Vec<_> = history.events.iter().collect();
    events.sort_by_key(|event| event.id);
    for event in &events {
        reader.read(event);
    }
    if let Some(ended) = history.ended {
        for visit in reader.visits.iter_mut().filter(|visit| visit.exited.is_none()) {
            visit.exited = Some(ended.max(visit.entered));
        }
    }
    reader.visits
}

struct Reader<'h> {
    execution: &'h str,
    visits: Vec<Visit>,
    /// Event id to the visit that it belongs to.
    owner: BTreeMap<i64, usize>,
    /// When the execution broke off last.
    halted: Option<Timestamp>,
    /// The visits that were open then and have not been seen again.
    resumable: Vec<usize>,
}

impl Reader<'_> {
    fn read(&mut self, event: &HistoryEvent) {
        if let Some(kind) = event.kind.strip_suffix("StateEntered") {
            self.replace_halted(event);
            self.owner.insert(event.id, self.visits.len());
            self.visits.push(Visit {
                execution: self.execution.to_owned(),
                state: event.state.clone().unwrap_or_default(),
                activity: match kind {
                    "Task" => Activity::Work,
                    "Wait" => Activity::Events,
                    "Parallel" | "Map" => Activity::Container,
                    _ => Activity::Passing,
                },
                entered: event.at,
                exited: None,
                attempts: Vec::new(),
            });
            return;
        }
        match event.kind.as_str() {
            "ExecutionFailed" | "ExecutionTimedOut" | "ExecutionAborted" => {
                self.halt(event.at);
                return;
            }
            "ExecutionRedriven" => {
                self.redrive(event.at);
                return;
            }
            _ => {}
        }
        if event.kind.ends_with("StateExited") {
            self.leave(event);
            return;
        }
        // A redriven task is scheduled again without a new entry: it belongs to the visit that broke off.
        let place = self
            .owner
            .get(&event.previous)
            .copied()
            .or_else(|| self.visits.iter().rposition(|visit| visit.exited.is_none()));
        let Some(visit) = place.and_then(|place| self.visits.get_mut(place)) else {
            return;
        };
        if let Some(place) = place {
            self.owner.insert(event.id, place);
        }
        let task = ["Task", "LambdaFunction", "Activity"]
            .iter()
            .find_map(|prefix| event.kind.strip_prefix(prefix));
        match task {
            Some("Scheduled") => {
                if let Some(resource) = &event.resource {
                    if resource.contains("waitForTaskToken") {
                        visit.activity = if visit.state == WAITS_FOR_JOBS {
                            Activity::Events
                        } else {
                            Activity::People
                        };
                    } else if resource.contains("startExecution") {
                        visit.activity = Activity::Container;
                    }
                }
                visit.attempts.push(Attempt {
                    from: event.at,
                    to: None,
                    error: None,
                });
            }
            Some("Succeeded" | "Failed" | "TimedOut" | "StartFailed" | "SubmitFailed") => {
                if let Some(attempt) = visit.attempts.last_mut() {
                    attempt.to = Some(event.at);
                    attempt.error.clone_from(&event.error);
                }
            }
            _ => {}
        }
    }

    /// The execution breaks off: what was being attempted ends with it.
    fn halt(&mut self, at: Timestamp) {
        self.halted = Some(at);
        self.resumable = (0..self.visits.len())
            .filter(|place| {
                self.visits
                    .get(*place)
                    .is_some_and(|visit| visit.exited.is_none())
            })
            .collect();
        for visit in self.visits.iter_mut().filter(|visit| visit.exited.is_none()) {
            for attempt in visit.attempts.iter_mut().filter(|attempt| attempt.to.is_none()) {
                attempt.to = Some(at);
            }
        }
    }

    /// Every state that was open has waited for the person who redrives.
    fn redrive(&mut self, at: Timestamp) {
        let Some(halted) = self.halted else { return };
        let states: BTreeSet<String> = self
            .resumable
            .iter()
            .filter_map(|place| self.visits.get(*place))
            .map(|visit| visit.state.clone())
            .collect();
        self.visits.extend(states.into_iter().map(|state| Visit {
            execution: self.execution.to_owned(),
            state,
            activity: Activity::People,
            entered: halted,
            exited: Some(at),
            attempts: Vec::new(),
        }));
    }

    /// A redriven task is scheduled again without a new entry, but a state may be entered anew: then the visit that
    /// broke off ended when the execution did.
    fn replace_halted(&mut self, event: &HistoryEvent) {
        let same = |place: &usize| {
            self.visits
                .get(*place)
                .is_some_and(|visit| visit.exited.is_none() && Some(&visit.state) == event.state.as_ref())
        };
        let Some(place) = self.resumable.iter().position(same) else {
            return;
        };
        let place = self.resumable.remove(place);
        if let Some(visit) = self.visits.get_mut(place) {
            visit.exited = self.halted.max(Some(visit.entered));
        }
    }

    fn leave(&mut self, event: &HistoryEvent) {
        let name = event.state.as_deref().unwrap_or_default();
        let fits = |visit: &Visit| visit.exited.is_none() && visit.state == name;
        let linked = self.owner.get(&event.previous).copied();
        let place = linked
            .filter(|place| self.visits.get(*place).is_some_and(fits))
            .or_else(|| self.visits.iter().rposition(fits));
        if let Some(visit) = place.and_then(|place| self.visits.get_mut(place)) {
            visit.exited = Some(event.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_waits_for_jobs_waits_for_no_person() {
        for (state, activity) in [
            (WAITS_FOR_JOBS, Activity::Events),
            ("Await approval", Activity::People),
        ] {
            let event = |id, kind: &str, resource: Option<&str>| HistoryEvent {
                id,
                previous: id - 1,
                at: Timestamp::from_second(id).unwrap(),
                kind: kind.to_owned(),
                state: (id == 1).then(|| state.to_owned()),
                resource: resource.map(str::to_owned),
                error: None,
            };
            let history = ExecutionHistory {
                execution: "arn:x:execution:m:e".to_owned(),
                status: "RUNNING".to_owned(),
                started: Timestamp::UNIX_EPOCH,
                ended: None,
                events: vec![
                    event(1, "TaskStateEntered", None),
                    event(2, "TaskScheduled", Some("lambda:invoke.waitForTaskToken")),
                ],
            };
            assert_eq!(observe(&[history], &[])[0].activity, activity, "{state}");
        }
    }

    #[test]
    fn children_of_a_distributed_map_have_no_history() {
        let machine = "arn:aws:states:us-east-1:111111111111";
        assert!(has_history(&format!("{machine}:execution:blackstart-recovery:x")));
        assert!(!has_history(&format!(
            "{machine}:express:blackstart-recovery/abc:x:y"
        )));
        assert!(!has_history(&format!(
            "{machine}:execution:blackstart-recovery/abc:x"
        )));
    }
}
