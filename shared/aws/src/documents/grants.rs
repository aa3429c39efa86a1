//! Grants of KMS keys: access that no policy shows.

use aws_sdk_kms::types::GrantListEntry;
use blackstart_core::references::DocumentKind;
use blackstart_core::references::entries::{entries_text, grant_entry};
use serde_json::{Map, Value};

use super::{Documents, Reading, key};
use crate::port::{Effect, PortError, classify};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let keys = key::list(documents).await?;
    let kms = &aws_sdk_kms::Client::new(&documents.config);
    Ok(documents
        .each(keys, |arn| async move {
            let text = grants_of(kms, &arn).await.map(|grants| {
                let entries = grants.iter().filter_map(entry_of_grant);
                entries_text(entries)
            });
            // A key without grants has nothing to say, and no document.
            let text = text.map(|text| Some(text).filter(|text| text.contains("GranteePrincipal")));
            vec![documents.document(DocumentKind::KeyGrants, &documents.region, arn, text)]
        })
        .await)
}

/// Every grant of a key.
pub(crate) async fn grants_of(
    kms: &aws_sdk_kms::Client,
    arn: &str,
) -> Result<Vec<GrantListEntry>, PortError> {
    let what = format!("listing the grants of `{arn}`");
    let mut pages = kms.list_grants().key_id(arn).into_paginator().items().send();
    let mut grants = Vec::new();
    while let Some(grant) = pages.next().await {
        grants.push(grant.map_err(|error| classify(what.as_str(), Effect::Read, &error))?);
    }
    Ok(grants)
}

/// A grant as an entry; `None` for one that an AWS service holds for a resource of its own, which only that service
/// may retire: its grantee is a service principal.
pub(crate) fn entry_of_grant(grant: &GrantListEntry) -> Option<Value> {
    let grantee = grant.grantee_principal.as_deref()?;
    if grantee.ends_with(".amazonaws.com") {
        return None;
    }
    let mut constraints = Map::new();
    if let Some(constraint) = &grant.constraints {
        for (name, pairs) in [
            ("EncryptionContextEquals", &constraint.encryption_context_equals),
            ("EncryptionContextSubset", &constraint.encryption_context_subset),
        ] {
            if let Some(pairs) = pairs.as_ref().filter(|pairs| !pairs.is_empty()) {
                let pairs: Map<String, Value> = pairs
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone().into()))
                    .collect();
                constraints.insert(name.to_owned(), pairs.into());
            }
        }
    }
    Some(grant_entry(
        grant.name.as_deref(),
        grantee,
        grant.retiring_principal.as_deref(),
        grant
            .operations
            .iter()
            .flatten()
            .map(|operation| operation.as_str().to_owned()),
        constraints,
    ))
}
