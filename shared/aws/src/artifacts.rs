//! Artifacts: documents in the artifact bucket, written once and read by digest.

use std::path::Path;

use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use blackstart_core::artifact::{ArtifactRef, Digest, NotCanonical, canonical_json};
use blackstart_core::error_name::{ErrorName, StageError};
use blackstart_core::evidence::artifact_path;
use blackstart_core::plan::{InvalidPlan, Plan};
use blackstart_core::run::RunId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::port::{Effect, PortError, classify};

/// Bytes of one part of a large file: 10,000 of them may make an object (S3 service quota), which is more than the
/// largest object.
const PART: u64 = 64 << 20;

/// The artifact bucket.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    s3: aws_sdk_s3::Client,
    bucket: String,
}

/// An artifact that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// S3 did not answer as hoped.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The object's bytes have another digest than the reference says.
    #[error("`s3://{bucket}/{key}` has digest {found}, but {wanted} was referenced")]
    Altered {
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
        /// Digest in the reference.
        wanted: Digest,
        /// Digest of the bytes.
        found: Digest,
    },
    /// The bytes are no document of the expected kind.
    #[error("`s3://{bucket}/{key}` is not the expected document")]
    Malformed {
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The document has no canonical form.
    #[error("the document cannot be written")]
    NotCanonical(#[from] NotCanonical),
    /// The plan does not pass its checks.
    #[error(transparent)]
    Plan(#[from] InvalidPlan),
}

impl StageError for ArtifactError {
    fn name(&self) -> ErrorName {
        match self {
            Self::Port(error) => error.name(),
            Self::Altered { .. } => ErrorName::PolicyRefused,
            Self::Malformed { .. } | Self::Plan(_) => ErrorName::InvalidInput,
            Self::NotCanonical(_) => ErrorName::Defect,
        }
    }
}

impl ArtifactStore {
    /// The store in this bucket.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, bucket: String) -> Self {
        Self {
            s3: s3_client(config),
            bucket,
        }
    }

    /// Key of an artifact of a run: `runs/RUN/PATH`.
    #[must_use]
    pub fn key(run: &RunId, path: &str) -> String {
        format!("runs/{run}/{path}")
    }

    /// Writes bytes under `runs/RUN/PATH`. A repeat adds a version with the same content.
    ///
    /// # Errors
    /// [`ArtifactError::Port`].
    pub async fn put(
        &self,
        run: &RunId,
        path: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> Result<ArtifactRef, ArtifactError> {
        let key = Self::key(run, path);
        let sha256 = Digest::of(&bytes);
        let length = bytes.len() as u64;
        let answer = self
            .s3
            .put_object()
            .bucket(&self.bucket)
            .key(&key)
            .content_type(content_type)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| {
                classify(
                    format!("writing `s3://{}/{key}`", self.bucket),
                    Effect::IdempotentWrite,
                    &error,
                )
            })?;
        Ok(ArtifactRef {
            bucket: self.bucket.clone(),
            key,
            version: answer.version_id,
            sha256,
            bytes: length,
        })
    }

    /// Writes a file under `runs/RUN/PATH`, in parts when it is large, and never holds more than one part in memory.
    ///
    /// # Errors
    /// [`ArtifactError::Port`]; a file that cannot be read is refused.
    pub async fn put_file(
        &self,
        run: &RunId,
        path: &str,
        content_type: &str,
        file: &Path,
    ) -> Result<ArtifactRef, ArtifactError> {
        let key = Self::key(run, path);
        let what = format!("writing `s3://{}/{key}`", self.bucket);
        let (sha256, bytes) = digest_of(file).map_err(|error| PortError::Refused {
            what: what.clone(),
            why: error.to_string(),
        })?;
        let version = if bytes <= PART {
            let body = part_of(&what, file, 0, bytes).await?;
            let answer = self
                .s3
                .put_object()
                .bucket(&self.bucket)
                .key(&key)
                .content_type(content_type)
                .body(body)
                .send()
                .await
                .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
            answer.version_id
        } else {
            self.put_parts(&key, content_type, file, bytes).await?
        };
        Ok(ArtifactRef {
            bucket: self.bucket.clone(),
            key,
            version,
            sha256,
            bytes,
        })
    }

    /// A multipart upload. One that fails is left to the bucket's lifecycle rule for incomplete uploads.
    async fn put_parts(
        &self,
        key: &str,
        content_type: &str,
        file: &Path,
        bytes: u64,
    ) -> Result<Option<String>, ArtifactError> {
        let what = format!("writing `s3://{}/{key}` in parts", self.bucket);
        let begun = self
            .s3
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
        let upload = begun.upload_id.unwrap_or_default();
        let mut parts = CompletedMultipartUpload::builder();
        let (mut offset, mut number) = (0, 1);
        while offset < bytes {
            let length = PART.min(bytes - offset);
            let answer = self
                .s3
                .upload_part()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(&upload)
                .part_number(number)
                .body(part_of(&what, file, offset, length).await?)
                .send()
                .await
                .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
            parts = parts.parts(
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(answer.e_tag)
                    .set_checksum_crc32(answer.checksum_crc32)
                    .build(),
            );
            offset += length;
            number += 1;
        }
        let done = self
            .s3
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .multipart_upload(parts.build())
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
        Ok(done.version_id)
    }

    /// Writes a document as canonical JSON.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn put_json<T: Serialize>(
        &self,
        run: &RunId,
        path: &str,
        document: &T,
    ) -> Result<ArtifactRef, ArtifactError> {
        let bytes = canonical_json(document)?;
        self.put(run, path, "application/json", bytes).await
    }

    /// Reads the bytes of an artifact and compares their digest.
    ///
    /// # Errors
    /// [`ArtifactError::Port`], [`ArtifactError::Altered`].
    pub async fn get(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, ArtifactError> {
        let ArtifactRef {
            bucket,
            key,
            version,
            sha256,
            ..
        } = artifact;
        let bytes = self.fetch(bucket, key, version.clone()).await?;
        let found = Digest::of(&bytes);
        if found == *sha256 {
            Ok(bytes)
        } else {
            Err(ArtifactError::Altered {
                bucket: bucket.clone(),
                key: key.clone(),
                wanted: sha256.clone(),
                found,
            })
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn get_json<T: DeserializeOwned>(&self, artifact: &ArtifactRef) -> Result<T, ArtifactError> {
        let bytes = self.get(artifact).await?;
        serde_json::from_slice(&bytes).map_err(|source| ArtifactError::Malformed {
            bucket: artifact.bucket.clone(),
            key: artifact.key.clone(),
            source,
        })
    }

    /// Reads and checks a plan.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn plan(&self, artifact: &ArtifactRef) -> Result<Plan, ArtifactError> {
        Ok(Plan::parse(&self.get(artifact).await?)?)
    }

    /// Reads an object that is not known by digest yet, in its newest version, and names it by its digest.
    ///
    /// # Errors
    /// [`ArtifactError::Port`].
    pub async fn adopt(&self, bucket: &str, key: &str) -> Result<(ArtifactRef, Vec<u8>), ArtifactError> {
        self.adopt_version(bucket, key, None).await
    }

    /// Reads an object that is not known by digest yet, in this version or the newest, and names it by its digest.
    ///
    /// # Errors
    /// [`ArtifactError::Port`].
    pub async fn adopt_version(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<(ArtifactRef, Vec<u8>), ArtifactError> {
        let what = format!("reading `s3://{bucket}/{key}`");
        let answer = self
            .s3
            .get_object()
            .bucket(bucket)
            .key(key)
            .set_version_id(version.map(str::to_owned))
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        let version = answer.version_id.clone();
        let bytes = collect(what, answer.body).await?;
        let artifact = ArtifactRef {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version,
            sha256: Digest::of(&bytes),
            bytes: bytes.len() as u64,
        };
        Ok((artifact, bytes))
    }

    /// Keys of a bucket under a prefix, in order.
    ///
    /// # Errors
    /// [`ArtifactError::Port`].
    pub async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, ArtifactError> {
        let mut keys = Vec::new();
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
            keys.extend(
                page.contents()
                    .iter()
                    .filter_map(|object| object.key().map(str::to_owned)),
            );
        }
        Ok(keys)
    }

    /// Paths of a run's artifacts that begin with `prefix`, in order, as [`Self::find`] takes them.
    ///
    /// # Errors
    /// [`ArtifactError::Port`].
    pub async fn paths(&self, run: &RunId, prefix: &str) -> Result<Vec<String>, ArtifactError> {
        let keys = self.list(&self.bucket, &Self::key(run, prefix)).await?;
        Ok(keys.iter().map(|key| artifact_path(key).to_owned()).collect())
    }

    /// Reads `runs/RUN/PATH` in its newest version; `None` if it does not exist.
    ///
    /// # Errors
    /// [`ArtifactError::Port`].
    pub async fn find(
        &self,
        run: &RunId,
        path: &str,
    ) -> Result<Option<(ArtifactRef, Vec<u8>)>, ArtifactError> {
        match self.adopt(&self.bucket, &Self::key(run, path)).await {
            Ok(found) => Ok(Some(found)),
            Err(ArtifactError::Port(PortError::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn fetch(
        &self,
        bucket: &str,
        key: &str,
        version: Option<String>,
    ) -> Result<Vec<u8>, ArtifactError> {
        let what = format!("reading `s3://{bucket}/{key}`");
        let answer = self
            .s3
            .get_object()
            .bucket(bucket)
            .key(key)
            .set_version_id(version)
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
        Ok(collect(what, answer.body).await?)
    }
}

/// Digest and length of a file.
fn digest_of(file: &Path) -> std::io::Result<(Digest, u64)> {
    Digest::of_reader(std::fs::File::open(file)?)
}

async fn part_of(what: &str, file: &Path, offset: u64, length: u64) -> Result<ByteStream, PortError> {
    ByteStream::read_from()
        .path(file)
        .offset(offset)
        .length(Length::Exact(length))
        .build()
        .await
        .map_err(|error| PortError::Refused {
            what: what.to_owned(),
            why: blackstart_core::error_name::error_chain(&error),
        })
}

async fn collect(what: String, body: ByteStream) -> Result<Vec<u8>, PortError> {
    match body.collect().await {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(error) => Err(PortError::Transient {
            what,
            why: blackstart_core::error_name::error_chain(&error),
        }),
    }
}

/// An S3 client; with an endpoint of its own (no AWS), buckets are addressed by path.
#[must_use]
pub fn s3_client(config: &aws_config::SdkConfig) -> aws_sdk_s3::Client {
    let local = config.endpoint_url().is_some();
    aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(config)
            .force_path_style(local)
            .build(),
    )
}
