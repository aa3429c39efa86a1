//! The rebuild function as it is deployed, asked step by step: its real binary, its real roles, the local AWS's own
//! CloudFormation.
#![recursion_limit = "256"]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the functions below are parts of tests"
)]

use std::path::Path;
use std::time::Duration;

use aws_sdk_lambda::primitives::Blob;
use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::ledger::Ledger;
use blackstart_cli::drill::Play;
use blackstart_cli::drill::play::Stage;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::ledger::Key;
use blackstart_core::plan::Plan;
use blackstart_core::rebuild::{CheckStatus, RebuildDocument};
use blackstart_core::run::{RunId, RunRecord};
use blackstart_local::WEB_BUCKET;
use blackstart_local::accounts::{REBUILD, RECOVERY};
use blackstart_local::project::Project;
use serde_json::{Value, json};

/// The rebuild function of one deployment.
struct Rebuild<'a> {
    stage: &'a Stage,
    lambda: aws_sdk_lambda::Client,
    s3: aws_sdk_s3::Client,
    ledger: Ledger,
    artifacts: ArtifactStore,
}

/// A run that the function is asked to work for.
struct Run {
    id: RunId,
    record: RunRecord,
    plan: ArtifactRef,
}

/// What a step that must not succeed says.
#[derive(Debug)]
struct Refused {
    name: String,
    cause: String,
}

impl<'a> Rebuild<'a> {
    fn of(stage: &'a Stage) -> Self {
        let config = stage.local.root_of(RECOVERY);
        let output = |name: &str| stage.deployed.output(name).unwrap().to_owned();
        Self {
            lambda: aws_sdk_lambda::Client::new(&config),
            s3: aws_sdk_s3::Client::new(&config),
            ledger: Ledger::new(&config, output("LedgerTable")),
            artifacts: ArtifactStore::new(&config, output("ArtifactBucket")),
            stage,
        }
    }

    /// Opens a run with this plan.
    async fn open(&self, suffix: &str, plan: &Plan) -> Run {
        let id = RunId::try_from(format!("orders-{suffix}")).unwrap();
        let plan = self.artifacts.put_json(&id, "plan.json", plan).await.unwrap();
        let record: RunRecord = serde_json::from_value(json!({
            "run": id, "workload": "orders", "mode": "incident", "plan": plan,
            "trigger": {"kind": "manual", "requested_by": "ada"},
            "execution": "arn:aws:states:::execution:x", "started": "2026-01-31T08:00:00Z", "conclusion": null
        }))
        .unwrap();
        self.ledger.put_new(&Key::run(&id), &record).await.unwrap();
        Run { id, record, plan }
    }

    /// Closes a run as refused, as the state machine would have.
    async fn refuse(&self, run: Run) {
        let found = self
            .ledger
            .get::<RunRecord>(&Key::run(&run.id))
            .await
            .unwrap()
            .unwrap();
        let mut record = serde_json::to_value(&run.record).unwrap();
        record["conclusion"] = json!("refused");
        let record: RunRecord = serde_json::from_value(record).unwrap();
        self.ledger
            .replace(&Key::run(&run.id), found.version, &record)
            .await
            .unwrap();
    }

    async fn put_template(&self, key: &str, text: &str) {
        let bucket = self.stage.deployed.output("PlanBucket").unwrap();
        self.s3
            .put_object()
            .bucket(bucket)
            .key(key)
            .body(text.as_bytes().to_vec().into())
            .send()
            .await
            .unwrap();
    }

    async fn ask(&self, run: &Run, operation: &str, more: Value) -> Result<Value, Refused> {
        let mut input = json!({"operation": operation, "plan": run.plan});
        input
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let task = json!({
            "context": {
                "execution": "arn:aws:states:::execution:x", "started": "2026-01-31T08:00:00Z",
                "state": "Create stacks", "entered": "2026-01-31T08:00:00Z", "retry_count": 0, "redrive_count": 0,
            },
            "run": run.id,
            "input": input,
        });
        let answer = self
            .lambda
            .invoke()
            .function_name("blackstart-rebuild:live")
            .payload(Blob::new(task.to_string()))
            .send()
            .await
            .unwrap();
        let payload: Value = serde_json::from_slice(answer.payload.unwrap().as_ref()).unwrap();
        if answer.function_error.is_none() {
            return Ok(payload);
        }
        Err(Refused {
            name: payload["errorType"].as_str().unwrap().to_owned(),
            cause: payload["errorMessage"].as_str().unwrap().to_owned(),
        })
    }

    /// Repeats an operation as the state machine does. Gives the last answer, and everything that was asked for.
    async fn until_done(&self, run: &Run, operation: &str) -> Result<(Value, Vec<String>), Refused> {
        let mut kept = json!({});
        let mut requested = Vec::new();
        for _ in 0..120 {
            let answer = self.ask(run, operation, kept.clone()).await?;
            for what in ["requested", "cleared"] {
                let names = answer[what].as_array().into_iter().flatten();
                requested.extend(names.map(|name| format!("{what} {}", name.as_str().unwrap())));
            }
            if answer["progress"] == "done" {
                return Ok((answer, requested));
            }
            if let Some(detections) = answer.get("detections") {
                kept = json!({ "detections": detections });
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        panic!("{operation} was never done");
    }

    /// Compares, examines, and reads what was recorded.
    async fn examined(&self, run: &Run) -> RebuildDocument {
        let (compared, _) = self.until_done(run, "detect_drift").await.unwrap();
        let detections = json!({"detections": compared["detections"]});
        let answer = self.ask(run, "preflight", detections).await.unwrap();
        let document: ArtifactRef = serde_json::from_value(answer["document"].clone()).unwrap();
        self.artifacts.get_json(&document).await.unwrap()
    }

    /// The plan with one stack more, from this template, in a wave of its own.
    async fn with_stack(&self, name: &str, kinds: &[&str], template: &Value) -> Plan {
        let mut plan = self.stage.ready.plan.clone();
        let text = template.to_string();
        let key = format!("templates/{name}.json");
        self.put_template(&key, &text).await;
        let mut stack = plan.rebuild.stacks[0].clone();
        stack.name = name.to_owned();
        stack.wave = 0;
        stack.template.key = key;
        stack.template.sha256 = Digest::of(text.as_bytes());
        stack.parameters.clear();
        stack.items.clear();
        plan.rebuild.stacks = vec![stack];
        // The stacks that take what is restored are not in it.
        for resource in &mut plan.resources {
            resource.seam = None;
        }
        plan.rebuild
            .allowed_resource_types
            .extend(kinds.iter().map(|kind| (*kind).to_owned()));
        plan
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_built_or_used_stops_with_a_cause_and_what_an_earlier_run_left_gives_way() {
    let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let stage = Stage::set(&project, Play::Refused.scenario(), &mut |_| {})
        .await
        .unwrap();
    let rebuild = Rebuild::of(&stage);

    // The workload, its drift, and the run after it.
    let first = rebuild.open("000000000001", &stage.ready.plan).await;
    let (_, requested) = rebuild.until_done(&first, "advance").await.unwrap();
    assert_eq!(requested, ["requested orders-foundation", "requested orders-app"]);
    let document = rebuild.examined(&first).await;
    assert!(
        document.is_isolated(),
        "{:?}",
        document.not_passed().collect::<Vec<_>>()
    );
    let iam = aws_sdk_iam::Client::new(&stage.local.root_of(REBUILD));
    let wider = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ]});
    iam.update_assume_role_policy()
        .role_name("orders-app")
        .policy_document(wider.to_string())
        .send()
        .await
        .unwrap();
    let document = rebuild.examined(&first).await;
    let drift = document.not_passed().next().unwrap();
    assert_eq!((drift.check.as_str(), drift.status), ("drift", CheckStatus::Fail));
    assert!(
        drift
            .evidence
            .contains("`orders-app/AppRole` is not what the template says: `/AssumeRolePolicyDocument"),
        "{}",
        drift.evidence
    );

    let second = rebuild.open("000000000002", &stage.ready.plan).await;
    let refused = rebuild.until_done(&second, "advance").await.unwrap_err();
    assert_eq!(refused.name, "Recovery.PreconditionChanged");
    assert!(
        refused.cause.contains("`orders-000000000001` has not ended"),
        "{refused:?}"
    );
    rebuild.refuse(first).await;
    let (_, requested) = rebuild.until_done(&second, "advance").await.unwrap();
    assert_eq!(
        requested,
        [
            "cleared orders-app",
            "cleared orders-foundation",
            "requested orders-foundation",
            "requested orders-app"
        ]
    );
    assert!(rebuild.examined(&second).await.is_isolated());

    // A way out.
    let plan = rebuild
        .with_stack(
            "orders-open",
            &["AWS::EC2::InternetGateway"],
            &json!({"Resources": {"Gateway": {"Type": "AWS::EC2::InternetGateway"}}}),
        )
        .await;
    let open = rebuild.open("000000000003", &plan).await;
    rebuild.until_done(&open, "advance").await.unwrap();
    let document = rebuild.examined(&open).await;
    let network = document
        .not_passed()
        .find(|check| check.check == "network")
        .unwrap();
    assert_eq!(network.status, CheckStatus::Fail);
    assert!(
        network.evidence.contains("`orders-open/Gateway` is a way out"),
        "{}",
        network.evidence
    );

    // A stack that cannot be made.
    let taken = json!({"Type": "AWS::S3::Bucket", "Properties": {"BucketName": WEB_BUCKET}});
    let mut plan = rebuild
        .with_stack("orders-broken", &[], &json!({"Resources": {"Again": taken}}))
        .await;
    for stack in &mut plan.rebuild.stacks {
        stack.items = serde_json::from_value(json!({
            "Again": {"class": "rebuild", "reason": "what it serves is put there by the deployment"},
        }))
        .unwrap();
    }
    let broken = rebuild.open("000000000004", &plan).await;
    let refused = rebuild.until_done(&broken, "advance").await.unwrap_err();
    assert_eq!(refused.name, "Recovery.PreconditionChanged");
    assert!(
        refused
            .cause
            .contains("`Again` (AWS::S3::Bucket) is VALIDATION_FAILED"),
        "{refused:?}"
    );

    // A template that is not the reviewed one.
    let key = &stage.ready.plan.rebuild.stacks[1].template.key;
    rebuild.put_template(key, "{}").await;
    let tampered = rebuild.open("000000000005", &stage.ready.plan).await;
    let refused = rebuild.ask(&tampered, "check", json!({})).await.unwrap_err();
    assert_eq!(refused.name, "Recovery.PolicyRefused");
    assert!(
        refused.cause.contains(key) && refused.cause.contains("restore the reviewed template"),
        "{refused:?}"
    );
    stage.local.stop().await;
}
