//! Resource policies of Secrets Manager secrets. The secrets' values are never read.

use blackstart_core::references::DocumentKind;

use super::{Documents, Reading};
use crate::port::{Effect, PortError, classify};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing the secrets of {}", documents.account);
    let client = &aws_sdk_secretsmanager::Client::new(&documents.config);
    let mut pages = client.list_secrets().into_paginator().send();
    let mut secrets = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        let of_page = page.secret_list.unwrap_or_default().into_iter();
        secrets.extend(of_page.filter_map(|secret| secret.arn));
    }
    Ok(documents
        .each(secrets, |arn| async move {
            let what = format!("reading the policy of `{arn}`");
            let policy = client
                .get_resource_policy()
                .secret_id(&arn)
                .send()
                .await
                .map(|answer| answer.resource_policy)
                .map_err(|error| classify(what.as_str(), Effect::Read, &error));
            vec![documents.document(DocumentKind::SecretPolicy, &documents.region, arn, policy)]
        })
        .await)
}
