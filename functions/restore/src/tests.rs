use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::backup::RestoreJob;
use blackstart_aws::content::Content;
use blackstart_aws::gate::GateRefused;
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records as _;
use blackstart_aws::records::memory::MemoryRecords;
use blackstart_core::approval::DecisionPackage;
use blackstart_core::artifact::{ArtifactRef, Digest, canonical_digest};
use blackstart_core::error_name::{ErrorName, StageError as _};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Invariant, Plan, Resource, Vault};
use blackstart_core::rebuild::{CheckStatus, IsolationCheck, RebuildDocument};
use blackstart_core::restore::RestoreDocument;
use blackstart_core::restore::removal::CopyState;
use blackstart_core::restore::request::RestoreRequest;
use blackstart_core::run::{RunId, RunRecord};
use blackstart_core::task::restore::{Operation, RestoreProgress};
use blackstart_core::task::{Progress, StateContext, Task};
use blackstart_core::validation::check_function::{Called, Question};
use blackstart_core::validation::verdict::RestoreState;
use blackstart_core::validation::{ContentManifest, LayerVerdict, Verdict};
use jiff::Timestamp;
use serde_json::json;

use crate::port::{RebuildAccount, Restorer, Run};
use crate::{Deps, Output, RestoreError, handle};

const PLAN: &[u8] = include_bytes!("../../../tests/data/plan/orders.json");
const PACKAGE: &[u8] = include_bytes!("../../../tests/data/plan/orders-package.json");

/// Everything outside of the stage but the ledger.
struct World {
    package: DecisionPackage,
    /// Whether effects may still begin.
    in_time: bool,
    isolation: CheckStatus,
    /// Token to job: (job id, new name, what AWS Backup says).
    jobs: BTreeMap<String, (String, String, RestoreJob)>,
    content: BTreeMap<String, ContentManifest>,
    /// What is there, by name, with the run whose tag it carries.
    there: BTreeMap<String, Option<String>>,
    invariants: Verdict,
    kept: Vec<RestoreDocument>,
    /// What the recovery points remember.
    remembered: BTreeMap<String, String>,
    /// What the jobs were told.
    told: Vec<BTreeMap<String, String>>,
    /// What the plan's functions answer, and what they were asked.
    function: Called,
    asked: Vec<Question>,
    /// What is adopted, and by what.
    workload: adopting::Workload,
    /// What the plan says beside the file.
    plan: fn(&mut Plan),
    calls: usize,
    fail: Option<(usize, Lost)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Lost {
    Request,
    Answer,
}

struct Fake(Mutex<World>);

impl Fake {
    fn new() -> Self {
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

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    fn call<T>(&self, act: impl FnOnce(&mut World) -> T) -> Result<T, PortError> {
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

fn manifest(resource: &str, keys: &[&str]) -> ContentManifest {
    let entries: BTreeMap<_, _> = keys
        .iter()
        .map(|key| (*key, json!({ "sha256": Digest::of(key.as_bytes()), "bytes": 1 })))
        .collect();
    serde_json::from_value(json!({ "resource": resource, "entries": entries })).unwrap()
}

fn digest() -> Digest {
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
            stacks: Vec::new(),
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

    async fn copy(&self, resource: &Resource, _arn: &str) -> Result<CopyState, PortError> {
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
            world.there.remove(&resource.restore_to);
        })
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

/// AWS Backup completes every job.
fn complete(fake: &Fake) {
    let mut world = fake.world();
    let World { jobs, there, .. } = &mut *world;
    for (_, name, job) in jobs.values_mut() {
        job.state = RestoreState::Completed;
        there.entry(name.clone()).or_insert(None);
    }
}

struct Bench {
    deps: Deps<&'static Fake, MemoryRecords, &'static Fake>,
}

impl Bench {
    fn new() -> Self {
        let fake: &'static Fake = Box::leak(Box::new(Fake::new()));
        Self {
            deps: Deps {
                run: fake,
                records: MemoryRecords::default(),
                account: fake,
            },
        }
    }

    async fn ask(&self, operation: &str) -> Result<Output, RestoreError> {
        self.ask_again(operation, 0).await
    }

    /// The same, after an operator had the run go on `attempt` times.
    async fn ask_again(&self, operation: &str, attempt: u32) -> Result<Output, RestoreError> {
        let (plan, run) = {
            let world = self.deps.run.world();
            (
                world.package.plan.clone(),
                RunId::try_from("orders-0123456789ab".to_owned()).unwrap(),
            )
        };
        let package = plan.clone();
        let input = match operation {
            "start" => Operation::Start {
                plan,
                package,
                digest: digest(),
                attempt,
            },
            "poll" => Operation::Poll { plan },
            "adopt" => Operation::Adopt {
                plan,
                package,
                digest: digest(),
            },
            "clean_up" => Operation::CleanUp { plan },
            _ => Operation::Verify {
                plan,
                package,
                digest: digest(),
            },
        };
        let task = Task {
            context: StateContext {
                execution: "arn:e".to_owned(),
                started: Timestamp::UNIX_EPOCH,
                state: "Restore data".to_owned(),
                entered: Timestamp::UNIX_EPOCH,
                retry_count: 0,
                redrive_count: 0,
            },
            run: Some(run),
            input,
        };
        handle(task, &self.deps, Timestamp::UNIX_EPOCH).await
    }

    /// Asks until something else than a transient failure comes back, as the state machine does.
    async fn insist(&self, operation: &str) -> Result<Output, RestoreError> {
        for _ in 0..5 {
            match self.ask(operation).await {
                Err(error) if error.name() == ErrorName::Transient => {}
                other => return other,
            }
        }
        panic!("always transient");
    }

    fn started(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .deps
            .run
            .world()
            .jobs
            .values()
            .map(|job| job.1.clone())
            .collect();
        names.sort();
        names
    }
}

const BOTH: [&str; 2] = ["orders-data-restored", "orders-restored"];

fn progress(output: &Output) -> Progress {
    match output {
        Output::Progress(RestoreProgress { progress }) => *progress,
        Output::Restored(_) | Output::Removed(_) => panic!("another answer"),
    }
}

impl Bench {
    /// A bench whose run is known to the ledger.
    async fn of_mode(mode: &str) -> Self {
        let bench = Self::new();
        let run = RunId::try_from("orders-0123456789ab".to_owned()).unwrap();
        let record: RunRecord = serde_json::from_value(json!({
            "run": run, "workload": "orders", "mode": mode, "plan": bench.deps.run.world().package.plan,
            "trigger": {"kind": "manual", "requested_by": "ada"},
            "execution": "e", "started": "2026-01-31T08:00:00Z", "conclusion": null
        }))
        .unwrap();
        bench
            .deps
            .records
            .put_new(&Key::run(&run), &record)
            .await
            .unwrap();
        bench
    }

    /// Cleans up as the state machine does, until it is done; returns what was left alone.
    async fn clean_up(&self) -> Vec<String> {
        for _ in 0..12 {
            match self.ask("clean_up").await {
                Ok(Output::Removed(removed)) if removed.progress == Progress::Done => return removed.left,
                Ok(_) => {}
                Err(error) => assert_eq!(error.name(), ErrorName::Transient, "{error}"),
            }
        }
        panic!("never done");
    }

    fn there(&self) -> Vec<String> {
        self.deps.run.world().there.keys().cloned().collect()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_drill_removes_its_copies_and_nothing_else_whichever_call_fails() {
    for tagged in [true, false] {
        for lost in [Lost::Request, Lost::Answer] {
            for n in 1..=24 {
                let bench = Bench::of_mode("drill").await;
                bench.ask("start").await.unwrap();
                let bystander = ("orders-restored-2".to_owned(), None);
                bench.deps.run.world().there.extend([bystander]);
                complete(bench.deps.run);
                // The run may end before any poll has seen that the jobs are complete.
                if tagged {
                    bench.ask("poll").await.unwrap();
                }
                bench.deps.run.world().calls = 0;
                bench.deps.run.world().fail = Some((n, lost));
                assert!(bench.clean_up().await.is_empty(), "call {n}");
                assert_eq!(bench.there(), ["orders-restored-2"], "call {n}");
                assert!(bench.clean_up().await.is_empty(), "a repeat finds nothing to do");
            }
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_took_the_place_of_a_copy_stays_and_is_named() {
    let bench = Bench::of_mode("drill").await;
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    bench.ask("poll").await.unwrap();
    bench
        .deps
        .run
        .world()
        .there
        .insert("orders-restored".to_owned(), None);
    let left = bench.clean_up().await;
    assert_eq!(bench.there(), ["orders-restored"]);
    assert!(left[0].contains("orders-restored"), "{left:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn clean_up_waits_for_jobs_at_work_and_refuses_a_run_in_earnest() {
    let bench = Bench::of_mode("drill").await;
    assert!(bench.clean_up().await.is_empty(), "nothing was restored");
    bench.ask("start").await.unwrap();
    let Output::Removed(removed) = bench.ask("clean_up").await.unwrap() else {
        panic!("another answer");
    };
    assert_eq!(removed.progress, Progress::Running);

    let bench = Bench::of_mode("incident").await;
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    let error = bench.ask("clean_up").await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PolicyRefused);
    assert_eq!(bench.there(), ["orders-data-restored", "orders-restored"]);
}

#[tokio::test(flavor = "current_thread")]
async fn the_approved_set_is_restored_and_compared() {
    let bench = Bench::new();
    bench.ask("start").await.unwrap();
    assert_eq!(bench.started(), BOTH);
    assert_eq!(progress(&bench.ask("poll").await.unwrap()), Progress::Running);
    assert!(matches!(
        bench.ask("verify").await,
        Err(RestoreError::Unfinished(_))
    ));
    complete(bench.deps.run);
    assert_eq!(progress(&bench.ask("poll").await.unwrap()), Progress::Done);
    bench.ask("verify").await.unwrap();
    let kept = bench.deps.run.world().kept[0].clone();
    assert_eq!(kept.resources.len(), 2);
    assert_eq!(kept.resources[0].entries, 2);
    assert_eq!(kept.resources[0].arn, "arn:aws:s3:::orders-data-restored");
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_at_any_call_ends_where_no_failure_would() {
    let total = {
        let bench = Bench::new();
        bench.ask("start").await.unwrap();
        complete(bench.deps.run);
        bench.ask("verify").await.unwrap();
        bench.deps.run.world().calls
    };
    for lost in [Lost::Request, Lost::Answer] {
        for n in 1..=total {
            let bench = Bench::new();
            bench.deps.run.world().fail = Some((n, lost));
            bench.insist("start").await.unwrap();
            assert_eq!(bench.started(), BOTH, "call {n}");
            complete(bench.deps.run);
            bench.insist("verify").await.unwrap();
            assert_eq!(bench.deps.run.world().kept.last().unwrap().resources.len(), 2);
        }
    }
    for n in 0..8 {
        let bench = Bench::new();
        bench.deps.records.fail((0..=n).map(|i| i == n));
        bench.insist("start").await.unwrap();
        bench.insist("start").await.unwrap();
        assert_eq!(bench.started(), BOTH, "ledger call {n}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn another_point_than_the_approved_one_is_never_restored() {
    let bench = Bench::new();
    bench.deps.run.world().package.restores[0]
        .recovery_point
        .push_str("-newer");
    let error = bench.ask("start").await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PolicyRefused);
    assert!(error.to_string().contains("restores.orders-data"), "{error}");
    assert!(bench.started().is_empty());
    assert_eq!(bench.deps.records.count("RESTORE"), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_not_proven_to_be_isolated_gets_no_data() {
    for status in [CheckStatus::Fail, CheckStatus::Unknown] {
        let bench = Bench::new();
        bench.deps.run.world().isolation = status;
        assert_eq!(
            bench.ask("start").await.unwrap_err().name(),
            ErrorName::PolicyRefused
        );
        assert!(bench.started().is_empty());
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_lapsed_approval_begins_nothing_but_carries_through_what_began_in_time() {
    let bench = Bench::new();
    bench.deps.run.world().in_time = false;
    assert_eq!(
        bench.ask("start").await.unwrap_err().name(),
        ErrorName::PolicyRefused
    );
    assert!(bench.started().is_empty());

    let bench = Bench::new();
    // The call after the first job's start is lost: one of two jobs is started when the approval lapses.
    bench.deps.records.fail([false, false, true]);
    bench.ask("start").await.unwrap_err();
    assert_eq!(bench.started().len(), 1);
    bench.deps.run.world().in_time = false;
    bench.ask("start").await.unwrap();
    assert_eq!(bench.started(), BOTH);
}

#[tokio::test(flavor = "current_thread")]
async fn restored_content_that_differs_is_refused_with_the_difference() {
    let bench = Bench::new();
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    let tampered = manifest("orders-data", &["a"]);
    bench
        .deps
        .run
        .world()
        .content
        .insert("orders-data-restored".to_owned(), tampered);
    let error = bench.ask("verify").await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PolicyRefused);
    assert!(
        error
            .to_string()
            .contains("orders-data: its content has the digest"),
        "{error}"
    );
    assert!(bench.deps.run.world().kept.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_failed_job_and_a_broken_invariant_stop() {
    let bench = Bench::new();
    assert!(matches!(
        bench.ask("poll").await,
        Err(RestoreError::NotStarted(_))
    ));
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    bench.deps.run.world().invariants = Verdict::Tainted;
    assert_eq!(
        bench.ask("verify").await.unwrap_err().name(),
        ErrorName::PolicyRefused
    );
    for (_, _, job) in bench.deps.run.world().jobs.values_mut() {
        job.state = RestoreState::Failed;
        job.message = Some("access denied".to_owned());
    }
    let error = bench.ask("poll").await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    assert!(
        error.to_string().contains("orders-data") && error.to_string().contains("orders-table"),
        "{error}"
    );
}

mod adopting;
mod again;
