//! Policies of S3 buckets.

use blackstart_core::references::{DocumentKind, Slot};

use super::{Documents, Listed, name_of};
use crate::artifacts::s3_client;
use crate::port::{Effect, PortError, classify};

/// `ListBuckets` says in which region each bucket is, but only when it is asked page by page.
const PAGE: i32 = 1_000;

pub(super) async fn list(documents: &Documents) -> Result<Vec<Listed>, PortError> {
    let what = format!("listing the buckets of {}", documents.account);
    let mut pages = s3_client(&documents.config)
        .list_buckets()
        .max_buckets(PAGE)
        .into_paginator()
        .send();
    let mut listed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        for bucket in page.buckets.unwrap_or_default() {
            let Some(name) = bucket.name else { continue };
            let region = bucket.bucket_region.as_deref().unwrap_or(&documents.region);
            let arn = format!("arn:{}:s3:::{name}", documents.partition);
            listed.push(Listed {
                slot: documents.slot(DocumentKind::BucketPolicy, region, arn),
                text: None,
            });
        }
    }
    Ok(listed)
}

pub(super) async fn read(documents: &Documents, slot: &Slot) -> Result<Option<String>, PortError> {
    let what = format!("reading the policy of `{}`", slot.arn);
    let answer = s3_client(&documents.in_region(&slot.region))
        .get_bucket_policy()
        .bucket(name_of(&slot.arn, ':'))
        // A bucket of that name in somebody else's account is not this bucket.
        .expected_bucket_owner(slot.account.as_str())
        .send()
        .await
        .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
    Ok(answer.policy)
}
