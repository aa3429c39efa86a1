//! Removing what a drill restored.

use blackstart_aws::ledger::Versioned;
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records;
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Plan, Resource};
use blackstart_core::restore::job::RestoreRecord;
use blackstart_core::restore::removal::{CopyState, Removal, copies_removable, removal};
use blackstart_core::run::{RunId, RunRecord};
use blackstart_core::task::Progress;
use blackstart_core::task::restore::Removed;

use crate::port::{RebuildAccount, Restorer as _, Run};
use crate::{Deps, RestoreError, note, state_of};

/// One look at every copy, and the next step for each. Done when no copy of the run is left.
pub(crate) async fn clean_up<R: Run, L: Records, A: RebuildAccount>(
    run: &RunId,
    plan: &Plan,
    deps: &Deps<R, L, A>,
) -> Result<Removed, RestoreError> {
    let about = deps.records.get::<RunRecord>(&Key::run(run)).await?;
    copies_removable(run, about.as_ref().map(|found| &found.document))?;
    let mut answer = Removed {
        progress: Progress::Done,
        removed: Vec::new(),
        left: Vec::new(),
    };
    let Some(mut record): Option<Versioned<RestoreRecord>> = deps.records.get(&Key::restore(run)).await?
    else {
        return Ok(answer);
    };
    for resource in &plan.resources {
        let Some(job) = record.document.jobs.get(&resource.id).cloned() else {
            continue;
        };
        let account = deps.account.open_for_removal(plan, run, resource).await?;
        let state = match &job.id {
            Some(id) => Some(state_of(&account.job(id).await?, &job.arn)),
            None => None,
        };
        // The run may have ended before a poll noted what the job made.
        let arn = job.known(state.as_ref());
        if let Some(made) = arn.filter(|arn| job.made.is_none() && *arn != job.arn) {
            record = note(run, record, &resource.id, deps, |job| {
                job.made = Some(made.to_owned())
            })
            .await?;
        }
        let copy = match arn {
            Some(arn) => account.copy(resource, arn).await?,
            None => CopyState::Unknown,
        };
        let arn = arn.unwrap_or_default();
        match removal(run, &job, state.as_ref(), &copy) {
            Removal::Gone => {}
            Removal::Wait => answer.progress = Progress::Running,
            Removal::Mark => match account.mark(resource, arn, run).await {
                Ok(marked) => {
                    if marked {
                        record = note(run, record, &resource.id, deps, |job| job.marked = true).await?;
                    }
                    answer.progress = Progress::Running;
                }
                Err(error @ PortError::Refused { .. }) => leave(&mut answer, resource, &error.to_string()),
                Err(error) => return Err(error.into()),
            },
            Removal::Delete => match account.remove(resource, arn).await {
                Ok(()) => {
                    tracing::info!(resource = %resource.id, name = %resource.restore_to, "copy removed");
                    answer.removed.push(resource.restore_to.clone());
                    answer.progress = Progress::Running;
                }
                // One that cannot be removed keeps nobody from removing the others.
                Err(error @ PortError::Refused { .. }) => leave(&mut answer, resource, &error.to_string()),
                Err(error) => return Err(error.into()),
            },
            Removal::Leave { why } => leave(&mut answer, resource, &why),
        }
    }
    Ok(answer)
}

fn leave(answer: &mut Removed, resource: &Resource, why: &str) {
    tracing::warn!(resource = %resource.id, name = %resource.restore_to, %why, "copy left alone");
    answer.left.push(format!("`{}`: {why}", resource.restore_to));
}
