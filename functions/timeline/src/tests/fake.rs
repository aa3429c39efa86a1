//! Logs and artifacts in memory, and the stage's operations one after another over them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use blackstart_aws::ledger::Versioned;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::plan::Plan;
use blackstart_core::run::{RunId, Trigger, WorkloadName};
use blackstart_core::task::StateContext;
use blackstart_core::task::timeline::{Batch, BatchAgain, BatchObject};
use blackstart_core::timeline::{BoundaryDocument, CurrentBoundary};

use crate::*;

#[derive(Default)]
pub(super) struct World {
    pub(super) buckets: BTreeMap<(String, String), Result<Vec<u8>, PortError>>,
    pub(super) artifacts: BTreeMap<String, Vec<u8>>,
    pub(super) boundary: Option<Versioned<CurrentBoundary>>,
    /// What another run of `merge` writes just before this one does.
    pub(super) rival: Option<CurrentBoundary>,
    pub(super) triggers: Vec<Trigger>,
    /// A trigger that is recorded after the first look at the triggers.
    pub(super) comes_while_merging: Option<Trigger>,
    /// How often an object was fetched.
    pub(super) fetched: usize,
    /// Signatures in the metadata of digest files.
    pub(super) signatures: BTreeMap<String, String>,
}

#[derive(Clone)]
pub(super) struct Fake(pub(super) Rc<RefCell<World>>, pub(super) Plan);

impl Logs for Fake {
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<BatchObject>, PortError> {
        let world = self.0.borrow();
        let found: Vec<_> = world
            .buckets
            .iter()
            .filter(|((b, key), _)| b == bucket && key.starts_with(prefix))
            .map(|((_, key), bytes)| BatchObject {
                key: key.clone(),
                bytes: bytes.as_ref().map_or(0, |b| b.len() as u64),
            })
            .collect();
        if found.is_empty() {
            return Err(PortError::NotFound {
                what: "listing".to_owned(),
                why: "NoSuchBucket".to_owned(),
            });
        }
        Ok(found)
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<Vec<u8>, PortError> {
        self.0.borrow_mut().fetched += 1;
        self.0
            .borrow()
            .buckets
            .get(&(bucket.to_owned(), key.to_owned()))
            .unwrap()
            .clone()
    }

    async fn signature(&self, _: &str, key: &str) -> Result<Option<String>, PortError> {
        Ok(self.0.borrow().signatures.get(key).cloned())
    }
}

impl Deps for Fake {
    type Logs = Self;

    async fn logs(&self, _: &Plan, _: &RunId) -> Result<Self, PortError> {
        Ok(self.clone())
    }

    async fn plan(&self, _: &ArtifactRef) -> Result<Plan, ArtifactError> {
        Ok(self.1.clone())
    }

    async fn put(
        &self,
        _: &RunId,
        path: &str,
        _: &str,
        bytes: Vec<u8>,
    ) -> Result<ArtifactRef, ArtifactError> {
        let artifact = reference(path, &bytes);
        self.0.borrow_mut().artifacts.insert(path.to_owned(), bytes);
        Ok(artifact)
    }

    async fn put_file(
        &self,
        run: &RunId,
        path: &str,
        content_type: &str,
        file: &Path,
    ) -> Result<ArtifactRef, ArtifactError> {
        self.put(run, path, content_type, std::fs::read(file).unwrap())
            .await
    }

    async fn find(&self, _: &RunId, path: &str) -> Result<Option<Vec<u8>>, ArtifactError> {
        Ok(self.0.borrow().artifacts.get(path).cloned())
    }

    async fn boundary(&self, _: &RunId) -> Result<Option<Versioned<CurrentBoundary>>, LedgerError> {
        Ok(self.0.borrow().boundary.clone())
    }

    async fn set_boundary(
        &self,
        _: &RunId,
        expected: Option<u64>,
        boundary: &CurrentBoundary,
    ) -> Result<bool, LedgerError> {
        let mut world = self.0.borrow_mut();
        if let Some(document) = world.rival.take() {
            world.boundary = Some(Versioned { document, version: 7 });
        }
        if world.boundary.as_ref().map(|b| b.version) != expected {
            return Ok(false);
        }
        world.boundary = Some(Versioned {
            document: boundary.clone(),
            version: expected.unwrap_or(0) + 1,
        });
        Ok(true)
    }

    async fn triggers(&self, _: &RunId) -> Result<Vec<Trigger>, LedgerError> {
        let mut world = self.0.borrow_mut();
        let known = world.triggers.clone();
        let coming = world.comes_while_merging.take();
        world.triggers.extend(coming);
        Ok(known)
    }
}

pub(super) fn reference(key: &str, bytes: &[u8]) -> ArtifactRef {
    ArtifactRef {
        bucket: "artifacts".to_owned(),
        key: key.to_owned(),
        version: None,
        sha256: Digest::of(bytes),
        bytes: bytes.len() as u64,
    }
}

pub(super) fn plan() -> Plan {
    let plan = serde_json::json!({
        "schema": "blackstart.plan/1", "workload": "orders", "region": "us-east-1",
        "accounts": {"old": "111111111111", "validation": "222222222222", "rebuild": "333333333333",
            "log_archive": "444444444444", "siblings": []},
        "timeline": {"sources": [{"kind": "cloudtrail", "bucket": "logs", "prefix": "AWSLogs/"}]},
        "resources": [{"id": "data", "arn": "arn:aws:s3:::data", "type": "S3", "restore_to": "new"}],
        "validation": {"vault": {"name": "vault"}},
        "approval": {"approvers": [{"person": "ann", "identities": ["arn:aws:iam::555555555555:user/ann"]}], "quorum": 1},
        "rebuild": {"stacks": [], "allowed_resource_types": []},
        "references": {},
        "cutover": {"zone": "Z", "names": [{"name": "a.", "type": "A", "new": ["192.0.2.1"], "holding": ["192.0.2.2"]}],
            "health": {"address": "192.0.2.1", "port": 443, "path": "/", "nonce": {"bucket": "b", "key": "k"}}},
    });
    serde_json::from_value(plan).unwrap()
}

pub(super) fn fake(world: World) -> Fake {
    Fake(Rc::new(RefCell::new(world)), plan())
}

pub(super) fn logs() -> World {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/invictus-ir/CloudTrail");
    let mut world = World::default();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let key = format!("AWSLogs/{}", path.file_name().unwrap().to_string_lossy());
        world
            .buckets
            .insert(("logs".to_owned(), key), Ok(std::fs::read(path).unwrap()));
    }
    world
}

pub(super) async fn ask(fake: &Fake, input: Operation) -> Result<Output, Failed> {
    let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let workload = WorkloadName::try_from("orders".to_owned()).unwrap();
    let task = Task {
        context: StateContext {
            execution: "e".to_owned(),
            started: now,
            state: "s".to_owned(),
            entered: now,
            retry_count: 0,
            redrive_count: 0,
        },
        run: Some(RunId::of_execution(&workload, "e")),
        input,
    };
    handle(task, fake, now).await
}

pub(super) async fn collect_and_scan(fake: &Fake, leave_out: Option<u32>) -> u32 {
    let plan = reference("plan", b"");
    let answer = ask(fake, Operation::Collect { plan: plan.clone() })
        .await
        .unwrap();
    let Output::Collected(collected) = answer else {
        panic!("{answer:?}")
    };
    let manifest = fake.0.borrow().artifacts["timeline/manifest.json"].clone();
    let batches: Vec<Batch> = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(batches.len(), collected.batches as usize);
    for batch in batches.into_iter().filter(|b| Some(b.batch) != leave_out) {
        let plan = plan.clone();
        ask(fake, Operation::Scan { plan, batch }).await.unwrap();
    }
    collected.batches
}

/// Finds the actors and reads again what they touched, but for the items of the manifest that are left out.
pub(super) async fn read_again(fake: &Fake, batches: u32, leave_out: &[u32]) -> Vec<ReadAgain> {
    let plan = reference("plan", b"");
    let trace = Operation::Trace {
        plan: plan.clone(),
        batches,
    };
    let answer = ask(fake, trace).await.unwrap();
    let Output::Traced(traced) = answer else {
        panic!("{answer:?}")
    };
    let manifest = fake.0.borrow().artifacts["timeline/scan/again.json"].clone();
    let batches: Vec<BatchAgain> = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(batches.len(), traced.batches as usize);
    assert_eq!(
        batches
            .iter()
            .map(|batch| batch.objects.len() as u64)
            .sum::<u64>(),
        traced.objects
    );
    let mut read = Vec::new();
    for batch in batches.into_iter().filter(|b| !leave_out.contains(&b.batch)) {
        let plan = plan.clone();
        let answer = ask(fake, Operation::Again { plan, batch }).await.unwrap();
        let Output::ReadAgain(answer) = answer else {
            panic!("{answer:?}")
        };
        read.push(answer);
    }
    read
}

pub(super) async fn merge(fake: &Fake, batches: u32) -> Merged {
    let plan = reference("plan", b"");
    let answer = ask(fake, Operation::Merge { plan, batches }).await.unwrap();
    let Output::Merged(merged) = answer else {
        panic!("{answer:?}")
    };
    merged
}

pub(super) fn document(fake: &Fake) -> BoundaryDocument {
    serde_json::from_slice(&fake.0.borrow().artifacts["timeline/boundary.json"]).unwrap()
}
