//! Stage 2 of a plan: the approved template of each resource, against which a recovery point's configuration is compared.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Layer, Problem, Resource, RuleFile, ValidationPlan};
use crate::validation::configuration::{compared, not_carried};
use crate::validation::verdict::applies;

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
    /// Properties that are not compared, each with the reason. What no backup brings back must stand here: of a bucket
    /// `BucketPolicy`, `PublicAccessBlockConfiguration`, `ReplicationConfiguration` and `VersioningConfiguration`, of a table
    /// `PointInTimeRecoverySpecification`, `StreamSpecification` and `TimeToLiveSpecification`.
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

    /// What the schema alone cannot refuse of the templates.
    pub(super) fn configuration_problems(&self, resources: &[Resource]) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut problem = |at: String, what: &str| {
            found.push(Problem {
                at,
                what: what.to_owned(),
            });
        };
        let required = self.layers.contains(&Layer::Configuration);
        let mut seen = BTreeSet::new();
        for (i, known) in self.configuration.iter().enumerate() {
            let at = |field: &str| format!("validation.configuration[{i}].{field}");
            let resource = resources.iter().find(|resource| resource.id == known.resource);
            if resource.is_none() {
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
            let Some(resource) = resource else { continue };
            if !applies(Layer::Configuration, resource.resource_type) {
                let name: &str = resource.resource_type.into();
                problem(
                    at("resource"),
                    &format!(
                        "is of type {name}, whose settings nothing here compares: its function judges it"
                    ),
                );
            } else if required {
                for what in known.hidden(resource) {
                    problem(at("not_compared"), &what);
                }
            }
        }
        let without = resources
            .iter()
            .filter(|resource| applies(Layer::Configuration, resource.resource_type))
            .filter(|resource| !seen.contains(resource.id.as_str()));
        for resource in without.filter(|_| required) {
            problem(
                "validation.configuration".to_owned(),
                &format!(
                    "says no template for resource `{}`, which the layer `configuration` needs",
                    resource.id
                ),
            );
        }
        found
    }

    /// Layers that could look at none of the resources, so that no recovery set could ever be clean.
    pub(super) fn layer_problems(&self, resources: &[Resource]) -> Vec<Problem> {
        let looks_at_nothing = |layer: &&Layer| {
            !resources
                .iter()
                .any(|resource| applies(**layer, resource.resource_type))
        };
        if resources.is_empty() {
            return Vec::new();
        }
        self.layers
            .iter()
            .filter(looks_at_nothing)
            .map(|layer| Problem {
                at: "validation.layers".to_owned(),
                what: format!(
                    "contains `{}`, which can look at no resource of this plan: no recovery set could ever be clean",
                    <&str>::from(layer)
                ),
            })
            .collect()
    }
}

impl KnownGood {
    /// What `not_compared` must name and does not, or leaves nothing of to compare.
    fn hidden(&self, resource: &Resource) -> Vec<String> {
        let names = |name: &&&str| self.not_compared.contains_key(**name);
        let lost: Vec<String> = not_carried(resource.resource_type)
            .iter()
            .filter(|name| !names(name))
            .map(|name| format!("`{name}`"))
            .collect();
        let mut found = Vec::new();
        if !lost.is_empty() {
            found.push(format!(
                "does not name {}: no backup brings that back, so say of each why the set may be clean without it",
                lost.join(", ")
            ));
        }
        if compared(resource.resource_type).iter().all(|name| names(&name)) {
            found.push("leaves nothing to compare: no recovery set could ever be clean".to_owned());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::plan::Plan;

    /// Problems of the example plan whose table and bucket have these templates, by place.
    fn problems(change: impl FnOnce(&mut serde_json::Value)) -> Vec<(String, String)> {
        let mut plan: serde_json::Value = serde_json::from_str(PLAN).unwrap();
        plan["validation"]["layers"] = json!(["trial_restore", "invariants", "configuration"]);
        let known = |id: &str, lost: &[&str]| {
            let why: std::collections::BTreeMap<&str, &str> = lost
                .iter()
                .map(|name| (*name, "no backup brings it back"))
                .collect();
            json!({
                "resource": id, "logical_id": "X", "not_compared": why,
                "template": {"key": "t.json", "sha256": "0".repeat(64)},
            })
        };
        let bucket = [
            "BucketPolicy",
            "PublicAccessBlockConfiguration",
            "ReplicationConfiguration",
            "VersioningConfiguration",
        ];
        let table = [
            "PointInTimeRecoverySpecification",
            "StreamSpecification",
            "TimeToLiveSpecification",
        ];
        plan["validation"]["configuration"] =
            json!([known("orders-data", &bucket), known("orders-table", &table)]);
        change(&mut plan);
        match Plan::parse(plan.to_string().as_bytes()) {
            Ok(_) => Vec::new(),
            Err(invalid) => invalid.0.into_iter().map(|one| (one.at, one.what)).collect(),
        }
    }

    const PLAN: &str = include_str!("../../../../tests/data/plan/orders.json");

    #[test]
    fn what_no_backup_brings_back_is_named_by_the_plan() {
        assert_eq!(problems(|_| {}), []);
        // However the trial is made.
        let found = problems(|plan| {
            plan["validation"]["trial"] = json!("access_point");
            for i in 0..2 {
                plan["validation"]["configuration"][i]
                    .as_object_mut()
                    .unwrap()
                    .remove("not_compared");
            }
        });
        let told: Vec<&str> = found.iter().map(|(at, _)| at.as_str()).collect();
        assert_eq!(
            told,
            [
                "validation.configuration[0].not_compared",
                "validation.configuration[1].not_compared"
            ]
        );
        assert!(
            found[0]
                .1
                .contains("`BucketPolicy`, `PublicAccessBlockConfiguration`, `ReplicationConfiguration`"),
            "{found:?}"
        );
        let found = problems(|plan| {
            plan["validation"]["configuration"][0]["not_compared"]["BucketEncryption"] = json!("no");
        });
        assert!(found[0].1.contains("leaves nothing to compare"), "{found:?}");
    }

    #[test]
    fn what_has_no_settings_to_compare_needs_no_template_and_takes_none() {
        let database = |plan: &mut serde_json::Value| {
            plan["resources"].as_array_mut().unwrap().push(json!({
                "id": "files", "type": "FSx", "restore_to": "files",
                "arn": "arn:aws:fsx:eu-central-1:999999999999:file-system/fs-1",
            }));
            plan["validation"]["invariants"]
                .as_array_mut()
                .unwrap()
                .push(json!({
                    "check": "function", "resource": "files", "function": "blackstart-check-files",
                }));
        };
        assert_eq!(problems(database), []);
        let found = problems(|plan| {
            database(plan);
            let mut third = plan["validation"]["configuration"][0].clone();
            third["resource"] = json!("files");
            plan["validation"]["configuration"]
                .as_array_mut()
                .unwrap()
                .push(third);
        });
        assert_eq!(found[0].0, "validation.configuration[2].resource", "{found:?}");
    }

    #[test]
    fn a_layer_that_could_look_at_nothing_is_refused() {
        let found = problems(|plan| {
            plan["validation"]["layers"] = json!(["trial_restore", "malware_scan", "content_scan"]);
            plan["validation"]["configuration"] = json!([]);
            let resources = plan["resources"].as_array_mut().unwrap();
            resources.retain(|resource| resource["type"] == "DynamoDB");
            let invariants = plan["validation"]["invariants"].as_array_mut().unwrap();
            invariants.retain(|invariant| invariant["resource"] == "orders-table");
        });
        let layers: Vec<_> = found.iter().filter(|(at, _)| at == "validation.layers").collect();
        assert_eq!(layers.len(), 1, "{found:?}");
        assert!(layers[0].1.contains("`malware_scan`"), "{found:?}");
    }
}
