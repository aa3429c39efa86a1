//! The content of a restored bucket or table: read once, streamed, with bounded memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::{AttributeValue, TableStatus};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use blackstart_core::artifact::canonical_json;
use blackstart_core::error_name::error_chain;
use blackstart_core::plan::{Invariant, Resource, ResourceType};
use blackstart_core::rebuild::request::RUN_TAG;
use blackstart_core::restore::removal::CopyState;
use blackstart_core::restore::resource::{mark, run_of, template_resource, template_type};
use blackstart_core::run::RunId;
use blackstart_core::validation::check_function::{self, Called};
use blackstart_core::validation::content::{Collection, ObjectFacts, ObjectScanner, Signatures};
use blackstart_core::validation::invariants::InvariantCheck;
use blackstart_core::validation::{ContentManifest, LayerVerdict, Verdict};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cloud_control::{CloudControl, Resource as TemplateResource};
use crate::port::{Effect, PortError, classify};

mod settings;
mod trial;

/// How many objects are read at once. Each holds one chunk of its body and some 60 KiB of scanner state, and up to 8 MiB
/// where rules are applied.
const AT_ONCE: usize = 16;

/// How often a body that breaks off is read again from its beginning before the object counts as unreadable.
const ATTEMPTS: u32 = 3;

/// The clients that content is read with.
#[derive(Debug, Clone)]
pub struct ContentReader {
    s3: aws_sdk_s3::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    others: CloudControl,
}

/// What a restored resource holds, and what that says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Every object or item by digest.
    pub manifest: ContentManifest,
    /// The content scan's verdict. It is unknown if an object could not be read: the manifest lacks it then.
    pub scan: LayerVerdict,
    /// The plan's invariants on this resource.
    pub invariants: LayerVerdict,
}

impl Content {
    /// Takes over what a function says about the resource. Where nothing can be read from outside, its figures are the
    /// content.
    pub fn hear(&mut self, resource: &Resource, function: &str, called: &Called) {
        let nothing = LayerVerdict {
            verdict: Verdict::Clean,
            reasons: Vec::new(),
        };
        let so_far = std::mem::replace(&mut self.invariants, nothing);
        self.invariants = so_far.and(check_function::judge(resource.resource_type, function, called));
        if !resource.resource_type.is_readable() {
            self.manifest
                .entries
                .extend(check_function::figures(function, called));
        }
    }
}

impl ContentReader {
    /// A reader with this configuration's account and region. Cloud Control API uses the role,
    /// or the caller's own permissions.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, role_arn: Option<String>) -> Self {
        Self {
            s3: crate::artifacts::s3_client(config),
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            others: CloudControl::new(config, role_arn),
        }
    }

    /// Reads the whole bucket or table `name` that `resource` was restored to.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be listed; a single object that cannot be read is part of the verdict. Of a resource
    /// that cannot be read from outside nothing is read, and the content scan is unknown.
    pub async fn read(
        &self,
        resource: &Resource,
        name: &str,
        invariants: &[Invariant],
    ) -> Result<Content, PortError> {
        self.read_closely(resource, name, invariants, None).await
    }

    /// The same, and applies these rules to every object and item.
    ///
    /// # Errors
    /// As [`ContentReader::read`].
    pub async fn read_closely(
        &self,
        resource: &Resource,
        name: &str,
        invariants: &[Invariant],
        rules: Option<&Arc<dyn Signatures>>,
    ) -> Result<Content, PortError> {
        let mut collection = Collection::new(&resource.id);
        let mut check = InvariantCheck::new(resource, invariants);
        match resource.resource_type {
            ResourceType::S3 => {
                self.read_bucket(name, rules, &mut collection, &mut check).await?;
            }
            ResourceType::DynamoDb => self.read_table(name, rules, &mut collection, &mut check).await?,
            ResourceType::Rds
            | ResourceType::Aurora
            | ResourceType::Ebs
            | ResourceType::Ec2
            | ResourceType::Efs
            | ResourceType::Fsx => {}
        }
        let (manifest, mut scan) = collection.finish();
        if !resource.resource_type.is_readable() {
            scan = LayerVerdict::new(Verdict::Unknown, "what it holds cannot be read from outside");
        }
        Ok(Content {
            invariants: check.finish(&manifest),
            manifest,
            scan,
        })
    }

    async fn read_bucket(
        &self,
        bucket: &str,
        rules: Option<&Arc<dyn Signatures>>,
        collection: &mut Collection,
        check: &mut InvariantCheck,
    ) -> Result<(), PortError> {
        let mut running = JoinSet::new();
        let mut pages = self.s3.list_objects_v2().bucket(bucket).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| classify(format!("listing bucket `{bucket}`"), Effect::Read, &error))?;
            for key in page
                .contents
                .unwrap_or_default()
                .into_iter()
                .filter_map(|object| object.key)
            {
                check.object(&key);
                if running.len() >= AT_ONCE {
                    take(running.join_next().await, collection);
                }
                running.spawn(scan_object(
                    self.s3.clone(),
                    bucket.to_owned(),
                    key,
                    rules.cloned(),
                ));
            }
        }
        while let Some(scanned) = running.join_next().await {
            take(Some(scanned), collection);
        }
        Ok(())
    }

    async fn read_table(
        &self,
        table: &str,
        rules: Option<&Arc<dyn Signatures>>,
        collection: &mut Collection,
        check: &mut InvariantCheck,
    ) -> Result<(), PortError> {
        let described = self
            .dynamodb
            .describe_table()
            .table_name(table)
            .send()
            .await
            .map_err(|error| classify(format!("describing table `{table}`"), Effect::Read, &error))?;
        let key_names: Vec<String> = described
            .table
            .and_then(|table| table.key_schema)
            .unwrap_or_default()
            .into_iter()
            .map(|element| element.attribute_name)
            .collect();
        let mut pages = self
            .dynamodb
            .scan()
            .table_name(table)
            .consistent_read(true)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| classify(format!("scanning table `{table}`"), Effect::Read, &error))?;
            for item in page.items.unwrap_or_default() {
                let item: BTreeMap<String, Value> = item
                    .iter()
                    .map(|(name, value)| (name.clone(), attribute(value)))
                    .collect();
                let key: BTreeMap<&String, &Value> =
                    item.iter().filter(|(name, _)| key_names.contains(name)).collect();
                match (canonical_json(&key), canonical_json(&item)) {
                    (Ok(key), Ok(text)) => {
                        let key = String::from_utf8_lossy(&key).into_owned();
                        check.item(&key, &item);
                        let found = rules.map(|rules| {
                            let mut scan = rules.begin();
                            scan.update(&text);
                            scan.finish()
                        });
                        collection.item(key, &text, found.unwrap_or_default());
                    }
                    (Err(error), _) | (_, Err(error)) => {
                        collection.unreadable(table, &error_chain(&error));
                    }
                }
            }
        }
        Ok(())
    }

    /// A bucket or table as it is now, with the run whose tag it carries. `arn` is its own.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn copy(
        &self,
        resource_type: ResourceType,
        name: &str,
        arn: &str,
    ) -> Result<CopyState, PortError> {
        let found = match resource_type {
            ResourceType::S3 => self.bucket_tags(name).await.map(Some),
            ResourceType::DynamoDb => self.table_tags(name, arn).await,
            ResourceType::Rds
            | ResourceType::Aurora
            | ResourceType::Ebs
            | ResourceType::Ec2
            | ResourceType::Efs
            | ResourceType::Fsx => return self.other(resource_type, arn).await,
        };
        match found {
            Ok(Some(mut tags)) => Ok(CopyState::Present {
                run: tags.remove(RUN_TAG),
            }),
            Ok(None) => Ok(CopyState::Deleting),
            Err(PortError::NotFound { .. }) => Ok(CopyState::Absent),
            Err(error) => Err(error),
        }
    }

    async fn other(&self, resource_type: ResourceType, arn: &str) -> Result<CopyState, PortError> {
        let Some(resource) = cloud_resource(resource_type, arn) else {
            return Ok(CopyState::Unknown);
        };
        let found = self.others.get(&resource).await?;
        Ok(found.map_or(CopyState::Absent, |properties| CopyState::Present {
            run: run_of(resource_type, &properties).map(str::to_owned),
        }))
    }

    async fn mark_other(
        &self,
        resource_type: ResourceType,
        arn: &str,
        run: &RunId,
    ) -> Result<bool, PortError> {
        // Nothing of this type is ever removed here, so that no tag has to tell it from others.
        if template_type(resource_type).is_none() {
            return Ok(true);
        }
        let Some(resource) = cloud_resource(resource_type, arn) else {
            return Err(unknown_to_cloud_control(format!("tagging `{arn}`")));
        };
        let Some(properties) = self.others.get(&resource).await? else {
            return Err(PortError::NotFound {
                what: format!("tagging `{arn}`"),
                why: "it is not there".to_owned(),
            });
        };
        if run_of(resource_type, &properties) == Some(run.as_str()) {
            return Ok(true);
        }
        let patch = mark(resource_type, &properties, run);
        self.others.patch(&resource, &patch).await?;
        Ok(false)
    }

    /// Gives a restored resource the tag of a run, beside the tags that it has. A repeat is harmless. `false`: it was
    /// asked for, and is not there yet.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn mark(
        &self,
        resource_type: ResourceType,
        name: &str,
        arn: &str,
        run: &RunId,
    ) -> Result<bool, PortError> {
        if !resource_type.is_readable() {
            return self.mark_other(resource_type, arn, run).await;
        }
        let what = format!("tagging `{arn}`");
        let unfit = |error: &dyn std::error::Error| PortError::Refused {
            what: what.clone(),
            why: error.to_string(),
        };
        match resource_type {
            ResourceType::S3 => {
                // The call replaces the whole set.
                let mut tags = self.bucket_tags(name).await?;
                tags.insert(RUN_TAG.to_owned(), run.to_string());
                let mut set = aws_sdk_s3::types::Tagging::builder();
                for (key, value) in tags {
                    let tag = aws_sdk_s3::types::Tag::builder().key(key).value(value).build();
                    set = set.tag_set(tag.map_err(|error| unfit(&error))?);
                }
                self.s3
                    .put_bucket_tagging()
                    .bucket(name)
                    .tagging(set.build().map_err(|error| unfit(&error))?)
                    .send()
                    .await
                    .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
            }
            ResourceType::DynamoDb => {
                let tag = aws_sdk_dynamodb::types::Tag::builder()
                    .key(RUN_TAG)
                    .value(run.as_str())
                    .build()
                    .map_err(|error| unfit(&error))?;
                self.dynamodb
                    .tag_resource()
                    .resource_arn(arn)
                    .tags(tag)
                    .send()
                    .await
                    .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
            }
            ResourceType::Rds
            | ResourceType::Aurora
            | ResourceType::Ebs
            | ResourceType::Ec2
            | ResourceType::Efs
            | ResourceType::Fsx => {}
        }
        Ok(true)
    }

    async fn bucket_tags(&self, bucket: &str) -> Result<BTreeMap<String, String>, PortError> {
        match self.s3.get_bucket_tagging().bucket(bucket).send().await {
            Ok(answer) => Ok(answer
                .tag_set
                .into_iter()
                .map(|tag| (tag.key, tag.value))
                .collect()),
            // S3's word for a bucket without tags.
            Err(error) if error.code() == Some("NoSuchTagSet") => Ok(BTreeMap::new()),
            Err(error) => Err(classify(
                format!("reading the tags of bucket `{bucket}`"),
                Effect::Read,
                &error,
            )),
        }
    }

    /// `None`: the table is being deleted.
    async fn table_tags(
        &self,
        table: &str,
        arn: &str,
    ) -> Result<Option<BTreeMap<String, String>>, PortError> {
        let described = self
            .dynamodb
            .describe_table()
            .table_name(table)
            .send()
            .await
            .map_err(|error| classify(format!("describing table `{table}`"), Effect::Read, &error))?;
        let status = described.table.and_then(|table| table.table_status);
        if status == Some(TableStatus::Deleting) {
            return Ok(None);
        }
        let mut tags = BTreeMap::new();
        let mut next = None;
        loop {
            let page = self
                .dynamodb
                .list_tags_of_resource()
                .resource_arn(arn)
                .set_next_token(next)
                .send()
                .await
                .map_err(|error| {
                    classify(
                        format!("reading the tags of table `{table}`"),
                        Effect::Read,
                        &error,
                    )
                })?;
            tags.extend(
                page.tags
                    .unwrap_or_default()
                    .into_iter()
                    .map(|tag| (tag.key, tag.value)),
            );
            next = page.next_token;
            if next.is_none() {
                return Ok(Some(tags));
            }
        }
    }

    /// Removes a bucket with every version of every object, a table, or what else was restored with this ARN. `false`:
    /// there was none.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn remove(
        &self,
        resource_type: ResourceType,
        name: &str,
        arn: &str,
    ) -> Result<bool, PortError> {
        let removed = match resource_type {
            ResourceType::S3 => self.remove_bucket(name).await,
            ResourceType::DynamoDb => self.remove_table(name).await,
            ResourceType::Rds
            | ResourceType::Aurora
            | ResourceType::Ebs
            | ResourceType::Ec2
            | ResourceType::Efs
            | ResourceType::Fsx => {
                let Some(resource) = cloud_resource(resource_type, arn) else {
                    return Err(unknown_to_cloud_control(format!("deleting `{arn}`")));
                };
                return self.others.delete(&resource).await;
            }
        };
        match removed {
            Ok(()) => Ok(true),
            Err(PortError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn remove_bucket(&self, bucket: &str) -> Result<(), PortError> {
        let mut marker = VersionMarker::default();
        loop {
            let (found, next) = self.versions(bucket, marker).await?;
            if !found.is_empty() {
                self.delete(bucket, found).await?;
            }
            match next {
                Some(next) => marker = next,
                None => break,
            }
        }
        self.s3
            .delete_bucket()
            .bucket(bucket)
            .send()
            .await
            .map_err(|error| {
                classify(
                    format!("deleting bucket `{bucket}`"),
                    Effect::IdempotentWrite,
                    &error,
                )
            })?;
        Ok(())
    }

    async fn versions(
        &self,
        bucket: &str,
        marker: VersionMarker,
    ) -> Result<(Vec<ObjectIdentifier>, Option<VersionMarker>), PortError> {
        let page = self
            .s3
            .list_object_versions()
            .bucket(bucket)
            .set_key_marker(marker.key)
            .set_version_id_marker(marker.version)
            .send()
            .await
            .map_err(|error| {
                classify(
                    format!("listing versions in bucket `{bucket}`"),
                    Effect::Read,
                    &error,
                )
            })?;
        let versions = page
            .versions
            .unwrap_or_default()
            .into_iter()
            .map(|v| (v.key, v.version_id));
        let markers = page
            .delete_markers
            .unwrap_or_default()
            .into_iter()
            .map(|m| (m.key, m.version_id));
        let found = versions
            .chain(markers)
            .filter_map(|(key, version)| {
                ObjectIdentifier::builder()
                    .key(key?)
                    .set_version_id(version)
                    .build()
                    .ok()
            })
            .collect();
        let more = page.is_truncated.unwrap_or(false) && page.next_key_marker.is_some();
        let next = more.then_some(VersionMarker {
            key: page.next_key_marker,
            version: page.next_version_id_marker,
        });
        Ok((found, next))
    }

    async fn delete(&self, bucket: &str, found: Vec<ObjectIdentifier>) -> Result<(), PortError> {
        let what = format!("emptying bucket `{bucket}`");
        let delete = Delete::builder()
            .set_objects(Some(found))
            .quiet(true)
            .build()
            .map_err(|error| PortError::Refused {
                what: what.clone(),
                why: error.to_string(),
            })?;
        let answer = self
            .s3
            .delete_objects()
            .bucket(bucket)
            .delete(delete)
            .send()
            .await
            .map_err(|error| classify(what.as_str(), Effect::IdempotentWrite, &error))?;
        match answer.errors().first() {
            None => Ok(()),
            Some(error) => Err(PortError::Refused {
                what,
                why: format!(
                    "{} on `{}`",
                    error.code().unwrap_or("no code"),
                    error.key().unwrap_or("no key")
                ),
            }),
        }
    }
}

fn cloud_resource(resource_type: ResourceType, arn: &str) -> Option<TemplateResource<'_>> {
    template_resource(resource_type, arn).map(|(type_name, identifier)| TemplateResource {
        type_name,
        identifier,
    })
}

fn unknown_to_cloud_control(what: String) -> PortError {
    PortError::Refused {
        what,
        why: "Cloud Control API has no resource of this type, or AWS Backup did not say what it made"
            .to_owned(),
    }
}

/// Where a listing of versions goes on.
#[derive(Debug, Clone, Default)]
struct VersionMarker {
    key: Option<String>,
    version: Option<String>,
}

/// An object that was read, or the reason why not.
type Scanned = Result<ObjectFacts, (String, String)>;

fn take(scanned: Option<Result<Scanned, tokio::task::JoinError>>, collection: &mut Collection) {
    match scanned {
        None => {}
        Some(Ok(Ok(facts))) => collection.object(facts),
        Some(Ok(Err((key, why)))) => collection.unreadable(&key, &why),
        Some(Err(error)) => collection.unreadable("an object", &error.to_string()),
    }
}

async fn scan_object(
    s3: aws_sdk_s3::Client,
    bucket: String,
    key: String,
    rules: Option<Arc<dyn Signatures>>,
) -> Scanned {
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        match scan_once(&s3, &bucket, &key, rules.as_deref()).await {
            Ok(facts) => return Ok(facts),
            Err(PortError::Refused { why: last, .. } | PortError::NotFound { why: last, .. }) => {
                return Err((key, last));
            }
            Err(PortError::Transient { why: last, .. } | PortError::OutcomeUnknown { why: last, .. }) => {
                why = last
            }
        }
    }
    Err((key, why))
}

async fn scan_once(
    s3: &aws_sdk_s3::Client,
    bucket: &str,
    key: &str,
    rules: Option<&dyn Signatures>,
) -> Result<ObjectFacts, PortError> {
    let what = format!("reading `s3://{bucket}/{key}`");
    let answer = s3
        .get_object()
        .bucket(bucket)
        .key(key)
        .send()
        .await
        .map_err(|error| classify(what.as_str(), Effect::Read, &error))?;
    let mut body = answer.body;
    let mut scanner = ObjectScanner::new(key);
    if let Some(rules) = rules {
        scanner = scanner.with_signatures(rules.begin());
    }
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| PortError::Transient {
            what: what.clone(),
            why: error_chain(&error),
        })?;
        scanner.update(&chunk);
    }
    Ok(scanner.finish())
}

/// An attribute value as DynamoDB's own JSON; the members of a set in order, so that equal items are equal text.
#[expect(clippy::wildcard_enum_match_arm, reason = "types that AWS adds later")]
fn attribute(value: &AttributeValue) -> Value {
    let sorted = |mut members: Vec<String>| {
        members.sort();
        members
    };
    let base64 = |blob: &aws_smithy_types::Blob| aws_smithy_types::base64::encode(blob.as_ref());
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(value) => json!({ "BOOL": value }),
        AttributeValue::Null(value) => json!({ "NULL": value }),
        AttributeValue::B(blob) => json!({ "B": base64(blob) }),
        AttributeValue::Ss(texts) => json!({ "SS": sorted(texts.clone()) }),
        AttributeValue::Ns(numbers) => json!({ "NS": sorted(numbers.clone()) }),
        AttributeValue::Bs(blobs) => json!({ "BS": sorted(blobs.iter().map(base64).collect()) }),
        AttributeValue::L(values) => json!({ "L": values.iter().map(attribute).collect::<Vec<_>>() }),
        AttributeValue::M(values) => {
            let values: BTreeMap<&String, Value> = values
                .iter()
                .map(|(name, value)| (name, attribute(value)))
                .collect();
            json!({ "M": values })
        }
        // Types that a newer DynamoDB may have are kept apart by their text.
        other => json!({ "unknown": format!("{other:?}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_within_a_set_does_not_change_an_item() {
        let set = |members: [&str; 2]| {
            attribute(&AttributeValue::M(
                [(
                    "colours".to_owned(),
                    AttributeValue::Ss(members.map(str::to_owned).to_vec()),
                )]
                .into(),
            ))
        };
        assert_eq!(set(["red", "blue"]), set(["blue", "red"]));
        assert_eq!(
            set(["red", "blue"]).to_string(),
            r#"{"M":{"colours":{"SS":["blue","red"]}}}"#
        );
    }
}

#[cfg(test)]
mod wire_tests;
