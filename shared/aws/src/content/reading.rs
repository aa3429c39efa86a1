//! Objects and items, read once.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use blackstart_core::artifact::canonical_json;
use blackstart_core::error_name::error_chain;
use blackstart_core::plan::{Invariant, Resource, ResourceType};
use blackstart_core::validation::content::{Collection, ObjectFacts, ObjectScanner, Signatures};
use blackstart_core::validation::invariants::InvariantCheck;
use blackstart_core::validation::{LayerVerdict, Verdict};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Content, ContentReader};
use crate::port::{Effect, PortError, classify};

/// How many objects are read at once. Each holds one chunk of its body and some 60 KiB of scanner state, and up to 8 MiB
/// where rules are applied.
const AT_ONCE: usize = 16;

/// How often a body that breaks off is read again from its beginning before the object counts as unreadable.
const ATTEMPTS: u32 = 3;

impl ContentReader {
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
mod tests;
