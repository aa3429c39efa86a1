//! The trial of one recovery set: throw-away names, tokens, and the record that clean-up works from.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access_point::TrialAccess;
use super::reuse::PointVerdict;
use super::{LayerVerdict, RecoverySet, Verdict};
use crate::artifact::Digest;
use crate::plan::{Amount, Layer, ResourceType};
use crate::run::RunId;

/// Every throw-away resource's name begins with this; nothing else is ever deleted.
pub const TARGET_PREFIX: &str = "blackstart-trial-";

/// Role in the validation account that AWS Backup uses to restore and to read a point for a scan
/// (`infra/accounts/validation.yaml`). It is not the role that Blackstart itself assumes.
pub const BACKUP_ROLE: &str = "BlackstartBackupRestore";

/// Role in the validation account that the malware scanner uses.
pub const SCANNER_ROLE: &str = "BlackstartMalwareScan";

/// How often a set is offered for validation before it is given up as unknown.
pub const MAX_OFFERS: usize = 3;

/// How long scans and restores may take before the set is judged without them.
pub const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// The record of a set's trial, under [`crate::ledger::Key::trial`].
///
/// It is written before anything is started, so that clean-up knows every name even after a crash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialRecord {
    /// The set.
    pub set: String,
    /// When the walk offered this set; a repeat of the same invocation counts once.
    pub offered: BTreeSet<Timestamp>,
    /// Number of the current attempt, from 1. Names and tokens differ between attempts.
    pub attempt: u32,
    /// When the current attempt was started.
    pub started: Option<Timestamp>,
    /// Whether the current attempt's resources were removed.
    pub cleaned: bool,
    /// Attempt to what its restores and scans are estimated to cost, where the plan has prices.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub estimates: BTreeMap<u32, Amount>,
    /// Plan resource id to its trial.
    pub resources: BTreeMap<String, TrialResource>,
}

/// The trial of one recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialResource {
    /// Recovery point ARN.
    pub point: String,
    /// What it holds.
    pub resource_type: ResourceType,
    /// Name of the throw-away bucket or table.
    pub target: String,
    /// The restore job.
    pub restore: TrialJob,
    /// The access point that takes its place, where the plan prefers one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<TrialAccess>,
    /// An earlier verdict on the point, which spares the jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<PointVerdict>,
    /// The malware scan job; absent where the plan does not ask for one or it does not apply.
    pub scan: Option<TrialJob>,
}

/// One job of a trial.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialJob {
    /// AWS Backup's job id; absent until the job is started.
    pub id: Option<String>,
    /// What it said; absent until it has ended or could not be started.
    pub said: Option<LayerVerdict>,
    /// Whether AWS Backup said that it has ended, or knows no such job. What was given up as too late is still at work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// ARN of what a restore made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
}

/// What a restore left in the validation account, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remains<'a> {
    /// Nothing.
    Nothing,
    /// Whatever has the trial's own name, if there is something.
    Named,
    /// This ARN.
    Arn(&'a str),
    /// Something with an id that AWS chose and that the completed job does not tell.
    Unsaid,
}

impl TrialResource {
    /// Whether the restore job is not known to have ended.
    #[must_use]
    pub fn is_restoring(&self) -> bool {
        self.restore.id.is_some() && !self.restore.ended
    }

    /// What clean-up has to remove, once the job has ended.
    #[must_use]
    pub fn remains(&self) -> Remains<'_> {
        if let Some(arn) = &self.restore.made {
            return Remains::Arn(arn);
        }
        match self.resource_type {
            ResourceType::S3 | ResourceType::DynamoDb | ResourceType::Rds | ResourceType::Aurora => {
                Remains::Named
            }
            ResourceType::Ebs | ResourceType::Ec2 | ResourceType::Efs | ResourceType::Fsx => {
                let said = self.restore.said.as_ref().map(|said| said.verdict);
                if self.restore.id.is_some() && said == Some(Verdict::Clean) {
                    Remains::Unsaid
                } else {
                    Remains::Nothing
                }
            }
        }
    }
}

impl TrialRecord {
    /// Takes note that the walk offered this set.
    pub fn offer(&mut self, set: &str, at: Timestamp) {
        set.clone_into(&mut self.set);
        self.offered.insert(at);
    }

    /// Whether the set was offered often enough without coming to a verdict.
    #[must_use]
    pub fn is_given_up(&self, at: Timestamp) -> bool {
        !self.offered.contains(&at) && self.offered.len() >= MAX_OFFERS
    }

    /// Names everything that the trial of this set will create.
    ///
    /// A repeat changes nothing; after clean-up it begins a new attempt with new names, because a repeated token
    /// would return the old job, whose result is gone.
    pub fn prepare(&mut self, run: &RunId, set: &RecoverySet, required: &BTreeSet<Layer>, now: Timestamp) {
        if self.attempt > 0 && !self.cleaned {
            return;
        }
        let attempt = self.attempt.saturating_add(1);
        let resources = set
            .points
            .iter()
            .map(|(id, point)| {
                let scanned = required.contains(&Layer::MalwareScan)
                    && super::verdict::applies(Layer::MalwareScan, point.resource_type);
                let trial = TrialResource {
                    point: point.arn.clone(),
                    resource_type: point.resource_type,
                    target: target(run, &set.id, id, attempt),
                    reused: None,
                    restore: TrialJob::default(),
                    access: None,
                    scan: scanned.then(TrialJob::default),
                };
                (id.clone(), trial)
            })
            .collect();
        set.id.clone_into(&mut self.set);
        self.attempt = attempt;
        self.started = Some(now);
        self.cleaned = false;
        self.resources = resources;
    }

    /// What all attempts together are estimated to cost.
    #[must_use]
    pub fn spent(&self) -> Amount {
        self.estimates
            .values()
            .copied()
            .fold(Amount::default(), Amount::plus)
    }

    /// Every job of the current attempt that is needed.
    pub fn jobs(&self) -> impl Iterator<Item = &TrialJob> {
        self.resources
            .values()
            .filter(|trial| trial.reused.is_none())
            .flat_map(|trial| std::iter::once(&trial.restore).chain(trial.scan.as_ref()))
    }

    /// Whether every job has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.jobs().all(|job| job.said.is_some())
    }

    /// Gives up on jobs that are still at work after [`PATIENCE`].
    pub fn time_out(&mut self, now: Timestamp) {
        let late = self
            .started
            .is_some_and(|started| now.duration_since(started) > PATIENCE);
        if !late {
            return;
        }
        for trial in self.resources.values_mut() {
            for job in std::iter::once(&mut trial.restore).chain(trial.scan.as_mut()) {
                if job.said.is_none() {
                    job.said = Some(LayerVerdict::new(
                        Verdict::Unknown,
                        format!("not ended after {PATIENCE:#}"),
                    ));
                }
            }
        }
    }
}

/// The name of a throw-away bucket or table: valid for both, and never one that exists for another purpose.
#[must_use]
pub fn target(run: &RunId, set: &str, resource: &str, attempt: u32) -> String {
    let digest = Digest::of(format!("{run}\n{set}\n{resource}\n{attempt}").as_bytes());
    let digits: String = digest.as_str().chars().take(24).collect();
    format!("{TARGET_PREFIX}{digits}")
}

/// The idempotency token of a job. Purpose is `trial` or `scan`, so that no two jobs are taken for one.
#[must_use]
pub fn token(run: &RunId, set: &str, point: &str, purpose: &str, attempt: u32) -> String {
    let digest = Digest::of(format!("{run}\n{set}\n{point}\n{purpose}\n{attempt}").as_bytes());
    digest.as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::WorkloadName;
    use crate::validation::testing::{at, set};

    fn run() -> RunId {
        RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x")
    }

    #[test]
    fn preparing_twice_names_the_same_and_after_clean_up_something_new() {
        let layers = BTreeSet::from([Layer::TrialRestore, Layer::MalwareScan]);
        let mut record = TrialRecord::default();
        record.prepare(&run(), &set("a", 0), &layers, at(0));
        let first = record.clone();
        record.prepare(&run(), &set("a", 0), &layers, at(9));
        assert_eq!(record, first);
        record.cleaned = true;
        record.prepare(&run(), &set("a", 0), &layers, at(10));
        assert_eq!(record.attempt, 2);
        assert_ne!(record.resources["data"].target, first.resources["data"].target);
        assert!(!record.cleaned);
    }

    #[test]
    fn names_are_valid_for_buckets_and_tables_and_differ_by_set() {
        let name = target(&run(), "a", "data", 1);
        assert!(name.len() <= 63 && name.starts_with(TARGET_PREFIX));
        assert!(
            name.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        );
        assert_ne!(name, target(&run(), "b", "data", 1));
        assert_ne!(
            token(&run(), "a", "p", "trial", 1),
            token(&run(), "a", "p", "scan", 1)
        );
    }

    #[test]
    fn a_set_that_never_comes_to_a_verdict_is_given_up() {
        let mut record = TrialRecord::default();
        for round in 0..3 {
            assert!(!record.is_given_up(at(round)));
            record.offer("a", at(round));
            record.offer("a", at(round));
        }
        assert!(!record.is_given_up(at(2)), "a repeated invocation counts once");
        assert!(record.is_given_up(at(3)));
    }

    #[test]
    fn what_was_never_made_needs_no_removal_and_what_nobody_names_is_not_forgotten() {
        let mut record = TrialRecord::default();
        record.prepare(&run(), &set("a", 0), &BTreeSet::new(), at(0));
        let trial = record.resources.get_mut("data").unwrap();
        assert_eq!(
            trial.remains(),
            Remains::Named,
            "the answer of its start may be lost"
        );
        trial.resource_type = ResourceType::Fsx;
        assert_eq!(trial.remains(), Remains::Nothing);
        trial.restore.id = Some("job".to_owned());
        assert!(trial.is_restoring());
        trial.restore.ended = true;
        trial.restore.said = Some(LayerVerdict::new(Verdict::Unknown, "failed"));
        assert_eq!((trial.is_restoring(), trial.remains()), (false, Remains::Nothing));
        trial.restore.said = Some(LayerVerdict::new(Verdict::Clean, "completed"));
        assert_eq!(trial.remains(), Remains::Unsaid);
        trial.restore.made = Some("arn:fs".to_owned());
        assert_eq!(trial.remains(), Remains::Arn("arn:fs"));
    }

    #[test]
    fn a_job_that_never_ends_is_unknown_in_the_end() {
        let mut record = TrialRecord::default();
        record.prepare(&run(), &set("a", 0), &BTreeSet::new(), at(0));
        record.time_out(at(24 * 60));
        assert!(!record.is_done());
        record.resources.get_mut("data").unwrap().restore.id = Some("job".to_owned());
        record.time_out(at(24 * 60 + 1));
        assert!(record.is_done());
        assert!(record.resources["data"].is_restoring(), "given up is not ended");
        assert!(
            record
                .jobs()
                .all(|job| job.said.as_ref().unwrap().verdict == Verdict::Unknown)
        );
    }
}
