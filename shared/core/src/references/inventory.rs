//! From the documents of the siblings to the inventory that the approvers see.

use std::collections::BTreeSet;

use super::document::{InventoryDocument, ReadFailure, ReferenceDocument, Slot};
use super::positions::Disposition;
use super::rewrite::{Mode, Refused, rewrite};
use super::tokens::scan;
use super::{Form, IdentifierMap, canonical_digest_of};
use crate::plan::Waiver;

/// The schema that this code writes.
pub const INVENTORY_SCHEMA: &str = "blackstart.inventory/1";

/// Sums over an inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Documents that were read.
    pub documents: u64,
    /// Tokens that name the old environment.
    pub tokens: u64,
    /// Tokens that a rewriter owns.
    pub handled: u64,
    /// Tokens that none owns, in documents that no waiver names.
    pub unhandled: u64,
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
    let tokens = match scan(&text, Form::Policy(Some(slot.kind)), map) {
        Ok(tokens) => tokens,
        Err(problem) => {
            return Err(ReadFailure {
                account: slot.account,
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

/// The inventory of documents that were read.
#[must_use]
pub fn inventory_of(
    read: impl IntoIterator<Item = (Slot, Option<String>)>,
    mut failures: Vec<ReadFailure>,
    map: &IdentifierMap,
) -> InventoryDocument {
    let mut documents = Vec::new();
    let mut documents_read = 0;
    for (slot, text) in read {
        documents_read += 1;
        let Some(text) = text else { continue };
        match reference_in(slot, text, map) {
            Ok(found) => documents.extend(found),
            Err(failure) => failures.push(failure),
        }
    }
    documents.sort_by(|one, other| one.slot.cmp(&other.slot));
    failures.sort_by(|one, other| (&one.account, &one.what).cmp(&(&other.account, &other.what)));
    InventoryDocument {
        schema: INVENTORY_SCHEMA.to_owned(),
        documents_read,
        documents,
        failures,
    }
}

/// One inventory out of several, and its sums. Documents that a waiver names count no unhandled tokens.
#[must_use]
pub fn merge(
    inventories: impl IntoIterator<Item = InventoryDocument>,
    waivers: &[Waiver],
) -> (InventoryDocument, Counted) {
    let mut merged = InventoryDocument {
        schema: INVENTORY_SCHEMA.to_owned(),
        documents_read: 0,
        documents: Vec::new(),
        failures: Vec::new(),
    };
    for inventory in inventories {
        merged.documents_read += inventory.documents_read;
        merged.documents.extend(inventory.documents);
        merged.failures.extend(inventory.failures);
    }
    merged.documents.sort_by(|one, other| one.slot.cmp(&other.slot));
    merged.documents.dedup_by(|one, other| one.slot == other.slot);
    let waived: BTreeSet<&str> = waivers.iter().map(|waiver| waiver.document.as_str()).collect();
    let mut counted = Counted {
        documents: merged.documents_read,
        ..Counted::default()
    };
    for document in &merged.documents {
        counted.tokens += document.tokens;
        counted.handled += document.handled;
        if !waived.contains(document.slot.arn.as_str()) {
            counted.unhandled += document.tokens - document.handled.min(document.tokens);
        }
    }
    (merged, counted)
}

#[cfg(test)]
mod tests {
    use super::super::DocumentKind;
    use super::*;
    use crate::run::AccountId;

    fn slot(arn: &str) -> Slot {
        Slot {
            account: AccountId::try_from("333333333333".to_owned()).unwrap(),
            region: String::new(),
            kind: DocumentKind::RoleTrust,
            arn: arn.to_owned(),
        }
    }

    fn trust(principal: &str) -> Option<String> {
        Some(format!(
            r#"{{"Statement":[{{"Sid":"About111111111111","Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}]}}"#
        ))
    }

    fn map() -> IdentifierMap {
        let account = |id: &str| AccountId::try_from(id.to_owned()).unwrap();
        IdentifierMap::of_accounts(&account("111111111111"), &account("222222222222")).unwrap()
    }

    #[test]
    fn only_documents_that_name_the_old_account_are_kept_and_every_token_is_counted() {
        let inventory = inventory_of(
            [
                (slot("role/plain"), trust("arn:aws:iam::111111111111:role/app")),
                (slot("role/other"), trust("444444444444")),
                (slot("role/none"), None),
                (
                    slot("role/unclear"),
                    trust("arn:aws:iam::111111111111:role/x-111111111111"),
                ),
                (slot("role/broken"), Some("{".to_owned())),
            ],
            Vec::new(),
            &map(),
        );
        assert_eq!(inventory.documents_read, 5);
        let arns: Vec<&str> = inventory
            .documents
            .iter()
            .map(|one| one.slot.arn.as_str())
            .collect();
        assert_eq!(arns, ["role/plain", "role/unclear"]);
        assert_eq!(inventory.failures.len(), 1);
        let waiver = Waiver {
            document: "role/unclear".to_owned(),
            reason: "a partner's name".to_owned(),
        };
        let sums = |waivers: &[Waiver]| merge([inventory.clone()], waivers).1;
        assert_eq!(
            sums(&[]),
            Counted {
                documents: 5,
                tokens: 3,
                handled: 2,
                unhandled: 1
            }
        );
        assert_eq!(sums(&[waiver]).unhandled, 0);
    }

    #[test]
    fn a_document_whose_swap_is_refused_is_unhandled_before_the_approval() {
        let text =
            trust("111111111111").map(|text| text.replace("Action", "Resource\":\"222222222222\",\"Action"));
        let inventory = inventory_of([(slot("role/both"), text)], Vec::new(), &map());
        let document = inventory.documents.first().unwrap();
        assert_eq!((document.tokens, document.handled), (1, 0));
        assert!(document.unhandled.first().unwrap().contains("already contains"));
    }
}
