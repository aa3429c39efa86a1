//! Policies of SNS topics.

use blackstart_core::references::DocumentKind;

use super::{Documents, Reading};
use crate::port::{Effect, PortError, classify};

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let what = format!("listing the topics of {}", documents.account);
    let sns = &aws_sdk_sns::Client::new(&documents.config);
    let mut pages = sns.list_topics().into_paginator().items().send();
    let mut topics = Vec::new();
    while let Some(topic) = pages.next().await {
        let topic = topic.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        topics.extend(topic.topic_arn);
    }
    Ok(documents
        .each(topics, |arn| async move {
            let what = format!("reading the policy of `{arn}`");
            let policy = sns
                .get_topic_attributes()
                .topic_arn(&arn)
                .send()
                .await
                .map(|answer| {
                    answer
                        .attributes
                        .and_then(|mut attributes| attributes.remove("Policy"))
                })
                .map_err(|error| classify(what.as_str(), Effect::Read, &error));
            vec![documents.document(DocumentKind::TopicPolicy, &documents.region, arn, policy)]
        })
        .await)
}
