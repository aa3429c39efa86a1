//! Keys of the ledger: one DynamoDB table, partition key `pk`, sort key `sk`.
//!
//! Every item carries `document` (JSON text), `version` (number, conditional writes) and the two keys.

use crate::artifact::Digest;
use crate::run::{RunId, WorkloadName};
use crate::task::cutover::Question;

/// The place of one item in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    /// Which run is active for a workload. At most one: written only if absent.
    #[must_use]
    pub fn active_run(workload: &WorkloadName) -> Self {
        Self {
            pk: format!("WORKLOAD#{workload}"),
            sk: "ACTIVE".to_owned(),
        }
    }

    /// How long a concluded run took, for the trend over drills.
    #[must_use]
    pub fn durations(workload: &WorkloadName, run: &RunId) -> Self {
        Self {
            pk: Self::workload_partition(workload),
            sk: format!("{}{run}", Self::DURATIONS_PREFIX),
        }
    }

    /// Prefix of the durations of all runs of a workload.
    pub const DURATIONS_PREFIX: &'static str = "DURATIONS#";

    /// The partition of everything that outlives the runs of a workload.
    #[must_use]
    pub fn workload_partition(workload: &WorkloadName) -> String {
        format!("WORKLOAD#{workload}")
    }

    /// Which run handled a finding. GuardDuty repeats a finding under the same id for as long as it is active.
    #[must_use]
    pub fn finding(workload: &WorkloadName, finding: &str) -> Self {
        Self {
            pk: format!("WORKLOAD#{workload}"),
            sk: format!("FINDING#{finding}"),
        }
    }

    /// A trigger that was refused or attached, kept per workload or under `unknown`.
    #[must_use]
    pub fn refused_trigger(execution: &str) -> Self {
        Self {
            pk: "TRIGGERS".to_owned(),
            sk: execution.to_owned(),
        }
    }

    /// The partition of everything that belongs to one run.
    #[must_use]
    pub fn run_partition(run: &RunId) -> String {
        format!("RUN#{run}")
    }

    fn in_run(run: &RunId, sk: String) -> Self {
        Self {
            pk: Self::run_partition(run),
            sk,
        }
    }

    /// The run's own record.
    #[must_use]
    pub fn run(run: &RunId) -> Self {
        Self::in_run(run, "RUN".to_owned())
    }

    /// A trigger of the run; `id` is the finding id or the execution of a manual start.
    #[must_use]
    pub fn trigger(run: &RunId, id: &str) -> Self {
        Self::in_run(run, format!("TRIGGER#{id}"))
    }

    /// One invocation of a state, for the measured critical path.
    #[must_use]
    pub fn step(run: &RunId, state: &str, invocation: &str) -> Self {
        Self::in_run(run, format!("STEP#{state}#{invocation}"))
    }

    /// Prefix of all steps of a run.
    pub const STEP_PREFIX: &'static str = "STEP#";

    /// The current event boundary. Its version counts the revisions; it never moves later.
    #[must_use]
    pub fn boundary(run: &RunId) -> Self {
        Self::in_run(run, "BOUNDARY".to_owned())
    }

    /// The verdict on one recovery set within a run.
    #[must_use]
    pub fn set_verdict(run: &RunId, set: &str) -> Self {
        Self::in_run(run, format!("{}{set}", Self::SET_VERDICT_PREFIX))
    }

    /// Prefix of all set verdicts of a run.
    pub const SET_VERDICT_PREFIX: &'static str = "VERDICT#";

    /// The trial of one recovery set: its throw-away names and jobs.
    #[must_use]
    pub fn trial(run: &RunId, set: &str) -> Self {
        Self::in_run(run, format!("{}{set}", Self::TRIAL_PREFIX))
    }

    /// Prefix of all trials of a run.
    pub const TRIAL_PREFIX: &'static str = "TRIAL#";

    /// The restore jobs of the run.
    #[must_use]
    pub fn restore(run: &RunId) -> Self {
        Self::in_run(run, "RESTORE".to_owned())
    }

    /// What became of every item of the workload.
    #[must_use]
    pub fn items(run: &RunId) -> Self {
        Self::in_run(run, "ITEMS".to_owned())
    }

    /// The verdict on one recovery point, kept beyond the run: by what was looked for.
    #[must_use]
    pub fn point_verdict(point: &str, basis: &Digest) -> Self {
        Self {
            pk: format!("POINT#{point}"),
            sk: format!("VERDICT#{basis}"),
        }
    }

    /// The state of the gate for one decision package.
    #[must_use]
    pub fn gate(run: &RunId, package: &Digest) -> Self {
        Self::in_run(run, format!("{}{package}", Self::GATE_PREFIX))
    }

    /// Prefix of all gates of a run.
    pub const GATE_PREFIX: &'static str = "GATE#";

    /// What became of the request to the approval team of AWS Backup for one decision package.
    #[must_use]
    pub fn outer_gate(run: &RunId, package: &Digest) -> Self {
        Self::in_run(run, format!("OUTER#{package}"))
    }

    /// The encrypted task token of one attempt to wait at the gate.
    #[must_use]
    pub fn gate_token(run: &RunId, package: &Digest) -> Self {
        Self::in_run(run, format!("TOKEN#{package}"))
    }

    /// The one answer to a question that an operator was asked. Written only if absent.
    #[must_use]
    pub fn operator_answer(run: &RunId, question: &Question) -> Self {
        Self::in_run(run, format!("ANSWER#{question}"))
    }

    /// The encrypted task token of one attempt to wait for the trial of a recovery set.
    #[must_use]
    pub fn trial_token(run: &RunId, set: &str) -> Self {
        Self::in_run(run, format!("TOKEN#trial#{set}"))
    }

    /// The trial that a job of AWS Backup belongs to: what an event about the job is looked up by.
    #[must_use]
    pub fn backup_job(id: &str) -> Self {
        Self {
            pk: format!("JOB#{id}"),
            sk: "TRIAL".to_owned(),
        }
    }

    /// One person's vote on one decision package. Written only if absent.
    #[must_use]
    pub fn vote(run: &RunId, package: &Digest, person: &str) -> Self {
        Self::in_run(run, format!("{}{person}", Self::vote_prefix(package)))
    }

    /// Prefix of all votes on one decision package.
    #[must_use]
    pub fn vote_prefix(package: &Digest) -> String {
        format!("VOTE#{package}#")
    }

    /// One entry of the cutover journal. Written only if absent: the condition is the fence between executors.
    #[must_use]
    pub fn journal(run: &RunId, sequence: u64) -> Self {
        Self::in_run(run, format!("{}{sequence:010}", Self::JOURNAL_PREFIX))
    }

    /// Prefix of all journal entries of a run.
    pub const JOURNAL_PREFIX: &'static str = "JOURNAL#";

    /// One link of the evidence chain. Written only if absent.
    #[must_use]
    pub fn evidence(run: &RunId, sequence: u64) -> Self {
        Self::in_run(run, format!("{}{sequence:010}", Self::EVIDENCE_PREFIX))
    }

    /// Prefix of the evidence chain of a run.
    pub const EVIDENCE_PREFIX: &'static str = "EVIDENCE#";

    /// Place in the chain of the event with this id. Written with its link, both or neither, so that an event is in
    /// the chain once however often it is recorded.
    #[must_use]
    pub fn evidence_event(run: &RunId, id: &Digest) -> Self {
        Self::in_run(run, format!("EVENT#{id}"))
    }

    /// The lease on one document that a cutover changes.
    #[must_use]
    pub fn lease(document: &str) -> Self {
        Self {
            pk: "LEASES".to_owned(),
            sk: document.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journal_and_evidence_keys_sort_by_sequence() {
        let workload = WorkloadName::try_from("orders".to_owned()).unwrap();
        let run = RunId::of_execution(&workload, "x");
        assert!(Key::journal(&run, 9) < Key::journal(&run, 10));
        assert!(Key::evidence(&run, 99_999) < Key::evidence(&run, 100_000));
    }
}
