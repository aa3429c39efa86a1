//! Opens and closes runs: one run per workload, everything else attached or rejected, all of it recorded. Hears the events
//! that end a wait before its time.
#![warn(missing_docs)]

pub mod config;
pub mod events;

use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::guardduty::Findings;
use blackstart_aws::ledger::{Ledger, LedgerError};
use blackstart_aws::port::PortError;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::error_name::{ErrorName, StageError, error_chain};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Plan, RuleFile, ValidationPlan};
use blackstart_core::run::{Conclusion, RunId, RunRecord, Trigger, WorkloadName};
use blackstart_core::task::intake::{Closed, Opened, Operation};
use blackstart_core::task::{StateContext, Task};
use blackstart_core::trigger::{self, Request};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What `intake` works with.
#[derive(Debug)]
pub struct Deps {
    /// Artifacts of runs.
    pub artifacts: ArtifactStore,
    /// The ledger.
    pub ledger: Ledger,
    /// Bucket with `plans/WORKLOAD.json`.
    pub plan_bucket: String,
    /// The detector against which findings are checked.
    pub findings: Option<Findings>,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// An artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// GuardDuty.
    #[error(transparent)]
    Port(#[from] PortError),
    /// `close` was called for no run.
    #[error("the task names no run")]
    NoRun,
    /// `close` was called for a run that was never opened.
    #[error("run `{0}` is not in the ledger")]
    UnknownRun(RunId),
}

impl StageError for IntakeError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Artifact(error) => error.name(),
            Self::Ledger(error) => error.name(),
            Self::Port(error) => error.name(),
            Self::NoRun | Self::UnknownRun(_) => ErrorName::InvalidInput,
        }
    }
}

/// The lock of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ActiveRun {
    run: RunId,
    execution: String,
    since: Timestamp,
}

/// A trigger that opened nothing, as it is kept.
#[derive(Debug, Serialize)]
struct RefusedTrigger<'a> {
    at: Timestamp,
    reason: &'a str,
    input: &'a Value,
}

/// The answer of either operation.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To `open`.
    Opened(Opened),
    /// To `close`.
    Closed(Closed),
}

/// One invocation.
///
/// # Errors
/// [`IntakeError`].
pub async fn handle(task: Task<Operation>, deps: &Deps, now: Timestamp) -> Result<Answer, IntakeError> {
    match task.input {
        Operation::Open { trigger } => open(&trigger, &task.context, deps, now).await.map(Answer::Opened),
        Operation::Close { conclusion } => {
            let run = task.run.ok_or(IntakeError::NoRun)?;
            close(&run, conclusion, deps).await.map(Answer::Closed)
        }
    }
}

async fn open(
    input: &Value,
    context: &StateContext,
    deps: &Deps,
    now: Timestamp,
) -> Result<Opened, IntakeError> {
    let request = match trigger::read(input, &context.execution) {
        Ok(request) => request,
        Err(reason) => return reject(input, context, deps, now, reason.to_string()).await,
    };
    if let Some(reason) = doubt(&request, deps).await? {
        return reject(input, context, deps, now, reason).await;
    }
    let plans = deps.artifacts.list(&deps.plan_bucket, "plans/").await?;
    let planned = match planned(&request, &plans, deps).await? {
        Ok(planned) => planned,
        Err(reason) => return reject(input, context, deps, now, reason).await,
    };
    claim(request, planned, context, deps).await
}

/// A finding that its detector does not know was not made by GuardDuty.
async fn doubt(request: &Request, deps: &Deps) -> Result<Option<String>, IntakeError> {
    let (Trigger::Finding { id, account, .. }, Some(findings)) = (&request.trigger, &deps.findings) else {
        return Ok(None);
    };
    let known = findings.knows(id, account.as_str()).await?;
    Ok((!known)
        .then(|| format!("the detector knows no finding `{id}` about account {account}; it may be forged")))
}

struct Planned {
    workload: WorkloadName,
    plan: Vec<u8>,
}

/// The plan that the request is about. A broken plan of another workload is no obstacle.
async fn planned(
    request: &Request,
    keys: &[String],
    deps: &Deps,
) -> Result<Result<Planned, String>, IntakeError> {
    let mut readable = Vec::new();
    let mut broken = Vec::new();
    for key in keys.iter().filter(|key| key.ends_with(".json")) {
        let (_, bytes) = deps.artifacts.adopt(&deps.plan_bucket, key).await?;
        match Plan::parse(&bytes) {
            Ok(plan) if *key == format!("plans/{}.json", plan.workload) => readable.push((plan, bytes)),
            Ok(plan) => broken.push(format!("`{key}` holds the plan of `{}`", plan.workload)),
            Err(error) => broken.push(format!("`{key}`: {error}")),
        }
    }
    let candidates = readable
        .iter()
        .map(|(plan, _)| (&plan.workload, &plan.accounts.old));
    Ok(match trigger::workload_of(request, candidates) {
        Ok(workload) => readable
            .into_iter()
            .find(|(plan, _)| plan.workload == workload)
            .map(|(_, plan)| Planned { workload, plan })
            .ok_or_else(|| "the plan vanished while it was read".to_owned()),
        Err(reason) if broken.is_empty() => Err(reason),
        Err(reason) => Err(format!(
            "{reason}; plans that could not be used: {}",
            broken.join("; ")
        )),
    })
}

/// Takes the workload's lock; whoever has it recovers, everybody else is attached.
async fn claim(
    request: Request,
    planned: Planned,
    context: &StateContext,
    deps: &Deps,
) -> Result<Opened, IntakeError> {
    let workload = planned.workload;
    let run = RunId::of_execution(&workload, &context.execution);
    if let Trigger::Finding { id, .. } = &request.trigger
        && let Some(handled) = deps.ledger.get::<RunId>(&Key::finding(&workload, id)).await?
        && handled.document != run
    {
        let earlier = handled.document;
        record_trigger(&earlier, &request, context, deps).await?;
        let reason = format!("finding `{id}` belongs to run `{earlier}`; to recover again, start by hand");
        return attached(earlier, &request, reason, deps).await;
    }
    let lock = ActiveRun {
        run: run.clone(),
        execution: context.execution.clone(),
        since: context.started,
    };
    let key = Key::active_run(&workload);
    // Whoever held it may close between the two calls; then it is free, and is not ours until we wrote it.
    let held = loop {
        if deps.ledger.put_new(&key, &lock).await? {
            break None;
        }
        if let Some(held) = deps.ledger.get::<ActiveRun>(&key).await? {
            break Some(held);
        }
    };
    if let Some(held) = held
        && held.document.run != run
    {
        let taken_over = request.supersede.as_ref() == Some(&held.document.run)
            && deps.ledger.replace(&key, held.version, &lock).await?;
        if !taken_over {
            let active = held.document.run;
            record_trigger(&active, &request, context, deps).await?;
            let reason = format!(
                "run `{active}` of `{workload}` is active since {}; if its execution is dead, start with {{\"workload\": \"{workload}\", \"supersede\": \"{active}\"}}",
                held.document.since
            );
            return attached(active, &request, reason, deps).await;
        }
    }
    if let Trigger::Finding { id, .. } = &request.trigger {
        deps.ledger.put_new(&Key::finding(&workload, id), &run).await?;
    }
    record_trigger(&run, &request, context, deps).await?;
    let plan = freeze(&run, planned.plan, deps).await?;
    let record = RunRecord {
        run: run.clone(),
        workload: workload.clone(),
        mode: request.mode,
        plan: plan.clone(),
        trigger: request.trigger,
        execution: context.execution.clone(),
        started: context.started,
        conclusion: None,
    };
    deps.ledger.put_new(&Key::run(&run), &record).await?;
    tracing::info!(run = %run, %workload, "run opened");
    Ok(Opened::Opened {
        run,
        workload,
        mode: request.mode,
        plan,
    })
}

/// The answer for a trigger that belongs to another run, with that run's plan if its boundary may move.
async fn attached(run: RunId, request: &Request, reason: String, deps: &Deps) -> Result<Opened, IntakeError> {
    let plan = if request.trigger.is_evidence() {
        let record = deps.ledger.get::<RunRecord>(&Key::run(&run)).await?;
        record
            .filter(|record| record.document.conclusion.is_none())
            .map(|record| record.document.plan)
    } else {
        None
    };
    Ok(Opened::Attached { run, plan, reason })
}

/// The plan as it is now and the files that it names, under the run's own key: later edits do not reach this run.
/// A file that is missing or is another one is left out; the stage that reads it says so.
async fn freeze(run: &RunId, plan: Vec<u8>, deps: &Deps) -> Result<ArtifactRef, IntakeError> {
    for (file, path, content_type) in
        Plan::parse(&plan).map_or_else(|_| Vec::new(), |plan| named_files(&plan))
    {
        match deps.artifacts.adopt(&deps.plan_bucket, &file.key).await {
            Ok((_, bytes)) if Digest::of(&bytes) == file.sha256 => {
                deps.artifacts.put(run, &path, content_type, bytes).await?;
            }
            Ok(_) => tracing::warn!(key = file.key, "the file is not the one that the plan names"),
            Err(error) if error.name() == ErrorName::Transient => return Err(error.into()),
            Err(error) => {
                tracing::warn!(key = file.key, error = %error_chain(&error), "the file cannot be read")
            }
        }
    }
    Ok(deps
        .artifacts
        .put(run, "plan.json", "application/json", plan)
        .await?)
}

/// Every file that a plan names by digest, with the path that it has within the run and its content type.
fn named_files(plan: &Plan) -> Vec<(RuleFile, String, &'static str)> {
    let sigma = plan
        .timeline
        .sigma_rules
        .iter()
        .map(|file| (file.clone(), file.frozen_path(), "application/yaml"));
    let yara = plan
        .validation
        .yara_rules
        .iter()
        .map(|file| (file.clone(), ValidationPlan::frozen_rules(file), "text/plain"));
    let templates = plan
        .validation
        .configuration
        .iter()
        .map(|known| (known.template.clone(), known.frozen_path(), "application/json"));
    sigma.chain(yara).chain(templates).collect()
}

async fn record_trigger(
    run: &RunId,
    request: &Request,
    context: &StateContext,
    deps: &Deps,
) -> Result<(), IntakeError> {
    let id = match &request.trigger {
        Trigger::Finding { id, .. } => id,
        Trigger::Manual { .. } => &context.execution,
    };
    deps.ledger
        .put_new(&Key::trigger(run, id), &request.trigger)
        .await?;
    Ok(())
}

async fn reject(
    input: &Value,
    context: &StateContext,
    deps: &Deps,
    now: Timestamp,
    reason: String,
) -> Result<Opened, IntakeError> {
    let refused = RefusedTrigger {
        at: now,
        reason: &reason,
        input,
    };
    deps.ledger
        .put_new(&Key::refused_trigger(&context.execution), &refused)
        .await?;
    tracing::warn!(reason, "the trigger starts nothing");
    Ok(Opened::Rejected { reason })
}

async fn close(run: &RunId, conclusion: Conclusion, deps: &Deps) -> Result<Closed, IntakeError> {
    let key = Key::run(run);
    // Late evidence may be attached to the record at this moment.
    let workload = loop {
        let mut record = deps
            .ledger
            .get::<RunRecord>(&key)
            .await?
            .ok_or_else(|| IntakeError::UnknownRun(run.clone()))?;
        if record.document.conclusion.is_some() {
            break record.document.workload;
        }
        record.document.conclusion = Some(conclusion);
        if deps
            .ledger
            .replace(&key, record.version, &record.document)
            .await?
        {
            break record.document.workload;
        }
    };
    let lock = Key::active_run(&workload);
    if let Some(held) = deps.ledger.get::<ActiveRun>(&lock).await?
        && held.document.run == *run
    {
        deps.ledger.remove(&lock, held.version).await?;
    }
    Ok(Closed { conclusion })
}
