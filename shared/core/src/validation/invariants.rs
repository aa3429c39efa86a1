//! The plan's own facts about the restored data.

use std::collections::BTreeMap;

use serde_json::Value;

use super::content::shown;
use super::{ContentManifest, LayerVerdict, Verdict};
use crate::artifact::canonical_json;
use crate::plan::{Invariant, Resource, ResourceType};

/// Counts what the plan's invariants ask about one resource, while its content streams by.
///
/// [`Invariant::Function`] is left out: a function gives its own verdict, see [`super::check_function`].
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
            .filter(|invariant| !matches!(invariant, Invariant::Function { .. }))
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
            let counts = match invariant {
                Invariant::MinimumObjects { prefix, .. } => key.starts_with(prefix.as_str()),
                Invariant::KnownObject { key: known, .. } => key == known,
                Invariant::MinimumItems { .. }
                | Invariant::RequiredAttributes { .. }
                | Invariant::KnownItem { .. }
                | Invariant::Function { .. } => false,
            };
            count.matching = count.matching.saturating_add(u64::from(counts));
        }
    }

    /// Takes note of an item: its key as canonical JSON, and its attributes by name, as DynamoDB's JSON.
    pub fn item(&mut self, key: &str, attributes: &BTreeMap<String, Value>) {
        for (invariant, count) in &mut self.counts {
            let lacking = match invariant {
                Invariant::MinimumItems { .. } => None,
                Invariant::RequiredAttributes {
                    attributes: required, ..
                } => required
                    .iter()
                    .find(|name| !attributes.contains_key(*name))
                    .map(|name| format!("`{}` lacks `{}`", shown(key), shown(name))),
                Invariant::KnownItem {
                    key: known,
                    attributes: wanted,
                    ..
                } => {
                    if canonical_json(known).is_ok_and(|known| known != key.as_bytes()) {
                        continue;
                    }
                    wanted
                        .iter()
                        .find(|(name, value)| attributes.get(*name) != Some(value))
                        .map(|(name, _)| format!("`{}` is another than the plan says", shown(name)))
                }
                Invariant::MinimumObjects { .. }
                | Invariant::KnownObject { .. }
                | Invariant::Function { .. } => continue,
            };
            match lacking {
                None => count.matching = count.matching.saturating_add(1),
                Some(what) => {
                    count.lacking = count.lacking.saturating_add(1);
                    count.example.get_or_insert(what);
                }
            }
        }
    }

    /// What the counts say, with the manifest of what was read. A fact that does not hold is a finding: data was
    /// removed or changed.
    #[must_use]
    pub fn finish(self, manifest: &ContentManifest) -> LayerVerdict {
        let none = LayerVerdict::new(Verdict::Clean, "the plan states no invariant");
        let resource_type = self.resource_type;
        self.counts
            .iter()
            .map(|(invariant, count)| judge(resource_type, invariant, count, manifest))
            .reduce(LayerVerdict::and)
            .unwrap_or(none)
    }
}

fn judge(
    resource_type: ResourceType,
    invariant: &Invariant,
    count: &Count,
    manifest: &ContentManifest,
) -> LayerVerdict {
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
        (Invariant::KnownObject { key, sha256, .. }, ResourceType::S3) => {
            let shown = shown(key);
            match manifest.entries.get(key) {
                Some(entry) if entry.sha256 == *sha256 => {
                    holds(true, format!("known object `{shown}` is as it was"))
                }
                Some(_) => holds(false, format!("known object `{shown}` was changed")),
                None if count.matching == 0 => holds(false, format!("known object `{shown}` is gone")),
                None => LayerVerdict::new(
                    Verdict::Unknown,
                    format!("known object `{shown}` is there, but cannot be read"),
                ),
            }
        }
        (Invariant::KnownItem { key, .. }, ResourceType::DynamoDb) => {
            let named: Vec<String> = key
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            let shown = shown(&named.join(", "));
            match &count.example {
                Some(what) => holds(false, format!("known item `{shown}` was changed: {what}")),
                None if count.matching == 0 => holds(false, format!("known item `{shown}` is gone")),
                None => holds(true, format!("known item `{shown}` is as it was")),
            }
        }
        (
            Invariant::MinimumObjects { .. }
            | Invariant::KnownObject { .. }
            | Invariant::MinimumItems { .. }
            | Invariant::RequiredAttributes { .. }
            | Invariant::KnownItem { .. }
            | Invariant::Function { .. },
            _,
        ) => {
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

    use serde_json::json;

    use super::*;
    use crate::artifact::Digest;
    use crate::validation::ContentEntry;
    use crate::validation::testing::plan;

    fn item(names: &[&str]) -> BTreeMap<String, Value> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), json!({"S": "x"})))
            .collect()
    }

    fn manifest(objects: &[(&str, &[u8])]) -> ContentManifest {
        let entries = objects.iter().map(|(key, bytes)| {
            let entry = ContentEntry {
                sha256: Digest::of(bytes),
                bytes: bytes.len() as u64,
                centibits: None,
            };
            ((*key).to_owned(), entry)
        });
        ContentManifest {
            resource: "data".to_owned(),
            entries: entries.collect(),
        }
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
        assert_eq!(check.clone().finish(&manifest(&[])).verdict, Verdict::Tainted);
        check.object("invoices/3");
        assert_eq!(check.finish(&manifest(&[])).verdict, Verdict::Clean);
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
        let said = check.finish(&manifest(&[]));
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
            InvariantCheck::new(bucket, &[invariant])
                .finish(&manifest(&[]))
                .verdict,
            Verdict::Unknown
        );
    }

    #[test]
    fn a_canary_that_was_touched_or_is_gone_taints_and_one_that_cannot_be_read_is_unknown() {
        let bucket = &plan().resources[0];
        let canary = Invariant::KnownObject {
            resource: "data".to_owned(),
            key: "zz/do-not-touch.txt".to_owned(),
            sha256: Digest::of(b"canary"),
        };
        let verdict = |listed: &[&str], read: &[(&str, &[u8])]| {
            let mut check = InvariantCheck::new(bucket, std::slice::from_ref(&canary));
            listed.iter().for_each(|key| check.object(key));
            check.finish(&manifest(read)).verdict
        };
        let key = "zz/do-not-touch.txt";
        assert_eq!(verdict(&[key], &[(key, b"canary")]), Verdict::Clean);
        assert_eq!(verdict(&[key], &[(key, b"other")]), Verdict::Tainted);
        assert_eq!(
            verdict(&["zz/do-not-touch.txt.locked"], &[]),
            Verdict::Tainted,
            "renamed"
        );
        assert_eq!(verdict(&[key], &[]), Verdict::Unknown);
    }

    #[test]
    fn a_known_item_must_be_there_with_its_attributes() {
        let table = &plan().resources[1];
        let known = Invariant::KnownItem {
            resource: "table".to_owned(),
            key: [("id".to_owned(), json!({"S": "1"}))].into(),
            attributes: [("total".to_owned(), json!({"N": "12"}))].into(),
        };
        let verdict = |items: &[(&str, &str)]| {
            let mut check = InvariantCheck::new(table, std::slice::from_ref(&known));
            for (id, total) in items {
                let attributes = [("total".to_owned(), json!({"N": total}))].into();
                check.item(&json!({"id": {"S": id}}).to_string(), &attributes);
            }
            let said = check.finish(&manifest(&[]));
            (said.verdict, said.reasons.concat())
        };
        assert_eq!(verdict(&[("2", "5"), ("1", "12")]).0, Verdict::Clean);
        let (changed, why) = verdict(&[("1", "13")]);
        assert_eq!(changed, Verdict::Tainted);
        assert!(why.contains("`total` is another"), "{why}");
        assert!(verdict(&[("2", "12")]).1.contains("is gone"));
    }
}
