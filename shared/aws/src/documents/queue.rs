//! Policies of SQS queues.

use aws_sdk_sqs::types::QueueAttributeName;
use blackstart_core::references::{DocumentKind, Slot};

use super::{Documents, Listed, name_of};
use crate::port::{Effect, PortError, classify};

/// Without a page size SQS returns the first thousand queues and no token.
const PAGE: i32 = 1_000;

pub(super) async fn list(documents: &Documents) -> Result<Vec<Listed>, PortError> {
    let what = format!("listing the queues of {}", documents.account);
    let mut urls = aws_sdk_sqs::Client::new(&documents.config)
        .list_queues()
        .max_results(PAGE)
        .into_paginator()
        .items()
        .send();
    let mut listed = Vec::new();
    while let Some(url) = urls.next().await {
        let url = url.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        let arn = format!(
            "arn:{}:sqs:{}:{}:{}",
            documents.partition,
            documents.region,
            documents.account,
            name_of(&url, '/')
        );
        listed.push(Listed {
            slot: documents.slot(DocumentKind::QueuePolicy, &documents.region, arn),
            text: None,
        });
    }
    Ok(listed)
}

pub(super) async fn read(documents: &Documents, slot: &Slot) -> Result<Option<String>, PortError> {
    let what = format!("reading the policy of `{}`", slot.arn);
    let sqs = aws_sdk_sqs::Client::new(&documents.in_region(&slot.region));
    let url = sqs
        .get_queue_url()
        .queue_name(name_of(&slot.arn, ':'))
        .send()
        .await
        .map_err(|error| classify(what.as_str(), Effect::Read, &error))?
        .queue_url;
    let answer = sqs
        .get_queue_attributes()
        .set_queue_url(url)
        .attribute_names(QueueAttributeName::Policy)
        .send()
        .await
        .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
    Ok(answer
        .attributes
        .and_then(|mut attributes| attributes.remove(&QueueAttributeName::Policy))
        .filter(|policy| !policy.is_empty()))
}
