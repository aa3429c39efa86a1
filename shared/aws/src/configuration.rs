//! What a restored table and a recovery point say about how the original was configured.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{BillingMode, KeySchemaElement, Projection, TableDescription};
use blackstart_core::plan::{ResourceType, Vault};
use blackstart_core::validation::configuration::{Observation, Observed};
use serde_json::{Value, json};

use crate::port::{Effect, PortError, classify};

/// The clients that configuration is read with.
#[derive(Debug, Clone)]
pub struct ConfigurationReader {
    backup: aws_sdk_backup::Client,
    dynamodb: aws_sdk_dynamodb::Client,
}

impl ConfigurationReader {
    /// A reader with this configuration's account and region.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            backup: aws_sdk_backup::Client::new(config),
            dynamodb: aws_sdk_dynamodb::Client::new(config),
        }
    }

    /// Reads what the point and its restored copy `name` have from the original. The copy's encryption is the restore's own
    /// choice: the point's metadata say how the original was encrypted. A restored bucket has no setting of the original.
    ///
    /// # Errors
    /// [`PortError::Transient`] and [`PortError::OutcomeUnknown`]; what is refused is part of the answer.
    pub async fn read(
        &self,
        vault: &Vault,
        point: &str,
        resource_type: ResourceType,
        name: &str,
    ) -> Result<Observed, PortError> {
        let metadata = self.metadata(vault, point).await?;
        match resource_type {
            ResourceType::S3 => {
                let encryption = seen(metadata, bucket_encryption);
                Ok(Observed(BTreeMap::from([("BucketEncryption", encryption)])))
            }
            ResourceType::DynamoDb => {
                let mut found = self.table(name).await?;
                found.insert("SSESpecification", seen(metadata, table_encryption));
                Ok(Observed(found))
            }
            ResourceType::Rds
            | ResourceType::Aurora
            | ResourceType::Ebs
            | ResourceType::Ec2
            | ResourceType::Efs
            | ResourceType::Fsx => Ok(Observed(BTreeMap::new())),
        }
    }

    /// What AWS Backup would restore the point with: the settings of the original. Keys are compared without case.
    async fn metadata(
        &self,
        vault: &Vault,
        point: &str,
    ) -> Result<Result<BTreeMap<String, String>, String>, PortError> {
        let read = self
            .backup
            .get_recovery_point_restore_metadata()
            .backup_vault_name(&vault.name)
            .set_backup_vault_account_id(vault.account.as_ref().map(ToString::to_string))
            .recovery_point_arn(point)
            .send()
            .await;
        let what = || format!("reading the restore metadata of `{point}`");
        Ok(match read {
            Ok(answer) => Ok(answer
                .restore_metadata
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value): (String, String)| (key.to_lowercase(), value))
                .collect()),
            Err(error) => Err(refusal(classify(what(), Effect::Read, &error))?),
        })
    }

    async fn table(&self, table: &str) -> Result<BTreeMap<&'static str, Observation>, PortError> {
        let described = self.dynamodb.describe_table().table_name(table).send().await;
        Ok(match described {
            Ok(answer) => of_table(answer.table),
            Err(error) => {
                let why = refusal(classify(
                    format!("describing table `{table}`"),
                    Effect::Read,
                    &error,
                ))?;
                let unreadable = |name| (name, Observation::Unreadable(why.clone()));
                TABLE.map(unreadable).into()
            }
        })
    }
}

/// What `DescribeTable` tells.
const TABLE: [&str; 5] = [
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
];

fn of_table(table: Option<TableDescription>) -> BTreeMap<&'static str, Observation> {
    let Some(table) = table else {
        return TABLE
            .map(|name| {
                (
                    name,
                    Observation::Unreadable("the answer holds no table".to_owned()),
                )
            })
            .into();
    };
    let attributes: Vec<Value> = table
        .attribute_definitions
        .unwrap_or_default()
        .into_iter()
        .map(|one| json!({"AttributeName": one.attribute_name, "AttributeType": one.attribute_type.as_str()}))
        .collect();
    let mode = table
        .billing_mode_summary
        .and_then(|summary| summary.billing_mode)
        .unwrap_or(BillingMode::Provisioned);
    let global: Vec<Value> = table
        .global_secondary_indexes
        .unwrap_or_default()
        .into_iter()
        .map(|one| index(one.index_name.as_deref(), one.key_schema, one.projection))
        .collect();
    let local: Vec<Value> = table
        .local_secondary_indexes
        .unwrap_or_default()
        .into_iter()
        .map(|one| index(one.index_name.as_deref(), one.key_schema, one.projection))
        .collect();
    BTreeMap::from([
        ("AttributeDefinitions", Observation::Is(json!(attributes))),
        ("BillingMode", Observation::Is(json!(mode.as_str()))),
        ("GlobalSecondaryIndexes", Observation::Is(json!(global))),
        ("KeySchema", Observation::Is(keys(table.key_schema))),
        ("LocalSecondaryIndexes", Observation::Is(json!(local))),
    ])
}

fn keys(schema: Option<Vec<KeySchemaElement>>) -> Value {
    schema
        .unwrap_or_default()
        .into_iter()
        .map(|key| json!({"AttributeName": key.attribute_name, "KeyType": key.key_type.as_str()}))
        .collect()
}

fn index(name: Option<&str>, schema: Option<Vec<KeySchemaElement>>, projection: Option<Projection>) -> Value {
    let (kind, attributes) = projection
        .map(|projection| (projection.projection_type, projection.non_key_attributes))
        .unwrap_or_default();
    json!({
        "IndexName": name,
        "KeySchema": keys(schema),
        "Projection": {
            "ProjectionType": kind.map(|kind| kind.as_str().to_owned()),
            "NonKeyAttributes": attributes.unwrap_or_default(),
        },
    })
}

fn seen(
    metadata: Result<BTreeMap<String, String>, String>,
    read: fn(&BTreeMap<String, String>) -> Observation,
) -> Observation {
    metadata.map_or_else(Observation::Unreadable, |metadata| read(&metadata))
}

/// `EncryptionType` and `KMSKey` of a bucket's point.
fn bucket_encryption(metadata: &BTreeMap<String, String>) -> Observation {
    let algorithm = match metadata.get("encryptiontype").map(String::as_str) {
        Some("SSE-KMS") => "aws:kms",
        Some("SSE-S3") => "AES256",
        other => return unsaid("EncryptionType", other),
    };
    let mut by = json!({"SSEAlgorithm": algorithm});
    if let (Some(key), Some(by)) = (metadata.get("kmskey"), by.as_object_mut()) {
        by.insert("KMSMasterKeyID".to_owned(), json!(key));
    }
    Observation::Is(json!({"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": by}]}))
}

/// `encryptionType` and `kmsMasterKeyArn` of a table's point.
fn table_encryption(metadata: &BTreeMap<String, String>) -> Observation {
    match metadata.get("encryptiontype").map(String::as_str) {
        Some("KMS") => {
            let mut by = json!({"SSEEnabled": true});
            if let (Some(key), Some(by)) = (metadata.get("kmsmasterkeyarn"), by.as_object_mut()) {
                by.insert("KMSMasterKeyId".to_owned(), json!(key));
            }
            Observation::Is(by)
        }
        Some("Default") => Observation::Absent,
        other => unsaid("encryptionType", other),
    }
}

fn unsaid(name: &str, value: Option<&str>) -> Observation {
    Observation::Unreadable(format!(
        "the recovery point's metadata say `{}` for `{name}`",
        value.unwrap_or("nothing")
    ))
}

/// What was refused or is not there is an answer; what did not get through is asked again.
fn refusal(error: PortError) -> Result<String, PortError> {
    match error {
        PortError::Refused { .. } | PortError::NotFound { .. } => Ok(error.to_string()),
        PortError::Transient { .. } | PortError::OutcomeUnknown { .. } => Err(error),
    }
}
