//! Route 53 changes: planned as a diff, applied as one compare-and-set batch.
//!
//! A batch of DELETE with every value of the stored record and CREATE of the new one is atomic and fails when
//! somebody changed the record in between; UPSERT would overwrite that. So nothing here ever upserts, and the
//! inverse of a change is the same change read backwards.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::TrafficName;

mod endpoint;
mod fail_open;
mod health;
pub mod message;
mod shift;
#[cfg(test)]
mod tests;

pub use endpoint::{Endpoint, Untrusted, endpoints, host};
pub use fail_open::{CheckPlan, FailOpen, fail_open};
pub use health::{CheckerReport, Health, health, seen_unhealthy};
pub use shift::{Course, SHIFT_TRAFFIC, TrafficStage, TrafficStep, stages};

/// Stands in a planned record for the health check that the run creates later.
pub const CHECK_OF_THE_RUN: &str = "{health check of the run}";
/// Set identifier of the record with the new environment.
pub const NEW: &str = "blackstart-new";
/// Set identifier of the record with the holding page.
pub const HOLDING: &str = "blackstart-holding";

/// Most `ResourceRecord` elements in one batch (`ChangeResourceRecordSets`, quotas of Route 53).
const LARGEST_BATCH_VALUES: usize = 1_000;
/// Most characters in all values of one batch (the same quotas).
const LARGEST_BATCH_CHARACTERS: usize = 32_000;

/// The change of a zone's records: one atomic batch of DELETE(exact before) and CREATE(after), and its inverse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficChange {
    /// Hosted zone id.
    pub zone: String,
    /// The record sets as they are.
    pub before: Vec<RecordSet>,
    /// The record sets as they will be.
    pub after: Vec<RecordSet>,
}

/// A Route 53 resource record set, as far as Blackstart writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordSet {
    /// Fully qualified name with final dot.
    pub name: String,
    /// Record type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Identifier within a routing group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_identifier: Option<String>,
    /// Failover role within a routing group: `PRIMARY` or `SECONDARY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<String>,
    /// Weight within a routing group, 0 to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
    /// Time to live in seconds; absent for an alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// Values; empty for an alias.
    pub values: Vec<String>,
    /// Target of an alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
    /// Health check id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<String>,
}

/// The target of an alias record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// Hosted zone id of the target.
    pub zone: String,
    /// DNS name of the target.
    pub name: String,
    /// Whether the target's own health counts.
    pub evaluate_target_health: bool,
}

impl RecordSet {
    /// The same record in the one spelling that is compared: lower case with a final dot, values in order.
    #[must_use]
    pub fn normal(&self) -> Self {
        let mut normal = self.clone();
        normal.name = fully_qualified(&self.name);
        normal.record_type = self.record_type.to_ascii_uppercase();
        normal.values.sort_unstable();
        if let Some(alias) = &mut normal.alias {
            alias.name = fully_qualified(&alias.name);
        }
        normal
    }

    /// Puts the health check's id in place of [`CHECK_OF_THE_RUN`].
    fn bind_check(&mut self, id: &str) {
        if self.health_check.as_deref() == Some(CHECK_OF_THE_RUN) {
            self.health_check = Some(id.to_owned());
        }
    }
}

impl std::fmt::Display for RecordSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.record_type)?;
        if let Some(ttl) = self.ttl {
            write!(f, " {ttl}s")?;
        }
        if let Some(failover) = &self.failover {
            write!(f, " {failover}")?;
        }
        if let Some(weight) = self.weight {
            write!(f, " weight {weight}")?;
        }
        match &self.alias {
            Some(alias) => write!(f, " alias {}", alias.name)?,
            None => write!(f, " {}", self.values.join(" "))?,
        }
        if self.health_check.is_some() {
            f.write_str(" (checked)")?;
        }
        Ok(())
    }
}

/// Lower case, with the final dot.
#[must_use]
pub fn fully_qualified(name: &str) -> String {
    let mut name = name.to_ascii_lowercase();
    if !name.ends_with('.') {
        name.push('.');
    }
    name
}

/// What the live records are, compared with a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// As recorded before the change.
    Before,
    /// As wanted after the change.
    After,
    /// Neither: somebody else changed them.
    Third {
        /// The differences to *before*, for people.
        differences: Vec<String>,
    },
}

/// One line of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordChange<'a> {
    /// Removes the record set, if it is exactly this.
    Delete(&'a RecordSet),
    /// Creates the record set, if there is none.
    Create(&'a RecordSet),
}

impl TrafficChange {
    /// The batch: what is there is deleted exactly, what is wanted is created. Empty when nothing changes.
    #[must_use]
    pub fn batch(&self) -> Vec<RecordChange<'_>> {
        let deletes = self.before.iter().filter(|set| !self.after.contains(set));
        let creates = self.after.iter().filter(|set| !self.before.contains(set));
        deletes
            .map(RecordChange::Delete)
            .chain(creates.map(RecordChange::Create))
            .collect()
    }

    /// The change that undoes this one.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self {
            zone: self.zone.clone(),
            before: self.after.clone(),
            after: self.before.clone(),
        }
    }

    /// The change with the health check's id in place of [`CHECK_OF_THE_RUN`].
    #[must_use]
    pub fn with_check(&self, id: &str) -> Self {
        let mut bound = self.clone();
        for set in &mut bound.after {
            set.bind_check(id);
        }
        bound
    }

    /// Seconds for which somebody may still be told what was true before: the longest time to live of the records as
    /// they were. An alias of a load balancer lives for a minute, and cannot live otherwise.
    #[must_use]
    pub fn old_answers_live(&self) -> u32 {
        const ALIAS: u32 = 60;
        let lives = self.before.iter().map(|set| set.ttl.unwrap_or(ALIAS));
        lives.max().unwrap_or(0)
    }

    /// Every name and type that is served after the change, with the values that may be answered.
    #[must_use]
    pub fn served(&self) -> BTreeMap<(String, String), BTreeSet<String>> {
        let mut served: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for set in &self.after {
            let set = set.normal();
            served
                .entry((set.name, set.record_type))
                .or_default()
                .extend(set.values);
        }
        served
    }

    /// The names whose records are touched.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        self.before
            .iter()
            .chain(&self.after)
            .map(|set| fully_qualified(&set.name))
            .collect()
    }

    /// Compares the live records of the zone with this change. Records of other names and of types that carry no
    /// traffic are ignored.
    #[must_use]
    pub fn classify(&self, live: &[RecordSet]) -> Image {
        let names = self.names();
        if differences(&names, &self.after, live).is_empty() {
            return Image::After;
        }
        let differences = differences(&names, &self.before, live);
        if differences.is_empty() {
            Image::Before
        } else {
            Image::Third { differences }
        }
    }

    /// The change as people read it.
    #[must_use]
    pub fn diff(&self) -> Vec<String> {
        self.batch()
            .iter()
            .map(|change| match change {
                RecordChange::Delete(set) => format!("- {set}"),
                RecordChange::Create(set) => format!("+ {set}"),
            })
            .collect()
    }
}

/// What is missing of an image, and what is there instead, among the records of these names that carry traffic.
fn differences(names: &BTreeSet<String>, image: &[RecordSet], live: &[RecordSet]) -> Vec<String> {
    let live: BTreeSet<RecordSet> = live
        .iter()
        .filter(|set| names.contains(&fully_qualified(&set.name)) && carries_traffic(&set.record_type))
        .map(RecordSet::normal)
        .collect();
    let image: BTreeSet<RecordSet> = image.iter().map(RecordSet::normal).collect();
    let gone = image.difference(&live).map(|set| format!("- {set}"));
    let come = live.difference(&image).map(|set| format!("+ {set}"));
    gone.chain(come).collect()
}

/// Whether a batch of these record sets is above the quotas of Route 53.
fn too_large<'a>(sets: impl Iterator<Item = &'a RecordSet> + Clone) -> bool {
    let values = sets.flat_map(|set| &set.values);
    values.clone().count() > LARGEST_BATCH_VALUES
        || values.map(String::len).sum::<usize>() > LARGEST_BATCH_CHARACTERS
}

/// The records of a hosted zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneRecords {
    /// Every record set that can be written back as it is.
    pub records: Vec<RecordSet>,
    /// Names with record sets that Blackstart cannot write back: latency, geolocation, traffic policies.
    pub other_routing: BTreeSet<String>,
}

/// What a change of traffic is planned from.
#[derive(Debug, Clone, Copy)]
pub struct TrafficFacts<'a> {
    /// Hosted zone id.
    pub zone: &'a str,
    /// The names whose traffic moves.
    pub names: &'a [TrafficName],
    /// The live records of the zone.
    pub live: &'a ZoneRecords,
    /// Refuse when more than this share of the zone's records would change, in percent.
    pub max_changed_percent: u8,
    /// Refuse when more than this share would be deleted without one of the same name and type in their place.
    pub max_deleted_percent: u8,
}

/// Traffic cannot be moved as asked. Holds every reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the records cannot be changed as planned: {}", .0.join("; "))]
pub struct TrafficRefused(pub Vec<String>);

/// Plans the change: for every name the records that are there become a failover pair, PRIMARY the new environment
/// under the run's health check, SECONDARY the holding page.
///
/// # Errors
/// [`TrafficRefused`] with every reason: records that would keep pointing elsewhere, a holding page that is today's
/// target, a share above the threshold, a batch above the quotas of Route 53.
pub fn plan(facts: &TrafficFacts<'_>) -> Result<TrafficChange, TrafficRefused> {
    let mut reasons = Vec::new();
    let mut wanted: BTreeMap<(String, String), &TrafficName> = BTreeMap::new();
    for name in facts.names {
        let key = (fully_qualified(&name.name), name.record_type.to_ascii_uppercase());
        if !carries_traffic(&key.1) {
            reasons.push(format!(
                "`{}` is of type `{}`: only A, AAAA and CNAME are changed",
                key.0, key.1
            ));
        }
        if wanted.insert(key.clone(), name).is_some() {
            reasons.push(format!("`{}` of type {} is listed twice", key.0, key.1));
        }
    }
    for (name, _) in wanted.keys() {
        if facts.live.other_routing.contains(name) {
            reasons.push(format!(
                "`{name}` has records with a kind of routing that could not be given back: change them by hand first"
            ));
        }
    }
    let mut before = Vec::new();
    for set in &facts.live.records {
        let name = fully_qualified(&set.name);
        let record_type = set.record_type.to_ascii_uppercase();
        let planned_types: Vec<&str> = wanted
            .keys()
            .filter(|(wanted, _)| *wanted == name)
            .map(|(_, record_type)| record_type.as_str())
            .collect();
        if planned_types.is_empty() || matches!(record_type.as_str(), "NS" | "SOA") {
            continue;
        }
        let replaced = planned_types.contains(&record_type.as_str())
            || record_type == "CNAME"
            || (planned_types.contains(&"CNAME") && carries_traffic(&record_type));
        if replaced {
            before.push(set.clone());
        } else if carries_traffic(&record_type) {
            reasons.push(format!(
                "`{set}` would keep pointing where it points: add `{name}` of type {record_type} to the plan's names"
            ));
        } else if planned_types.contains(&"CNAME") {
            reasons.push(format!(
                "`{name}` cannot become a CNAME while it has a {record_type} record"
            ));
        }
    }
    let mut after = Vec::new();
    for ((name, record_type), traffic) in &wanted {
        if record_type == "CNAME" && wanted.keys().filter(|(other, _)| other == name).count() > 1 {
            reasons.push(format!("`{name}` cannot be a CNAME and something else"));
        }
        reasons.extend(untrue_targets(name, record_type, traffic, &before));
        for (identifier, failover, values, health_check) in [
            (NEW, "PRIMARY", &traffic.new, Some(CHECK_OF_THE_RUN.to_owned())),
            (HOLDING, "SECONDARY", &traffic.holding, None),
        ] {
            after.push(
                RecordSet {
                    name: name.clone(),
                    record_type: record_type.clone(),
                    set_identifier: Some(identifier.to_owned()),
                    failover: Some(failover.to_owned()),
                    weight: None,
                    ttl: Some(traffic.ttl),
                    values: values.clone(),
                    alias: None,
                    health_check,
                }
                .normal(),
            );
        }
    }
    let zone_size = facts.live.records.len() + facts.live.other_routing.len();
    if before.len() * 100 > zone_size * usize::from(facts.max_changed_percent) {
        reasons.push(format!(
            "{} of {zone_size} records would change, more than the {} % that the plan allows",
            before.len(),
            facts.max_changed_percent
        ));
    }
    let deleted = before
        .iter()
        .filter(|set| {
            !wanted.contains_key(&(fully_qualified(&set.name), set.record_type.to_ascii_uppercase()))
        })
        .count();
    if deleted * 100 > zone_size * usize::from(facts.max_deleted_percent) {
        reasons.push(format!(
            "{deleted} of {zone_size} records would be deleted, more than the {} % that the plan allows",
            facts.max_deleted_percent
        ));
    }
    if too_large(before.iter().chain(&after)) {
        reasons.push("the batch is larger than Route 53 takes at once, and is not split".to_owned());
    }
    if !reasons.is_empty() {
        return Err(TrafficRefused(reasons));
    }
    before.sort();
    after.sort();
    Ok(TrafficChange {
        zone: facts.zone.to_owned(),
        before,
        after,
    })
}

/// Targets that would leave traffic where it is: today's values as the new environment or as the holding page.
fn untrue_targets(name: &str, record_type: &str, traffic: &TrafficName, before: &[RecordSet]) -> Vec<String> {
    let today: BTreeSet<&str> = before
        .iter()
        .filter(|set| fully_qualified(&set.name) == name && !is_ours(set))
        .flat_map(|set| {
            set.values
                .iter()
                .chain(set.alias.as_ref().map(|alias| &alias.name))
        })
        .map(|value| value.trim_end_matches('.'))
        .collect();
    let mut reasons = Vec::new();
    for (role, values) in [
        ("new environment", &traffic.new),
        ("holding page", &traffic.holding),
    ] {
        if values.is_empty() {
            reasons.push(format!(
                "`{name}` of type {record_type} has no value for the {role}"
            ));
        }
        for value in values {
            if today.contains(value.trim_end_matches('.')) {
                reasons.push(format!("`{name}`: `{value}` as the {role} is today's target"));
            }
        }
    }
    if traffic.new.iter().any(|value| traffic.holding.contains(value)) {
        reasons.push(format!(
            "`{name}`: the holding page is the new environment itself"
        ));
    }
    reasons
}

/// Whether a record is one of a pair that an earlier run made.
fn is_ours(set: &RecordSet) -> bool {
    matches!(set.set_identifier.as_deref(), Some(NEW | HOLDING))
}

/// Record types by which clients find the workload.
fn carries_traffic(record_type: &str) -> bool {
    matches!(record_type, "A" | "AAAA" | "CNAME")
}
