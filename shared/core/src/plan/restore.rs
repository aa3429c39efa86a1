//! Stage 4 of a plan: what the restored resources need that a recovery point cannot bring along.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::made_of;
use super::{Invariant, Plan, Problem, Resource, ResourceType};
use crate::restore::mapping::{self, Placeholder};

/// Stage 4 of a plan: what becomes of identifiers that the recovery points remember.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestorePlan {
    /// Identifiers of the old account in the restore metadata of recovery points, to those of the new one: networks,
    /// subnets, security groups, keys, roles, parameter groups. `${STACK.OUTPUT}` in a value is that output of a
    /// rebuilt stack. What is neither here nor in a resource's own `metadata` stops the restore.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub identifiers: BTreeMap<String, String>,
}

impl RestorePlan {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ResourceType {
    /// The service in the resource's ARN.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::DynamoDb => "dynamodb",
            Self::Rds | Self::Aurora => "rds",
            Self::Ebs | Self::Ec2 => "ec2",
            Self::Efs => "elasticfilesystem",
            Self::Fsx => "fsx",
        }
    }

    /// Whether what a restored resource of this type holds can be read with the permissions of an account alone. What
    /// is behind a network or a file system is judged by a function of the plan.
    #[must_use]
    pub fn is_readable(self) -> bool {
        match self {
            Self::S3 | Self::DynamoDb => true,
            Self::Rds | Self::Aurora | Self::Ebs | Self::Ec2 | Self::Efs | Self::Fsx => false,
        }
    }

    /// Whether a new resource of this type can have this name.
    #[must_use]
    pub(super) fn is_name(self, name: &str) -> bool {
        match self {
            Self::S3 => made_of(name, 3..=63, |b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.')
            }),
            Self::DynamoDb => made_of(name, 3..=255, |b| {
                b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')
            }),
            // RDS keeps identifiers in lower case: another spelling would never be found again.
            Self::Rds | Self::Aurora => {
                made_of(name, 1..=63, |b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
                }) && name.starts_with(|c: char| c.is_ascii_lowercase())
                    && !name.ends_with('-')
                    && !name.contains("--")
            }
            Self::Ebs | Self::Ec2 | Self::Efs | Self::Fsx => made_of(name, 1..=63, |b| {
                b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')
            }),
        }
    }
}

impl Plan {
    /// What is wrong with what the plan says about restored resources.
    pub(super) fn restore_problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for (old, new) in &self.restore.identifiers {
            let at = format!("restore.identifiers.{}", old.escape_debug());
            if old.trim().is_empty() {
                found.push(problem(&at, "is empty: name an identifier of the old account"));
            }
            if old == new {
                found.push(problem(&at, "maps an identifier to itself"));
            }
            self.value_problems(&at, new, &mut found);
        }
        for (i, resource) in self.resources.iter().enumerate() {
            for (field, metadata) in [
                ("metadata", &resource.metadata),
                ("trial_metadata", &resource.trial_metadata),
            ] {
                let mut keys = BTreeSet::new();
                for (key, value) in metadata {
                    let at = format!("resources[{i}].{field}.{}", key.escape_debug());
                    if !keys.insert(key.to_lowercase()) {
                        found.push(problem(
                            &at,
                            "is given twice: AWS Backup does not tell upper from lower case",
                        ));
                    }
                    if mapping::is_set_by_us(resource.resource_type, key) {
                        found.push(problem(
                            &at,
                            "is set by Blackstart: the new name, encryption and that nothing is public are not for the plan to change",
                        ));
                    }
                    if field == "trial_metadata" && value.contains("${") {
                        found.push(problem(
                            &at,
                            "refers to a stack: none is rebuilt in the validation account",
                        ));
                    }
                    self.value_problems(&at, value, &mut found);
                }
            }
            if !resource.resource_type.is_readable() && !self.is_asked_about(resource) {
                found.push(problem(
                    &format!("resources[{i}].type"),
                    "cannot be read from outside: name a `function` for it in `validation.invariants` that looks at its content",
                ));
            }
        }
        found
    }

    fn is_asked_about(&self, resource: &Resource) -> bool {
        self.validation.invariants.iter().any(|invariant| {
            matches!(invariant, Invariant::Function { .. }) && invariant.resource() == resource.id
        })
    }

    fn value_problems(&self, at: &str, value: &str, found: &mut Vec<Problem>) {
        if value.contains(self.accounts.old.as_str()) {
            found.push(problem(at, "names the old account"));
        }
        match mapping::placeholders(value) {
            Err(_) => found.push(problem(
                at,
                "holds `${` that is no `${STACK.OUTPUT}`: name a stack of the plan and one of its outputs",
            )),
            Ok(placeholders) => {
                for Placeholder { stack, .. } in placeholders {
                    if !self.rebuild.stacks.iter().any(|planned| planned.name == stack) {
                        let what = format!("`{}` is no stack of the plan", stack.escape_debug());
                        found.push(problem(at, &what));
                    }
                }
            }
        }
    }
}

fn problem(at: &str, what: &str) -> Problem {
    Problem {
        at: at.to_owned(),
        what: what.to_owned(),
    }
}
