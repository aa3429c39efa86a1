//! Policies of SQS queues.

use aws_sdk_sqs::types::QueueAttributeName;
use blackstart_core::references::DocumentKind;

use super::{Documents, Reading, name_of};
use crate::port::{Effect, PortError, classify};

/// Without a page size SQS returns the first thousand queues and no token.
const PAGE: i32 = 1_000;

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing the queues of {}", documents.account);
    let sqs = &aws_sdk_sqs::Client::new(&documents.config);
    let mut pages = sqs
        .list_queues()
        .max_results(PAGE)
        .into_paginator()
        .items()
        .send();
    let mut urls = Vec::new();
    while let Some(url) = pages.next().await {
        urls.push(url.map_err(|error| classify(what.as_str(), Effect::Read, &error))?);
    }
    Ok(documents
        .each(urls, |url| async move {
            let arn = format!(
                "arn:{}:sqs:{}:{}:{}",
                documents.partition,
                documents.region,
                documents.account,
                name_of(&url, '/')
            );
            let what = format!("reading the policy of `{arn}`");
            let policy = sqs
                .get_queue_attributes()
                .queue_url(url)
                .attribute_names(QueueAttributeName::Policy)
                .send()
                .await
                .map(|answer| {
                    answer
                        .attributes
                        .and_then(|mut attributes| attributes.remove(&QueueAttributeName::Policy))
                        .filter(|policy| !policy.is_empty())
                })
                .map_err(|error| classify(what.as_str(), Effect::Read, &error));
            vec![documents.document(DocumentKind::QueuePolicy, &documents.region, arn, policy)]
        })
        .await)
}
