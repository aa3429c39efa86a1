//! Everything outside of the stage but the ledger.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::backup::RestoreJob;
use blackstart_aws::content::Content;
use blackstart_aws::gate::GateRefused;
use blackstart_aws::port::PortError;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::artifact::{ArtifactRef, Digest, canonical_digest};
use blackstart_core::plan::{Invariant, Plan, Resource, Vault};
use blackstart_core::rebuild::{BuiltStack, CheckStatus, IsolationCheck, RebuildDocument};
use blackstart_core::restore::RestoreDocument;
use blackstart_core::restore::removal::CopyState;
use blackstart_core::restore::request::RestoreRequest;
use blackstart_core::run::RunId;
use blackstart_core::validation::check_function::{Called, Question};
use blackstart_core::validation::verdict::RestoreState;
use blackstart_core::validation::{ContentManifest, LayerVerdict, Verdict};
use jiff::Timestamp;
use serde_json::json;

use super::adopting;
use crate::port::{RebuildAccount, Restorer, Run};

const PLAN: &[u8] = include_bytes!("../../../../tests/data/plan/orders.json");
const PACKAGE: &[u8] = include_bytes!("../../../../tests/data/plan/orders-package.json");

/// Everything outside of the stage but the ledger.
pub(super) struct World {
    pub(super) package: DecisionPackage,
    /// Whether effects may still begin.
    pub(super) in_time: bool,
    pub(super) isolation: CheckStatus,
    /// Token to job: (job id, new name, what AWS Backup says).
    pub(super) jobs: BTreeMap<String, (String, String, RestoreJob)>,
    pub(super) content: BTreeMap<String, ContentManifest>,
    /// What is there, by name, with the run whose tag it carries.
    pub(super) there: BTreeMap<String, Option<String>>,
    /// What of it AWS does not delete.
    pub(super) unremovable: Vec<String>,
    pub(super) invariants: Verdict,
    pub(super) kept: Vec<RestoreDocument>,
    /// What the recovery points remember.
    pub(super) remembered: BTreeMap<String, String>,
    /// What the jobs were told.
    pub(super) told: Vec<BTreeMap<String, String>>,
    /// What the plan's functions answer, and what they were asked.
    pub(super) function: Called,
    pub(super) asked: Vec<Question>,
    /// What is adopted, and by what.
    pub(super) workload: adopting::Workload,
    /// What the plan says beside the file.
    pub(super) plan: fn(&mut Plan),
    pub(super) calls: usize,
    pub(super) fail: Option<(usize, Lost)>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Lost {
    Request,
    Answer,
}

pub(super) struct Fake(Mutex<World>);

impl Fake {
    pub(super) fn new() -> Self {
        let mut package: DecisionPackage = serde_json::from_slice(PACKAGE).unwrap();
        let mut content = BTreeMap::new();
        for restore in &mut package.restores {
            let manifest = manifest(&restore.resource, &["a", "b"]);
            restore.manifest = canonical_digest(&manifest).unwrap();
            content.insert(restore.restore_to.clone(), manifest);
        }
        Self(Mutex::new(World {
            package,
            in_time: true,
            isolation: CheckStatus::Pass,
            jobs: BTreeMap::new(),
            content,
            there: BTreeMap::new(),
            unremovable: Vec::new(),
            invariants: Verdict::Clean,
            kept: Vec::new(),
            remembered: BTreeMap::new(),
            told: Vec::new(),
            function: Called::TimedOut(1),
            asked: Vec::new(),
            workload: adopting::Workload::default(),
            plan: |_| {},
            calls: 0,
            fail: None,
        }))
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(super) fn call<T>(&self, act: impl FnOnce(&mut World) -> T) -> Result<T, PortError> {
        let mut world = self.world();
        world.calls += 1;
        let lost = world
            .fail
            .filter(|(n, _)| *n == world.calls)
            .map(|(_, lost)| lost);
        let cut = || PortError::Transient {
            what: "a call".to_owned(),
            why: "it was cut".to_owned(),
        };
        if lost == Some(Lost::Request) {
            return Err(cut());
        }
        let answer = act(&mut world);
        if lost == Some(Lost::Answer) {
            Err(cut())
        } else {
            Ok(answer)
        }
    }
}

pub(super) fn manifest(resource: &str, keys: &[&str]) -> ContentManifest {
    let entries: BTreeMap<_, _> = keys
        .iter()
        .map(|key| (*key, json!({ "sha256": Digest::of(key.as_bytes()), "bytes": 1 })))
        .collect();
    serde_json::from_value(json!({ "resource": resource, "entries": entries })).unwrap()
}

pub(super) fn digest() -> Digest {
    Digest::of(b"package")
}

impl Run for &Fake {
    async fn plan(&self, _plan: &ArtifactRef) -> Result<Plan, ArtifactError> {
        let mut plan = Plan::parse(PLAN)?;
        (self.world().plan)(&mut plan);
        Ok(plan)
    }

    async fn approved(
        &self,
        run: &RunId,
        package: &ArtifactRef,
        digest: &Digest,
        _now: Timestamp,
    ) -> Result<DecisionPackage, GateRefused> {
        if !self.world().in_time {
            return Err(GateRefused::NeverAsked(digest.clone(), run.clone()));
        }
        self.in_execution(run, package, digest).await
    }

    async fn in_execution(
        &self,
        _run: &RunId,
        _package: &ArtifactRef,
        _digest: &Digest,
    ) -> Result<DecisionPackage, GateRefused> {
        Ok(self
            .call(|world| world.package.clone())
            .map_err(ArtifactError::from)?)
    }

    async fn rebuilt(&self, _document: &ArtifactRef) -> Result<RebuildDocument, ArtifactError> {
        Ok(self.call(|world| RebuildDocument {
            schema: blackstart_core::rebuild::SCHEMA.to_owned(),
            stacks: vec![BuiltStack {
                name: "app".to_owned(),
                id: "arn:stack".to_owned(),
                template: Digest::of(b"template"),
                outputs: BTreeMap::new(),
            }],
            isolation: vec![IsolationCheck {
                check: "network".to_owned(),
                status: world.isolation,
                evidence: "2 resources".to_owned(),
                objections: Vec::new(),
            }],
            items: Vec::new(),
        })?)
    }

    async fn manifest(&self, _manifest: &ArtifactRef) -> Result<ContentManifest, ArtifactError> {
        Ok(manifest("x", &[]))
    }

    async fn keep(&self, _run: &RunId, document: &RestoreDocument) -> Result<ArtifactRef, ArtifactError> {
        let kept = self.call(|world| world.kept.push(document.clone()));
        kept?;
        Ok(self.world().package.plan.clone())
    }
}

impl<'a> RebuildAccount for &'a Fake {
    type Restorer = &'a Fake;
    type Adopter = &'a Fake;

    async fn open_for_adoption(&self, plan: &Plan, run: &RunId) -> Result<&'a Fake, PortError> {
        self.open(plan, run).await
    }

    async fn open(&self, _plan: &Plan, _run: &RunId) -> Result<&'a Fake, PortError> {
        self.call(|_| ())?;
        Ok(self)
    }

    async fn open_for_removal(
        &self,
        plan: &Plan,
        run: &RunId,
        _resource: &Resource,
    ) -> Result<&'a Fake, PortError> {
        self.open(plan, run).await
    }
}

impl Restorer for &Fake {
    async fn start(&self, request: &RestoreRequest) -> Result<String, PortError> {
        self.call(|world| {
            let id = format!("job-{}", world.jobs.len());
            let job = RestoreJob {
                state: RestoreState::Running,
                message: None,
                created: None,
            };
            world.told.push(request.metadata.clone());
            let new = (id, request.restore_to.clone(), job);
            world.jobs.entry(request.token.clone()).or_insert(new).0.clone()
        })
    }

    async fn original(&self, _vault: &Vault, _point: &str) -> Result<BTreeMap<String, String>, PortError> {
        self.call(|world| world.remembered.clone())
    }

    async fn ask(&self, _function: &str, question: &Question, _seconds: u16) -> Result<Called, PortError> {
        self.call(|world| {
            world.asked.push(question.clone());
            world.function.clone()
        })
    }

    async fn job(&self, id: &str) -> Result<RestoreJob, PortError> {
        self.call(|world| world.jobs.values().find(|job| job.0 == id).unwrap().2.clone())
    }

    async fn copy(&self, resource: &Resource, arn: &str) -> Result<CopyState, PortError> {
        assert!(!arn.ends_with(['/', ':']), "`{arn}` names nothing");
        self.call(|world| {
            let found = world.there.get(&resource.restore_to).cloned();
            found.map_or(CopyState::Absent, |run| CopyState::Present { run })
        })
    }

    async fn mark(&self, resource: &Resource, _arn: &str, run: &RunId) -> Result<bool, PortError> {
        self.call(|world| {
            let tag = world.there.get_mut(&resource.restore_to).unwrap();
            *tag = Some(run.to_string());
            true
        })
    }

    async fn remove(&self, resource: &Resource, _arn: &str) -> Result<(), PortError> {
        self.call(|world| {
            if world.unremovable.contains(&resource.restore_to) {
                return Err(PortError::Refused {
                    what: format!("deleting `{}`", resource.restore_to),
                    why: "ValidationException: it is protected".to_owned(),
                });
            }
            world.there.remove(&resource.restore_to);
            Ok(())
        })?
    }

    async fn content(
        &self,
        _resource: &Resource,
        name: &str,
        _invariants: &[Invariant],
    ) -> Result<Content, PortError> {
        self.call(|world| Content {
            manifest: world.content[name].clone(),
            scan: LayerVerdict::new(Verdict::Clean, "looked".to_owned()),
            invariants: LayerVerdict::new(world.invariants, "counted".to_owned()),
        })
    }
}
