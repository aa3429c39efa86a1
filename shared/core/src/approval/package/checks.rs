//! What speaks against a package: documents of other runs, sets that are not proven, gaps that nobody waived.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::{Facts, problem};
use crate::approval::roster::Roster;
use crate::artifact::Digest;
use crate::plan::Problem;
use crate::references::Waived;
use crate::timeline;
use crate::validation::Verdict;

fn check_schema(problems: &mut Vec<Problem>, document: &str, found: &str, wanted: &str) {
    if found != wanted {
        problem(
            problems,
            format!("{document}.schema"),
            format!("is `{found}`, `{wanted}` is needed"),
        );
    }
}

pub(super) fn check_plan(facts: &Facts<'_>, problems: &mut Vec<Problem>) {
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

pub(super) fn check_selection(facts: &Facts<'_>, problems: &mut Vec<Problem>) {
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

pub(super) fn check_boundary(facts: &Facts<'_>, problems: &mut Vec<Problem>) {
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

pub(super) fn check_rebuild(facts: &Facts<'_>, problems: &mut Vec<Problem>) {
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
    for (check, evidence) in rebuild.not_let_pass(&plan.rebuild.waivers) {
        problem(
            problems,
            format!("rebuild.isolation.{check}"),
            format!("is not proven: {evidence}"),
        );
    }
}

pub(super) fn check_inventory(facts: &Facts<'_>, problems: &mut Vec<Problem>) {
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
