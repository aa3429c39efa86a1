//! From recovery points to recovery sets.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{CANDIDATES_SCHEMA, Candidate, CandidateDocument, Dropped, RecoverySet};
use crate::artifact::Digest;
use crate::plan::{Plan, Resource};

/// A recovery point as AWS Backup lists it. Tags and names are left out: nothing is trusted because of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryPoint {
    /// Recovery point ARN.
    pub arn: String,
    /// ARN of the resource that was backed up.
    pub resource_arn: Option<String>,
    /// AWS Backup's name of the resource type, for example `DynamoDB`.
    pub resource_type: Option<String>,
    /// What AWS Backup says about it.
    pub status: PointStatus,
    /// When the backup job was created.
    pub initiated: Option<Timestamp>,
    /// When the point was created.
    pub created: Option<Timestamp>,
    /// When the point was complete.
    pub completed: Option<Timestamp>,
    /// When its lifecycle deletes it.
    pub delete_at: Option<Timestamp>,
    /// Size in bytes.
    pub bytes: Option<u64>,
    /// Whether it is the parent of a composite backup, restorable only through its children.
    pub is_parent: bool,
}

/// Status of a recovery point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PointStatus {
    /// Complete and restorable.
    Completed,
    /// Complete and restorable.
    Available,
    /// Still being made.
    Creating,
    /// Some part of it failed.
    Partial,
    /// A continuous backup that was switched off.
    Stopped,
    /// Past its retention.
    Expired,
    /// Being deleted.
    Deleting,
    /// Absent, or a status that this version does not know.
    Other(String),
}

/// How long after `now` a point must still exist to be of use: the gate's two waits, and a day for the work.
#[must_use]
pub fn needed_until(plan: &Plan, now: Timestamp) -> Timestamp {
    let minutes = i64::from(plan.approval.decide_within_minutes)
        + i64::from(plan.approval.execute_within_minutes)
        + 24 * 60;
    now.saturating_add(SignedDuration::from_mins(minutes))
        .unwrap_or(Timestamp::MAX)
}

/// Drops what cannot be restored, each with its reason, and groups the rest into recovery sets, newest first.
///
/// A set is a cut in time: of every resource the newest point not later than the cut, all within the plan's
/// `max_skew_minutes`. Every restorable point's instant is tried as a cut, so every consistent set is found once.
/// Points of resources that the plan does not name are not mentioned: a vault may hold other workloads.
#[must_use]
pub fn group(plan: &Plan, points: &[RecoveryPoint], now: Timestamp) -> CandidateDocument {
    let needed_until = needed_until(plan, now);
    let mut seen = BTreeSet::new();
    let mut dropped = Vec::new();
    let mut usable: BTreeMap<&str, BTreeMap<Timestamp, Candidate>> = plan
        .resources
        .iter()
        .map(|resource| (resource.id.as_str(), BTreeMap::new()))
        .collect();

    let mut ordered: Vec<&RecoveryPoint> = points.iter().collect();
    ordered.sort_by(|a, b| a.arn.cmp(&b.arn));
    for point in ordered {
        if !seen.insert(point.arn.as_str()) {
            continue;
        }
        let owners = plan
            .resources
            .iter()
            .filter(|resource| Some(resource.arn.as_str()) == point.resource_arn.as_deref());
        for resource in owners {
            let kept = candidate(point, resource, needed_until).and_then(|candidate| {
                let slot = usable
                    .entry(resource.id.as_str())
                    .or_default()
                    .entry(candidate.latest);
                match slot {
                    std::collections::btree_map::Entry::Vacant(slot) => {
                        slot.insert(candidate);
                        Ok(())
                    }
                    std::collections::btree_map::Entry::Occupied(other) => Err(format!(
                        "`{}` is of the same resource and instant and takes its place",
                        other.get().arn
                    )),
                }
            });
            if let Err(reason) = kept {
                dropped.push(Dropped {
                    arn: point.arn.clone(),
                    reason,
                });
            }
        }
    }

    let sets = cut(plan, &usable);
    let used: BTreeSet<&str> = sets
        .iter()
        .flat_map(|set| set.points.values().map(|point| point.arn.as_str()))
        .collect();
    for candidate in usable.values().flat_map(BTreeMap::values) {
        if !used.contains(candidate.arn.as_str()) {
            dropped.push(Dropped {
                arn: candidate.arn.clone(),
                reason: format!(
                    "no consistent set: another resource of the plan has no point of its own within {} minutes before it",
                    plan.validation.max_skew_minutes
                ),
            });
        }
    }
    dropped.sort_by(|a, b| (&a.arn, &a.reason).cmp(&(&b.arn, &b.reason)));
    dropped.dedup();
    CandidateDocument {
        schema: CANDIDATES_SCHEMA.to_owned(),
        sets,
        dropped,
        known_clean: BTreeMap::new(),
    }
}

fn candidate(
    point: &RecoveryPoint,
    resource: &Resource,
    needed_until: Timestamp,
) -> Result<Candidate, String> {
    let wanted: &str = resource.resource_type.into();
    if point.resource_type.as_deref() != Some(wanted) {
        return Err(format!(
            "it is of type `{}`, the plan says `{wanted}`",
            point.resource_type.as_deref().unwrap_or("unknown")
        ));
    }
    match &point.status {
        PointStatus::Completed | PointStatus::Available => {}
        PointStatus::Creating => return Err("it is still being created".to_owned()),
        PointStatus::Partial => return Err("it is partial: some of it was not backed up".to_owned()),
        PointStatus::Stopped => return Err(CONTINUOUS.to_owned()),
        PointStatus::Expired => return Err("it has expired".to_owned()),
        PointStatus::Deleting => return Err("it is being deleted".to_owned()),
        PointStatus::Other(status) => {
            return Err(format!("its status `{status}` is not known to be restorable"));
        }
    }
    if point.arn.contains(":recovery-point:continuous:") {
        return Err(CONTINUOUS.to_owned());
    }
    if point.is_parent {
        return Err("it is the parent of a composite backup: only its children can be restored".to_owned());
    }
    if point.delete_at.is_some_and(|at| at <= needed_until) {
        return Err(format!(
            "its lifecycle deletes it before the run can be over ({needed_until})"
        ));
    }
    // A point without its completion could hold what was written after the other two.
    let instants = [point.initiated, point.created, point.completed];
    let latest = instants.into_iter().flatten().max();
    let (Some(latest), Some(_)) = (latest, point.completed) else {
        return Err(
            "AWS Backup does not say when it was complete, so nothing proves how old it is".to_owned(),
        );
    };
    Ok(Candidate {
        arn: point.arn.clone(),
        resource_type: resource.resource_type,
        begun: instants.into_iter().flatten().min(),
        latest,
        bytes: point.bytes,
    })
}

const CONTINUOUS: &str =
    "it is a continuous backup, which holds every instant up to its end: only periodic ones are considered";

fn cut(plan: &Plan, usable: &BTreeMap<&str, BTreeMap<Timestamp, Candidate>>) -> Vec<RecoverySet> {
    let skew = SignedDuration::from_mins(i64::from(plan.validation.max_skew_minutes));
    let instants: BTreeSet<Timestamp> = usable.values().flat_map(BTreeMap::keys).copied().collect();
    instants
        .into_iter()
        .rev()
        .filter_map(|newest| {
            let points: BTreeMap<String, Candidate> = usable
                .iter()
                .filter_map(|(id, points)| {
                    let (_, point) = points.range(..=newest).next_back()?;
                    Some(((*id).to_owned(), point.clone()))
                })
                .collect();
            let oldest = points.values().map(|point| point.latest).min()?;
            let complete = points.len() == usable.len();
            let consistent = newest.duration_since(oldest) <= skew;
            (complete && consistent).then(|| RecoverySet {
                id: set_id(points.values()),
                newest,
                oldest,
                points,
            })
        })
        .collect()
}

/// The id of a set: the first 12 digits of the digest over its points' ARNs, sorted, one per line.
#[must_use]
pub fn set_id<'a>(points: impl Iterator<Item = &'a Candidate>) -> String {
    let arns: BTreeSet<&str> = points.map(|point| point.arn.as_str()).collect();
    let text: Vec<&str> = arns.into_iter().collect();
    Digest::of(text.join("\n").as_bytes()).short().to_owned()
}

#[cfg(test)]
mod tests;
