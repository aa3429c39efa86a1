//! Reading log objects: what is there, and their bytes.

use blackstart_core::task::timeline::BatchObject;

use crate::artifacts::s3_client;
use crate::port::{Effect, PortError, classify};

/// Largest stored object that is fetched. CloudTrail objects stay below 50 MB uncompressed.
pub const STORED_LIMIT: u64 = 256 << 20;

/// Reads log buckets, with the permissions of the configuration it was made from.
#[derive(Debug, Clone)]
pub struct LogBuckets {
    s3: aws_sdk_s3::Client,
}

impl LogBuckets {
    /// A reader with these credentials.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            s3: s3_client(config),
        }
    }

    /// Every object under a prefix, in the order of its key.
    ///
    /// # Errors
    /// [`PortError`] of the first page that did not come.
    pub async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<BatchObject>, PortError> {
        let mut objects = Vec::new();
        let mut pages = self
            .s3
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                classify(format!("listing `s3://{bucket}/{prefix}`"), Effect::Read, &error)
            })?;
            for object in page.contents.unwrap_or_default() {
                let Some(key) = object.key else { continue };
                objects.push(BatchObject {
                    key,
                    bytes: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                });
            }
        }
        Ok(objects)
    }

    /// The signature that CloudTrail keeps in the metadata of a digest file (`x-amz-meta-signature`).
    ///
    /// # Errors
    /// [`PortError`] as S3 answers.
    pub async fn signature(&self, bucket: &str, key: &str) -> Result<Option<String>, PortError> {
        let what = format!("reading the metadata of `s3://{bucket}/{key}`");
        let answer = self
            .s3
            .head_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .map_err(|error| classify(what, Effect::Read, &error))?;
        Ok(answer
            .metadata
            .and_then(|mut metadata| metadata.remove("signature")))
    }

    /// The bytes of one object as stored.
    ///
    /// # Errors
    /// [`PortError`]; an object above [`STORED_LIMIT`] is refused unread.
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Vec<u8>, PortError> {
        let what = format!("reading `s3://{bucket}/{key}`");
        let answer = self
            .s3
            .get_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        let length = answer.content_length.and_then(|n| u64::try_from(n).ok());
        if length.is_some_and(|length| length > STORED_LIMIT) {
            return Err(PortError::Refused {
                what,
                why: format!("it is larger than {STORED_LIMIT} bytes"),
            });
        }
        match answer.body.collect().await {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(error) => Err(PortError::Transient {
                what,
                why: blackstart_core::error_name::error_chain(&error),
            }),
        }
    }
}
