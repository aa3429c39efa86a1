//! The plan's own facts about the restored data.

use std::collections::BTreeMap;

use super::{LayerVerdict, Verdict};
use crate::plan::{Invariant, Resource, ResourceType};

/// Counts what the plan's invariants ask about one resource, while its content streams by.
#[derive(Debug, Clone)]
pub struct InvariantCheck {
    resource_type: ResourceType,
    counts: Vec<(Invariant, Count)>,
}

#[derive(Debug, Clone, Default)]
struct Count {
    matching: u64,
    lacking: u64,
    /// The first entry that lacks something, for people.
    example: Option<String>,
}

impl InvariantCheck {
    /// The check of one resource of the plan.
    #[must_use]
    pub fn new(resource: &Resource, invariants: &[Invariant]) -> Self {
        let counts = invariants
            .iter()
            .filter(|invariant| invariant.resource() == resource.id)
            .map(|invariant| (invariant.clone(), Count::default()))
            .collect();
        Self {
            resource_type: resource.resource_type,
            counts,
        }
    }

    /// Takes note of an object.
    pub fn object(&mut self, key: &str) {
        for (invariant, count) in &mut self.counts {
            match invariant {
                Invariant::MinimumObjects { prefix, .. } if key.starts_with(prefix.as_str()) => {
                    count.matching = count.matching.saturating_add(1);
                }
                Invariant::MinimumObjects { .. }
                | Invariant::MinimumItems { .. }
                | Invariant::RequiredAttributes { .. } => {}
            }
        }
    }

    /// Takes note of an item: its key as text, and its attributes by name.
    pub fn item<T>(&mut self, key: &str, attributes: &BTreeMap<String, T>) {
        for (invariant, count) in &mut self.counts {
            match invariant {
                Invariant::MinimumObjects { .. } => {}
                Invariant::MinimumItems { .. } => count.matching = count.matching.saturating_add(1),
                Invariant::RequiredAttributes {
                    attributes: required, ..
                } => match required.iter().find(|name| !attributes.contains_key(*name)) {
                    None => count.matching = count.matching.saturating_add(1),
                    Some(name) => {
                        count.lacking = count.lacking.saturating_add(1);
                        if count.example.is_none() {
                            count.example = Some(format!("`{key}` lacks `{name}`"));
                        }
                    }
                },
            }
        }
    }

    /// What the counts say. A fact that does not hold is a finding: data was removed or changed.
    #[must_use]
    pub fn finish(self) -> LayerVerdict {
        let none = LayerVerdict::new(Verdict::Clean, "the plan states no invariant");
        let resource_type = self.resource_type;
        self.counts
            .iter()
            .map(|(invariant, count)| judge(resource_type, invariant, count))
            .reduce(LayerVerdict::and)
            .unwrap_or(none)
    }
}

fn judge(resource_type: ResourceType, invariant: &Invariant, count: &Count) -> LayerVerdict {
    let holds = |held: bool, reason: String| {
        let verdict = if held { Verdict::Clean } else { Verdict::Tainted };
        LayerVerdict::new(verdict, reason)
    };
    match (invariant, resource_type) {
        (Invariant::MinimumObjects { prefix, minimum, .. }, ResourceType::S3) => holds(
            count.matching >= *minimum,
            format!(
                "{} object(s) under `{prefix}`, at least {minimum} expected",
                count.matching
            ),
        ),
        (Invariant::MinimumItems { minimum, .. }, ResourceType::DynamoDb) => holds(
            count.matching >= *minimum,
            format!("{} item(s), at least {minimum} expected", count.matching),
        ),
        (Invariant::RequiredAttributes { .. }, ResourceType::DynamoDb) => match &count.example {
            Some(example) => holds(
                false,
                format!(
                    "{} item(s) lack a required attribute, for example {example}",
                    count.lacking
                ),
            ),
            None => holds(
                true,
                format!("all {} item(s) have the required attributes", count.matching),
            ),
        },
        (Invariant::MinimumObjects { .. }, ResourceType::DynamoDb)
        | (Invariant::MinimumItems { .. } | Invariant::RequiredAttributes { .. }, ResourceType::S3) => {
            let name: &str = resource_type.into();
            LayerVerdict::new(
                Verdict::Unknown,
                format!("an invariant of the plan cannot be checked on a resource of type {name}"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::validation::testing::plan;

    fn item(names: &[&str]) -> BTreeMap<String, ()> {
        names.iter().map(|name| ((*name).to_owned(), ())).collect()
    }

    #[test]
    fn too_few_objects_under_a_prefix_taint() {
        let bucket = &plan().resources[0];
        let invariant = Invariant::MinimumObjects {
            resource: "data".to_owned(),
            prefix: "invoices/".to_owned(),
            minimum: 2,
        };
        let mut check = InvariantCheck::new(bucket, &[invariant]);
        check.object("invoices/1");
        check.object("other/2");
        assert_eq!(check.clone().finish().verdict, Verdict::Tainted);
        check.object("invoices/3");
        assert_eq!(check.finish().verdict, Verdict::Clean);
    }

    #[test]
    fn an_item_without_a_required_attribute_is_named() {
        let table = &plan().resources[1];
        let invariants = [
            Invariant::RequiredAttributes {
                resource: "table".to_owned(),
                attributes: BTreeSet::from(["customer".to_owned(), "total".to_owned()]),
            },
            Invariant::MinimumItems {
                resource: "table".to_owned(),
                minimum: 2,
            },
        ];
        let mut check = InvariantCheck::new(table, &invariants);
        check.item("1", &item(&["customer", "total", "more"]));
        check.item("2", &item(&["customer"]));
        let said = check.finish();
        assert_eq!(said.verdict, Verdict::Tainted);
        assert!(said.reasons[0].contains("`2` lacks `total`"), "{said:?}");
        assert!(said.reasons[1].starts_with("2 item(s)"), "{said:?}");
    }

    #[test]
    fn an_invariant_on_the_wrong_kind_of_resource_proves_nothing() {
        let bucket = &plan().resources[0];
        let invariant = Invariant::MinimumItems {
            resource: "data".to_owned(),
            minimum: 0,
        };
        assert_eq!(
            InvariantCheck::new(bucket, &[invariant]).finish().verdict,
            Verdict::Unknown
        );
    }
}
