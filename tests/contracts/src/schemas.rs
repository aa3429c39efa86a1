//! `infra/schemas`: JSON Schemas of the plan, of every task and of every document, generated from the types.

use std::collections::{BTreeMap, BTreeSet};

use blackstart_core::{
    approval, critical_path, cutover, plan, rebuild, references, report, restore, rotation, task, timeline,
    validation,
};
use schemars::{Schema, schema_for};

use crate::{operations, repository};

const FOLDER: &str = "infra/schemas";

fn schemas() -> BTreeMap<String, Schema> {
    let documents = [
        ("plan", schema_for!(plan::Plan)),
        ("document-boundary", schema_for!(timeline::BoundaryDocument)),
        ("document-candidates", schema_for!(validation::CandidateDocument)),
        (
            "document-content-manifest",
            schema_for!(validation::ContentManifest),
        ),
        ("document-cutover", schema_for!(cutover::CutoverDocument)),
        (
            "document-decision-package",
            schema_for!(approval::DecisionPackage),
        ),
        ("document-inventory", schema_for!(references::InventoryDocument)),
        ("document-rebuild", schema_for!(rebuild::RebuildDocument)),
        ("document-recording", schema_for!(critical_path::Recording)),
        ("document-report", schema_for!(report::Report)),
        ("document-restore", schema_for!(restore::RestoreDocument)),
        ("document-rotation", schema_for!(rotation::RotationDocument)),
        ("document-selection", schema_for!(validation::SelectionDocument)),
    ];
    let answers = [
        ("approval-prepare", schema_for!(task::approval::Prepared)),
        ("approval-prepare_second", schema_for!(task::approval::Prepared)),
        ("approval-ask", schema_for!(task::approval::Decision)),
        ("approval-ask_team", schema_for!(task::approval::TeamDecision)),
        ("approval-poll_team", schema_for!(task::approval::TeamDecision)),
        ("approval-expire", schema_for!(task::approval::Expired)),
        ("cutover-apply", schema_for!(task::cutover::Applied)),
        ("cutover-contain", schema_for!(task::cutover::Applied)),
        ("cutover-ask_operator", schema_for!(task::cutover::OperatorChoice)),
        ("cutover-await_sync", schema_for!(task::cutover::TrafficProgress)),
        ("cutover-next", schema_for!(task::cutover::Next)),
        ("cutover-plan", schema_for!(task::cutover::Planned)),
        ("cutover-precheck", schema_for!(task::cutover::Prechecked)),
        (
            "cutover-prepare_traffic",
            schema_for!(task::cutover::TrafficProgress),
        ),
        ("cutover-probe", schema_for!(task::cutover::TrafficProgress)),
        ("cutover-revert", schema_for!(task::cutover::Reverted)),
        (
            "cutover-shift_traffic",
            schema_for!(task::cutover::TrafficProgress),
        ),
        ("cutover-verify", schema_for!(task::cutover::Verified)),
        ("intake-close", schema_for!(task::intake::Closed)),
        ("intake-open", schema_for!(task::intake::Opened)),
        ("rebuild-advance", schema_for!(task::rebuild::Advanced)),
        ("rebuild-check", schema_for!(task::rebuild::Checked)),
        ("rebuild-clean_up", schema_for!(task::rebuild::Advanced)),
        ("rebuild-detect_drift", schema_for!(task::rebuild::Compared)),
        ("rebuild-preflight", schema_for!(task::rebuild::Rebuilt)),
        (
            "references-inventory",
            schema_for!(task::references::AccountInventory),
        ),
        ("references-merge", schema_for!(task::references::Inventoried)),
        ("references-siblings", schema_for!(task::references::Siblings)),
        ("report-interim", schema_for!(task::report::Written)),
        ("report-export", schema_for!(task::report::Exported)),
        ("report-seal", schema_for!(task::report::Sealed)),
        ("report-write", schema_for!(task::report::Written)),
        ("restore-clean_up", schema_for!(task::restore::Removed)),
        ("restore-adopt", schema_for!(task::restore::RestoreProgress)),
        ("restore-poll", schema_for!(task::restore::RestoreProgress)),
        ("restore-start", schema_for!(task::restore::RestoreProgress)),
        ("restore-verify", schema_for!(task::restore::Restored)),
        ("rotation-clean_up", schema_for!(task::rotation::Removed)),
        ("rotation-rotate", schema_for!(task::rotation::Rotated)),
        ("timeline-again", schema_for!(task::timeline::ReadAgain)),
        ("timeline-collect", schema_for!(task::timeline::Collected)),
        ("timeline-merge", schema_for!(task::timeline::Merged)),
        ("timeline-revise", schema_for!(task::timeline::Merged)),
        ("timeline-scan", schema_for!(task::timeline::Scanned)),
        ("timeline-trace", schema_for!(task::timeline::Traced)),
        ("validation-candidates", schema_for!(task::validation::Candidates)),
        ("validation-clean_up", schema_for!(task::validation::CleanedUp)),
        ("validation-judge", schema_for!(task::validation::Judged)),
        ("validation-next", schema_for!(task::validation::NextRound)),
        ("validation-poll", schema_for!(task::validation::Trial)),
        ("validation-select", schema_for!(task::validation::Selected)),
        ("validation-start", schema_for!(task::validation::Trial)),
        ("validation-wait", schema_for!(task::validation::Trial)),
    ];
    let tasks = operations::payloads()
        .into_iter()
        .map(|(function, schema)| (format!("task-{function}"), schema));
    documents
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .chain(
            answers
                .into_iter()
                .map(|(name, schema)| (format!("answer-{name}"), schema)),
        )
        .chain(tasks)
        .collect()
}

#[test]
fn the_published_schemas_are_those_of_the_types() {
    let schemas = schemas();
    let stale: Vec<String> = schemas
        .iter()
        .filter_map(|(name, schema)| {
            let text = format!("{}\n", serde_json::to_string_pretty(schema).unwrap());
            repository::stale(&format!("{FOLDER}/{name}.json"), &text)
        })
        .collect();
    assert!(stale.is_empty(), "{stale:#?}");
    let found: BTreeSet<String> = repository::names(FOLDER).into_iter().collect();
    let wanted: BTreeSet<String> = schemas.keys().map(|name| format!("{name}.json")).collect();
    assert_eq!(
        found, wanted,
        "a schema without a type, or a type without a schema"
    );
}

#[test]
fn every_operation_has_a_published_answer() {
    let schemas = schemas();
    for (function, operation) in operations::all().into_keys() {
        let name = format!("answer-{function}-{operation}");
        assert!(schemas.contains_key(&name), "{name}");
    }
}
