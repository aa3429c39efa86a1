//! Policies of S3 buckets.

use blackstart_core::references::DocumentKind;

use super::{Documents, Reading};
use crate::artifacts::s3_client;
use crate::port::{Effect, PortError, classify};

/// `ListBuckets` says in which region each bucket is, but only when it is asked page by page.
const PAGE: i32 = 1_000;

/// A bucket and its region.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) region: String,
}

impl Bucket {
    pub(super) fn arn(&self, documents: &Documents) -> String {
        format!("arn:{}:s3:::{}", documents.partition, self.name)
    }
}

/// The buckets of the account, of all regions.
pub(super) async fn list(documents: &Documents) -> Result<Vec<Bucket>, PortError> {
    let what = format!("listing the buckets of {}", documents.account);
    let mut pages = s3_client(&documents.config)
        .list_buckets()
        .max_buckets(PAGE)
        .into_paginator()
        .send();
    let mut buckets = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        for bucket in page.buckets.unwrap_or_default() {
            let Some(name) = bucket.name else { continue };
            let region = bucket.bucket_region.unwrap_or_else(|| documents.region.clone());
            buckets.push(Bucket { name, region });
        }
    }
    Ok(buckets)
}

pub(super) async fn read(documents: &Documents) -> Result<Vec<Reading>, PortError> {
    let buckets = list(documents).await?;
    Ok(documents
        .each(buckets, |bucket| async move {
            let arn = bucket.arn(documents);
            let what = format!("reading the policy of `{arn}`");
            let policy = s3_client(&documents.in_region(&bucket.region))
                .get_bucket_policy()
                .bucket(&bucket.name)
                // A bucket of that name in somebody else's account is not this bucket.
                .expected_bucket_owner(documents.account.as_str())
                .send()
                .await
                .map(|answer| answer.policy)
                .map_err(|error| classify(what.as_str(), Effect::Read, &error));
            vec![documents.document(DocumentKind::BucketPolicy, &bucket.region, arn, policy)]
        })
        .await)
}
