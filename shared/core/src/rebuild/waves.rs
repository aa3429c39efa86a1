//! Which stacks to start or delete next, from what is observed. Nothing here waits.

use std::collections::{BTreeMap, BTreeSet};

use super::change_set::run_of;
use super::request::{RUN_TAG, TEMPLATE_TAG};
use crate::artifact::Digest;
use crate::plan::Stack;
use crate::run::RunId;

/// A stack as CloudFormation describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedStack {
    /// Stack id (ARN).
    pub id: String,
    /// Stack status, for example `CREATE_COMPLETE`.
    pub status: String,
    /// Why, where CloudFormation says so.
    pub reason: Option<String>,
    /// Stack tags.
    pub tags: BTreeMap<String, String>,
    /// Parameters with their values.
    pub parameters: BTreeMap<String, String>,
    /// Outputs.
    pub outputs: BTreeMap<String, String>,
    /// Names of its change sets, while it is nothing but a name that waits for one of them.
    pub change_sets: BTreeSet<String>,
}

/// What a stack is to this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackState {
    /// There is no stack of this name.
    Absent,
    /// It is nothing but a name that waits for this run's change set.
    Proposed,
    /// It is being created.
    Creating,
    /// It was created from the plan's template and not changed since.
    Complete,
    /// It was not created.
    Failed {
        /// Its status.
        status: String,
    },
    /// It is being deleted.
    Deleting,
    /// This run made it, and somebody changed it since.
    Changed {
        /// Its status.
        status: String,
    },
    /// An earlier run made it.
    Earlier {
        /// The run.
        run: RunId,
        /// Where it is.
        phase: Phase,
    },
    /// It belongs to something else, and is left alone.
    Foreign {
        /// Why it is not this run's.
        why: String,
    },
}

/// Where a stack of an earlier run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It can be deleted.
    Idle,
    /// It is on its way somewhere.
    Moving,
    /// It was changed since it was created, or could not be deleted: a person must look.
    Stuck(String),
}

/// Who made a stack.
enum Owner {
    Run(RunId),
    Nobody { why: String },
}

/// Who made a stack: its tag says so, and for a name that waits for a change set, that change set's name.
fn owner(stack: &ObservedStack) -> Owner {
    match stack.tags.get(RUN_TAG) {
        Some(tag) => match RunId::try_from(tag.clone()) {
            Ok(run) => Owner::Run(run),
            Err(_) => Owner::Nobody {
                why: format!("its tag `{RUN_TAG}` is `{}`, which is no run", tag.escape_debug()),
            },
        },
        None => {
            let mut runs: Vec<Option<RunId>> = stack.change_sets.iter().map(|name| run_of(name)).collect();
            runs.dedup();
            match runs.as_slice() {
                [Some(run)] => Owner::Run(run.clone()),
                _ => Owner::Nobody {
                    why: format!("it has no tag `{RUN_TAG}`"),
                },
            }
        }
    }
}

impl StackState {
    /// What this stack is to a run that wants it built from `template`.
    #[must_use]
    pub fn of(run: &RunId, template: &Digest, observed: Option<&ObservedStack>) -> Self {
        let Some(stack) = observed else {
            return Self::Absent;
        };
        // What is gone by name is still found by id.
        if stack.status == "DELETE_COMPLETE" {
            return Self::Absent;
        }
        match owner(stack) {
            Owner::Nobody { why } => return Self::Foreign { why },
            Owner::Run(earlier) if earlier != *run => {
                return Self::Earlier {
                    run: earlier,
                    phase: Phase::of(&stack.status),
                };
            }
            Owner::Run(_) => {}
        }
        if stack.status == "REVIEW_IN_PROGRESS" {
            return Self::Proposed;
        }
        if stack.tags.get(TEMPLATE_TAG).map(String::as_str) != Some(template.as_str()) {
            return Self::Foreign {
                why: "it was made from another template".to_owned(),
            };
        }
        match stack.status.as_str() {
            "CREATE_IN_PROGRESS" => Self::Creating,
            "CREATE_COMPLETE" => Self::Complete,
            "DELETE_IN_PROGRESS" => Self::Deleting,
            // Still moving, but it can only end as not created: its events already hold the cause.
            status @ ("ROLLBACK_IN_PROGRESS"
            | "ROLLBACK_COMPLETE"
            | "ROLLBACK_FAILED"
            | "CREATE_FAILED"
            | "DELETE_FAILED") => Self::Failed {
                status: status.to_owned(),
            },
            status => Self::Changed {
                status: status.to_owned(),
            },
        }
    }
}

impl Phase {
    fn of(status: &str) -> Self {
        match status {
            "REVIEW_IN_PROGRESS" | "CREATE_COMPLETE" | "CREATE_FAILED" | "ROLLBACK_COMPLETE"
            | "ROLLBACK_FAILED" => Self::Idle,
            "CREATE_IN_PROGRESS" | "ROLLBACK_IN_PROGRESS" | "DELETE_IN_PROGRESS" => Self::Moving,
            other => Self::Stuck(other.to_owned()),
        }
    }
}

/// What to do next to have every stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advance<'a> {
    /// Delete these stacks of an earlier run: those of the highest wave that still exist.
    Clear(Vec<&'a Stack>),
    /// Create these stacks: those of the lowest wave that is not complete which are missing or wait for a change set.
    Start(Vec<&'a Stack>),
    /// The wave is being created, or what an earlier run left is being deleted; ask again later.
    Wait,
    /// Every stack is complete.
    Done,
    /// These stacks stand in the way, each with its state: failed, foreign or being deleted.
    Stop(Vec<(&'a Stack, StackState)>),
}

/// Decides what to do next; `states` is by stack name, and a stack that is not in it is absent.
///
/// A stack that is [`StackState::Earlier`] here may be deleted: the caller has asked the ledger.
#[must_use]
pub fn advance<'a>(stacks: &'a [Stack], states: &BTreeMap<String, StackState>) -> Advance<'a> {
    let state = |stack: &Stack| states.get(&stack.name).unwrap_or(&StackState::Absent);
    let blocked: Vec<_> = stacks
        .iter()
        .filter_map(|stack| match state(stack) {
            StackState::Absent
            | StackState::Proposed
            | StackState::Creating
            | StackState::Complete
            | StackState::Earlier {
                phase: Phase::Idle | Phase::Moving,
                ..
            } => None,
            other @ (StackState::Failed { .. }
            | StackState::Deleting
            | StackState::Changed { .. }
            | StackState::Earlier {
                phase: Phase::Stuck(_),
                ..
            }
            | StackState::Foreign { .. }) => Some((stack, other.clone())),
        })
        .collect();
    if !blocked.is_empty() {
        return Advance::Stop(blocked);
    }
    if let Some(next) = clear(stacks, state) {
        return next;
    }
    let Some(wave) = stacks
        .iter()
        .filter(|stack| *state(stack) != StackState::Complete)
        .map(|stack| stack.wave)
        .min()
    else {
        return Advance::Done;
    };
    let missing: Vec<_> = stacks
        .iter()
        .filter(|stack| stack.wave == wave)
        .filter(|stack| matches!(state(stack), StackState::Absent | StackState::Proposed))
        .collect();
    if missing.is_empty() {
        Advance::Wait
    } else {
        Advance::Start(missing)
    }
}

/// What is to be deleted before anything is made: what an earlier run left, in the opposite order of creation.
fn clear<'a, 's>(stacks: &'a [Stack], state: impl Fn(&Stack) -> &'s StackState) -> Option<Advance<'a>> {
    let phase = |stack: &Stack| {
        if let StackState::Earlier { phase, .. } = state(stack) {
            Some(phase)
        } else {
            None
        }
    };
    let wave = stacks
        .iter()
        .filter(|stack| phase(stack).is_some())
        .map(|stack| stack.wave)
        .max()?;
    let idle: Vec<_> = stacks
        .iter()
        .filter(|stack| stack.wave == wave && phase(stack) == Some(&Phase::Idle))
        .collect();
    Some(if idle.is_empty() {
        Advance::Wait
    } else {
        Advance::Clear(idle)
    })
}

/// What to do next to have none of the run's stacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal<'a> {
    /// Delete these stacks: those of the highest wave that still exist.
    Delete(Vec<&'a Stack>),
    /// They are being deleted or created; ask again later.
    Wait,
    /// Nothing of this run is left.
    Done,
    /// These stacks could not be deleted.
    Stop(Vec<(&'a Stack, StackState)>),
}

/// Decides what to delete next, in the opposite order of creation. Stacks of others are never deleted.
#[must_use]
pub fn removal<'a>(stacks: &'a [Stack], states: &BTreeMap<String, StackState>) -> Removal<'a> {
    let state = |stack: &Stack| states.get(&stack.name).unwrap_or(&StackState::Absent);
    let ours = || {
        stacks.iter().filter(|stack| {
            !matches!(
                state(stack),
                StackState::Absent | StackState::Earlier { .. } | StackState::Foreign { .. }
            )
        })
    };
    let stuck: Vec<_> = ours()
        .filter(|stack| matches!(state(stack), StackState::Failed { status } if status == "DELETE_FAILED"))
        .map(|stack| (stack, state(stack).clone()))
        .collect();
    if !stuck.is_empty() {
        return Removal::Stop(stuck);
    }
    let Some(wave) = ours().map(|stack| stack.wave).max() else {
        return Removal::Done;
    };
    let deletable: Vec<_> = ours()
        .filter(|stack| stack.wave == wave)
        .filter(|stack| match state(stack) {
            StackState::Proposed | StackState::Complete => true,
            // CloudFormation refuses to delete a stack that it is still at work on.
            StackState::Failed { status } | StackState::Changed { status } => {
                !status.ends_with("_IN_PROGRESS")
            }
            StackState::Absent
            | StackState::Creating
            | StackState::Deleting
            | StackState::Earlier { .. }
            | StackState::Foreign { .. } => false,
        })
        .collect();
    if deletable.is_empty() {
        Removal::Wait
    } else {
        Removal::Delete(deletable)
    }
}
