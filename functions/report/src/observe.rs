//! What is known about a run: ledger, artifacts, histories.
//!
//! A report is wanted most when something is broken, so a document that is absent is left out. One that is there and
//! cannot be read is an error: a report that silently lacks a part would mislead.

use std::collections::BTreeSet;

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::ledger::LedgerError;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::approval::gate::GateRecord;
use blackstart_core::approval::vote::Vote;
use blackstart_core::artifact::ArtifactRef;
use blackstart_core::chart::attack::seen_in;
use blackstart_core::error_name::error_chain;
use blackstart_core::evidence::Link;
use blackstart_core::history::{ExecutionHistory, has_history};
use blackstart_core::items::settle;
use blackstart_core::journal::{Entry, Event};
use blackstart_core::ledger::Key;
use blackstart_core::report::trend::RunDurations;
use blackstart_core::report::{Decision, Document, EvidenceHead, Facts, NamedDocument, OperatorAnswer};
use blackstart_core::run::{RunId, RunRecord};
use blackstart_core::timeline::CurrentBoundary;
use blackstart_core::validation::SetVerdict;
use serde::de::DeserializeOwned;

use crate::{Deps, ReportError};

/// The rows of the timeline, by [`blackstart_core::timeline::rows`].
const TIMELINE: &str = "timeline/timeline.jsonl";

pub(crate) async fn facts(record: &RunRecord, deps: &Deps) -> Result<Facts, ReportError> {
    let run = &record.run;
    let steps = rows(run, Key::STEP_PREFIX, deps).await?;
    let mut facts = Facts {
        histories: histories(record, &steps, deps).await,
        steps,
        earlier: earlier(record, deps).await?,
        verdicts: rows::<SetVerdict>(run, Key::SET_VERDICT_PREFIX, deps).await?,
        journal: rows::<Entry>(run, Key::JOURNAL_PREFIX, deps).await?,
        ..Facts::default()
    };
    let mut documents = vec![NamedDocument::new(Document::Plan, record.plan.clone())];
    if let Some(current) = deps.ledger.get::<CurrentBoundary>(&Key::boundary(run)).await? {
        let artifact = current.document.document;
        facts.boundary = Some(deps.artifacts.get_json(&artifact).await?);
        documents.push(NamedDocument::new(Document::EventBoundary, artifact));
    }
    if let Some((artifact, rows)) = deps.artifacts.find(run, TIMELINE).await? {
        facts.seen = seen_in(&rows);
        documents.push(NamedDocument::new(Document::Timeline, artifact));
    }
    facts.candidates = find(
        run,
        "validation/candidates.json",
        Document::Candidates,
        &mut documents,
        deps,
    )
    .await?;
    // A run whose boundary moved has several packages; the last one that was put before people counts.
    let mut gates: Vec<GateRecord> = rows(run, Key::GATE_PREFIX, deps).await?;
    gates.sort_by(|a, b| (a.opened, &a.digest).cmp(&(b.opened, &b.digest)));
    let last = gates.pop();
    for gate in gates {
        let votes = rows::<Vote>(run, &Key::vote_prefix(&gate.digest), deps).await?;
        facts.earlier_decisions.push(Decision { gate, votes });
    }
    if let Some(gate) = last {
        let package: DecisionPackage = deps.artifacts.get_json(&gate.package).await?;
        facts.votes = rows::<Vote>(run, &Key::vote_prefix(&gate.digest), deps).await?;
        facts.selection = Some(deps.artifacts.get_json(&package.selection).await?);
        facts.rebuild = Some(deps.artifacts.get_json(&package.rebuild).await?);
        documents.extend([
            NamedDocument::new(Document::DecisionPackage, gate.package.clone()),
            NamedDocument::new(Document::Selection, package.selection.clone()),
            NamedDocument::new(Document::Rebuild, package.rebuild.clone()),
            NamedDocument::new(Document::Inventory, package.inventory.clone()),
        ]);
        facts.gate = Some(gate);
        facts.package = Some(package);
    }
    // Before the gate the documents are known by their places alone.
    if facts.gate.is_none() {
        facts.selection = find(
            run,
            "validation/selection.json",
            Document::Selection,
            &mut documents,
            deps,
        )
        .await?;
        facts.rebuild = find(run, "rebuild.json", Document::Rebuild, &mut documents, deps).await?;
    }
    facts.restore = find(run, "restore.json", Document::Restore, &mut documents, deps).await?;
    facts.rotation = find(run, "rotation.json", Document::Rotation, &mut documents, deps).await?;
    if let (Some(rebuilt), Some(package)) = (&facts.rebuild, &facts.package) {
        let (restored, rotated) = (facts.restore.as_ref(), facts.rotation.as_ref());
        facts.items = settle(rebuilt, package, restored, rotated);
    }
    if let Some(artifact) = facts.journal.iter().find_map(cutover_plan).cloned() {
        facts.cutover = Some(deps.artifacts.get_json(&artifact).await?);
        documents.push(NamedDocument::new(Document::CutoverPlan, artifact));
    }
    let links: Vec<Link> = rows(run, Key::EVIDENCE_PREFIX, deps).await?;
    facts.operators = OperatorAnswer::all_of(&links);
    facts.evidence = links.last().map(|last| EvidenceHead {
        links: links.len() as u64,
        head: last.hash.clone(),
    });
    facts.documents = documents;
    Ok(facts)
}

/// The histories of the run's Standard executions. One that cannot be read is left out: the functions recorded their
/// own times, and a report without some waits is better than none.
async fn histories(
    record: &RunRecord,
    steps: &[blackstart_core::critical_path::RecordedStep],
    deps: &Deps,
) -> Vec<ExecutionHistory> {
    let executions: BTreeSet<&str> = steps
        .iter()
        .map(|step| step.execution.as_str())
        .chain([record.execution.as_str()])
        .filter(|execution| has_history(execution))
        .collect();
    let mut histories = Vec::new();
    for execution in executions {
        match deps.histories.of(execution).await {
            Ok(history) => histories.push(history),
            Err(error) => {
                tracing::warn!(execution, error = %error_chain(&error), "a history cannot be read");
            }
        }
    }
    histories
}

async fn earlier(record: &RunRecord, deps: &Deps) -> Result<Vec<RunDurations>, ReportError> {
    let partition = Key::workload_partition(&record.workload);
    let found = deps
        .ledger
        .query::<RunDurations>(&partition, Key::DURATIONS_PREFIX)
        .await?;
    Ok(found.into_iter().map(|(_, row)| row.document).collect())
}

fn cutover_plan(entry: &Entry) -> Option<&ArtifactRef> {
    if let Event::Opened { cutover, .. } = &entry.event {
        Some(cutover)
    } else {
        None
    }
}

pub(crate) async fn rows<T: DeserializeOwned>(
    run: &RunId,
    prefix: &str,
    deps: &Deps,
) -> Result<Vec<T>, LedgerError> {
    let found = deps.ledger.query::<T>(&Key::run_partition(run), prefix).await?;
    Ok(found.into_iter().map(|(_, row)| row.document).collect())
}

async fn find<T: DeserializeOwned>(
    run: &RunId,
    path: &str,
    what: Document,
    documents: &mut Vec<NamedDocument>,
    deps: &Deps,
) -> Result<Option<T>, ArtifactError> {
    let Some((artifact, _)) = deps.artifacts.find(run, path).await? else {
        return Ok(None);
    };
    let document = deps.artifacts.get_json(&artifact).await?;
    documents.push(NamedDocument::new(what, artifact));
    Ok(Some(document))
}
