//! Policies of KMS keys.

use blackstart_core::references::DocumentKind;

use super::{Documents, Reading};
use crate::port::{Effect, PortError, classify};

/// The only policy name that KMS knows.
const POLICY: &str = "default";

/// ARNs of the keys of the account in this region.
pub(super) async fn list(documents: &Documents) -> Result<Vec<String>, PortError> {
    let what = format!("listing the keys of {}", documents.account);
    let mut pages = aws_sdk_kms::Client::new(&documents.config)
        .list_keys()
        .into_paginator()
        .items()
        .send();
    let mut keys = Vec::new();
    while let Some(key) = pages.next().await {
        let key = key.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        keys.extend(key.key_arn);
    }
    Ok(keys)
}

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let keys = list(documents).await?;
    let kms = &aws_sdk_kms::Client::new(&documents.config);
    Ok(documents
        .each(keys, |arn| async move {
            let what = format!("reading the policy of `{arn}`");
            let policy = kms
                .get_key_policy()
                .key_id(&arn)
                .policy_name(POLICY)
                .send()
                .await
                .map(|answer| answer.policy)
                .map_err(|error| classify(what.as_str(), Effect::Read, &error));
            vec![documents.document(DocumentKind::KeyPolicy, &documents.region, arn, policy)]
        })
        .await)
}
