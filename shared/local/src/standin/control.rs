//! What a scenario says to the stand-in: its content, and what shall go wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde_json::Value;

use super::caller::arn;

/// The handle by which a scenario fills and disturbs the stand-in.
#[derive(Debug, Clone)]
pub struct Control(Arc<Mutex<State>>);

impl Default for Control {
    fn default() -> Self {
        let state = State {
            tells: true,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }
}

/// Everything that the stand-in knows.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) vaults: BTreeMap<(String, String), Vault>,
    pub(super) access_vaults: BTreeMap<(String, String), AccessVault>,
    pub(super) vault_policies: BTreeMap<(String, String), String>,
    pub(super) points: BTreeMap<String, Point>,
    pub(super) restores: BTreeMap<String, Arc<tokio::sync::Mutex<RestoreJob>>>,
    pub(super) restore_tokens: BTreeMap<(String, String), String>,
    pub(super) scans: BTreeMap<String, ScanJob>,
    pub(super) scan_tokens: BTreeMap<(String, String), String>,
    pub(super) findings: BTreeMap<String, Vec<Value>>,
    pub(super) analyzers: BTreeMap<String, Vec<Value>>,
    pub(super) policies: BTreeMap<String, Policy>,
    pub(super) checks: BTreeMap<String, super::health::Observed>,
    pub(super) faults: BTreeMap<Operation, VecDeque<Fault>>,
    pub(super) access_points: BTreeMap<String, AccessPoint>,
    /// Whether jobs end by themselves, and EventBridge is told.
    pub(super) tells: bool,
    pub(super) next_job: u64,
    pub(super) started: Vec<StartedJob>,
}

/// A job that AWS Backup was asked to do. A repeated token is no new job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedJob {
    /// Account of the caller.
    pub account: String,
    /// `restore`, `scan` or `access point`.
    pub kind: &'static str,
    /// Recovery point ARN.
    pub point: String,
}

/// A policy of the organisation, and where it is attached.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) kind: String,
    pub(super) content: String,
    pub(super) targets: BTreeSet<String>,
}

/// A backup vault.
#[derive(Debug, Clone, Default)]
pub(super) struct Vault {
    pub(super) shared_with: BTreeSet<String>,
    pub(super) team: Option<(String, TeamAnswer)>,
}

/// What an approval team does when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeamAnswer {
    /// `APPROVED`, `EXECUTED`, and the vault becomes `AVAILABLE` a little later.
    Approves,
    /// `FAILED`, `REJECTED`.
    Rejects,
    /// Nobody answers, which at the end of the session counts as a no: `FAILED`, `EXPIRED`.
    Silence,
    /// The team is changed while it decides: `FAILED`, `CONFIGURATION_CHANGED`.
    Changes,
    /// `APPROVED`, but AWS Backup may not do what was approved: execution `FAILED`.
    ExecutionFails,
    /// `APPROVED`, `EXECUTED`, and the vault is `FAILED`.
    VaultFails,
}

/// A restore access vault: there from the request on, usable once its session is approved and executed.
#[derive(Debug, Clone)]
pub(super) struct AccessVault {
    pub(super) account: String,
    pub(super) source: (String, String),
    pub(super) source_arn: String,
    pub(super) request: Option<String>,
    pub(super) session: String,
    pub(super) comment: String,
    pub(super) team: String,
    pub(super) answer: TeamAnswer,
    pub(super) created: Timestamp,
    pub(super) looks: u32,
}

impl AccessVault {
    /// `Status`, `StatusCode` and `ExecutionStatus`: `CREATING`, then `PENDING`, then the end.
    pub(super) fn session_state(&self) -> (&'static str, Option<&'static str>, Option<&'static str>) {
        match (self.looks, self.answer) {
            (0..=2, _) => ("CREATING", None, None),
            (3 | 4, _) => ("PENDING", None, None),
            (_, TeamAnswer::Rejects) => ("FAILED", Some("REJECTED"), None),
            (_, TeamAnswer::Silence) => ("FAILED", Some("EXPIRED"), None),
            (_, TeamAnswer::Changes) => ("FAILED", Some("CONFIGURATION_CHANGED"), None),
            (_, TeamAnswer::ExecutionFails) => ("APPROVED", None, Some("FAILED")),
            // Approved is not yet executed.
            (5 | 6, TeamAnswer::Approves | TeamAnswer::VaultFails) => ("APPROVED", None, Some("PENDING")),
            (_, TeamAnswer::Approves | TeamAnswer::VaultFails) => ("APPROVED", None, Some("EXECUTED")),
        }
    }

    /// `VaultState`: executed is not yet available.
    pub(super) fn state(&self) -> &'static str {
        match self.answer {
            TeamAnswer::Approves if self.looks > 8 => "AVAILABLE",
            TeamAnswer::VaultFails if self.looks > 8 => "FAILED",
            TeamAnswer::Approves
            | TeamAnswer::Rejects
            | TeamAnswer::Silence
            | TeamAnswer::Changes
            | TeamAnswer::ExecutionFails
            | TeamAnswer::VaultFails => "CREATING",
        }
    }
}

/// A recovery point in its vault.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) vault_account: String,
    pub(super) point: Arc<RecoveryPoint>,
}

/// A recovery point as a scenario describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveryPoint {
    /// Its ARN.
    pub arn: String,
    /// Name of the vault that holds it.
    pub vault: String,
    /// ARN of the resource that was backed up.
    pub resource: String,
    /// `COMPLETED`, `AVAILABLE`, `PARTIAL`, `EXPIRED` and so on.
    pub status: String,
    /// When the backup was begun.
    pub initiated: Timestamp,
    /// When AWS Backup created the point.
    pub created: Timestamp,
    /// When the backup was complete.
    pub completed: Option<Timestamp>,
    /// When its lifecycle deletes it.
    pub deleted_at: Option<Timestamp>,
    /// What a restore brings back.
    pub content: Content,
    /// What a malware scan says about it.
    pub scan: ScanOutcome,
}

/// What a recovery point holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Objects of a bucket, by key.
    Objects(BTreeMap<String, Vec<u8>>),
    /// A table.
    Table(Table),
}

impl Content {
    /// The resource type as AWS Backup names it.
    #[must_use]
    pub fn resource_type(&self) -> &'static str {
        match self {
            Self::Objects(_) => "S3",
            Self::Table(_) => "DynamoDB",
        }
    }

    /// Bytes, roughly as AWS Backup would count them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes: usize = match self {
            Self::Objects(objects) => objects.values().map(Vec::len).sum(),
            Self::Table(table) => table.items.len() * 200,
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// A DynamoDB table with a string as its partition key.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Name of the partition key.
    pub partition_key: String,
    /// The items.
    pub items: Vec<BTreeMap<String, AttributeValue>>,
}

/// What a malware scan says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanOutcome {
    /// `COMPLETED`, `NO_THREATS_FOUND`.
    Clean,
    /// `COMPLETED`, `THREATS_FOUND`.
    Threats,
    /// `COMPLETED_WITH_ISSUES`, yet `NO_THREATS_FOUND`: files were skipped, so nothing is proven.
    CleanWithIssues,
    /// `COMPLETED` without any result.
    NoResult,
    /// `FAILED`.
    Failed,
}

/// The operations that can be disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// `ListRecoveryPointsByBackupVault`.
    ListRecoveryPoints,
    /// `StartRestoreJob`.
    StartRestoreJob,
    /// `DescribeRestoreJob`.
    DescribeRestoreJob,
    /// `StartScanJob`.
    StartScanJob,
    /// `DescribeScanJob`.
    DescribeScanJob,
    /// `CreateBackupAccessPoint`.
    CreateBackupAccessPoint,
    /// `GetHealthCheckStatus`.
    GetHealthCheckStatus,
    /// `TestDNSAnswer`.
    TestDnsAnswer,
    /// `ListFindings` of GuardDuty.
    ListFindings,
    /// Every operation of AWS Organizations.
    Organizations,
}

/// How one call is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refused by throttling; nothing happened.
    Throttled,
    /// Answered with an error of the service; nothing happened.
    Unavailable,
    /// Done, but answered with an error: the caller cannot know.
    AnsweredAfterTheFact,
    /// The job that is started will end as `FAILED`.
    JobFails,
}

/// A restore job.
#[derive(Debug, Clone)]
pub(super) struct RestoreJob {
    pub(super) id: String,
    pub(super) account: String,
    pub(super) point: Arc<RecoveryPoint>,
    pub(super) vault_account: String,
    pub(super) role: String,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) created: Timestamp,
    pub(super) completed: Option<Timestamp>,
    pub(super) status: &'static str,
    pub(super) message: Option<String>,
    pub(super) result: Option<String>,
    pub(super) fails: bool,
    pub(super) validation: Option<(String, Option<String>)>,
}

/// A scan job.
#[derive(Debug, Clone)]
pub(super) struct ScanJob {
    pub(super) account: String,
    pub(super) point: Arc<RecoveryPoint>,
    pub(super) vault_account: String,
    pub(super) role: String,
    pub(super) scanner_role: String,
    pub(super) mode: String,
    pub(super) created: Timestamp,
    pub(super) polls: u32,
    pub(super) fails: bool,
}

/// An access point of AWS Backup.
#[derive(Debug, Clone)]
pub(super) struct AccessPoint {
    pub(super) account: String,
    pub(super) name: String,
    pub(super) point: Arc<RecoveryPoint>,
    pub(super) vault_account: String,
    pub(super) created: Timestamp,
    pub(super) looks: u32,
    pub(super) fails: bool,
}

impl Control {
    /// Locks the state. A panic elsewhere leaves it usable: every change is a single insertion.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a vault, or shares an existing one with further accounts.
    pub fn add_vault<'a>(&self, account: &str, name: &str, shared_with: impl IntoIterator<Item = &'a str>) {
        let mut state = self.state();
        let vault = state
            .vaults
            .entry((account.to_owned(), name.to_owned()))
            .or_default();
        vault
            .shared_with
            .extend(shared_with.into_iter().map(str::to_owned));
    }

    /// Lets a team guard an existing vault, and says what it does when it is asked.
    pub fn guard_vault(&self, account: &str, name: &str, team: &str, answer: TeamAnswer) {
        let mut state = self.state();
        let vault = state
            .vaults
            .entry((account.to_owned(), name.to_owned()))
            .or_default();
        vault.team = Some((team.to_owned(), answer));
    }

    /// Comments of all requests for access to a guarded vault, in no particular order.
    #[must_use]
    pub fn requests_to_teams(&self) -> Vec<String> {
        let state = self.state();
        state
            .access_vaults
            .values()
            .map(|vault| vault.comment.clone())
            .collect()
    }

    /// Makes a policy of the organisation, attached to nothing.
    pub fn add_policy(&self, id: &str, kind: &str, content: &str) {
        let policy = Policy {
            kind: kind.to_owned(),
            content: content.to_owned(),
            targets: BTreeSet::new(),
        };
        self.state().policies.insert(id.to_owned(), policy);
    }

    /// Detaches a policy of the organisation from everything.
    pub fn detach(&self, policy: &str) {
        if let Some(policy) = self.state().policies.get_mut(policy) {
            policy.targets.clear();
        }
    }

    /// Where a policy of the organisation is attached.
    #[must_use]
    pub fn targets_of(&self, policy: &str) -> BTreeSet<String> {
        let state = self.state();
        state
            .policies
            .get(policy)
            .map(|policy| policy.targets.clone())
            .unwrap_or_default()
    }

    /// Gives the account an Access Analyzer of type `ACCOUNT` with these active findings, in the form of
    /// `ListFindings`.
    pub fn add_analyzer(&self, account: &str, findings: Vec<Value>) {
        self.state().analyzers.insert(account.to_owned(), findings);
    }

    /// Writes the access policy of a vault.
    pub fn set_vault_policy(&self, account: &str, name: &str, policy: String) {
        let place = (account.to_owned(), name.to_owned());
        self.state().vault_policies.insert(place, policy);
    }

    /// The access policy of a vault.
    #[must_use]
    pub fn vault_policy(&self, account: &str, name: &str) -> Option<String> {
        let place = (account.to_owned(), name.to_owned());
        self.state().vault_policies.get(&place).cloned()
    }

    /// Puts a recovery point into a vault of this account; the vault is made if need be.
    pub fn add_recovery_point(&self, account: &str, point: RecoveryPoint) {
        self.add_vault(account, &point.vault, []);
        let point = Point {
            vault_account: account.to_owned(),
            point: Arc::new(point),
        };
        self.state().points.insert(point.point.arn.clone(), point);
    }

    /// Adds a GuardDuty finding, in the form of `GetFindings`, to the detector of this account.
    pub fn add_finding(&self, account: &str, finding: Value) {
        self.state()
            .findings
            .entry(account.to_owned())
            .or_default()
            .push(finding);
    }

    /// Disturbs the next call of this operation; further calls of this method queue up.
    pub fn disturb(&self, operation: Operation, fault: Fault) {
        self.state().faults.entry(operation).or_default().push_back(fault);
    }

    /// Whether the jobs that are started from now on end in their own time, and EventBridge is told. At first they do.
    /// Otherwise a job goes on when it is looked at, and no event comes.
    pub fn tell_of_jobs(&self, tells: bool) {
        self.state().tells = tells;
    }

    /// Names of the access points that are there, in order.
    #[must_use]
    pub fn access_points(&self) -> Vec<String> {
        let state = self.state();
        state
            .access_points
            .values()
            .map(|point| point.name.clone())
            .collect()
    }

    /// How many restore jobs were begun.
    #[must_use]
    pub fn restore_jobs(&self) -> usize {
        self.state().restores.len()
    }

    /// The jobs that an account has started so far, in order.
    #[must_use]
    pub fn started_jobs(&self, account: &str) -> Vec<StartedJob> {
        let state = self.state();
        let own = state.started.iter().filter(|job| job.account == account);
        own.cloned().collect()
    }

    /// The fault that the scenario wants for this call.
    pub(super) fn fault(&self, operation: Operation) -> Option<Fault> {
        self.state().faults.get_mut(&operation)?.pop_front()
    }
}

impl State {
    /// A new job id in the form of AWS Backup's.
    pub(super) fn new_job_id(&mut self) -> String {
        self.next_job += 1;
        format!("{:08X}-57AD-1D00-0000-000000000000", self.next_job)
    }

    /// Takes note that a job was started.
    pub(super) fn note(&mut self, account: &str, kind: &'static str, point: &str) {
        self.started.push(StartedJob {
            account: account.to_owned(),
            kind,
            point: point.to_owned(),
        });
    }

    /// Somebody looked at a restore access vault or its session: it goes on by a step, and opens if that was the last.
    pub(super) fn looked(&mut self, place: &(String, String)) {
        let Some(vault) = self.access_vaults.get_mut(place) else {
            return;
        };
        vault.looks = vault.looks.saturating_add(1);
        if vault.state() == "AVAILABLE" {
            let (source, account) = (vault.source.clone(), vault.account.clone());
            if let Some(source) = self.vaults.get_mut(&source) {
                source.shared_with.insert(account);
            }
        }
    }

    /// A vault as this account sees it: its own, or another account's that is shared with it.
    pub(super) fn sees(&self, account: &str, vault_account: &str, vault: &str) -> bool {
        self.vaults
            .get(&(vault_account.to_owned(), vault.to_owned()))
            .is_some_and(|vault| account == vault_account || vault.shared_with.contains(account))
    }
}

impl Point {
    pub(super) fn vault_arn(&self) -> String {
        arn(
            "backup",
            &self.vault_account,
            &format!("backup-vault:{}", self.point.vault),
        )
    }
}
