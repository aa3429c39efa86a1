//! Policies of KMS keys.

use blackstart_core::references::{DocumentKind, Slot};

use super::{Documents, Listed};
use crate::port::{Effect, PortError, classify};

/// The only policy name that KMS knows.
const POLICY: &str = "default";

pub(super) async fn list(documents: &Documents) -> Result<Vec<Listed>, PortError> {
    let what = format!("listing the keys of {}", documents.account);
    let mut keys = aws_sdk_kms::Client::new(&documents.config)
        .list_keys()
        .into_paginator()
        .items()
        .send();
    let mut listed = Vec::new();
    while let Some(key) = keys.next().await {
        let key = key.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        let Some(arn) = key.key_arn else { continue };
        listed.push(Listed {
            slot: documents.slot(DocumentKind::KeyPolicy, &documents.region, arn),
            text: None,
        });
    }
    Ok(listed)
}

pub(super) async fn read(documents: &Documents, slot: &Slot) -> Result<Option<String>, PortError> {
    let what = format!("reading the policy of `{}`", slot.arn);
    let answer = aws_sdk_kms::Client::new(&documents.in_region(&slot.region))
        .get_key_policy()
        .key_id(&slot.arn)
        .policy_name(POLICY)
        .send()
        .await
        .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
    Ok(answer.policy)
}
