//! One approved cutover, a world in memory, and the state machine's way through it.

mod dying;
mod execution;
mod faults;
mod second_gate;
mod setting;
mod world;

use std::collections::{BTreeMap, BTreeSet};
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
use blackstart_core::cutover::contain::{ContainStep, OrganisationPolicy};
use blackstart_core::dns::message::RecordType;
use blackstart_core::dns::{
    CheckerReport, Endpoint, RecordChange, RecordSet, TrafficChange, Untrusted, ZoneRecords,
};
use blackstart_core::error_name::{StageError as _, error_chain};
use blackstart_core::items::ItemsRecord;
use blackstart_core::journal::{Entry, Journal, StepState};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{ContainPlan, NoncePlace, Plan, Shift, TlsPlan};
use blackstart_core::references::{
    InventoryDocument, ReferenceDocument, Slot, canonical_digest_of, same_document,
};
use blackstart_core::run::{AccountId, RunId, WorkloadName};
use blackstart_core::task::approval::TaskToken;
use blackstart_core::task::cutover::{Approved, Next, Operation, Phase, Planned, TrafficProgress};
use blackstart_core::task::{Failure, StateContext, Task};
use blackstart_core::timeline::CurrentBoundary;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) use crate::machine::Ending;
use crate::machine::{self, Failed, Followed, Tasks};
use crate::world::{CheckSettings, World};
use crate::{Answer, CutoverError, Deps, handle};

use self::dying::Dying;
use self::execution::error_of;
pub(super) use self::setting::third_party;
use self::setting::{QUARANTINE, contain, deny_everything, documents, plan, records};
use self::world::put;
pub(super) use self::world::{Fake, Fault, Told};

const OLD: &str = "444444444444";
const NEW: &str = "333333333333";
const SIBLINGS: [&str; 2] = ["666666666666", "777777777777"];
/// The name whose traffic moves.
const SHOP: &str = "shop.example.com.";
/// Where somebody else sends it.
const SOMEWHERE: &str = "192.0.2.66";
const BOUNDARY: &str = "2026-02-25T00:00:00Z";

/// The next of numbers that look random and are the same every time (the multiplier and increment of Knuth's MMIX).
pub(super) fn next_scattered(number: u64) -> u64 {
    number
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
}

fn failure_of(error: &CutoverError) -> Failure {
    Failure {
        error: error.name().as_str().to_owned(),
        cause: error_chain(error),
    }
}

pub(super) struct Scenario {
    deps: Deps<Fake, Dying, MemoryCipher, Told>,
    run: RunId,
    package: DecisionPackage,
    approved: Mutex<Approved>,
    documents: Vec<ReferenceDocument>,
    contains: bool,
}

impl Scenario {
    pub(super) const DOCUMENTS: usize = 4;

    pub(super) fn new(expand: bool) -> Self {
        Self::of(expand, &SIBLINGS.map(str::to_owned), 2)
    }

    /// Traffic moves share by share.
    pub(super) fn weighted(expand: bool) -> Self {
        let mut plan = plan();
        plan.cutover.shift = Shift::Weighted {
            shares: vec![1, 5, 25, 100],
            hold_seconds: 900,
        };
        if expand {
            plan.cutover.contain = Some(contain());
        }
        Self::by(&plan, expand, &SIBLINGS.map(str::to_owned), 2)
    }

    /// The name is served by HTTPS.
    pub(super) fn secure() -> Self {
        let mut plan = plan();
        plan.cutover.health.tls = Some(TlsPlan {
            port: 443,
            authorities: None,
        });
        Self::by(&plan, false, &SIBLINGS.map(str::to_owned), 2)
    }

    /// Sixty documents in six accounts.
    pub(super) fn large(expand: bool) -> Self {
        let siblings: Vec<String> = (0..6).map(|i| format!("66666666666{i}")).collect();
        Self::of(expand, &siblings, 10)
    }

    fn of(expand: bool, siblings: &[String], each: usize) -> Self {
        let mut plan = plan();
        if expand {
            plan.cutover.contain = Some(contain());
        }
        Self::by(&plan, expand, siblings, each)
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
            "expand": expand, "waivers": [], "zone": "Z1", "names": plan.cutover.names, "shift": plan.cutover.shift,
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
                records: Dying::default(),
                cipher: MemoryCipher,
                notices: Told::default(),
            },
            run,
            package,
            approved: Mutex::new(approved),
            documents,
            contains: plan.cutover.contain.is_some(),
        }
    }

    /// Whether the plan has means to contain the old account.
    fn contains(&self) -> bool {
        self.contains
    }

    pub(super) fn contained(&self) -> bool {
        self.deps.world.with(|inner| inner.attached.contains(OLD))
    }

    pub(super) async fn contain(&self) -> Result<(), CutoverError> {
        let contain = Operation::Contain {
            approved: self.approved(),
            cutover: self.plan().await?.cutover,
        };
        self.task("Contain", contain).await.map(drop)
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
        while self.records().put_new(&key, &gate).await.is_err() {}
        let boundary = CurrentBoundary {
            boundary: self.package.boundary,
            document: approved.plan,
        };
        let items = ItemsRecord {
            package: approved.digest.clone(),
            rows: Vec::new(),
        };
        let key = Key::items(&self.run);
        while self.records().put_new(&key, &items).await.is_err() {}
        while self
            .records()
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

    pub(super) fn records(&self) -> &MemoryRecords {
        self.deps.records.memory()
    }

    /// The records are changed; asks whether everybody knows.
    pub(super) async fn shift_and_ask(&self) -> Result<TrafficProgress, CutoverError> {
        let cutover = self.plan().await?.cutover;
        let shift = Operation::ShiftTraffic {
            approved: self.approved(),
            cutover: cutover.clone(),
        };
        self.task("Shift traffic", shift).await?;
        let ask = Operation::AwaitSync {
            approved: self.approved(),
            cutover,
        };
        let answer = self.task("Await sync", ask).await?;
        let Answer::Traffic(progress) = answer else {
            panic!("{answer:?}");
        };
        Ok(progress)
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

    pub(super) async fn plan(&self) -> Result<Planned, CutoverError> {
        machine::plan(&self.execution("exec-1")).await.map_err(error_of)
    }

    pub(super) async fn plan_and_prepare(&self) -> Vec<Slot> {
        let planned = self.plan().await.unwrap();
        let prepare = Operation::PrepareTraffic {
            approved: self.approved(),
            cutover: planned.cutover,
        };
        self.task("Prepare traffic", prepare).await.unwrap();
        self.slots()
    }

    async fn task(&self, state: &'static str, input: Operation) -> Result<Answer, CutoverError> {
        self.execution("exec-1")
            .task(state, input)
            .await
            .map_err(error_of)
    }

    pub(super) async fn apply_all(&self, phase: Phase) -> Result<(), CutoverError> {
        let planned = self.plan().await?;
        machine::accounts(&self.execution("exec-1"), &planned, phase)
            .await
            .map_err(error_of)
    }

    pub(super) async fn apply_all_at_once(&self, phase: Phase) {
        let planned = self.plan().await.unwrap();
        let [one, other] = SIBLINGS.map(|id| {
            let account = AccountId::try_from(id.to_owned()).unwrap();
            machine::apply(self.approved(), &planned.cutover, phase, &account)
        });
        let (one, other) = tokio::join!(self.task("Apply", one), self.task("Apply", other));
        assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    }

    pub(super) async fn verify(&self, phase: Phase) -> Result<(), CutoverError> {
        let planned = self.plan().await?;
        machine::verify(&self.execution("exec-1"), &planned, phase)
            .await
            .map_err(error_of)
    }

    pub(super) async fn probe(&self) -> Result<TrafficProgress, CutoverError> {
        let probe = Operation::Probe {
            approved: self.approved(),
            cutover: self.plan().await?.cutover,
        };
        let answer = self.task("Probe", probe).await?;
        let Answer::Traffic(progress) = answer else {
            panic!("{answer:?}");
        };
        Ok(progress)
    }

    pub(super) async fn next(&self, error: &CutoverError) -> Next {
        let next = machine::next(&self.execution("exec-1"), failure_of(error)).await;
        next.unwrap()
    }

    pub(super) async fn unwind(&self, error: &CutoverError) -> Ending {
        match machine::follow(&self.execution("exec-1"), failure_of(error)).await {
            Followed::Ended(ending) => ending,
            Followed::Resume => panic!("it goes forward"),
        }
    }

    pub(super) async fn operator(&self, choice: &str) -> Ending {
        let failure = Failure {
            error: choice.to_owned(),
            cause: "ada: the cause is removed".to_owned(),
        };
        match machine::follow(&self.execution("exec-1"), failure).await {
            Followed::Ended(ending) => ending,
            Followed::Resume => self.drive("exec-1").await,
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
        self.task("Await operator", ask).await.map(drop)
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
        assert_eq!(self.contained(), self.package.expand && self.contains());
    }

    pub(super) async fn assert_clean_slate(&self) {
        for document in &self.documents {
            let live = self.live(&document.slot);
            assert!(same_document(&live, &document.text), "{live}");
        }
        let live = self.deps.world.with(|inner| inner.records.clone());
        assert_eq!(live, records());
        assert_eq!(self.deps.world.with(|inner| inner.checks.len()), 0);
        assert!(!self.contained(), "what this run attached is detached");
    }
}
