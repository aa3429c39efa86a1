//! `blackstart cutover` as a process: the journal from a local AWS, the answer to the gate's function.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail it")]

use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use blackstart_aws::artifacts::ArtifactStore;
use blackstart_aws::ledger::Ledger;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::cutover::{CutoverDocument, PREPARE_TRAFFIC};
use blackstart_core::journal::{Entry, Event};
use blackstart_core::ledger::Key;
use blackstart_core::run::{RunId, WorkloadName};
use blackstart_core::task::Failure;
use blackstart_local::LocalAws;
use blackstart_local::accounts::RECOVERY;
use blackstart_local::project::Project;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::process::Command;

const TABLE: &str = "ledger";
const BUCKET: &str = "artifacts-111111111111";
const STEP: &str = "expand-555555555555-0a1b2c3d4e5f";
const ROLE: &str = "arn:aws:iam::555555555555:role/partner";

fn run() -> RunId {
    let workload = WorkloadName::try_from("orders".to_owned()).unwrap();
    RunId::of_execution(&workload, "x")
}

fn plan() -> CutoverDocument {
    serde_json::from_value(json!({
        "schema": blackstart_core::cutover::SCHEMA, "package": Digest::of(b"package"),
        "steps": [{
            "id": STEP, "account": "555555555555", "phase": "expand", "before": "{}", "after": "{\"a\":1}",
            "proof": "p", "slot": {"account": "555555555555", "region": "", "kind": "role_trust", "arn": ROLE},
        }],
        "traffic": {"zone": "Z1", "before": [], "after": []},
    }))
    .unwrap()
}

async fn command(environment: &[(String, String)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_blackstart"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .await
        .unwrap()
}

/// A ledger and a bucket in the emulator, and a journal that grows.
struct Hub {
    local: LocalAws,
    ledger: Ledger,
    plan: ArtifactRef,
    written: u64,
}

impl Hub {
    async fn start() -> Self {
        let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let local = LocalAws::start(&project, false).await.unwrap();
        let config = local.root_of(RECOVERY);
        let signed = blackstart_aws::signed::Signed::new(&config);
        // The command links no client that could make a table.
        let operation = blackstart_aws::signed::Operation {
            endpoint: blackstart_aws::signed::Endpoint {
                id: "DynamoDB",
                host: "dynamodb",
                signing: "dynamodb",
            },
            permission: "dynamodb:CreateTable",
            effect: blackstart_aws::port::Effect::Write,
            protocol: blackstart_aws::signed::Protocol::Json {
                version: "1.0",
                target: "DynamoDB_20120810.CreateTable",
            },
        };
        let table = json!({
            "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "S"},
            ],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        });
        signed
            .json(&operation, "making the ledger", "/", &table)
            .await
            .unwrap();
        let s3 = blackstart_aws::artifacts::s3_client(&config);
        s3.create_bucket().bucket(BUCKET).send().await.unwrap();
        let plan = ArtifactStore::new(&config, BUCKET.to_owned())
            .put(
                &run(),
                "cutover/plan.json",
                "application/json",
                serde_json::to_vec(&plan()).unwrap(),
            )
            .await
            .unwrap();
        Self {
            ledger: Ledger::new(&config, TABLE.to_owned()),
            local,
            plan,
            written: 0,
        }
    }

    async fn write(&mut self, event: Event) {
        self.written += 1;
        let entry = Entry {
            sequence: self.written,
            at: Timestamp::UNIX_EPOCH,
            by: "Expand in account of exec-1".to_owned(),
            spent: blackstart_core::cutover::rate::Spent::default(),
            event,
        };
        let key = Key::journal(&run(), self.written);
        assert!(self.ledger.put_new(&key, &entry).await.unwrap());
    }

    async fn status(&self, more: &[&str]) -> (Option<i32>, String) {
        let run = run().to_string();
        let mut arguments = vec!["cutover", "status", &run, "--ledger", TABLE];
        arguments.extend(more);
        let output = command(&self.local.environment(), &arguments).await;
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_status_says_what_is_open_why_and_what_to_read() {
    let mut hub = Hub::start().await;
    let (code, text) = hub.status(&[]).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("has no journal in this ledger"), "{text}");

    let step = || STEP.to_owned();
    hub.write(Event::Opened {
        package: Digest::of(b"package"),
        cutover: hub.plan.clone(),
    })
    .await;
    let (code, text) = hub.status(&[]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("planned, nothing done"), "{text}");

    for step in [PREPARE_TRAFFIC, STEP] {
        hub.write(Event::Intent {
            step: step.to_owned(),
            before: Digest::of(b"a"),
            after: Digest::of(b"b"),
        })
        .await;
    }
    hub.write(Event::OutcomeUnknown {
        step: step(),
        reason: "timeout\u{1b}[2J".to_owned(),
    })
    .await;
    let (code, text) = hub.status(&[]).await;
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "under way",
        "next: go on forward",
        ROLE,
        "timeout",
        "Step: intended",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");

    hub.write(Event::Conflict {
        step: step(),
        observed: Digest::of(b"third"),
    })
    .await;
    hub.write(Event::Failed {
        id: "1".to_owned(),
        failure: Failure {
            error: "Recovery.PreconditionChanged".to_owned(),
            cause: "changed by somebody else".to_owned(),
        },
    })
    .await;
    hub.write(Event::Direction {
        direction: blackstart_core::journal::Direction::Back,
    })
    .await;
    let (code, text) = hub.status(&["--journal"]).await;
    assert_eq!(code, Some(1), "a person has to look\n{text}");
    for part in [
        "needs an operator",
        "direction: back",
        "changed by somebody else and cannot be undone",
        "State: Await operator",
        "Step: in conflict",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    let lines = text.lines().filter(|line| line.starts_with('{'));
    assert_eq!(lines.count(), 7, "{text}");
    hub.local.stop().await;
}

/// Lambda, as far as an invocation of the gate's function goes.
async fn gate() -> (String, Arc<Mutex<Vec<Value>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let router = Router::new()
        .route(
            "/2015-03-31/functions/{name}/invocations",
            post(
                |State(asked): State<Arc<Mutex<Vec<Value>>>>, body: String| async move {
                    asked.lock().unwrap().push(serde_json::from_str(&body).unwrap());
                    json!({"statusCode": 200, "body": "{\"answered\":true}"}).to_string()
                },
            ),
        )
        .with_state(asked.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, asked)
}

#[tokio::test(flavor = "current_thread")]
async fn a_decision_goes_to_the_gate_with_its_reason() {
    let (address, asked) = gate().await;
    let environment = [
        ("AWS_ENDPOINT_URL", address.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", RECOVERY),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("BLACKSTART_GATE", "gate"),
        ("BLACKSTART_LOCAL_IDENTITY", "arn:aws:iam::111111111111:user/ada"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let run = run().to_string();
    for choice in ["resume", "revert", "abandon"] {
        let arguments = [
            "cutover",
            choice,
            &run,
            "--question",
            "0123",
            "--rationale",
            "the sibling is repaired",
        ];
        let output = command(&environment, &arguments).await;
        assert!(output.status.success(), "{output:?}");
        let sent = asked.lock().unwrap().pop().unwrap();
        assert_eq!(sent["rawPath"], format!("/runs/{run}/operator"));
        let body: Value = serde_json::from_str(sent["body"].as_str().unwrap()).unwrap();
        assert_eq!(
            body,
            json!({"question": "0123", "choice": choice, "rationale": "the sibling is repaired"})
        );
    }
    let without = command(&environment, &["cutover", "revert", &run]).await;
    assert!(!without.status.success());
    assert!(asked.lock().unwrap().is_empty(), "no decision without a reason");
}
