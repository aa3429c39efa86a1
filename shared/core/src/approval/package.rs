//! The decision package: everything that would happen past the gate, in one document with one digest.

mod checks;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use self::checks::{check_boundary, check_inventory, check_plan, check_rebuild, check_selection};
use super::{DecisionPackage, PlannedReference, PlannedRestore, outer};
use crate::artifact::{ArtifactRef, Digest, NotCanonical, canonical_json};
use crate::error_name::{ErrorName, StageError};
use crate::plan::{ApprovalPlan, IdentifierKind, IdentifierPair, Plan, Problem};
use crate::rebuild::RebuildDocument;
use crate::references::{InventoryDocument, Waived};
use crate::restore::mapping::Declared;
use crate::run::{Mode, RunId, WorkloadName};
use crate::timeline::BoundaryDocument;
use crate::validation::SelectionDocument;

/// The schema of a decision package.
pub const SCHEMA: &str = "blackstart.decision/1";

/// A document together with the place and digest by which the package names it.
#[derive(Debug)]
pub struct Referenced<'a, T> {
    /// What it says.
    pub document: &'a T,
    /// Where it is.
    pub artifact: &'a ArtifactRef,
}

/// Everything from which a decision package is made.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The workload.
    pub workload: &'a WorkloadName,
    /// Incident or drill.
    pub mode: Mode,
    /// The run's frozen plan.
    pub plan: Referenced<'a, Plan>,
    /// Which set was chosen, and why.
    pub selection: Referenced<'a, SelectionDocument>,
    /// What set the event boundary.
    pub boundary: Referenced<'a, BoundaryDocument>,
    /// What was rebuilt, and how isolated it is.
    pub rebuild: Referenced<'a, RebuildDocument>,
    /// Who else names the old account.
    pub inventory: Referenced<'a, InventoryDocument>,
    /// Who asked for the run, as a person of the roster, if that is known.
    pub requester: Option<&'a str>,
    /// From when on both expiries count. The same instant gives the same package, so a repeat changes nothing.
    pub now: Timestamp,
}

/// The inputs do not add up to something that people could approve. Holds every problem, not the first.
#[derive(Debug, thiserror::Error)]
pub enum PackageRefused {
    /// What was found, rebuilt and selected contradicts the plan or itself.
    #[error("no decision can be proposed, {} problem(s): {}", .0.len(), list(.0))]
    Inconsistent(Vec<Problem>),
    /// The package has no canonical form.
    #[error("the decision package cannot be written")]
    Unwritable(#[source] NotCanonical),
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

impl StageError for PackageRefused {
    fn name(&self) -> ErrorName {
        match self {
            Self::Inconsistent(_) => ErrorName::PolicyRefused,
            Self::Unwritable(_) => ErrorName::Defect,
        }
    }
}

/// A package with the bytes that are stored and the digest that is approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The package.
    pub package: DecisionPackage,
    /// Its canonical JSON (RFC 8785).
    pub bytes: Vec<u8>,
    /// The digest of those bytes.
    pub digest: Digest,
}

/// Builds the decision package, or says everything that speaks against it.
///
/// # Errors
/// [`PackageRefused::Inconsistent`] when the set is not proven clean, does not precede the boundary by the plan's
/// margin or does not cover the plan's resources; when the rebuilt stacks are not the plan's or not isolated; when
/// a document could not be read or holds a reference that no rewriter owns and no waiver names; when the roster
/// cannot produce a quorum.
pub fn build(facts: &Facts<'_>) -> Result<Sealed, PackageRefused> {
    let mut problems = Vec::new();
    check_plan(facts, &mut problems);
    check_selection(facts, &mut problems);
    check_boundary(facts, &mut problems);
    check_rebuild(facts, &mut problems);
    check_inventory(facts, &mut problems);
    let restores = restores(facts, &mut problems);
    let expiries = expiries(&facts.plan.document.approval, facts.now);
    if expiries.is_none() {
        problem(
            &mut problems,
            "plan.approval",
            "has an expiry beyond the calendar",
        );
    }
    let (Some((decide_by, execute_by)), true) = (expiries, problems.is_empty()) else {
        problems.sort();
        problems.dedup();
        return Err(PackageRefused::Inconsistent(problems));
    };

    let plan = facts.plan.document;
    let selection = facts.selection.document;
    let package = DecisionPackage {
        schema: SCHEMA.to_owned(),
        run: facts.run.clone(),
        workload: facts.workload.clone(),
        mode: facts.mode,
        plan: facts.plan.artifact.clone(),
        boundary: selection.boundary.boundary,
        boundary_document: selection.boundary.document.clone(),
        boundary_evidence: facts.boundary.document.clone(),
        set: selection.set.clone(),
        verdict: selection.verdict.clone(),
        selection: facts.selection.artifact.clone(),
        rebuild: facts.rebuild.artifact.clone(),
        stacks: facts.rebuild.document.stacks.clone(),
        isolation: facts.rebuild.document.isolation.clone(),
        check_waivers: plan.rebuild.waivers.clone(),
        restores,
        secrets: plan.rotation.secrets.clone(),
        credentials: plan.rotation.credentials.clone(),
        inventory: facts.inventory.artifact.clone(),
        references: references(facts),
        identifiers: identifiers(plan),
        expand: plan.cutover.contains_the_old_account(),
        waivers: plan.references.waivers.clone(),
        zone: plan.cutover.zone.clone(),
        names: plan.cutover.names.clone(),
        shift: plan.cutover.shift.clone(),
        outer_gate: outer::guard(plan, facts.mode),
        finished: None,
        decide_by,
        execute_by,
    };
    seal(package).map_err(PackageRefused::Unwritable)
}

/// Writes a package canonically and takes its digest.
///
/// # Errors
/// [`NotCanonical`] when it has no canonical form.
pub fn seal(package: DecisionPackage) -> Result<Sealed, NotCanonical> {
    let bytes = canonical_json(&package)?;
    Ok(Sealed {
        digest: Digest::of(&bytes),
        package,
        bytes,
    })
}

fn problem(problems: &mut Vec<Problem>, at: impl Into<String>, what: impl Into<String>) {
    problems.push(Problem {
        at: at.into(),
        what: what.into(),
    });
}

fn restores(facts: &Facts<'_>, problems: &mut Vec<Problem>) -> Vec<PlannedRestore> {
    let (plan, selection) = (facts.plan.document, facts.selection.document);
    let planned: BTreeSet<&str> = plan.resources.iter().map(|r| r.id.as_str()).collect();
    for resource in selection
        .set
        .points
        .keys()
        .filter(|id| !planned.contains(id.as_str()))
    {
        problem(
            problems,
            format!("selection.set.points.{resource}"),
            "is no resource of the plan",
        );
    }
    let mut restores = Vec::new();
    for resource in &plan.resources {
        let at = format!("selection.set.points.{}", resource.id);
        let Some(point) = selection.set.points.get(&resource.id) else {
            problem(
                problems,
                at,
                "is missing: the set must hold a point for every resource of the plan",
            );
            continue;
        };
        if point.resource_type != resource.resource_type {
            problem(problems, at, "is of another resource type than the plan says");
        }
        let Some(manifest) = selection.verdict.manifests.get(&resource.id) else {
            problem(
                problems,
                format!("selection.verdict.manifests.{}", resource.id),
                "is missing: without it the restored content cannot be compared with the validated one",
            );
            continue;
        };
        let declared = match Declared::of(plan, resource, facts.rebuild.document) {
            Ok(declared) => declared,
            Err(missing) => {
                problems.extend(missing);
                continue;
            }
        };
        restores.push(PlannedRestore {
            resource: resource.id.clone(),
            resource_type: resource.resource_type,
            recovery_point: point.arn.clone(),
            restore_to: resource.restore_to.clone(),
            metadata: declared.metadata(),
            manifest: manifest.sha256.clone(),
        });
    }
    restores
}

/// A waived document is left alone as a whole: nobody approves half a document.
fn references(facts: &Facts<'_>) -> Vec<PlannedReference> {
    let waived = Waived(&facts.plan.document.references.waivers);
    facts
        .inventory
        .document
        .documents
        .iter()
        .filter(|document| !waived.document(&document.slot))
        .map(|document| PlannedReference {
            slot: document.slot.clone(),
            before: document.before.clone(),
        })
        .collect()
}

fn identifiers(plan: &Plan) -> Vec<IdentifierPair> {
    let accounts = IdentifierPair {
        kind: IdentifierKind::Account,
        old: plan.accounts.old.to_string(),
        new: plan.accounts.rebuild.to_string(),
    };
    let pairs: BTreeSet<IdentifierPair> = plan
        .references
        .identifiers
        .iter()
        .cloned()
        .chain([accounts])
        .collect();
    pairs.into_iter().collect()
}

/// Until when to decide and until when to begin, for a package that is made at this instant.
pub(super) fn expiries(rules: &ApprovalPlan, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let after = |from: Timestamp, minutes: u32| {
        from.checked_add(SignedDuration::from_mins(i64::from(minutes)))
            .ok()
    };
    let decide_by = after(now, rules.decide_within_minutes)?;
    Some((decide_by, after(decide_by, rules.execute_within_minutes)?))
}

#[cfg(test)]
mod tests;
