//! The plan's own rules for templates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Plan, Problem};

/// What every resource of one type must look like in a template, beyond what is checked for all plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateRule {
    /// The resource type, for example `AWS::S3::Bucket`.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// The property, as a JSON pointer (RFC 6901) below `Properties`: `/PublicAccessBlockConfiguration/BlockPublicAcls`.
    pub property: String,
    /// What must hold of it.
    pub must: Must,
    /// Why; it is shown with every violation.
    pub reason: String,
}

/// What must hold of a property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Must {
    /// It is given.
    Exist,
    /// It is not given.
    NotExist,
    /// It is one of these values, before the stack exists: a value that only CloudFormation knows is none of them.
    Be(Vec<Value>),
}

impl Plan {
    /// What is wrong with the rules themselves.
    pub(super) fn rule_problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for (i, rule) in self.rebuild.rules.iter().enumerate() {
            let mut problem = |field: &str, what: &str| {
                found.push(Problem {
                    at: format!("rebuild.rules[{i}].{field}"),
                    what: what.to_owned(),
                });
            };
            if !self.rebuild.allowed_resource_types.contains(&rule.resource_type) {
                problem(
                    "type",
                    "is not in `rebuild.allowed_resource_types`, so no template can contain it",
                );
            }
            if !rule.property.starts_with('/') {
                problem("property", "is no JSON pointer: it begins with `/`");
            }
            if matches!(&rule.must, Must::Be(values) if values.is_empty()) {
                problem("must", "names no value");
            }
            if rule.reason.trim().is_empty() {
                problem("reason", "is empty: whoever meets the rule wants to know why");
            }
        }
        found
    }
}
