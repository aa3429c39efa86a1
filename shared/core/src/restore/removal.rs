//! Removing what a rehearsal restored: the run's own copies, and nothing else.
//!
//! A restore makes a new resource, and its job says which. From then on the resource carries the run's tag
//! ([`crate::rebuild::request::RUN_TAG`]), set once. What does not carry it is somebody else's, whatever its name.

use super::job::{JobState, RestoreJob, RestoreRecord};
use crate::error_name::{ErrorName, StageError};
use crate::run::{Mode, RunId, RunRecord};

/// Why nothing of a run may be removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemovalRefused {
    /// The ledger does not know the run.
    #[error("run `{0}` is not in the ledger")]
    UnknownRun(RunId),
    /// What was restored in earnest is the new production.
    #[error("run `{0}` is no drill: what it restored is the workload now, and is never removed")]
    InEarnest(RunId),
    /// Stacks of a run in earnest that has restored data.
    #[error("run `{0}` is no drill and has begun to restore data: its stacks are the workload now")]
    DataRestored(RunId),
}

impl StageError for RemovalRefused {
    fn name(&self) -> ErrorName {
        ErrorName::PolicyRefused
    }
}

/// Whether what a run restored may be removed: only what a drill restored.
///
/// # Errors
/// [`RemovalRefused`].
pub fn copies_removable(run: &RunId, record: Option<&RunRecord>) -> Result<(), RemovalRefused> {
    match record.map(|record| record.mode) {
        None => Err(RemovalRefused::UnknownRun(run.clone())),
        Some(Mode::Drill) => Ok(()),
        Some(Mode::Incident) => Err(RemovalRefused::InEarnest(run.clone())),
    }
}

/// Whether the stacks of a run may be removed: those of a drill, and those of a run that ended before it restored
/// anything.
///
/// # Errors
/// [`RemovalRefused`].
pub fn stacks_removable(
    run: &RunId,
    record: Option<&RunRecord>,
    restores: Option<&RestoreRecord>,
) -> Result<(), RemovalRefused> {
    match (record.map(|record| record.mode), restores) {
        (None, _) => Err(RemovalRefused::UnknownRun(run.clone())),
        (Some(Mode::Drill), _) | (Some(Mode::Incident), None) => Ok(()),
        (Some(Mode::Incident), Some(_)) => Err(RemovalRefused::DataRestored(run.clone())),
    }
}

/// A restored resource as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyState {
    /// Nobody can look: AWS chooses its id, and nothing says which; or no interface removes resources of its type.
    Unknown,
    /// There is none of this name.
    Absent,
    /// It is being deleted.
    Deleting,
    /// It is there.
    Present {
        /// The run whose tag it carries.
        run: Option<String>,
    },
}

/// What is to be done with one copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Its job is still at work, or its deletion is: look again later.
    Wait,
    /// It is this run's and does not carry the tag yet.
    Mark,
    /// It carries this run's tag: delete it.
    Delete,
    /// Nothing of it is left.
    Gone,
    /// It is not this run's, and stays.
    Leave {
        /// Why.
        why: String,
    },
}

/// Decides what is to be done with one copy; `job` is the ledger's note, `state` what AWS Backup says of it.
#[must_use]
pub fn removal(run: &RunId, job: &RestoreJob, state: Option<&JobState>, copy: &CopyState) -> Removal {
    if matches!(state, Some(JobState::Running)) {
        return Removal::Wait;
    }
    match copy {
        // A job that ended without making anything leaves nothing, whatever its id would have been.
        CopyState::Unknown if matches!(state, Some(JobState::Failed { empty: true, .. })) => Removal::Gone,
        CopyState::Unknown => Removal::Leave {
            why: match state {
                Some(JobState::Completed { made, .. }) => {
                    format!("`{}` is for a person to remove", made.escape_debug())
                }
                Some(JobState::Failed { why, .. }) => format!("its job may have made something: {why}"),
                Some(JobState::Running) | None => {
                    "whether it was made is not known, because no restore job of it is: look for one"
                        .to_owned()
                }
            },
        },
        CopyState::Absent => Removal::Gone,
        CopyState::Deleting => Removal::Wait,
        CopyState::Present { run: Some(owner) } if owner == run.as_str() => Removal::Delete,
        CopyState::Present { run: Some(owner) } => Removal::Leave {
            why: format!("it carries the tag of `{}`", owner.escape_debug()),
        },
        CopyState::Present { run: None } => match state {
            Some(JobState::Completed { .. }) if !job.marked => Removal::Mark,
            // The tag was set once: what has none now was put in the place of the run's.
            Some(JobState::Completed { .. }) => Removal::Leave {
                why: "it lost the tag of this run".to_owned(),
            },
            Some(JobState::Running | JobState::Failed { .. }) | None => Removal::Leave {
                why: "it does not carry the tag of this run, and no job says that it made it".to_owned(),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run() -> RunId {
        RunId::try_from("orders-0123456789ab".to_owned()).unwrap()
    }

    fn job(marked: bool) -> RestoreJob {
        RestoreJob {
            recovery_point: "p".to_owned(),
            arn: "arn:aws:s3:::x".to_owned(),
            metadata: std::collections::BTreeMap::new(),
            attempt: 0,
            failed: Vec::new(),
            id: Some("j".to_owned()),
            made: None,
            marked,
            hooks: std::collections::BTreeMap::new(),
            adopted: None,
        }
    }

    fn states() -> impl Strategy<Value = Option<JobState>> {
        prop_oneof![
            Just(None),
            Just(Some(JobState::Running)),
            Just(Some(JobState::Completed {
                remark: None,
                made: "arn:aws:s3:::x".to_owned()
            })),
            Just(Some(JobState::Failed {
                why: String::new(),
                empty: true
            })),
        ]
    }

    fn copies() -> impl Strategy<Value = CopyState> {
        prop_oneof![
            Just(CopyState::Unknown),
            Just(CopyState::Absent),
            Just(CopyState::Deleting),
            Just(CopyState::Present { run: None }),
            Just(CopyState::Present {
                run: Some("orders-0123456789ac".to_owned())
            }),
            Just(CopyState::Present {
                run: Some("orders-0123456789ab".to_owned())
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn only_what_carries_the_tag_of_the_run_is_deleted(state in states(), copy in copies(), marked: bool) {
            let ours = copy == CopyState::Present { run: Some(run().to_string()) };
            let decided = removal(&run(), &job(marked), state.as_ref(), &copy);
            prop_assert!(decided != Removal::Delete || ours);
            // Never twice: a tag that is gone is not set again.
            let untagged = copy == CopyState::Present { run: None };
            prop_assert!(decided != Removal::Mark || (!marked && untagged));
            if state != Some(JobState::Running) && copy == CopyState::Absent {
                prop_assert_eq!(&decided, &Removal::Gone);
            }
            let made_nothing = matches!(state, Some(JobState::Failed { empty: true, .. }));
            if copy == CopyState::Unknown && !made_nothing {
                prop_assert_ne!(decided, Removal::Gone);
            }
        }
    }

    #[test]
    fn a_run_in_earnest_keeps_what_it_restored() {
        let record = |mode: &str| -> RunRecord {
            serde_json::from_value(serde_json::json!({
                "run": run(), "workload": "orders", "mode": mode,
                "plan": {"bucket": "b", "key": "k", "version": null, "sha256": "0".repeat(64), "bytes": 0},
                "trigger": {"kind": "manual", "requested_by": "ada"},
                "execution": "e", "started": "2026-01-31T08:00:00Z", "conclusion": null
            }))
            .unwrap()
        };
        let (drill, incident) = (record("drill"), record("incident"));
        let restores = RestoreRecord::intend(&crate::artifact::Digest::of(b"p"), &[]);
        assert_eq!(copies_removable(&run(), Some(&drill)), Ok(()));
        assert_eq!(
            copies_removable(&run(), Some(&incident)),
            Err(RemovalRefused::InEarnest(run()))
        );
        assert_eq!(
            copies_removable(&run(), None),
            Err(RemovalRefused::UnknownRun(run()))
        );
        assert_eq!(stacks_removable(&run(), Some(&drill), Some(&restores)), Ok(()));
        assert_eq!(stacks_removable(&run(), Some(&incident), None), Ok(()));
        assert_eq!(
            stacks_removable(&run(), Some(&incident), Some(&restores)),
            Err(RemovalRefused::DataRestored(run()))
        );
    }
}
