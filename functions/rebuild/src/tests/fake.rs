//! A rebuild account in memory.

use std::collections::{BTreeMap, BTreeSet};

use blackstart_aws::artifacts::ArtifactError;
use blackstart_aws::cloudformation::{NewStack, Proposed};
use blackstart_aws::faults::Unreliable;
use blackstart_aws::port::PortError;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::plan::{Plan, TemplateRef};
use blackstart_core::rebuild::RebuildDocument;
use blackstart_core::rebuild::change_set::{Change, ObservedChangeSet};
use blackstart_core::rebuild::drift::{Detection, Difference, ResourceDrift};
use blackstart_core::rebuild::failure::StackEvent;
use blackstart_core::rebuild::isolation::StackResource;
use blackstart_core::rebuild::surroundings::{Kind, Live, Survey};
use blackstart_core::rebuild::waves::ObservedStack;
use blackstart_core::run::{RunId, RunRecord};
use serde_json::{Value, json};

use crate::port::{Builders, Documents, Stacks};

const PLAN: &[u8] = include_bytes!("../../../../tests/data/plan/orders.json");

/// Everything outside of the stage.
#[derive(Default)]
pub(super) struct World {
    pub(super) templates: BTreeMap<String, Vec<u8>>,
    pub(super) digests: BTreeMap<String, Digest>,
    pub(super) stacks: BTreeMap<String, Stack>,
    pub(super) kept: Vec<RebuildDocument>,
    pub(super) proposed: Vec<String>,
    /// Number of stacks that were ever proposed.
    pub(super) made: usize,
    pub(super) created: Vec<String>,
    /// What every change set would do beside what its template says.
    pub(super) surprise: Option<Change>,
    pub(super) deleted: Vec<String>,
    /// What the ledger knows of an earlier run, and whether it restored data.
    pub(super) earlier: Option<(RunRecord, bool)>,
    /// Drift detections by id: the stack, and how often it still says that it is at work.
    pub(super) detections: BTreeMap<String, (String, usize)>,
    /// What the account holds beside the stacks.
    pub(super) besides: Vec<(Kind, Live)>,
    /// Resources that are not what their template says, by logical id.
    pub(super) drifted: BTreeMap<String, &'static str>,
}

pub(super) struct Stack {
    pub(super) new: NewStack,
    pub(super) id: String,
    pub(super) status: &'static str,
}

pub(super) type Fake = Unreliable<World>;

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

    async fn survey(&self, _plan: &Plan, _run: &RunRecord) -> Result<Survey, PortError> {
        self.call(|world| Survey {
            home: None,
            found: Kind::all()
                .map(|kind| {
                    let live = world.besides.iter().filter(|(of, _)| *of == kind);
                    (kind, Ok(live.map(|(_, live)| live.clone()).collect()))
                })
                .collect(),
        })
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
            world.made += 1;
            let stack = Stack {
                id: format!("arn:aws:cloudformation:::stack/{}/{}", new.name, world.made),
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
                    replacement: String::new(),
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

pub(super) fn artifact() -> ArtifactRef {
    ArtifactRef {
        bucket: "artifacts".to_owned(),
        key: "k".to_owned(),
        version: None,
        sha256: Digest::of(b""),
        bytes: 0,
    }
}

pub(super) fn fake_of(app: &Value) -> Fake {
    let foundation = json!({ "Resources": { "Queue": { "Type": "AWS::SQS::Queue" } } });
    let mut world = World::default();
    for (key, template) in [("orders/foundation.json", &foundation), ("orders/app.json", app)] {
        let bytes = serde_json::to_vec(template).unwrap();
        world.digests.insert(key.to_owned(), Digest::of(&bytes));
        world.templates.insert(key.to_owned(), bytes);
    }
    Fake::new(world)
}

pub(super) fn fake() -> Fake {
    fake_of(&json!({
        "Parameters": { "DataBucket": { "Type": "String" } },
        "Resources": { "Role": { "Type": "AWS::IAM::Role", "Properties": { "AssumeRolePolicyDocument": {
            "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "lambda.amazonaws.com" } }]
        } } } }
    }))
}
