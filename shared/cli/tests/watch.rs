//! `blackstart watch` as a process, against Step Functions and DynamoDB that answer from a recorded run: with every look
//! the run is further along.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise, also in the functions that prepare it"
)]

use std::collections::BTreeMap;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::critical_path::{Recording, measure};
use blackstart_core::history::{ExecutionHistory, HistoryEvent};
use blackstart_core::report::trend::RunDurations;
use blackstart_core::run::{Conclusion, Mode, RunId, RunRecord, Trigger, WorkloadName};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::process::Command;

/// A run of which every look shows more.
struct World {
    recording: Recording,
    record: RunRecord,
    /// How the run ends; it has ended at the last moment.
    conclusion: Conclusion,
    /// How far the run is at each look, as a share of its time. The last one is repeated.
    moments: Vec<f64>,
    looks: AtomicUsize,
    /// Looks that are answered with throttling.
    throttled: Vec<usize>,
    earlier: Vec<RunDurations>,
    now: Mutex<(Recording, Option<Conclusion>)>,
}

fn recorded(name: &str) -> Recording {
    let file = format!(
        "{}/../core/tests/histories/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn orders() -> WorkloadName {
    WorkloadName::try_from("orders".to_owned()).unwrap()
}

impl World {
    fn new(name: &str, conclusion: Conclusion, moments: &[f64]) -> Self {
        let recording = recorded(name);
        let first = recording.histories.iter().min_by_key(|history| history.started);
        let execution = first.unwrap().execution.clone();
        let record = RunRecord {
            run: RunId::of_execution(&orders(), &execution),
            workload: orders(),
            mode: Mode::Incident,
            plan: ArtifactRef {
                bucket: "artifacts".to_owned(),
                key: "plan.json".to_owned(),
                version: None,
                sha256: Digest::of(b""),
                bytes: 0,
            },
            trigger: Trigger::Manual {
                requested_by: "ada".to_owned(),
                boundary: None,
            },
            execution,
            started: recording.started,
            conclusion: None,
        };
        Self {
            now: Mutex::new((recording.clone(), None)),
            recording,
            record,
            conclusion,
            moments: moments.to_vec(),
            looks: AtomicUsize::new(0),
            throttled: Vec::new(),
            earlier: Vec::new(),
        }
    }

    /// The same run, as if it had taken place a week before too.
    fn with_an_earlier_run(mut self) -> Self {
        let mut run = self.record.clone();
        run.run = RunId::of_execution(&orders(), "a week before");
        run.started = Timestamp::now() - SignedDuration::from_hours(168);
        let path = measure(&self.recording.observed());
        self.earlier.push(RunDurations::of(&run, self.conclusion, &path));
        self
    }

    /// The next look: the run as it is then, moved in time so that this moment is now.
    fn look(&self) {
        let look = self.looks.fetch_add(1, Ordering::SeqCst);
        let last = self.moments.len() - 1;
        let share = self.moments[look.min(last)];
        let whole = self.recording.until.duration_since(self.recording.started);
        let moment = self.recording.started + SignedDuration::from_secs_f64(whole.as_secs_f64() * share);
        let seen = moved(
            self.recording.as_of(moment),
            Timestamp::now().duration_since(moment),
        );
        *self.now.lock().unwrap() = (seen, (look >= last && share >= 1.0).then_some(self.conclusion));
    }

    fn answer(&self, target: &str, asked: &Value) -> Response {
        let operation = target.rsplit('.').next().unwrap();
        if operation == "GetItem" && asked["Key"]["sk"]["S"] == "RUN" {
            let look = self.looks.load(Ordering::SeqCst);
            self.look();
            if self.throttled.contains(&look) {
                let refused = json!({"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"});
                return (StatusCode::BAD_REQUEST, Json(refused)).into_response();
            }
        }
        let (seen, conclusion) = self.now.lock().unwrap().clone();
        let history = |arn: &Value| {
            let found = seen
                .histories
                .iter()
                .find(|history| arn == history.execution.as_str());
            found.unwrap().clone()
        };
        let answer = match operation {
            "GetItem" => match asked["Key"]["sk"]["S"].as_str().unwrap() {
                "RUN" if asked["Key"]["pk"]["S"] == format!("RUN#{}", self.record.run) => {
                    let mut record = self.record.clone();
                    record.started = seen.started;
                    record.conclusion = conclusion;
                    json!({"Item": item(&record)})
                }
                "ACTIVE" if asked["Key"]["pk"]["S"] == "WORKLOAD#orders" => {
                    json!({"Item": item(&json!({"run": self.record.run}))})
                }
                _ => json!({}),
            },
            "Query" => {
                let prefix = asked["ExpressionAttributeValues"][":prefix"]["S"]
                    .as_str()
                    .unwrap();
                let items: Vec<Value> = match prefix {
                    "STEP#" => seen.steps.iter().map(item).collect(),
                    "DURATIONS#" => self.earlier.iter().map(item).collect(),
                    _ => Vec::new(),
                };
                json!({"Items": items, "Count": items.len()})
            }
            "DescribeExecution" => described(&history(&asked["executionArn"])),
            "GetExecutionHistory" => {
                let events = history(&asked["executionArn"]).events;
                json!({"events": events.iter().map(event).collect::<Vec<_>>()})
            }
            other => json!({"__type": "UnknownOperationException", "message": other}),
        };
        Json(answer).into_response()
    }
}

fn item(document: &impl serde::Serialize) -> Value {
    json!({
        "pk": {"S": "pk"}, "sk": {"S": "sk"}, "version": {"N": "1"},
        "document": {"S": serde_json::to_string(document).unwrap()},
    })
}

fn epoch(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

fn described(history: &ExecutionHistory) -> Value {
    json!({
        "executionArn": history.execution,
        "stateMachineArn": "arn:aws:states:us-east-1:111111111111:stateMachine:x",
        "status": history.status,
        "startDate": epoch(history.started),
        "stopDate": history.ended.map(epoch),
    })
}

fn event(event: &HistoryEvent) -> Value {
    let mut told = json!({
        "id": event.id, "previousEventId": event.previous, "timestamp": epoch(event.at), "type": event.kind,
    });
    if let Some(state) = &event.state {
        let details = if event.kind.ends_with("Entered") {
            "stateEntered"
        } else {
            "stateExited"
        };
        told[format!("{details}EventDetails")] = json!({"name": state});
    }
    if let Some((kind, resource)) = event.resource.as_deref().and_then(|text| text.split_once(':')) {
        told["taskScheduledEventDetails"] =
            json!({"resourceType": kind, "resource": resource, "region": "us-east-1", "parameters": "{}"});
    }
    if let Some(error) = &event.error {
        told["taskFailedEventDetails"] =
            json!({"resourceType": "lambda", "resource": "invoke", "error": error});
    }
    told
}

/// Everything later by this much.
fn moved(mut recording: Recording, by: SignedDuration) -> Recording {
    recording.started += by;
    recording.until += by;
    for step in &mut recording.steps {
        for at in [&mut step.entered, &mut step.began, &mut step.ended] {
            *at += by;
        }
    }
    for history in &mut recording.histories {
        history.started += by;
        history.ended = history.ended.map(|ended| ended + by);
        for event in &mut history.events {
            event.at += by;
        }
    }
    recording
}

async fn serve(State(world): State<Arc<World>>, headers: HeaderMap, body: String) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    world.answer(target, &serde_json::from_str(&body).unwrap())
}

/// What `blackstart watch` says about this world.
async fn watch(world: World, subject: Option<&str>, arguments: &[&str]) -> Output {
    let run = world.record.run.to_string();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(serve).with_state(Arc::new(world));
    let server = tokio::spawn(async { axum::serve(listener, router).await });
    let environment = BTreeMap::from([
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "111111111111"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("AWS_CONFIG_FILE", "/nonexistent"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
        ("BLACKSTART_LEDGER", "ledger"),
    ]);
    let output = Command::new(env!("CARGO_BIN_EXE_blackstart"))
        .args(["watch", subject.unwrap_or(&run), "--every", "0"])
        .args(arguments)
        .env_clear()
        .envs(environment)
        .output()
        .await
        .unwrap();
    server.abort();
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The lines in this order, others between them.
fn assert_told(told: &str, wanted: &[&str]) {
    let mut lines = told.lines();
    for words in wanted {
        assert!(
            lines.any(|line| line.contains(words)),
            "`{words}` is not told, or not in its place:\n{told}"
        );
    }
}

/// From the beginning to the end in forty looks.
fn steadily() -> Vec<f64> {
    (1..=40).map(|look| f64::from(look) / 40.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_is_told_stage_by_stage_to_its_end() {
    let world = World::new("recovered", Conclusion::Recovered, &steadily());
    let output = watch(world, None, &[]).await;
    let told = text(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_told(
        &told,
        &[
            "running, ",
            "timeline: ",
            "validation: ",
            "validation: done",
            "restore: ",
            "cutover: ",
            "cutover: done",
        ],
    );
    let last = told.lines().last().unwrap();
    assert!(
        last.contains(": recovered") && last.contains("report: s3://artifacts/runs/orders-"),
        "{last}"
    );
    let mut lines: Vec<&str> = told
        .lines()
        .map(|line| line.split(", ").next().unwrap())
        .collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup_by(|a, b| a.get(9..) == b.get(9..));
    assert!(lines.len() + 2 >= all, "something is told twice:\n{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_at_a_workload_shows_bars_and_what_earlier_runs_took() {
    let world = World::new("recovered", Conclusion::Recovered, &[0.3]).with_an_earlier_run();
    let output = watch(world, Some("orders"), &["--once"]).await;
    let told = text(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.lines().next().unwrap().contains(" left (until "), "{told}");
    let row = |stage: &str| told.lines().find(|line| line.contains(stage)).unwrap().to_owned();
    assert!(
        row("timeline").contains(&format!("[{}] done", "━".repeat(24))),
        "{told}"
    );
    let running = row("├─ validation").matches('━').count();
    assert!((1..24).contains(&running), "{told}");
    assert!(
        row("cutover").contains(&format!("[{}] ahead (before: ", " ".repeat(24))),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_needs_somebody_says_so_by_its_exit_code() {
    let refused = World::new("refused", Conclusion::Refused, &[1.0]);
    let output = watch(refused, None, &[]).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains(": refused"), "{}", text(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_for_a_while_does_not_end_the_watch() {
    let mut world = World::new("recovered", Conclusion::Recovered, &steadily());
    world.throttled = vec![3, 4, 5, 20];
    let output = watch(world, None, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));

    let mut world = World::new("recovered", Conclusion::Recovered, &steadily());
    world.throttled = (3..20).collect();
    let output = watch(world, None, &[]).await;
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("did not get through"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_with_what_to_do() {
    for (subject, words) in [
        (
            "orders-000000000000",
            "run `orders-000000000000` is not in this ledger",
        ),
        ("billing", "workload `billing` has no active run"),
        ("No Such Thing", "is neither a run"),
    ] {
        let world = World::new("recovered", Conclusion::Recovered, &[0.5]);
        let output = watch(world, Some(subject), &[]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
}
