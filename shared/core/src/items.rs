//! Rebuild, restore, rotate: every item of the workload is exactly one of the three.
//!
//! Infrastructure is code, data is backup, credentials are new. [`classify`] says of every resource of the templates,
//! every restored resource and every rotated credential which of them it is, and names what is none or two;
//! [`settle`] says what became of each, and [`ItemsRecord::refusal`] why nothing may be cut over yet.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::approval::DecisionPackage;
use crate::artifact::Digest;
use crate::error_name::{ErrorName, StageError};
use crate::plan::{Classification, Plan, Problem, Stack};
use crate::rebuild::RebuildDocument;
use crate::rebuild::templates::{self, Template};
use crate::restore::RestoreDocument;
use crate::rotation::RotationDocument;

/// How an item of a workload comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// From code.
    Rebuild,
    /// From backup.
    Restore,
    /// Not at all: something new takes its place.
    Rotate,
}

/// One item of the workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// `STACK/LOGICAL-ID` of a template's resource, else the ARN in the old account or the credential's name.
    pub item: String,
    /// Resource type, or the kind of credential.
    #[serde(rename = "type")]
    pub item_type: String,
    /// Which of the three it is.
    pub class: Class,
    /// What settles it: the stack, the plan's resource, or the credential.
    pub by: String,
    /// Why it is that, where the plan says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// One item, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The item.
    pub item: Item,
    /// Whether it is rebuilt, restored from its approved point, or new.
    pub settled: bool,
    /// By what that is known; if it is open, what is missing.
    pub evidence: String,
}

/// The items of a run as the ledger keeps them, under [`crate::ledger::Key::items`]: written when the credentials are
/// new, read before the first step of a cutover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemsRecord {
    /// Digest of the approved decision package.
    pub package: Digest,
    /// Every item, in order.
    pub rows: Vec<Row>,
}

/// Items of the workload are open, so nothing may be cut over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsettled {
    /// Nobody has looked yet.
    #[error("the items of the workload were never settled: credentials are rotated first")]
    NeverLooked,
    /// They were settled for another package.
    #[error("the items of the workload were settled for another package")]
    OtherPackage,
    /// Some are open.
    #[error("{} item(s) of the workload are open: {}", .0.len(), .0.join("; "))]
    Open(Vec<String>),
}

impl StageError for Unsettled {
    fn name(&self) -> ErrorName {
        ErrorName::PreconditionChanged
    }
}

impl ItemsRecord {
    /// Why nothing may be cut over under the package with this digest; `None`: everything is settled.
    #[must_use]
    pub fn refusal(record: Option<&Self>, package: &Digest) -> Option<Unsettled> {
        let Some(record) = record else {
            return Some(Unsettled::NeverLooked);
        };
        if record.package != *package {
            return Some(Unsettled::OtherPackage);
        }
        let open: Vec<String> = record
            .rows
            .iter()
            .filter(|row| !row.settled)
            .map(|row| format!("`{}`: {}", row.item.item.escape_debug(), row.evidence))
            .collect();
        (!open.is_empty()).then_some(Unsettled::Open(open))
    }
}

/// What a resource type holds by nature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Data,
    Credential,
    Neither,
}

/// Types that hold data: what AWS Backup can protect, and stores that it cannot.
const DATA: [&str; 19] = [
    "AWS::Cognito::UserPool",
    "AWS::DocDB::DBCluster",
    "AWS::DynamoDB::GlobalTable",
    "AWS::DynamoDB::Table",
    "AWS::EC2::Instance",
    "AWS::EC2::Volume",
    "AWS::ECR::Repository",
    "AWS::EFS::FileSystem",
    "AWS::FSx::FileSystem",
    "AWS::FSx::Volume",
    "AWS::MemoryDB::Cluster",
    "AWS::Neptune::DBCluster",
    "AWS::OpenSearchService::Domain",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::Redshift::Cluster",
    "AWS::S3::Bucket",
    "AWS::SimpleDB::Domain",
    "AWS::Timestream::Table",
];

/// Types that are or hold a credential.
const CREDENTIALS: [&str; 8] = [
    "AWS::ApiGateway::ApiKey",
    "AWS::AppSync::ApiKey",
    "AWS::CertificateManager::Certificate",
    "AWS::EC2::KeyPair",
    "AWS::Events::Connection",
    "AWS::IAM::AccessKey",
    "AWS::IAM::ServerCertificate",
    "AWS::SecretsManager::Secret",
];

fn nature(resource_type: &str) -> Nature {
    if DATA.contains(&resource_type) {
        Nature::Data
    } else if CREDENTIALS.contains(&resource_type) {
        Nature::Credential
    } else {
        Nature::Neither
    }
}

/// Classifies every item; `templates` are the checked ones, by stack name.
///
/// # Errors
/// Every item that is none of the three or more than one, located in the plan.
pub fn classify(plan: &Plan, templates: &BTreeMap<String, Template>) -> Result<Vec<Item>, Vec<Problem>> {
    let mut work = Classifying {
        plan,
        items: Vec::new(),
        problems: Vec::new(),
        settled_by: BTreeMap::new(),
    };
    for (i, stack) in plan.rebuild.stacks.iter().enumerate() {
        let declared = templates
            .get(&stack.name)
            .and_then(|template| serde_json::from_str::<Map<String, Value>>(&template.body).ok())
            .unwrap_or_default();
        work.stack(i, stack, &declared);
    }
    work.own();
    if work.problems.is_empty() {
        work.items.sort();
        Ok(work.items)
    } else {
        work.problems.sort();
        Err(work.problems)
    }
}

struct Classifying<'a> {
    plan: &'a Plan,
    items: Vec<Item>,
    problems: Vec<Problem>,
    /// Plan resource or credential to the template's resource that it stands for.
    settled_by: BTreeMap<(Class, String), String>,
}

impl Classifying<'_> {
    fn problem(&mut self, at: &str, what: String) {
        self.problems.push(Problem {
            at: at.to_owned(),
            what,
        });
    }

    fn stack(&mut self, index: usize, stack: &Stack, declared: &Map<String, Value>) {
        let resources = declared.get("Resources").and_then(Value::as_object);
        for (logical, resource) in resources.into_iter().flatten() {
            let kind = resource.get("Type").and_then(Value::as_str).unwrap_or_default();
            let at = format!("rebuild.stacks[{index}].items.{logical}");
            let named = templates::name_of(self.plan, stack, declared, kind, resource);
            self.resource(&at, stack, logical, kind, named.as_deref());
        }
        for logical in stack.items.keys() {
            if resources.is_none_or(|resources| !resources.contains_key(logical)) {
                self.problem(
                    &format!("rebuild.stacks[{index}].items.{logical}"),
                    "is no resource of the stack's template".to_owned(),
                );
            }
        }
    }

    fn resource(&mut self, at: &str, stack: &Stack, logical: &str, kind: &str, named: Option<&str>) {
        let item = format!("{}/{logical}", stack.name);
        let shown = kind.escape_debug().to_string();
        let (class, by, reason) = match (stack.items.get(logical), nature(kind)) {
            (Some(Classification::Rebuild { reason }), _) => {
                if reason.trim().is_empty() {
                    self.problem(at, "says no reason".to_owned());
                }
                (Class::Rebuild, stack.name.clone(), reason.clone())
            }
            (Some(Classification::Restore { resource }), _) => {
                if !self.plan.resources.iter().any(|planned| planned.id == *resource) {
                    self.problem(
                        at,
                        format!("`{}` is no resource of the plan", resource.escape_debug()),
                    );
                }
                (Class::Restore, resource.clone(), String::new())
            }
            (Some(Classification::Rotate { credential }), _) => {
                if !self.plan.rotation.names().contains(credential.as_str()) {
                    self.problem(
                        at,
                        format!("`{}` is no credential of the plan", credential.escape_debug()),
                    );
                }
                (Class::Rotate, credential.clone(), String::new())
            }
            (None, Nature::Neither) => (Class::Rebuild, stack.name.clone(), String::new()),
            (None, Nature::Credential) => {
                let rotated = named.filter(|name| self.plan.rotation.names().contains(name));
                let Some(name) = rotated else {
                    self.problem(
                        at,
                        format!("is missing: `{shown}` is a credential; add it to `rotation`, and say here which it is"),
                    );
                    return;
                };
                (Class::Rotate, name.to_owned(), String::new())
            }
            (None, Nature::Data) => {
                self.problem(
                    at,
                    format!(
                        "is missing: `{shown}` can hold data; say `restore` with a resource of the plan, or `rebuild` with the reason why it comes from code alone"
                    ),
                );
                return;
            }
        };
        let restored_elsewhere = self
            .plan
            .resources
            .iter()
            .find(|planned| nature(kind) == Nature::Data && Some(planned.restore_to.as_str()) == named);
        if let Some(planned) = restored_elsewhere {
            let what = format!(
                "is built under the name that `{}` is restored to: it is one or the other",
                planned.id
            );
            self.problem(at, what);
        }
        if class != Class::Rebuild {
            let before = self.settled_by.insert((class, by.clone()), item.clone());
            if let Some(before) = before {
                self.problem(at, format!("`{by}` stands for `{before}` already"));
            }
        }
        self.items.push(Item {
            item,
            item_type: kind.to_owned(),
            class,
            by,
            reason,
        });
    }

    /// What the plan restores and rotates beside the templates.
    fn own(&mut self) {
        let plan = self.plan;
        for resource in &plan.resources {
            if !self
                .settled_by
                .contains_key(&(Class::Restore, resource.id.clone()))
            {
                let kind: &str = resource.resource_type.into();
                self.items.push(Item {
                    item: resource.arn.clone(),
                    item_type: kind.to_owned(),
                    class: Class::Restore,
                    by: resource.id.clone(),
                    reason: String::new(),
                });
            }
        }
        for (name, kind) in plan.rotation.kinds() {
            if !self.settled_by.contains_key(&(Class::Rotate, name.to_owned())) {
                self.items.push(Item {
                    item: name.to_owned(),
                    item_type: kind.to_owned(),
                    class: Class::Rotate,
                    by: name.to_owned(),
                    reason: String::new(),
                });
            }
        }
    }
}

/// What became of every item.
///
/// Data counts as settled only where it came from exactly the approved point and holds what was validated.
#[must_use]
pub fn settle(
    rebuilt: &RebuildDocument,
    package: &DecisionPackage,
    restored: Option<&RestoreDocument>,
    rotated: Option<&RotationDocument>,
) -> Vec<Row> {
    let built: BTreeSet<&str> = rebuilt.stacks.iter().map(|stack| stack.name.as_str()).collect();
    rebuilt
        .items
        .iter()
        .map(|item| {
            let outcome = match item.class {
                Class::Rebuild if built.contains(item.by.as_str()) => {
                    Ok(format!("rebuilt in stack `{}`", item.by))
                }
                Class::Rebuild => Err(format!("stack `{}` was not built", item.by)),
                Class::Restore => restored_from_approved(item, package, restored),
                Class::Rotate => rotated
                    .and_then(|document| document.rotated.iter().find(|done| done.name == item.by))
                    .map(|done| format!("new version {}", done.version))
                    .ok_or_else(|| "it was not made new".to_owned()),
            };
            let (settled, evidence) = match outcome {
                Ok(evidence) => (true, evidence),
                Err(missing) => (false, missing),
            };
            Row {
                item: item.clone(),
                settled,
                evidence,
            }
        })
        .collect()
}

fn restored_from_approved(
    item: &Item,
    package: &DecisionPackage,
    restored: Option<&RestoreDocument>,
) -> Result<String, String> {
    let approved = package
        .restores
        .iter()
        .find(|planned| planned.resource == item.by)
        .ok_or("no recovery point was approved for it")?;
    let done = restored
        .and_then(|document| document.resources.iter().find(|done| done.resource == item.by))
        .ok_or("it was not restored")?;
    if done.recovery_point != approved.recovery_point {
        return Err(format!(
            "it came from `{}`, and `{}` was approved",
            done.recovery_point.escape_debug(),
            approved.recovery_point.escape_debug()
        ));
    }
    if done.manifest != approved.manifest {
        return Err("it does not hold what was validated".to_owned());
    }
    Ok(format!("restored from {}", approved.recovery_point))
}

#[cfg(test)]
mod tests;
