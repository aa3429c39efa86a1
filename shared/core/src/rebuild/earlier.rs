//! Stacks that an earlier run left: what a run in earnest rebuilt stays when it ends before the gate, and the next run
//! of the workload meets it.
//!
//! They are removed, never taken over: a stack carries one run for life, so that whether data was restored beside it
//! can always be asked of that run.

use crate::restore::job::RestoreRecord;
use crate::restore::removal::{RemovalRefused, stacks_removable};
use crate::run::{Conclusion, RunId, RunRecord, WorkloadName};

/// Why a stack of an earlier run stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// It recovers another workload.
    #[error("run `{run}` recovers the workload `{workload}`: rename one of the two stacks")]
    OtherWorkload {
        /// The run that made it.
        run: RunId,
        /// What that run recovers.
        workload: WorkloadName,
    },
    /// The run has no conclusion.
    #[error("run `{0}` has not ended: end it before this one begins")]
    NotEnded(RunId),
    /// The run went past the gate.
    #[error("run `{run}` ended as `{}`, past the gate: what it built is never removed by another run", <&str>::from(.conclusion))]
    PastTheGate {
        /// The run that made it.
        run: RunId,
        /// How it ended.
        conclusion: Conclusion,
    },
    /// Its own run could not remove it either.
    #[error(transparent)]
    Removal(#[from] RemovalRefused),
}

/// Whether the stacks of the earlier run `run` may be removed for the sake of a new one: it recovers the same workload,
/// has ended, and restored nothing that stays.
///
/// # Errors
/// [`Kept`].
pub fn removable(
    workload: &WorkloadName,
    run: &RunId,
    record: Option<&RunRecord>,
    restores: Option<&RestoreRecord>,
) -> Result<(), Kept> {
    let record = record.ok_or_else(|| RemovalRefused::UnknownRun(run.clone()))?;
    if record.workload != *workload {
        return Err(Kept::OtherWorkload {
            run: run.clone(),
            workload: record.workload.clone(),
        });
    }
    match record.conclusion {
        None => return Err(Kept::NotEnded(run.clone())),
        Some(
            Conclusion::Refused
            | Conclusion::Expired
            | Conclusion::NoCleanPoint
            | Conclusion::Failed
            | Conclusion::Rehearsed,
        ) => {}
        Some(conclusion @ (Conclusion::Recovered | Conclusion::Reverted | Conclusion::Abandoned)) => {
            return Err(Kept::PastTheGate {
                run: run.clone(),
                conclusion,
            });
        }
    }
    stacks_removable(run, Some(record), restores)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::artifact::Digest;
    use crate::run::Mode;

    fn run() -> RunId {
        RunId::try_from("orders-0123456789ab".to_owned()).unwrap()
    }

    fn workload(name: &str) -> WorkloadName {
        WorkloadName::try_from(name.to_owned()).unwrap()
    }

    fn record(of: &str, mode: Mode, conclusion: Option<Conclusion>) -> RunRecord {
        serde_json::from_value(serde_json::json!({
            "run": run(), "workload": of, "mode": mode,
            "plan": {"bucket": "b", "key": "k", "version": null, "sha256": "0".repeat(64), "bytes": 0},
            "trigger": {"kind": "manual", "requested_by": "ada"},
            "execution": "e", "started": "2026-01-31T08:00:00Z", "conclusion": conclusion
        }))
        .unwrap()
    }

    fn restores() -> RestoreRecord {
        RestoreRecord::intend(&Digest::of(b"package"), &[])
    }

    #[test]
    fn each_reason_to_keep_a_stack_is_said() {
        let ask = |record: Option<&RunRecord>, restores: Option<&RestoreRecord>| {
            removable(&workload("orders"), &run(), record, restores)
        };
        let refused = Some(Conclusion::Refused);
        let ended = record("orders", Mode::Incident, refused);
        assert_eq!(ask(Some(&ended), None), Ok(()));
        assert!(matches!(
            ask(Some(&ended), Some(&restores())),
            Err(Kept::Removal(RemovalRefused::DataRestored(_)))
        ));
        assert!(matches!(
            ask(None, None),
            Err(Kept::Removal(RemovalRefused::UnknownRun(_)))
        ));
        let alive = record("orders", Mode::Incident, None);
        assert!(matches!(ask(Some(&alive), None), Err(Kept::NotEnded(_))));
        let other = record("billing", Mode::Incident, refused);
        let kept = ask(Some(&other), None).unwrap_err();
        assert!(kept.to_string().contains("the workload `billing`"), "{kept}");
        let recovered = record("orders", Mode::Incident, Some(Conclusion::Recovered));
        let kept = ask(Some(&recovered), None).unwrap_err();
        assert!(kept.to_string().contains("ended as `recovered`"), "{kept}");
        // A drill that failed to remove what it made leaves nothing that anybody needs.
        let drill = record("orders", Mode::Drill, Some(Conclusion::Rehearsed));
        assert_eq!(ask(Some(&drill), Some(&restores())), Ok(()));
    }

    fn conclusions() -> impl Strategy<Value = Option<Conclusion>> {
        prop_oneof![
            Just(None),
            Just(Some(Conclusion::Recovered)),
            Just(Some(Conclusion::Refused)),
            Just(Some(Conclusion::Expired)),
            Just(Some(Conclusion::NoCleanPoint)),
            Just(Some(Conclusion::Failed)),
            Just(Some(Conclusion::Rehearsed)),
            Just(Some(Conclusion::Reverted)),
            Just(Some(Conclusion::Abandoned)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn what_lives_or_holds_data_of_a_run_in_earnest_is_never_removed(
            conclusion in conclusions(),
            drill: bool,
            restoring: bool,
            same: bool,
        ) {
            let mode = if drill { Mode::Drill } else { Mode::Incident };
            let record = record(if same { "orders" } else { "billing" }, mode, conclusion);
            let restores = restoring.then(restores);
            if removable(&workload("orders"), &run(), Some(&record), restores.as_ref()).is_ok() {
                prop_assert!(same && conclusion.is_some() && (drill || !restoring));
                prop_assert!(conclusion != Some(Conclusion::Recovered));
            }
        }
    }
}
