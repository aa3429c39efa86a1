//! From the approved package and the inventory to the steps of a cutover.

use std::collections::BTreeMap;

use super::{CutoverDocument, ReferenceStep, SCHEMA, contain};
use crate::approval::DecisionPackage;
use crate::artifact::Digest;
use crate::dns::{TrafficFacts, TrafficRefused, ZoneRecords};
use crate::plan::ContainPlan;
use crate::references::{
    IdentifierMap, InventoryDocument, Mode, ReferenceDocument, Refused, Slot, Waived, canonical_digest_of,
    rewrite,
};
use crate::task::cutover::Phase;

/// What a cutover is planned from.
#[derive(Debug, Clone, Copy)]
pub struct CutoverFacts<'a> {
    /// The approved package.
    pub package: &'a DecisionPackage,
    /// Its digest.
    pub digest: &'a Digest,
    /// The inventory that the package names.
    pub inventory: &'a InventoryDocument,
    /// What the recovery plan cuts the old account off with.
    pub contain: Option<&'a ContainPlan>,
    /// The live records of the zone.
    pub zone: &'a ZoneRecords,
    /// Refuse when more than this share of the zone's records would change, in percent.
    pub max_changed_percent: u8,
    /// Refuse when more than this share would be deleted for good, in percent.
    pub max_deleted_percent: u8,
}

/// The cutover cannot be planned from what was approved. Holds every reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cutover cannot be planned: {}", .0.join("; "))]
pub struct CutoverRefused(pub Vec<String>);

/// Plans every step.
///
/// Where the old account is contained, a document is first expanded (both are let in) and later contracted to the
/// image of the original; otherwise it is swapped at once, in the first phase, because keeping both trusted keeps the
/// intruder trusted. A document that has no exact expansion is swapped, too.
///
/// # Errors
/// [`CutoverRefused`] with every reason: documents that could not be read, are not handled or not in the package,
/// whose content is not what was approved, or whose rewrite was refused or not proven.
pub fn plan(facts: &CutoverFacts<'_>) -> Result<CutoverDocument, CutoverRefused> {
    let package = facts.package;
    let mut reasons = Vec::new();
    let waived = Waived(&package.waivers);
    let gaps = facts.inventory.failures.iter().filter(|gap| !waived.gap(gap));
    for failure in gaps {
        reasons.push(format!(
            "{} in account {} could not be read: {}",
            failure.what, failure.account, failure.reason
        ));
    }
    let items = facts.inventory.unhandled.iter();
    for item in items.filter(|item| !waived.item(item)) {
        reasons.push(format!(
            "`{}` names the old account {} time(s), no writer owns it and no waiver names it: {}",
            item.name(),
            item.tokens(),
            item.reason
        ));
    }
    let approved: BTreeMap<&Slot, &Digest> = package
        .references
        .iter()
        .map(|reference| (&reference.slot, &reference.before))
        .collect();
    let found: BTreeMap<&Slot, &ReferenceDocument> = facts
        .inventory
        .documents
        .iter()
        .map(|document| (&document.slot, document))
        .collect();
    for slot in approved.keys().filter(|slot| !found.contains_key(**slot)) {
        reasons.push(format!("`{}` is approved, but not in the inventory", slot.arn));
    }
    let map = IdentifierMap::new(package.identifiers.iter().cloned());
    let map = map.map_err(|error| reasons.push(error.to_string())).ok();

    let mut steps = Vec::new();
    for (slot, document) in found {
        if waived.document(slot) {
            continue;
        }
        if !document.unhandled.is_empty() {
            reasons.push(format!(
                "`{}` holds references that no rewriter owns and no waiver names: {}",
                slot.arn,
                document.unhandled.join(", ")
            ));
            continue;
        }
        match approved.get(slot) {
            None => reasons.push(format!(
                "`{}` names the old account, but was not approved",
                slot.arn
            )),
            Some(before)
                if **before != document.before || **before != canonical_digest_of(&document.text) =>
            {
                reasons.push(format!("`{}` is not the document that was approved", slot.arn));
            }
            Some(_) => {
                if let Some(map) = &map {
                    match steps_of(document, map, package.expand) {
                        Ok(of_document) => steps.extend(of_document),
                        Err(refused) => reasons.push(format!("`{}`: {refused}", slot.arn)),
                    }
                }
            }
        }
    }
    steps.sort_by(|a, b| (a.phase, &a.slot).cmp(&(b.phase, &b.slot)));

    let traffic = crate::dns::plan(&TrafficFacts {
        zone: &package.zone,
        names: &package.names,
        live: facts.zone,
        max_changed_percent: facts.max_changed_percent,
        max_deleted_percent: facts.max_deleted_percent,
    });
    let staged = traffic.and_then(|traffic| {
        let stages = crate::dns::stages(&traffic, package.shift.shares())?;
        Ok((traffic, stages))
    });
    match staged {
        Ok((traffic, traffic_stages)) if reasons.is_empty() => Ok(CutoverDocument {
            schema: SCHEMA.to_owned(),
            package: facts.digest.clone(),
            contain: contain::steps(facts.contain),
            steps,
            traffic,
            traffic_stages,
            hold_seconds: package.shift.hold_seconds(),
        }),
        Ok(_) => Err(CutoverRefused(reasons)),
        Err(TrafficRefused(of_records)) => {
            reasons.extend(of_records);
            Err(CutoverRefused(reasons))
        }
    }
}

fn steps_of(
    document: &ReferenceDocument,
    map: &IdentifierMap,
    expand: bool,
) -> Result<Vec<ReferenceStep>, Refused> {
    let slot = &document.slot;
    let swapped = rewrite(&document.text, slot.kind, map, Mode::Swap)?;
    let expanded = match expand.then(|| rewrite(&document.text, slot.kind, map, Mode::Expand)) {
        Some(Ok(expanded)) => Some(expanded),
        Some(Err(Refused::NoExactExpansion { .. })) | None => None,
        Some(Err(refused)) => return Err(refused),
    };
    let step = |phase, before: &str, after: &str, proof: String| ReferenceStep {
        id: step_id(phase, slot),
        slot: slot.clone(),
        account: slot.account.clone(),
        phase,
        before: before.to_owned(),
        after: after.to_owned(),
        proof,
    };
    let Some(expanded) = expanded else {
        return Ok(vec![step(
            Phase::Expand,
            &document.text,
            &swapped.after,
            swapped.proof.to_string(),
        )]);
    };
    Ok(vec![
        step(
            Phase::Expand,
            &document.text,
            &expanded.after,
            expanded.proof.to_string(),
        ),
        step(
            Phase::Contract,
            &expanded.after,
            &swapped.after,
            swapped.proof.to_string(),
        ),
    ])
}

/// Phase, account and the beginning of the slot's digest.
fn step_id(phase: Phase, slot: &Slot) -> String {
    let phase = match phase {
        Phase::Expand => "expand",
        Phase::Contract => "contract",
    };
    let digest = Digest::of(format!("{:?} {} {}", slot.kind, slot.region, slot.arn).as_bytes());
    format!("{phase}-{}-{}", slot.account, digest.short())
}
