//! Which links the operations of the state machine leave in the chain.
//!
//! The shell records them after an operation was answered and before the state machine learns of the answer, the same
//! way for every function. They are made from the operation and its answer alone, so a retry makes the same ones.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Event, Kind, PACKAGE};
use crate::artifact::{Digest, canonical_digest};
use crate::error_name::ErrorName;
use crate::run::{RunId, WorkloadName};
use crate::task::{
    Progress, StateContext, approval, cutover, intake, rebuild, references, report, restore, rotation,
    timeline, validation,
};

/// Characters of an error message that the chain keeps.
const MESSAGE_CHARACTERS: usize = 500;

/// An operation that says what evidence its answer is.
pub trait Evident {
    /// The events of this operation, answered so.
    fn events(&self, answer: &Value, at: Timestamp) -> Vec<Event>;
}

/// The run that an operation belongs to: the task's, or the one that the answer opened or attached to.
#[must_use]
pub fn run_of(task: Option<&RunId>, answer: &Value) -> Option<RunId> {
    task.cloned().or_else(|| {
        let run = answer.get("run")?.as_str()?;
        RunId::try_from(run.to_owned()).ok()
    })
}

/// A step that failed: every attempt is an event of its own.
#[must_use]
pub fn failed(
    context: &StateContext,
    operation: &str,
    name: ErrorName,
    message: &str,
    at: Timestamp,
) -> Event {
    Event::new(Kind::StepFailed, at)
        .fact("state", context.state.as_str())
        .fact("operation", operation)
        .fact("entered", context.entered.to_string())
        .fact("retry", context.retry_count.to_string())
        .fact("redrive", context.redrive_count.to_string())
        .fact("error", name.as_str())
        .fact(
            "message",
            message.chars().take(MESSAGE_CHARACTERS).collect::<String>(),
        )
}

/// Reads the answer as the type that the operation promises. An answer of another form is kept by digest: what
/// cannot be understood must not be missing.
fn read<T: DeserializeOwned>(
    answer: &Value,
    at: Timestamp,
    events: impl FnOnce(T) -> Vec<Event>,
) -> Vec<Event> {
    match T::deserialize(answer) {
        Ok(read) => events(read),
        Err(_) => vec![unreadable(answer, at)],
    }
}

fn unreadable(answer: &Value, at: Timestamp) -> Event {
    let digest = canonical_digest(answer).unwrap_or_else(|_| Digest::of(answer.to_string().as_bytes()));
    Event::new(Kind::StepAnswered, at).subject("answer", &digest)
}

/// One event once the work is done, none while it is running.
fn when_done(progress: Progress, event: Event) -> Vec<Event> {
    match progress {
        Progress::Done => vec![event],
        Progress::Running => Vec::new(),
    }
}

fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

impl Evident for intake::Operation {
    fn events(&self, answer: &Value, at: Timestamp) -> Vec<Event> {
        match self {
            Self::Open { trigger } => read(answer, at, |opened| {
                let trigger =
                    canonical_digest(trigger).unwrap_or_else(|_| Digest::of(trigger.to_string().as_bytes()));
                match opened {
                    intake::Opened::Opened {
                        workload, mode, plan, ..
                    } => {
                        let workload: &WorkloadName = &workload;
                        vec![
                            Event::new(Kind::RunOpened, at)
                                .subject("trigger", &trigger)
                                .artifact(&plan)
                                .fact("workload", workload.as_str())
                                .fact("mode", word(&mode)),
                        ]
                    }
                    intake::Opened::Attached { reason, .. } => vec![
                        Event::new(Kind::TriggerAttached, at)
                            .subject("trigger", &trigger)
                            .fact("reason", reason),
                    ],
                    // It belongs to no run; the ledger keeps it under its execution.
                    intake::Opened::Rejected { .. } => Vec::new(),
                }
            }),
            Self::Close { conclusion } => {
                vec![Event::new(Kind::RunClosed, at).fact("conclusion", word(conclusion))]
            }
        }
    }
}

impl Evident for timeline::Operation {
    fn events(&self, answer: &Value, at: Timestamp) -> Vec<Event> {
        match self {
            Self::Collect { .. } => read(answer, at, |collected: timeline::Collected| {
                vec![
                    Event::new(Kind::LogsCollected, at)
                        .artifact(&collected.manifest)
                        .fact("batches", collected.batches.to_string())
                        .fact("objects", collected.objects.to_string()),
                ]
            }),
            // Thousands of batches that decide nothing: the merge decides from all of them, and finds the actors itself.
            Self::Scan { .. } | Self::Trace { .. } | Self::Again { .. } => Vec::new(),
            Self::Merge { .. } | Self::Revise { .. } => {
                read(answer, at, |merged: timeline::Merged| match merged {
                    timeline::Merged::Boundary {
                        boundary,
                        document,
                        timeline,
                        covered,
                    } => vec![
                        Event::new(Kind::BoundarySet, at)
                            .artifact(&document)
                            .artifact(&timeline)
                            .fact("boundary", boundary.to_string())
                            .fact("covered", covered.to_string()),
                    ],
                    timeline::Merged::NoIndicator { document, timeline } => vec![
                        Event::new(Kind::BoundaryNotFound, at)
                            .artifact(&document)
                            .artifact(&timeline),
                    ],
                    timeline::Merged::NothingToRevise {} => Vec::new(),
                })
            }
        }
    }
}

impl Evident for validation::Operation {
    fn events(&self, answer: &Value, at: Timestamp) -> Vec<Event> {
        match self {
            Self::Candidates { .. } => read(answer, at, |candidates: validation::Candidates| {
                vec![
                    Event::new(Kind::CandidatesListed, at)
                        .artifact(&candidates.sets)
                        .fact("sets", candidates.count.to_string()),
                ]
            }),
            Self::Next { .. } => read(answer, at, |round: validation::NextRound| {
                let decided = Event::new(Kind::WalkDecided, at);
                vec![match round {
                    validation::NextRound::Validate { sets } => {
                        decided.fact("next", "validate").fact("sets", sets.join(", "))
                    }
                    validation::NextRound::Found { set } => decided.fact("next", "found").fact("set", set),
                    validation::NextRound::Exhausted {} => decided.fact("next", "exhausted"),
                    validation::NextRound::OverCeiling { reason } => {
                        decided.fact("next", "over_ceiling").fact("reason", reason)
                    }
                }]
            }),
            Self::Start { set, .. } => vec![Event::new(Kind::TrialStarted, at).fact("set", set.as_str())],
            Self::Poll { .. } | Self::Wait { .. } => Vec::new(),
            Self::Judge { set, failure, .. } => read(answer, at, |judged: validation::Judged| {
                let event = Event::new(Kind::SetJudged, at)
                    .fact("set", set.as_str())
                    .fact("verdict", judged.verdict);
                vec![match failure {
                    Some(failure) => event.fact("failure", failure.error.as_str()),
                    None => event,
                }]
            }),
            Self::CleanUp { set, .. } => read(answer, at, |cleaned: validation::CleanedUp| {
                vec![
                    Event::new(Kind::TrialRemoved, at)
                        .fact("set", set.as_str())
                        .fact("removed", cleaned.removed.to_string()),
                ]
            }),
            Self::Select { .. } => read(answer, at, |selected: validation::Selected| {
                vec![match selected {
                    validation::Selected::Selected {
                        set,
                        boundary,
                        selection,
                        ..
                    } => Event::new(Kind::SetSelected, at)
                        .artifact(&selection)
                        .fact("set", set)
                        .fact("boundary", boundary.to_string()),
                    validation::Selected::NeedsValidation {} => {
                        Event::new(Kind::WalkDecided, at).fact("next", "needs_validation")
                    }
                    validation::Selected::NoCleanPoint { reason } => Event::new(Kind::NothingSelected, at)
                        .fact("outcome", "no_clean_point")
                        .fact("reason", reason),
                    validation::Selected::NotPossible { reason } => Event::new(Kind::NothingSelected, at)
                        .fact("outcome", "not_possible")
                        .fact("reason", reason),
                }]
            }),
        }
    }
}

impl Evident for rebuild::Operation {
    fn events(&self, answer: &Value, at: Timestamp) -> Vec<Event> {
        match self {
            Self::Check { plan } => read(answer, at, |checked: rebuild::Checked| {
                vec![
                    Event::new(Kind::TemplatesChecked, at)
                        .artifact(plan)
                        .fact("templates", checked.templates.to_string()),
                ]
            }),
            Self::Advance { .. } => read(answer, at, |advanced: rebuild::Advanced| {
                stacks(&advanced, "create", Kind::StacksBuilt, at)
            }),
            // What it finds is part of the preflight.
            Self::DetectDrift { .. } => Vec::new(),
            Self::Preflight { .. } => read(answer, at, |rebuilt: rebuild::Rebuilt| {
                vec![
                    Event::new(Kind::InfrastructureBuilt, at)
                        .artifact(&rebuilt.document)
                        .fact("isolated", rebuilt.isolated.to_string()),
                ]
            }),
            Self::CleanUp { .. } => read(answer, at, |advanced: rebuild::Advanced| {
                stacks(&advanced, "delete", Kind::StacksRemoved, at)
            }),
        }
    }
}

fn stacks(advanced: &rebuild::Advanced, what: &str, done: Kind, at: Timestamp) -> Vec<Event> {
    let mut events = when_done(advanced.progress, Event::new(done, at));
    if !advanced.cleared.is_empty() {
        events.push(
            Event::new(Kind::StacksRequested, at)
                .fact("what", "delete what an earlier run left")
                .fact("stacks", advanced.cleared.join(", ")),
        );
    }
    if !advanced.requested.is_empty() {
        events.push(
            Event::new(Kind::StacksRequested, at)
                .fact("what", what)
                .fact("stacks", advanced.requested.join(", ")),
        );
    }
    events
}

impl Evident for references::Operation {
    fn events(&self, answer: &Value, at: Timestamp) -> Vec<Event> {
        match self {
            Self::Siblings { .. } => Vec::new(),
            Self::Inventory { account, .. } => read(answer, at, |read: references::AccountInventory| {
                vec![
                    Event::new(Kind::SiblingInventoried, at)
                        .artifact(&read.inventory)
                        .fact("account", account.as_str()),
                ]
            }),
            Self::Merge { .. } => read(answer, at, |found: references::Inventoried| {
                vec![
                    Event::new(Kind::ReferencesInventoried, at)
                        .artifact(&found.inventory)
                        .fact("documents", found.documents.to_string())
                        .fact("tokens", found.tokens.to_string())
                        .fact("handled", found.handled.to_string())
                        .fact("unhandled", found.unhandled.to_string()),
                ]
            }),
        }
    }
}

/// The gate records packages, votes and decisions itself, where they are made.
impl Evident for approval::Operation {
    fn events(&self, _answer: &Value, _at: Timestamp) -> Vec<Event> {
        Vec::new()
    }
}

impl Evident for restore::Operation {
    fn events(&self, answer: &Value, at: Timestamp) -> Vec<Event> {
        match self {
            Self::Start { digest, .. } => {
                vec![Event::new(Kind::RestoreStarted, at).subject(PACKAGE, digest)]
            }
            // The end of each restore, and each thing put back, is recorded where it is noticed.
            Self::Poll { .. } | Self::Adopt { .. } => Vec::new(),
            Self::Verify { digest, .. } => read(answer, at, |restored: restore::Restored| {
                vec![
                    Event::new(Kind::DataRestored, at)
                        .subject(PACKAGE, digest)
                        .artifact(&restored.document),
                ]
            }),
            Self::CleanUp { .. } => read(answer, at, |removed: restore::Removed| {
                let event =
                    |names: &[String]| Event::new(Kind::CopiesRemoved, at).fact("removed", names.join(", "));
                let mut events = when_done(
                    removed.progress,
                    event(&removed.removed).fact("left", removed.left.join("; ")),
                );
                if events.is_empty() && !removed.removed.is_empty() {
                    events.push(event(&removed.removed));
                }
                events
            }),
        }
    }
}

impl Evident for rotation::Operation {
    fn events(&self, answer: &Value, at: Timestamp) -> Vec<Event> {
        match self {
            Self::Rotate { digest, .. } => read(answer, at, |rotated: rotation::Rotated| {
                let event = |document| {
                    Event::new(Kind::CredentialsRotated, at)
                        .subject(PACKAGE, digest)
                        .artifact(document)
                        .fact("rotated", rotated.rotated.to_string())
                };
                rotated.document.iter().map(event).collect()
            }),
            Self::CleanUp { .. } => read(answer, at, |removed: rotation::Removed| {
                vec![Event::new(Kind::CopiesRemoved, at).fact("removed", removed.removed.join(", "))]
            }),
        }
    }
}

impl Evident for cutover::Operation {
    fn events(&self, answer: &Value, at: Timestamp) -> Vec<Event> {
        let about =
            |kind, approved: &cutover::Approved| Event::new(kind, at).subject(PACKAGE, &approved.digest);
        let traffic = |kind, approved: &cutover::Approved| {
            read(answer, at, |traffic: cutover::TrafficProgress| {
                when_done(
                    traffic.progress,
                    about(kind, approved).fact("observed", traffic.observed),
                )
            })
        };
        match self {
            Self::Plan { approved } => read(answer, at, |planned: cutover::Planned| {
                vec![
                    about(Kind::CutoverPlanned, approved)
                        .artifact(&planned.cutover)
                        .fact("steps", planned.steps.to_string()),
                ]
            }),
            Self::Precheck { approved, .. } => read(answer, at, |checked: cutover::Prechecked| {
                vec![
                    about(Kind::CutoverPrechecked, approved)
                        .fact("ready", checked.ready.to_string())
                        .fact("already_done", checked.already_done.to_string()),
                ]
            }),
            Self::Contain { approved, .. } => read(answer, at, |applied: cutover::Applied| {
                vec![about(Kind::OldAccountContained, approved).fact("policies", applied.applied.to_string())]
            }),
            Self::Apply {
                approved,
                phase,
                account,
                ..
            } => read(answer, at, |applied: cutover::Applied| {
                let event = about(Kind::ReferencesChanged, approved)
                    .fact("phase", word(phase))
                    .fact("account", account.as_str())
                    .fact("applied", applied.applied.to_string())
                    .fact("waited_for_rate_limits_ms", applied.spent.rate_limits.to_string())
                    .fact("waited_for_propagation_ms", applied.spent.propagation.to_string())
                    .fact("itself_ms", applied.spent.itself.to_string());
                when_done(applied.progress, event)
            }),
            Self::PrepareTraffic { approved, .. } => traffic(Kind::TrafficPrepared, approved),
            Self::Probe { approved, .. } => traffic(Kind::EnvironmentProbed, approved),
            Self::ShiftTraffic { approved, .. } => traffic(Kind::TrafficShifted, approved),
            Self::AwaitSync { approved, .. } => traffic(Kind::TrafficInSync, approved),
            Self::Verify { approved, phase, .. } => read(answer, at, |verified: cutover::Verified| {
                vec![
                    about(Kind::StateVerified, approved)
                        .fact("phase", word(phase))
                        .fact("verified", verified.verified.to_string()),
                ]
            }),
            Self::Next {
                approved, failure, ..
            } => read(answer, at, |next: cutover::Next| {
                let event = about(Kind::AftermathDecided, approved).fact("failure", failure.error.as_str());
                vec![match next {
                    cutover::Next::Resume {} => event.fact("next", "resume"),
                    cutover::Next::Revert { step } => event.fact("next", "revert").fact("step", step),
                    cutover::Next::GivenBack {} => event.fact("next", "given_back"),
                    cutover::Next::Abandoned {} => event.fact("next", "abandoned"),
                    cutover::Next::CallOperator { reason } => {
                        event.fact("next", "call_operator").fact("reason", reason)
                    }
                }]
            }),
            Self::Revert { approved, step, .. } => {
                vec![about(Kind::StepReverted, approved).fact("step", step.as_str())]
            }
            Self::AskOperator {
                approved, failure, ..
            } => vec![about(Kind::OperatorAsked, approved).fact("error", failure.error.as_str())],
        }
    }
}

impl Evident for report::Operation {
    fn events(&self, answer: &Value, at: Timestamp) -> Vec<Event> {
        match self {
            Self::Write { conclusion, .. } => read(answer, at, |written: report::Written| {
                vec![
                    Event::new(Kind::ReportWritten, at)
                        .artifact(&written.report)
                        .artifact(&written.page)
                        .artifact(&written.summary)
                        .fact("conclusion", word(conclusion)),
                ]
            }),
            // An interim report decides nothing, and a checkpoint stands beside the chain, not in it.
            Self::Interim { .. } | Self::Seal { .. } | Self::Export { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::artifact::ArtifactRef;

    fn at() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn artifact(path: &str) -> ArtifactRef {
        ArtifactRef {
            bucket: "artifacts".to_owned(),
            key: format!("runs/orders-0123456789ab/{path}"),
            version: None,
            sha256: Digest::of(path.as_bytes()),
            bytes: 1,
        }
    }

    #[test]
    fn a_trigger_is_known_by_digest_and_its_text_stays_out() {
        let operation = intake::Operation::Open {
            trigger: json!({"workload": "orders", "secret": "hunter2"}),
        };
        let answer = json!({
            "outcome": "opened", "run": "orders-0123456789ab", "workload": "orders", "mode": "drill",
            "plan": artifact("plan.json"),
        });
        let events = operation.events(&answer, at());
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].kind, Kind::RunOpened);
        assert_eq!(events[0].subjects["plan.json"], Digest::of(b"plan.json"));
        assert!(!serde_json::to_string(&events).unwrap().contains("hunter2"));
        assert_eq!(run_of(None, &answer).unwrap().as_str(), "orders-0123456789ab");
    }

    #[test]
    fn what_still_runs_leaves_no_link_and_what_ended_leaves_one() {
        let operation = rebuild::Operation::Advance {
            plan: artifact("plan.json"),
        };
        assert!(operation.events(&json!({"progress": "running"}), at()).is_empty());
        assert_eq!(
            operation.events(&json!({"progress": "done"}), at())[0].kind,
            Kind::StacksBuilt
        );
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_kept_by_digest() {
        let operation = rebuild::Operation::Preflight {
            plan: artifact("plan.json"),
            detections: BTreeMap::new(),
        };
        let events = operation.events(&json!({"progress": "sideways"}), at());
        assert_eq!(events[0].kind, Kind::StepAnswered);
        assert!(events[0].subjects.contains_key("answer"));
    }

    #[test]
    fn a_token_never_reaches_the_chain() {
        let approved = cutover::Approved {
            plan: artifact("plan.json"),
            package: artifact("package.json"),
            digest: Digest::of(b"package"),
        };
        let operation = cutover::Operation::AskOperator {
            approved,
            cutover: None,
            failure: crate::task::Failure {
                error: "Recovery.Defect".to_owned(),
                cause: "AQCEAAAAKgAAAAMAAAAA".to_owned(),
            },
            token: approval::TaskToken::new("AQCEAAAAKgAAAAMAAAAA".to_owned()),
        };
        let text = serde_json::to_string(&operation.events(&json!("Asked"), at())).unwrap();
        assert!(
            text.contains("operator_asked") && !text.contains("AQCE"),
            "{text}"
        );
    }

    #[test]
    fn every_attempt_that_fails_is_an_event_of_its_own() {
        let mut context = StateContext {
            execution: "arn:e".to_owned(),
            started: at(),
            state: "Expand".to_owned(),
            entered: at(),
            retry_count: 0,
            redrive_count: 0,
        };
        let first = failed(&context, "apply", ErrorName::Transient, &"é".repeat(900), at());
        assert_eq!(first.facts["message"].chars().count(), MESSAGE_CHARACTERS);
        context.retry_count = 1;
        let second = failed(&context, "apply", ErrorName::Transient, &"é".repeat(900), at());
        assert_ne!(first.id().unwrap(), second.id().unwrap());
    }
}
