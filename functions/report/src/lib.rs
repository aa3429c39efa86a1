//! Reads what a run left behind and writes `report.json`, `report.html` and `report.md`.
#![warn(missing_docs)]

pub mod config;

use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::ledger::{Ledger, LedgerError};
use blackstart_core::approval::DecisionPackage;
use blackstart_core::approval::gate::GateRecord;
use blackstart_core::approval::vote::Vote;
use blackstart_core::artifact::{ArtifactRef, NotCanonical, canonical_json};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::journal::{Entry, Event};
use blackstart_core::ledger::Key;
use blackstart_core::report::{self, Facts, Report};
use blackstart_core::run::{Conclusion, RunId, RunRecord};
use blackstart_core::task::Task;
use blackstart_core::task::report::{Operation, Written};
use blackstart_core::timeline::CurrentBoundary;
use serde::de::DeserializeOwned;

/// What `report` works with.
#[derive(Debug)]
pub struct Deps {
    /// Artifacts of runs.
    pub artifacts: ArtifactStore,
    /// The ledger.
    pub ledger: Ledger,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// An artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The report has no JSON form.
    #[error("the report cannot be written")]
    NotCanonical(#[from] NotCanonical),
    /// The task names no run.
    #[error("the task names no run")]
    NoRun,
    /// The run was never opened.
    #[error("run `{0}` is not in the ledger")]
    UnknownRun(RunId),
}

impl StageError for ReportError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Artifact(error) => error.name(),
            Self::Ledger(error) => error.name(),
            Self::NoRun | Self::UnknownRun(_) => ErrorName::InvalidInput,
            Self::NotCanonical(_) => ErrorName::Defect,
        }
    }
}

/// One invocation.
///
/// # Errors
/// [`ReportError`].
pub async fn handle(task: Task<Operation>, deps: &Deps) -> Result<Written, ReportError> {
    let Operation::Write {
        plan,
        conclusion,
        reason,
    } = task.input;
    let run = task.run.ok_or(ReportError::NoRun)?;
    let report = observe(&run, &plan, conclusion, reason, deps).await?;
    write(&run, &report, deps).await
}

async fn observe(
    run: &RunId,
    plan: &ArtifactRef,
    conclusion: Conclusion,
    reason: String,
    deps: &Deps,
) -> Result<Report, ReportError> {
    let record = deps
        .ledger
        .get::<RunRecord>(&Key::run(run))
        .await?
        .ok_or_else(|| ReportError::UnknownRun(run.clone()))?;
    let plan = deps.artifacts.plan(plan).await?;
    let mut facts = Facts {
        steps: rows(run, Key::STEP_PREFIX, deps).await?,
        ..Facts::default()
    };
    if let Some(current) = deps.ledger.get::<CurrentBoundary>(&Key::boundary(run)).await? {
        facts.boundary = Some(deps.artifacts.get_json(&current.document.document).await?);
    }
    facts.journal = rows::<Entry>(run, Key::JOURNAL_PREFIX, deps).await?;
    if let Some(cutover) = facts.journal.iter().find_map(cutover_plan) {
        facts.cutover = Some(deps.artifacts.get_json(cutover).await?);
    }
    // A run whose boundary moved has several packages; the last one that was put before people counts.
    let gates: Vec<GateRecord> = rows(run, Key::GATE_PREFIX, deps).await?;
    if let Some(gate) = gates.into_iter().max_by_key(|gate| gate.opened) {
        let package: DecisionPackage = deps.artifacts.get_json(&gate.package).await?;
        facts.votes = rows::<Vote>(run, &Key::vote_prefix(&gate.digest), deps).await?;
        facts.selection = Some(deps.artifacts.get_json(&package.selection).await?);
        facts.rebuild = Some(deps.artifacts.get_json(&package.rebuild).await?);
        facts.gate = Some(gate);
    }
    facts.restore = find(run, "restore.json", deps).await?;
    facts.rotation = find(run, "rotation.json", deps).await?;
    Ok(report::build(
        record.document,
        plan.targets,
        conclusion,
        reason,
        facts,
    ))
}

fn cutover_plan(entry: &Entry) -> Option<&ArtifactRef> {
    if let Event::Opened { cutover, .. } = &entry.event {
        Some(cutover)
    } else {
        None
    }
}

async fn rows<T: DeserializeOwned>(run: &RunId, prefix: &str, deps: &Deps) -> Result<Vec<T>, LedgerError> {
    let found = deps.ledger.query::<T>(&Key::run_partition(run), prefix).await?;
    Ok(found.into_iter().map(|(_, row)| row.document).collect())
}

async fn find<T: DeserializeOwned>(run: &RunId, path: &str, deps: &Deps) -> Result<Option<T>, ArtifactError> {
    match deps.artifacts.find(run, path).await? {
        Some((artifact, _)) => deps.artifacts.get_json(&artifact).await.map(Some),
        None => Ok(None),
    }
}

async fn write(run: &RunId, report: &Report, deps: &Deps) -> Result<Written, ReportError> {
    let store = &deps.artifacts;
    let json = canonical_json(report)?;
    Ok(Written {
        report: store.put(run, "report.json", "application/json", json).await?,
        page: store
            .put(
                run,
                "report.html",
                "text/html; charset=utf-8",
                report::page(report).into_bytes(),
            )
            .await?,
        summary: store
            .put(
                run,
                "report.md",
                "text/markdown; charset=utf-8",
                report::summary(report).into_bytes(),
            )
            .await?,
    })
}
