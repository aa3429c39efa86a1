//! The wait for a trial: until the next look is due, or an event says that there is something to see.

use blackstart_aws::trial_waits::WaitError;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::run::RunId;
use blackstart_core::task::StateContext;
use blackstart_core::task::approval::TaskToken;
use blackstart_core::task::validation::Trial;
use blackstart_core::validation::wait::{self, TrialOfJob};
use jiff::Timestamp;

use crate::deps::{Deps, EnterAccount, RunRecords, Waits};
use crate::error::ValidationError;
use crate::trial::{Open, answer, ask_jobs};

/// One attempt of the state machine to wait.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    /// Which state, when and for which time: with each comes another token.
    pub(crate) context: &'a StateContext,
    /// How often an event has ended a wait for this set.
    pub(crate) woken: u32,
    /// The token.
    pub(crate) token: &'a TaskToken,
}

impl Attempt<'_> {
    fn name(&self) -> String {
        let context = self.context;
        format!(
            "{} {} {} {}",
            context.execution, context.entered, context.retry_count, context.redrive_count
        )
    }
}

/// Takes the token in, so that an event about a job of the set finds it; ends the wait itself if a job has meanwhile come to
/// something. What it sees is not recorded: the look that follows sees it too.
pub(crate) async fn wait<R: RunRecords + Waits, E: EnterAccount>(
    deps: &Deps<R, E>,
    run: &RunId,
    plan: &ArtifactRef,
    set: &str,
    attempt: Attempt<'_>,
    now: Timestamp,
) -> Result<Trial, ValidationError> {
    let Some(trial) = Open::load(&deps.records, run, set).await? else {
        return Err(ValidationError::NoTrial { set: set.to_owned() });
    };
    if trial.record.is_done() {
        deps.records.wake(attempt.token).await.map_err(WaitError::from)?;
        return Ok(answer(&trial.record, now));
    }
    if !wait::listens(attempt.woken) {
        tracing::warn!(
            set,
            woken = attempt.woken,
            "no event shortens this wait: too many did before"
        );
        return Ok(answer(&trial.record, now));
    }
    let of_job = TrialOfJob {
        run: run.clone(),
        set: set.to_owned(),
    };
    let jobs = trial.record.waiting_for();
    deps.records
        .listen(&of_job, &attempt.name(), attempt.token, &jobs, now)
        .await?;
    // A job that ended before its token was stored sends no event any more.
    let plan = deps.records.plan(plan).await?;
    let account = deps.enter.enter(&plan, run).await?;
    let mut seen = trial.record.clone();
    ask_jobs(&account, &mut seen).await?;
    if seen != trial.record {
        deps.records.wake(attempt.token).await.map_err(WaitError::from)?;
    }
    Ok(answer(&trial.record, now))
}
