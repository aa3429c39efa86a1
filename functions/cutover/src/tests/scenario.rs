//! One approved cutover, a world in memory, and the state machine's way through it.

mod second_gate;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use blackstart_aws::notices::Notices;
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records as _;
use blackstart_aws::records::memory::MemoryRecords;
use blackstart_aws::tokens::memory::MemoryCipher;
use blackstart_core::approval::gate::{GateRecord, GateState};
use blackstart_core::approval::{DecisionPackage, PlannedReference};
use blackstart_core::artifact::{ArtifactRef, Digest, canonical_json};
use blackstart_core::cutover::CutoverDocument;
use blackstart_core::dns::{CheckerReport, RecordChange, RecordSet, TrafficChange, ZoneRecords};
use blackstart_core::error_name::{StageError as _, error_chain};
use blackstart_core::journal::{Entry, Journal};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{NoncePlace, Plan};
use blackstart_core::references::{
    InventoryDocument, ReferenceDocument, Slot, canonical_digest_of, same_document,
};
use blackstart_core::run::{AccountId, RunId, WorkloadName};
use blackstart_core::task::approval::TaskToken;
use blackstart_core::task::cutover::{Approved, Next, Operation, Phase, Planned, TrafficProgress};
use blackstart_core::task::{Failure, Progress, StateContext, Task};
use blackstart_core::timeline::CurrentBoundary;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::world::{CheckSettings, World};
use crate::{Answer, CutoverError, Deps, handle};

const OLD: &str = "444444444444";
const NEW: &str = "333333333333";
const SIBLINGS: [&str; 2] = ["666666666666", "777777777777"];
const BOUNDARY: &str = "2026-02-25T00:00:00Z";

/// What happens to one effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Refused,
    Throttled,
    ReplyLostAfterEffect,
    ReplyLostBeforeEffect,
    CrashBeforeEffect,
    CrashAfterEffect,
}

/// How the state machine ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    Recovered,
    GivenBack,
    Operator(String),
}

#[derive(Debug, Default)]
struct Inner {
    documents: BTreeMap<Slot, String>,
    records: Vec<RecordSet>,
    artifacts: BTreeMap<Digest, Vec<u8>>,
    checks: BTreeMap<String, String>,
    nonce: Option<String>,
    served: bool,
    effects: usize,
    writes: usize,
    faults: BTreeMap<usize, Fault>,
    crashed: bool,
    clock: i64,
    repeat: bool,
    asked: usize,
}

/// The world in memory.
#[derive(Debug, Default)]
pub(super) struct Fake(Mutex<Inner>);

impl Fake {
    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }

    /// One effect, under its fault. After a crash nothing goes on.
    async fn effect<T>(
        &self,
        f: impl FnOnce(&mut Inner) -> Result<T, PortError> + Send,
    ) -> Result<T, PortError> {
        let outcome = self.attempt(f);
        if self.with(|inner| inner.crashed) {
            std::future::pending::<()>().await;
        }
        outcome
    }

    async fn until_crash(&self) {
        while !self.with(|inner| std::mem::take(&mut inner.crashed)) {
            tokio::task::yield_now().await;
        }
    }

    fn attempt<T>(&self, f: impl FnOnce(&mut Inner) -> Result<T, PortError>) -> Result<T, PortError> {
        let what = "an effect".to_owned();
        self.with(|inner| {
            let fault = inner.faults.get(&inner.effects).copied();
            inner.effects += 1;
            let lost = |why: &str| PortError::OutcomeUnknown {
                what: "an effect".to_owned(),
                why: why.to_owned(),
            };
            match fault {
                None => f(inner),
                Some(Fault::Refused) => Err(PortError::Refused {
                    what,
                    why: "AccessDenied".to_owned(),
                }),
                Some(Fault::Throttled) => Err(PortError::Transient {
                    what,
                    why: "Throttling".to_owned(),
                }),
                Some(Fault::ReplyLostAfterEffect) => f(inner).and_then(|_| Err(lost("timeout"))),
                Some(Fault::ReplyLostBeforeEffect) => Err(lost("timeout")),
                Some(Fault::CrashBeforeEffect) => {
                    inner.crashed = true;
                    Err(lost("crash"))
                }
                Some(Fault::CrashAfterEffect) => {
                    inner.crashed = true;
                    f(inner).and_then(|_| Err(lost("crash")))
                }
            }
        })
    }
}

impl World for Fake {
    async fn artifact(&self, artifact: &ArtifactRef) -> Result<Vec<u8>, CutoverError> {
        self.with(|inner| inner.artifacts.get(&artifact.sha256).cloned())
            .ok_or_else(|| CutoverError::Foreign(format!("no artifact {}", artifact.key)))
    }

    async fn put_artifact(&self, _: &RunId, path: &str, bytes: Vec<u8>) -> Result<ArtifactRef, CutoverError> {
        Ok(self.with(|inner| put(inner, path, bytes)))
    }

    async fn document(&self, _: &RunId, _: &Plan, slot: &Slot) -> Result<String, PortError> {
        tokio::task::yield_now().await;
        Ok(self.with(|inner| inner.documents[slot].clone()))
    }

    async fn write_document(&self, _: &RunId, _: &Plan, slot: &Slot, text: &str) -> Result<(), PortError> {
        tokio::task::yield_now().await;
        self.effect(|inner| {
            inner.writes += 1;
            assert_ne!(
                inner.documents[slot],
                third_party(),
                "a third state was overwritten"
            );
            // The service spells it its own way.
            let value: Value = serde_json::from_str(text).unwrap();
            inner.documents.insert(slot.clone(), value.to_string());
            Ok(())
        })
        .await
    }

    async fn records(&self, _: &str) -> Result<ZoneRecords, PortError> {
        tokio::task::yield_now().await;
        Ok(ZoneRecords {
            records: self.with(|inner| inner.records.clone()),
            ..ZoneRecords::default()
        })
    }

    async fn change_records(&self, _: &RunId, change: &TrafficChange) -> Result<String, PortError> {
        self.effect(|inner| {
            let mut next = inner.records.clone();
            for line in change.batch() {
                match line {
                    RecordChange::Delete(set) => match next.iter().position(|there| there == set) {
                        Some(at) => drop(next.remove(at)),
                        None => {
                            return Err(PortError::Refused {
                                what: "changing records".to_owned(),
                                why: "InvalidChangeBatch".to_owned(),
                            });
                        }
                    },
                    RecordChange::Create(set) => next.push(set.clone()),
                }
            }
            inner.records = next;
            Ok(format!("C{}", inner.effects))
        })
        .await
    }

    async fn in_sync(&self, _: &str) -> Result<bool, PortError> {
        Ok(true)
    }

    async fn publish_nonce(&self, _: &RunId, _: &Plan, _: &NoncePlace, nonce: &str) -> Result<(), PortError> {
        self.effect(|inner| {
            inner.nonce = Some(nonce.to_owned());
            Ok(())
        })
        .await
    }

    async fn create_check(&self, settings: &CheckSettings) -> Result<String, PortError> {
        self.effect(|inner| {
            let id = format!("check-{}", inner.checks.len());
            let id = inner.checks.entry(settings.reference.clone()).or_insert(id);
            Ok(id.clone())
        })
        .await
    }

    async fn check_reports(&self, check: &str) -> Result<Vec<CheckerReport>, PortError> {
        Ok(self.with(|inner| {
            assert!(inner.checks.values().any(|id| id == check));
            ["a", "b", "c"]
                .map(|region| CheckerReport {
                    region: region.to_owned(),
                    healthy: inner.served,
                })
                .to_vec()
        }))
    }

    async fn delete_check(&self, check: &str) -> Result<(), PortError> {
        self.effect(|inner| {
            inner.checks.retain(|_, id| id != check);
            Ok(())
        })
        .await
    }

    async fn health_document(&self, _: &str) -> Option<String> {
        self.with(|inner| inner.nonce.clone().filter(|_| inner.served))
    }

    fn now(&self) -> Timestamp {
        self.with(|inner| {
            inner.clock += 1;
            Timestamp::from_millisecond(1_772_366_400_000 + inner.clock).unwrap()
        })
    }

    async fn pause(&self, _: Duration) {
        tokio::task::yield_now().await;
    }
}

fn put(inner: &mut Inner, path: &str, bytes: Vec<u8>) -> ArtifactRef {
    let artifact = ArtifactRef {
        bucket: "artifacts".to_owned(),
        key: path.to_owned(),
        version: None,
        sha256: Digest::of(&bytes),
        bytes: bytes.len() as u64,
    };
    inner.artifacts.insert(artifact.sha256.clone(), bytes);
    artifact
}

#[derive(Debug, Default)]
pub(super) struct Told(Mutex<String>);

impl Notices for Told {
    async fn send(&self, subject: &str, text: &str) -> Result<(), PortError> {
        self.0.lock().unwrap().push_str(&format!("{subject}\n{text}"));
        Ok(())
    }
}

/// A policy that nobody planned.
pub(super) fn third_party() -> String {
    policy("arn:aws:iam::999999999999:root")
}

fn policy(principal: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"},
    ]})
    .to_string()
}

fn plan() -> Plan {
    serde_json::from_value(json!({
        "schema": "blackstart.plan/1", "workload": "orders", "region": "us-east-1",
        "accounts": {"old": OLD, "validation": "222222222222", "rebuild": NEW,
                     "log_archive": "555555555555", "siblings": SIBLINGS},
        "timeline": {"sources": [{"kind": "cloudtrail", "bucket": "logs"}]},
        "resources": [{"id": "data", "arn": "arn:aws:s3:::orders-data", "type": "S3", "restore_to": "new-data"}],
        "validation": {"vault": {"name": "vault"}},
        "approval": {"quorum": 1, "approvers": [
            {"person": "ada", "identities": ["arn:aws:iam::111111111111:user/ada"]}]},
        "rebuild": {"stacks": [], "allowed_resource_types": []},
        "references": {},
        "cutover": {
            "zone": "Z1",
            "names": [{"name": "shop.example.com.", "type": "A", "new": ["198.51.100.7"], "holding": ["203.0.113.9"]}],
            "health": {"address": "198.51.100.7", "port": 80, "path": "/health",
                       "nonce": {"bucket": "n", "key": "nonce"}},
        },
    }))
    .unwrap()
}

fn records() -> Vec<RecordSet> {
    serde_json::from_value(json!([
        {"name": "example.com.", "type": "NS", "ttl": 300, "values": ["ns1.example.net."]},
        {"name": "example.com.", "type": "SOA", "ttl": 300, "values": ["x"]},
        {"name": "shop.example.com.", "type": "A", "ttl": 300, "values": ["192.0.2.2", "192.0.2.1"]},
    ]))
    .unwrap()
}

fn documents(siblings: &[String], each: usize) -> Vec<ReferenceDocument> {
    siblings
        .iter()
        .flat_map(|account| {
            (0..each).map(move |i| {
                let text = policy(&format!("arn:aws:iam::{OLD}:role/app{i}"));
                serde_json::from_value(json!({
                    "slot": {"account": account, "region": "", "kind": "role_trust",
                             "arn": format!("arn:aws:iam::{account}:role/partner{i}")},
                    "before": canonical_digest_of(&text), "text": text, "tokens": 1, "handled": 1, "unhandled": [],
                }))
                .unwrap()
            })
        })
        .collect()
}

pub(super) struct Scenario {
    deps: Deps<Fake, MemoryRecords, MemoryCipher, Told>,
    run: RunId,
    package: DecisionPackage,
    approved: Mutex<Approved>,
    documents: Vec<ReferenceDocument>,
}

impl Scenario {
    pub(super) const DOCUMENTS: usize = 4;

    pub(super) fn new(expand: bool) -> Self {
        Self::of(expand, &SIBLINGS.map(str::to_owned), 2)
    }

    /// Sixty documents in six accounts.
    pub(super) fn large(expand: bool) -> Self {
        let siblings: Vec<String> = (0..6).map(|i| format!("66666666666{i}")).collect();
        Self::of(expand, &siblings, 10)
    }

    fn of(expand: bool, siblings: &[String], each: usize) -> Self {
        Self::by(&plan(), expand, siblings, each)
    }

    fn by(plan: &Plan, expand: bool, siblings: &[String], each: usize) -> Self {
        let world = Fake::default();
        let documents = documents(siblings, each);
        let workload = WorkloadName::try_from("orders".to_owned()).unwrap();
        let run = RunId::of_execution(&workload, "x");
        let (plan_ref, inventory) = world.with(|inner| {
            inner.served = true;
            inner.records = records();
            inner.documents = documents
                .iter()
                .map(|document| (document.slot.clone(), document.text.clone()))
                .collect();
            let inventory = InventoryDocument {
                documents_read: 9,
                documents: documents.clone(),
                ..InventoryDocument::empty()
            };
            (
                put(inner, "plan.json", serde_json::to_vec(&plan).unwrap()),
                put(inner, "inventory.json", canonical_json(&inventory).unwrap()),
            )
        });
        let references: Vec<PlannedReference> = documents
            .iter()
            .map(|document| PlannedReference {
                slot: document.slot.clone(),
                before: document.before.clone(),
            })
            .collect();
        let package: DecisionPackage = serde_json::from_value(json!({
            "schema": blackstart_core::approval::package::SCHEMA, "run": run, "workload": "orders",
            "mode": "incident", "plan": plan_ref, "boundary": BOUNDARY, "boundary_document": plan_ref,
            "boundary_evidence": {
                "schema": "blackstart.boundary/1", "boundary": null,
                "coverage": {"objects": 0, "records": 0, "first": null, "last": null, "gaps": []},
            },
            "verdict": {"set": "s", "verdict": "clean", "layers": {}, "manifests": {}, "at": BOUNDARY},
            "set": {"id": "s", "newest": BOUNDARY, "oldest": BOUNDARY, "points": {}},
            "selection": plan_ref, "rebuild": plan_ref, "stacks": [], "isolation": [], "restores": [], "secrets": [], "inventory": inventory,
            "references": references,
            "identifiers": [{"kind": "account", "old": OLD, "new": NEW}],
            "expand": expand, "waivers": [], "zone": "Z1", "names": plan.cutover.names,
            "decide_by": "2026-03-02T00:00:00Z", "execute_by": "2026-03-03T00:00:00Z",
        }))
        .unwrap();
        let bytes = canonical_json(&package).unwrap();
        let package_ref = world.with(|inner| put(inner, "package.json", bytes));
        let approved = Approved {
            plan: plan_ref,
            digest: package_ref.sha256.clone(),
            package: package_ref,
        };
        Self {
            deps: Deps {
                world,
                records: MemoryRecords::default(),
                cipher: MemoryCipher,
                notices: Told::default(),
            },
            run,
            package,
            approved: Mutex::new(approved),
            documents,
        }
    }

    fn approved(&self) -> Approved {
        self.approved.lock().unwrap().clone()
    }

    async fn approve(&self) {
        let approved = self.approved();
        let key = Key::gate(&self.run, &approved.digest);
        let mut gate = GateRecord::open(
            &self.package,
            approved.package.clone(),
            approved.digest.clone(),
            None,
            "2026-03-01T12:00:00Z".parse().unwrap(),
        );
        gate.state = GateState::Approved {
            at: "2026-03-01T12:00:00Z".parse().unwrap(),
            by: vec!["ada".to_owned()],
        };
        while self.deps.records.put_new(&key, &gate).await.is_err() {}
        let boundary = CurrentBoundary {
            boundary: self.package.boundary,
            document: approved.plan,
        };
        while self
            .deps
            .records
            .put_new(&Key::boundary(&self.run), &boundary)
            .await
            .is_err()
        {}
    }

    pub(super) async fn unapprove(&self) {
        self.approve().await;
        let key = Key::gate(&self.run, &self.approved().digest);
        let held = self.deps.records.get::<GateRecord>(&key).await.unwrap().unwrap();
        let open = GateRecord {
            state: GateState::Open {},
            ..held.document
        };
        assert!(
            self.deps
                .records
                .replace(&key, held.version, &open)
                .await
                .unwrap()
        );
    }

    pub(super) fn swap_package(&self) {
        let mut package = self.package.clone();
        package.expand = !package.expand;
        let bytes = canonical_json(&package).unwrap();
        let other = self.deps.world.with(|inner| put(inner, "other.json", bytes));
        self.approved.lock().unwrap().package = other;
    }

    pub(super) async fn move_boundary(&self) {
        let moved = CurrentBoundary {
            boundary: "2026-02-01T00:00:00Z".parse().unwrap(),
            document: self.approved().plan,
        };
        assert!(
            self.deps
                .records
                .put_new(&Key::boundary(&self.run), &moved)
                .await
                .unwrap()
        );
    }

    pub(super) fn records(&self) -> &MemoryRecords {
        &self.deps.records
    }

    pub(super) fn fault_at(&self, effect: usize, fault: Fault) {
        self.deps.world.with(|inner| inner.faults.insert(effect, fault));
    }

    pub(super) fn fault_next(&self, fault: Fault) {
        self.deps
            .world
            .with(|inner| inner.faults.insert(inner.effects, fault));
    }

    pub(super) fn repeat_every_operation(&self) {
        self.deps.world.with(|inner| inner.repeat = true);
    }

    pub(super) fn effects(&self) -> usize {
        self.deps.world.with(|inner| inner.effects)
    }

    pub(super) fn writes(&self) -> usize {
        self.deps.world.with(|inner| inner.writes)
    }

    pub(super) fn let_days_pass(&self, days: i64) {
        self.deps.world.with(|inner| inner.clock += days * 86_400_000);
    }

    pub(super) fn serve_nonce(&self, served: bool) {
        self.deps.world.with(|inner| inner.served = served);
    }

    pub(super) fn edit(&self, slot: &Slot, text: String) {
        self.deps
            .world
            .with(|inner| inner.documents.insert(slot.clone(), text));
    }

    pub(super) fn live(&self, slot: &Slot) -> String {
        self.deps.world.with(|inner| inner.documents[slot].clone())
    }

    pub(super) fn before(&self, slot: &Slot) -> String {
        let document = self.documents.iter().find(|document| document.slot == *slot);
        document.unwrap().text.clone()
    }

    pub(super) fn told(&self) -> String {
        self.deps.notices.0.lock().unwrap().clone()
    }

    /// One task, as the state machine gives it; a crash takes the answer away.
    async fn task(&self, execution: &str, state: &str, input: &Operation) -> Result<Answer, Failed> {
        self.approve().await;
        let (repeat, asked) = self.deps.world.with(|inner| {
            inner.asked += 1;
            (inner.repeat, inner.asked)
        });
        let entered = Timestamp::from_millisecond(1_772_366_400_000 + i64::try_from(asked).unwrap()).unwrap();
        let mut times = if repeat { 2 } else { 1 };
        let mut retries = 0;
        loop {
            let task = Task {
                context: StateContext {
                    execution: execution.to_owned(),
                    started: Timestamp::UNIX_EPOCH,
                    state: state.to_owned(),
                    entered,
                    retry_count: retries,
                    redrive_count: 0,
                },
                run: Some(self.run.clone()),
                input: input.clone(),
            };
            let now = self.deps.world.now();
            let answer = tokio::select! {
                biased;
                () = self.deps.world.until_crash() => return Err(Failed::Crash),
                answer = handle(task, &self.deps, now) => answer,
            };
            match answer {
                Ok(answer) if times <= 1 => return Ok(answer),
                Ok(_) => times -= 1,
                // The state machine retries what certainly had no effect.
                Err(error) if error.name().as_str() == "Recovery.Transient" && retries < 40 => {
                    retries += 1;
                    tokio::task::yield_now().await;
                }
                Err(error) => return Err(Failed::Error(error)),
            }
        }
    }

    /// The way of the state machine.
    pub(super) async fn drive(&self, execution: &str) -> Ending {
        let mut failed = match self.plan_as(execution).await {
            Ok(planned) => match self.forward(execution, &planned).await {
                Ok(()) => return Ending::Recovered,
                Err(failed) => failed,
            },
            Err(failed) => failed,
        };
        for _ in 0..40 {
            match self.follow(execution, failed.failure()).await {
                Followed::Ended(ending) => return ending,
                Followed::Resume => {
                    let planned = self.plan_as(execution).await;
                    let outcome = match planned {
                        Ok(planned) => self.forward(execution, &planned).await,
                        Err(failed) => Err(failed),
                    };
                    match outcome {
                        Ok(()) => return Ending::Recovered,
                        Err(again) => failed = again,
                    }
                }
            }
        }
        panic!("the state machine never ends");
    }

    async fn forward(&self, execution: &str, planned: &Planned) -> Result<(), Failed> {
        let approved = self.approved();
        let cutover = planned.cutover.clone();
        let precheck = Operation::Precheck {
            approved: approved.clone(),
            cutover: cutover.clone(),
        };
        self.task(execution, "Precheck", &precheck).await?;
        let prepare = Operation::PrepareTraffic {
            approved: approved.clone(),
            cutover: cutover.clone(),
        };
        self.task(execution, "Prepare traffic", &prepare).await?;
        self.accounts(execution, planned, Phase::Expand).await?;
        self.verify_as(execution, planned, Phase::Expand).await?;
        for (state, operation) in [
            (
                "Probe",
                Operation::Probe {
                    approved: approved.clone(),
                    cutover: cutover.clone(),
                },
            ),
            (
                "Shift traffic",
                Operation::ShiftTraffic {
                    approved: approved.clone(),
                    cutover: cutover.clone(),
                },
            ),
            ("Await sync", Operation::AwaitSync { approved, cutover }),
        ] {
            self.task(execution, state, &operation).await?;
        }
        self.accounts(execution, planned, Phase::Contract).await?;
        self.verify_as(execution, planned, Phase::Contract).await
    }

    async fn accounts(&self, execution: &str, planned: &Planned, phase: Phase) -> Result<(), Failed> {
        for account in &planned.accounts {
            loop {
                let apply = self.apply(planned, phase, account);
                let answer = self.task(execution, "Apply", &apply).await?;
                if !matches!(answer, Answer::Applied(applied) if applied.progress == Progress::Running) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn apply(&self, planned: &Planned, phase: Phase, account: &AccountId) -> Operation {
        Operation::Apply {
            approved: self.approved(),
            cutover: planned.cutover.clone(),
            phase,
            account: account.clone(),
        }
    }

    async fn verify_as(&self, execution: &str, planned: &Planned, phase: Phase) -> Result<(), Failed> {
        let verify = Operation::Verify {
            approved: self.approved(),
            cutover: planned.cutover.clone(),
            phase,
        };
        self.task(execution, "Verify", &verify).await.map(drop)
    }

    async fn next_as(&self, execution: &str, failure: Failure) -> Next {
        let next = Operation::Next {
            approved: self.approved(),
            cutover: None,
            failure,
        };
        match self.task(execution, "Next", &next).await {
            Ok(Answer::Next(next)) => next,
            other => panic!("{other:?}"),
        }
    }

    /// Next, Revert step, Next, … until it ends or goes forward.
    async fn follow(&self, execution: &str, failure: Failure) -> Followed {
        let mut failure = failure;
        for _ in 0..200 {
            match self.next_as(execution, failure.clone()).await {
                Next::Resume {} => return Followed::Resume,
                Next::GivenBack {} => return Followed::Ended(Ending::GivenBack),
                Next::CallOperator { reason } => return Followed::Ended(Ending::Operator(reason)),
                Next::Revert { step } => {
                    let planned = self.plan_as(execution).await.ok().unwrap();
                    let revert = Operation::Revert {
                        approved: self.approved(),
                        cutover: planned.cutover,
                        step,
                    };
                    if let Err(failed) = self.task(execution, "Revert step", &revert).await {
                        failure = failed.failure();
                    }
                }
            }
        }
        panic!("the undo never ends");
    }

    async fn plan_as(&self, execution: &str) -> Result<Planned, Failed> {
        let plan = Operation::Plan {
            approved: self.approved(),
        };
        let answer = self.task(execution, "Plan cutover", &plan).await?;
        let Answer::Planned(planned) = answer else {
            panic!("{answer:?}");
        };
        Ok(planned)
    }

    pub(super) async fn plan(&self) -> Result<Planned, CutoverError> {
        self.plan_as("exec-1").await.map_err(Failed::error)
    }

    pub(super) async fn plan_and_prepare(&self) -> Vec<Slot> {
        let planned = self.plan().await.unwrap();
        let prepare = Operation::PrepareTraffic {
            approved: self.approved(),
            cutover: planned.cutover,
        };
        self.task("exec-1", "Prepare traffic", &prepare)
            .await
            .map_err(Failed::error)
            .unwrap();
        self.documents
            .iter()
            .map(|document| document.slot.clone())
            .collect()
    }

    pub(super) async fn apply_all(&self, phase: Phase) -> Result<(), CutoverError> {
        let planned = self.plan().await?;
        self.accounts("exec-1", &planned, phase)
            .await
            .map_err(Failed::error)
    }

    pub(super) async fn apply_all_at_once(&self, phase: Phase) {
        let planned = self.plan().await.unwrap();
        let [one, other] = SIBLINGS.map(|id| {
            let account = AccountId::try_from(id.to_owned()).unwrap();
            self.apply(&planned, phase, &account)
        });
        let (one, other) = tokio::join!(
            self.task("exec-1", "Apply", &one),
            self.task("exec-1", "Apply", &other)
        );
        assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    }

    pub(super) async fn verify(&self, phase: Phase) -> Result<(), CutoverError> {
        let planned = self.plan().await?;
        self.verify_as("exec-1", &planned, phase)
            .await
            .map_err(Failed::error)
    }

    pub(super) async fn probe(&self) -> Result<TrafficProgress, CutoverError> {
        let probe = Operation::Probe {
            approved: self.approved(),
            cutover: self.plan().await?.cutover,
        };
        let answer = self.task("exec-1", "Probe", &probe).await;
        let answer = answer.map_err(Failed::error)?;
        let Answer::Traffic(progress) = answer else {
            panic!("{answer:?}");
        };
        Ok(progress)
    }

    pub(super) async fn next(&self, error: &CutoverError) -> Next {
        self.next_as("exec-1", failure_of(error)).await
    }

    pub(super) async fn unwind(&self, error: &CutoverError) -> Ending {
        match self.follow("exec-1", failure_of(error)).await {
            Followed::Ended(ending) => ending,
            Followed::Resume => panic!("it goes forward"),
        }
    }

    pub(super) async fn operator(&self, choice: &str) -> Ending {
        let failure = Failure {
            error: choice.to_owned(),
            cause: "ada: the cause is removed".to_owned(),
        };
        match self.follow("exec-1", failure).await {
            Followed::Ended(ending) => ending,
            Followed::Resume => Ending::Recovered,
        }
    }

    pub(super) async fn ask_operator(&self, token: &str) -> Result<(), CutoverError> {
        let ask = Operation::AskOperator {
            approved: self.approved(),
            cutover: None,
            failure: Failure {
                error: "Recovery.PreconditionChanged".to_owned(),
                cause: "somebody else".to_owned(),
            },
            token: TaskToken::new(token.to_owned()),
        };
        self.task("exec-1", "Await operator", &ask)
            .await
            .map(drop)
            .map_err(Failed::error)
    }

    pub(super) async fn journal(&self) -> Journal {
        let entries = self
            .deps
            .records
            .query::<Entry>(&Key::run_partition(&self.run), Key::JOURNAL_PREFIX)
            .await
            .unwrap();
        let entries: Vec<Entry> = entries.into_iter().map(|(_, entry)| entry.document).collect();
        let planned = self.plan().await.unwrap();
        let bytes = self.deps.world.artifact(&planned.cutover).await.unwrap();
        let document: CutoverDocument = serde_json::from_slice(&bytes).unwrap();
        Journal::replay(&document.journal_steps(), &entries).unwrap()
    }

    pub(super) async fn assert_recovered(&self) {
        for document in &self.documents {
            let live = self.live(&document.slot);
            assert!(same_document(&live, &document.text.replace(OLD, NEW)), "{live}");
        }
        let live = self.deps.world.with(|inner| inner.records.clone());
        let served: Vec<&str> = live
            .iter()
            .filter(|set| set.name == "shop.example.com.")
            .flat_map(|set| set.values.iter().map(String::as_str))
            .collect();
        assert_eq!(served, ["203.0.113.9", "198.51.100.7"]);
        assert_eq!(self.deps.world.with(|inner| inner.checks.len()), 1);
    }

    pub(super) async fn assert_clean_slate(&self) {
        for document in &self.documents {
            let live = self.live(&document.slot);
            assert!(same_document(&live, &document.text), "{live}");
        }
        let live = self.deps.world.with(|inner| inner.records.clone());
        assert_eq!(live, records());
        assert_eq!(self.deps.world.with(|inner| inner.checks.len()), 0);
    }
}

enum Followed {
    Resume,
    Ended(Ending),
}

/// Why a task gave no answer.
#[derive(Debug)]
enum Failed {
    Crash,
    Error(CutoverError),
}

impl Failed {
    fn failure(&self) -> Failure {
        match self {
            Self::Crash => Failure {
                error: "Runtime.ExitError".to_owned(),
                cause: String::new(),
            },
            Self::Error(error) => failure_of(error),
        }
    }

    fn error(self) -> CutoverError {
        match self {
            Self::Crash => panic!("a crash"),
            Self::Error(error) => error,
        }
    }
}

fn failure_of(error: &CutoverError) -> Failure {
    Failure {
        error: error.name().as_str().to_owned(),
        cause: error_chain(error),
    }
}
