//! Reads what a run left behind and writes `report.json`, `report.html` and `report.md`.
#![warn(missing_docs)]

pub mod config;
mod observe;

use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::histories::Histories;
use blackstart_aws::ledger::{Ledger, LedgerError};
use blackstart_core::artifact::{NotCanonical, canonical_json};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::ledger::Key;
use blackstart_core::report::trend::RunDurations;
use blackstart_core::report::{self, NamedDocument, Report, Standing, State};
use blackstart_core::run::{RunId, RunRecord};
use blackstart_core::task::Task;
use blackstart_core::task::report::{Operation, Written};
use jiff::Timestamp;

/// What `report` works with.
#[derive(Debug)]
pub struct Deps {
    /// Artifacts of runs.
    pub artifacts: ArtifactStore,
    /// The ledger.
    pub ledger: Ledger,
    /// Execution histories.
    pub histories: Histories,
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
pub async fn handle(task: Task<Operation>, deps: &Deps, now: Timestamp) -> Result<Written, ReportError> {
    let run = task.run.ok_or(ReportError::NoRun)?;
    let record = deps
        .ledger
        .get::<RunRecord>(&Key::run(&run))
        .await?
        .ok_or_else(|| ReportError::UnknownRun(run.clone()))?
        .document;
    let plan = deps.artifacts.plan(&record.plan).await?;
    let mut facts = observe::facts(&record, deps).await?;
    let folder = match &task.input {
        Operation::Write { .. } => "",
        Operation::Interim { .. } => "interim/",
    };
    let recording = canonical_json(&report::recording(&record, &facts, now))?;
    let path = format!("{folder}recording.json");
    let artifact = deps
        .artifacts
        .put(&run, &path, "application/json", recording)
        .await?;
    facts.documents.push(NamedDocument {
        what: "recorded times".to_owned(),
        artifact,
    });
    match task.input {
        // The plan of the task is the record's: the run froze it when it was opened.
        Operation::Write {
            conclusion, reason, ..
        } => {
            let state = State::concluded(conclusion, reason, now);
            let report = report::build(record, plan.targets, state, facts);
            let durations = RunDurations::of(&report.run, conclusion, &report.critical_path);
            let written = write(&run, folder, &report, deps).await?;
            let key = Key::durations(&report.run.workload, &run);
            deps.ledger.put_new(&key, &durations).await?;
            Ok(written)
        }
        Operation::Interim { failure } => {
            let standing = match (&failure, record.conclusion) {
                (Some(_), _) => Standing::Stuck,
                (None, Some(_)) => Standing::Concluded,
                (None, None) => Standing::of(&facts.histories, &record.execution),
            };
            let state = State {
                standing,
                conclusion: record.conclusion,
                reason: failure.map_or_else(String::new, |failure| {
                    format!("{}: {}", failure.error, failure.cause)
                }),
                now,
            };
            let report = report::build(record, plan.targets, state, facts);
            write(&run, folder, &report, deps).await
        }
    }
}

async fn write(run: &RunId, folder: &str, report: &Report, deps: &Deps) -> Result<Written, ReportError> {
    let store = &deps.artifacts;
    let put = async |name: &str, content_type: &str, bytes: Vec<u8>| {
        store
            .put(run, &format!("{folder}{name}"), content_type, bytes)
            .await
    };
    Ok(Written {
        report: put("report.json", "application/json", canonical_json(report)?).await?,
        page: put(
            "report.html",
            "text/html; charset=utf-8",
            report::page(report).into_bytes(),
        )
        .await?,
        summary: put(
            "report.md",
            "text/markdown; charset=utf-8",
            report::summary(report).into_bytes(),
        )
        .await?,
    })
}
