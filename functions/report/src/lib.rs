//! Reads what a run left behind and writes `report.json`, `report.html` and `report.md`; seals and exports its evidence.
#![warn(missing_docs)]

pub mod config;
mod evidence;
mod observe;

use blackstart_aws::artifacts::{ArtifactError, ArtifactStore};
use blackstart_aws::evidence::EvidenceError;
use blackstart_aws::histories::Histories;
use blackstart_aws::ledger::{Ledger, LedgerError};
use blackstart_aws::port::PortError;
use blackstart_aws::signer::KmsSigner;
use blackstart_core::artifact::{NotCanonical, canonical_json};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::ledger::Key;
use blackstart_core::report::trend::RunDurations;
use blackstart_core::report::{self, Document, NamedDocument, Report, Standing, State};
use blackstart_core::run::{Conclusion, RunId, RunRecord};
use blackstart_core::task::report::{Exported, Operation, Sealed, Written};
use blackstart_core::task::{Failure, Task};
use jiff::Timestamp;
use serde::Serialize;

/// What `report` works with.
#[derive(Debug)]
pub struct Deps {
    /// Artifacts of runs.
    pub artifacts: ArtifactStore,
    /// The ledger.
    pub ledger: Ledger,
    /// Execution histories.
    pub histories: Histories,
    /// Where evidence is locked.
    pub evidence: ArtifactStore,
    /// The key that signs it.
    pub signer: KmsSigner,
}

/// The answer to any operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To `write` and `interim`.
    Written(Written),
    /// To `seal`.
    Sealed(Sealed),
    /// To `export`.
    Exported(Exported),
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
    /// The chain of evidence.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The key that signs.
    #[error(transparent)]
    Signer(#[from] PortError),
    /// There is nothing to sign.
    #[error("the chain of evidence is empty, although the run was opened: somebody removed it")]
    NoChain,
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
            Self::Evidence(error) => error.name(),
            Self::Signer(error) => error.name(),
            Self::NotCanonical(_) | Self::NoChain => ErrorName::Defect,
        }
    }
}

/// One invocation.
///
/// # Errors
/// [`ReportError`].
pub async fn handle(task: Task<Operation>, deps: &Deps, now: Timestamp) -> Result<Answer, ReportError> {
    let run = task.run.ok_or(ReportError::NoRun)?;
    let about = match task.input {
        // The plan of the task is the record's: the run froze it when it was opened.
        Operation::Write {
            conclusion, reason, ..
        } => About::Ended { conclusion, reason },
        Operation::Interim { failure } => About::Interim { failure },
        Operation::Seal { stage } => {
            return evidence::seal(&run, &stage, deps, now).await.map(Answer::Sealed);
        }
        Operation::Export {} => return evidence::export(&run, deps, now).await.map(Answer::Exported),
    };
    // Boxed: the future holds every document of the run.
    Box::pin(written(run, about, deps, now))
        .await
        .map(Answer::Written)
}

/// What a report is about.
enum About {
    /// A run that has ended.
    Ended { conclusion: Conclusion, reason: String },
    /// A run that has not.
    Interim { failure: Option<Failure> },
}

async fn written(run: RunId, about: About, deps: &Deps, now: Timestamp) -> Result<Written, ReportError> {
    let record = deps
        .ledger
        .get::<RunRecord>(&Key::run(&run))
        .await?
        .ok_or_else(|| ReportError::UnknownRun(run.clone()))?
        .document;
    let plan = deps.artifacts.plan(&record.plan).await?;
    let mut facts = observe::facts(&record, deps).await?;
    let folder = match &about {
        About::Ended { .. } => "",
        About::Interim { .. } => "interim/",
    };
    let recording = canonical_json(&report::recording(&record, &facts, now))?;
    let path = format!("{folder}recording.json");
    let artifact = deps
        .artifacts
        .put(&run, &path, "application/json", recording)
        .await?;
    facts
        .documents
        .push(NamedDocument::new(Document::RecordedTimes, artifact));
    match about {
        About::Ended { conclusion, reason } => {
            let state = State::concluded(conclusion, reason, now);
            let report = report::build(record, plan.targets, state, facts);
            let durations = RunDurations::of(&report.run, conclusion, &report.critical_path);
            let written = write(&run, folder, &report, deps).await?;
            let key = Key::durations(&report.run.workload, &run);
            deps.ledger.put_new(&key, &durations).await?;
            Ok(written)
        }
        About::Interim { failure } => {
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
