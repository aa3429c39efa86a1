//! Stage 2 of a plan: the approved template of each resource, against which a recovery point's configuration is compared.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Layer, Problem, RuleFile, ValidationPlan};

/// How a resource must be configured: by the template that was reviewed and approved with the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownGood {
    /// Plan id of the resource.
    pub resource: String,
    /// The template, in JSON, from the bucket of the plans.
    pub template: RuleFile,
    /// Name of the resource in the template.
    pub logical_id: String,
    /// Values of the template's parameters, beside their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Properties that are not compared, each with the reason: for example what a backup does not bring back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_compared: BTreeMap<String, String>,
}

impl KnownGood {
    /// Where the template is kept for one run, beside the frozen plan.
    #[must_use]
    pub fn frozen_path(&self) -> String {
        format!("templates/{}.json", self.template.sha256)
    }
}

impl ValidationPlan {
    /// The template of a resource, if the plan names one.
    #[must_use]
    pub fn known_good(&self, resource: &str) -> Option<&KnownGood> {
        self.configuration.iter().find(|known| known.resource == resource)
    }

    /// What the schema alone cannot refuse. `ids` are the plan's resources.
    pub(super) fn configuration_problems(&self, ids: &BTreeSet<&str>) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut problem = |at: String, what: &str| {
            found.push(Problem {
                at,
                what: what.to_owned(),
            });
        };
        let mut seen = BTreeSet::new();
        for (i, known) in self.configuration.iter().enumerate() {
            let at = |field: &str| format!("validation.configuration[{i}].{field}");
            if !ids.contains(known.resource.as_str()) {
                problem(at("resource"), "names no resource of this plan");
            }
            if !seen.insert(known.resource.as_str()) {
                problem(at("resource"), "has a template already");
            }
            for (field, value) in [
                ("template.key", &known.template.key),
                ("logical_id", &known.logical_id),
            ] {
                if value.is_empty() {
                    problem(at(field), "is empty");
                }
            }
            for (property, reason) in &known.not_compared {
                if reason.trim().is_empty() {
                    problem(
                        at(&format!("not_compared.{property}")),
                        "is empty: say why it is not compared",
                    );
                }
            }
        }
        if self.layers.contains(&Layer::Configuration) {
            for id in ids.iter().filter(|id| !seen.contains(*id)) {
                problem(
                    "validation.configuration".to_owned(),
                    &format!("says no template for resource `{id}`, which the layer `configuration` needs"),
                );
            }
        }
        found
    }
}
