//! Whether a restored resource has what its plan's fix-ups put back: compared with what it has now, so that a repeat, or
//! another executor, does only what is still missing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::plan::{ExpiryRule, FixUp, ResourceType};

/// The settings of a restored resource as they are now.
#[derive(Debug, Clone, PartialEq)]
pub enum Settings {
    /// Of a table.
    Table(TableSettings),
    /// Of a bucket.
    Bucket(BucketSettings),
    /// The properties of anything, as in a template.
    Properties(Value),
}

/// The settings of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableSettings {
    /// Whether the table is `ACTIVE`: else it takes no change.
    pub is_active: bool,
    /// The attribute by which items expire, and its `TimeToLiveStatus`.
    pub time_to_live: Option<(String, String)>,
    /// View of its stream, where it has one.
    pub stream: Option<String>,
    /// Whether it can be restored to an instant.
    pub point_in_time: bool,
    /// Whether its deletion is refused.
    pub deletion_protection: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// The settings of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketSettings {
    /// Whether it keeps older versions.
    pub versioning: bool,
    /// The rules by which objects expire.
    pub lifecycle: BTreeSet<ExpiryRule>,
    /// Whether it tells EventBridge what happens.
    pub event_notifications: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// How far a fix-up is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was read back.
    Done,
    /// It was asked for, or the resource is busy: look again.
    Changing,
    /// It is still to be asked for.
    Open,
}

/// How far a fix-up is, from what the resource has now. Hooks answer for themselves, and what a resource does without is
/// done.
#[must_use]
pub fn standing(fix_up: &FixUp, settings: &Settings) -> Standing {
    let of = |done: bool| if done { Standing::Done } else { Standing::Open };
    match (fix_up, settings) {
        (FixUp::Hook { .. } | FixUp::Without { .. }, _) => Standing::Done,
        (FixUp::Tags { tags }, Settings::Table(TableSettings { tags: there, .. }))
        | (FixUp::Tags { tags }, Settings::Bucket(BucketSettings { tags: there, .. })) => {
            of(tags.iter().all(|(key, value)| there.get(key) == Some(value)))
        }
        (FixUp::Properties { properties }, Settings::Properties(there)) => of(properties
            .iter()
            .all(|(name, wanted)| there.get(name).is_some_and(|there| holds(there, wanted)))),
        (_, Settings::Table(table)) => {
            let standing = table_standing(fix_up, table);
            if standing == Standing::Open && !table.is_active {
                Standing::Changing
            } else {
                standing
            }
        }
        (FixUp::Versioning {}, Settings::Bucket(bucket)) => of(bucket.versioning),
        (FixUp::EventNotifications {}, Settings::Bucket(bucket)) => of(bucket.event_notifications),
        (FixUp::Lifecycle { rules }, Settings::Bucket(bucket)) => {
            of(rules.iter().cloned().collect::<BTreeSet<_>>() == bucket.lifecycle)
        }
        // The plan's check rules this out.
        (_, Settings::Bucket(_) | Settings::Properties(_)) => Standing::Open,
    }
}

fn table_standing(fix_up: &FixUp, table: &TableSettings) -> Standing {
    let done = match fix_up {
        FixUp::TimeToLive { attribute } => match &table.time_to_live {
            Some((there, status)) if there == attribute && status == "ENABLED" => true,
            Some((_, status)) if status.ends_with("ING") => return Standing::Changing,
            Some(_) | None => false,
        },
        FixUp::Stream { view } => table.stream.as_ref() == Some(view),
        FixUp::PointInTimeRecovery {} => table.point_in_time,
        FixUp::DeletionProtection {} => table.deletion_protection,
        FixUp::Tags { .. }
        | FixUp::Versioning {}
        | FixUp::Lifecycle { .. }
        | FixUp::EventNotifications {}
        | FixUp::Properties { .. }
        | FixUp::Hook { .. }
        | FixUp::Without { .. } => false,
    };
    if done { Standing::Done } else { Standing::Open }
}

/// Whether a property holds everything that is wanted of it: services add members of their own to objects.
fn holds(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| there.get(name).is_some_and(|there| holds(there, wanted))),
        (Value::Array(there), Value::Array(wanted)) => wanted
            .iter()
            .all(|wanted| there.iter().any(|there| holds(there, wanted))),
        // The same number comes back as text from some services.
        (there, wanted) => {
            there == wanted || scalar(there).is_some_and(|there| Some(there) == scalar(wanted))
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The JSON Patch that sets these properties, keeping list members that are there.
#[must_use]
pub fn patch(properties: &Map<String, Value>, there: &Value) -> Value {
    let operations: Vec<Value> = properties
        .iter()
        .filter(|(name, wanted)| !there.get(*name).is_some_and(|there| holds(there, wanted)))
        .map(|(name, wanted)| {
            let value = match (there.get(name), wanted) {
                (Some(Value::Array(there)), Value::Array(wanted)) => {
                    let missing = wanted.iter().filter(|one| !there.contains(one));
                    there.iter().chain(missing).cloned().collect()
                }
                (Some(_) | None, wanted) => wanted.clone(),
            };
            json!({ "op": "add", "path": format!("/{}", name.replace('~', "~0").replace('/', "~1")), "value": value })
        })
        .collect();
    Value::Array(operations)
}

/// The next fix-up of a resource that is not done, with its place in the plan's list. A resource takes one change at a
/// time; expiry by time comes last, because it removes items.
#[must_use]
pub fn order(fix_ups: &[FixUp]) -> Vec<&FixUp> {
    let mut ordered: Vec<&FixUp> = fix_ups.iter().collect();
    ordered.sort_by_key(|fix_up| matches!(fix_up, FixUp::TimeToLive { .. } | FixUp::Lifecycle { .. }));
    ordered
}

/// Whether a fix-up is read from the resource's properties, through Cloud Control API.
#[must_use]
pub fn is_generic(fix_up: &FixUp) -> bool {
    matches!(fix_up, FixUp::Properties { .. })
}

/// Name of a fix-up for people and evidence.
#[must_use]
pub fn name(fix_up: &FixUp, resource_type: ResourceType) -> String {
    let restores: Vec<String> = fix_up.restores(resource_type).into_iter().collect();
    if let FixUp::Hook { name, .. } = fix_up {
        return name.clone();
    }
    if let FixUp::Properties { properties } = fix_up
        && restores.is_empty()
    {
        return properties.keys().cloned().collect::<Vec<_>>().join(", ");
    }
    restores.join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table_fix_ups() -> Vec<FixUp> {
        vec![
            FixUp::TimeToLive {
                attribute: "expires".to_owned(),
            },
            FixUp::Stream {
                view: "NEW_IMAGE".to_owned(),
            },
            FixUp::PointInTimeRecovery {},
            FixUp::DeletionProtection {},
            FixUp::Tags {
                tags: BTreeMap::from([("team".to_owned(), "orders".to_owned())]),
            },
        ]
    }

    /// What DynamoDB does with a request; it takes none while it is busy.
    fn apply(fix_up: &FixUp, table: &mut TableSettings) {
        match fix_up {
            FixUp::TimeToLive { attribute } => {
                table.time_to_live = Some((attribute.clone(), "ENABLED".to_owned()))
            }
            FixUp::Stream { view } => table.stream = Some(view.clone()),
            FixUp::PointInTimeRecovery {} => table.point_in_time = true,
            FixUp::DeletionProtection {} => table.deletion_protection = true,
            FixUp::Tags { tags } => table.tags.extend(tags.clone()),
            FixUp::Versioning {}
            | FixUp::Lifecycle { .. }
            | FixUp::EventNotifications {}
            | FixUp::Properties { .. }
            | FixUp::Hook { .. }
            | FixUp::Without { .. } => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_is_there_already_what_is_missing_is_asked_for_once(
            there in prop::collection::vec(any::<bool>(), 5), is_active: bool
        ) {
            let fix_ups = table_fix_ups();
            let mut table = TableSettings { is_active, ..TableSettings::default() };
            for (fix_up, there) in fix_ups.iter().zip(&there) {
                if *there {
                    apply(fix_up, &mut table);
                }
            }
            let missing = there.iter().filter(|there| !**there).count();
            let mut asked = 0;
            for fix_up in order(&fix_ups) {
                match standing(fix_up, &Settings::Table(table.clone())) {
                    Standing::Open => {
                        apply(fix_up, &mut table);
                        asked += 1;
                    }
                    Standing::Changing => {
                        prop_assert!(!is_active);
                        table.is_active = true;
                        apply(fix_up, &mut table);
                        asked += 1;
                    }
                    Standing::Done => {}
                }
            }
            prop_assert_eq!(asked, missing);
            for fix_up in &fix_ups {
                prop_assert_eq!(standing(fix_up, &Settings::Table(table.clone())), Standing::Done);
            }
        }
    }

    #[test]
    fn expiry_comes_last_and_waits_while_it_is_being_switched_on() {
        let fix_ups = table_fix_ups();
        assert!(matches!(order(&fix_ups).last(), Some(FixUp::TimeToLive { .. })));
        let of = |attribute: &str, status: &str| {
            let table = TableSettings {
                is_active: true,
                time_to_live: Some((attribute.to_owned(), status.to_owned())),
                ..TableSettings::default()
            };
            standing(&fix_ups[0], &Settings::Table(table))
        };
        assert_eq!(of("expires", "ENABLING"), Standing::Changing);
        assert_eq!(of("expires", "DISABLED"), Standing::Open);
        assert_eq!(of("other", "ENABLED"), Standing::Open);
        assert_eq!(of("expires", "ENABLED"), Standing::Done);
    }

    #[test]
    fn properties_are_read_back_and_only_what_differs_is_set() {
        let wanted = json!({"DeletionProtection": true, "BackupRetentionPeriod": 7, "Tags": [{"Key": "a", "Value": "b"}]});
        let Value::Object(properties) = wanted else {
            panic!()
        };
        let fix_up = FixUp::Properties {
            properties: properties.clone(),
        };
        let there = json!({"DeletionProtection": false, "BackupRetentionPeriod": "7", "Tags": [{"Key": "run", "Value": "x"}]});
        assert_eq!(
            standing(&fix_up, &Settings::Properties(there.clone())),
            Standing::Open
        );
        assert_eq!(
            patch(&properties, &there),
            json!([
                {"op": "add", "path": "/DeletionProtection", "value": true},
                {"op": "add", "path": "/Tags", "value": [{"Key": "run", "Value": "x"}, {"Key": "a", "Value": "b"}]},
            ])
        );
        let after = json!({"DeletionProtection": true, "BackupRetentionPeriod": 7, "Tags": [{"Key": "run", "Value": "x"}, {"Key": "a", "Value": "b"}]});
        assert_eq!(standing(&fix_up, &Settings::Properties(after)), Standing::Done);
    }
}
