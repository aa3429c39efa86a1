//! What restored data needs before it is the workload's.

use std::collections::{BTreeMap, BTreeSet};

use blackstart_aws::port::PortError;
use blackstart_core::plan::{FixUp, Plan, Resource, Seam};
use blackstart_core::rebuild::change_set::{Change, ObservedChangeSet};
use blackstart_core::rebuild::drift::ResourceDrift;
use blackstart_core::rebuild::isolation::StackResource;
use blackstart_core::rebuild::waves::ObservedStack;
use blackstart_core::restore::fix_up::{BucketSettings, Settings, TableSettings};
use blackstart_core::rotation::hook::{HookAnswer, HookRequest};
use serde_json::Map;

use super::world::{Lost, manifest};
use super::*;
use crate::port::{Adopter, Taking};

/// A table, a bucket, hooks and one stack, as AWS keeps them.
pub(super) struct Workload {
    table: TableSettings,
    bucket: BucketSettings,
    /// Every setting that was asked for.
    asked: Vec<String>,
    /// Token to how often a hook was asked with it.
    hooks: BTreeMap<String, u32>,
    stack: ObservedStack,
    pub(super) resources: Vec<StackResource>,
    sets: BTreeMap<String, (ObservedChangeSet, Taking)>,
    /// Every change set that was made.
    proposed: Vec<String>,
    executed: Vec<String>,
    pub(super) drift: &'static str,
    surprise: bool,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            table: TableSettings {
                is_active: true,
                ..TableSettings::default()
            },
            bucket: BucketSettings::default(),
            asked: Vec::new(),
            hooks: BTreeMap::new(),
            stack: ObservedStack {
                id: "arn:stack".to_owned(),
                status: "CREATE_COMPLETE".to_owned(),
                reason: None,
                tags: BTreeMap::new(),
                parameters: BTreeMap::from([("Bucket".to_owned(), "none-yet".to_owned())]),
                outputs: BTreeMap::new(),
                change_sets: BTreeSet::new(),
            },
            resources: Vec::new(),
            sets: BTreeMap::new(),
            proposed: Vec::new(),
            executed: Vec::new(),
            drift: "IN_SYNC",
            surprise: false,
        }
    }
}

const TEMPLATE: &str = r#"{"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": {"Arn": {"Fn::Sub": "arn:aws:s3:::${Bucket}/*"}}}}}"#;

impl Adopter for &Fake {
    async fn settings(
        &self,
        resource: &Resource,
        _arn: &str,
        _as_properties: bool,
    ) -> Result<Settings, PortError> {
        self.call(|world| {
            if resource.resource_type == blackstart_core::plan::ResourceType::S3 {
                Settings::Bucket(world.workload.bucket.clone())
            } else {
                Settings::Table(world.workload.table.clone())
            }
        })
    }

    async fn put_back(&self, _resource: &Resource, _arn: &str, fix_up: &FixUp) -> Result<(), PortError> {
        self.call(|world| {
            let Workload {
                table, bucket, asked, ..
            } = &mut world.workload;
            asked.push(format!("{fix_up:?}"));
            match fix_up {
                FixUp::TimeToLive { attribute } => {
                    table.time_to_live = Some((attribute.clone(), "ENABLED".to_owned()));
                }
                FixUp::Stream { view } => table.stream = Some(view.clone()),
                FixUp::PointInTimeRecovery {} => table.point_in_time = true,
                FixUp::Versioning {} => bucket.versioning = true,
                FixUp::Tags { tags } => bucket.tags.extend(tags.clone()),
                FixUp::DeletionProtection {}
                | FixUp::Lifecycle { .. }
                | FixUp::EventNotifications {}
                | FixUp::Properties { .. }
                | FixUp::Hook { .. }
                | FixUp::Without { .. } => panic!("not faked: {fix_up:?}"),
            }
        })
    }

    async fn ask_hook(&self, _function: &str, request: &HookRequest) -> Result<HookAnswer, PortError> {
        self.call(|world| {
            *world.workload.hooks.entry(request.token.clone()).or_default() += 1;
            HookAnswer::read(br#"{"version": "alarm-1"}"#).unwrap()
        })
    }

    async fn stack(&self, _name: &str) -> Result<Option<ObservedStack>, PortError> {
        self.call(|world| Some(world.workload.stack.clone()))
    }

    async fn stack_resources(&self, _name: &str) -> Result<Vec<StackResource>, PortError> {
        self.call(|world| world.workload.resources.clone())
    }

    async fn stack_template(&self, _name: &str) -> Result<String, PortError> {
        self.call(|_| TEMPLATE.to_owned())
    }

    async fn change_set(&self, _stack: &str, name: &str) -> Result<Option<ObservedChangeSet>, PortError> {
        self.call(|world| world.workload.sets.get(name).map(|(set, _)| set.clone()))
    }

    async fn propose(
        &self,
        _stack: &str,
        name: &str,
        _parameters: &BTreeMap<String, String>,
        taking: &Taking,
    ) -> Result<(), PortError> {
        self.call(|world| {
            let change = |action: &str, logical_id: &str| Change {
                action: action.to_owned(),
                logical_id: logical_id.to_owned(),
                resource_type: String::new(),
                replacement: String::new(),
            };
            let mut changes = vec![match taking {
                Taking::Parameter { .. } => change("Modify", "Role"),
                Taking::Import(import) => change("Import", &import.logical_id),
            }];
            if world.workload.surprise {
                changes.push(change("Remove", "Queue"));
            }
            let set = ObservedChangeSet {
                id: name.to_owned(),
                status: "CREATE_COMPLETE".to_owned(),
                execution: "AVAILABLE".to_owned(),
                reason: None,
                changes,
                parameters: match taking {
                    Taking::Parameter { name, value } => BTreeMap::from([(name.clone(), value.clone())]),
                    Taking::Import(_) => BTreeMap::new(),
                },
                tags: BTreeMap::new(),
                template: None,
            };
            let Workload { sets, proposed, .. } = &mut world.workload;
            if !sets.contains_key(name) {
                proposed.push(name.to_owned());
                sets.insert(name.to_owned(), (set, taking.clone()));
            }
        })
    }

    async fn execute(&self, _stack: &str, change_set: &str, _token: &str) -> Result<(), PortError> {
        self.call(|world| {
            let Workload {
                stack,
                resources,
                sets,
                executed,
                ..
            } = &mut world.workload;
            // As CloudFormation does: the others were made for a stack that is another one now.
            sets.retain(|name, _| name == change_set);
            let (set, taking) = sets.get_mut(change_set).unwrap();
            if set.execution != "AVAILABLE" {
                return;
            }
            set.execution = "EXECUTE_COMPLETE".to_owned();
            executed.push(change_set.to_owned());
            match taking {
                Taking::Parameter { name, value } => {
                    stack.parameters.insert(name.clone(), value.clone());
                    stack.status = "UPDATE_COMPLETE".to_owned();
                }
                Taking::Import(import) => {
                    stack.status = "IMPORT_COMPLETE".to_owned();
                    resources.push(StackResource {
                        logical_id: import.logical_id.clone(),
                        resource_type: import.type_name.clone(),
                        physical_id: import.identifier.values().next().cloned(),
                        status: "IMPORT_COMPLETE".to_owned(),
                    });
                }
            }
        })
    }

    async fn drift(&self, _stack: &str, logical_id: &str) -> Result<ResourceDrift, PortError> {
        self.call(|world| ResourceDrift {
            logical_id: logical_id.to_owned(),
            resource_type: String::new(),
            status: world.workload.drift.to_owned(),
            reason: None,
            differences: Vec::new(),
        })
    }
}

/// A bucket that a stack refers to, and a table that the stack imports, each with settings to be put back.
fn adopted(plan: &mut Plan) {
    let [data, table] = plan.resources.as_mut_slice() else {
        panic!("two resources")
    };
    data.fix_ups = vec![
        FixUp::Versioning {},
        FixUp::Tags {
            tags: BTreeMap::from([("team".to_owned(), "orders".to_owned())]),
        },
    ];
    data.seam = Some(Seam::Parameter {
        stack: "app".to_owned(),
        parameter: "Bucket".to_owned(),
    });
    table.fix_ups = vec![
        FixUp::TimeToLive {
            attribute: "expires".to_owned(),
        },
        FixUp::Hook {
            name: "alarms".to_owned(),
            function: "blackstart-hook-alarms".to_owned(),
            restores: BTreeSet::from(["alarms".to_owned()]),
        },
        FixUp::Stream {
            view: "NEW_IMAGE".to_owned(),
        },
        FixUp::PointInTimeRecovery {},
    ];
    table.seam = Some(Seam::Import {
        stack: "app".to_owned(),
        logical_id: "Table".to_owned(),
        properties: Map::new(),
    });
}

async fn verified() -> Bench {
    let bench = Bench::new();
    bench.deps.run.world().plan = adopted;
    bench.ask("start").await.unwrap();
    complete(bench.deps.run);
    bench
}

impl Bench {
    /// Asks until everything is adopted, as the state machine does.
    async fn adopt(&self) -> Result<(), RestoreError> {
        for _ in 0..40 {
            match self.ask("adopt").await {
                Ok(Output::Progress(RestoreProgress {
                    progress: Progress::Done,
                })) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.name() == ErrorName::Transient => {}
                Err(error) => return Err(error),
            }
        }
        panic!("never done");
    }
}

fn is_adopted(world: &World) {
    let workload = &world.workload;
    assert_eq!(workload.table.stream.as_deref(), Some("NEW_IMAGE"));
    assert!(workload.table.point_in_time && workload.bucket.versioning);
    assert_eq!(
        workload.table.time_to_live,
        Some(("expires".to_owned(), "ENABLED".to_owned()))
    );
    assert_eq!(workload.stack.parameters["Bucket"], "orders-data-restored");
    assert_eq!(
        workload.resources[0].physical_id.as_deref(),
        Some("orders-restored")
    );
    assert_eq!(workload.executed.len(), 2, "each change set is executed once");
    assert_eq!(
        workload.proposed, workload.executed,
        "a stack takes one resource after the other: no change set is made in vain"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn settings_come_back_and_the_stack_takes_both_resources() {
    let bench = verified().await;
    assert!(matches!(
        bench.ask("adopt").await,
        Err(RestoreError::NotVerified(_))
    ));
    bench.ask("verify").await.unwrap();
    bench.adopt().await.unwrap();
    is_adopted(&bench.deps.run.world());
    let asked = bench.deps.run.world().workload.asked.clone();
    assert_eq!(asked.len(), 5, "{asked:?}");
    assert!(
        asked.last().unwrap().starts_with("TimeToLive"),
        "expiry is switched on last: {asked:?}"
    );

    bench.adopt().await.unwrap();
    let world = bench.deps.run.world();
    assert_eq!(
        (world.workload.asked.len(), world.workload.hooks.len()),
        (5, 1),
        "a repeat asks for nothing"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn whichever_call_fails_the_end_is_the_same() {
    let total = {
        let bench = verified().await;
        bench.ask("verify").await.unwrap();
        bench.deps.run.world().calls = 0;
        bench.adopt().await.unwrap();
        bench.deps.run.world().calls
    };
    assert!(total > 20, "{total}");
    for lost in [Lost::Request, Lost::Answer] {
        for n in 1..=total {
            let bench = verified().await;
            bench.ask("verify").await.unwrap();
            bench.deps.run.world().calls = 0;
            bench.deps.run.world().fail = Some((n, lost));
            bench.adopt().await.unwrap();
            is_adopted(&bench.deps.run.world());
            assert_eq!(
                bench.deps.run.world().workload.hooks.len(),
                1,
                "one token, call {n}"
            );
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_no_drift_check_proves_is_not_adopted() {
    for (drift, surprise, why) in [
        ("MODIFIED", false, "is MODIFIED"),
        ("NOT_CHECKED", false, "is proven to"),
        ("IN_SYNC", true, "would also Remove `Queue`"),
    ] {
        let bench = verified().await;
        bench.ask("verify").await.unwrap();
        bench.deps.run.world().workload.drift = drift;
        bench.deps.run.world().workload.surprise = surprise;
        let error = bench.adopt().await.unwrap_err();
        assert_eq!(error.name(), ErrorName::PreconditionChanged);
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_was_compared_once_is_not_compared_again() {
    let bench = verified().await;
    bench.ask("verify").await.unwrap();
    // Items expire, and the workload writes.
    let later = manifest("orders-table", &["a"]);
    bench
        .deps
        .run
        .world()
        .content
        .insert("orders-restored".to_owned(), later);
    bench.ask("verify").await.unwrap();
    assert_eq!(bench.deps.run.world().kept.len(), 1);
}
