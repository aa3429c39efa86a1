//! The decision package: everything that would happen past the gate, in one document with one digest.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::roster::Roster;
use super::{DecisionPackage, PlannedReference, PlannedRestore};
use crate::artifact::{ArtifactRef, Digest, NotCanonical, canonical_json};
use crate::error_name::{ErrorName, StageError};
use crate::plan::{ApprovalPlan, IdentifierKind, IdentifierPair, Plan, Problem};
use crate::rebuild::{CheckStatus, RebuildDocument};
use crate::references::{InventoryDocument, Waived};
use crate::run::{Mode, RunId, WorkloadName};
use crate::timeline::{self, BoundaryDocument};
use crate::validation::trial::restore_metadata;
use crate::validation::{SelectionDocument, Verdict};

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
        restores,
        secrets: plan.rotation.secrets.clone(),
        inventory: facts.inventory.artifact.clone(),
        references: references(facts),
        identifiers: identifiers(plan),
        expand: plan.cutover.old_account_contained,
        waivers: plan.references.waivers.clone(),
        zone: plan.cutover.zone.clone(),
        names: plan.cutover.names.clone(),
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

fn check_schema(problems: &mut Vec<Problem>, document: &str, found: &str, wanted: &str) {
    if found != wanted {
        problem(
            problems,
            format!("{document}.schema"),
            format!("is `{found}`, `{wanted}` is needed"),
        );
    }
}

fn check_plan(facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let plan = facts.plan.document;
    if plan.workload != *facts.workload {
        problem(
            problems,
            "plan.workload",
            format!(
                "is `{}`, but the run recovers `{}`",
                plan.workload, facts.workload
            ),
        );
    }
    let roster = Roster::of(plan);
    problems.extend(roster.problems());
    let eligible = roster.eligible(facts.requester).len();
    if eligible < usize::from(plan.approval.quorum) {
        problem(
            problems,
            "plan.approval.quorum",
            format!(
                "is {}, but only {eligible} of the approvers may vote on this run: whoever asked for it is excluded",
                plan.approval.quorum
            ),
        );
    }
}

fn check_selection(facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let (plan, selection) = (facts.plan.document, facts.selection.document);
    check_schema(problems, "selection", &selection.schema, "blackstart.selection/1");
    let (set, verdict) = (&selection.set, &selection.verdict);
    if verdict.set != set.id {
        problem(
            problems,
            "selection.verdict.set",
            format!("is `{}`, but the set is `{}`", verdict.set, set.id),
        );
    }
    if verdict.verdict != Verdict::Clean {
        let said: &str = verdict.verdict.into();
        problem(
            problems,
            "selection.verdict",
            format!("is `{said}`: only a clean set can be proposed"),
        );
    }
    for layer in &plan.validation.layers {
        if verdict
            .layers
            .get(layer)
            .is_none_or(|said| said.verdict != Verdict::Clean)
        {
            problem(
                problems,
                "selection.verdict.layers",
                format!("{layer:?} did not say clean, and the plan requires it"),
            );
        }
    }
    let margin = SignedDuration::from_mins(i64::from(plan.timeline.margin_minutes));
    if selection.boundary.boundary.duration_since(set.newest) < margin {
        problem(
            problems,
            "selection.set.newest",
            format!(
                "{} does not precede the boundary {} by {} minutes",
                set.newest, selection.boundary.boundary, plan.timeline.margin_minutes
            ),
        );
    }
    if set.points.values().any(|point| point.latest > set.newest) {
        problem(
            problems,
            "selection.set.newest",
            "is earlier than one of the set's own points",
        );
    }
}

fn check_boundary(facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let (selected, boundary) = (&facts.selection.document.boundary, facts.boundary.document);
    check_schema(problems, "boundary", &boundary.schema, timeline::SCHEMA);
    if selected.document.sha256 != facts.boundary.artifact.sha256 {
        problem(
            problems,
            "boundary",
            "is another document than the one under which the set was selected",
        );
    }
    match &boundary.boundary {
        Some(found) if found.best == selected.boundary => {}
        Some(found) => problem(
            problems,
            "boundary.best",
            format!(
                "is {}, but the set was selected under {}",
                found.best, selected.boundary
            ),
        ),
        None => problem(problems, "boundary", "names no boundary, but a set was selected"),
    }
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
        restores.push(PlannedRestore {
            resource: resource.id.clone(),
            resource_type: resource.resource_type,
            recovery_point: point.arn.clone(),
            restore_to: resource.restore_to.clone(),
            metadata: restore_metadata(resource.resource_type, &resource.restore_to),
            manifest: manifest.sha256.clone(),
        });
    }
    restores
}

fn check_rebuild(facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let (plan, rebuild) = (facts.plan.document, facts.rebuild.document);
    check_schema(problems, "rebuild", &rebuild.schema, "blackstart.rebuild/1");
    let built: BTreeMap<&str, &Digest> = rebuild
        .stacks
        .iter()
        .map(|s| (s.name.as_str(), &s.template))
        .collect();
    if built.len() != rebuild.stacks.len() {
        problem(problems, "rebuild.stacks", "names a stack twice");
    }
    for stack in &plan.rebuild.stacks {
        match built.get(stack.name.as_str()) {
            None => problem(
                problems,
                format!("rebuild.stacks.{}", stack.name),
                "was not built",
            ),
            Some(template) if **template != stack.template.sha256 => problem(
                problems,
                format!("rebuild.stacks.{}", stack.name),
                "was built from another template than the plan's",
            ),
            Some(_) => {}
        }
    }
    let planned: BTreeSet<&str> = plan.rebuild.stacks.iter().map(|s| s.name.as_str()).collect();
    for name in built.keys().filter(|name| !planned.contains(*name)) {
        problem(
            problems,
            format!("rebuild.stacks.{name}"),
            "is no stack of the plan",
        );
    }
    if rebuild.isolation.is_empty() {
        problem(
            problems,
            "rebuild.isolation",
            "is empty: isolation was not checked",
        );
    }
    for check in rebuild.isolation.iter().filter(|c| c.status != CheckStatus::Pass) {
        problem(
            problems,
            format!("rebuild.isolation.{}", check.check),
            format!("is not proven: {}", check.evidence),
        );
    }
}

fn check_inventory(facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let (plan, inventory) = (facts.plan.document, facts.inventory.document);
    check_schema(problems, "inventory", &inventory.schema, "blackstart.inventory/1");
    let waived = Waived(&plan.references.waivers);
    for failure in inventory.failures.iter().filter(|failure| !waived.gap(failure)) {
        problem(
            problems,
            format!("inventory.failures.{}", failure.account),
            format!(
                "{} could not be read: {}; to go on without it, a waiver must name `{}`",
                failure.what,
                failure.reason,
                failure.name()
            ),
        );
    }
    if !inventory.documents.is_sorted_by(|a, b| a.slot < b.slot) {
        problem(
            problems,
            "inventory.documents",
            "is not ordered by slot, or holds a slot twice",
        );
    }
    for item in inventory.unhandled.iter().filter(|item| !waived.item(item)) {
        problem(
            problems,
            format!("inventory.unhandled.{}", item.name()),
            format!(
                "holds {} token(s) that no writer owns and no waiver names: {}",
                item.tokens(),
                item.reason
            ),
        );
    }
    for document in &inventory.documents {
        let at = format!("inventory.documents.{}", document.slot.arn);
        if !plan.accounts.siblings.contains(&document.slot.account) {
            problem(
                problems,
                at.clone(),
                format!(
                    "lies in {}, which is no sibling of the plan",
                    document.slot.account
                ),
            );
        }
        let open = document.tokens.saturating_sub(document.handled);
        if (open > 0 || !document.unhandled.is_empty()) && !waived.document(&document.slot) {
            problem(
                problems,
                at,
                format!(
                    "holds {open} token(s) that no rewriter owns and no waiver names: {}",
                    document.unhandled.join(", ")
                ),
            );
        }
    }
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
mod tests {
    use serde_json::from_value;

    use super::*;
    use crate::approval::fixtures::{Inputs, document, inputs};
    use crate::plan::{Layer, Waiver};

    fn problems(inputs: &Inputs) -> Vec<String> {
        match inputs.build() {
            Ok(_) => Vec::new(),
            Err(PackageRefused::Inconsistent(problems)) => problems.into_iter().map(|p| p.at).collect(),
            Err(PackageRefused::Unwritable(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn consistent_inputs_give_the_same_package_twice() {
        let one = inputs().build().unwrap();
        assert_eq!(one, inputs().build().unwrap());
        assert_eq!(one.digest, Digest::of(&one.bytes));
        assert_eq!(one.package.references.len(), 2);
        assert_eq!(one.package.decide_by, "2026-03-02T12:00:00Z".parse().unwrap());
        assert_eq!(one.package.execute_by, "2026-03-03T12:00:00Z".parse().unwrap());
        assert!(
            one.package
                .identifiers
                .iter()
                .any(|pair| pair.old == "444444444444" && pair.new == "333333333333")
        );
        let read: DecisionPackage = serde_json::from_slice(&one.bytes).unwrap();
        assert_eq!(read, one.package);
    }

    type Change = fn(&mut Inputs);

    #[test]
    fn whatever_does_not_add_up_is_refused_at_its_place() {
        let cases: [(Change, &str); 20] = [
            (
                |i| i.selection.verdict.verdict = Verdict::Unknown,
                "selection.verdict",
            ),
            (
                |i| i.selection.verdict.set = "other".into(),
                "selection.verdict.set",
            ),
            (
                |i| {
                    i.selection.verdict.layers.remove(&Layer::MalwareScan);
                },
                "selection.verdict.layers",
            ),
            (
                |i| i.selection.set.newest = "2026-02-20T23:00:01Z".parse().unwrap(),
                "selection.set.newest",
            ),
            (
                |i| i.selection.set.newest = "2026-02-19T00:00:00Z".parse().unwrap(),
                "selection.set.newest",
            ),
            (|i| i.selection.set.points.clear(), "selection.set.points.data"),
            (
                |i| i.selection.verdict.manifests.clear(),
                "selection.verdict.manifests.data",
            ),
            (
                |i| i.rebuild.isolation[0].status = CheckStatus::Unknown,
                "rebuild.isolation.egress",
            ),
            (|i| i.rebuild.isolation.clear(), "rebuild.isolation"),
            (
                |i| i.rebuild.stacks[0].template = Digest::of(b"other"),
                "rebuild.stacks.app",
            ),
            (|i| i.rebuild.stacks.clear(), "rebuild.stacks.app"),
            (
                |i| i.rebuild.schema = "blackstart.rebuild/2".into(),
                "rebuild.schema",
            ),
            (|i| i.inventory.documents.swap(0, 1), "inventory.documents"),
            (
                |i| i.inventory.documents[0] = from_value(document("one", 2, 1)).unwrap(),
                "inventory.documents.arn:aws:iam::666666666666:role/one",
            ),
            (
                |i| i.inventory.documents[0].slot.account = "777777777777".to_owned().try_into().unwrap(),
                "inventory.documents.arn:aws:iam::666666666666:role/one",
            ),
            (
                |i| {
                    i.inventory.failures.push(crate::references::ReadFailure {
                        account: "666666666666".to_owned().try_into().unwrap(),
                        region: "us-east-1".into(),
                        service: "kms-keys".into(),
                        what: "keys".into(),
                        reason: "denied".into(),
                    });
                },
                "inventory.failures.666666666666",
            ),
            (|i| i.plan.approval.quorum = 4, "plan.approval.quorum"),
            (|i| i.boundary.boundary = None, "boundary"),
            (
                |i| i.boundary.boundary.as_mut().unwrap().best = "2026-02-21T00:00:01Z".parse().unwrap(),
                "boundary.best",
            ),
            (
                |i| i.selection.boundary.document.sha256 = Digest::of(b"other"),
                "boundary",
            ),
        ];
        for (n, (change, at)) in cases.into_iter().enumerate() {
            let mut inputs = inputs();
            change(&mut inputs);
            assert!(
                problems(&inputs).iter().any(|p| p == at),
                "case {n}: {:?}",
                problems(&inputs)
            );
        }
    }

    #[test]
    fn a_quorum_that_needs_the_requester_is_no_quorum() {
        let mut inputs = inputs();
        inputs.plan.approval.quorum = 3;
        assert_eq!(problems(&inputs), Vec::<String>::new());
        inputs.requester = Some("ada".into());
        assert_eq!(problems(&inputs), ["plan.approval.quorum"]);
    }

    #[test]
    fn a_waived_document_is_shown_and_left_alone() {
        let mut inputs = inputs();
        inputs.inventory.documents[0] = from_value(document("one", 2, 1)).unwrap();
        inputs.plan.references.waivers.push(Waiver {
            document: "arn:aws:iam::666666666666:role/one".into(),
            reason: "unused".into(),
            by: "grace".into(),
        });
        let package = inputs.build().unwrap().package;
        assert_eq!(package.references.len(), 1);
        assert_eq!(
            package.references[0].slot.arn,
            "arn:aws:iam::666666666666:role/two"
        );
        assert_eq!(package.waivers.len(), 1);
    }

    #[test]
    fn a_gap_and_an_item_without_a_writer_need_a_waiver_that_names_them() {
        let mut inputs = inputs();
        inputs.inventory.unhandled.push(
            from_value(serde_json::json!({
                "resource": {"account": "666666666666", "region": "us-east-1", "kind": "AWS::EFS::FileSystem",
                    "name": "arn:aws:elasticfilesystem:us-east-1:666666666666:file-system/fs-1"},
                "part": "policy", "seen": [{"at": "Statement[0]", "source": "reader", "tokens": 1}], "reason": "no writer",
            }))
            .unwrap(),
        );
        inputs.inventory.failures.push(
            from_value(serde_json::json!({"account": "666666666666", "region": "eu-west-1", "service": "ram", "what": "every share",
                "reason": "denied"}))
            .unwrap(),
        );
        let item = "arn:aws:elasticfilesystem:us-east-1:666666666666:file-system/fs-1#policy";
        let unhandled = format!("inventory.unhandled.{item}");
        assert_eq!(
            problems(&inputs),
            ["inventory.failures.666666666666", unhandled.as_str()]
        );
        for document in [item, "666666666666/eu-west-1/ram"] {
            inputs.plan.references.waivers.push(Waiver {
                document: document.into(),
                reason: "moved by hand".into(),
                by: "grace".into(),
            });
        }
        assert_eq!(problems(&inputs), Vec::<String>::new());
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let mut inputs = inputs();
        inputs.rebuild.isolation.clear();
        inputs.selection.verdict.verdict = Verdict::Tainted;
        assert_eq!(problems(&inputs), ["rebuild.isolation", "selection.verdict"]);
    }
}
