//! One run up to its gate, in memory.

mod memory;

use blackstart_aws::evidence;
use blackstart_aws::records::Records as _;
use blackstart_aws::records::memory::MemoryRecords;
use blackstart_aws::tokens::memory::MemoryCipher;
use blackstart_core::approval::gate::GateRecord;
use blackstart_core::artifact::{ArtifactRef, Digest};
use blackstart_core::evidence::Bundle;
use blackstart_core::ledger::Key;
use blackstart_core::run::{RunId, WorkloadName};
use blackstart_core::task::Task;
use blackstart_core::task::approval::Operation;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{Answer, ApprovalError, Deps, gateway, handle};

pub(crate) use memory::{Memory, MemoryArtifacts, MemoryCallbacks, MemoryNotices, MemoryTeam};

pub(crate) const TOKEN: &str = "AQCEAAAAKgAAAAMAAAAA-secret-task-token";
pub(crate) const EXECUTION: &str = "arn:aws:states:us-east-1:111111111111:execution:recovery:x";

pub(crate) const TEAM: &str = "arn:aws:mpa:us-east-1:777777777777:approval-team/recovery";

pub(crate) fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn later(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

pub(crate) fn run() -> RunId {
    RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), EXECUTION)
}

/// `ada` asked for the run; `bob`, `cy` and `dee` may vote; two are needed.
pub(crate) fn arn(person: &str) -> String {
    format!("arn:aws:iam::111111111111:user/{person}")
}

fn plan(identities: &dyn Fn(&str) -> Vec<String>) -> Value {
    let approver = |person: &str| json!({"person": person, "identities": identities(person)});
    json!({
        "schema": "blackstart.plan/1", "workload": "orders", "region": "us-east-1",
        "accounts": {
            "old": "444444444444", "validation": "222222222222", "rebuild": "333333333333",
            "log_archive": "555555555555", "siblings": ["666666666666"],
        },
        "timeline": {"sources": [{"kind": "cloudtrail", "bucket": "logs"}]},
        "resources": [
            {"id": "data", "arn": "arn:aws:s3:::orders-data", "type": "S3", "restore_to": "orders-data-new"},
        ],
        "validation": {"vault": {"name": "vault"}, "layers": ["trial_restore"]},
        "approval": {
            "quorum": 2, "decide_within_minutes": 60, "minimum_rationale": 10,
            "approvers": [approver("ada"), approver("bob"), approver("cy"), approver("dee")],
        },
        "rebuild": {"stacks": [], "allowed_resource_types": []},
        "references": {},
        "cutover": {
            "zone": "Z1",
            "names": [{"name": "orders.example.", "type": "A", "new": ["192.0.2.2"], "holding": ["192.0.2.9"]}],
            "health": {
                "address": "192.0.2.2", "port": 443, "path": "/health",
                "nonce": {"bucket": "n", "key": "nonce"},
            },
        },
    })
}

pub(crate) struct Scene {
    pub(crate) deps: Deps<Memory>,
    pub(crate) digest: Digest,
    pub(crate) package: ArtifactRef,
    plan: ArtifactRef,
}

fn boundary_document() -> Value {
    let record = |at: &str, what: &str| {
        json!({
            "at": at, "what": what, "indicator": "actor",
            "evidence": {"object": "s3://logs/a.json.gz", "sha256": Digest::of(b"a"), "record": 7, "event_id": "e"},
        })
    };
    json!({
        "schema": "blackstart.boundary/1",
        "boundary": {
            "best": "2026-02-21T00:00:00Z", "not_later_than": "2026-02-21T02:10:00Z",
            "floor": "2026-02-20T22:00:00Z", "unbounded": true,
            "reasons": [
                record("2026-02-21T00:00:00Z", "ListBuckets by arn:aws:sts::444444444444:assumed-role/ci/x"),
                record("2026-02-21T02:10:00Z", "Backup vault deleted: DeleteBackupVault by the same"),
                record("2026-02-21T09:00:00Z", HOSTILE),
            ],
        },
        "actors": [],
        "suspects": [record("2026-02-19T05:00:00Z", "Console login without a second factor by user/jo")],
        "coverage": {
            "objects": 3, "records": 900, "first": "2026-02-18T00:00:00Z", "last": "2026-02-28T00:00:00Z",
            "gaps": [{"what": "trail `main`", "reason": "StopLogging for 40 minutes"}],
        },
    })
}

fn considered() -> Value {
    let set = |id: &str, newest: &str, eligible: bool, verdict: Value, reasons: Value| json!({"set": id, "newest": newest, "eligible": eligible, "verdict": verdict, "reasons": reasons});
    json!([
        set(
            "new",
            "2026-02-22T00:00:00Z",
            false,
            json!(null),
            json!(["it does not precede the boundary"])
        ),
        set(
            "mid",
            "2026-02-20T12:00:00Z",
            true,
            json!("tainted"),
            json!([
                "`invoices/README_TO_DECRYPT.txt` is a ransom note",
                "18 of 40 objects are encrypted",
                HOSTILE
            ]),
        ),
        set("abc", "2026-02-20T00:00:00Z", true, json!("clean"), json!([])),
        set(
            "old",
            "2026-02-19T00:00:00Z",
            true,
            json!("unknown"),
            json!(["was not looked at: a newer set is clean"])
        ),
    ])
}

/// Text as it comes from logs, file names, tags and policies when somebody wants a browser to run it.
pub(crate) const HOSTILE: &str = "</td></table></style><script>document.title='owned'</script>\
    <img src=x onerror=\"document.title='owned'\"><svg onload=document.title='owned'>\u{202e}";

fn context(retry_count: u32) -> Value {
    json!({
        "execution": EXECUTION, "started": now(), "state": "Await approval", "entered": now(),
        "retry_count": retry_count,
    })
}

fn task(input: &Value, retry_count: u32) -> Task<Operation> {
    serde_json::from_value(json!({"context": context(retry_count), "run": run(), "input": input})).unwrap()
}

/// A run whose package is prepared.
pub(crate) async fn prepared() -> Scene {
    prepared_for(&|person| vec![arn(person)]).await
}

/// The same, guarded by an approval team as well.
pub(crate) async fn prepared_with_team() -> Scene {
    prepared_from(&|person| vec![arn(person)], true).await
}

async fn prepared_for(identities: &dyn Fn(&str) -> Vec<String>) -> Scene {
    prepared_from(identities, false).await
}

async fn prepared_from(identities: &dyn Fn(&str) -> Vec<String>, guarded: bool) -> Scene {
    let deps = Deps::<Memory> {
        records: MemoryRecords::default(),
        artifacts: MemoryArtifacts::default(),
        cipher: MemoryCipher,
        callbacks: MemoryCallbacks::default(),
        notices: MemoryNotices::default(),
        vaults: MemoryTeam::default(),
        page: Some("https://gate.example".to_owned()),
        issuer: None,
    };
    let add = |key: &str, value: &Value| deps.artifacts.add(key, serde_json::to_vec(value).unwrap());
    let mut document = plan(identities);
    if guarded {
        document["approval"]["outer_gate"] = json!({"team": TEAM, "wait_minutes": 30, "in_drills": true});
    }
    let plan = add("plan", &document);
    let manifest = add("manifest", &json!({}));
    let boundary =
        json!({"boundary": "2026-02-21T00:00:00Z", "document": add("boundary", &boundary_document())});
    let selection = add(
        "selection",
        &json!({
            "schema": "blackstart.selection/1",
            "set": {
                "id": "abc", "newest": "2026-02-20T00:00:00Z", "oldest": "2026-02-20T00:00:00Z",
                "points": {"data": {
                    "arn": "arn:point", "resource_type": "S3", "latest": "2026-02-20T00:00:00Z", "bytes": 9,
                }},
            },
            "verdict": {
                "set": "abc", "verdict": "clean", "at": now(),
                "layers": {"trial_restore": {"verdict": "clean", "reasons": ["2 of 2 resources came back", HOSTILE]}},
                "manifests": {"data": manifest},
            },
            "boundary": boundary, "considered": considered(),
        }),
    );
    let rebuild = add(
        "rebuild",
        &json!({
            "schema": "blackstart.rebuild/1", "stacks": [],
            "isolation": [{"check": "egress", "status": "pass", "evidence": "no route"}],
        }),
    );
    let inventory = add(
        "inventory",
        &json!({"schema": "blackstart.inventory/1", "documents_read": 3, "documents": [], "failures": []}),
    );
    let record = json!({
        "run": run(), "workload": "orders", "mode": "drill", "plan": plan,
        "trigger": {"kind": "manual", "requested_by": arn("ada")}, "execution": EXECUTION, "started": now(),
        "conclusion": null,
    });
    assert!(deps.records.put_new(&Key::run(&run()), &record).await.unwrap());
    assert!(
        deps.records
            .put_new(&Key::boundary(&run()), &boundary)
            .await
            .unwrap()
    );

    let skipped = json!({"status": "failed", "error": "x", "cause": "y"});
    let prepare = task(
        &json!({
            "operation": "prepare", "plan": plan, "workload": "orders", "mode": "drill", "selection": selection,
            "branches": {
                "timeline": skipped, "validation": skipped,
                "rebuild": {"status": "ok", "result": {"document": rebuild, "isolated": true}},
                "references": {"status": "ok", "result": {
                    "inventory": inventory, "documents": 3, "tokens": 0, "handled": 0, "unhandled": 0,
                }},
            },
        }),
        0,
    );
    let first = Box::pin(handle(prepare.clone(), &deps, now())).await.unwrap();
    assert_eq!(
        first,
        Box::pin(handle(prepare, &deps, later(5))).await.unwrap(),
        "a retry makes the same package"
    );
    let Answer::Prepared(prepared) = first else {
        panic!("{first:?}")
    };
    Scene {
        deps,
        digest: prepared.digest,
        package: prepared.package,
        plan,
    }
}

/// A run whose package is before the approvers.
pub(crate) async fn asked() -> Scene {
    let scene = prepared().await;
    scene.ask(TOKEN, 0).await.unwrap();
    scene
}

/// The same, where everybody can also be called something else.
pub(crate) async fn asked_with(subject: &dyn Fn(&str) -> String) -> Scene {
    let scene = prepared_for(&|person| vec![arn(person), subject(person)]).await;
    scene.ask(TOKEN, 0).await.unwrap();
    scene
}

impl Scene {
    pub(crate) async fn ask(&self, token: &str, retry_count: u32) -> Result<Answer, ApprovalError> {
        self.ask_at(token, retry_count, now()).await
    }

    pub(crate) async fn ask_at(
        &self,
        token: &str,
        retry_count: u32,
        at: Timestamp,
    ) -> Result<Answer, ApprovalError> {
        self.deps.callbacks.wait(token);
        let Self {
            digest,
            package,
            plan,
            ..
        } = self;
        let ask =
            json!({"operation": "ask", "plan": plan, "package": package, "digest": digest, "token": token});
        Box::pin(handle(task(&ask, retry_count), &self.deps, at)).await
    }

    /// What the state machine of the cutover asks before a second gate, for a plan that was made under `package`.
    pub(crate) async fn prepare_second(
        &self,
        package: &Digest,
        at: Timestamp,
    ) -> Result<Answer, ApprovalError> {
        let document = json!({
            "schema": "blackstart.cutover/1", "package": package, "steps": [],
            "traffic": {"zone": "Z1", "before": [], "after": []},
        });
        let cutover = self
            .deps
            .artifacts
            .add("cutover", serde_json::to_vec(&document).unwrap());
        let approved = json!({"plan": self.plan, "package": self.package, "digest": self.digest});
        let mut task = task(
            &json!({"operation": "prepare_second", "approved": approved, "cutover": cutover}),
            0,
        );
        task.context.entered = at;
        handle(task, &self.deps, at).await
    }

    pub(crate) async fn expire(&self, at: Timestamp) -> Result<Answer, ApprovalError> {
        handle(
            task(&json!({"operation": "expire", "digest": self.digest}), 0),
            &self.deps,
            at,
        )
        .await
    }

    /// What the state machine asks of the outer gate.
    pub(crate) async fn of_team(&self, operation: &str, at: Timestamp) -> Result<Answer, ApprovalError> {
        let input = json!({
            "operation": operation, "plan": self.plan, "package": self.package, "digest": self.digest,
        });
        handle(task(&input, 0), &self.deps, at).await
    }

    /// Sends a request as `identity` and returns status and body.
    pub(crate) async fn send(
        &self,
        identity: &str,
        method: &str,
        path: &str,
        body: &str,
        at: Timestamp,
    ) -> (u64, Value) {
        let answer = gateway::serve(event(identity, method, path, body), &self.deps, at).await;
        let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        (answer["statusCode"].as_u64().unwrap(), body)
    }

    pub(crate) async fn vote(&self, person: &str, decision: &str) -> (u64, Value) {
        self.vote_at(person, decision, later(1)).await
    }

    pub(crate) async fn vote_at(&self, person: &str, decision: &str, at: Timestamp) -> (u64, Value) {
        let body = json!({
            "digest": self.digest, "decision": decision, "rationale": format!("{person} compared the manifests"),
        });
        self.send(
            &arn(person),
            "POST",
            &format!("/runs/{}/votes", run()),
            &body.to_string(),
            at,
        )
        .await
    }

    /// Late evidence.
    pub(crate) async fn move_boundary(&self) {
        let key = Key::boundary(&run());
        let records = &self.deps.records;
        let mut boundary = records.get::<Value>(&key).await.unwrap().unwrap();
        boundary.document["boundary"] = json!("2026-02-20T23:00:00Z");
        let replaced = records.replace(&key, boundary.version, &boundary.document).await;
        assert!(replaced.unwrap());
    }

    pub(crate) async fn gate(&self) -> GateRecord {
        let key = Key::gate(&run(), &self.digest);
        self.deps
            .records
            .get::<GateRecord>(&key)
            .await
            .unwrap()
            .unwrap()
            .document
    }

    pub(crate) async fn evidence(&self) -> Bundle {
        evidence::bundle(&self.deps.records, &run()).await.unwrap()
    }
}

/// An event as a function URL with IAM authentication delivers it.
pub(crate) fn event(identity: &str, method: &str, path: &str, body: &str) -> Value {
    let request = Digest::of(format!("{identity} {method} {path} {body}").as_bytes());
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {"authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20260301/us-east-1/lambda/aws4_request"},
        "requestContext": {
            "accountId": "111111111111", "apiId": "u", "requestId": request,
            "authorizer": {"iam": {
                "accessKey": "AKIA", "accountId": "111111111111", "callerId": "AIDA", "userArn": identity,
                "userId": "AIDA",
            }},
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7", "userAgent": "x"},
        },
        "body": body, "isBase64Encoded": false,
    })
}
