//! Properties in a form in which equal configurations are equal: without order where order says nothing, with the default
//! where there is none.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

/// A property in its normal form.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Normal {
    /// Equal if it is equal.
    Plain(Value),
    /// Encryption: whether by KMS, and the key, if it is named. Whoever names none takes any.
    Encryption {
        /// By a key of KMS.
        kms: bool,
        /// ARN or id of the key.
        key: Option<String>,
    },
}

impl Normal {
    /// The key, if there is one.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Encryption { key, .. } => key.as_deref(),
        }
    }

    /// Whether what was read is what this declares.
    pub(super) fn allows(&self, seen: &Self) -> bool {
        match (self, seen) {
            (
                Self::Encryption { kms, key },
                Self::Encryption {
                    kms: seen_kms,
                    key: seen_key,
                },
            ) => kms == seen_kms && key.as_deref().is_none_or(|key| is_key(key, seen_key.as_deref())),
            (Self::Plain(wanted), Self::Plain(seen)) => wanted == seen,
            (Self::Encryption { .. }, Self::Plain(_)) | (Self::Plain(_), Self::Encryption { .. }) => false,
        }
    }
}

impl fmt::Display for Normal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(value) => value.fmt(f),
            Self::Encryption { kms: false, .. } => f.write_str("encryption without KMS"),
            Self::Encryption { kms: true, key } => {
                write!(
                    f,
                    "encryption by KMS, key {}",
                    key.as_deref().unwrap_or("not named")
                )
            }
        }
    }
}

/// A template may give the id, where AWS gives the ARN.
fn is_key(declared: &str, seen: Option<&str>) -> bool {
    seen.is_some_and(|seen| {
        seen == declared
            || seen
                .strip_suffix(declared)
                .is_some_and(|before| before.ends_with(":key/"))
    })
}

fn default(name: &str) -> Normal {
    match name {
        "AttributeDefinitions" | "GlobalSecondaryIndexes" | "KeySchema" | "LocalSecondaryIndexes" => {
            Normal::Plain(json!({}))
        }
        "BillingMode" => Normal::Plain(json!("PROVISIONED")),
        "BucketEncryption" | "SSESpecification" => Normal::Encryption {
            kms: false,
            key: None,
        },
        _ => Normal::Plain(Value::Null),
    }
}

/// The normal form of what a template declares or AWS answers; of nothing, what CloudFormation makes by default.
pub(super) fn normal(name: &str, value: Option<&Value>) -> Result<Normal, String> {
    let Some(value) = value else {
        return Ok(default(name));
    };
    match name {
        "AttributeDefinitions" => pairs(value, "AttributeType").map(|pairs| Normal::Plain(json!(pairs))),
        "KeySchema" => pairs(value, "KeyType").map(|pairs| Normal::Plain(json!(pairs))),
        "GlobalSecondaryIndexes" | "LocalSecondaryIndexes" => indexes(value),
        "BillingMode" => text(value, "").map(|mode| Normal::Plain(json!(mode))),
        "SSESpecification" => Ok(Normal::Encryption {
            kms: flag(value, "/SSEEnabled"),
            key: key(value, "/KMSMasterKeyId")?,
        }),
        "BucketEncryption" => {
            let rules = list(value, "/ServerSideEncryptionConfiguration")?;
            let [rule] = rules else {
                return Err("it has not exactly one rule".to_owned());
            };
            let algorithm = text(rule, "/ServerSideEncryptionByDefault/SSEAlgorithm")?;
            Ok(Normal::Encryption {
                kms: algorithm.starts_with("aws:kms"),
                key: key(rule, "/ServerSideEncryptionByDefault/KMSMasterKeyID")?,
            })
        }
        _ => Ok(Normal::Plain(value.clone())),
    }
}

/// CloudFormation takes `"true"` for true.
fn flag(value: &Value, at: &str) -> bool {
    match value.pointer(at) {
        Some(Value::Bool(on)) => *on,
        Some(Value::String(text)) => text == "true",
        Some(_) | None => false,
    }
}

fn text<'v>(value: &'v Value, at: &str) -> Result<&'v str, String> {
    value
        .pointer(at)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("it has no text at `{at}`"))
}

fn list<'v>(value: &'v Value, at: &str) -> Result<&'v [Value], String> {
    value
        .pointer(at)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .ok_or_else(|| format!("it has no list at `{at}`"))
}

/// A key by ARN or id. What an alias stands for was not backed up.
fn key(value: &Value, at: &str) -> Result<Option<String>, String> {
    let Some(key) = value.pointer(at) else {
        return Ok(None);
    };
    let key = key.as_str().ok_or_else(|| format!("it has no text at `{at}`"))?;
    if key.starts_with("alias/") || key.contains(":alias/") {
        return Err("it names its key by an alias: write the key's ARN".to_owned());
    }
    Ok(Some(key.to_owned()))
}

fn pairs(value: &Value, of: &str) -> Result<BTreeMap<String, String>, String> {
    list(value, "")?
        .iter()
        .map(|one| {
            let name = text(one, "/AttributeName")?;
            Ok((name.to_owned(), text(one, &format!("/{of}"))?.to_owned()))
        })
        .collect()
}

fn indexes(value: &Value) -> Result<Normal, String> {
    let indexes: Result<BTreeMap<&str, Value>, String> = list(value, "")?
        .iter()
        .map(|index| {
            let keys = pairs(index.pointer("/KeySchema").unwrap_or(&Value::Null), "KeyType")?;
            let mut attributes: Vec<&str> = index
                .pointer("/Projection/NonKeyAttributes")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            attributes.sort_unstable();
            let projection = text(index, "/Projection/ProjectionType")?;
            let index_is = json!({"keys": keys, "projection": projection, "attributes": attributes});
            Ok((text(index, "/IndexName")?, index_is))
        })
        .collect();
    indexes.map(|indexes| Normal::Plain(json!(indexes)))
}
