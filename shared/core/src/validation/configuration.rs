//! How a recovery point says that its resource was configured, beside what the approved template declares.
//!
//! A closed world: every property that the template declares is compared, or the plan says by name that it is not and why,
//! or the verdict is unknown. What is not declared must be as AWS makes it by default.
//!
//! Only what the recovery point or its restored copy has from the original is evidence. What no backup brings back is set
//! on the copy as AWS makes it for everybody: equal or not, it says nothing of the original, and the plan must say so.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::content::shown;
use super::{LayerVerdict, Verdict};
use crate::artifact::Digest;
use crate::plan::{KnownGood, Plan, Resource, ResourceType};

mod normal;

use normal::normal;

/// What was read of a restored resource and its recovery point, by the names of CloudFormation's properties and in their
/// form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed(pub BTreeMap<&'static str, Observation>);

/// One property as it was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// It has this value.
    Is(Value),
    /// It is not set.
    Absent,
    /// It could not be read.
    Unreadable(String),
}

/// The properties that are compared: those that the recovery point's metadata remember, or that a restore brings back.
///
/// Of a table the restore brings keys, indexes and billing mode; of a bucket, nothing but its objects
/// (AWS Backup Developer Guide, *Restore an Amazon DynamoDB table* and *Amazon S3 backups*).
#[must_use]
pub fn compared(resource_type: ResourceType) -> &'static [&'static str] {
    match resource_type {
        ResourceType::S3 => &["BucketEncryption"],
        ResourceType::DynamoDb => &[
            "AttributeDefinitions",
            "BillingMode",
            "GlobalSecondaryIndexes",
            "KeySchema",
            "LocalSecondaryIndexes",
            "SSESpecification",
        ],
        // The plan's function looks at these.
        ResourceType::Rds
        | ResourceType::Aurora
        | ResourceType::Ebs
        | ResourceType::Ec2
        | ResourceType::Efs
        | ResourceType::Fsx => &[],
    }
}

/// The properties that matter and that no backup brings back.
///
/// Whether a template declares them or not, the plan must name them under `not_compared`: nothing is left of the original
/// that could be looked at.
#[must_use]
pub fn not_carried(resource_type: ResourceType) -> &'static [&'static str] {
    match resource_type {
        ResourceType::S3 => &[
            "BucketPolicy",
            "PublicAccessBlockConfiguration",
            "ReplicationConfiguration",
            "VersioningConfiguration",
        ],
        ResourceType::DynamoDb => &[
            "PointInTimeRecoverySpecification",
            "StreamSpecification",
            "TimeToLiveSpecification",
        ],
        ResourceType::Rds
        | ResourceType::Aurora
        | ResourceType::Ebs
        | ResourceType::Ec2
        | ResourceType::Efs
        | ResourceType::Fsx => &[],
    }
}

/// Names, which a throw-away copy has of its own, and tags, which nobody trusts.
const NAMES: [&str; 3] = ["BucketName", "TableName", "Tags"];

/// CloudFormation's name of the type.
fn template_type(resource_type: ResourceType) -> &'static str {
    crate::restore::resource::template_type(resource_type).unwrap_or_default()
}

/// What the template declares of a resource, by property; an error for what only CloudFormation can know.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared(BTreeMap<String, Result<Value, String>>);

impl Declared {
    /// Reads the template. `bytes` is what was frozen with the run, if there was something.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn read(known: &KnownGood, resource: &Resource, bytes: Option<&[u8]>) -> Result<Self, String> {
        let key = shown(&known.template.key);
        let bytes = bytes.ok_or_else(|| {
            format!(
                "the template `{key}` was not in the bucket of the plans with the digest {} when the run was opened",
                known.template.sha256
            )
        })?;
        if Digest::of(bytes) != known.template.sha256 {
            return Err(format!(
                "the template `{key}` does not have the digest that the plan names"
            ));
        }
        let template: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|error| format!("the template `{key}` is not a JSON object: {error}"))?;
        let resources = template
            .get("Resources")
            .and_then(Value::as_object)
            .ok_or_else(|| format!("the template `{key}` has no resources"))?;
        let wanted = template_type(resource.resource_type);
        let own = resources
            .get(&known.logical_id)
            .filter(|value| value.get("Type").and_then(Value::as_str) == Some(wanted))
            .ok_or_else(|| {
                format!(
                    "the template `{key}` declares no `{}` of type {wanted}",
                    shown(&known.logical_id)
                )
            })?;
        let scope = Scope::new(known, &template);
        let declared = properties(own)
            .filter(|(name, _)| !NAMES.contains(&name.as_str()))
            .filter_map(|(name, value)| Some((name.clone(), scope.resolve(value).transpose()?)))
            .collect();
        Ok(Self(declared))
    }
}

fn properties(resource: &Value) -> impl Iterator<Item = (&String, &Value)> {
    resource
        .get("Properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// Values of the template's parameters.
struct Scope<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Scope<'a> {
    fn new(known: &'a KnownGood, template: &'a Map<String, Value>) -> Self {
        let defaults = template
            .get("Parameters")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(name, parameter)| Some((name.as_str(), parameter.get("Default")?.as_str()?)));
        let given = known
            .parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        Self(defaults.chain(given).collect())
    }

    /// The value with its parameters put in; nothing for `AWS::NoValue`.
    fn resolve(&self, value: &Value) -> Result<Option<Value>, String> {
        match value {
            Value::Object(object) => {
                if let (1, Some((name, argument))) = (object.len(), object.iter().next())
                    && (name == "Ref" || name.starts_with("Fn::"))
                {
                    let text = argument.as_str().filter(|_| name == "Ref");
                    if text == Some("AWS::NoValue") {
                        return Ok(None);
                    }
                    return match text.and_then(|text| self.0.get(text)) {
                        Some(value) => Ok(Some(json!(value))),
                        None => Err(format!(
                            "it holds `{}`, which only CloudFormation knows",
                            shown(name)
                        )),
                    };
                }
                let mut resolved = Map::new();
                for (name, value) in object {
                    if let Some(value) = self.resolve(value)? {
                        resolved.insert(name.clone(), value);
                    }
                }
                Ok(Some(Value::Object(resolved)))
            }
            Value::Array(values) => {
                let mut resolved = Vec::new();
                for value in values {
                    resolved.extend(self.resolve(value)?);
                }
                Ok(Some(Value::Array(resolved)))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(Some(value.clone())),
        }
    }
}

/// Compares every property.
#[must_use]
pub fn judge(
    plan: &Plan,
    known: &KnownGood,
    resource: &Resource,
    declared: &Declared,
    observed: &Observed,
) -> LayerVerdict {
    let names = compared(resource.resource_type);
    let mut reasons = Reasons::default();
    for name in names {
        if let Some(why) = known.not_compared.get(*name) {
            reasons.say(
                Verdict::Clean,
                format!("`{name}` is not compared: {}", shown(why)),
            );
            continue;
        }
        let wanted = match declared.0.get(*name) {
            None => normal(name, None),
            Some(Ok(value)) => normal(name, Some(value)),
            Some(Err(why)) => Err(why.clone()),
        };
        let seen = match observed.0.get(name) {
            Some(Observation::Is(value)) => normal(name, Some(value)),
            Some(Observation::Absent) => normal(name, None),
            Some(Observation::Unreadable(why)) => {
                reasons.say(
                    Verdict::Unknown,
                    format!("`{name}` cannot be read: {}", shown(why)),
                );
                continue;
            }
            None => {
                reasons.say(Verdict::Unknown, format!("`{name}` was not read"));
                continue;
            }
        };
        match (wanted, seen) {
            (Ok(wanted), Ok(seen)) => {
                let strange = seen.key().and_then(|key| foreign(plan, key));
                if let Some(account) = strange {
                    reasons.say(
                        Verdict::Tainted,
                        format!("`{name}` uses a key of account {account}, which is none of the plan's"),
                    );
                } else if wanted.allows(&seen) {
                    reasons.same += 1;
                } else {
                    reasons.say(
                        Verdict::Unknown,
                        format!(
                            "`{name}` is {}, the template declares {}",
                            shown(&seen.to_string()),
                            shown(&wanted.to_string())
                        ),
                    );
                }
            }
            (Err(why), _) => reasons.say(
                Verdict::Unknown,
                format!("`{name}` of the template cannot be compared: {}", shown(&why)),
            ),
            (_, Err(why)) => reasons.say(
                Verdict::Unknown,
                format!("`{name}` as it was read cannot be compared: {}", shown(&why)),
            ),
        }
    }
    let lost = not_carried(resource.resource_type);
    for name in lost {
        match known.not_compared.get(*name) {
            Some(why) => reasons.say(
                Verdict::Clean,
                format!("`{name}` is not compared: {}", shown(why)),
            ),
            None => reasons.say(
                Verdict::Unknown,
                format!("no backup brings `{name}` back: name it under `not_compared` with the reason"),
            ),
        }
    }
    let others = declared
        .0
        .keys()
        .filter(|name| !names.contains(&name.as_str()) && !lost.contains(&name.as_str()));
    for name in others {
        match known.not_compared.get(name) {
            Some(why) => reasons.say(
                Verdict::Clean,
                format!("`{}` is not compared: {}", shown(name), shown(why)),
            ),
            None => reasons.say(
                Verdict::Unknown,
                format!(
                    "the template declares `{}`, which nothing here can compare: name it under `not_compared` with the reason",
                    shown(name)
                ),
            ),
        }
    }
    reasons.finish()
}

#[derive(Default)]
struct Reasons {
    same: usize,
    said: Vec<(Verdict, String)>,
}

impl Reasons {
    fn say(&mut self, verdict: Verdict, reason: String) {
        self.said.push((verdict, reason));
    }

    fn finish(self) -> LayerVerdict {
        let as_declared = format!("{} properties are as the template declares", self.same);
        // Nothing compared proves nothing.
        let first = if self.same > 0 {
            Verdict::Clean
        } else {
            Verdict::Unknown
        };
        self.said
            .into_iter()
            .fold(LayerVerdict::new(first, as_declared), |all, (verdict, reason)| {
                all.and(LayerVerdict::new(verdict, reason))
            })
    }
}

/// The account of a key, if it is none that the plan names.
fn foreign<'k>(plan: &Plan, key: &'k str) -> Option<&'k str> {
    let account = key
        .strip_prefix("arn:")?
        .split(':')
        .nth(3)
        .filter(|account| !account.is_empty())?;
    let accounts = &plan.accounts;
    let known: BTreeSet<&str> = [
        &accounts.old,
        &accounts.validation,
        &accounts.rebuild,
        &accounts.log_archive,
    ]
    .into_iter()
    .chain(&accounts.siblings)
    .chain(&plan.validation.vault.account)
    .map(|account| account.as_str())
    .collect();
    (!known.contains(account)).then_some(account)
}

#[cfg(test)]
mod tests;
