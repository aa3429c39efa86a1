//! Resource policies of DynamoDB tables. Those of their streams are not read.

use blackstart_core::references::DocumentKind;

use super::{Documents, Reading};
use crate::port::{Effect, PortError, classify};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing the tables of {}", documents.account);
    let client = &aws_sdk_dynamodb::Client::new(&documents.config);
    let mut pages = client.list_tables().into_paginator().items().send();
    let mut tables = Vec::new();
    while let Some(name) = pages.next().await {
        tables.push(name.map_err(|error| classify(what.as_str(), Effect::Read, &error))?);
    }
    Ok(documents
        .each(tables, |name| async move {
            let arn = format!(
                "arn:{}:dynamodb:{}:{}:table/{name}",
                documents.partition, documents.region, documents.account
            );
            let what = format!("reading the policy of `{arn}`");
            let policy = client
                .get_resource_policy()
                .resource_arn(&arn)
                .send()
                .await
                .map(|answer| answer.policy)
                .map_err(|error| classify(what.as_str(), Effect::Read, &error));
            vec![documents.document(DocumentKind::TablePolicy, &documents.region, arn, policy)]
        })
        .await)
}
