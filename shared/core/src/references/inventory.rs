//! From what the siblings show to the inventory that the approvers see.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{
    Counted, Coverage, InventoryDocument, ReadFailure, ReferenceDocument, Resource, Sighting, Slot, Source,
    UnhandledItem,
};
use super::positions::Disposition;
use super::rewrite::{Mode, Refused, rewrite};
use super::services::{Scope, Service, service_of};
use super::tokens::scan;
use super::{Form, IdentifierMap, canonical_digest_of};
use crate::plan::Waiver;

/// The schema that this code writes.
pub const INVENTORY_SCHEMA: &str = "blackstart.inventory/1";

/// Something that a sibling shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// A document that a writer exists for.
    Document {
        /// Where it is.
        slot: Slot,
        /// Its text; `None` where the resource has no such document.
        text: Option<String>,
    },
    /// Anything else.
    Configuration(Configuration),
}

/// A policy or configuration that no writer exists for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Whose it is.
    pub resource: Resource,
    /// Which part of the resource; empty for all of it.
    pub part: String,
    /// What its text is.
    pub form: Form,
    /// Its text.
    pub text: String,
    /// Who shows it.
    pub source: Source,
}

/// The plan's waivers: named decisions to leave a reference, or a gap, as it is.
#[derive(Debug, Clone, Copy)]
pub struct Waived<'w>(pub &'w [Waiver]);

impl Waived<'_> {
    /// Whether a document is left alone.
    #[must_use]
    pub fn document(self, slot: &Slot) -> bool {
        self.0.iter().any(|waiver| slot.is_named_by(&waiver.document))
    }

    /// Whether something without a writer is left alone.
    #[must_use]
    pub fn item(self, item: &UnhandledItem) -> bool {
        let name = item.name();
        self.0.iter().any(|waiver| waiver.document == name)
    }

    /// Whether a gap is accepted.
    #[must_use]
    pub fn gap(self, failure: &ReadFailure) -> bool {
        let name = failure.name();
        self.0.iter().any(|waiver| waiver.document == name)
    }
}

/// What one document says about the old environment; `None` when nothing.
///
/// A document whose swap would be refused counts as unhandled here, so that the refusal is known before the
/// approval and not at cutover.
///
/// # Errors
/// [`ReadFailure`] when the text is not a policy: it cannot be said that it names nothing.
pub fn reference_in(
    slot: Slot,
    text: String,
    map: &IdentifierMap,
) -> Result<Option<ReferenceDocument>, ReadFailure> {
    let tokens = match scan(&text, Form::from(slot.kind), map) {
        Ok(tokens) => tokens,
        Err(problem) => {
            return Err(ReadFailure {
                account: slot.account,
                region: slot.region,
                service: service_of(slot.kind).to_owned(),
                what: format!("{} of `{}`", slot.kind, slot.arn),
                reason: problem.to_string(),
            });
        }
    };
    let mut unhandled: Vec<String> = tokens
        .iter()
        .filter_map(|token| match token.disposition {
            Disposition::Unhandled(reason) => Some(format!(
                "`{}` at {}: {reason}",
                token.old.escape_debug(),
                token.path.escape_debug()
            )),
            Disposition::Rewrite | Disposition::Keep(_) => None,
        })
        .collect();
    let owned = tokens
        .iter()
        .filter(|token| token.disposition == Disposition::Rewrite)
        .count();
    let count = owned + unhandled.len();
    if count == 0 {
        return Ok(None);
    }
    let mut handled = owned;
    if unhandled.is_empty() {
        match rewrite(&text, slot.kind, map, Mode::Swap) {
            Ok(_) | Err(Refused::NothingToRewrite) => {}
            Err(refused) => {
                handled = 0;
                unhandled.push(refused.to_string());
            }
        }
    }
    Ok(Some(ReferenceDocument {
        before: canonical_digest_of(&text),
        slot,
        text,
        tokens: count as u64,
        handled: handled as u64,
        unhandled,
    }))
}

/// What one configuration says about the old environment; `None` when nothing.
///
/// Of a Config snapshot only the fields count that no reader read itself: `read` says which services of which region
/// were read.
///
/// # Errors
/// [`ReadFailure`] when the text is not what it should be: it cannot be said that it names nothing.
pub fn unhandled_in(
    configuration: &Configuration,
    read: &BTreeSet<(String, String)>,
    map: &IdentifierMap,
) -> Result<Option<UnhandledItem>, ReadFailure> {
    let Configuration {
        resource,
        part,
        form,
        text,
        source,
    } = configuration;
    let tokens = scan(text, *form, map).map_err(|problem| ReadFailure {
        account: resource.account.clone(),
        region: resource.region.clone(),
        service: resource.kind.clone(),
        what: format!("`{}`", resource.name),
        reason: problem.to_string(),
    })?;
    let is_read = |path: &str| {
        *source == Source::ConfigSnapshot
            && Service::owning(&resource.kind, path).is_some_and(|service| {
                let region = match service.scope {
                    Scope::Global => "",
                    Scope::Regional => resource.region.as_str(),
                };
                read.contains(&(region.to_owned(), service.name.to_owned()))
            })
    };
    let mut places: BTreeMap<String, u64> = BTreeMap::new();
    for token in &tokens {
        if !matches!(token.disposition, Disposition::Keep(_)) && !is_read(&token.path) {
            *places.entry(token.path.escape_debug().to_string()).or_default() += 1;
        }
    }
    if places.is_empty() {
        return Ok(None);
    }
    let reason = match source {
        Source::Reader => "no writer changes this: people do, or a waiver says why it may stay",
        Source::ConfigSnapshot => "AWS Config shows it and no reader reads it",
        Source::AccessAnalyzer => {
            "Access Analyzer reports access from the old account and no reader shows why"
        }
    };
    Ok(Some(UnhandledItem {
        resource: resource.clone(),
        part: part.clone(),
        seen: places
            .into_iter()
            .map(|(at, tokens)| Sighting {
                at,
                source: *source,
                tokens,
            })
            .collect(),
        reason: reason.to_owned(),
    }))
}

/// The inventory of one sibling.
#[must_use]
pub fn inventory_of(
    observed: impl IntoIterator<Item = Observed>,
    coverage: Vec<Coverage>,
    failures: Vec<ReadFailure>,
    map: &IdentifierMap,
) -> InventoryDocument {
    let read: BTreeSet<(String, String)> = coverage
        .iter()
        .map(|one| (one.region.clone(), one.service.clone()))
        .collect();
    let mut inventory = InventoryDocument {
        coverage,
        failures,
        ..InventoryDocument::empty()
    };
    for one in observed {
        match one {
            Observed::Document { slot, text } => {
                inventory.documents_read += 1;
                match text.map(|text| reference_in(slot, text, map)).transpose() {
                    Ok(found) => inventory.documents.extend(found.flatten()),
                    Err(failure) => inventory.failures.push(failure),
                }
            }
            Observed::Configuration(configuration) => {
                inventory.documents_read += 1;
                match unhandled_in(&configuration, &read, map) {
                    Ok(found) => inventory.unhandled.extend(found),
                    Err(failure) => inventory.failures.push(failure),
                }
            }
        }
    }
    merge([inventory], &[])
}

/// One inventory out of several, ordered and with its sums: whatever the order in which they come and however often,
/// a document, an item and a gap are there once.
#[must_use]
pub fn merge(
    inventories: impl IntoIterator<Item = InventoryDocument>,
    waivers: &[Waiver],
) -> InventoryDocument {
    let mut merged = InventoryDocument::empty();
    let mut items = Vec::new();
    for inventory in inventories {
        merged.documents_read += inventory.documents_read;
        merged.documents.extend(inventory.documents);
        merged.failures.extend(inventory.failures);
        merged.coverage.extend(inventory.coverage);
        items.extend(inventory.unhandled);
    }
    merged
        .documents
        .sort_by(|one, other| (&one.slot, &one.text).cmp(&(&other.slot, &other.text)));
    merged.documents.dedup_by(|one, other| one.slot == other.slot);
    merged.failures.sort();
    merged.failures.dedup();
    merged.coverage.sort_by(|one, other| other.cmp(one));
    merged.coverage.dedup_by(|one, other| {
        (&one.account, &one.region, &one.service) == (&other.account, &other.region, &other.service)
    });
    merged.coverage.reverse();
    merged.unhandled = by_resource(items, &merged.documents);
    merged.measure = counted(&merged, Waived(waivers));
    merged
}

/// Items of the same part of the same resource are one. What Access Analyzer alone reports is none where somebody
/// read the resource: its finding follows from what was read.
fn by_resource(mut items: Vec<UnhandledItem>, documents: &[ReferenceDocument]) -> Vec<UnhandledItem> {
    fn key(item: &UnhandledItem) -> (&str, &str, &str) {
        (
            item.resource.account.as_str(),
            item.resource.name.as_str(),
            item.part.as_str(),
        )
    }
    // The best source first: it says region, type and reason.
    items.sort_by(|one, other| {
        let rank = |item: &UnhandledItem| item.seen.iter().map(|seen| seen.source).min();
        (key(one), rank(one), &one.resource, &one.reason).cmp(&(
            key(other),
            rank(other),
            &other.resource,
            &other.reason,
        ))
    });
    let mut merged: Vec<UnhandledItem> = Vec::new();
    for item in items {
        match merged.last_mut().filter(|last| key(last) == key(&item)) {
            Some(last) => last.seen.extend(item.seen),
            None => merged.push(item),
        }
    }
    for item in &mut merged {
        // The same place from the same source, read twice.
        let mut places: BTreeMap<(String, Source), u64> = BTreeMap::new();
        for seen in std::mem::take(&mut item.seen) {
            let tokens = places.entry((seen.at, seen.source)).or_default();
            *tokens = seen.tokens.max(*tokens);
        }
        item.seen = places
            .into_iter()
            .map(|((at, source), tokens)| Sighting { at, source, tokens })
            .collect();
    }
    let read: BTreeSet<(String, String)> = merged
        .iter()
        .filter(|item| item.seen.iter().any(|seen| seen.source != Source::AccessAnalyzer))
        .map(|item| (item.resource.account.to_string(), item.resource.name.clone()))
        .chain(documents.iter().flat_map(|document| {
            // Access Analyzer names the function, whichever of its versions the permission is on.
            let arn = &document.slot.arn;
            let function = arn.split(':').take(7).collect::<Vec<_>>().join(":");
            [arn.clone(), function].map(|name| (document.slot.account.to_string(), name))
        }))
        .collect();
    merged.retain_mut(|item| {
        if read.contains(&(item.resource.account.to_string(), item.resource.name.clone())) {
            item.seen.retain(|seen| seen.source != Source::AccessAnalyzer);
        }
        !item.seen.is_empty()
    });
    merged
}

fn counted(inventory: &InventoryDocument, waived: Waived<'_>) -> Counted {
    let mut counted = Counted {
        documents: inventory.documents_read,
        ..Counted::default()
    };
    for document in &inventory.documents {
        let handled = document.handled.min(document.tokens);
        counted.tokens += document.tokens;
        counted.handled += handled;
        if waived.document(&document.slot) {
            counted.waived += document.tokens - handled;
        } else {
            counted.unhandled += document.tokens - handled;
        }
    }
    for item in &inventory.unhandled {
        counted.tokens += item.tokens();
        if waived.item(item) {
            counted.waived += item.tokens();
        } else {
            counted.unhandled += item.tokens();
        }
    }
    counted
}

#[cfg(test)]
mod tests;
