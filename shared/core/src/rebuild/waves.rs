//! Which stacks to start or delete next, from what is observed. Nothing here waits.

use std::collections::BTreeMap;

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
}

/// What a stack is to this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackState {
    /// There is no stack of this name.
    Absent,
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
    /// It belongs to something else, and is left alone.
    Foreign {
        /// Why it is not this run's.
        why: String,
    },
}

impl StackState {
    /// What this stack is to a run that wants it built from `template`.
    #[must_use]
    pub fn of(run: &RunId, template: &Digest, observed: Option<&ObservedStack>) -> Self {
        let Some(stack) = observed else {
            return Self::Absent;
        };
        match stack.tags.get(RUN_TAG) {
            Some(owner) if owner == run.as_str() => {}
            Some(owner) => {
                return Self::Foreign {
                    why: format!("it was made by the run `{}`", owner.escape_debug()),
                };
            }
            None => {
                return Self::Foreign {
                    why: format!("it has no tag `{RUN_TAG}`"),
                };
            }
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
            "DELETE_COMPLETE" => Self::Absent,
            // Still moving, but it can only end as not created: its events already hold the cause.
            status @ ("ROLLBACK_IN_PROGRESS"
            | "ROLLBACK_COMPLETE"
            | "ROLLBACK_FAILED"
            | "CREATE_FAILED"
            | "DELETE_FAILED") => Self::Failed {
                status: status.to_owned(),
            },
            status => Self::Foreign {
                why: format!("somebody changed it: its status is `{}`", status.escape_debug()),
            },
        }
    }
}

/// What to do next to have every stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advance<'a> {
    /// Create these stacks: the missing ones of the lowest wave that is not complete.
    Start(Vec<&'a Stack>),
    /// The wave is being created; ask again later.
    Wait,
    /// Every stack is complete.
    Done,
    /// These stacks stand in the way, each with its state: failed, foreign or being deleted.
    Stop(Vec<(&'a Stack, StackState)>),
}

/// Decides what to do next; `states` is by stack name, and a stack that is not in it is absent.
#[must_use]
pub fn advance<'a>(stacks: &'a [Stack], states: &BTreeMap<String, StackState>) -> Advance<'a> {
    let state = |stack: &Stack| states.get(&stack.name).unwrap_or(&StackState::Absent);
    let blocked: Vec<_> = stacks
        .iter()
        .filter_map(|stack| match state(stack) {
            StackState::Absent | StackState::Creating | StackState::Complete => None,
            other @ (StackState::Failed { .. } | StackState::Deleting | StackState::Foreign { .. }) => {
                Some((stack, other.clone()))
            }
        })
        .collect();
    if !blocked.is_empty() {
        return Advance::Stop(blocked);
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
        .filter(|stack| stack.wave == wave && *state(stack) == StackState::Absent)
        .collect();
    if missing.is_empty() {
        Advance::Wait
    } else {
        Advance::Start(missing)
    }
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

/// Decides what to delete next, in the opposite order of creation. Foreign stacks are never deleted.
#[must_use]
pub fn removal<'a>(stacks: &'a [Stack], states: &BTreeMap<String, StackState>) -> Removal<'a> {
    let state = |stack: &Stack| states.get(&stack.name).unwrap_or(&StackState::Absent);
    let ours = || {
        stacks
            .iter()
            .filter(|stack| !matches!(state(stack), StackState::Absent | StackState::Foreign { .. }))
    };
    let stuck: Vec<_> = ours()
        .filter_map(|stack| match state(stack) {
            failed @ StackState::Failed { status } if status == "DELETE_FAILED" => {
                Some((stack, failed.clone()))
            }
            StackState::Absent
            | StackState::Creating
            | StackState::Complete
            | StackState::Failed { .. }
            | StackState::Deleting
            | StackState::Foreign { .. } => None,
        })
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
            StackState::Complete => true,
            StackState::Failed { status } => status != "ROLLBACK_IN_PROGRESS",
            StackState::Absent | StackState::Creating | StackState::Deleting | StackState::Foreign { .. } => {
                false
            }
        })
        .collect();
    if deletable.is_empty() {
        Removal::Wait
    } else {
        Removal::Delete(deletable)
    }
}
