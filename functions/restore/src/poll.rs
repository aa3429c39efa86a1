//! Watching the restore jobs. Nothing here waits.

use blackstart_aws::evidence::record_once;
use blackstart_aws::ledger::Versioned;
use blackstart_aws::records::Records;
use blackstart_core::evidence::{Event, Kind};
use blackstart_core::ledger::Key;
use blackstart_core::plan::Plan;
use blackstart_core::restore::job::{JobState, RestoreRecord};
use blackstart_core::run::RunId;
use blackstart_core::task::Progress;
use jiff::Timestamp;

use crate::port::{RebuildAccount, Restorer as _, Run};
use crate::{Deps, RestoreError, note, state_of};

/// One look at every job. Done when every job made what it should.
pub(crate) async fn poll<R: Run, L: Records, A: RebuildAccount>(
    run: &RunId,
    plan: &Plan,
    deps: &Deps<R, L, A>,
    now: Timestamp,
) -> Result<Progress, RestoreError> {
    let mut record: Versioned<RestoreRecord> = deps
        .records
        .get(&Key::restore(run))
        .await?
        .ok_or_else(|| RestoreError::NotStarted(run.clone()))?;
    let account = deps.account.open(plan, run).await?;
    let mut progress = Progress::Done;
    let mut failed = Vec::new();
    for (resource, job) in record.document.jobs.clone() {
        let id = job
            .id
            .as_deref()
            .ok_or_else(|| RestoreError::NotStarted(run.clone()))?;
        let observed = account.job(id).await?;
        let ended = |outcome: &str| {
            Event::new(Kind::RestoreEnded, now)
                .fact("resource", resource.as_str())
                .fact("job", id)
                .fact("outcome", outcome)
        };
        match state_of(&observed, &job.arn) {
            JobState::Running => progress = Progress::Running,
            JobState::Completed { remark, made } => {
                if job.made.is_none() {
                    let made = made.clone();
                    record = note(run, record, &resource, deps, |job| job.made = Some(made)).await?;
                }
                if !job.marked
                    && let Some(planned) = plan.resources.iter().find(|planned| planned.id == resource)
                {
                    if account.mark(planned, &made, run).await? {
                        record = note(run, record, &resource, deps, |job| job.marked = true).await?;
                    } else {
                        progress = Progress::Running;
                    }
                }
                let mut event = ended("completed");
                if let Some(remark) = remark {
                    tracing::warn!(%resource, job = id, %remark, "restore completed with a remark; the content decides");
                    event = event.fact("remark", remark);
                }
                record_once(&deps.records, run, event).await?;
            }
            JobState::Failed { why, .. } => {
                record_once(&deps.records, run, ended(&why)).await?;
                failed.push(format!(
                    "the restore of `{resource}` (job `{id}`) made nothing: {why}"
                ));
            }
        }
    }
    if failed.is_empty() {
        Ok(progress)
    } else {
        Err(RestoreError::Failed(failed))
    }
}
