//! The stage against an account in memory: repeated, failing at every call, tampered with, not isolated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::cloudformation::{NewStack, Proposed};
use blackstart_aws::port::PortError;
use blackstart_aws::records::Records as _;
use blackstart_aws::records::memory::MemoryRecords;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::error_name::{ErrorName, StageError as _};
use blackstart_core::ledger::Key;
use blackstart_core::plan::{Plan, TemplateRef};
use blackstart_core::rebuild::change_set::{Change, ObservedChangeSet};
use blackstart_core::rebuild::drift::{Detection, Difference, ResourceDrift};
use blackstart_core::rebuild::failure::StackEvent;
use blackstart_core::rebuild::isolation::StackResource;
use blackstart_core::rebuild::waves::ObservedStack;
use blackstart_core::rebuild::{CheckStatus, RebuildDocument};
use blackstart_core::restore::job::RestoreRecord;
use blackstart_core::run::{RunId, RunRecord};
use blackstart_core::task::rebuild::{Advanced, Checked, Compared, Operation, Rebuilt};
use blackstart_core::task::{Progress, StateContext, Task};
use serde_json::{Value, json};

use crate::port::{Builders, Documents, Stacks};
use crate::{Deps, Output, RebuildError, handle};

mod earlier;

const PLAN: &[u8] = include_bytes!("../../../tests/data/plan/orders.json");
const OLD: &str = "999999999999";

/// Everything outside of the stage.
#[derive(Default)]
struct World {
    templates: BTreeMap<String, Vec<u8>>,
    digests: BTreeMap<String, Digest>,
    stacks: BTreeMap<String, Stack>,
    kept: Vec<RebuildDocument>,
    /// Calls so far, and the one that is to fail, before or after it acts.
    calls: usize,
    fail: Option<(usize, Lost)>,
    proposed: Vec<String>,
    created: Vec<String>,
    /// What every change set would do beside what its template says.
    surprise: Option<Change>,
    deleted: Vec<String>,
    /// What the ledger knows of an earlier run, and whether it restored data.
    earlier: Option<(RunRecord, bool)>,
    /// Drift detections by id: the stack, and how often it still says that it is at work.
    detections: BTreeMap<String, (String, usize)>,
    /// Resources that are not what their template says, by logical id.
    drifted: BTreeMap<String, &'static str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Lost {
    Request,
    Answer,
}

struct Stack {
    new: NewStack,
    id: String,
    status: &'static str,
}

struct Fake(Mutex<World>);

impl Fake {
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

impl Documents for &Fake {
    async fn plan(&self, _plan: &ArtifactRef) -> Result<Plan, ArtifactError> {
        let mut plan = Plan::parse(PLAN)?;
        for stack in &mut plan.rebuild.stacks {
            if let Some(digest) = self.world().digests.get(&stack.template.key) {
                stack.template.sha256 = digest.clone();
            }
        }
        Ok(plan)
    }

    async fn template(&self, place: &TemplateRef) -> Result<Vec<u8>, ArtifactError> {
        Ok(self.call(|world| world.templates[&place.key].clone())?)
    }

    async fn keep(&self, _run: &RunId, document: &RebuildDocument) -> Result<ArtifactRef, ArtifactError> {
        Ok(self.call(|world| {
            world.kept.push(document.clone());
            artifact()
        })?)
    }
}

impl<'a> Builders for &'a Fake {
    type Stacks = &'a Fake;

    async fn open(&self, _plan: &Plan, _run: &RunRecord) -> Result<&'a Fake, PortError> {
        self.call(|_| ())?;
        Ok(self)
    }
}

fn find<'a>(world: &'a World, name: &str) -> Option<&'a Stack> {
    world.stacks.get(name)
}

impl Stacks for &Fake {
    async fn stack(&self, name: &str) -> Result<Option<ObservedStack>, PortError> {
        self.call(|world| {
            find(world, name).map(|stack| ObservedStack {
                id: stack.id.clone(),
                status: stack.status.to_owned(),
                reason: None,
                tags: stack.new.tags.clone(),
                parameters: stack.new.parameters.clone(),
                outputs: BTreeMap::from([("Name".to_owned(), name.to_owned())]),
                change_sets: BTreeSet::from([stack.new.change_set.clone()]),
            })
        })
    }

    async fn propose(&self, new: &NewStack) -> Result<Proposed, PortError> {
        self.call(|world| {
            if world.stacks.contains_key(&new.name) {
                return Proposed::Exists;
            }
            world.proposed.push(new.name.clone());
            let stack = Stack {
                id: format!("arn:aws:cloudformation:::stack/{}/{}", new.name, world.calls),
                new: new.clone(),
                status: "REVIEW_IN_PROGRESS",
            };
            world.stacks.insert(new.name.clone(), stack);
            Proposed::Started
        })
    }

    async fn change_set(&self, stack: &str, name: &str) -> Result<Option<ObservedChangeSet>, PortError> {
        let resources = self.resources(stack).await?;
        self.call(|world| {
            let found = find(world, stack).filter(|stack| stack.new.change_set == name)?;
            let waits = found.status == "REVIEW_IN_PROGRESS";
            let mut changes: Vec<Change> = resources
                .into_iter()
                .map(|resource| Change {
                    action: "Add".to_owned(),
                    logical_id: resource.logical_id,
                    resource_type: resource.resource_type,
                })
                .collect();
            changes.extend(world.surprise.clone());
            Some(ObservedChangeSet {
                id: format!("set-of-{}", found.id),
                status: "CREATE_COMPLETE".to_owned(),
                execution: if waits { "AVAILABLE" } else { "EXECUTE_COMPLETE" }.to_owned(),
                reason: None,
                changes,
                parameters: found.new.parameters.clone(),
                tags: found.new.tags.clone(),
                template: Some(found.new.template.clone()),
            })
        })
    }

    async fn execute(&self, stack: &str, change_set: &str, _token: &str) -> Result<(), PortError> {
        self.call(|world| {
            let Some(found) = world.stacks.get_mut(stack) else {
                return;
            };
            if found.status == "REVIEW_IN_PROGRESS" && change_set == format!("set-of-{}", found.id) {
                found.status = "CREATE_IN_PROGRESS";
                world.created.push(stack.to_owned());
            }
        })
    }

    async fn delete(&self, id: &str, _token: &str) -> Result<(), PortError> {
        self.call(|world| {
            for stack in world.stacks.values_mut().filter(|stack| stack.id == id) {
                stack.status = "DELETE_IN_PROGRESS";
            }
            world.deleted.push(id.to_owned());
        })
    }

    async fn events(&self, _name: &str) -> Result<Vec<StackEvent>, PortError> {
        self.call(|_| {
            vec![StackEvent {
                at: jiff::Timestamp::UNIX_EPOCH,
                id: "1".to_owned(),
                logical_id: "Queue".to_owned(),
                resource_type: "AWS::SQS::Queue".to_owned(),
                status: "CREATE_FAILED".to_owned(),
                reason: Some("a queue of that name was deleted recently".to_owned()),
            }]
        })
    }

    async fn resources(&self, name: &str) -> Result<Vec<StackResource>, PortError> {
        self.call(|world| {
            let template: Value = serde_json::from_str(&find(world, name).unwrap().new.template).unwrap();
            template["Resources"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(logical_id, resource)| StackResource {
                    logical_id: logical_id.clone(),
                    resource_type: resource["Type"].as_str().unwrap().to_owned(),
                    physical_id: Some("x".to_owned()),
                    status: "CREATE_COMPLETE".to_owned(),
                })
                .collect()
        })
    }

    async fn detect_drift(&self, name: &str) -> Result<Option<String>, PortError> {
        self.call(|world| {
            // One whose id was lost goes on, too, and stands in the way until it ends.
            let at_work = world
                .detections
                .values_mut()
                .find(|(stack, left)| stack == name && *left > 0);
            if let Some((_, left)) = at_work {
                *left -= 1;
                return None;
            }
            let id = format!("detection-{}", world.detections.len());
            world.detections.insert(id.clone(), (name.to_owned(), 1));
            Some(id)
        })
    }

    async fn detection(&self, id: &str) -> Result<Option<Detection>, PortError> {
        self.call(|world| {
            let (_, left) = world.detections.get_mut(id)?;
            if *left > 0 {
                *left -= 1;
                return Some(Detection::Running);
            }
            Some(Detection::Complete)
        })
    }

    async fn drifts(&self, name: &str) -> Result<Vec<ResourceDrift>, PortError> {
        let resources = self.resources(name).await?;
        self.call(|world| {
            resources
                .into_iter()
                .map(|resource| ResourceDrift {
                    status: world
                        .drifted
                        .get(&resource.logical_id)
                        .map_or("IN_SYNC", |status| *status)
                        .to_owned(),
                    logical_id: resource.logical_id,
                    resource_type: resource.resource_type,
                    reason: None,
                    differences: vec![Difference {
                        path: "/DelaySeconds".to_owned(),
                        kind: "NOT_EQUAL".to_owned(),
                    }],
                })
                .collect()
        })
    }

    async fn template(&self, name: &str) -> Result<Option<String>, PortError> {
        self.call(|world| find(world, name).map(|stack| stack.new.template.clone()))
    }
}

fn artifact() -> ArtifactRef {
    ArtifactRef {
        bucket: "artifacts".to_owned(),
        key: "k".to_owned(),
        version: None,
        sha256: Digest::of(b""),
        bytes: 0,
    }
}

fn fake_of(app: &Value) -> Fake {
    let foundation = json!({ "Resources": { "Queue": { "Type": "AWS::SQS::Queue" } } });
    let mut world = World::default();
    for (key, template) in [("orders/foundation.json", &foundation), ("orders/app.json", app)] {
        let bytes = serde_json::to_vec(template).unwrap();
        world.digests.insert(key.to_owned(), Digest::of(&bytes));
        world.templates.insert(key.to_owned(), bytes);
    }
    Fake(Mutex::new(world))
}

fn fake() -> Fake {
    fake_of(&json!({
        "Parameters": { "DataBucket": { "Type": "String" } },
        "Resources": { "Role": { "Type": "AWS::IAM::Role", "Properties": { "AssumeRolePolicyDocument": {
            "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "lambda.amazonaws.com" } }]
        } } } }
    }))
}

fn run() -> RunId {
    RunId::try_from("orders-0123456789ab".to_owned()).unwrap()
}

async fn ask(fake: &Fake, input: Operation) -> Result<Output, RebuildError> {
    ask_about(fake, input, "drill", false).await
}

async fn ask_about(
    fake: &Fake,
    input: Operation,
    mode: &str,
    restoring: bool,
) -> Result<Output, RebuildError> {
    let records = MemoryRecords::default();
    let record: RunRecord = serde_json::from_value(json!({
        "run": run(), "workload": "orders", "mode": mode, "plan": artifact(),
        "trigger": {"kind": "manual", "requested_by": "ada"},
        "execution": "e", "started": "2026-01-31T08:00:00Z", "conclusion": null
    }))
    .unwrap();
    records.put_new(&Key::run(&run()), &record).await.unwrap();
    let earlier = fake.world().earlier.clone();
    if let Some((record, restored)) = earlier {
        let run = record.run.clone();
        records.put_new(&Key::run(&run), &record).await.unwrap();
        if restored {
            let restores = RestoreRecord::intend(&Digest::of(b"package"), &[]);
            records.put_new(&Key::restore(&run), &restores).await.unwrap();
        }
    }
    if restoring {
        let restores = RestoreRecord::intend(&Digest::of(b"package"), &[]);
        records.put_new(&Key::restore(&run()), &restores).await.unwrap();
    }
    let task = Task {
        context: StateContext {
            execution: "arn:e".to_owned(),
            started: jiff::Timestamp::UNIX_EPOCH,
            state: "Advance".to_owned(),
            entered: jiff::Timestamp::UNIX_EPOCH,
            retry_count: 0,
            redrive_count: 0,
        },
        run: Some(run()),
        input,
    };
    let deps = Deps {
        documents: fake,
        records,
        builders: fake,
    };
    handle(task, &deps).await
}

fn advance() -> Operation {
    Operation::Advance { plan: artifact() }
}

/// Lets time pass: what is in progress ends.
fn settle(fake: &Fake) {
    let mut world = fake.world();
    world
        .stacks
        .retain(|_, stack| stack.status != "DELETE_IN_PROGRESS");
    for stack in world.stacks.values_mut() {
        if stack.status == "CREATE_IN_PROGRESS" {
            stack.status = "CREATE_COMPLETE";
        }
    }
}

/// Repeats an operation as the state machine does, until it is done. Transient failures are tried again.
async fn until_done(fake: &Fake, operation: &Operation) {
    for _ in 0..20 {
        match ask(fake, operation.clone()).await {
            Ok(Output::Advanced(Advanced {
                progress: Progress::Done,
                ..
            })) => return,
            Ok(_) => settle(fake),
            Err(error) => assert_eq!(error.name(), ErrorName::Transient, "{error}"),
        }
    }
    panic!("never done");
}

/// Has every stack compared, and the environment examined.
async fn proven(fake: &Fake) -> Rebuilt {
    let mut detections = BTreeMap::new();
    for _ in 0..20 {
        let compare = Operation::DetectDrift {
            plan: artifact(),
            detections: detections.clone(),
        };
        match ask(fake, compare).await {
            Ok(Output::Compared(Compared {
                progress,
                detections: asked,
            })) => {
                detections = asked;
                if progress == Progress::Done {
                    let preflight = Operation::Preflight {
                        plan: artifact(),
                        detections,
                    };
                    let Ok(Output::Rebuilt(rebuilt)) = ask(fake, preflight).await else {
                        panic!("another answer");
                    };
                    return rebuilt;
                }
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => assert_eq!(error.name(), ErrorName::Transient, "{error}"),
        }
    }
    panic!("never compared");
}

#[tokio::test(flavor = "current_thread")]
async fn a_resource_that_was_changed_by_hand_is_named_with_its_properties_and_what_was_not_compared_is_unknown()
 {
    let fake = fake();
    until_done(&fake, &advance()).await;
    for (status, expected) in [
        ("MODIFIED", CheckStatus::Fail),
        ("UNSUPPORTED", CheckStatus::Unknown),
    ] {
        fake.world().drifted.insert("Queue".to_owned(), status);
        let rebuilt = proven(&fake).await;
        assert!(!rebuilt.isolated);
        let kept = fake.world().kept.last().unwrap().clone();
        let check = kept.not_passed().next().unwrap();
        assert_eq!((check.check.as_str(), check.status), ("drift", expected));
        assert_eq!(check.objections[0].subject, "orders-foundation/Queue");
        assert!(
            status == "UNSUPPORTED" || check.evidence.contains("`/DelaySeconds` NOT_EQUAL"),
            "{}",
            check.evidence
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_comparison_survives_lost_requests_and_answers() {
    for lost in [Lost::Request, Lost::Answer] {
        for n in 1..12 {
            let fake = fake();
            until_done(&fake, &advance()).await;
            {
                let mut world = fake.world();
                world.fail = Some((world.calls + n, lost));
            }
            let mut detections = BTreeMap::new();
            for _ in 0..20 {
                let compare = Operation::DetectDrift {
                    plan: artifact(),
                    detections: detections.clone(),
                };
                if let Ok(Output::Compared(compared)) = ask(&fake, compare).await {
                    detections = compared.detections;
                    if compared.progress == Progress::Done {
                        break;
                    }
                }
            }
            fake.world().fail = None;
            let preflight = Operation::Preflight {
                plan: artifact(),
                detections,
            };
            let Ok(Output::Rebuilt(rebuilt)) = ask(&fake, preflight).await else {
                panic!("call {n}");
            };
            assert!(rebuilt.isolated, "call {n}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn without_a_comparison_nothing_is_proven() {
    let fake = fake();
    until_done(&fake, &advance()).await;
    let preflight = Operation::Preflight {
        plan: artifact(),
        detections: BTreeMap::new(),
    };
    let Ok(Output::Rebuilt(rebuilt)) = ask(&fake, preflight).await else {
        panic!("another answer");
    };
    assert!(!rebuilt.isolated);
}

#[tokio::test(flavor = "current_thread")]
async fn a_plan_is_built_wave_by_wave_proven_isolated_and_removed_again() {
    let fake = fake();
    let checked = ask(&fake, Operation::Check { plan: artifact() }).await.unwrap();
    assert_eq!(checked, Output::Checked(Checked { templates: 2 }));
    assert!(fake.world().created.is_empty());

    ask(&fake, advance()).await.unwrap();
    assert_eq!(fake.world().proposed, ["orders-foundation"]);
    assert!(
        fake.world().created.is_empty(),
        "a change set is looked at before it is executed"
    );
    ask(&fake, advance()).await.unwrap();
    ask(&fake, advance()).await.unwrap();
    assert_eq!(fake.world().created, ["orders-foundation"]);
    until_done(&fake, &advance()).await;
    assert_eq!(fake.world().created, ["orders-foundation", "orders-app"]);

    let rebuilt = proven(&fake).await;
    assert!(rebuilt.isolated, "{:?}", fake.world().kept);
    let document = fake.world().kept[0].clone();
    let names: Vec<_> = document.stacks.iter().map(|stack| stack.name.as_str()).collect();
    assert_eq!(names, ["orders-foundation", "orders-app"]);
    assert_eq!(document.stacks[1].outputs["Name"], "orders-app");

    until_done(&fake, &Operation::CleanUp { plan: artifact() }).await;
    assert!(fake.world().stacks.is_empty());
    let app_first = fake
        .world()
        .deleted
        .first()
        .is_some_and(|id| id.contains("orders-app"));
    assert!(app_first);
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_at_any_call_changes_nothing_in_the_end() {
    for lost in [Lost::Request, Lost::Answer] {
        for n in 1..40 {
            let fake = fake();
            fake.world().fail = Some((n, lost));
            until_done(&fake, &advance()).await;
            assert_eq!(
                fake.world().created,
                ["orders-foundation", "orders-app"],
                "call {n}"
            );
            until_done(&fake, &Operation::CleanUp { plan: artifact() }).await;
            assert!(fake.world().stacks.is_empty(), "call {n}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_stacks_of_a_run_in_earnest_go_only_if_it_restored_nothing() {
    let fake = fake();
    until_done(&fake, &advance()).await;
    let clean_up = || Operation::CleanUp { plan: artifact() };
    let error = ask_about(&fake, clean_up(), "incident", true).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PolicyRefused);
    assert!(fake.world().deleted.is_empty());
    ask_about(&fake, clean_up(), "incident", false).await.unwrap();
    assert_eq!(fake.world().deleted.len(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_tampered_template_stops_before_anything_is_created() {
    let fake = fake();
    fake.world()
        .templates
        .get_mut("orders/app.json")
        .unwrap()
        .push(b'\n');
    for operation in [Operation::Check { plan: artifact() }, advance()] {
        let error = ask(&fake, operation).await.unwrap_err();
        assert_eq!(error.name(), ErrorName::PolicyRefused);
        assert!(error.to_string().contains("orders-app: the template"), "{error}");
    }
    assert!(fake.world().created.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_template_that_names_the_old_account_is_never_built_even_if_the_plan_wants_it() {
    let fake = fake_of(
        &json!({ "Resources": { "Queue": { "Type": "AWS::SQS::Queue", "Properties": { "QueueName": OLD } } } }),
    );
    let error = ask(&fake, advance()).await.unwrap_err();
    assert!(
        error.to_string().contains("Resources.Queue.Properties.QueueName"),
        "{error}"
    );
    assert!(fake.world().created.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn a_failed_stack_says_why_and_somebody_elses_stack_is_left_alone() {
    let fake = fake();
    ask(&fake, advance()).await.unwrap();
    fake.world().stacks.get_mut("orders-foundation").unwrap().status = "ROLLBACK_COMPLETE";
    let error = ask(&fake, advance()).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    assert!(
        error
            .to_string()
            .contains("a queue of that name was deleted recently"),
        "{error}"
    );

    fake.world()
        .stacks
        .get_mut("orders-foundation")
        .unwrap()
        .new
        .tags
        .clear();
    let error = ask(&fake, advance()).await.unwrap_err();
    assert!(error.to_string().contains("is not this run's"), "{error}");
    until_done(&fake, &Operation::CleanUp { plan: artifact() }).await;
    assert!(fake.world().deleted.is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_not_isolated_is_recorded_as_such_and_what_is_not_built_is_not_examined() {
    let fake = fake();
    let preflight = Operation::Preflight {
        plan: artifact(),
        detections: BTreeMap::new(),
    };
    let error = ask(&fake, preflight).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    until_done(&fake, &advance()).await;
    fake.world().stacks.get_mut("orders-app").unwrap().new.template = "{\"Resources\":{}}".to_owned();
    let rebuilt = proven(&fake).await;
    assert!(!rebuilt.isolated);
    assert!(!fake.world().kept[0].is_isolated());
}
