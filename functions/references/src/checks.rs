//! A second opinion on every planned rewrite: Access Analyzer's.

use std::future::Future;

use blackstart_aws::analyzer::{Analyzer, Checked};
use blackstart_aws::port::PortError;
use blackstart_core::references::{
    DocumentKind, IdentifierMap, InventoryDocument, Mode, ReadFailure, ReferenceDocument, rewrite, union_of,
};

/// Checks of policies by somebody else.
pub trait PolicyChecks {
    /// Whether a policy has errors.
    fn validate(
        &self,
        policy: &str,
        kind: DocumentKind,
    ) -> impl Future<Output = Result<Checked, PortError>> + Send;
    /// Whether two policies allow the same.
    fn equivalent(&self, one: &str, other: &str) -> impl Future<Output = Result<Checked, PortError>> + Send;
}

impl PolicyChecks for Analyzer {
    async fn validate(&self, policy: &str, kind: DocumentKind) -> Result<Checked, PortError> {
        Self::validate(self, policy, kind).await
    }

    async fn equivalent(&self, one: &str, other: &str) -> Result<Checked, PortError> {
        Self::equivalent(self, one, other).await
    }
}

/// Has the rewrite of every handled document checked. A document that is objected to is no longer handled; a check
/// that cannot be made is a gap.
pub(crate) async fn check<C: PolicyChecks>(
    checks: &C,
    inventory: &mut InventoryDocument,
    map: &IdentifierMap,
    expand: bool,
) {
    for document in &mut inventory.documents {
        if !document.unhandled.is_empty() || document.slot.kind.is_entries() {
            continue;
        }
        match objections(checks, document, map, expand).await {
            Ok(objections) if objections.is_empty() => {}
            Ok(objections) => {
                document.handled = 0;
                document.unhandled = objections;
            }
            Err(error) => inventory.failures.push(ReadFailure {
                account: document.slot.account.clone(),
                region: document.slot.region.clone(),
                service: "policy-checks".to_owned(),
                what: format!("the check of {} of `{}`", document.slot.kind, document.slot.arn),
                reason: error.to_string(),
            }),
        }
    }
}

async fn objections<C: PolicyChecks>(
    checks: &C,
    document: &ReferenceDocument,
    map: &IdentifierMap,
    expand: bool,
) -> Result<Vec<String>, PortError> {
    let kind = document.slot.kind;
    let Ok(swapped) = rewrite(&document.text, kind, map, Mode::Swap) else {
        return Ok(Vec::new());
    };
    let mut found = said("ValidatePolicy", checks.validate(&swapped.after, kind).await?);
    let expanded = expand
        .then(|| rewrite(&document.text, kind, map, Mode::Expand).ok())
        .flatten();
    if let Some(expanded) = expanded
        && let Some(union) = union_of(&document.text, &swapped.after)
    {
        found.extend(said(
            "CheckNoNewAccess",
            checks.equivalent(&union, &expanded.after).await?,
        ));
    }
    Ok(found)
}

fn said(check: &str, checked: Checked) -> Vec<String> {
    match checked {
        Checked::Passed => Vec::new(),
        Checked::Failed(reasons) => reasons
            .into_iter()
            .map(|reason| format!("{check} of Access Analyzer: {}", reason.escape_debug()))
            .collect(),
    }
}
